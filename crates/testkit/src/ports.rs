//! Ports for processes that can't be told to take any free one.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where blocks of ports begin: below the ports that systems hand out for outgoing connections.
const FIRST_PORT: u32 = 20_000;
const PORTS: u32 = 12_000;
/// Gateway, admin, check, portal, built-in upstream.
const PORTS_OF_ONE: u16 = 5;

/// How many blocks of ports are tried.
pub(crate) const TRIES: usize = 50;

/// The first of five ports that were free a moment ago. Processes begin at different places, so that they seldom ask
/// for the same ones.
pub(crate) fn free_base() -> u16 {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let blocks = PORTS / u32::from(PORTS_OF_ONE);
    loop {
        let turn = ASKED.fetch_add(1, Ordering::Relaxed);
        let block = std::process::id().wrapping_mul(7_919).wrapping_add(turn) % blocks;
        let base = u16::try_from(FIRST_PORT + block * u32::from(PORTS_OF_ONE)).expect("it is below 32,000");
        let taken: Result<Vec<_>, _> =
            (base..base + PORTS_OF_ONE).map(|port| TcpListener::bind(("127.0.0.1", port))).collect();
        if taken.is_ok() {
            return base;
        }
    }
}
