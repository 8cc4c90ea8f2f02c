//! The gateway: a call comes in with a key, is decided, and goes on to its API's upstream.
//!
//! [`wire`] reads every byte of an HTTP/1.1 connection before hyper does and refuses what is not sound (SECURITY.md §4);
//! [`http2`] judges the requests of clients that speak that. [`handler`] carries a call of a
//! [`Caller`] from its head to its answer:
//! route, [`credential`] (and `strays`, keys where none belongs), [`client`] address, decision, then `onward` (with
//! [`headers`] rebuilt and [`via`] named) it goes by [`forward`] over the worker's [`pool`] (as a `lease`), [`body`] both
//! ways, no longer than `pauses` allows and of no type but those that `content` lets pass (`source` says where it comes from), or after an `upgrade` through
//! a [`tunnel`]. `refusal` is the gateway's own answer (for `grpc` in its form), [`cors`] what pages are told in any.
//! `gather` writes small messages in one piece. [`serve`] joins a stream to all that, until [`ending`] says so.
//!
//! Not here: listening and threads (the binary's), decisions (`enforce`), the management API.

pub mod body;
mod caller;
pub mod client;
mod content;
pub mod cors;
pub mod credential;
pub mod ending;
pub mod forward;
mod gather;
mod grpc;
pub mod handler;
pub mod headers;
pub mod http2;
mod lease;
mod onward;
mod pauses;
pub mod pool;
mod refusal;
pub mod serve;
pub(crate) mod source;
mod strays;
pub mod tunnel;
mod upgrade;
pub mod via;
pub mod wire;

pub use caller::{Caller, Protocol};
pub use client::TrustedProxies;
pub use ending::Ending;
pub use handler::Worker;
pub(crate) use onward::below;
pub use pauses::Pauses;
pub use pool::Pool;
pub use via::Via;
