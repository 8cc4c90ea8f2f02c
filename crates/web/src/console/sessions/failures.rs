//! Sign-ins that failed in the last thirty days, out of the audit.

use jiff::Timestamp;
use serde_json::Value;

use crate::api::Asked;
use crate::console::audit::Entry;
use crate::console::model::List;
use crate::console::people::People;
use crate::console::visit::Visit;
use crate::ui::chart::{Bars, Datum};
use crate::ui::form::query;
use crate::ui::html::Html;
use crate::ui::time::{Moment, Zone, iso, thirty_days_before};

/// Pages of the audit that are read: two thousand failures.
const PAGES: usize = 10;
/// Rows that are shown.
const SHOWN: usize = 25;
const DAY_SECS: i64 = 86_400;

/// What failed.
pub(super) struct Failures {
    /// Bars by day.
    pub(super) chart: Html,
    /// The newest of them.
    pub(super) rows: Vec<Failure>,
    /// How many there were.
    pub(super) count: usize,
    /// Whether there are more than were read.
    pub(super) has_more: bool,
}

/// A sign-in that failed.
pub(super) struct Failure {
    pub(super) at: Moment,
    pub(super) who: String,
    pub(super) why: String,
    pub(super) address: Option<String>,
    pub(super) sequence: u64,
}

/// Reads them.
pub(super) async fn failures(visit: &Visit, people: &People) -> Asked<Failures> {
    let from = iso(thirty_days_before(visit.now));
    let (mut entries, mut cursor, mut has_more) = (Vec::new(), String::new(), true);
    for _ in 0..PAGES {
        let asked = query(&[("type", "login.*"), ("from", &from), ("limit", "200"), ("cursor", &cursor)]);
        let page: List<Entry> = visit.get(&format!("/v1/audit?{asked}")).await?;
        entries.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = next,
            None => {
                has_more = false;
                break;
            }
        }
    }
    let moments: Vec<(Timestamp, bool)> =
        entries.iter().map(|entry| (entry.created_at, entry.kind == "login.lock")).collect();
    let bars = Bars::new("Failed sign-ins per day", &["Failed", "Locked"], days(visit.now, &moments, &visit.zone));
    let count = entries.len();
    let rows = entries.into_iter().take(SHOWN).map(|entry| Failure {
        at: visit.zone.minute(entry.created_at),
        who: who(&entry.subject_id, people),
        why: why(&entry.kind, entry.after.as_ref()),
        address: entry.address,
        sequence: entry.sequence,
    });
    Ok(Failures { chart: Html::of(&bars), rows: rows.collect(), count, has_more })
}

/// Whose sign-in it was to be.
fn who(subject: &str, people: &People) -> String {
    match subject.split_once('_') {
        Some(("acc", _)) => people.name(subject).unwrap_or(subject).to_owned(),
        Some(("key", _)) => subject.to_owned(),
        _ => "Nobody who is known".to_owned(),
    }
}

/// What was wrong.
fn why(kind: &str, shown: Option<&Value>) -> String {
    let field = |name: &str| shown.and_then(|shown| shown.get(name));
    let in_a_row = field("in_a_row").and_then(Value::as_u64).unwrap_or(0);
    match (kind, field("factor").and_then(Value::as_str), field("code").and_then(Value::as_str)) {
        ("login.lock", _, _) => format!("Locked for a while, after {in_a_row} in a row"),
        (_, Some("passkey"), _) => "A wrong passkey".into(),
        (_, Some("identity"), _) => "Unknown at the identity provider".into(),
        (_, _, Some(code)) => format!("A management token was refused: {code}"),
        _ if in_a_row > 1 => format!("A wrong password or code, {in_a_row} in a row"),
        _ => "A wrong password or code".into(),
    }
}

/// Thirty days where the visitor is, with what failed and what was locked.
fn days(now: Timestamp, moments: &[(Timestamp, bool)], zone: &Zone) -> Vec<Datum> {
    let today = now.as_second() - zone.seconds_of_day(now);
    let first = today - 29 * DAY_SECS;
    let mut counts = [[0_u64; 2]; 30];
    for (at, is_lock) in moments {
        let place = usize::try_from((at.as_second() - first).div_euclid(DAY_SECS)).ok();
        if let Some(day) = place.and_then(|place| counts.get_mut(place)) {
            day[usize::from(*is_lock)] += 1;
        }
    }
    let bars = counts.iter().enumerate().map(|(at, values)| {
        // The middle of the day, so that an hour more or less is still the same day.
        let middle = first + i64::try_from(at).unwrap_or_default() * DAY_SECS + DAY_SECS / 2;
        let label = zone.label(Timestamp::from_second(middle).unwrap_or(now), "%a %-d %b");
        Datum { axis: (at % 5 == 0).then(|| label.clone()), label, values: values.to_vec() }
    });
    bars.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failures_are_counted_on_the_day_of_the_visitor() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let moments = [
            (at("2026-11-26T23:30:00Z"), false),
            (at("2026-11-26T10:00:00Z"), true),
            (at("2026-09-01T10:00:00Z"), false),
        ];
        let days = days(at("2026-11-27T12:00:00Z"), &moments, &Zone::named(Some("Europe/Vienna")));
        assert_eq!((days.len(), days[29].label.as_str(), days[28].label.as_str()), (30, "Fri 27 Nov", "Thu 26 Nov"));
        assert_eq!(
            (days[29].values.clone(), days[28].values.clone()),
            (vec![1, 0], vec![0, 1]),
            "0:30 in Vienna is today"
        );
        assert_eq!(days.iter().flat_map(|day| &day.values).sum::<u64>(), 2);
    }

    #[test]
    fn what_was_wrong_is_told() {
        for (kind, shown, told) in [
            ("login.fail", json!({"in_a_row": 1}), "A wrong password or code"),
            ("login.fail", json!({"in_a_row": 3}), "A wrong password or code, 3 in a row"),
            ("login.lock", json!({"in_a_row": 10}), "Locked for a while, after 10 in a row"),
            ("login.fail", json!({"factor": "passkey"}), "A wrong passkey"),
            ("login.fail", json!({"code": "key_expired"}), "A management token was refused: key_expired"),
        ] {
            assert_eq!(why(kind, Some(&shown)), told);
        }
        assert_eq!(who("unknown", &People::default()), "Nobody who is known");
    }
}
