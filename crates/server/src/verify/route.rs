//! What can be asked, and where. The router and the OpenAPI document go by this one list: a route that is not described does not
//! build.

use super::credits::{self, SPEND_CREDITS};
use super::{VERIFY_KEYS, limits};

/// A question that is answered here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// About a key.
    Verify,
    /// About limits without one, or the end of a call.
    Limits(limits::Asked),
    /// About credits.
    Credits(credits::Asked),
}

impl Route {
    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let others = limits::Asked::ALL.map(Self::Limits).into_iter().chain(credits::Asked::ALL.map(Self::Credits));
        std::iter::once(Self::Verify).chain(others)
    }

    /// The one that is asked at a path.
    pub(super) fn at(path: &str) -> Option<Self> {
        Self::all().find(|route| route.path() == path)
    }

    /// Where it is asked, with POST.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Verify => "/v1/verify",
            Self::Limits(asked) => asked.path(),
            Self::Credits(asked) => asked.path(),
        }
    }

    /// The right that it takes where a management key is needed.
    pub(super) const fn right(self) -> &'static str {
        match self {
            Self::Verify => VERIFY_KEYS,
            Self::Limits(asked) => asked.right(),
            Self::Credits(_) => SPEND_CREDITS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_at_its_path_and_nothing_elsewhere() {
        for route in Route::all() {
            assert_eq!(Route::at(route.path()), Some(route));
        }
        for path in ["/", "/v1", "/v1/verify/", "/v1/limits", "/v1/limits/others", "/V1/verify"] {
            assert_eq!(Route::at(path), None, "{path}");
        }
    }
}
