//! What Keystile does: gateway, verification and management API, over the store and the rules.
//!
//! One folder a capability. [`gateway`] and [`verify`] are the hot path; both ask [`enforce`], the shell round the
//! core's decision that holds everything in memory. [`usage`] counts what they answered. [`manage`] is the management
//! API, [`setup`] makes what a new installation begins with. [`openapi`] reads owners' documents, `describe` has what our own have in common, [`ratelimit`] writes header fields. [`telemetry`] is what operators see. [`countries`] says where addresses are. [`webhooks`] and [`audit_stream`] tell of what was changed, [`mail`] writes to people, [`lifecycle`] sees to keys that end by themselves. [`problem`] is the one place where a failure becomes an answer, [`world`] where time and randomness come in.
//!
//! Not here: listening, threads, settings and commands (the binary's), SQL (the store's), rules (the core's).

pub mod audit_stream;
pub mod countries;
mod describe;
pub mod enforce;
pub mod exposure;
pub mod gateway;
pub mod identity;
pub mod lifecycle;
pub mod mail;
pub mod manage;
pub mod openapi;
pub mod problem;
pub mod ratelimit;
pub mod setup;
pub mod telemetry;
pub mod tls;
pub mod upstream;
pub mod usage;
pub mod usage_files;
pub mod verify;
pub mod webhooks;
pub mod world;
