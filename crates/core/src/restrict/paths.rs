//! Paths that a key may call: `/pets/{id}`, `/pets/*`, `/pets/**`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::target::CanonicalTarget;

/// Most patterns of one key: the check is a walk over them.
const MAX_PATHS: usize = 128;
/// Longest pattern.
const MAX_PATTERN_LEN: usize = 512;

/// A canonical path with holes: `*` or `{name}` stands for one segment, a last `**` for all that follows, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern(String);

/// The patterns of one key; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct PathPatterns(Vec<PathPattern>);

/// The text is no path pattern, or the list is empty or too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathsError;

impl fmt::Display for PathsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "paths is a list of 1 to {MAX_PATHS} patterns such as `/pets/{{id}}`, `/pets/*` (one segment) or `/pets/**` (all below), in canonical form, without a query"
        )
    }
}

impl std::error::Error for PathsError {}

fn is_hole(segment: &str) -> bool {
    segment == "*" || (segment.len() > 2 && segment.starts_with('{') && segment.ends_with('}'))
}

impl FromStr for PathPattern {
    type Err = PathsError;

    fn from_str(text: &str) -> Result<Self, PathsError> {
        if text.len() > MAX_PATTERN_LEN || !text.starts_with('/') {
            return Err(PathsError);
        }
        let fixed = text.strip_suffix("/**").unwrap_or(text);
        // What is left when the holes are filled must be a canonical path, or the pattern could never match.
        let filled: Vec<&str> = fixed.split('/').map(|segment| if is_hole(segment) { "x" } else { segment }).collect();
        let filled = filled.join("/");
        let filled = if filled.is_empty() { "/" } else { &filled };
        let canonical =
            CanonicalTarget::parse(filled).is_ok_and(|target| target.path() == filled && target.query().is_none());
        if canonical && !filled.contains('*') { Ok(Self(text.to_owned())) } else { Err(PathsError) }
    }
}

impl PathPattern {
    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for this canonical path.
    pub fn matches(&self, path: &str) -> bool {
        let (fixed, open) = match self.0.strip_suffix("/**") {
            Some(fixed) => (fixed, true),
            None => (self.0.as_str(), false),
        };
        let mut segments = path.split('/');
        for wanted in fixed.split('/') {
            match segments.next() {
                Some(segment) if segment == wanted || (is_hole(wanted) && !segment.is_empty()) => {}
                _ => return false,
            }
        }
        open || segments.next().is_none()
    }

    /// The segments that it names, and whether more may follow.
    fn parts(&self) -> (impl Iterator<Item = &str>, bool) {
        let fixed = self.0.strip_suffix("/**");
        (fixed.unwrap_or(&self.0).split('/'), fixed.is_some())
    }

    /// Whether it stands for no path that the other does not stand for. If that can't be told, no.
    fn is_within(&self, outer: &Self) -> bool {
        let ((mut own, own_open), (outer, outer_open)) = (self.parts(), outer.parts());
        for wanted in outer {
            match own.next() {
                Some(segment) if segment == wanted || (is_hole(wanted) && !segment.is_empty()) => {}
                _ => return false,
            }
        }
        outer_open || (!own_open && own.next().is_none())
    }
}

impl PathPatterns {
    /// Whether a call of this canonical path may pass.
    pub fn admit(&self, path: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(path))
    }

    /// Whether no path may be called here that may not there. If that can't be told, no.
    pub fn is_within(&self, outer: &Self) -> bool {
        self.0.iter().all(|pattern| outer.0.iter().any(|wider| pattern.is_within(wider)))
    }
}

impl TryFrom<Vec<String>> for PathPatterns {
    type Error = PathsError;

    fn try_from(texts: Vec<String>) -> Result<Self, PathsError> {
        if texts.is_empty() || texts.len() > MAX_PATHS {
            return Err(PathsError);
        }
        texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl From<PathPatterns> for Vec<String> {
    fn from(patterns: PathPatterns) -> Self {
        patterns.0.into_iter().map(|pattern| pattern.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_one_segment_and_two_stars_are_the_rest() {
        for (pattern, path, matched) in [
            ("/pets", "/pets", true),
            ("/pets", "/pets/", false),
            ("/pets", "/petsitters", false),
            ("/pets/*", "/pets/7", true),
            ("/pets/*", "/pets/", false),
            ("/pets/*", "/pets/7/photos", false),
            ("/pets/{id}/photos", "/pets/7/photos", true),
            ("/pets/**", "/pets", true),
            ("/pets/**", "/pets/7/photos", true),
            ("/pets/**", "/petsitters", false),
            ("/**", "/", true),
            ("/**", "/anything", true),
        ] {
            assert_eq!(pattern.parse::<PathPattern>().unwrap().matches(path), matched, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_is_within_one_that_stands_for_more() {
        for (own, outer, within) in [
            ("/pets", "/pets", true),
            ("/pets/7", "/pets/*", true),
            ("/pets/{id}", "/pets/*", true),
            ("/pets/*", "/pets/{id}", true),
            ("/pets/*", "/pets/7", false),
            ("/pets/", "/pets/*", false),
            ("/pets/*/photos", "/pets/**", true),
            ("/pets", "/pets/**", true),
            ("/pets/**", "/pets/**", true),
            ("/pets/7/**", "/pets/*/**", true),
            ("/pets/**", "/pets/*/**", false),
            ("/pets/**", "/pets", false),
            ("/pets/**", "/pets/*", false),
            ("/petsitters", "/pets/**", false),
            ("/**", "/**", true),
            ("/", "/**", true),
            ("/**", "/", false),
        ] {
            let [own_pattern, outer_pattern] = [own, outer].map(|text| text.parse::<PathPattern>().unwrap());
            assert_eq!(own_pattern.is_within(&outer_pattern), within, "{own} in {outer}");
        }
    }

    #[test]
    fn a_pattern_that_could_never_match_is_refused() {
        for pattern in ["", "pets", "/pets?x=1", "/a/../b", "/a//b", "/%2e%2e", "/a/**/b", "/pe*ts", "/a b", "/%7euser"]
        {
            assert!(pattern.parse::<PathPattern>().is_err(), "{pattern}");
        }
        assert!(PathPatterns::try_from(vec![]).is_err());
    }
}
