//! The targets of an upstream: which one the next call goes to ([`choose`]), when one that fails gets rest
//! ([`Breaker`]), and what active checks make of it ([`Checks`]).
//!
//! Here is the arithmetic. What is counted, and by which clock, is the server's.

mod balance;
mod breaker;
mod checks;

pub use balance::{Load, choose};
pub use breaker::{Breaker, MAX_REST_SECS};
pub use checks::Checks;
