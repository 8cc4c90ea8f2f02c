//! Accounts: people who log in. What their e-mail address and password must be like, when wrong passwords lock a login, and
//! how long a session lasts. Pure rules; hashing and keeping are elsewhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::time::Timestamp;

/// Longest e-mail address (RFC 5321 §4.5.3.1.3, without its brackets).
const MAX_EMAIL_LEN: usize = 254;
/// Longest part before the `@` (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL_LEN: usize = 64;

/// An e-mail address, in small letters: what an account is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnAddress;

impl fmt::Display for NotAnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an e-mail address looks like somebody@example.com and has at most {MAX_EMAIL_LEN} characters")
    }
}

impl std::error::Error for NotAnAddress {}

impl FromStr for EmailAddress {
    type Err = NotAnAddress;

    /// Addresses that people have: without quotes and comments, which RFC 5322 allows and nobody types. Letters beyond ASCII
    /// are taken before the `@` (RFC 6531); host names are as they stand in the DNS.
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let (local, host) = text.split_once('@').ok_or(NotAnAddress)?;
        let is_local = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
        let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let sound = text.len() <= MAX_EMAIL_LEN
            && (1..=MAX_LOCAL_LEN).contains(&local.len())
            && local.chars().all(is_local)
            && !dots
            && host.split('.').all(label);
        if sound { Ok(Self(text.to_lowercase())) } else { Err(NotAnAddress) }
    }
}

impl<'de> Deserialize<'de> for EmailAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Shortest password that is all somebody logs in with (NIST SP 800-63B-4 §3.1.1.2).
pub const MIN_PASSWORD_CHARS: usize = 15;
/// Shortest password besides a second factor.
pub const MIN_PASSWORD_CHARS_WITH_FACTOR: usize = 8;
/// Longest password: no sentence that somebody types is longer, and hashing it takes no time.
pub const MAX_PASSWORD_CHARS: usize = 1_024;

/// Why a text can't be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoorPassword {
    /// It is too short.
    Short {
        /// So many characters at least.
        least: usize,
    },
    /// It is too long.
    Long,
}

impl fmt::Display for PoorPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { least } => write!(
                f,
                "a password has at least {least} characters; a few words that only you would put together are easy to \
                 remember"
            ),
            Self::Long => write!(f, "a password has at most {MAX_PASSWORD_CHARS} characters"),
        }
    }
}

/// Judges a password's length: characters are counted, whichever they are; nothing is asked of what it is made of.
///
/// # Errors
/// [`PoorPassword`] says what is wrong.
pub fn checked_length(password: &str, has_factor: bool) -> Result<(), PoorPassword> {
    let least = if has_factor { MIN_PASSWORD_CHARS_WITH_FACTOR } else { MIN_PASSWORD_CHARS };
    match password.chars().count() {
        count if count < least => Err(PoorPassword::Short { least }),
        count if count > MAX_PASSWORD_CHARS => Err(PoorPassword::Long),
        _ => Ok(()),
    }
}

/// Wrong passwords in a row that lock a login for a while.
pub const TRIES: u32 = 5;
/// How long it is locked then at first, seconds.
const LOCKED_SECS: i64 = 15 * 60;
/// The longest that it is locked: each time twice as long as the time before, up to this.
const MAX_LOCKED_SECS: i64 = 24 * 3_600;
/// Wrong passwords in a row after which no password is taken any more (NIST SP 800-63B-4 §3.2.2).
pub const MAX_FAILURES: u32 = 100;

/// What went wrong at a login, since it last went right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many passwords were wrong.
    pub count: u32,
    /// When the last one was.
    pub last: Option<Timestamp>,
}

impl Failures {
    /// One more.
    pub fn and_one(self, at: Timestamp) -> Self {
        Self { count: self.count.saturating_add(1), last: Some(at) }
    }

    /// Until when passwords are refused without being looked at; `None` if they are looked at.
    pub fn locked_until(self, now: Timestamp) -> Option<Locked> {
        if self.count >= MAX_FAILURES {
            return Some(Locked::ForGood);
        }
        let last = self.last?;
        if self.count == 0 || !self.count.is_multiple_of(TRIES) {
            return None;
        }
        let times = (self.count / TRIES - 1).min(16);
        let end = last.plus_secs((LOCKED_SECS << times).min(MAX_LOCKED_SECS));
        (end > now).then_some(Locked::Until(end))
    }
}

/// For how long no password is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// Until this moment.
    Until(Timestamp),
    /// Until the password is reset.
    ForGood,
}

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Seconds without a request after which one ends.
    pub idle_secs: i64,
    /// Seconds after which one ends in any case.
    pub lifetime_secs: i64,
    /// Seconds for which it counts as just proven who somebody is.
    pub proven_secs: i64,
}

