//! The embedded engine: two SQLite files (WAL, `synchronous=FULL`) in the data folder.
//!
//! `file` is a file with its connections, `place` whether the open file still has its name, `newest` how far it had come,
//! `schema` its tables.

mod file;
mod newest;
mod place;

pub(crate) use file::{DatabaseFile, Sizes};
pub(crate) use newest::Newest;
