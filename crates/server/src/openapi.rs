//! Reads the OpenAPI document that an owner hands in: its name, its version and its operations.
//!
//! Only what meters and matches calls is kept: methods and path templates, relative to the API's path prefix.
//! `servers` is not applied, because the owner says where the API lives when it is created. Schemas, parameters,
//! security and examples are skipped without being built; nothing is fetched from a reference outside the document.

use std::fmt;

use keystile_core::method::Method;
use keystile_core::operation::{MAX_OPERATIONS, TemplateError};
use serde::{Deserialize, Serialize};

mod paths;
pub mod rights;
#[cfg(test)]
mod tests;

use paths::{Components, Paths};
use rights::Rights;
use serde_json::Value;

/// A document is at most this long: GitHub's, one of the largest there is, has 13 MB.
pub const MAX_DOCUMENT_BYTES: usize = 32 * 1024 * 1024;

/// Title and version are kept and shown on every page of the API, so they stay short enough for that.
pub const MAX_NAME_BYTES: usize = 512;

/// A message quotes the document, so it is cut to what a person reads.
const MAX_MESSAGE_CHARS: usize = 400;

/// Nodes that YAML may have: a document of the largest size with a node in every eight bytes. GitHub's has one in
/// twenty.
const MAX_YAML_NODES: usize = MAX_DOCUMENT_BYTES / 8;

/// What aliases may add by repeating earlier parts. Documents share examples and headers this way, some hundred
/// nodes; a bomb needs millions.
const MAX_YAML_REPEATED_NODES: usize = 100_000;

/// How deep YAML may nest. JSON Schema inside a document reaches about thirty.
const MAX_YAML_DEPTH: usize = 128;

/// What is kept of an OpenAPI document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiDocument {
    /// `info.title`.
    pub title: String,
    /// `info.version`.
    pub version: String,
    /// The operations that calls are matched with, in the order of the document.
    pub operations: Vec<DocumentedOperation>,
    /// The operations that were left out.
    pub skipped: Vec<SkippedOperation>,
    /// What `security` says for operations that do not say it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Value>,
    /// Whether what it says of rights was read; versions that did not know of them kept documents too.
    #[serde(default)]
    pub has_rights: bool,
}

/// A method on a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentedOperation {
    /// The method.
    pub method: Method,
    /// The path as documented, such as `/pets/{id}`, relative to the API's path prefix.
    pub template: String,
    /// What it says of rights.
    #[serde(flatten)]
    pub rights: Rights,
}

/// A method on a path that no call is matched with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedOperation {
    /// The method as a request would write it.
    pub method: String,
    /// The path as documented.
    pub template: String,
    /// Why it was left out.
    pub reason: SkipReason,
}

/// Why an operation was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The gateway refuses its method, `TRACE`.
    MethodRefused,
    /// The gateway refuses every call to such a path, for example one with a segment that ends with a dot.
    PathRefused,
    /// Its path differs from another one's only behind `?` or `#`, where calls are not told apart.
    SamePath,
}

/// Where in the document, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A text that can't be used as an OpenAPI document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentError {
    /// It is longer than [`MAX_DOCUMENT_BYTES`].
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// It is a Swagger 2.0 document.
    Swagger,
    /// Neither `openapi` nor `swagger` is in it.
    NotOpenApi,
    /// It is of another version than 3.0 or 3.1.
    Version {
        /// What `openapi` says.
        found: String,
    },
    /// Nothing in it can be called.
    NoOperations,
    /// It can't be read, or a part of it makes no sense.
    Wrong {
        /// What is wrong.
        what: String,
        /// Where, if that is known.
        at: Option<Position>,
    },
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => {
                write!(f, "the document has {bytes} bytes; at most {MAX_DOCUMENT_BYTES} are read")
            }
            Self::Swagger => {
                f.write_str("this is a Swagger 2.0 document; convert it to OpenAPI 3.0 or 3.1 and try again")
            }
            Self::NotOpenApi => {
                f.write_str("this is no OpenAPI document: `openapi: 3.1.0` (or 3.0) is missing at its top level")
            }
            Self::Version { found } => {
                write!(f, "this document says `openapi: {found}`; versions 3.0 and 3.1 are read")
            }
            Self::NoOperations => f.write_str("the document holds no operation that a call can be matched with"),
            Self::Wrong { what, at: None } => f.write_str(what),
            Self::Wrong { what, at: Some(at) } => write!(f, "line {}, column {}: {what}", at.line, at.column),
        }
    }
}

impl std::error::Error for DocumentError {}

