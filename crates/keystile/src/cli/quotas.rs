//! Quotas as people type them: `month=10000/month,calls,overage,warn=50+80`.

use keystile_core::limit::Counted;
use keystile_core::plan::{Exhausted, Outage, Period, Quota};
use serde_json::Value;

use super::values::thousands;

const FORM: &str = "write a quota as `10000/month` or `name=10000/month`, per day, week, month or billing-period, with `,calls`, `,overage`, `,warn=50+80+100` and `,outage=allow` behind it";

/// Reads `[name=]COUNT/PERIOD` and options behind it, each after a comma: `calls`, `overage` (calls go on when it is used up),
/// `warn=PERCENT+PERCENT` (`warn=` for never) and `outage=allow`.
///
/// # Errors
/// What is wrong, and how it is written.
pub(super) fn quota(text: &str) -> Result<Quota, String> {
    let mut parts = text.split(',').map(str::trim);
    let amount = parts.next().unwrap_or_default();
    let (name, amount) = amount.split_once('=').map_or((None, amount), |(name, amount)| (Some(name.trim()), amount));
    let (limit, period) = amount.split_once('/').ok_or(FORM)?;
    let period: Period = period.trim().replace('-', "_").parse().map_err(|_| FORM.to_owned())?;
    let limit = limit.trim().replace('_', "").parse().map_err(|_| format!("`{limit}` is no amount; {FORM}"))?;
    let mut quota = Quota::new(name.unwrap_or(period.as_str()), limit, period).map_err(|error| error.to_string())?;
    for option in parts {
        match option.split_once('=') {
            Some(("warn", shares)) => {
                let shares = shares.split('+').filter(|share| !share.is_empty());
                let shares = shares.map(|share| share.trim_end_matches('%').parse()).collect::<Result<_, _>>();
                let shares = shares.map_err(|_| format!("shares are percents, such as warn=50+80; {FORM}"))?;
                quota = quota.warning_at(shares).map_err(|error| error.to_string())?;
            }
            Some(("outage", "allow")) => quota.on_outage = Outage::Allow,
            None if option == "calls" => quota.counts = Counted::Calls,
            None if option == "overage" => quota.on_exhausted = Exhausted::Allow,
            _ => return Err(format!("only calls, overage, warn= and outage=allow can follow a comma; {FORM}")),
        }
    }
    Ok(quota)
}

/// A quota as it is typed.
pub(super) fn written(quota: &Quota) -> String {
    let period = quota.period.as_str().replace('_', "-");
    let mut text = format!("{}={}/{period}", quota.name.as_str(), quota.limit);
    if quota.counts == Counted::Calls {
        text.push_str(",calls");
    }
    if quota.on_exhausted == Exhausted::Allow {
        text.push_str(",overage");
    }
    if quota.warn_at != [80, 100] {
        let shares: Vec<String> = quota.warn_at.iter().map(ToString::to_string).collect();
        text.push_str(&format!(",warn={}", shares.join("+")));
    }
    if quota.on_outage == Outage::Allow {
        text.push_str(",outage=allow");
    }
    text
}

/// A list of quotas in a field, as they are typed.
pub(super) fn all(object: &Value, name: &str) -> Option<String> {
    let quotas: Vec<Quota> = serde_json::from_value(object.get(name)?.clone()).ok()?;
    (!quotas.is_empty()).then(|| quotas.iter().map(written).collect::<Vec<_>>().join("  "))
}

/// How much of one is used: `8,123 of 10,000 (81 %)`.
pub(super) fn share(standing: &Value) -> String {
    let number = |name: &str| standing.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (used, limit) = (number("used"), number("limit"));
    let percent = u128::from(used) * 100 / u128::from(limit.max(1));
    format!("{} of {} ({percent} %)", thousands(used), thousands(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_read_as_it_is_written() {
        for text in
            ["month=10000/month", "free=1/day,calls,overage,warn=50+100,outage=allow", "b=5/billing-period,warn="]
        {
            assert_eq!(written(&quota(text).unwrap()), text);
        }
        assert_eq!(written(&quota("10_000/week").unwrap()), "week=10000/week");
        assert_eq!(written(&quota(" 5 / day , warn=80%+100% ").unwrap()), "day=5/day");
        for text in ["", "5", "5/year", "x/day", "0/day", "a b=5/day", "5/day,burst=3", "5/day,warn=0", "5/day,warn=x"]
        {
            assert!(quota(text).is_err(), "{text}");
        }
    }
}
