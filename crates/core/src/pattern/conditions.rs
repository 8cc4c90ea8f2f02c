//! What a call must be like to be meant by a pattern: conditions that it meets together.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::headers::Headers;
use crate::facts::Facts;
use crate::method::MethodSet;
use crate::restrict::{Countries, Networks, PathPatterns, Times};

/// Conditions; all that there are must be met, and there is at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Conditions(Parts);

/// The wire form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    methods: Option<MethodSet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paths: Option<PathPatterns>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    headers: Option<Headers>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    networks: Option<Networks>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    countries: Option<Countries>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<Times>,
}

/// No condition is there: everybody would be meant, which nobody can read out of an empty object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoConditions;

impl fmt::Display for NoConditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an alternative needs at least one of methods, paths, headers, networks, countries and times; \
             for all calls write paths [\"/**\"]",
        )
    }
}

impl std::error::Error for NoConditions {}

impl TryFrom<Parts> for Conditions {
    type Error = NoConditions;

    fn try_from(parts: Parts) -> Result<Self, NoConditions> {
        if parts == Parts::default() { Err(NoConditions) } else { Ok(Self(parts)) }
    }
}

impl From<Conditions> for Parts {
    fn from(conditions: Conditions) -> Self {
        conditions.0
    }
}

impl Conditions {
    /// Those that every call meets.
    pub(super) fn always() -> Self {
        Self(Parts::default())
    }

    /// Whether a call meets all of them; `None` if that hangs on something that is not known of it.
    pub(super) fn are_met(&self, facts: &Facts<'_>) -> Option<bool> {
        let Self(own) = self;
        let country = || facts.source.and_then(|source| source.country());
        let questions: [&dyn Fn() -> Option<bool>; 6] = [
            &|| own.methods.map_or(Some(true), |methods| Some(methods.contains(facts.method?))),
            &|| own.paths.as_ref().map_or(Some(true), |paths| Some(paths.admit(facts.path?))),
            &|| own.networks.as_ref().map_or(Some(true), |networks| Some(networks.admit(facts.client?))),
            &|| own.times.as_ref().map_or(Some(true), |times| Some(times.admit(facts.at.wall))),
            &|| own.headers.as_ref().map_or(Some(true), |headers| headers.are_met(facts.source?)),
            &|| own.countries.as_ref().map_or(Some(true), |countries| Some(countries.admit(country()?))),
        ];
        let mut met = Some(true);
        for ask in questions {
            match ask() {
                Some(false) => return Some(false),
                Some(true) => {}
                None => met = None,
            }
        }
        met
    }
}
