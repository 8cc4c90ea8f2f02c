//! Pages from which a key may be used, by what browsers say in `Referer`. Most leave the path out where a call goes to
//! another origin, unless the page asks for it (`Referrer-Policy`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::origin::{OriginPattern, split};
use crate::source::Source;

/// Most pages of one key: the check is a walk over them.
const MAX_REFERRERS: usize = 64;
/// Longest path of one.
const MAX_PATH_LEN: usize = 512;

/// Pages such as `https://app.example.com` (all of an origin), `https://app.example.com/shop/*` or
/// `https://app.example.com/shop`; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Referrers(Vec<Pages>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pages {
    origin: OriginPattern,
    path: PagePath,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PagePath {
    /// Every one, also one that nobody knows.
    Any,
    /// This one.
    One(String),
    /// Those that begin like this.
    Below(String),
}

/// The list is no restriction of pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferrersError {
    /// This text stands for no pages.
    NotPages(String),
    /// The list is empty, or longer than [`MAX_REFERRERS`].
    Count,
}

impl fmt::Display for ReferrersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPages(text) => write!(
                f,
                "`{}` stands for no pages; write https://app.example.com, https://app.example.com/shop or https://app.example.com/shop/*, without a query",
                text.escape_default()
            ),
            Self::Count => write!(f, "referrers takes 1 to {MAX_REFERRERS} entries; leave it out for no restriction"),
        }
    }
}

impl std::error::Error for ReferrersError {}

impl Referrers {
    /// Whether a call from there may pass: by its `Referer` or, lacking one, by its `Origin` as far as no path is asked
    /// for. One that names two origins is from nowhere.
    pub fn admit(&self, source: &dyn Source) -> bool {
        let origin = source.origin().map(|value| std::str::from_utf8(value).unwrap_or_default());
        let page = match source.referrer() {
            None => origin.map(|origin| (origin, None)),
            Some(value) => std::str::from_utf8(value)
                .ok()
                .and_then(split)
                .filter(|(own, _)| origin.is_none_or(|origin| origin == *own))
                .map(|(origin, path)| (origin, Some(path))),
        };
        page.is_some_and(|(origin, path)| {
            self.0.iter().any(|pages| pages.origin.matches(origin) && pages.path.matches(path))
        })
    }

    /// Whether no call may pass here that may not there. If that can't be told, no.
    pub fn is_within(&self, outer: &Self) -> bool {
        let within = |own: &Pages, wider: &Pages| {
            own.origin.is_within(&wider.origin)
                && match (&own.path, &wider.path) {
                    (_, PagePath::Any) => true,
                    (PagePath::Any, _) | (PagePath::Below(_), PagePath::One(_)) => false,
                    (PagePath::One(own), wider) => wider.matches(Some(own)),
                    (PagePath::Below(own), PagePath::Below(wider)) => own.starts_with(wider.as_str()),
                }
        };
        self.0.iter().all(|pages| outer.0.iter().any(|wider| within(pages, wider)))
    }
}

impl PagePath {
    fn matches(&self, path: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::One(one) => path.is_some_and(|path| path == one),
            Self::Below(stem) => path.is_some_and(|path| path.starts_with(stem.as_str())),
        }
    }
}

impl FromStr for Pages {
    type Err = ReferrersError;

    fn from_str(text: &str) -> Result<Self, ReferrersError> {
        let wrong = || ReferrersError::NotPages(text.to_owned());
        let host = text.find("://").ok_or_else(wrong)? + 3;
        let (origin, path) = match text[host..].find('/') {
            None => (text, ""),
            Some(end) => text.split_at(host + end),
        };
        // As browsers write a path: without steps up, and everything that is not ASCII in percent.
        let (stem, open) = path.strip_suffix('*').map_or((path, false), |stem| (stem, true));
        let sound = path.len() <= MAX_PATH_LEN
            && stem.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#*\\\"<>`{}|^".contains(&byte))
            && !stem.split('/').any(|segment| segment == "." || segment == "..");
        let path = match (stem, open) {
            _ if !sound => return Err(wrong()),
            ("", _) | ("/", true) => PagePath::Any,
            (stem, true) => PagePath::Below(stem.to_owned()),
            (stem, false) => PagePath::One(stem.to_owned()),
        };
        match origin.parse() {
            Ok(OriginPattern::Any) | Err(_) => Err(wrong()),
            Ok(origin) => Ok(Self { origin, path }),
        }
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            PagePath::Any => self.origin.fmt(f),
            PagePath::One(path) => write!(f, "{}{path}", self.origin),
            PagePath::Below(stem) => write!(f, "{}{stem}*", self.origin),
        }
    }
}

