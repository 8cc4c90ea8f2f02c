//! What a plan costs: a fee for a period, and a price for what is used beyond what the fee includes (PRODUCT.md K25, K28).
//!
//! Amounts are decimal numbers. Each line of a statement is rounded once, to the smallest unit of its currency, half to even
//! (IEEE 754 `roundTiesToEven`); the total is the sum of the rounded lines, so that whoever adds them up comes to the same.

use std::fmt;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::period::Period;

/// Digits of an amount before its point and behind it.
const MAX_DIGITS: (usize, usize) = (9, 9);
/// Most units that are included: a quota's bound.
const MAX_INCLUDED: u64 = super::quota::MAX_QUOTA;
/// Most units that one price is for.
const MAX_PER: u64 = 1_000_000_000;

/// A currency by its code in ISO 4217, such as `EUR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Its code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Digits behind the point of its smallest unit (ISO 4217).
    pub const fn exponent(self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF" | b"UGX"
            | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            _ => 2,
        }
    }

    /// An amount, rounded to the smallest unit.
    fn rounded(self, amount: Decimal) -> Decimal {
        let mut rounded = amount.round_dp_with_strategy(self.exponent(), RoundingStrategy::MidpointNearestEven);
        rounded.rescale(self.exponent());
        rounded
    }
}

/// A price that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceError {
    /// The currency is no code.
    Currency,
    /// An amount is none.
    Amount,
    /// More is included than there can be.
    Included,
    /// A price for no units, or for too many.
    Per,
    /// The period is none for which anybody pays.
    Period,
}

impl fmt::Display for PriceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Currency => f.write_str("a currency is the code of ISO 4217 in capitals, such as EUR"),
            Self::Amount => write!(
                f,
                "an amount is a decimal number in quotes, such as \"9.90\", of at most {} digits before its point and {} behind it",
                MAX_DIGITS.0, MAX_DIGITS.1
            ),
            Self::Included => write!(f, "included is 0 to {MAX_INCLUDED}"),
            Self::Per => write!(f, "per_units is 1 to {MAX_PER}"),
            Self::Period => f.write_str("a price is for a month or a billing_period"),
        }
    }
}

impl std::error::Error for PriceError {}

