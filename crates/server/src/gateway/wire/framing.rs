//! How far the bytes of a connection may be passed on: a pure machine, without IO or time.
//!
//! Nothing of a head is passed on before all of it was judged. Of a body every sound byte is: hyper reads the same
//! framing from the same head, and a body that breaks off is an error to it as well.

use std::borrow::Cow;

use super::chunked::{self, Chunked};
use super::head::{self, BodyFraming, Head};
use super::{Refused, Scope};

/// What stands for a message of which nothing can be believed.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// The reading of one connection.
#[derive(Debug)]
pub struct Framing {
    state: State,
    head: Head,
    heads: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Length(u64),
    Chunked(Chunked),
    Stopped,
}

/// What was found in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// So many of them may be passed on.
    pub pass: usize,
    /// What is wrong with what follows; nothing is passed on any more.
    pub stop: Option<Stop>,
}

/// Something that is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A head: the request must be answered with this.
    Head(Refused),
    /// The body of the last head that was passed on breaks off.
    Body(Refused),
}

/// What comes next on the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A request, of which nothing has come.
    Between,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// Nothing: something was refused.
    Stopped,
}

impl Default for Framing {
    fn default() -> Self {
        Self::new()
    }
}

impl Framing {
    /// The beginning of a connection.
    pub fn new() -> Self {
        Self { state: State::Head, head: Head::default(), heads: 0 }
    }

    /// How many heads were passed on.
    pub fn heads(&self) -> u64 {
        self.heads
    }

    /// What comes next, where `rest` are the bytes that have come and could not be passed on.
    pub fn place(&self, rest: &[u8]) -> Place {
        match self.state {
            State::Head if self.head.has_begun(rest) => Place::Head,
            State::Head => Place::Between,
            State::Length(_) | State::Chunked(_) => Place::Body,
            State::Stopped => Place::Stopped,
        }
    }

    /// Judges what has come. `bytes` begin behind the last one that was passed on: what is not passed on comes again
    /// the next time, with more behind it.
    pub fn judge(&mut self, bytes: &[u8]) -> Verdict {
        let mut pass = 0;
        while pass < bytes.len() {
            let rest = &bytes[pass..];
            match &mut self.state {
                State::Head => match self.head.read(rest) {
                    head::Progress::More => break,
                    head::Progress::Done(length, framing) => {
                        pass += length;
                        self.heads += 1;
                        self.head = Head::default();
                        self.state = match framing {
                            BodyFraming::Length(0) => State::Head,
                            BodyFraming::Length(length) => State::Length(length),
                            BodyFraming::Chunked => State::Chunked(Chunked::new()),
                        };
                    }
                    head::Progress::Refused(refused) => return self.stop(pass, Stop::Head(refused)),
                },
                State::Length(remaining) => {
                    let here = rest.len();
                    let taken = usize::try_from(*remaining).map_or(here, |remaining| remaining.min(here));
                    pass += taken;
                    *remaining -= taken as u64;
                    if *remaining == 0 {
                        self.state = State::Head;
                    }
                }
                State::Chunked(body) => match body.read(rest) {
                    chunked::Progress::More => pass += rest.len(),
                    chunked::Progress::Done(length) => {
                        pass += length;
                        self.state = State::Head;
                    }
                    chunked::Progress::Broken(length, detail) => {
                        return self.stop(pass + length, Stop::Body(Refused::malformed(detail)));
                    }
                },
                State::Stopped => break,
            }
        }
        Verdict { pass, stop: None }
    }

    /// The request that stands for the refused head that `rest` begins with.
    pub fn stand_in(&self, refused: Refused, rest: &[u8]) -> Cow<'static, [u8]> {
        match refused.scope {
            Scope::Target => self.head.with_plain_target(rest).map_or(Cow::Borrowed(STAND_IN), Cow::Owned),
            Scope::Message => Cow::Borrowed(STAND_IN),
        }
    }

    fn stop(&mut self, pass: usize, stop: Stop) -> Verdict {
        self.state = State::Stopped;
        Verdict { pass, stop: Some(stop) }
    }
}
