//! The gateway: a call comes in with a key, is decided, and goes on to its API's upstream.
//!
//! [`wire`] reads every byte of a connection before hyper does and refuses what is not sound HTTP/1.1 (SECURITY.md §4).
//! [`http2`] does the same for whoever speaks that. [`handler`] carries a call from its head to its answer: route, [`credential`], [`client`] address, decision,
//! [`headers`] rebuilt, [`via`] named, [`cors`] said, [`forward`] over the worker's [`pool`], [`body`] both ways, a `websocket` through a [`tunnel`]; `gather` writes small messages in one piece. [`serve`] joins a stream to all that, until [`ending`] says so.
//!
//! Not here: listening and threads (the binary's), decisions (`enforce`), the management API.

pub mod body;
pub mod client;
pub mod cors;
pub mod credential;
pub mod ending;
pub mod forward;
mod gather;
pub mod handler;
pub mod headers;
pub mod http2;
pub mod pool;
pub mod serve;
pub mod tunnel;
pub mod via;
mod websocket;
pub mod wire;

pub use client::TrustedProxies;
pub use ending::Ending;
pub use handler::{Caller, Protocol, Worker};
pub use pool::Pool;
pub use via::Via;
