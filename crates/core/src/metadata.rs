//! What owners write on their things for themselves: labels to find them by, and metadata that their programs read.
//! Keystile keeps both and goes by neither. Each is checked when it is read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// Longest metadata, as JSON without spaces: what is more belongs into a database of its owner's.
pub const MAX_METADATA_BYTES: usize = 4_096;
/// Most labels of one thing.
pub const MAX_LABELS: usize = 32;
/// Longest label.
pub const MAX_LABEL_CHARS: usize = 64;

/// Labels or metadata that can't be kept; the text says what can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataError(String);

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MetadataError {}

/// A JSON object that its owner's programs understand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Metadata(Map<String, Value>);

impl Metadata {
    /// Checks its length and its texts.
    ///
    /// # Errors
    /// [`MetadataError`] says what is allowed.
    pub fn new(fields: Map<String, Value>) -> Result<Self, MetadataError> {
        let bytes = serde_json::to_vec(&fields).map_or(usize::MAX, |json| json.len());
        if bytes > MAX_METADATA_BYTES {
            return Err(MetadataError(format!(
                "metadata is at most {MAX_METADATA_BYTES} bytes of JSON, and this is {bytes}"
            )));
        }
        if fields.keys().any(String::is_empty) {
            return Err(MetadataError("metadata has a field without a name".to_owned()));
        }
        if fields.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)) {
            return Err(MetadataError(
                "metadata holds the character NUL, which can't be kept; leave it out".to_owned(),
            ));
        }
        Ok(Self(fields))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its fields.
    pub const fn fields(&self) -> &Map<String, Value> {
        &self.0
    }
}

// How deep this goes is bounded by the reader of JSON.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Map::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A word that things are found by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Label(String);

impl Label {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = MetadataError;

    fn from_str(text: &str) -> Result<Self, MetadataError> {
        // Neither quotes nor backslashes: a label reads the same in JSON, on a command line and in a query.
        let is_plain = |c: char| c.is_alphanumeric() || "-_.:/@=+".contains(c);
        if !text.is_empty() && text.chars().count() <= MAX_LABEL_CHARS && text.chars().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(MetadataError(format!(
                "a label is 1 to {MAX_LABEL_CHARS} letters, digits and - _ . : / @ = +, such as team:billing"
            )))
        }
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The labels of a thing: sorted, none twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Labels(Vec<Label>);

impl Labels {
    /// Brings labels to their one form.
    ///
    /// # Errors
    /// If there are too many.
    pub fn new(mut labels: Vec<Label>) -> Result<Self, MetadataError> {
        labels.sort();
        labels.dedup();
        if labels.len() > MAX_LABELS {
            return Err(MetadataError(format!("labels takes at most {MAX_LABELS} labels")));
        }
        Ok(Self(labels))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Label> {
        self.0.iter()
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// What an owner wrote on a thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    /// What it is found by.
    pub labels: Labels,
    /// What its owner's programs read.
    pub metadata: Metadata,
}

impl Tags {
    /// Whether nothing was written on it.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.metadata.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(json: &str) -> Result<Metadata, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn metadata_is_an_object_of_bounded_length() {
        let text = r#"{"plan":"gold","seats":[1,2.5,null],"owner":{"id":7}}"#;
        let kept = metadata(text).unwrap();
        assert_eq!(metadata(&serde_json::to_string(&kept).unwrap()), Ok(kept));
        assert!(metadata("{}").unwrap().is_empty());
        for text in ["[]", "null", "\"a\"", "7", "{\"\":1}", "{\"a\":\"\\u0000\"}", "{\"a\":[{\"\\u0000\":1}]}"] {
            assert!(metadata(text).is_err(), "{text}");
        }
        let filled = |len: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(len));
        let most = MAX_METADATA_BYTES - filled(0).len();
        assert!(metadata(&filled(most)).is_ok());
        let refused = metadata(&filled(most + 1)).unwrap_err();
        assert!(refused.contains("at most 4096 bytes of JSON, and this is 4097"), "{refused}");
        // Spaces are not kept, so they don't count.
        assert!(metadata(&filled(most).replace(':', " : ")).is_ok());
    }

    #[test]
    fn labels_are_sorted_words_and_none_is_there_twice() {
        let labels: Labels = serde_json::from_str(r#"["tier-1","büro","tier-1","team:billing"]"#).unwrap();
        assert_eq!(serde_json::to_string(&labels).unwrap(), r#"["büro","team:billing","tier-1"]"#);
        let long = "x".repeat(MAX_LABEL_CHARS);
        assert!(long.parse::<Label>().is_ok());
        for text in ["", " ", "a b", "a\"b", "a\\b", "a,b", "a\n", "a%", &(long + "x")] {
            assert!(text.parse::<Label>().is_err(), "{text:?}");
        }
        let many = |count: usize| (0..count).map(|n| n.to_string().parse().unwrap()).collect::<Vec<Label>>();
        assert!(Labels::new(many(MAX_LABELS)).is_ok());
        assert!(Labels::new(many(MAX_LABELS + 1)).is_err());
        assert!(Labels::default().is_empty());
    }
}
