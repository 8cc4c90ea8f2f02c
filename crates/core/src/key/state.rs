//! The states of a key, and which may follow which.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What was done to a key. Expiry is no state: it follows from the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// In use.
    Active,
    /// Switched off; can be switched on again.
    Disabled {
        /// When.
        since: Timestamp,
    },
    /// Ended for good. No source, however stale, brings it back.
    Revoked {
        /// When.
        at: Timestamp,
    },
}

/// A state without its moment: all that a decision asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// In use.
    Active,
    /// Switched off.
    Disabled,
    /// Ended for good.
    Revoked,
}

/// Why a change of state can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateError {
    /// A revoked key stays revoked.
    Revoked {
        /// Since when.
        at: Timestamp,
    },
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked { at } => write!(f, "this key was revoked at {at} and stays so; create a new one"),
        }
    }
}

impl std::error::Error for StateError {}

impl KeyState {
    /// The state without its moment.
    pub const fn standing(self) -> Standing {
        match self {
            Self::Active => Standing::Active,
            Self::Disabled { .. } => Standing::Disabled,
            Self::Revoked { .. } => Standing::Revoked,
        }
    }

    /// Switches the key off. Disabling twice keeps the first moment.
    ///
    /// # Errors
    /// If it is revoked.
    pub fn disable(self, at: Timestamp) -> Result<Self, StateError> {
        match self {
            Self::Active => Ok(Self::Disabled { since: at }),
            Self::Disabled { .. } => Ok(self),
            Self::Revoked { at } => Err(StateError::Revoked { at }),
        }
    }

    /// Switches the key on again.
    ///
    /// # Errors
    /// If it is revoked.
    pub fn enable(self) -> Result<Self, StateError> {
        match self {
            Self::Active | Self::Disabled { .. } => Ok(Self::Active),
            Self::Revoked { at } => Err(StateError::Revoked { at }),
        }
    }

    /// Ends the key. Revoking twice keeps the first moment, so a retry is answered like the first try.
    pub fn revoke(self, at: Timestamp) -> Self {
        match self {
            Self::Active | Self::Disabled { .. } => Self::Revoked { at },
            Self::Revoked { .. } => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLY: Timestamp = Timestamp::from_secs(1);
    const LATE: Timestamp = Timestamp::from_secs(2);

    #[test]
    fn nothing_follows_revoked() {
        let revoked = KeyState::Active.revoke(EARLY);
        assert_eq!(revoked.enable(), Err(StateError::Revoked { at: EARLY }));
        assert_eq!(revoked.disable(LATE), Err(StateError::Revoked { at: EARLY }));
        assert_eq!(revoked.revoke(LATE), revoked);
    }

    #[test]
    fn disabled_goes_both_ways_and_keeps_its_first_moment() {
        let disabled = KeyState::Active.disable(EARLY).unwrap();
        assert_eq!(disabled.disable(LATE), Ok(KeyState::Disabled { since: EARLY }));
        assert_eq!(disabled.enable(), Ok(KeyState::Active));
        assert_eq!(disabled.revoke(LATE), KeyState::Revoked { at: LATE });
    }
}
