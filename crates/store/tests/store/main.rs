//! The conformance suite: what every engine must hold, told through [`keystile_store::Store`] alone.
//!
//! A second engine is one line in [`world::ENGINES`]. Two organizations are in every world, so that a test that forgets
//! whose rows it reads fails. What concerns SQLite's files alone is in `files` and `tampering`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "all of this is tests; the helper process answers on stdout"
)]

mod access;
mod activations;
mod audit;
mod backups;
mod capacity;
mod changes;
mod checks;
mod conditions;
mod crash;
mod credits;
mod encryption;
mod erasure;
mod feed;
mod files;
mod flips;
mod idempotency;
mod identities;
mod import;
mod kept;
mod last_use;
mod ledger;
mod links;
mod moving;
mod notices;
mod passkeys;
mod patterns;
mod people;
mod peppers;
mod places;
mod plans;
mod requests;
mod roles;
mod seals;
mod secrets;
mod seeing;
mod slow;
mod surveys;
mod tampering;
mod tenancy;
mod texts;
mod uses;
mod versions;
mod webhooks;
mod world;
