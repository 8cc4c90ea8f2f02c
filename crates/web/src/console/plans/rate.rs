//! Rate limits as forms hold them, a row each: `limit.1` calls in `window.1` seconds, and `limit_name.1` what it was called.

use serde_json::{Value, json};

use super::Limit;
use super::quota::whole;
use crate::ui::form::Fields;
use crate::ui::html::shell;

/// Windows that a row offers: the seconds, what is said of them, and the name of a limit that has no other.
pub(super) const WINDOWS: [(&str, &str, &str); 4] = [
    ("1", "per second", "second"),
    ("60", "per minute", "minute"),
    ("3600", "per hour", "hour"),
    ("86400", "per day", "day"),
];

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LimitField {
    /// How many calls.
    pub(super) limit: String,
    /// In which window.
    pub(super) window: String,
    /// What it is called; empty for the window's own name.
    pub(super) name: String,
}

fn name_of(window: &str) -> &'static str {
    WINDOWS.iter().find(|(seconds, ..)| *seconds == window).map_or("", |(.., name)| name)
}

impl Limit {
    fn window(&self) -> String {
        self.window_seconds.map(|seconds| seconds.to_string()).unwrap_or_default()
    }

    /// Whether a row can say it.
    pub(super) fn is_plain(&self) -> bool {
        let is = |field: &Option<String>, usual: &str| field.as_deref().is_none_or(|said| said == usual);
        is(&self.algorithm, "sliding_window")
            && is(&self.counts, "cost")
            && self.burst.is_none()
            && self.by.is_empty()
            && self.overrides.is_empty()
            && self.shadow != Some(true)
            && !name_of(&self.window()).is_empty()
    }
}

/// The fields of a row that says this.
pub(super) fn kept(limits: &[Limit]) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (at, limit) in limits.iter().enumerate() {
        let (at, window) = (at + 1, limit.window());
        if limit.name != name_of(&window) {
            pairs.push((format!("limit_name.{at}"), limit.name.clone()));
        }
        pairs.push((format!("limit.{at}"), limit.limit.to_string()));
        pairs.push((format!("window.{at}"), window));
    }
    pairs
}

/// So many rows of a form.
pub(super) fn limit_fields(fields: &Fields, rows: usize) -> Vec<LimitField> {
    let row = |at: usize| {
        let window = fields.one(&format!("window.{at}"));
        LimitField {
            limit: fields.one(&format!("limit.{at}")).into(),
            window: if window.is_empty() { "60".into() } else { window.into() },
            name: fields.one(&format!("limit_name.{at}")).into(),
        }
    };
    (1..=rows).map(row).collect()
}

/// What the API takes for the rows that say something.
///
/// # Errors
/// A sentence about a row that says nothing that can be sent.
pub(super) fn limits(rows: &[LimitField]) -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    for row in rows.iter().filter(|row| !row.limit.is_empty()) {
        let limit = whole(&row.limit).ok_or_else(|| "A rate limit is a whole number, such as 600.".to_owned())?;
        let seconds: u64 = row.window.parse().map_err(|_| "Choose for which time a rate limit is.".to_owned())?;
        let name = if row.name.is_empty() { name_of(&row.window) } else { &row.name };
        all.push(json!({"name": name, "limit": limit, "window_seconds": seconds}));
    }
    Ok(all)
}

/// The options of commands that say the same.
pub(super) fn options(limits: &Value) -> String {
    let told = limits.as_array().into_iter().flatten().map(|limit| {
        let seconds = limit["window_seconds"].to_string();
        let usual = name_of(&seconds);
        let name = limit["name"].as_str().unwrap_or_default();
        let name = if name == usual { String::new() } else { format!("{name}=") };
        format!(" --rate-limit {}", shell(&format!("{name}{}/{usual}", limit["limit"])))
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_limits_of_the_api_and_options_of_the_command() {
        let form = Fields::read(b"limit.1=60&window.1=60&limit.2=5&window.2=1&limit_name.2=burst&limit.3=");
        let all = json!(limits(&limit_fields(&form, 3)).unwrap());
        assert_eq!(
            all,
            json!([{"name": "minute", "limit": 60, "window_seconds": 60}, {"name": "burst", "limit": 5, "window_seconds": 1}])
        );
        assert_eq!(options(&all), " --rate-limit 60/minute --rate-limit burst=5/second");
        assert!(limits(&limit_fields(&Fields::read(b"limit.1=x"), 1)).is_err());
    }

    #[test]
    fn what_rows_can_not_say_is_told_apart() {
        let limit = |value: Value| -> Limit { serde_json::from_value(value).unwrap() };
        assert!(
            limit(json!({"name": "per-minute", "limit": 1, "window_seconds": 60, "by": [], "shadow": false}))
                .is_plain()
        );
        assert!(!limit(json!({"name": "a", "limit": 1, "window_seconds": 30})).is_plain());
        assert!(!limit(json!({"name": "a", "limit": 1, "window_seconds": 60, "by": ["key"]})).is_plain());
    }
}
