//! Forms of answers: problems in all their parts, and objects without what differs from run to run.

use keystile_core::time::Timestamp;
use keystile_testkit::raw::Answer;
use serde_json::{Map, Value};

/// Checks that an answer is a problem (RFC 9457) with this status and code, whole in all its parts; gives its detail.
#[track_caller]
pub(super) fn problem(answer: &Answer, status: u16, code: &str) -> String {
    let problem = answer.json();
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{problem}");
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["status"], status, "{problem}");
    assert_eq!(problem["type"], "about:blank", "{problem}");
    for field in ["title", "detail"] {
        assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {problem}");
    }
    assert!(problem["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{problem}");
    assert!(answer.field("x-request-id").is_none_or(|id| Some(id) == problem["request_id"].as_str()), "{problem}");
    let known = ["type", "title", "status", "detail", "code", "request_id", "field"];
    for name in problem.as_object().expect("an object").keys() {
        assert!(known.contains(&name.as_str()), "{name} in {problem}");
    }
    assert_eq!(answer.field("www-authenticate").is_some_and(|value| value.starts_with("Bearer")), status == 401);
    problem["detail"].as_str().unwrap_or_default().to_owned()
}

/// An object with its id and its moments checked for their form and replaced by the name of that form.
#[track_caller]
pub(super) fn told(object: &Value) -> Value {
    let mut told = Map::new();
    for (name, value) in object.as_object().unwrap_or_else(|| panic!("no object: {object}")) {
        let shown = match (name.as_str(), value) {
            ("id", Value::String(id)) => {
                assert_eq!(id.len(), 26, "{id}");
                format!("{}…", &id[..4]).into()
            }
            (name, Value::String(text)) if name.ends_with("_at") || name == "state_since" || name == "start" => {
                moment(text);
                "TIME".into()
            }
            (_, value) => value.clone(),
        };
        told.insert(name.clone(), shown);
    }
    Value::Object(told)
}

/// A moment as the API writes it: RFC 3339, in UTC.
#[track_caller]
pub(super) fn moment(text: &str) -> Timestamp {
    let bytes = text.as_bytes();
    let digits =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    let shaped = bytes.len() >= 20
        && digits(0..4)
        && digits(5..7)
        && digits(8..10)
        && digits(11..13)
        && digits(14..16)
        && digits(17..19)
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && bytes[10] == b'T'
        && bytes[13] == b':'
        && bytes[16] == b':'
        && bytes.ends_with(b"Z")
        && (bytes.len() == 20 || (bytes[19] == b'.' && bytes[20..bytes.len() - 1].iter().all(u8::is_ascii_digit)));
    assert!(shaped, "no moment in UTC: {text}");
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}
