//! Restrictions: where and how a key may be used. Each one is a file of its own; all that a key has must pass.
//!
//! A restriction that is absent restricts nothing. One that is present is never empty: an empty list would read
//! as "nobody" to one person and as "anybody" to the next, so it can't be written down.

mod apps;
mod certificates;
mod countries;
mod formats;
mod networks;
mod origins;
mod paths;
mod referrers;
mod rule;
#[cfg(test)]
mod tests;
mod times;

pub use apps::{Apps, AppsError};
pub use certificates::{Certificates, CertificatesError, fingerprint};
pub use countries::{Countries, NoCountries};
pub use formats::{Formats, FormatsError};
pub use networks::{Networks, NetworksError};
pub use origins::{Origins, OriginsError};
pub use paths::{PathPattern, PathPatterns, PathsError};
pub use referrers::{Referrers, ReferrersError};
pub use rule::{NoSuchRule, Rule, Rules};
pub use times::{Times, TimesError};

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::facts::Facts;
use crate::method::MethodSet;

/// The restrictions of one key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restrictions {
    /// Addresses that may, or may not, present the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Networks>,
    /// Countries from which it may, or may not, be presented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countries: Option<Countries>,
    /// Hours in which it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<Times>,
    /// Web origins that may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<Origins>,
    /// Pages that may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrers: Option<Referrers>,
    /// Apps that may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apps: Option<Apps>,
    /// Methods that may be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<MethodSet>,
    /// Paths that may be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<PathPatterns>,
    /// Client certificates with which the key must come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<Certificates>,
    /// What may be sent and received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formats: Option<Formats>,
    /// Those of them that are tried out: they are judged and it is told what they say, but they refuse nothing.
    #[serde(default, skip_serializing_if = "Rules::is_empty")]
    pub shadow: Rules,
}

/// What one restriction says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Said {
    /// Which one.
    pub rule: Rule,
    /// Allowed, or the code with which it refuses.
    pub code: Code,
    /// Whether it is only tried out.
    pub shadow: bool,
}

impl Restrictions {
    /// Whether nothing is restricted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Judges a call. A restriction whose fact is not known refuses: a key bound to a network does not pass
    /// where nobody says which network it is used from.
    ///
    /// # Errors
    /// The code of the first restriction that the call breaks.
    pub fn judge(&self, facts: &Facts<'_>) -> Result<(), Code> {
        let enforced = Rule::ALL.iter().filter(|rule| !self.shadow.contains(**rule));
        enforced.filter_map(|rule| self.ask(*rule, facts)).collect()
    }

    /// Those in shadow that would have refused a call.
    pub fn would_refuse(&self, facts: &Facts<'_>) -> Rules {
        if self.shadow.is_empty() {
            return Rules::NONE;
        }
        let tried = Rule::ALL.iter().filter(|rule| self.shadow.contains(**rule));
        tried.filter(|rule| self.ask(**rule, facts).is_some_and(|said| said.is_err())).copied().collect()
    }

    /// What each restriction that there is says of a call, each when it is asked for.
    pub fn answers(&self, facts: &Facts<'_>) -> impl Iterator<Item = Said> {
        Rule::ALL.iter().filter_map(|rule| {
            let code = self.ask(*rule, facts)?.err().unwrap_or(Code::Allowed);
            Some(Said { rule: *rule, code, shadow: self.shadow.contains(*rule) })
        })
    }

