//! Keystile's own access log: a JSON object a line.
//!
//! Calls count that were let through, and those that a limit, a quota or a lack of credits refused: another plan may let them
//! through. Those that were refused for another reason, or came to nothing behind the gateway, are left out. A plan is of one
//! API, so those of others can be left out too.

use std::borrow::Cow;
use std::net::IpAddr;

use keystile_core::Code;
use keystile_core::id::KeyId;
use keystile_core::time::Timestamp;
use serde::Deserialize;

use super::By;
use super::calls::{Entry, Skipped, What};

/// What is read of a line.
#[derive(Deserialize)]
struct Line<'a> {
    time: Timestamp,
    client: IpAddr,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    path: Option<Cow<'a, str>>,
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    api_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    api: Option<Cow<'a, str>>,
    #[serde(borrow)]
    operation: Option<Cow<'a, str>>,
    #[serde(borrow)]
    project_id: Option<Cow<'a, str>>,
    key_id: Option<KeyId>,
}

/// Codes of calls that a plan decides about.
pub(super) const OF_PLANS: [Code; 5] =
    [Code::Allowed, Code::ClientGone, Code::RateLimited, Code::QuotaExhausted, Code::CreditsExhausted];

/// The call of a line, if it is one of the API that is meant by id or name.
pub(super) fn read<'a>(line: &'a [u8], by: By, api: Option<&str>) -> Result<Entry<'a>, Skipped> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|_| Skipped::NoRequest)?;
    if api.is_some_and(|api| ![&line.api_id, &line.api].into_iter().flatten().any(|own| *own == api)) {
        return Err(Skipped::OtherApi);
    }
    if !OF_PLANS.iter().any(|code| code.as_str() == line.code) {
        return Err(Skipped::OtherReason);
    }
    let who = match by {
        By::Client => line.client.to_string().into_bytes().into(),
        By::Project => bytes(line.project_id.ok_or(Skipped::NoProject)?),
    };
    let what = match (line.operation, line.method, line.path) {
        (Some(operation), _, _) => What::Operation(operation),
        (None, Some(method), Some(path)) => What::Request { method: bytes(method), target: bytes(path) },
        (None, _, _) => What::Unknown,
    };
    let api = line.api_id;
    Ok(Entry { at: line.time, who, cost: 1, key: line.key_id, address: Some(line.client), api, what, times: 1 })
}

/// A text's bytes.
pub(super) fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: &str = "prj_25S9xxW60MG6aefZbxuS9V";

    fn line(code: &str, project: &str, more: &str) -> String {
        format!(
            r#"{{"time":"2027-01-08T00:00:00.25Z","request_id":"req_5VUfByfQqRKtUvACDHGd2D","door":"gateway","client":"192.0.2.1","encrypted":false,"method":"GET","host":"a.test","path":"/pets/\u00e9","protocol":"HTTP/1.1","status":200,"code":"{code}","api_id":"api_1","api":"Pets",{more}"project_id":{project},"key_id":null,"duration_ms":0.2,"upstream_ms":null,"bytes_in":1,"bytes_out":2,"user_agent":null,"trace_id":null}}"#
        )
    }

    #[test]
    fn calls_are_read_that_a_plan_decides_about() {
        let project = format!("\"{PROJECT}\"");
        for code in ["allowed", "client_gone", "rate_limited", "quota_exhausted", "credits_exhausted"] {
            let text = line(code, &project, "");
            let entry = read(text.as_bytes(), By::Project, None).unwrap();
            assert_eq!((&*entry.who, entry.at.to_string().as_str()), (PROJECT.as_bytes(), "2027-01-08T00:00:00.25Z"));
            let What::Request { method, target } = entry.what else { panic!("{code}") };
            assert_eq!((&*method, &*target), (&b"GET"[..], "/pets/é".as_bytes()));
            assert_eq!(&*read(text.as_bytes(), By::Client, None).unwrap().who, b"192.0.2.1");
        }
        let text = line("allowed", &project, r#""operation":"GET /pets/{id}","#);
        assert!(
            matches!(read(text.as_bytes(), By::Project, None).unwrap().what, What::Operation(name) if name == "GET /pets/{id}")
        );
    }

    #[test]
    fn other_lines_are_told_apart() {
        for (text, expected) in [
            (line("key_revoked", "null", ""), Skipped::OtherReason),
            (line("upstream_unreachable", "null", ""), Skipped::OtherReason),
            (line("a_code_of_tomorrow", "null", ""), Skipped::OtherReason),
            (line("allowed", "null", ""), Skipped::NoProject),
            (r#"{"time":"2027-01-08T00:00:00Z","level":"INFO","message":"serving"}"#.to_owned(), Skipped::NoRequest),
            (r#"{"time":"yesterday"}"#.to_owned(), Skipped::NoRequest),
            ("{".to_owned(), Skipped::NoRequest),
            (String::new(), Skipped::NoRequest),
        ] {
            assert_eq!(read(text.as_bytes(), By::Project, None).err(), Some(expected), "{text}");
        }
        let text = line("allowed", "null", "");
        assert!(["api_1", "Pets"].iter().all(|api| read(text.as_bytes(), By::Client, Some(api)).is_ok()));
        assert_eq!(read(text.as_bytes(), By::Client, Some("pets")).err(), Some(Skipped::OtherApi));
        assert_eq!(read(b"{\"time\":\"\xff\"}", By::Client, None).err(), Some(Skipped::NoRequest));
    }
}
