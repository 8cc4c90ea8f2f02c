//! Quotas as forms hold them, a row each: `quota.1` is an amount, `period.1` its period, and `quota_name.1` what it was called.

use serde_json::{Value, json};

use super::Quota;
use crate::ui::form::Fields;
use crate::ui::html::shell;

/// Periods that a row offers: the word of the API, and what is said of it.
pub(in crate::console) const PERIODS: [(&str, &str); 4] =
    [("day", "per day"), ("week", "per week"), ("month", "per month"), ("billing_period", "per billing period")];

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::console) struct QuotaField {
    /// How much.
    pub(in crate::console) limit: String,
    /// For which period.
    pub(in crate::console) period: String,
    /// What it is called; empty for the period's own name.
    pub(in crate::console) name: String,
}

impl Quota {
    /// Whether a row can say it.
    pub(in crate::console) fn is_plain(&self) -> bool {
        let is = |field: &Option<String>, usual: &str| field.as_deref().is_none_or(|said| said == usual);
        is(&self.counts, "cost")
            && is(&self.on_exhausted, "refuse")
            && is(&self.on_outage, "refuse")
            && self.warn_at.as_deref().is_none_or(|shares| shares == [80, 100])
    }
}

/// Rows of what is there, or else of a form, and empty ones until there are so many.
pub(in crate::console) fn quota_fields(kept: Option<&[Quota]>, fields: &Fields, rows: usize) -> Vec<QuotaField> {
    let empty = || QuotaField { limit: String::new(), period: "month".into(), name: String::new() };
    if let Some(kept) = kept {
        let told = kept.iter().map(|quota| QuotaField {
            limit: quota.limit.to_string(),
            period: quota.period.clone(),
            name: if quota.name == quota.period { String::new() } else { quota.name.clone() },
        });
        return told.chain(std::iter::repeat_with(empty)).take(rows).collect();
    }
    let row = |at: usize| {
        let period = fields.one(&format!("period.{at}"));
        QuotaField {
            limit: fields.one(&format!("quota.{at}")).into(),
            period: if period.is_empty() { "month".into() } else { period.into() },
            name: fields.one(&format!("quota_name.{at}")).into(),
        }
    };
    (1..=rows).map(row).collect()
}

/// What the API takes for the rows that say something.
///
/// # Errors
/// A sentence about a row that says nothing that can be sent.
pub(in crate::console) fn quotas(rows: &[QuotaField]) -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    for row in rows.iter().filter(|row| !row.limit.is_empty()) {
        let limit: u64 = whole(&row.limit).ok_or_else(|| "A quota is a whole number, such as 10,000.".to_owned())?;
        let name = if row.name.is_empty() { &row.period } else { &row.name };
        all.push(json!({"name": name, "limit": limit, "period": row.period}));
    }
    Ok(all)
}

/// A whole number as people write it.
pub(super) fn whole(text: &str) -> Option<u64> {
    text.replace([',', ' ', '_'], "").parse().ok()
}

/// The options of commands that say the same.
pub(in crate::console) fn options(quotas: &Value) -> String {
    let told = quotas.as_array().into_iter().flatten().map(|quota| {
        let period = quota["period"].as_str().unwrap_or_default();
        let name = quota["name"].as_str().unwrap_or_default();
        let name = if name == period { String::new() } else { format!("{name}=") };
        format!(" --quota {}", shell(&format!("{name}{}/{}", quota["limit"], period.replace('_', "-"))))
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_quotas_of_the_api_and_options_of_the_command() {
        let form = Fields::read(b"quota.1=10%2C000&period.1=month&quota.2=5&period.2=billing_period&quota_name.2=calls&quota.3=&period.3=day");
        let all = quotas(&quota_fields(None, &form, 3)).unwrap();
        assert_eq!(
            json!(all),
            json!([{"name": "month", "limit": 10_000, "period": "month"}, {"name": "calls", "limit": 5, "period": "billing_period"}])
        );
        assert_eq!(options(&json!(all)), " --quota 10000/month --quota calls=5/billing-period");
        assert!(quotas(&quota_fields(None, &Fields::read(b"quota.1=many"), 1)).is_err());
    }

    #[test]
    fn what_is_there_fills_rows_and_comes_back_as_it_was() {
        let kept: Vec<Quota> =
            serde_json::from_value(json!([{"name": "m", "limit": 7, "period": "week", "warn_at": [80, 100]}])).unwrap();
        assert!(kept[0].is_plain());
        let rows = quota_fields(Some(&kept), &Fields::default(), 2);
        assert_eq!(rows.len(), 2);
        assert_eq!(json!(quotas(&rows).unwrap()), json!([{"name": "m", "limit": 7, "period": "week"}]));
        let other: Quota =
            serde_json::from_value(json!({"name": "m", "limit": 7, "period": "week", "on_exhausted": "allow"}))
                .unwrap();
        assert!(!other.is_plain());
    }
}
