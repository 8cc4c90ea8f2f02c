//! How long an HTTP/2 connection may keep us waiting (G-16): without a request, and with what it does not take.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::gateway::gather::write_gathered;
use crate::gateway::wire::{Alarm, Pace, Patience};

/// How often an idle connection is looked at, in parts of what it may be idle.
const LOOKS: u32 = 4;

/// Watches whether a connection is of use.
pub(super) struct Idleness {
    patience: Patience,
    begun: u64,
    /// Since when nothing is asked.
    since: Instant,
    look: Pin<Box<Sleep>>,
}

impl Idleness {
    /// A connection that has asked nothing yet.
    pub(super) fn new(patience: Patience) -> Self {
        let since = Instant::now();
        let look = Box::pin(sleep_until(since + patience.head.min(patience.idle / LOOKS)));
        Self { patience, begun: 0, since, look }
    }

    /// Ready when it was idle for too long: the first request has to come in the time of a head, the others may take
    /// longer. `begun` requests came so far.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>, begun: u64, is_idle: bool) -> Poll<()> {
        loop {
            ready!(self.look.as_mut().poll(cx));
            let now = Instant::now();
            if begun != self.begun || !is_idle {
                (self.begun, self.since) = (begun, now);
            }
            let limit = if begun == 0 { self.patience.head } else { self.patience.idle };
            if now >= self.since + limit {
                return Poll::Ready(());
            }
            let next = (now + self.patience.idle / LOOKS).min(self.since + limit);
            self.look.as_mut().reset(next);
        }
    }
}

/// A stream whose other end has to take what is sent.
pub(super) struct Patient<S> {
    stream: S,
    patience: Duration,
    pace: Pace,
    alarm: Alarm,
}

impl<S> Patient<S> {
    /// At most so long for each [`MIN_PROGRESS_BYTES`](crate::gateway::wire::patience::MIN_PROGRESS_BYTES) to be taken.
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, pace: Pace::default(), alarm: Alarm::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        let result = Pin::new(&mut me.stream).poll_write(cx, bytes);
        me.pace.wrote(result, me.patience, &mut me.alarm, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        let result = write_gathered(&mut me.stream, cx, parts);
        me.pace.wrote(result, me.patience, &mut me.alarm, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    fn patience() -> Patience {
        let seconds = Duration::from_secs;
        Patience { idle: seconds(60), head: seconds(10), body: seconds(10), write: seconds(60) }
    }

    #[tokio::test(start_paused = true)]
    async fn g16_a_connection_that_asks_nothing_is_ended_sooner_than_one_that_has_asked() {
        for (begun, limit) in [(0, 10), (3, 60)] {
            let (began, mut idleness) = (Instant::now(), Idleness::new(patience()));
            poll_fn(|cx| idleness.poll_over(cx, begun, true)).await;
            let took = began.elapsed().as_secs();
            // It is noticed when it is looked at that a request came: at most a quarter later.
            assert!((limit..=limit + 15).contains(&took), "{begun}: {took}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_call_is_never_idle() {
        let mut idleness = Idleness::new(patience());
        let waiting = poll_fn(|cx| idleness.poll_over(cx, 1, false));
        assert!(tokio::time::timeout(Duration::from_secs(600), waiting).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn g16_who_takes_nothing_is_left() {
        use tokio::io::AsyncWriteExt;
        let (near, _far) = tokio::io::duplex(16);
        let mut patient = Patient::new(near, Duration::from_secs(60));
        let began = Instant::now();
        let error = patient.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, 60));
    }

    #[tokio::test(start_paused = true)]
    async fn g16_who_takes_a_byte_now_and_then_is_left_as_well() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (near, mut far) = tokio::io::duplex(16);
        tokio::spawn(async move {
            while far.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        });
        let mut patient = Patient::new(near, Duration::from_secs(60));
        let writing = patient.write_all(&[0; 2_048]);
        let outcome = tokio::time::timeout(Duration::from_secs(600), writing).await.expect("nobody waits for ever");
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
