//! Statuses of HTTP, as questions name them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// One status, or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::manage) struct Statuses(u16, u16);

impl Statuses {
    /// From the first one to the last one.
    pub(in crate::manage) const fn range(self) -> (u16, u16) {
        (self.0, self.1)
    }
}

impl FromStr for Statuses {
    type Err = NotStatuses;

    fn from_str(text: &str) -> Result<Self, NotStatuses> {
        let class = text.strip_suffix("xx");
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match class {
            Some(class) if class.len() == 1 && is_digits(class) => {
                let class: u16 = class.parse().unwrap_or(0);
                if (1..=5).contains(&class) { Ok(Self(class * 100, class * 100 + 99)) } else { Err(NotStatuses) }
            }
            None if text.len() == 3 && is_digits(text) => {
                text.parse().map(|status| Self(status, status)).map_err(|_| NotStatuses)
            }
            _ => Err(NotStatuses),
        }
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is neither a status nor a class of them.
#[derive(Debug)]
pub(in crate::manage) struct NotStatuses;

impl fmt::Display for NotStatuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("status is a number such as 404, or a class such as 4xx")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_or_a_class() {
        for (text, range) in [
            ("404", Some((404, 404))),
            ("4xx", Some((400, 499))),
            ("1xx", Some((100, 199))),
            ("0xx", None),
            ("6xx", None),
            ("44xx", None),
            ("4XX", None),
            ("xx", None),
            ("+44", None),
            ("44", None),
            ("4040", None),
            ("", None),
            ("ü", None),
        ] {
            assert_eq!(text.parse::<Statuses>().ok().map(Statuses::range), range, "{text}");
        }
    }
}
