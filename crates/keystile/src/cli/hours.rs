//! Hours of the week as an option: `08:00-18:00`, `mon-fri 08:00-18:00`, `sat,sun 10:00-14:00`.

use serde_json::{Map, Value, json};

const FORM: &str = "write mon-fri 08:00-18:00, sat,sun 10:00-14:00, or 08:00-18:00 for every day";
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A window as the API reads it. Whether its times make sense is judged with the rest.
///
/// # Errors
/// How it is written.
pub(super) fn hours(text: &str) -> Result<Value, String> {
    let (days, times) = match text.trim().rsplit_once(' ') {
        None => (None, text.trim()),
        Some((days, times)) => (Some(named(days)?), times),
    };
    let (from, until) = times.split_once('-').ok_or_else(|| FORM.to_owned())?;
    let mut window: Map<String, Value> = days.into_iter().map(|days| ("days".to_owned(), json!(days))).collect();
    window.extend([("from".to_owned(), json!(from)), ("until".to_owned(), json!(until))]);
    Ok(window.into())
}

/// The days of `mon-fri` or `sat,sun`; `fri-mon` goes over the end of the week.
fn named(text: &str) -> Result<Vec<&'static str>, String> {
    let place = |name: &str| {
        let lower = name.trim().to_ascii_lowercase();
        let found = DAYS.iter().position(|day| *day == lower);
        found.ok_or_else(|| format!("`{name}` is no day; {FORM}"))
    };
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (place(first)?, place(last)?);
        let count = (last + DAYS.len() - first) % DAYS.len();
        days.extend((0..=count).map(|step| DAYS[(first + step) % DAYS.len()]));
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_as_people_write_them() {
        for (text, window) in [
            ("08:00-18:00", json!({ "from": "08:00", "until": "18:00" })),
            ("mon-wed 08:00-18:00", json!({ "days": ["mon", "tue", "wed"], "from": "08:00", "until": "18:00" })),
            ("Sat,Sun 22:00-06:00", json!({ "days": ["sat", "sun"], "from": "22:00", "until": "06:00" })),
            (
                "sat-mon,wed 00:00-24:00",
                json!({ "days": ["sat", "sun", "mon", "wed"], "from": "00:00", "until": "24:00" }),
            ),
        ] {
            assert_eq!(hours(text), Ok(window), "{text}");
        }
        for wrong in ["", "08:00", "monday 08:00-18:00", "mon 08:00", ", 08:00-18:00"] {
            assert!(hours(wrong).is_err_and(|error| error.contains("mon-fri 08:00-18:00")), "{wrong}");
        }
    }
}
