//! How long a connection may keep us waiting (G-16), with one timer for each connection that is rarely set.
//!
//! A timer that is set and cleared for every request costs more than reading the request. So the timer is left alone
//! when a deadline moves away; when it rings early, the deadline of the moment is looked at and it is set again.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// The limits of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the first byte of a request, when no answer is on its way. It may be a quarter more.
    pub idle: Duration,
    /// For a head, from its first byte on.
    pub head: Duration,
    /// For the next [`MIN_PROGRESS_BYTES`] of a body, while we want them.
    pub body: Duration,
    /// For the next [`MIN_PROGRESS_BYTES`] of an answer to be taken, while we want to send them.
    pub write: Duration,
}

/// Less than this in the time of [`Patience`] is no progress: who sends or takes a byte now and then only wants to
/// hold the connection.
pub const MIN_PROGRESS_BYTES: usize = 1024;

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { idle: seconds(60), head: seconds(10), body: seconds(10), write: seconds(60) }
    }
}

/// How fast bytes move in one direction, while somebody waits for them.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Pace {
    /// Since when we wait.
    since: Option<Instant>,
    /// How long we waited before that, for the bytes below.
    waited: Duration,
    bytes: usize,
}

impl Pace {
    /// Bytes moved. The clock is read only if they were waited for.
    pub(super) fn moved(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= MIN_PROGRESS_BYTES {
            *self = Self::default();
        }
    }

    /// Nothing moves: until when that may last.
    pub(super) fn deadline(&mut self, now: Instant, patience: Duration) -> Instant {
        *self.since.get_or_insert(now) + patience.saturating_sub(self.waited)
    }

    /// Notes what came of writing, or sees to it that we are woken when nothing was taken for too long.
    pub(in crate::gateway) fn wrote(
        &mut self,
        result: Poll<io::Result<usize>>,
        patience: Duration,
        alarm: &mut Alarm,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(bytes)) => self.moved(bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let now = Instant::now();
                let deadline = self.deadline(now, patience);
                if now >= deadline {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                alarm.ring_by(cx, deadline);
            }
        }
        result
    }
}

/// The one timer of a connection.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// When it rings, if it is set.
    at: Option<Instant>,
}

impl Alarm {
    /// Wakes the task at the deadline, which lies ahead, or earlier.
    pub(super) fn ring_by(&mut self, cx: &mut Context<'_>, deadline: Instant) {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if self.at.is_none_or(|at| at > deadline) {
            sleep.as_mut().reset(deadline);
            self.at = Some(deadline);
        }
        if sleep.as_mut().poll(cx).is_pending() {
            return;
        }
        // It has rung, for a deadline that has moved since.
        sleep.as_mut().reset(deadline);
        self.at = Some(deadline);
        if sleep.as_mut().poll(cx).is_ready() {
            self.at = None;
            cx.waker().wake_by_ref();
        }
    }

    /// Wakes the task when the alarm rings that is already set; false if there is none.
    pub(super) fn is_set(&mut self, cx: &mut Context<'_>) -> bool {
        match (&mut self.sleep, self.at) {
            (Some(sleep), Some(_)) => {
                let set = sleep.as_mut().poll(cx).is_pending();
                if !set {
                    self.at = None;
                }
                set
            }
            _ => false,
        }
    }
}
