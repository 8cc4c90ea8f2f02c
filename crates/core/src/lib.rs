//! The rules of Keystile, and nothing else.
//!
//! Here: keys and their text, states, restrictions, permissions, limits, decisions, canonical request targets,
//! operations, and the arithmetic of usage. Everything is a pure function over values that come in as arguments.
//!
//! Deliberately not here: IO, async, clocks, randomness, HTTP types, SQL. Those live in `keystile-store` and
//! `keystile-server`, which call this crate and never the other way round.
//!
//! Begin with [`decide`].

pub mod account;
pub mod api;
mod base62;
pub mod code;
pub mod content;
pub mod cors;
pub mod country;
pub mod credit;
pub mod decide;
pub mod facts;
pub mod id;
pub mod key;
pub mod limit;
pub mod media;
pub mod member;
pub mod metadata;
pub mod method;
pub mod name;
pub mod operation;
pub mod origin;
pub mod pattern;
pub mod permission;
pub mod plan;
pub mod policy;
pub mod proxy;
pub mod restrict;
pub mod role;
pub mod source;
pub mod target;
pub mod time;
pub mod upstream;
pub mod usage;
pub mod vocabulary;
pub mod webhook;
pub mod zone;

pub use code::Code;
