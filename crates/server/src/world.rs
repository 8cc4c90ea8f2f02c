//! The outside world as arguments: the clock and the source of randomness. Tests bring their own.

use std::time::{Instant, SystemTime};

use keystile_core::time::{Moment, Ticks, Timestamp};

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Both clocks, read together.
    fn now(&self) -> Moment;

    /// The clock that never goes back, alone.
    fn ticks(&self) -> Ticks {
        self.now().ticks
    }
}

/// Gives bytes that nobody can guess.
pub trait Entropy: Send + Sync + 'static {
    /// Fills the buffer.
    ///
    /// # Errors
    /// If the system has no randomness to give; nothing secret may then be made.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy>;
}

/// The system's random source failed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the system's random source failed; nothing secret can be made until it works again")]
pub struct NoEntropy;

/// So many random bytes.
///
/// # Errors
/// If the source fails.
pub fn random<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose ticks begin now.
    #[allow(clippy::disallowed_methods, reason = "this is the one place where the real clock enters")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

/// Ticks begin here rather than at 0, so that "a window ago" never lies before the beginning.
const FIRST_TICK: u64 = 1 << 60;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place where the real clock enters")]
    fn now(&self) -> Moment {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Moment { wall: Timestamp::from_micros(since_epoch.as_micros() as i64), ticks: self.ticks() }
    }

    fn ticks(&self) -> Ticks {
        Ticks::from_nanos(FIRST_TICK + self.start.elapsed().as_nanos() as u64)
    }
}

/// The operating system's random source (K-1: no other is used).
#[derive(Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[allow(clippy::disallowed_methods, reason = "this is the one place where real randomness enters")]
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        getrandom::fill(bytes).map_err(|_| NoEntropy)
    }
}
