//! Usage as a server kept it (`keystile usage export`): a JSON object an event.
//!
//! What counts is what counts of an access log: calls that were let through, and those that a limit, a quota or a lack of credits
//! refused. What a call cost is what it cost then; one that was refused, 1. What was recorded by hand is no call.

use std::borrow::Cow;

use keystile_core::id::KeyId;
use keystile_core::time::Timestamp;
use serde::Deserialize;

use super::calls::{Entry, Skipped, What};
use super::journal::{OF_PLANS, bytes};

/// What is read of a line.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    at: Timestamp,
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    api_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    project_id: Option<Cow<'a, str>>,
    key_id: Option<KeyId>,
    #[serde(borrow)]
    operation: Option<Cow<'a, str>>,
    calls: u64,
    units: i64,
}

/// Whether a line is of such a file.
pub(super) fn is_one(line: &[u8]) -> bool {
    serde_json::from_slice::<Line<'_>>(line).is_ok()
}

/// The calls of a line, if they are of the API of this id.
pub(super) fn read<'a>(line: &'a [u8], api: Option<&str>) -> Result<Entry<'a>, Skipped> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|_| Skipped::NoRequest)?;
    if api.is_some_and(|api| line.api_id.as_deref() != Some(api)) {
        return Err(Skipped::OtherApi);
    }
    if line.kind != "call" {
        return Err(Skipped::Recorded);
    }
    if !OF_PLANS.iter().any(|code| code.as_str() == line.code) {
        return Err(Skipped::OtherReason);
    }
    let who = bytes(line.project_id.ok_or(Skipped::NoProject)?);
    // Several that were folded cost the same each, as far as anybody knows.
    let times = u32::try_from(line.calls).unwrap_or(u32::MAX).max(1);
    let cost = u64::try_from(line.units).unwrap_or(0).div_ceil(u64::from(times));
    let cost = if line.code == "allowed" { u32::try_from(cost).unwrap_or(u32::MAX) } else { 1 };
    let what = line.operation.map_or(What::Unknown, What::Operation);
    Ok(Entry { at: line.at, who, cost, key: line.key_id, address: None, api: line.api_id, what, times })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: &str, code: &str, calls: u32, units: i32) -> String {
        format!(
            r#"{{"id":"1-1-0","kind":"{kind}","at":"2027-01-08T00:00:00Z","recorded_at":"2027-01-08T00:00:01Z","api_id":"api_1","project_id":"prj_1","key_id":null,"operation":"GET /x","code":"{code}","status":200,"calls":{calls},"latency_us":1,"bytes_in":0,"bytes_out":0,"units":{units}}}"#
        )
    }

    #[test]
    fn events_are_calls_at_what_they_cost() {
        for (code, calls, units, expected) in [
            ("allowed", 1, 7, (1, 7)),
            ("allowed", 3, 9, (3, 3)),
            ("rate_limited", 2, 0, (2, 1)),
            ("allowed", 1, 0, (1, 0)),
        ] {
            let text = line("call", code, calls, units);
            assert!(is_one(text.as_bytes()));
            let entry = read(text.as_bytes(), Some("api_1")).unwrap();
            assert_eq!((entry.times, entry.cost), expected, "{text}");
        }
        for (text, api, why) in [
            (line("call", "allowed", 1, 1), "api_2", Skipped::OtherApi),
            (line("recorded", "allowed", 1, 1), "api_1", Skipped::Recorded),
            (line("call", "key_revoked", 1, 0), "api_1", Skipped::OtherReason),
            ("{}".to_owned(), "api_1", Skipped::NoRequest),
        ] {
            assert_eq!(read(text.as_bytes(), Some(api)).err(), Some(why), "{text}");
        }
    }
}
