//! Pieces of HTML that several pages share.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;

/// HTML that is rendered already.
#[derive(Debug, Clone, Default)]
pub(crate) struct Html(String);

impl Html {
    /// A template, rendered.
    pub(crate) fn of(template: &impl Template) -> Self {
        // Rendering fails only where a value's Display does; ours don't.
        Self(template.render().unwrap_or_default())
    }

    /// The text.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Html {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl HtmlSafe for Html {}

/// How something stands, by colour and by word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Badge {
    /// Its class: `ok`, `warn`, `bad` or `off`.
    pub(crate) tone: &'static str,
    /// The word.
    pub(crate) text: String,
}

impl Badge {
    /// One.
    pub(crate) fn new(tone: &'static str, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }
}

/// The request that a form makes, as a program makes it.
#[derive(Debug, Clone)]
pub(crate) struct AsCode {
    /// For the command line of Keystile.
    pub(crate) command: String,
    /// For curl.
    pub(crate) request: String,
}

impl AsCode {
    /// A request of the management API at `origin`, and the command that makes it.
    pub(crate) fn new(
        command: String,
        origin: &str,
        method: &str,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Self {
        let mut request =
            format!("curl -X {method} '{origin}{path}' \\\n  -H \"Authorization: Bearer $KEYSTILE_MANAGEMENT_KEY\"");
        if let Some(body) = body {
            let text = serde_json::to_string_pretty(body).unwrap_or_default();
            request.push_str(&format!(
                " \\\n  -H 'Content-Type: application/json' \\\n  -d '{}'",
                text.replace('\'', r"'\''")
            ));
        }
        Self { command, request }
    }
}

/// A word for a shell: as it is if it needs no quotes, else in them.
pub(crate) fn shell(word: &str) -> String {
    let is_plain =
        !word.is_empty() && word.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./:=@,+".contains(letter));
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// The letters that stand for somebody: the first of the first two words.
pub(crate) fn initials(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.take(2).filter_map(|word| word.chars().next()).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_as_code_can_be_pasted() {
        assert_eq!(
            (shell("ingest-1"), shell("it's"), shell("")),
            ("ingest-1".into(), r"'it'\''s'".into(), "''".into())
        );
        let code =
            AsCode::new(String::new(), "http://a", "POST", "/v1/keys", Some(&serde_json::json!({"name": "it's"})));
        assert!(code.request.contains(r"it'\''s"), "{}", code.request);
        assert_eq!(
            (initials("Ada Lovelace-King"), initials("öko"), initials("")),
            ("AL".into(), "Ö".into(), String::new())
        );
    }
}
