//! Prices as people type them: `9.90 EUR/month,included=10000,unit=0.40/1000`.

use keystile_core::plan::{Period, Price};
use serde_json::{Value, json};

const FORM: &str = "write a price as `9.90 EUR/month`, per month or billing-period, with `,included=10000` and `,unit=0.40/1000` (for each 1,000 beyond) behind it";

/// Reads `FEE CURRENCY/PERIOD` and options behind it, each after a comma: `included=UNITS`, `unit=AMOUNT` or `unit=AMOUNT/UNITS`.
///
/// # Errors
/// What is wrong, and how it is written.
pub(super) fn price(text: &str) -> Result<Price, String> {
    let mut parts = text.split(',').map(str::trim);
    let (fee, rest) = parts.next().unwrap_or_default().split_once(' ').ok_or(FORM)?;
    let (currency, period) = rest.trim().split_once('/').ok_or(FORM)?;
    let period: Period = period.replace('-', "_").parse().map_err(|_| FORM.to_owned())?;
    let mut price = json!({ "currency": currency, "period": period, "base_fee": fee });
    let number =
        |text: &str| text.replace('_', "").parse::<u64>().map_err(|_| format!("`{text}` is no number; {FORM}"));
    for option in parts {
        match option.split_once('=') {
            Some(("included", units)) => price["included"] = number(units)?.into(),
            Some(("unit", amount)) => {
                let (amount, units) = amount.split_once('/').unwrap_or((amount, "1"));
                price["unit_price"] = amount.into();
                price["per_units"] = number(units)?.into();
            }
            _ => return Err(format!("only included= and unit= can follow a comma; {FORM}")),
        }
    }
    serde_json::from_value(price).map_err(|error| error.to_string())
}

/// A price as it is typed.
fn written(price: &Price) -> String {
    let (fee, currency, period) = (price.base_fee, price.currency.as_str(), price.period.as_str().replace('_', "-"));
    let mut text = format!("{fee} {currency}/{period}");
    if price.included > 0 {
        text.push_str(&format!(",included={}", price.included));
    }
    if price.unit_price != "0".parse().unwrap_or(price.base_fee) {
        let per = if price.per_units == 1 { String::new() } else { format!("/{}", price.per_units) };
        text.push_str(&format!(",unit={}{per}", price.unit_price));
    }
    text
}

/// The price in a field, as it is typed.
pub(super) fn of(object: &Value) -> Option<String> {
    let price: Price = serde_json::from_value(object.get("price")?.clone()).ok()?;
    Some(written(&price))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_read_as_it_is_written() {
        for text in ["9.90 EUR/month", "0 JPY/billing-period,included=1000,unit=3/1000", "5 USD/month,unit=0.002"] {
            assert_eq!(written(&price(text).unwrap()), text);
        }
        for text in [
            "",
            "9.90",
            "9.90 EUR",
            "9.90 EUR/year",
            "x EUR/month",
            "1 EUR/month,unit=x",
            "1 EUR/month,free",
            "1 EUR/day",
        ] {
            assert!(price(text).is_err(), "{text}");
        }
    }
}