impl TryFrom<Vec<String>> for Referrers {
    type Error = ReferrersError;

    fn try_from(texts: Vec<String>) -> Result<Self, ReferrersError> {
        if texts.is_empty() || texts.len() > MAX_REFERRERS {
            return Err(ReferrersError::Count);
        }
        texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Referrers> for Vec<String> {
    fn from(referrers: Referrers) -> Self {
        referrers.0.iter().map(Pages::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::From as Call;
    use super::*;

    fn referrers(list: &[&str]) -> Result<Referrers, ReferrersError> {
        Referrers::try_from(list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_page_is_matched_by_its_origin_and_its_path() {
        let all = "https://app.example.com";
        for (pattern, origin, referrer, admitted) in [
            (all, None, Some("https://app.example.com/x?y"), true),
            (all, None, Some("https://app.example.com"), true),
            (all, Some("https://app.example.com"), None, true),
            (all, Some("https://app.example.com"), Some("https://app.example.com/x"), true),
            (all, Some("https://evil.test"), Some("https://app.example.com/x"), false),
            (all, Some("null"), Some("https://app.example.com/x"), false),
            (all, Some("null"), None, false),
            (all, Some("https://app.example.com"), Some(""), false),
            (all, None, None, false),
            (all, None, Some("https://evil.test/https://app.example.com/"), false),
            ("https://app.example.com/shop/*", None, Some("https://app.example.com/shop/1"), true),
            ("https://app.example.com/shop/*", None, Some("https://app.example.com/shop?/shop/"), false),
            ("https://app.example.com/shop/*", None, Some("https://app.example.com/"), false),
            ("https://app.example.com/shop/*", Some("https://app.example.com"), None, false),
            ("https://app.example.com/shop", None, Some("https://app.example.com/shop#x"), true),
            ("https://app.example.com/shop", None, Some("https://app.example.com/shop/1"), false),
            ("https://*.example.com/shop*", None, Some("https://a.example.com/shopping"), true),
            ("https://*.example.com/shop*", None, Some("https://example.com/shopping"), false),
        ] {
            let call = Call { origin, referrer, ..Call::default() };
            assert_eq!(referrers(&[pattern]).unwrap().admit(&call), admitted, "{pattern} {call:?}");
        }
    }

    #[test]
    fn pages_are_within_those_that_are_more() {
        for (own, outer, within) in [
            ("https://a.test/x", "https://a.test", true),
            ("https://a.test", "https://a.test/*", true),
            ("https://a.test", "https://a.test/x", false),
            ("https://a.test/x/y", "https://a.test/x/*", true),
            ("https://a.test/x/*", "https://a.test/x/y", false),
            ("https://a.test/x/y*", "https://a.test/x/*", true),
            ("https://a.test/x*", "https://a.test/x/*", false),
            ("https://b.a.test/x", "https://*.a.test/*", true),
            ("https://b.test/x", "https://*.a.test/*", false),
        ] {
            let [own_pages, outer_pages] = [own, outer].map(|text| referrers(&[text]).unwrap());
            assert_eq!(own_pages.is_within(&outer_pages), within, "{own} in {outer}");
        }
    }

    #[test]
    fn what_stands_for_no_pages_is_refused() {
        for wrong in [
            "*",
            "a.test",
            "https://a.test?x",
            "https://a.test/x?y",
            "https://a.test/x#y",
            "https://a.test/*/x",
            "https://a.test/../x",
            "https://a.test/é",
            "https://u@a.test/",
        ] {
            assert!(matches!(referrers(&[wrong]), Err(ReferrersError::NotPages(_))), "{wrong}");
        }
        assert_eq!(referrers(&[]), Err(ReferrersError::Count));
        let kept = ["https://a.test", "https://*.a.test/x*", "https://a.test/x"];
        assert_eq!(Vec::from(referrers(&kept).unwrap()), kept);
    }
}
