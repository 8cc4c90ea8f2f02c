//! Which calls need no key: opened on purpose, operation by operation (K19).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{SettingError, as_text, wrong};
use crate::method::Method;
use crate::operation::OperationTable;

/// Most operations that one API opens by name.
const MAX_OPEN_OPERATIONS: usize = 256;

/// An operation by its name: `GET /pets/{id}`. The path is written as in an OpenAPI document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamedOperation {
    method: Method,
    path: String,
}

impl NamedOperation {
    /// Its method.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The template of its path.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for NamedOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.as_str(), self.path)
    }
}

impl FromStr for NamedOperation {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        const FORM: &str = "an operation is written METHOD /path, such as GET /pets/{id}";
        let Some((method, path)) = text.split_once(' ') else { return wrong(FORM) };
        let Ok(method) = method.parse::<Method>() else { return wrong(FORM) };
        if let Err(error) = OperationTable::build([(method, path)]) {
            return wrong(format!("{FORM}: {error}"));
        }
        Ok(Self { method, path: path.to_owned() })
    }
}

as_text!(NamedOperation);

/// The open operations of an API as a table in which calls are looked up.
///
/// # Errors
/// If there are too many, or two are reached by the same calls.
pub fn open_table(operations: &[NamedOperation]) -> Result<OperationTable, SettingError> {
    if operations.len() > MAX_OPEN_OPERATIONS {
        return wrong(format!(
            "open_operations names at most {MAX_OPEN_OPERATIONS}; to open all of an API set access to open"
        ));
    }
    OperationTable::build(operations.iter().map(|operation| (operation.method, &operation.path)))
        .map_err(|error| SettingError(format!("open_operations: {error}")))
}

/// What becomes of a call that the API's document does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownOperations {
    /// It goes on, and is counted as undocumented.
    #[default]
    Pass,
    /// It is refused.
    Refuse,
}

/// Where it stands what a key must be allowed for each operation. In all but the first an operation's own
/// `x-keystile-permission` goes before anything else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationPermissions {
    /// Nowhere: a key that may call the API may call all of it.
    #[default]
    Off,
    /// In `x-keystile-permission` alone.
    Extension,
    /// In the scopes of `security`, the operation's or else the document's.
    Security,
    /// In `tags`: `TAG.read` for GET, HEAD and OPTIONS, `TAG.write` for the others.
    Tags,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_opened_by_method_and_template() {
        for text in ["GET /", "GET /pets/{id}", "POST /pets"] {
            assert_eq!(text.parse::<NamedOperation>().map(|open| open.to_string()).as_deref(), Ok(text));
        }
        for text in
            ["", "/pets", "GET", "GET pets", "get /pets", "TRACE /pets", "GET /pets/{", "GET /a/../b", "GET  /a"]
        {
            assert!(text.parse::<NamedOperation>().is_err(), "{text}");
        }
        let open = |texts: &[&str]| open_table(&texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>());
        assert!(open(&["GET /a/{x}", "GET /a/b"]).is_ok());
        assert!(open(&["GET /a/{x}", "GET /a/{y}"]).is_err());
    }
}
