//! The shell round the core that the gateway, verification and the management API share: the same key is
//! answered in the same way wherever it is presented.
//!
//! [`engine`] takes the text of a key and the facts of a call and gives a verdict. It reads [`snapshot`], which
//! holds every key in memory ([`keys`], stored in an [`arena`]; what owners wrote on them is in [`written`]), and charges
//! [`limits`] to [`counters`] ([`subjects`] has those that are not a key's; [`leases`], calls whose end somebody else sees), and [`draws`] from [`quotas`] and [`credits`] by its project's plan ([`plans`]); [`shadow`] counts what would have been refused. [`operations`] tells calls
//! apart for counting, [`header_limits`] and [`in_flight`] bound what one API takes. [`slow`] knows keys by the slow hashes of other systems. [`feed`] keeps the snapshot current from the catalogue,
//! [`file`] saves it for the next start. [`news`] says whether it is current, which [`watch`] asks the catalogue, and
//! [`maker`] which process changes it, by [`change`].
//!
//! Not here: HTTP, SQL, usage.

pub mod arena;
pub mod change;
pub mod counters;
pub mod credits;
pub mod draws;
pub mod engine;
pub mod feed;
pub mod file;
pub mod header_limits;
pub mod in_flight;
pub mod keys;
pub mod leases;
pub mod limits;
pub mod maker;
pub mod news;
pub mod operations;
mod patterns;
pub mod plans;
pub mod quotas;
pub mod rehash;
mod roles;
pub mod shadow;
pub mod slow;
pub mod snapshot;
mod subjects;
pub mod watch;
pub mod written;
