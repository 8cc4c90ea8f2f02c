//! The embedded engine: two SQLite files (WAL, `synchronous=FULL`) in the data folder.
//!
//! `open` is the way in, `file` a file with its connections, `schema` the tables as plain SQL, `row` the way from
//! columns to types, `place` whether the open file still has its name, `fault` what a failure means. Of the catalogue, `catalog` reads by noun, `apply` changes by noun, `feed` tells nodes what they
//! must know. `ledger` keeps what was counted.
//!
//! Deliberately not here: rules. What may be done is decided before; here it is only made sure that rows belong to
//! whom they are read or changed for, and that nothing is kept in half.

mod apply;
mod catalog;
mod fault;
mod feed;
mod file;
mod ledger;
mod open;
mod place;
mod row;
mod schema;

use std::path::Path;
use std::sync::Arc;

use keystile_core::key::Pepper;
use keystile_core::time::Timestamp;

pub use ledger::Ledger;
pub(crate) use row::damaged;

use crate::{OpenError, Random, RootKey, Store, StoreError};
use file::DatabaseFile;
use open::Hold;

pub(crate) async fn open(
    folder: &Path,
    root_key: &Path,
    at: Timestamp,
    random: &mut Random<'_>,
) -> Result<Store, OpenError> {
    open::open(folder, root_key, at, random).await
}

/// The catalogue. Cheap to clone; all clones share one pool.
#[derive(Clone)]
pub struct Catalog(Arc<CatalogParts>);

struct CatalogParts {
    file: DatabaseFile,
    hold: Hold,
    installation: [u8; 16],
    root: RootKey,
    peppers: Vec<Pepper>,
    warnings: Vec<String>,
}

impl Catalog {
    /// The id of this installation, sixteen random bytes made at its first start.
    pub fn installation(&self) -> [u8; 16] {
        self.0.installation
    }

    /// The root key.
    pub fn root(&self) -> &RootKey {
        &self.0.root
    }

    /// The peppers, newest first.
    pub fn peppers(&self) -> &[Pepper] {
        &self.0.peppers
    }

    /// What was found wrong with the files when they were opened, and was no reason to refuse: permissions that are
    /// too wide, a ledger that was missing. Each was logged as well.
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// Whether the catalogue can be asked and changed: its newest revision. Takes the lock that a change takes, and waits
    /// for it as long as a change would; `writes` also writes something, which finds out whether there is room.
    ///
    /// # Errors
    /// If it can't.
    pub async fn probe(&self, writes: Option<Timestamp>) -> Result<u64, StoreError> {
        self.0.file.is_in_place()?;
        let revision = self.revision().await?;
        self.0.file.try_writing(writes).await?;
        Ok(revision)
    }

    /// Lets another process write the catalogue in this one's place, and take the folder. What was being changed is
    /// finished; later changes are refused. Reading goes on, and so does the ledger: counts of this process are its own.
    ///
    /// # Errors
    /// If what is being changed does not come to its end.
    pub async fn hand_over(&self, ledger: &Ledger) -> Result<(), StoreError> {
        self.0.file.pause().await?;
        self.0.hold.release();
        ledger.hold().release();
        Ok(())
    }

    /// Takes the folder again, if the other process did not.
    ///
    /// # Errors
    /// If it did.
    pub fn take_back(&self, folder: &Path, ledger: &Ledger) -> Result<(), OpenError> {
        open::take_again(folder, [&self.0.hold, ledger.hold()])?;
        self.0.file.resume();
        Ok(())
    }

    /// Gives back what a large import took, up to 64 MiB of page cache and 128 MiB of WAL. For the end of an import:
    /// between its parts they are worth it.
    ///
    /// # Errors
    /// If the file failed.
    pub async fn settle(&self) -> Result<(), StoreError> {
        Ok(self.0.file.settle().await?)
    }

    /// Closes the files, and lets go of the folder once the ledger is closed as well.
    pub async fn close(&self) {
        self.0.file.close().await;
        self.0.hold.release();
    }
}
