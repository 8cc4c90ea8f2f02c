//! Countries from which a key may be used.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::country::Country;

/// Countries by their codes. `deny` goes before `allow`; an absent `allow` allows every country not denied. A call of
/// which nobody knows the country is from none of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Lists", into = "Lists")]
pub struct Countries {
    allow: Option<Vec<Country>>,
    deny: Vec<Country>,
}

/// The wire form.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allow: Option<Vec<Country>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deny: Vec<Country>,
}

/// Both lists are empty, or `allow` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoCountries;

impl fmt::Display for NoCountries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("countries needs at least one entry; leave `allow` out to allow every country that is not denied, and `countries` out for no restriction")
    }
}

impl std::error::Error for NoCountries {}

impl Countries {
    /// Whether a call from this country may pass.
    pub fn admit(&self, country: Country) -> bool {
        // In order, so a list of all of them is eight looks.
        let has = |list: &[Country]| list.binary_search(&country).is_ok();
        !has(&self.deny) && self.allow.as_deref().is_none_or(has)
    }

    /// Whether no country may call here that may not there.
    pub fn is_within(&self, outer: &Self) -> bool {
        Country::all().all(|country| !self.admit(country) || outer.admit(country))
    }
}

impl TryFrom<Lists> for Countries {
    type Error = NoCountries;

    fn try_from(mut lists: Lists) -> Result<Self, NoCountries> {
        let is_empty = lists.allow.as_ref().map_or(lists.deny.is_empty(), Vec::is_empty);
        if is_empty {
            return Err(NoCountries);
        }
        for list in lists.allow.iter_mut().chain([&mut lists.deny]) {
            list.sort_unstable();
            list.dedup();
        }
        Ok(Self { allow: lists.allow, deny: lists.deny })
    }
}

impl From<Countries> for Lists {
    fn from(countries: Countries) -> Self {
        Self { allow: countries.allow, deny: countries.deny }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn countries(allow: Option<&[&str]>, deny: &[&str]) -> Result<Countries, NoCountries> {
        let codes = |list: &[&str]| list.iter().map(|code| code.parse().unwrap()).collect();
        Countries::try_from(Lists { allow: allow.map(codes), deny: codes(deny) })
    }

    #[test]
    fn deny_goes_before_allow() {
        for (allow, deny, country, admitted) in [
            (Some(&["DE", "AT", "ch"][..]), &[][..], "CH", true),
            (Some(&["DE", "AT"]), &[], "FR", false),
            (Some(&["DE", "AT"]), &["AT"], "AT", false),
            (None, &["KP"], "KP", false),
            (None, &["KP"], "KR", true),
        ] {
            let countries = countries(allow, deny).unwrap();
            assert_eq!(countries.admit(country.parse().unwrap()), admitted, "{countries:?} {country}");
        }
    }

    #[test]
    fn an_empty_list_never_means_anywhere() {
        assert_eq!(countries(None, &[]), Err(NoCountries));
        assert_eq!(countries(Some(&[]), &["DE"]), Err(NoCountries));
    }

    #[test]
    fn a_list_is_within_one_that_lets_more_pass() {
        let one = |allow: Option<&[&str]>, deny: &[&str]| countries(allow, deny).unwrap();
        let all: Vec<String> = Country::all().map(|country| country.to_string()).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        for (own, outer, within) in [
            (one(Some(&["DE"]), &[]), one(Some(&["DE", "AT"]), &[]), true),
            (one(Some(&["DE", "AT"]), &[]), one(Some(&["DE"]), &[]), false),
            (one(Some(&["DE"]), &[]), one(None, &["KP"]), true),
            (one(None, &["KP"]), one(Some(&["DE"]), &[]), false),
            (one(None, &["KP", "DE"]), one(None, &["KP"]), true),
            (one(None, &["KP"]), one(Some(&all), &["KP"]), true),
            (one(Some(&["DE", "KP"]), &["KP"]), one(Some(&["DE"]), &[]), true),
        ] {
            assert_eq!(own.is_within(&outer), within, "{own:?} in {outer:?}");
        }
    }
}
