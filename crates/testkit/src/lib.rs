//! What tests of the whole product need: the real binary running ([`Installation`]), an upstream that remembers every
//! byte it got and answers by a script ([`Upstream`]), and clients that say exactly what a test tells them to
//! ([`raw`], [`Api`]). Tests of the store get a database server of their own ([`Postgres`]), those of
//! countries a file of addresses ([`mmdb`]), those of e-mail a server that keeps what it gets ([`Postbox`]).
//!
//! Nothing here shares code with the product: its parsers are its own and stricter, so that a test never believes a
//! message only because the product wrote it the same way. Everything blocks and every wait has an end, after which the
//! test fails: no test hangs.
//!
//! Left out on purpose: clock and entropy of tests (they stand beside the traits that they implement) and anything that
//! looks inside the server.

mod api;
mod installation;
mod message;
mod mmdb;
mod passkey;
mod ports;
mod postbox;
mod postgres;
mod provider;
pub mod raw;
pub mod tls;
mod upstream;
mod watchdog;

pub use api::Api;
pub use installation::Installation;
pub use mmdb::mmdb;
pub use passkey::Authenticator;
pub use postbox::{Postbox, Posted};
pub use postgres::Postgres;
pub use provider::{Provider, Signed, strange_key};
pub use upstream::{Recorded, Step, Upstream};

use std::time::{Duration, Instant};

/// How long anything may take that should happen at once. Generous, because a loaded machine is not a defect.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often a condition is looked at that nothing announces.
const LOOK: Duration = Duration::from_millis(5);

/// The time of the machine: what tests of real processes measure with.
#[expect(clippy::disallowed_methods, reason = "a test of a real process has no other clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Waits until something holds that nothing announces.
///
/// # Panics
/// If it does not hold in time.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "this did not come true: {what}");
        std::thread::sleep(LOOK);
    }
}
