//! What a document says of the rights that its operations need. It is kept as it stands there, and understood when an
//! owner says which of it counts: most documents say things of `security` and `tags` that were never meant for us.

use keystile_core::api::OperationPermissions;
use keystile_core::method::Method;
use keystile_core::permission::PermissionQuery;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ApiDocument, DocumentedOperation};

/// Longest of each, as JSON. Longer ones are kept as `true`, which nobody understands.
const MAX_BYTES: usize = 4_096;

/// What an operation says of rights, as it stands there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// `x-keystile-permission`: a question such as `pets.read AND (a OR b)`.
    #[serde(rename = "x-keystile-permission", default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<Value>,
    /// `security`: lists of scopes by scheme, one of which must be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Value>,
    /// `tags`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Value>,
}

impl Rights {
    /// The same with nothing in it that is too long.
    pub(super) fn bounded(&self) -> Self {
        let bounded = |value: &Option<Value>| value.clone().map(bounded);
        Self { permission: bounded(&self.permission), security: bounded(&self.security), tags: bounded(&self.tags) }
    }
}

pub(super) fn bounded(value: Value) -> Value {
    if value.to_string().len() <= MAX_BYTES { value } else { Value::Bool(true) }
}

/// What is wrong with what an operation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongRights {
    /// Which operation.
    pub operation: String,
    /// What, as the end of a sentence.
    pub what: String,
}

impl ApiDocument {
    /// What a key must be allowed for each operation, in their order; `None` for nothing.
    ///
    /// # Errors
    /// Of the operations whose words make no sense: nobody may call those.
    pub fn permissions(&self, by: OperationPermissions) -> Vec<Result<Option<PermissionQuery>, WrongRights>> {
        let of = |operation: &DocumentedOperation| {
            let needs = needs(by, operation.method, &operation.rights, self.security.as_ref());
            needs
                .map_err(|what| WrongRights { operation: format!("{} {}", operation.method, operation.template), what })
        };
        self.operations.iter().map(of).collect()
    }
}

fn needs(
    by: OperationPermissions,
    method: Method,
    rights: &Rights,
    security: Option<&Value>,
) -> Result<Option<PermissionQuery>, String> {
    if by == OperationPermissions::Off {
        return Ok(None);
    }
    if let Some(own) = &rights.permission {
        let text = own.as_str().ok_or("x-keystile-permission is no text such as `pets.read`")?;
        return text.parse().map(Some).map_err(|error| format!("x-keystile-permission: {error}"));
    }
    match by {
        OperationPermissions::Off | OperationPermissions::Extension => Ok(None),
        OperationPermissions::Security => scopes(rights.security.as_ref().or(security)),
        OperationPermissions::Tags => tags(method, rights.tags.as_ref()),
    }
}

/// One of the requirements must be had, with all scopes of all its schemes. One without a scope is had by every key.
fn scopes(security: Option<&Value>) -> Result<Option<PermissionQuery>, String> {
    const FORM: &str = "security is no list of schemes with their scopes";
    let Some(security) = security else { return Ok(None) };
    let mut any = Vec::new();
    for requirement in security.as_array().ok_or(FORM)? {
        let mut all = Vec::new();
        for scopes in requirement.as_object().ok_or(FORM)?.values() {
            for scope in scopes.as_array().ok_or(FORM)? {
                let scope = scope.as_str().ok_or(FORM)?;
                all.push(one(scope).ok_or_else(|| {
                    format!(
                        "its scope `{scope}` is no permission (words of letters, digits, `_`, `-`, `:` joined by dots); say \
                         x-keystile-permission there"
                    )
                })?);
            }
        }
        if all.is_empty() {
            return Ok(None);
        }
        any.push(joined(all, PermissionQuery::All));
    }
    Ok((!any.is_empty()).then(|| joined(any, PermissionQuery::Any)))
}

/// Any one of the tags is enough.
fn tags(method: Method, tags: Option<&Value>) -> Result<Option<PermissionQuery>, String> {
    const FORM: &str = "tags are no list of texts";
    let Some(tags) = tags else { return Ok(None) };
    let verb = match method {
        Method::Get | Method::Head | Method::Options => "read",
        Method::Post | Method::Put | Method::Patch | Method::Delete => "write",
    };
    let mut any = Vec::new();
    for tag in tags.as_array().ok_or(FORM)? {
        let tag = tag.as_str().ok_or(FORM)?;
        let word: String =
            tag.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let has_letter = tag.chars().any(|c| c.is_ascii_alphanumeric());
        let needed = one(&format!("{word}.{verb}")).filter(|_| has_letter);
        any.push(
            needed.ok_or_else(|| {
                format!("of its tag `{tag}` no permission can be made; say x-keystile-permission there")
            })?,
        );
    }
    Ok((!any.is_empty()).then(|| joined(any, PermissionQuery::Any)))
}

