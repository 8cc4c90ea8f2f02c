//! The stream that hyper reads and writes instead of the socket.
//!
//! Bytes are read straight into hyper's buffer and judged there. Only what can't be passed on yet, the beginning of a
//! head, is moved aside until the rest of it comes.

use std::borrow::Cow;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use keystile_core::Code;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::Refused;
use super::exchange::{Exchanges, Shared, Stage};
use super::framing::{Framing, Place, Stop, Verdict};
use super::patience::{Alarm, Pace, Patience};
use crate::gateway::gather::write_gathered;

/// How much is read on top of the beginning of a head: it bounds what a connection can make us keep.
const MAX_READ_BEHIND_HEAD: usize = 16 * 1024;
/// A buffer up to this size is kept for the next head that comes in pieces.
const KEPT_BUFFER_BYTES: usize = 4 * 1024;
/// How much of what a client still sends is read and thrown away, so that it can read our answer: a socket closed with
/// unread bytes is reset, and the answer with it.
const MAX_LINGER_BYTES: usize = 64 * 1024;
/// And for how long.
const MAX_LINGER: Duration = Duration::from_secs(2);

/// Guards a stream, and gives the handle with which its service counts requests and learns of refusals.
pub fn guard<S>(stream: S, patience: Patience) -> (Guarded<S>, Exchanges) {
    let exchanges = Exchanges::default();
    let guarded = Guarded {
        stream,
        framing: Framing::new(),
        held: Vec::new(),
        ready: 0,
        given: 0,
        ending: Ending::Open,
        shared: exchanges.shared(),
        patience,
        alarm: Alarm::default(),
        wait: None,
        reading: Pace::default(),
        writing: Pace::default(),
        closing: Closing::Open,
    };
    (guarded, exchanges)
}

/// A stream of which only sound requests are read.
#[derive(Debug)]
pub struct Guarded<S> {
    stream: S,
    framing: Framing,
    /// What was read and could not be passed on when it came.
    held: Vec<u8>,
    /// So many bytes of it may be passed on by now,
    ready: usize,
    /// and so many of those were.
    given: usize,
    ending: Ending,
    shared: Arc<Shared>,
    patience: Patience,
    alarm: Alarm,
    wait: Option<(Wait, Instant)>,
    reading: Pace,
    writing: Pace,
    closing: Closing,
}

/// What is read when everything that may be passed on was.
#[derive(Debug)]
enum Ending {
    /// What comes from the client.
    Open,
    /// From `at` on, the request that stands for one that was refused.
    StandIn { request: Cow<'static, [u8]>, at: usize },
    /// Nothing: an answer to the stand-in is on its way, and an end would tell hyper that the client left. What the
    /// client still sends is thrown away, so many bytes of it.
    Deaf { left: usize },
    /// The end.
    End,
    /// An error, because a body broke off.
    Broken(io::ErrorKind),
}

/// What we wait for when nothing comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Request,
    Head,
}

#[derive(Debug)]
enum Closing {
    Open,
    Lingering { left: usize, until: Instant },
    Done,
}

impl<S: AsyncRead + Unpin> Guarded<S> {
    /// Looks at bytes that were read into `out` behind `before`, and leaves there what may be passed on.
    fn take_in(&mut self, out: &mut ReadBuf<'_>, before: usize) {
        let heads = self.framing.heads();
        if self.held.is_empty() {
            let bytes = &out.filled()[before..];
            let verdict = self.framing.judge(bytes);
            let rest = &bytes[verdict.pass..];
            if let Some(stop) = verdict.stop {
                self.end_with(stop, rest);
            } else if !rest.is_empty() {
                self.held.extend_from_slice(rest);
            }
            out.set_filled(before + verdict.pass);
        } else {
            let held = std::mem::take(&mut self.held);
            self.held = self.take_in_held(held, &out.filled()[before..]);
            out.set_filled(before);
        }
        if heads != self.framing.heads() {
            self.wait = None;
            self.reading = Pace::default();
        }
    }

    fn take_in_held(&mut self, mut held: Vec<u8>, bytes: &[u8]) -> Vec<u8> {
        held.extend_from_slice(bytes);
        let Verdict { pass, stop } = self.framing.judge(&held);
        self.ready = pass;
        if let Some(stop) = stop {
            self.end_with(stop, &held[pass..]);
            held.truncate(pass);
        }
        held
    }

    /// Passes on what was held back and is judged by now.
    fn give(&mut self, out: &mut ReadBuf<'_>) {
        let bytes = &self.held[self.given..self.ready];
        let taken = bytes.len().min(out.remaining());
        out.put_slice(&bytes[..taken]);
        self.given += taken;
        if self.given == self.ready {
            self.held.drain(..self.ready);
            self.held.shrink_to(KEPT_BUFFER_BYTES);
            (self.given, self.ready) = (0, 0);
        }
    }

    fn end_with(&mut self, stop: Stop, rest: &[u8]) {
        match stop {
            Stop::Head(refused) => {
                self.shared.refuse(self.framing.heads() + 1, Stage::Head, refused);
                self.ending = Ending::StandIn { request: self.framing.stand_in(refused, rest), at: 0 };
            }
            Stop::Body(refused) => self.end_body(refused, io::ErrorKind::InvalidData),
        }
    }

    fn end_body(&mut self, refused: Refused, kind: io::ErrorKind) {
        self.shared.refuse(self.framing.heads(), Stage::Body, refused);
        self.ending = Ending::Broken(kind);
    }

