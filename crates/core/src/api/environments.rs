//! Who may come to an API: keys of which environments, and which projects without being looked at.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{SettingError, wrong};
use crate::key::Environment;

/// The environments whose keys an API takes. There is always one: an API that takes no key at all is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Environments {
    live: bool,
    test: bool,
}

impl Environments {
    /// Live and test.
    pub const BOTH: Self = Self { live: true, test: true };

    /// These.
    ///
    /// # Errors
    /// If there are none.
    pub fn of(list: &[Environment]) -> Result<Self, SettingError> {
        let [live, test] = Environment::ALL.map(|environment| list.contains(&environment));
        if live || test {
            Ok(Self { live, test })
        } else {
            wrong("environments takes live, test or both; to take no keys at all switch the API off")
        }
    }

    /// Whether keys of this environment are taken.
    pub const fn take(self, environment: Environment) -> bool {
        match environment {
            Environment::Live => self.live,
            Environment::Test => self.test,
        }
    }

    /// Whether it is what is meant if nothing is said.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::BOTH
    }

    fn list(self) -> impl Iterator<Item = Environment> {
        Environment::ALL.into_iter().filter(move |environment| self.take(*environment))
    }
}

impl Default for Environments {
    fn default() -> Self {
        Self::BOTH
    }
}

/// `live`, `test`, or `live and test`.
impl fmt::Display for Environments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.live, self.test) {
            (true, true) => "live and test",
            (true, false) => "live",
            (false, _) => "test",
        })
    }
}

impl Serialize for Environments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.list())
    }
}

impl<'de> Deserialize<'de> for Environments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of(&Vec::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// What becomes of a project of another organization that asks for access.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// The API's owner looks at it.
    #[default]
    Manual,
    /// It is let in at once.
    Automatic,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_takes_at_least_one_environment() {
        let (live, test) = (Environment::Live, Environment::Test);
        for (list, text, takes) in [
            (&[live][..], "live", [true, false]),
            (&[test, test], "test", [false, true]),
            (&[test, live], "live and test", [true, true]),
        ] {
            let environments = Environments::of(list).unwrap();
            assert_eq!(environments.to_string(), text);
            assert_eq!([live, test].map(|environment| environments.take(environment)), takes);
            assert_eq!(Environments::of(&environments.list().collect::<Vec<_>>()), Ok(environments));
        }
        assert!(Environments::of(&[]).is_err(), "an empty list is not everything");
    }
}
