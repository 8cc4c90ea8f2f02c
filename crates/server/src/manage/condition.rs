//! On which conditions a request is carried out (`If-Match`, `?dry_run=true`), and in which state things are
//! (`ETag`, `If-None-Match`; RFC 9110 §8.8.3, §13.1).
//!
//! Handlers know nothing of either: they look things up and change them through [`App`](super::app::App), which notes here
//! what was found, and [`finish`](super::problem::finish) reads it.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use keystile_store::{Conditions, Expected, Tag, Thing, ThingId};

use super::problem::invalid;
use crate::problem::Problem;

/// Says of an answer that nothing was changed.
const DRY_RUN: HeaderName = HeaderName::from_static("keystile-dry-run");
/// Most tags of one field: each is of one state of one thing.
const MAX_TAGS: usize = 100;

/// What a request found, for the frame around its handler.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    /// The thing that was looked up last, and its state.
    last: Option<(ThingId, Tag)>,
    /// Things as they would be if the request were not only tried.
    preview: Vec<Thing>,
    is_dry_run: bool,
}

impl Seen {
    /// Notes a thing and its state.
    pub(super) fn note(&self, thing: ThingId, tag: Tag) {
        self.with(|notes| notes.last = Some((thing, tag)));
    }

    /// Notes things as they would be.
    pub(super) fn would_be(&self, things: Vec<Thing>) {
        self.with(|notes| notes.preview.extend(things));
    }

    /// A thing as it would be, if that was noted.
    pub(super) fn preview(&self, id: ThingId) -> Option<Thing> {
        self.with(|notes| notes.preview.iter().rev().find(|thing| thing.id() == id).cloned())
    }

    /// Notes that the request is only tried.
    pub(super) fn is_dry_run(&self) {
        self.with(|notes| notes.is_dry_run = true);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Notes) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says of an answer that is a thing in which state it is, and leaves out what the client has already.
    pub(super) async fn finish(self, asked: &Asked, mut response: Response) -> Response {
        let (last, is_dry_run) = self.with(|notes| (notes.last, notes.is_dry_run));
        if let Some((id, tag)) = last.filter(|_| response.status().is_success()) {
            let (mut parts, body) = response.into_parts();
            // What a handler answers is whole already; there is nothing to wait for.
            let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
            // The answers that are things begin with their ids; lists and reports do not.
            if bytes.starts_with(format!("{{\"id\":\"{id}\"").as_bytes()) {
                if let Ok(value) = HeaderValue::try_from(format!("\"{tag}\"")) {
                    parts.headers.insert(ETAG, value);
                }
                if asked.has(tag) {
                    parts.status = StatusCode::NOT_MODIFIED;
                    parts.headers.remove(CONTENT_TYPE);
                    parts.headers.remove(CONTENT_LENGTH);
                    response = Response::from_parts(parts, Body::empty());
                    return response;
                }
            }
            response = Response::from_parts(parts, bytes.into());
        }
        if is_dry_run {
            response.headers_mut().insert(DRY_RUN, HeaderValue::from_static("true"));
        }
        response
    }
}

/// What a client has already.
pub(super) struct Asked(Option<Vec<String>>);

impl Asked {
    /// Of a request; nothing unless it reads. A field that can't be read is refused by [`conditions`].
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let tags = joined(headers, &IF_NONE_MATCH).filter(|_| reads).map(|text| match text.trim() {
            "*" => vec!["*".to_owned()],
            text => tags(text, true).unwrap_or_default(),
        });
        Self(tags)
    }

    fn has(&self, tag: Tag) -> bool {
        let tag = tag.to_string();
        self.0.iter().flatten().any(|own| own == "*" || *own == tag)
    }
}

