//! What changed of something: two JSON objects, field by field.

use serde_json::Value;

/// Most rows of one comparison. Whatever is more is said to be more.
const MAX_ROWS: usize = 200;

/// Most letters of a value. A page shows what changed; the whole of it is in the API and in exports.
const MAX_LETTERS: usize = 400;

/// A field that is another one now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Where it is: `restrictions.networks.allow`.
    pub(crate) path: String,
    /// What it was; `None` if there was none.
    pub(crate) before: Option<String>,
    /// What it is; `None` if there is none any more.
    pub(crate) after: Option<String>,
}

/// The fields that differ, in the order of their names, and how many are left out. What was not there before, or is not there
/// any more, is a field that is new or gone.
pub(crate) fn changed(before: Option<&Value>, after: Option<&Value>) -> (Vec<Changed>, usize) {
    let mut rows = Vec::new();
    compare(String::new(), before, after, &mut rows);
    let more = rows.len().saturating_sub(MAX_ROWS);
    rows.truncate(MAX_ROWS);
    (rows, more)
}

fn compare(path: String, before: Option<&Value>, after: Option<&Value>, rows: &mut Vec<Changed>) {
    let before = before.filter(|value| !value.is_null());
    let after = after.filter(|value| !value.is_null());
    if before == after {
        return;
    }
    let fields = |value: Option<&Value>| value.is_none_or(Value::is_object);
    if fields(before) && fields(after) {
        let mut names: Vec<&String> = [before, after]
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .flat_map(|object| object.keys())
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in &names {
            let inner = if path.is_empty() { (*name).clone() } else { format!("{path}.{name}") };
            let inside = |value: &Value| value.get(name.as_str()).cloned();
            compare(inner, before.and_then(inside).as_ref(), after.and_then(inside).as_ref(), rows);
        }
        // An object without fields that came or went is a change as well.
        if names.is_empty() && !path.is_empty() {
            rows.push(Changed { path, before: before.map(told), after: after.map(told) });
        }
        return;
    }
    rows.push(Changed { path, before: before.map(told), after: after.map(told) });
}

/// A value as people read it, as far as it is shown.
fn told(value: &Value) -> String {
    let text = whole(value);
    match text.char_indices().nth(MAX_LETTERS) {
        None => text,
        Some((end, _)) => format!("{}… ({} more letters)", &text[..end], text[end..].chars().count()),
    }
}

/// A value as people read it: texts without quotes, lists of texts and numbers with commas.
fn whole(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "(empty)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => "(none)".to_owned(),
        Value::Array(list) if list.iter().all(|one| !one.is_object() && !one.is_array()) => {
            list.iter().map(whole).collect::<Vec<_>>().join(", ")
        }
        Value::Object(fields) if fields.is_empty() => "(empty)".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(path: &str, before: Option<&str>, after: Option<&str>) -> Changed {
        Changed { path: path.into(), before: before.map(Into::into), after: after.map(Into::into) }
    }

    #[test]
    fn only_what_differs_is_told() {
        for (before, after, rows) in [
            (json!({"a": 1, "b": "x"}), json!({"a": 1, "b": "y"}), vec![row("b", Some("x"), Some("y"))]),
            (json!(null), json!({"name": "n", "end": null}), vec![row("name", None, Some("n"))]),
            (json!({"name": "n"}), json!(null), vec![row("name", Some("n"), None)]),
            (
                json!({"r": {"networks": {"allow": ["10.0.0.0/8"]}, "same": true}}),
                json!({"r": {"networks": {"allow": ["::1", "10.0.0.0/8"]}, "same": true}}),
                vec![row("r.networks.allow", Some("10.0.0.0/8"), Some("::1, 10.0.0.0/8"))],
            ),
            (json!({"l": []}), json!({"l": [{"a": 1}]}), vec![row("l", Some("(none)"), Some(r#"[{"a":1}]"#))]),
            (json!({"r": null}), json!({"r": {}}), vec![row("r", None, Some("(empty)"))]),
            (json!({"r": 1}), json!({"r": {"a": ""}}), vec![row("r", Some("1"), Some(r#"{"a":""}"#))]),
            (json!({}), json!({}), vec![]),
        ] {
            assert_eq!(changed(Some(&before), Some(&after)), (rows, 0), "{before} {after}");
        }
        assert_eq!(changed(None, None), (vec![], 0));
    }

    #[test]
    fn a_long_one_says_how_much_is_left_out() {
        let long: serde_json::Map<String, Value> = (0..250).map(|n| (format!("f{n}"), json!(n))).collect();
        let (rows, more) = changed(None, Some(&Value::Object(long)));
        assert_eq!((rows.len(), more), (MAX_ROWS, 50));
    }

    #[test]
    fn a_long_value_is_told_with_how_much_is_left_out() {
        let long = json!({"usage": ["ä".repeat(500)]});
        let (rows, _) = changed(None, Some(&long));
        let after = rows[0].after.as_deref().unwrap();
        assert!(after.starts_with("ää") && after.ends_with("… (100 more letters)"), "{after}");
    }
}
