//! The guard between a client's socket and the HTTP/1.1 engine (SECURITY.md §4, G-1 to G-8, G-16, G-17).
//!
//! hyper is a safe parser, but it takes what a gateway must refuse: two framings at once, names with `_`, lines that
//! end with a bare LF. So every byte is read here first, by stricter rules, and only what has one meaning for every
//! reader is passed on, unchanged. What is refused is replaced by a harmless request that stands for it, so that the
//! service answers it in its turn, with a code and a request id like everything else.
//!
//! - [`framing`]: the rules, as a pure machine over bytes. `head`, `field`, `target` and `chunked` are its rooms.
//! - [`guarded`]: the stream that hyper reads and writes instead of the socket, with the limits of [`patience`].
//! - [`exchange`]: how the service learns what was refused, and how the guard learns that an answer is out.
//!
//! A connection is served like this:
//!
//! ```ignore
//! let (stream, exchanges) = wire::guard(socket, Patience::default());
//! let service = service_fn(move |request| gateway.answer(exchanges.begin(), request));
//! let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
//! let outcome = (&mut connection).await;
//! // hyper does not always do this itself: not after an error, and not if a request asked for an upgrade.
//! let _ = connection.into_parts().io.into_inner().shutdown().await;
//! ```
//!
//! hyper needs no timer then: all waiting is limited here.
//!
//! Left out on purpose: which methods, paths and hosts there are, size limits of bodies, removing hop-by-hop and
//! identity fields (the service does it before it adds its own), HTTP/2 ([`http2`](super::http2)) and TLS.

pub mod exchange;
pub mod framing;
pub mod guarded;
pub mod patience;

mod bytes;
mod chunked;
mod field;
mod head;
mod target;

#[cfg(test)]
mod tests;

use keystile_core::Code;

pub use exchange::{Exchange, Exchanges};
pub use guarded::{Guarded, guard};
pub use patience::Patience;
pub(in crate::gateway) use patience::{Alarm, Pace};
pub(super) use target::is_authority;

/// The largest head, from the request line to the empty line, both included.
pub const MAX_HEAD_BYTES: usize = keystile_core::api::MAX_HEADER_BYTES as usize;
/// The most header fields of a request. hyper takes the same number, so it never refuses one by itself.
pub const MAX_FIELDS: usize = keystile_core::api::MAX_HEADER_FIELDS as usize;

/// Why a request was not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// What it is answered with.
    pub code: Code,
    /// One sentence that says what to do. It holds nothing of the request.
    pub detail: &'static str,
    /// How much of the request can still be trusted.
    pub scope: Scope,
}

/// How much of a refused request is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Only the request target. The service gets the method and the fields as they came, with `/` as the target and
    /// without the body, so that the call can still be put down to its key.
    Target,
    /// The message: nothing of it may be believed. The service gets `GET /` with a made-up Host.
    Message,
}

impl Refused {
    const fn malformed(detail: &'static str) -> Self {
        Self { code: Code::RequestMalformed, detail, scope: Scope::Message }
    }

    const fn message(code: Code) -> Self {
        Self { code, detail: code.detail(), scope: Scope::Message }
    }
}