/// The moments of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimes {
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, about.
    pub seen_at: Timestamp,
    /// When its holder last proved who it is.
    pub proven_at: Timestamp,
}

impl SessionTimes {
    /// When it ends if nobody uses it.
    pub fn ends_at(self, limits: &SessionLimits) -> Timestamp {
        self.seen_at.plus_secs(limits.idle_secs).min(self.created_at.plus_secs(limits.lifetime_secs))
    }

    /// Whether it lasts.
    pub fn lasts(self, limits: &SessionLimits, now: Timestamp) -> bool {
        now < self.ends_at(limits)
    }

    /// Whether its holder proved who it is just now.
    pub fn is_just_proven(self, limits: &SessionLimits, now: Timestamp) -> bool {
        now < self.proven_at.plus_secs(limits.proven_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_people_have_are_taken_in_small_letters() {
        for (text, address) in [
            ("Ada@Example.com", "ada@example.com"),
            ("a.b+tag@sub.example.co.uk", "a.b+tag@sub.example.co.uk"),
            ("jürgen@example.com", "jürgen@example.com"),
            ("root@localhost", "root@localhost"),
        ] {
            assert_eq!(text.parse::<EmailAddress>().unwrap().as_str(), address);
        }
        let long = format!("{}@example.com", "x".repeat(65));
        for none in [
            "", "@", "a@", "@b", "a b@c.d", "a@b c", "a@@b", "a@b@c", "\"a\"@b", ".a@b", "a.@b", "a..b@c", "a@-b",
            "a@b..c", "a@b.", "a\n@b", "a@b\r\n", "a<b>@c", "a,b@c", &long,
        ] {
            assert!(none.parse::<EmailAddress>().is_err(), "{none:?}");
        }
    }

    #[test]
    fn a01_passwords_are_counted_in_characters_and_asked_nothing_else() {
        let fifteen = "ääääääääääääääé";
        assert_eq!(checked_length(fifteen, false), Ok(()));
        assert_eq!(checked_length(&fifteen[2..], false), Err(PoorPassword::Short { least: 15 }));
        assert_eq!(checked_length("12345678", true), Ok(()));
        assert_eq!(checked_length("1234567", true), Err(PoorPassword::Short { least: 8 }));
        for length in [64, 65, 128, MAX_PASSWORD_CHARS] {
            assert_eq!(checked_length(&"x".repeat(length), false), Ok(()), "{length}");
        }
        assert_eq!(checked_length(&"x".repeat(MAX_PASSWORD_CHARS + 1), false), Err(PoorPassword::Long));
    }

    #[test]
    fn a04_wrong_passwords_lock_a_login_for_longer_each_time_and_at_last_for_good() {
        let at = Timestamp::from_secs(1_000_000);
        let failed = |count| Failures { count, last: Some(at) };
        for (count, minutes) in [(0, None), (4, None), (5, Some(15)), (6, None), (10, Some(30)), (15, Some(60))] {
            let locked = minutes.map(|minutes: i64| Locked::Until(at.plus_secs(minutes * 60)));
            assert_eq!(failed(count).locked_until(at), locked, "{count}");
            if let Some(minutes) = minutes {
                assert_eq!(failed(count).locked_until(at.plus_secs(minutes * 60)), None, "{count}");
            }
        }
        assert_eq!(failed(95).locked_until(at), Some(Locked::Until(at.plus_secs(MAX_LOCKED_SECS))));
        assert_eq!(failed(MAX_FAILURES).locked_until(at.plus_secs(i64::from(i32::MAX))), Some(Locked::ForGood));
        assert!(failed(4).and_one(at).locked_until(at).is_some());
        assert_eq!(failed(u32::MAX).and_one(at).count, u32::MAX);
    }

    #[test]
    fn s04_a_session_ends_when_it_is_not_used_and_in_any_case() {
        let limits = SessionLimits { idle_secs: 60, lifetime_secs: 600, proven_secs: 30 };
        let start = Timestamp::from_secs(1_000);
        let at = |secs| start.plus_secs(secs);
        let session = |seen| SessionTimes { created_at: start, seen_at: at(seen), proven_at: start };
        assert!(session(0).lasts(&limits, at(59)) && !session(0).lasts(&limits, at(60)));
        assert!(session(590).lasts(&limits, at(599)) && !session(590).lasts(&limits, at(600)));
        assert!(session(0).is_just_proven(&limits, at(29)) && !session(0).is_just_proven(&limits, at(30)));
    }
}
