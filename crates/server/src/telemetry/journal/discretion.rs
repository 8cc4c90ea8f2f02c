//! Takes keys out of texts that clients chose, before they are written down (SECURITY.md E-2). Where a key does not
//! belong, somebody has put one all the same: in a path, in the name of a program.

use std::borrow::Cow;
use std::sync::Arc;

use keystile_core::key::{MARK, MIN_KEY_TEXT};

use super::record::is_of_word;
use crate::enforce::engine::Engine;
use crate::gateway::credential::percent_decoded;

/// What is written for it.
const KEY: &str = "(key)";
/// A word of a host or program that is at least so long, has letters and digits and no dot is nobody's name.
const LONGEST_NAME: usize = 20;
/// What stands between words: everything that stands in no key, then also the sign between a name and its value.
const FINE: [fn(char) -> bool; 2] = [|c| !is_of_word(c), |c| !is_of_word(c) || c == '='];

/// Knows what is a key here.
pub(crate) struct Discretion {
    engine: Arc<Engine>,
}

impl Discretion {
    /// By what is in memory.
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    /// The label of an operation.
    pub(crate) fn label(&self, number: u32) -> Option<String> {
        let text = self.engine.snapshot.labels.text(number)?;
        Some(self.path(&text).into_owned())
    }

    /// A path, or the label of an operation.
    pub(crate) fn path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        let is_key = |word: &str| self.is_key(word) || self.is_key(&percent_decoded(word));
        mask(path, &[FINE[0], FINE[1], |c| c == '/' || c == ' '], &is_key)
    }

    /// The name of a host or of a program. What looks like chance is left out as well: it names nothing.
    pub(crate) fn words<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let is_key = |word: &str| self.is_key(word) || looks_like_chance(word);
        match mask(text, &FINE, &is_key) {
            Cow::Borrowed(text) => mask(text, &[char::is_whitespace], &|word| self.is_key(word)),
            Cow::Owned(text) => mask(&text, &[char::is_whitespace], &|word| self.is_key(word)).into_owned().into(),
        }
    }

    /// A host: a key may also stand between its dots.
    pub(crate) fn host<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let is_key = |word: &str| self.is_key(word);
        match self.words(text) {
            Cow::Borrowed(text) => mask(text, &[|c| c == '.' || c == ':'], &is_key),
            Cow::Owned(text) => mask(&text, &[|c| c == '.' || c == ':'], &is_key).into_owned().into(),
        }
    }

    fn is_key(&self, word: &str) -> bool {
        word.len() >= MIN_KEY_TEXT
            && (word.contains(MARK) || self.engine.identify(word).is_some() || self.engine.may_prove(word))
    }
}

fn looks_like_chance(word: &str) -> bool {
    word.len() >= LONGEST_NAME
        && !word.contains('.')
        && word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Masks the words that are keys, whichever of these marks they stand between.
fn mask<'a>(text: &'a str, separators: &[fn(char) -> bool], is_key: &dyn Fn(&str) -> bool) -> Cow<'a, str> {
    let mut masked = Cow::Borrowed(text);
    for separates in separators {
        if masked.split(separates).any(is_key) {
            let words = masked.split_inclusive(separates).map(|word| {
                let bare = word.strip_suffix(separates).unwrap_or(word);
                if is_key(bare) { [KEY, &word[bare.len()..]].concat() } else { word.to_owned() }
            });
            masked = Cow::Owned(words.collect());
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use keystile_core::key::Pepper;

    use super::*;
    use crate::enforce::snapshot::Snapshot;

    #[test]
    fn what_is_marked_or_looks_like_chance_is_masked_and_ordinary_names_are_not() {
        let engine = Engine::new(Snapshot::with_capacity(0), Vec::<Pepper>::new());
        let discretion = Discretion::new(Arc::new(engine));
        let marked = "acme_live_0123456789abcdefghijKSTL000000";
        for (path, written) in [
            ("/pets/1".to_owned(), "/pets/1"),
            (
                "/users/550e8400-e29b-41d4-a716-446655440000/x".to_owned(),
                "/users/550e8400-e29b-41d4-a716-446655440000/x",
            ),
            (format!("/a/{marked}/b"), "/a/(key)/b"),
            (format!("/a/x;k={marked}/b"), "/a/x;(key)/b"),
            (format!("/a/{marked}"), "/a/(key)"),
            (format!("GET /{marked}/*"), "GET /(key)/*"),
        ] {
            assert_eq!(discretion.path(&path), written);
        }
        let browser =
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36";
        for (agent, written) in [
            (browser.to_owned(), browser),
            ("curl/8.5.0".to_owned(), "curl/8.5.0"),
            (format!("app/1 (key {marked})"), "app/1 (key (key))"),
            ("app 9b2c41d07fe84a63b5d8e0f1a2c39d47".to_owned(), "app (key)"),
            ("app/9b2c41d07fe84a63b5d8e0f1a2c39d47;x".to_owned(), "app/(key);x"),
        ] {
            assert_eq!(discretion.words(&agent), written);
        }
    }
}
