//! Counting: every decision becomes an event, refused and unknown keys too.
//!
//! [`pending`] is a call that is being answered: it records itself when the answer is complete, or when it is dropped
//! because the client left. [`queue`] takes the event without waiting for anything. [`writer`] carries what is queued
//! to the ledger several times a second, and past the metrics on the way; what a crash can lose is what came since its
//! last batch. [`hours`] says which hours are over, for whoever tells of them.
//!
//! Not here: reading usage (`manage/usage`), the roll-ups (the ledger's).

pub mod hours;
pub mod pending;
pub mod queue;
pub mod writer;

pub use hours::Hours;
pub use pending::{Pending, Recorder};
pub use queue::{Buffer, Event, Queue};
pub use writer::Writer;
