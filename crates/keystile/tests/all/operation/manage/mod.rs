//! The management API: resources, lists, rights, refusals, repetition, and the document that describes it.
//!
//! What holds for every route is generated from `/openapi.json`, so that a route that comes tomorrow is tested too.

mod bodies;
mod bulk;
mod changes;
mod conditions;
mod document;
mod idempotency;
mod lists;
mod resources;
mod rights;
pub(super) mod routes;
