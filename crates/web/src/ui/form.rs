//! Forms as browsers send them: pairs of names and texts, in their order, each name as often as it was there.

use serde_json::{Map, Value};
use url::form_urlencoded;

/// What a form or a query holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Of a query or a body in `application/x-www-form-urlencoded`.
    pub(crate) fn read(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// The first of this name, without spaces around it; empty if there is none.
    pub(crate) fn one(&self, name: &str) -> &str {
        self.0.iter().find(|(other, _)| other == name).map_or("", |(_, text)| text.trim())
    }

    /// The first of this name exactly as it was typed.
    pub(crate) fn exact(&self, name: &str) -> &str {
        self.0.iter().find(|(other, _)| other == name).map_or("", |(_, text)| text)
    }

    /// All of this name that say something.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(other, _)| other == name)
            .map(|(_, text)| text.trim())
            .filter(|text| !text.is_empty())
    }

    /// Whether a box is ticked.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    /// A list of words, as people separate them: by commas, spaces or lines.
    pub(crate) fn words(&self, name: &str) -> Vec<String> {
        let all = self.all(name).flat_map(|text| text.split(|letter: char| letter == ',' || letter.is_whitespace()));
        all.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    /// A whole number; `None` if the field is empty.
    ///
    /// # Errors
    /// A sentence about what the field must hold.
    pub(crate) fn number(&self, name: &str, called: &str) -> Result<Option<u64>, String> {
        let text = self.one(name).replace([',', ' ', '_'], "");
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| format!("{called} is a whole number, such as 600."))
    }

    /// All of them.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// As a query, without these names and without empty texts.
    pub(crate) fn query_without(&self, names: &[&str]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, text) in self.pairs().filter(|(name, text)| !names.contains(name) && !text.is_empty()) {
            query.append_pair(name, text);
        }
        query.finish()
    }
}

/// A query of these pairs, without those that say nothing.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, text) in pairs.iter().filter(|(_, text)| !text.is_empty()) {
        query.append_pair(name, text);
    }
    query.finish()
}

/// A text as a part of a path.
pub(crate) fn segment(text: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    encoded.replace('+', "%20")
}

/// A JSON object of what forms say: what says nothing is left out.
#[derive(Debug, Default)]
pub(crate) struct Object(Map<String, Value>);

impl Object {
    /// With this, whatever it is.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// With this text, unless it is empty.
    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        if text.is_empty() { self } else { self.with(name, text) }
    }

    /// With this list, unless it is empty.
    pub(crate) fn list(self, name: &str, list: Vec<String>) -> Self {
        if list.is_empty() { self } else { self.with(name, list) }
    }

    /// With this, if it is there.
    pub(crate) fn some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_it_was_sent() {
        let form =
            Fields::read(b"name=+ingest%20eu+&p=a&p=b&p=&ips=10.0.0.0%2F8%2C%0D%0A::1&limit=5%2C000&on=on&poor=x1");
        assert_eq!((form.one("name"), form.exact("name"), form.one("none")), ("ingest eu", " ingest eu ", ""));
        assert_eq!(form.all("p").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(form.words("ips"), ["10.0.0.0/8", "::1"]);
        assert_eq!(form.number("limit", "Limit"), Ok(Some(5_000)));
        assert_eq!(form.number("none", "Limit"), Ok(None));
        assert!(form.number("poor", "Limit").unwrap_err().starts_with("Limit is"));
        assert!(form.has("on") && !form.has("off"));
        assert_eq!(Fields::read(b"a=1&b=&cursor=x").query_without(&["cursor"]), "a=1");
    }

    #[test]
    fn what_says_nothing_is_not_sent() {
        let object = Object::default()
            .text("a", "")
            .text("b", "c")
            .list("d", Vec::new())
            .some("e", None::<u64>)
            .some("f", Some(1));
        assert_eq!(Value::from(object), serde_json::json!({"b": "c", "f": 1}));
        assert_eq!(segment("a b/ö"), "a%20b%2F%C3%B6");
        assert_eq!(query(&[("a", "x y"), ("b", "")]), "a=x+y");
    }
}
