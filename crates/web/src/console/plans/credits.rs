//! What a plan says of credits, as forms hold it.

use serde_json::{Value, json};

use super::Credits;
use super::quota::whole;
use crate::ui::form::{Fields, Object};

/// The fields.
#[derive(Debug, Default)]
pub(super) struct CreditFields {
    pub(super) of: String,
    pub(super) trial: String,
    pub(super) trial_days: String,
    pub(super) refill: String,
    pub(super) refill_period: String,
}

impl CreditFields {
    /// Those of a form.
    pub(super) fn of(fields: &Fields) -> Self {
        let said = |name: &str| fields.one(name).to_owned();
        Self {
            of: said("credits_of"),
            trial: said("trial"),
            trial_days: said("trial_days"),
            refill: said("refill"),
            refill_period: said("refill_period"),
        }
    }

    /// Whether calls are paid by credits.
    pub(super) fn is_paid(&self) -> bool {
        !self.of.is_empty()
    }
}

/// The fields that say what a plan says now.
pub(super) fn kept(terms: &Credits) -> Vec<(String, String)> {
    let mut pairs = vec![("credits_of".to_owned(), terms.of.clone().unwrap_or_else(|| "project".into()))];
    if let Some(trial) = &terms.trial {
        pairs.push(("trial".into(), trial.amount.to_string()));
        pairs.push(("trial_days".into(), trial.days.map(|days| days.to_string()).unwrap_or_default()));
    }
    if let Some(refill) = &terms.refill {
        pairs.push(("refill".into(), refill.amount.to_string()));
        pairs.push(("refill_period".into(), refill.period.clone()));
    }
    pairs
}

/// What the API takes: `null` if calls are not paid by credits.
///
/// # Errors
/// A sentence about the field that says nothing that can be sent.
pub(super) fn credits(fields: &Fields) -> Result<Value, String> {
    let CreditFields { of, trial, trial_days, refill, refill_period } = CreditFields::of(fields);
    let number = |text: &str| match text {
        "" => Ok(None),
        text => {
            whole(text).map(Some).ok_or_else(|| "Credits and their days are whole numbers, such as 1,000.".to_owned())
        }
    };
    let (trial, days, refill) = (number(&trial)?, number(&trial_days)?, number(&refill)?);
    if of.is_empty() {
        return match trial.or(refill) {
            None => Ok(Value::Null),
            Some(_) => Err("Say by whose credits calls are paid, or leave the amounts of credits empty.".into()),
        };
    }
    let period = if refill_period.is_empty() { "month" } else { &refill_period };
    let trial = trial.map(|amount| Value::from(Object::default().with("amount", amount).some("days", days)));
    let refill = refill.map(|amount| json!({"amount": amount, "period": period}));
    Ok(Object::default().with("of", of).some("trial", trial).some("refill", refill).into())
}

/// The same as commands write it: `project,trial=1000/90d,refill=5000/month`.
pub(super) fn option(terms: &Value) -> String {
    let mut text = terms["of"].as_str().unwrap_or("project").to_owned();
    if let Some(trial) = terms.get("trial") {
        text.push_str(&format!(",trial={}/{}d", trial["amount"], trial["days"].as_u64().unwrap_or(90)));
    }
    if let Some(refill) = terms.get("refill") {
        let period = refill["period"].as_str().unwrap_or("month").replace('_', "-");
        text.push_str(&format!(",refill={}/{period}", refill["amount"]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_said_by_a_form_and_come_back_as_they_were() {
        let told = |form: &[u8]| credits(&Fields::read(form));
        assert_eq!(told(b"credits_of=&trial=&refill_period=month").unwrap(), Value::Null);
        let terms =
            told(b"credits_of=organization&trial=1%2C000&trial_days=30&refill=5000&refill_period=billing_period")
                .unwrap();
        assert_eq!(option(&terms), "organization,trial=1000/30d,refill=5000/billing-period");
        let kept: Vec<_> = kept(&serde_json::from_value(terms.clone()).unwrap());
        let pairs: Vec<(&str, &str)> = kept.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(told(crate::ui::form::query(&pairs).as_bytes()).unwrap(), terms);
        assert!(told(b"trial=5").is_err() && told(b"credits_of=project&trial=few").is_err());
    }
}
