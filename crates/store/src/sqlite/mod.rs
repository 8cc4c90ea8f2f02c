//! The embedded engine: two SQLite files (WAL, `synchronous=FULL`) in the data folder.
//!
//! `file` is a file with its connections, `place` whether the open file still has its name, `schema` its tables.

mod file;
mod place;

pub(crate) use file::{DatabaseFile, Sizes};