fn one(text: &str) -> Option<PermissionQuery> {
    // Words that join questions are none by themselves, however they are written.
    text.parse().ok().filter(|query| matches!(query, PermissionQuery::Has(_)))
}

fn joined(mut parts: Vec<PermissionQuery>, join: fn(Vec<PermissionQuery>) -> PermissionQuery) -> PermissionQuery {
    parts.dedup();
    if parts.len() == 1 { parts.remove(0) } else { join(parts) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(by: OperationPermissions, method: Method, operation: Value, security: Value) -> Result<String, String> {
        let rights: Rights = serde_json::from_value(operation).unwrap();
        let security = (!security.is_null()).then_some(security);
        needs(by, method, &rights, security.as_ref())
            .map(|needs| needs.map_or_else(String::new, |needs| needs.to_string()))
    }

    #[test]
    fn what_counts_is_what_the_owner_says() {
        let operation = json!({
            "x-keystile-permission": "own AND (a OR b)",
            "security": [{ "oauth": ["s"] }],
            "tags": ["t"],
        });
        let all = |by| asked(by, Method::Get, operation.clone(), Value::Null);
        assert_eq!(all(OperationPermissions::Off).as_deref(), Ok(""));
        for by in [OperationPermissions::Extension, OperationPermissions::Security, OperationPermissions::Tags] {
            assert_eq!(all(by).as_deref(), Ok("own AND (a OR b)"), "its own word goes before the others");
        }
        assert_eq!(
            asked(OperationPermissions::Extension, Method::Get, json!({ "tags": ["t"] }), Value::Null).as_deref(),
            Ok("")
        );
    }

    #[test]
    fn scopes_are_alternatives_of_what_is_needed_together() {
        let by = |operation, security| asked(OperationPermissions::Security, Method::Get, operation, security);
        let default = json!([{ "oauth": ["read:all"] }]);
        for (operation, needed) in [
            (json!({}), "read:all"),
            (json!({ "security": [] }), ""),
            (json!({ "security": [{ "oauth": ["read:pets", "write:pets"] }] }), "read:pets AND write:pets"),
            (json!({ "security": [{ "a": ["x"], "b": ["y"] }, { "a": ["z"] }] }), "x AND y OR z"),
            (json!({ "security": [{ "a": ["x"] }, { "key": [] }] }), ""),
            (json!({ "security": [{}] }), ""),
        ] {
            assert_eq!(by(operation.clone(), default.clone()).as_deref(), Ok(needed), "{operation}");
        }
        for operation in [
            json!({ "security": [{ "oauth": ["https://example.com/auth"] }] }),
            json!({ "security": [{ "oauth": ["AND"] }] }),
            json!({ "security": [{ "oauth": ["a OR b"] }] }),
            json!({ "security": [{ "oauth": "read" }] }),
            json!({ "security": "read" }),
            json!({ "x-keystile-permission": "pets.*" }),
            json!({ "x-keystile-permission": ["pets.read"] }),
        ] {
            assert!(by(operation.clone(), default.clone()).is_err(), "{operation}");
        }
    }

    #[test]
    fn a_tag_is_read_and_written() {
        let by = |method, tags: Value| asked(OperationPermissions::Tags, method, json!({ "tags": tags }), Value::Null);
        assert_eq!(by(Method::Get, json!(["Pets"])).as_deref(), Ok("pets.read"));
        assert_eq!(by(Method::Delete, json!(["Pet store", "admin"])).as_deref(), Ok("pet-store.write OR admin.write"));
        assert_eq!(by(Method::Get, json!([])).as_deref(), Ok(""));
        for tags in [json!(["犬"]), json!("pets"), json!([1])] {
            assert!(by(Method::Get, tags.clone()).is_err(), "{tags}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_understood() {
        let long = json!([{ "oauth": ["a".repeat(5_000)] }]);
        let rights = Rights { security: Some(long), ..Rights::default() }.bounded();
        assert!(needs(OperationPermissions::Security, Method::Get, &rights, None).is_err());
    }
}