/// On which conditions a request is carried out.
pub(super) fn conditions(parts: &Parts) -> Result<Conditions, Problem> {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        let known = joined(&parts.headers, &IF_NONE_MATCH);
        return match known.is_none_or(|text| text.trim() == "*" || tags(&text, true).is_some()) {
            true => Ok(Conditions::default()),
            false => Err(not_tags("If-None-Match")),
        };
    }
    let expected = match joined(&parts.headers, &IF_MATCH) {
        None => None,
        Some(text) if text.trim() == "*" => Some(Expected::There),
        Some(text) => Some(Expected::OneOf(tags(&text, false).ok_or_else(|| not_tags("If-Match"))?)),
    };
    Ok(Conditions { expected, dry_run: dry_run(parts.uri.query().unwrap_or_default())? })
}

fn not_tags(field: &str) -> Problem {
    invalid(format!(
        "{field} is `*`, or the ETag that an answer said, such as \"6f0c\"; several are separated by commas, at most {MAX_TAGS}."
    ))
}

fn dry_run(query: &str) -> Result<bool, Problem> {
    let mut said = query.split('&').filter_map(is_dry_run);
    match (said.next(), said.next()) {
        (None, _) | (Some("false"), None) => Ok(false),
        (Some("true"), None) => Ok(true),
        _ => Err(invalid("dry_run is true or false.")),
    }
}

/// What a part of a query says of `dry_run`, if it does.
fn is_dry_run(part: &str) -> Option<&str> {
    match part.split_once('=') {
        Some(("dry_run", said)) => Some(said),
        None if part == "dry_run" => Some(""),
        _ => None,
    }
}

/// A query without what is said of `dry_run`.
pub(super) fn without_dry_run(query: &str) -> String {
    query.split('&').filter(|part| is_dry_run(part).is_none()).collect::<Vec<_>>().join("&")
}

/// A field's values as one list; a value that is no text makes it one that can't be read.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let texts: Vec<&str> = values.map(|value| value.to_str().unwrap_or("?")).collect();
    Some(texts.join(", "))
}

/// The tags of a list, without their quotes; `None` if it is none. Weak ones are left out unless they are wanted: they
/// never match where a change depends on it.
fn tags(text: &str, weak_too: bool) -> Option<Vec<String>> {
    let mut tags = Vec::new();
    let mut rest = text;
    let mut count = 0;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return (count > 0 && count <= MAX_TAGS).then_some(tags);
        }
        let (is_weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let (tag, after) = quoted.strip_prefix('"')?.split_once('"')?;
        if tag.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return None;
        }
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
        count += 1;
        if weak_too || !is_weak {
            tags.push(tag.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_rfc_9110_writes_them() {
        for (text, strong, all) in [
            ("\"a\"", Some(vec!["a"]), Some(vec!["a"])),
            ("\"a\", \"b\"", Some(vec!["a", "b"]), Some(vec!["a", "b"])),
            ("W/\"a\"", Some(vec![]), Some(vec!["a"])),
            (",\"a\" ,, W/\"b\",", Some(vec!["a"]), Some(vec!["a", "b"])),
            ("\"a,b\"", Some(vec!["a,b"]), Some(vec!["a,b"])),
            ("\"\"", Some(vec![""]), Some(vec![""])),
            ("", None, None),
            ("a", None, None),
            ("\"a", None, None),
            ("\"a\"\"b\"", None, None),
            ("*, \"a\"", None, None),
            ("w/\"a\"", None, None),
            ("\"a b\"", None, None),
        ] {
            let owned = |list: Option<Vec<&str>>| list.map(|list| list.into_iter().map(str::to_owned).collect());
            assert_eq!((tags(text, false), tags(text, true)), (owned(strong), owned(all)), "{text}");
        }
    }

    #[test]
    fn dry_run_is_said_once_and_plainly() {
        for (query, read) in [
            ("", Some(false)),
            ("a=b", Some(false)),
            ("a=b&dry_run=true", Some(true)),
            ("dry_run=false", Some(false)),
            ("dry_run", None),
            ("dry_run=1", None),
            ("dry_run=true&dry_run=true", None),
        ] {
            assert_eq!(dry_run(query).ok(), read, "{query}");
        }
        assert_eq!(without_dry_run("a=b&dry_run=true&c"), "a=b&c");
    }
}