impl FromStr for Currency {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        match text.as_bytes().try_into() {
            Ok(code) if text.bytes().all(|byte| byte.is_ascii_uppercase()) => Ok(Self(code)),
            _ => Err(PriceError::Currency),
        }
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An amount of money that is not negative, as it was written: `9.90`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Amount(Decimal);

impl FromStr for Amount {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_sound = |digits: &str, most: usize| {
            (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_sound(whole, MAX_DIGITS.0) || !is_sound(part, MAX_DIGITS.1) {
            return Err(PriceError::Amount);
        }
        Decimal::from_str_exact(text).map(Self).map_err(|_| PriceError::Amount)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a plan costs. As JSON `{"currency": "EUR", "base_fee": "9.90", "included": 10000, "unit_price": "0.40", "per_units":
/// 1000, "period": "month"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Price {
    /// In which money.
    pub currency: Currency,
    /// For which period.
    pub period: Period,
    /// For the period, whatever is used.
    pub base_fee: Amount,
    /// Units that the fee includes.
    pub included: u64,
    /// For every `per_units` units beyond, and for a part of these the same part.
    pub unit_price: Amount,
    /// For so many.
    pub per_units: u64,
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire {
            currency: String,
            #[serde(default)]
            period: Option<Period>,
            #[serde(default)]
            base_fee: Option<String>,
            #[serde(default)]
            included: u64,
            #[serde(default)]
            unit_price: Option<String>,
            #[serde(default)]
            per_units: Option<u64>,
        }
        use serde::de::Error;
        let wire = Wire::deserialize(deserializer)?;
        let amount = |text: Option<String>| text.as_deref().unwrap_or("0").parse::<Amount>().map_err(D::Error::custom);
        let price = Self {
            currency: wire.currency.parse().map_err(D::Error::custom)?,
            period: wire.period.unwrap_or(Period::Month),
            base_fee: amount(wire.base_fee)?,
            included: wire.included,
            unit_price: amount(wire.unit_price)?,
            per_units: wire.per_units.unwrap_or(1),
        };
        price.checked().map_err(D::Error::custom)
    }
}

/// One line of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is for.
    pub item: Item,
    /// How many units.
    pub units: u64,
    /// What it costs, rounded.
    pub amount: Decimal,
}

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// The fee of the period, with the units that it includes.
    BaseFee,
    /// What was used beyond.
    Overage,
    /// What a closed statement would cost more, or less, by what was recorded after it had closed.
    Adjustment,
}

impl Price {
    /// Whether it says anything of units: what they cost, or how many the fee includes.
    pub fn is_of_units(&self) -> bool {
        !self.unit_price.0.is_zero() || self.included > 0
    }

    /// What a statement of so many units would cost more, or less, with so many: what a later statement adds for it. Units below
    /// 0 cost what none cost. `None` if that is more than there is money.
    pub fn more(&self, (before, after): (i64, i64), part: (u64, u64)) -> Option<Decimal> {
        let total = |units: i64| Some(self.of(u64::try_from(units).unwrap_or(0), part)?.1);
        total(after)?.checked_sub(total(before)?)
    }

    fn checked(self) -> Result<Self, PriceError> {
        if !matches!(self.period, Period::Month | Period::BillingPeriod) {
            return Err(PriceError::Period);
        }
        if self.included > MAX_INCLUDED {
            return Err(PriceError::Included);
        }
        if !(1..=MAX_PER).contains(&self.per_units) {
            return Err(PriceError::Per);
        }
        Ok(self)
    }

    /// The units that the fee of a part of a period includes, as many minutes as are said of so many: rounded down.
    pub fn included_in(&self, (part, whole): (u64, u64)) -> u64 {
        let included = u128::from(self.included) * u128::from(part) / u128::from(whole.max(1));
        u64::try_from(included).unwrap_or(u64::MAX)
    }

    /// What so many units cost in a part of a period, as many minutes as are said of so many, line by line and together;
    /// `None` if that is more than there is money.
    pub fn of(&self, units: u64, (part, whole): (u64, u64)) -> Option<([Line; 2], Decimal)> {
        let beyond = units.saturating_sub(self.included_in((part, whole)));
        let fee = self.base_fee.0.checked_mul(Decimal::from(part))?.checked_div(Decimal::from(whole.max(1)))?;
        let overage =
            Decimal::from(beyond).checked_mul(self.unit_price.0)?.checked_div(Decimal::from(self.per_units))?;
        let lines = [
            Line { item: Item::BaseFee, units: units - beyond, amount: self.currency.rounded(fee) },
            Line { item: Item::Overage, units: beyond, amount: self.currency.rounded(overage) },
        ];
        let total = lines[0].amount.checked_add(lines[1].amount)?;
        Some((lines, total))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(text: &str) -> Result<Price, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    fn told(price: &Price, units: u64) -> [String; 3] {
        let ([base, overage], total) = price.of(units, (1, 1)).unwrap();
        [base.amount, overage.amount, total].map(|amount| amount.to_string())
    }

    #[test]
    fn each_line_is_rounded_half_to_even_and_the_total_is_their_sum() {
        let plain = price(r#"{"currency":"EUR","base_fee":"9.90","included":1000,"unit_price":"0.005"}"#).unwrap();
        for (units, amounts) in [
            (0, ["9.90", "0.00", "9.90"]),
            (1_000, ["9.90", "0.00", "9.90"]),
            // Half a cent goes to the even one: 0.005 to 0.00, 0.015 to 0.02, 0.025 to 0.02.
            (1_001, ["9.90", "0.00", "9.90"]),
            (1_003, ["9.90", "0.02", "9.92"]),
            (1_005, ["9.90", "0.02", "9.92"]),
            (1_000_000_000_000_000, ["9.90", "4999999999995.00", "5000000000004.90"]),
        ] {
            assert_eq!(told(&plain, units), amounts, "{units}");
        }
        let per = price(r#"{"currency":"JPY","unit_price":"3","per_units":1000}"#).unwrap();
        assert_eq!(told(&per, 1_500), ["0", "4", "4"], "4.5 yen");
        assert_eq!(told(&per, 500), ["0", "2", "2"], "1.5 yen");
        let thirds = price(r#"{"currency":"KWD","unit_price":"1","per_units":3}"#).unwrap();
        assert_eq!(told(&thirds, 2), ["0.000", "0.667", "0.667"]);
    }

    #[test]
    fn a_part_of_a_period_costs_the_same_part_of_its_fee() {
        let plain = price(r#"{"currency":"EUR","base_fee":"9.90","included":1000,"unit_price":"0.01"}"#).unwrap();
        let told = |units, part| plain.of(units, part).unwrap().1.to_string();
        assert_eq!((plain.included_in((1, 3)), told(333, (1, 3))), (333, "3.30".to_owned()));
        assert_eq!(told(433, (1, 3)), "4.30");
        assert_eq!(told(0, (1, 44_640)), "0.00");
    }

    #[test]
    fn a_price_is_read_as_it_is_written_and_what_is_none_is_refused() {
        let text = r#"{"currency":"EUR","period":"billing_period","base_fee":"9.90","included":1000,"unit_price":"0.40","per_units":1000}"#;
        assert_eq!(serde_json::to_string(&price(text).unwrap()).unwrap(), text);
        for (text, because) in [
            (r#"{"currency":"eur"}"#, "ISO 4217"),
            (r#"{"currency":"EURO"}"#, "ISO 4217"),
            (r#"{"currency":"EUR","base_fee":"-1"}"#, "a decimal number"),
            (r#"{"currency":"EUR","base_fee":"1e3"}"#, "a decimal number"),
            (r#"{"currency":"EUR","base_fee":"1234567890"}"#, "at most 9 digits"),
            (r#"{"currency":"EUR","base_fee":"1."}"#, "a decimal number"),
            (r#"{"currency":"EUR","base_fee":9.9}"#, "expected a string"),
            (r#"{"currency":"EUR","per_units":0}"#, "per_units is 1"),
            (r#"{"currency":"EUR","period":"day"}"#, "month or a billing_period"),
            (r#"{"currency":"EUR","included":9000000000000000}"#, "included is"),
        ] {
            let refused = price(text).unwrap_err();
            assert!(refused.contains(because), "{text}: {refused}");
        }
    }

    proptest! {
        // The same by another way: in whole numbers of 10^-18, rounded by hand.
        #[test]
        fn a_statement_is_what_whole_numbers_say(
            units in 0_u64..=1_000_000_000_000,
            included in 0_u64..=1_000_000,
            nanos in 0_u64..=5_000_000_000,
            per in prop::sample::select(vec![1_u64, 10, 100, 1_000, 1_000_000]),
        ) {
            let unit_price = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
            let text = format!(
                r#"{{"currency":"EUR","included":{included},"unit_price":"{unit_price}","per_units":{per}}}"#
            );
            let (_, total) = price(&text).unwrap().of(units, (1, 1)).unwrap();
            let beyond = u128::from(units.saturating_sub(included));
            let (parts, cent) = (beyond * u128::from(nanos), 10_000_000 * u128::from(per));
            let (cents, rest) = (parts / cent, parts % cent);
            let is_up = rest * 2 > cent || (rest * 2 == cent && cents % 2 == 1);
            let cents = cents + u128::from(is_up);
            prop_assert_eq!(total.to_string(), format!("{}.{:02}", cents / 100, cents % 100));
        }
    }
}