    /// Nothing comes: sees to it that we are woken when that has lasted too long. Ready if it has.
    fn wait_for_bytes(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let place = self.framing.place(&self.held);
        if place == Place::Between && self.shared.is_answering(self.framing.heads()) {
            // No deadline, and no clock to read. Nobody tells us when the answer is out: we look again now and then.
            self.wait = None;
            if !self.alarm.is_set(cx) {
                self.alarm.ring_by(cx, Instant::now() + self.look_again());
            }
            return Poll::Pending;
        }
        let now = Instant::now();
        let deadline = match place {
            Place::Between => self.waiting_since(Wait::Request, now) + self.patience.idle,
            Place::Head => self.waiting_since(Wait::Head, now) + self.patience.head,
            Place::Body => self.reading.deadline(now, self.patience.body),
            Place::Stopped => return Poll::Pending,
        };
        if now < deadline {
            self.alarm.ring_by(cx, deadline.min(now + self.look_again()));
            return Poll::Pending;
        }
        let late = Refused::message(Code::RequestTimeout);
        match place {
            Place::Between => self.ending = Ending::End,
            Place::Head => {
                self.held = Vec::new();
                self.end_with(Stop::Head(late), &[]);
            }
            Place::Body | Place::Stopped => self.end_body(late, io::ErrorKind::TimedOut),
        }
        Poll::Ready(())
    }

    /// How often a waiting connection is looked at: an idle one is noticed that much late at most.
    fn look_again(&self) -> Duration {
        self.patience.idle / 4
    }

    fn waiting_since(&mut self, wait: Wait, now: Instant) -> Instant {
        match self.wait {
            Some((same, since)) if same == wait => since,
            _ => {
                self.wait = Some((wait, now));
                now
            }
        }
    }

    /// Reads from the client into `out`, which may be much larger than what we want to keep.
    fn poll_stream(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = Pin::new(&mut self.stream);
        if self.held.is_empty() || out.remaining() <= MAX_READ_BEHIND_HEAD {
            return stream.poll_read(cx, out);
        }
        let mut part = ReadBuf::new(out.initialize_unfilled_to(MAX_READ_BEHIND_HEAD));
        ready!(stream.poll_read(cx, &mut part))?;
        let read = part.filled().len();
        out.advance(read);
        Poll::Ready(Ok(()))
    }

    /// Whether the client may have sent something that nobody read.
    fn has_unread(&self) -> bool {
        match self.ending {
            Ending::Open => !self.held.is_empty() || self.framing.place(&self.held) != Place::Between,
            Ending::StandIn { .. } | Ending::Deaf { .. } | Ending::Broken(_) => true,
            Ending::End => false,
        }
    }
}

impl<S> Guarded<S> {
    /// The stream, and all that was read of it and not used: `passed_on` before what is still held here.
    pub fn into_inner(self, passed_on: Bytes) -> (S, Bytes) {
        let held = &self.held[self.given..];
        let rest = if held.is_empty() { passed_on } else { [&*passed_on, held].concat().into() };
        (self.stream, rest)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        let before = out.filled().len();
        if out.remaining() == 0 {
            // Nothing read into no room is no end.
            return Poll::Ready(Ok(()));
        }
        loop {
            if me.ready > 0 {
                me.give(out);
                return Poll::Ready(Ok(()));
            }
            match &mut me.ending {
                Ending::Open => {}
                Ending::StandIn { request, at } => {
                    let rest = &request[*at..];
                    let taken = rest.len().min(out.remaining());
                    out.put_slice(&rest[..taken]);
                    *at += taken;
                    if *at == request.len() {
                        me.ending = Ending::Deaf { left: MAX_LINGER_BYTES };
                    }
                    return Poll::Ready(Ok(()));
                }
                Ending::Deaf { left: 0 } => return Poll::Pending,
                Ending::Deaf { left } => {
                    ready!(Pin::new(&mut me.stream).poll_read(cx, out))?;
                    let read = out.filled().len() - before;
                    out.set_filled(before);
                    // An end of what the client sends is no end of what it reads.
                    *left = if read == 0 { 0 } else { left.saturating_sub(read) };
                    continue;
                }
                Ending::End => return Poll::Ready(Ok(())),
                Ending::Broken(kind) => return Poll::Ready(Err((*kind).into())),
            }
            match me.poll_stream(cx, out) {
                Poll::Pending => ready!(me.wait_for_bytes(cx)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {
                    let read = out.filled().len() - before;
                    if read == 0 {
                        me.ending = Ending::End;
                        return Poll::Ready(Ok(()));
                    }
                    me.reading.moved(read);
                    me.take_in(out, before);
                    if out.filled().len() > before {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        let result = Pin::new(&mut me.stream).poll_write(cx, bytes);
        me.writing.wrote(result, me.patience.write, &mut me.alarm, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        let result = write_gathered(&mut me.stream, cx, parts);
        me.writing.wrote(result, me.patience.write, &mut me.alarm, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// Ends what we send, and then reads a little of what the client may still be sending.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        loop {
            match &mut me.closing {
                Closing::Open => {
                    ready!(Pin::new(&mut me.stream).poll_shutdown(cx))?;
                    me.closing = if me.has_unread() {
                        Closing::Lingering { left: MAX_LINGER_BYTES, until: Instant::now() + MAX_LINGER }
                    } else {
                        Closing::Done
                    };
                }
                Closing::Lingering { left, until } => {
                    let mut space = [0; 4 * 1024];
                    let mut waste = ReadBuf::new(&mut space);
                    match Pin::new(&mut me.stream).poll_read(cx, &mut waste) {
                        Poll::Ready(Ok(())) if waste.filled().len() < *left && !waste.filled().is_empty() => {
                            *left -= waste.filled().len();
                        }
                        Poll::Pending if Instant::now() < *until => {
                            me.alarm.ring_by(cx, *until);
                            return Poll::Pending;
                        }
                        Poll::Ready(_) | Poll::Pending => me.closing = Closing::Done,
                    }
                }
                Closing::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}
