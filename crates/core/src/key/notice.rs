//! What is told of a key before and when something happens to it by itself: that it is about to end, that a former version
//! has ended, that it should be rotated (PRODUCT.md K7, K8), that nobody uses it (K9).
//!
//! Each is told once. Nothing here changes what a key may do.

use crate::time::Timestamp;

/// Days before its end, or before it is to be rotated, at which a key's owner is told; the longest first. A key that lives
/// for less than twice as long is not warned of: whoever makes one for a week knows that.
pub const WARNING_DAYS: [u16; 2] = [14, 3];

/// Something to tell of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyNotice {
    /// It ends within so many days.
    Expiring {
        /// When.
        ends_at: Timestamp,
        /// One of [`WARNING_DAYS`].
        days: u16,
    },
    /// It has ended.
    Expired {
        /// When.
        ended_at: Timestamp,
    },
    /// A version that is not the latest has ended.
    VersionEnded {
        /// Which one.
        version: u16,
        /// When.
        ended_at: Timestamp,
    },
    /// Its latest version is as old as its API's owner wants versions to become, or will be within so many days.
    RotationDue {
        /// Which version.
        version: u16,
        /// When it is due.
        due_at: Timestamp,
        /// One of [`WARNING_DAYS`], or 0 for now.
        days: u16,
    },
    /// It was not used for so many days.
    Unused {
        /// Since when; when it was made, if it never was.
        since: Timestamp,
        /// The days that its API's owner allows.
        days: u32,
    },
}

impl KeyNotice {
    /// The word for the event.
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Expiring { .. } => "key.expiring",
            Self::Expired { .. } => "key.expired",
            Self::VersionEnded { .. } => "key.version_ended",
            Self::RotationDue { .. } => "key.rotation_due",
            Self::Unused { .. } => "key.unused",
        }
    }

    /// What tells it from others of the same key: a kind, and what it is about. A second one with the same is the same.
    pub const fn identity(&self) -> (&'static str, i64) {
        match self {
            Self::Expiring { ends_at, days: 14 } => ("expiring_14", ends_at.as_micros()),
            Self::Expiring { ends_at, .. } => ("expiring_3", ends_at.as_micros()),
            Self::Expired { ended_at } => ("expired", ended_at.as_micros()),
            Self::VersionEnded { version, .. } => ("version_ended", *version as i64),
            Self::RotationDue { version, days: 14, .. } => ("rotation_due_14", *version as i64),
            Self::RotationDue { version, days: 3, .. } => ("rotation_due_3", *version as i64),
            Self::RotationDue { version, .. } => ("rotation_due", *version as i64),
            Self::Unused { since, .. } => ("unused", since.as_micros()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_notices_are_taken_for_one() {
        let at = Timestamp::from_secs(5);
        let all = [
            KeyNotice::Expiring { ends_at: at, days: 14 },
            KeyNotice::Expiring { ends_at: at, days: 3 },
            KeyNotice::Expired { ended_at: at },
            KeyNotice::VersionEnded { version: 1, ended_at: at },
            KeyNotice::VersionEnded { version: 2, ended_at: at },
            KeyNotice::RotationDue { version: 2, due_at: at, days: 14 },
            KeyNotice::RotationDue { version: 2, due_at: at, days: 3 },
            KeyNotice::RotationDue { version: 2, due_at: at, days: 0 },
            KeyNotice::Unused { since: at, days: 9 },
        ];
        let identities: std::collections::HashSet<_> = all.iter().map(KeyNotice::identity).collect();
        assert_eq!(identities.len(), all.len());
    }
}
