//! The machines behind an upstream, and how they are looked at.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::upstream::{is_host, split_port};
use super::{SettingError, as_text, is_plain_path, wrong};

/// Most targets of one API.
pub const MAX_TARGETS: usize = 64;
/// The largest weight of a target.
const MAX_WEIGHT: u32 = 1_000;

/// A machine that takes calls of an API: `host:port`, and its share of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Where it listens.
    pub address: TargetAddress,
    /// A target of weight 2 gets twice the calls of one with 1.
    #[serde(default = "one")]
    pub weight: u32,
}

const fn one() -> u32 {
    1
}

impl Target {
    fn checked(&self) -> Result<(), SettingError> {
        if (1..=MAX_WEIGHT).contains(&self.weight) {
            return Ok(());
        }
        wrong(format!("the weight of a target is 1 to {MAX_WEIGHT}; leave out a target that is to get no calls"))
    }
}

/// `10.0.0.5:9000=2`: the address, and after `=` the weight if it is not 1.
impl FromStr for Target {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let (address, weight) = text.split_once('=').unwrap_or((text, "1"));
        let weight =
            weight.parse().map_err(|_| SettingError(format!("a weight is a number from 1 to {MAX_WEIGHT}")))?;
        let target = Self { address: address.parse()?, weight };
        target.checked().map(|()| target)
    }
}

/// Checks a list of targets.
pub(super) fn checked(targets: &[Target]) -> Result<(), SettingError> {
    if targets.len() > MAX_TARGETS {
        return wrong(format!("an API has at most {MAX_TARGETS} targets"));
    }
    for (index, target) in targets.iter().enumerate() {
        target.checked()?;
        if targets[..index].iter().any(|other| other.address == target.address) {
            return wrong(format!("the target {} stands there twice; give it a larger weight", target.address));
        }
    }
    Ok(())
}

/// Where a target listens: a name or an address, and a port. IPv6 in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetAddress {
    host: String,
    port: u16,
}

impl TargetAddress {
    /// An address out of its parts, which were checked elsewhere.
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port }
    }

    /// The host without brackets.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for TargetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for TargetAddress {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        match split_port(text) {
            Some((host, Some(port))) if port > 0 && is_host(host) => Ok(Self::new(&host.to_ascii_lowercase(), port)),
            _ => wrong("a target is written host:port, such as 10.0.0.5:9000 or [2001:db8::5]:9000"),
        }
    }
}

as_text!(TargetAddress);

/// How targets are asked, now and then, whether they are well.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthCheck {
    /// What is asked for, with `GET`; an answer of 200 to 399 is good. `None` for no more than a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<CheckPath>,
    /// Seconds from one check to the next.
    pub interval_seconds: u32,
    /// Seconds that a check may take.
    pub timeout_seconds: u32,
    /// Good checks in a row after which a target gets calls again.
    pub healthy_after: u32,
    /// Bad checks in a row after which it gets none.
    pub unhealthy_after: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { path: None, interval_seconds: 10, timeout_seconds: 2, healthy_after: 2, unhealthy_after: 3 }
    }
}

impl HealthCheck {
    pub(super) fn checked(&self) -> Result<(), SettingError> {
        for (name, value, most) in [
            ("interval_seconds", self.interval_seconds, 3_600),
            ("timeout_seconds", self.timeout_seconds, 60),
            ("healthy_after", self.healthy_after, 100),
            ("unhealthy_after", self.unhealthy_after, 100),
        ] {
            if !(1..=most).contains(&value) {
                return wrong(format!("health_check.{name} is 1 to {most}"));
            }
        }
        Ok(())
    }
}

/// What a health check asks for: a path in canonical form, such as `/healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CheckPath(String);

impl fmt::Display for CheckPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CheckPath {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        if text.starts_with('/') && is_plain_path(text) {
            Ok(Self(text.to_owned()))
        } else {
            wrong("the path of a health check begins with / and is in canonical form, such as /healthz")
        }
    }
}

as_text!(CheckPath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_an_address_and_a_weight() {
        for (text, address, weight) in [
            ("10.0.0.5:9000", "10.0.0.5:9000", 1),
            ("Node-1.internal:80=3", "node-1.internal:80", 3),
            ("[2001:db8::5]:9000=1000", "[2001:db8::5]:9000", 1_000),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!((&*target.address.to_string(), target.weight), (address, weight), "{text}");
        }
        for text in ["", "host", "host:0", "host:x", "host:80=0", "host:80=1001", "host:80=", "http://host:80", "a b:1"]
        {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_health_check_has_bounds() {
        let check = HealthCheck::default();
        assert_eq!(check.checked(), Ok(()));
        for wrong in [
            HealthCheck { interval_seconds: 0, ..check.clone() },
            HealthCheck { timeout_seconds: 61, ..check.clone() },
            HealthCheck { healthy_after: 0, ..check.clone() },
            HealthCheck { unhealthy_after: 101, ..check.clone() },
        ] {
            assert!(wrong.checked().is_err(), "{wrong:?}");
        }
        for path in ["", "healthz", "/a/../b", "/a?b", "http://h/"] {
            assert!(path.parse::<CheckPath>().is_err(), "{path}");
        }
    }
}
