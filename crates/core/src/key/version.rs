//! Versions of a key: a rotation gives it another text, and the one before stays good for an overlap (PRODUCT.md K7,
//! SECURITY.md K-10).
//!
//! A version that is not the latest is good until a moment that is set when the next one is made. That end can be moved,
//! earlier or later, as long as it has not come: what has ended stays ended.

use std::fmt;

use crate::time::Timestamp;

/// How long a version stays good after the next one was made, unless something else is said: a day.
pub const DEFAULT_OVERLAP_SECS: u32 = 86_400;
/// The longest overlap: a week, after which nobody looks for the last caller any more.
pub const MAX_OVERLAP_SECS: u32 = 7 * 86_400;

/// Why the end of a version can't be where it was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverlapError {
    /// The version has ended.
    Ended {
        /// When.
        at: Timestamp,
    },
    /// Longer than [`MAX_OVERLAP_SECS`] from now.
    TooLong,
}

impl fmt::Display for OverlapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { at } => write!(f, "this version ended at {at} and stays so; use the latest one"),
            Self::TooLong => write!(f, "an overlap has at most {MAX_OVERLAP_SECS} seconds, which is seven days"),
        }
    }
}

impl std::error::Error for OverlapError {}

/// Until when a version is good if the next one is made now; a whole second, as all ends are kept.
///
/// # Errors
/// [`OverlapError::TooLong`]
pub fn overlap_end(now: Timestamp, overlap_secs: u32) -> Result<Timestamp, OverlapError> {
    if overlap_secs > MAX_OVERLAP_SECS {
        return Err(OverlapError::TooLong);
    }
    Ok(now.plus_secs(overlap_secs.into()).floor_secs(1))
}

/// The new end of a version that is good until `ends_at`: so many seconds from now, 0 to end it at once.
///
/// # Errors
/// [`OverlapError`] says why it can't be moved there.
pub fn move_end(ends_at: Timestamp, now: Timestamp, overlap_secs: u32) -> Result<Timestamp, OverlapError> {
    if ends_at <= now {
        return Err(OverlapError::Ended { at: ends_at });
    }
    overlap_end(now, overlap_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    #[test]
    fn an_overlap_is_nothing_to_a_week() {
        assert_eq!(overlap_end(NOW, 0), Ok(NOW));
        assert_eq!(overlap_end(NOW, MAX_OVERLAP_SECS), Ok(NOW.plus_secs(7 * 86_400)));
        assert_eq!(overlap_end(NOW, MAX_OVERLAP_SECS + 1), Err(OverlapError::TooLong));
    }

    #[test]
    fn k10_what_has_ended_stays_ended() {
        let later = NOW.plus_secs(1);
        assert_eq!(move_end(later, NOW, 0), Ok(NOW));
        assert_eq!(move_end(later, NOW, 60), Ok(NOW.plus_secs(60)));
        assert_eq!(move_end(NOW, NOW, 60), Err(OverlapError::Ended { at: NOW }));
        assert_eq!(move_end(later, NOW, MAX_OVERLAP_SECS + 1), Err(OverlapError::TooLong));
    }
}
