//! The one place of these tasks that asks for the time: how long a replay took and when its next call is due.

use std::time::Instant;

/// Now.
#[expect(clippy::disallowed_methods, reason = "these tasks measure real runs; nothing here is replayed by a test")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