    /// What one says; `None` if it is not there.
    fn ask(&self, rule: Rule, facts: &Facts<'_>) -> Option<Result<(), Code>> {
        let (passes, code) = match rule {
            Rule::Networks => {
                let networks = self.networks.as_ref()?;
                (facts.client.is_some_and(|address| networks.admit(address)), Code::NetworkForbidden)
            }
            Rule::Countries => {
                let countries = self.countries.as_ref()?;
                let country = facts.source.and_then(|source| source.country());
                (country.is_some_and(|country| countries.admit(country)), Code::CountryForbidden)
            }
            Rule::Times => (self.times.as_ref()?.admit(facts.at.wall), Code::TimeForbidden),
            Rule::Origins => {
                let origins = self.origins.as_ref()?;
                (facts.source.is_some_and(|source| origins.admit(source)), Code::OriginForbidden)
            }
            Rule::Referrers => {
                let referrers = self.referrers.as_ref()?;
                (facts.source.is_some_and(|source| referrers.admit(source)), Code::OriginForbidden)
            }
            Rule::Apps => {
                let apps = self.apps.as_ref()?;
                (facts.source.is_some_and(|source| apps.admit(source)), Code::AppForbidden)
            }
            Rule::Methods => {
                let methods = self.methods?;
                (facts.method.is_some_and(|method| methods.contains(method)), Code::OperationForbidden)
            }
            Rule::Paths => {
                let paths = self.paths.as_ref()?;
                (facts.path.is_some_and(|path| paths.admit(path)), Code::OperationForbidden)
            }
            Rule::Certificates => {
                let certificates = self.certificates.as_ref()?;
                let passes = facts.certificate.is_some_and(|certificate| certificates.admit(&certificate));
                (passes, Code::CertificateForbidden)
            }
            Rule::Formats => return Some(self.formats.as_ref()?.judge(facts.content)),
            Rule::Patterns | Rule::RateLimits => return None,
        };
        Some(if passes { Ok(()) } else { Err(code) })
    }

    /// Whether there is a restriction of this name.
    pub fn has(&self, rule: Rule) -> bool {
        match rule {
            Rule::Networks => self.networks.is_some(),
            Rule::Countries => self.countries.is_some(),
            Rule::Times => self.times.is_some(),
            Rule::Origins => self.origins.is_some(),
            Rule::Referrers => self.referrers.is_some(),
            Rule::Apps => self.apps.is_some(),
            Rule::Methods => self.methods.is_some(),
            Rule::Paths => self.paths.is_some(),
            Rule::Certificates => self.certificates.is_some(),
            Rule::Formats => self.formats.is_some(),
            // Those of a key stand beside its restrictions.
            Rule::Patterns | Rule::RateLimits => false,
        }
    }

    /// Whether every call that these let pass is let pass by those too. If that can't be told, no (K-14).
    pub fn is_within(&self, outer: &Self) -> bool {
        self.beyond(outer).is_none()
    }

    /// The first restriction of those that these do not keep. One in shadow restricts nothing, here and there.
    pub fn beyond(&self, outer: &Self) -> Option<Rule> {
        let is_beyond = |rule: Rule| {
            outer.has(rule) && !outer.shadow.contains(rule) && (self.shadow.contains(rule) || !self.keeps(rule, outer))
        };
        Rule::ALL.iter().copied().find(|rule| is_beyond(*rule))
    }

    fn keeps(&self, rule: Rule, outer: &Self) -> bool {
        fn both<T>(own: Option<&T>, outer: Option<&T>, within: impl Fn(&T, &T) -> bool) -> bool {
            own.zip(outer).is_some_and(|(own, outer)| within(own, outer))
        }
        match rule {
            Rule::Networks => both(self.networks.as_ref(), outer.networks.as_ref(), Networks::is_within),
            Rule::Countries => both(self.countries.as_ref(), outer.countries.as_ref(), Countries::is_within),
            Rule::Times => both(self.times.as_ref(), outer.times.as_ref(), Times::is_within),
            Rule::Origins => both(self.origins.as_ref(), outer.origins.as_ref(), Origins::is_within),
            Rule::Referrers => both(self.referrers.as_ref(), outer.referrers.as_ref(), Referrers::is_within),
            Rule::Apps => both(self.apps.as_ref(), outer.apps.as_ref(), Apps::is_within),
            Rule::Methods => both(self.methods.as_ref(), outer.methods.as_ref(), |own, outer| own.is_within(*outer)),
            Rule::Paths => both(self.paths.as_ref(), outer.paths.as_ref(), PathPatterns::is_within),
            Rule::Certificates => {
                both(self.certificates.as_ref(), outer.certificates.as_ref(), Certificates::is_within)
            }
            Rule::Formats => both(self.formats.as_ref(), outer.formats.as_ref(), Formats::is_within),
            Rule::Patterns | Rule::RateLimits => true,
        }
    }
}
