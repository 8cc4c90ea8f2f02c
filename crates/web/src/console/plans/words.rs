//! What plans say, in words.

use super::{Cost, Credits, Limit, Plan, Price, Quota};
use crate::ui::number::exact;
use crate::ui::time::length;

/// For which time: `per minute`, `in 30 s`.
pub(super) fn of_window(seconds: u64) -> String {
    match seconds {
        1 => "per second".into(),
        60 => "per minute".into(),
        3_600 => "per hour".into(),
        86_400 => "per day".into(),
        604_800 => "per week".into(),
        other => format!("in {}", length(i64::try_from(other).unwrap_or(i64::MAX))),
    }
}

/// A limit: `600 per minute, each key apart`.
pub(in crate::console) fn limit_words(limit: &Limit) -> String {
    let many = exact(limit.limit);
    let what = if limit.counts.as_deref() == Some("calls") { " calls" } else { "" };
    let mut text = match (limit.algorithm.as_deref(), limit.window_seconds) {
        (Some("concurrency"), _) | (_, None) => format!("{many}{what} at once"),
        (_, Some(seconds)) => format!("{many}{what} {}", of_window(seconds)),
    };
    if limit.algorithm.as_deref() == Some("fixed_window") {
        text.push_str(" by the clock");
    }
    if let Some(burst) = limit.burst {
        text.push_str(&format!(", {} at once", exact(burst)));
    }
    for by in &limit.by {
        text.push_str(&format!(", each {} apart", by.replace('_', " ")));
    }
    match limit.overrides.len() {
        0 => {}
        1 => text.push_str(", with 1 exception"),
        many => text.push_str(&format!(", with {many} exceptions")),
    }
    if limit.shadow == Some(true) {
        text.push_str(" (only tried out)");
    }
    text
}

/// For which period: `per month`.
pub(in crate::console) fn of_period(period: &str) -> String {
    format!("per {}", period.replace('_', " "))
}

/// A quota: `10,000 per month, then calls go on`.
pub(in crate::console) fn quota_words(quota: &Quota) -> String {
    let what = if quota.counts.as_deref() == Some("calls") { " calls" } else { "" };
    let beyond = if quota.on_exhausted.as_deref() == Some("allow") { ", then calls go on" } else { "" };
    format!("{}{what} {}{beyond}", exact(quota.limit), of_period(&quota.period))
}

fn is_zero(amount: &str) -> bool {
    amount.chars().all(|letter| matches!(letter, '0' | '.'))
}

/// A price: `9.90 EUR per month, 10,000 included, then 0.40 per 1,000`.
pub(super) fn price_words(price: &Price) -> String {
    let fee = price.base_fee.as_deref().unwrap_or("0");
    let period = of_period(price.period.as_deref().unwrap_or("month"));
    let unit = price.unit_price.as_deref().filter(|amount| !is_zero(amount));
    let mut text =
        if is_zero(fee) && unit.is_some() { String::new() } else { format!("{fee} {} {period}", price.currency) };
    let mut add = |part: String| {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&part);
    };
    let included = price.included.filter(|units| *units > 0);
    if let Some(units) = included {
        add(format!("{} included", exact(units)));
    }
    if let Some(amount) = unit {
        let per = match price.per_units.unwrap_or(1) {
            1 => "each".to_owned(),
            units => format!("per {}", exact(units)),
        };
        let then = if included.is_some() { "then " } else { "" };
        let currency = if is_zero(fee) { format!(" {}", price.currency) } else { String::new() };
        add(format!("{then}{amount}{currency} {per}"));
    }
    text
}

/// What is said of credits: `Project's credits, 1,000 to begin with, 5,000 more per month`.
pub(super) fn credits_words(credits: &Credits) -> String {
    let whose =
        if credits.of.as_deref() == Some("organization") { "Organization's credits" } else { "Project's credits" };
    let mut text = whose.to_owned();
    if let Some(trial) = &credits.trial {
        text.push_str(&format!(", {} to begin with for {} days", exact(trial.amount), trial.days.unwrap_or(90)));
    }
    if let Some(refill) = &credits.refill {
        text.push_str(&format!(", {} {}", exact(refill.amount), of_period(&refill.period)));
    }
    text
}

/// What an operation costs, as forms and commands write it.
pub(super) fn cost_line(cost: &Cost) -> String {
    format!("{}={}", cost.operation, cost.cost)
}

/// What is in force of a plan, in a line.
pub(in crate::console) fn summary(plan: &Plan) -> String {
    let Some(version) = plan.in_force() else { return String::new() };
    let limits = version.rate_limits.iter().map(limit_words);
    let quotas = version.quotas.iter().map(quota_words);
    let price = version.price.as_ref().map(price_words);
    limits.chain(quotas).chain(price).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn limits_are_told_as_people_say_them() {
        let told = |value: Value| limit_words(&serde_json::from_value(value).unwrap());
        assert_eq!(told(json!({"name": "minute", "limit": 600, "window_seconds": 60})), "600 per minute");
        assert_eq!(
            told(
                json!({"name": "b", "limit": 10, "window_seconds": 1, "algorithm": "token_bucket", "burst": 50, "by": ["end_user"]})
            ),
            "10 per second, 50 at once, each end user apart"
        );
        assert_eq!(
            told(json!({"name": "f", "limit": 5, "algorithm": "concurrency", "window_seconds": 60})),
            "5 at once"
        );
        assert_eq!(
            told(json!({"name": "s", "limit": 5, "window_seconds": 30, "counts": "calls", "shadow": true})),
            "5 calls in 30 s (only tried out)"
        );
    }

    #[test]
    fn quotas_prices_and_credits_are_told_as_people_say_them() {
        let quota = |value: Value| quota_words(&serde_json::from_value(value).unwrap());
        assert_eq!(quota(json!({"name": "m", "limit": 10_000, "period": "month"})), "10,000 per month");
        assert_eq!(
            quota(
                json!({"name": "m", "limit": 5, "period": "billing_period", "on_exhausted": "allow", "counts": "calls"})
            ),
            "5 calls per billing period, then calls go on"
        );
        let price = |value: Value| price_words(&serde_json::from_value(value).unwrap());
        assert_eq!(
            price(
                json!({"currency": "EUR", "base_fee": "9.90", "included": 10_000, "unit_price": "0.40", "per_units": 1_000})
            ),
            "9.90 EUR per month, 10,000 included, then 0.40 per 1,000"
        );
        assert_eq!(price(json!({"currency": "EUR", "base_fee": "0.00", "unit_price": "0.01"})), "0.01 EUR each");
        assert_eq!(price(json!({"currency": "USD", "base_fee": "5", "unit_price": "0"})), "5 USD per month");
        let credits = json!({"trial": {"amount": 1_000}, "refill": {"amount": 5_000, "period": "month"}});
        assert_eq!(
            credits_words(&serde_json::from_value(credits).unwrap()),
            "Project's credits, 1,000 to begin with for 90 days, 5,000 per month"
        );
    }
}
