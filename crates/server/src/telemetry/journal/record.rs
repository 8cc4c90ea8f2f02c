//! What is known of a call that is written down. It takes nothing that is a secret by its place.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::header::{HOST, USER_AGENT};
use http::{Request, Version};
use keystile_core::id::{ApiId, KeyId, ProjectId, RequestId};
use keystile_core::method::Method;
use keystile_core::restrict::Rules;
use serde::Serialize;

use super::super::trace::TraceId;
use crate::upstream::Upstream;

/// Longest path that is kept, in bytes.
const MAX_PATH: usize = 2_048;
/// Stands where the rest of a text was.
const CUT: &str = "…";
/// Longest user agent and host that are kept. Browsers need less than half of it.
const MAX_TEXT: usize = 512;

/// By which door a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// Through the gateway.
    Gateway,
    /// Somebody asked about it.
    Verification,
}

/// One call.
#[derive(Debug)]
pub struct Record {
    /// Its id.
    pub request: RequestId,
    /// How it came.
    pub door: Door,
    /// Who called.
    pub client: IpAddr,
    /// Whether what was said was encrypted on its way.
    pub encrypted: bool,
    /// What was spoken.
    pub version: Option<Version>,
    /// Its method, if it is one that may pass.
    pub method: Option<Method>,
    /// The host that was called.
    pub host: Option<Box<str>>,
    /// The canonical path, if the target has one; never the query.
    pub path: Option<Box<str>>,
    /// What the client calls itself.
    pub user_agent: Option<Box<str>>,
    /// The trace that it belongs to.
    pub trace: Option<TraceId>,
    /// The API that it found, by id and name.
    pub api: Option<(ApiId, Box<str>)>,
    /// Where that API's calls go.
    pub upstream: Option<Arc<Upstream>>,
    /// The project of the key that it showed.
    pub project: Option<ProjectId>,
    /// That key, by its public id.
    pub key: Option<KeyId>,
    /// Restrictions in shadow that would have refused it.
    pub shadow: Rules,
}

impl Record {
    /// A call whose head has come. `is_sound` says whether it is what the client sent: of a refused head the handler
    /// sees a stand-in, of which nothing is kept.
    pub fn of<B>(request: &Request<B>, id: RequestId, client: IpAddr, is_sound: bool) -> Self {
        let bare = Self { door: Door::Gateway, ..Self::asked(id, client) };
        if !is_sound {
            return bare;
        }
        let headers = request.headers();
        let text = |value: &[u8]| bounded(&String::from_utf8_lossy(value), MAX_TEXT, |c| !is_of_word(c));
        let host = match request.uri().authority() {
            Some(authority) => Some(authority.as_str().as_bytes()),
            None => headers.get(HOST).map(http::HeaderValue::as_bytes),
        };
        Self {
            version: Some(request.version()),
            method: request.method().as_str().parse().ok(),
            host: host.map(text),
            user_agent: headers.get(USER_AGENT).map(|agent| text(agent.as_bytes())),
            ..bare
        }
    }

    /// A question to verification.
    pub fn asked(request: RequestId, client: IpAddr) -> Self {
        Self {
            request,
            door: Door::Verification,
            client,
            encrypted: false,
            version: None,
            method: None,
            host: None,
            path: None,
            user_agent: None,
            trace: None,
            api: None,
            upstream: None,
            project: None,
            key: None,
            shadow: Rules::NONE,
        }
    }

    /// A call of which nothing was remembered while it was answered.
    pub(super) fn bare(request: RequestId, door: Door) -> Self {
        Self { door, ..Self::asked(request, Ipv4Addr::UNSPECIFIED.into()) }
    }

    /// It has a canonical path.
    pub fn path(&mut self, path: &str) {
        self.path = Some(bounded(path, MAX_PATH, |character| character == '/'));
    }
}

/// Whether a character may stand inside a key; what may not separates words.
pub(super) fn is_of_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_.~+=".contains(character)
}

/// At most so many bytes of a text, with a mark behind them if there were more. It is cut between words: half a key would not be
/// recognised as one.
fn bounded(text: &str, most: usize, separates: fn(char) -> bool) -> Box<str> {
    if text.len() <= most {
        return text.into();
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let end =
        text[..end].rfind(separates).map_or(0, |last| last + text[last..].chars().next().map_or(0, char::len_utf8));
    [&text[..end], CUT].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_words() {
        for (text, most, kept) in
            [("one two", 7, "one two"), ("one two-three", 9, "one …"), ("onetwothree", 5, "…"), ("ö ö ö", 4, "ö …")]
        {
            assert_eq!(&*bounded(text, most, |c| !is_of_word(c) && !c.is_alphabetic()), kept, "{text}");
        }
    }

    #[test]
    fn nothing_is_kept_of_a_request_that_is_made_up() {
        let request = Request::builder().method("DELETE").uri("http://h/p").header("user-agent", "u").body(()).unwrap();
        let id = RequestId::from_entropy([0; 16]);
        let record = Record::of(&request, id, [127, 0, 0, 1].into(), false);
        assert!(record.method.is_none() && record.host.is_none() && record.user_agent.is_none(), "{record:?}");
        let record = Record::of(&request, id, [127, 0, 0, 1].into(), true);
        assert_eq!((record.host.as_deref(), record.user_agent.as_deref()), (Some("h"), Some("u")));
        assert_eq!((record.method, record.path), (Some(Method::Delete), None));
    }
}