impl ApiDocument {
    /// Reads a document in JSON or YAML. A text that begins with `{` is JSON.
    ///
    /// # Errors
    /// If it is no OpenAPI 3.0 or 3.1, too large, or holds two operations that the same calls would reach.
    pub fn read(text: &str) -> Result<Self, DocumentError> {
        if text.len() > MAX_DOCUMENT_BYTES {
            return Err(DocumentError::TooLarge { bytes: text.len() });
        }
        let text = text.trim_start_matches('\u{FEFF}');
        let document = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(json_error)?
        } else {
            serde_saphyr::from_str_with_options(text, yaml_options()).map_err(|error| yaml_error(&error))?
        };
        Self::of(document)
    }

    /// Reads a document that came as a JSON value inside a larger body, whose size the listener has bounded.
    ///
    /// # Errors
    /// As [`ApiDocument::read`], without positions.
    pub fn read_value(value: &serde_json::Value) -> Result<Self, DocumentError> {
        Self::of(Document::deserialize(value).map_err(json_error)?)
    }

    /// The form in which the catalogue keeps it.
    ///
    /// # Errors
    /// If it can't be written as JSON, which no document that was read can cause.
    pub fn kept(&self) -> Result<keystile_store::records::Document, serde_json::Error> {
        let info = keystile_store::records::DocumentInfo {
            title: self.title.clone(),
            version: self.version.clone(),
            operations: self.operations.len() as u32,
            skipped: self.skipped.len() as u32,
        };
        Ok(keystile_store::records::Document { info, operations: serde_json::to_string(self)? })
    }

    fn of(document: Document) -> Result<Self, DocumentError> {
        if document.swagger.is_some() {
            return Err(DocumentError::Swagger);
        }
        let found = document.openapi.ok_or(DocumentError::NotOpenApi)?;
        if !["3.0", "3.1"]
            .iter()
            .any(|known| found.strip_prefix(known).is_some_and(|patch| patch.is_empty() || patch.starts_with('.')))
        {
            return Err(DocumentError::Version { found: shortened(&found) });
        }
        let info = document.info.ok_or_else(|| wrong("`info` with `title` and `version` is missing"))?;
        let paths = document.paths.unwrap_or_default();
        let found = paths.complete(&document.components.unwrap_or_default()).map_err(wrong)?;
        if found.operations.is_empty() {
            return Err(DocumentError::NoOperations);
        }
        Ok(Self {
            title: name("title", info.title)?,
            version: name("version", info.version)?,
            operations: found.operations,
            skipped: found.skipped,
            security: document.security.map(rights::bounded),
            has_rights: true,
        })
    }
}

/// The parts of a document that are looked at.
#[derive(Deserialize)]
struct Document {
    openapi: Option<String>,
    swagger: Option<serde::de::IgnoredAny>,
    info: Option<Info>,
    paths: Option<Paths>,
    components: Option<Components>,
    security: Option<Value>,
}

#[derive(Deserialize)]
struct Info {
    title: String,
    version: String,
}

fn name(field: &str, text: String) -> Result<String, DocumentError> {
    if text.len() > MAX_NAME_BYTES {
        return Err(wrong(format!("`info.{field}` is longer than {MAX_NAME_BYTES} bytes")));
    }
    Ok(text)
}

fn wrong(what: impl Into<String>) -> DocumentError {
    DocumentError::Wrong { what: shortened(&what.into()), at: None }
}

fn shortened(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

fn json_error(error: serde_json::Error) -> DocumentError {
    let message = error.to_string();
    if error.line() == 0 {
        return wrong(message);
    }
    let position = Position { line: error.line(), column: error.column() };
    let suffix = format!(" at line {} column {}", position.line, position.column);
    let what = shortened(message.strip_suffix(&suffix).unwrap_or(&message));
    DocumentError::Wrong { what, at: Some(position) }
}

fn yaml_error(error: &serde_saphyr::Error) -> DocumentError {
    let message = error.without_snippet().to_string();
    let at = error.location().map(|at| Position { line: at.line() as usize, column: at.column() as usize });
    DocumentError::Wrong { what: shortened(&message), at }
}

fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_YAML_NODES,
            // A node has at most two events, its begin and its end.
            max_events: 2 * MAX_YAML_NODES,
            max_depth: MAX_YAML_DEPTH,
            flow_nesting_limit: MAX_YAML_DEPTH,
            max_documents: 1,
            max_recorded_anchor_events: MAX_YAML_REPEATED_NODES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_YAML_REPEATED_NODES,
        },
        // Comments and excerpts are for people who edit the text here; nobody does.
        emit_comments: false,
        with_snippet: false,
    }
}
