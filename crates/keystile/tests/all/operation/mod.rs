//! Running it: management, commands, import, counting, crashes. The real binary, as its owners and operators meet it.
//!
//! Most tests share one installation ([`world::shared`]) and make an API, a project and keys of their own in it. Those
//! that start, stop or break a server have one to themselves. What an upstream sees of a call is in `gateway`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "all of this is tests; figures that are worth knowing are printed"
)]

mod access;
mod altered;
mod audit;
mod audit_stream;
mod backup;
mod cli;
mod cli_people;
mod compromised;
mod console;
mod counting;
mod crash;
mod credits;
mod database;
mod dev;
mod devices;
mod disk;
mod doctor;
mod encryption;
mod factors;
mod form;
mod hand_over;
mod holder;
mod import;
mod keys;
mod kinds;
mod leaks;
mod limits;
mod links;
mod login;
mod manage;
mod members;
mod metering;
mod passkeys;
mod patterns;
mod people;
mod plans;
mod privacy;
mod process;
mod providers;
mod ready;
mod recoverable;
mod requests;
mod restart;
mod roles;
mod rotation;
mod schema;
mod seeing;
mod serve;
mod simulate;
mod store_away;
mod takeover;
mod upgrade;
mod usage_webhooks;
mod verify;
mod verify_document;
mod webhooks;
mod world;
