//! Everything that Keystile keeps: the catalogue (organizations, APIs, projects, activations, keys, webhooks), the audit
//! chain, the revisions that nodes learn from, what is to be delivered to webhooks, and the usage ledger.
//!
//! [`Catalog`] has one door for writing, [`Catalog::apply`]: a [`Change`] becomes rows, an audit entry and a revision
//! in one transaction, so none of the three can be forgotten. [`Ledger`] keeps what was counted, in a file of its own.
//! Both are opened together by [`Store::open`], with the root key ([`RootKeys`]) that wraps the
//! keys that secrets are encrypted under.
//!
//! SQL exists nowhere else. Not here: HTTP, decisions, clocks, randomness (moments and random bytes are arguments).

mod apply;
mod audit;
pub mod backup;
mod catalog;
pub mod change;
pub mod check;
pub mod cipher;
mod condition;
pub mod copy;
mod db;
pub mod deliveries;
mod feed;
pub mod hand_over;
mod hold;
mod keyring;
mod ledger;
mod open;
mod packed;
pub mod postgres;
pub mod records;
pub mod root;
mod schema;
mod seal;
pub mod secret;
mod sqlite;
pub mod survey;
mod tables;
pub mod upkeep;
pub mod usage;

use std::path::Path;

use keystile_core::time::Timestamp;

pub use catalog::encryption;
pub use catalog::{Catalog, Due};
pub use change::{Actor, Applied, ApplyError, Author, Change, Idempotency, PasswordBy, Subject, Who};
pub use condition::{Conditions, Expected, Stated, Tag, Thing, ThingId};
pub use keyring::NewEncryptionKey;
pub use ledger::{
    Amount, Billed, BilledUsage, CreditEntriesOf, CreditMove, CreditMoved, Difference, EntryName, EntrySaid, EventName,
    EventsAt, GrantTaken, KeptEvent, KeptRequest, Ledger, LoggedRequest, NewUsage, NotMoved, NotRecorded,
    RecordedUsage, Recount, RequestDoor, RequestsAt, RequestsOf, RequestsPage, RequestsQuery, Room, Taken, Taking,
    UsagePlace, Use,
};
pub use records::History;
pub use root::{RootKeyError, RootKeys, RootSource};
pub use usage::{
    AddressUse, EndUserUse, FacetUse, GroupBy, LabelRow, OperationRow, OperationsQuery, Order, UsageQuery, UsageRow,
    VersionUse,
};

/// The two files of an installation, opened.
pub struct Store {
    /// What is known.
    pub catalog: Catalog,
    /// What was counted.
    pub ledger: Ledger,
}

/// Random bytes from outside; `Err` if the source failed.
pub type Random<'a> = dyn FnMut(&mut [u8]) -> Result<(), OpenError> + Send + 'a;

/// The store could not do what was asked: its disk, its file or its lock failed. Outsiders hear nothing of the cause.
#[derive(Debug, thiserror::Error)]
#[error("the store failed")]
pub struct StoreError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

/// What a failure of the store means to whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// The disk is full. It works again when there is room.
    Full,
    /// The store can't be asked at the moment: its file is gone or held by another program, or its disk fails.
    Away,
    /// What is kept, or what was asked, makes no sense to it.
    Broken,
}

/// Why an installation can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The root key is missing, unreadable, malformed, or belongs to another installation (C-9).
    #[error(transparent)]
    Root(#[from] RootKeyError),
    /// The data was written by a newer version.
    #[error(
        "the data in {folder} was written by a newer version of Keystile (schema {found}, this one knows {known}); start the newer version"
    )]
    Newer {
        /// The data folder.
        folder: String,
        /// The schema of the data.
        found: u32,
        /// The newest schema that this version knows.
        known: u32,
    },
    /// The two files do not belong together.
    #[error(
        "{folder}/usage.db belongs to another installation than {folder}/catalog.db; restore both from the same backup"
    )]
    Mismatch {
        /// The data folder.
        folder: String,
    },
    /// There are counts and no catalogue: it was lost, and a new one would be another installation.
    #[error(
        "{folder}/catalog.db is missing, and {folder}/usage.db is there; restore both from the same backup, or move usage.db away to begin anew"
    )]
    CatalogMissing {
        /// The data folder.
        folder: String,
    },
    /// The file is damaged, or something else than Keystile has written to it.
    #[error(
        "{what} in {folder} is not as Keystile wrote it: the file is damaged, or something else has written to it. keystile \
         db check names all that is so; put back a backup, or look at it and take it as it is with keystile db seal"
    )]
    Altered {
        /// The data folder, or the database.
        folder: String,
        /// The first that was found.
        what: String,
    },
    /// There is a trigger or the like that Keystile did not make: what it does would be done in its own changes.
    #[error(
        "{name:?} in {folder}, a trigger, rule, function or view, was not made by Keystile, and what it does would be done within \
         Keystile's own changes; find out whose it is, drop it, and run keystile db check"
    )]
    Strange {
        /// The data folder, or the database.
        folder: String,
        /// Its name.
        name: String,
    },
    /// The store has gone back behind what was acknowledged.
    #[error(
        "{file} holds change {found}, and change {newest} was made: its log of changes is damaged or missing, and what was \
         acknowledged would be lost, revocations too. Put back a backup; or, if you put an older copy there yourself, remove \
         {beside}"
    )]
    Behind {
        /// The file that is behind.
        file: String,
        /// The last change in it.
        found: u64,
        /// The last change that was made.
        newest: u64,
        /// The file that tells so.
        beside: String,
    },
    /// The folder is in use by another process.
    #[error("the data folder {folder} is in use by another Keystile process; stop it first")]
    InUse {
        /// The data folder.
        folder: String,
    },
    /// The database is in use by another process.
    #[error("the database {database} is in use by another Keystile process; stop it first")]
    DatabaseInUse {
        /// The database, without its password.
        database: String,
    },
    /// The system's random source failed.
    #[error("the system's random source failed")]
    NoEntropy,
    /// The file can't be opened or read.
    #[error("the data in {folder} can't be opened: {cause}")]
    Unreadable {
        /// The data folder.
        folder: String,
        /// What the system said.
        cause: String,
    },
}

impl OpenError {
    pub(crate) fn unreadable(place: impl std::fmt::Display, cause: impl std::fmt::Display) -> Self {
        Self::Unreadable { folder: place.to_string(), cause: cause.to_string() }
    }
}

impl Store {
    /// Opens the installation in `folder`, or makes a new one there if the folder is missing or holds none.
    ///
    /// A new installation gets a root key file if the root key is to be in one and there is none yet. Over existing data a
    /// root key is never made: if it is missing or another one, this refuses (C-9). Data that is under the previous root key
    /// is wrapped anew under the current one.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong and what to do.
    pub async fn open(
        folder: &Path,
        root_keys: impl Into<RootKeys>,
        at: Timestamp,
        random: &mut Random<'_>,
    ) -> Result<Self, OpenError> {
        open::in_folder(folder, &root_keys.into(), at, random).await
    }

    /// Opens the installation in a PostgreSQL database, or makes a new one there if it holds none. The folder is for what
    /// a process has for itself alone, and for nobody else meanwhile.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_database(
        url: &postgres::Url,
        folder: &Path,
        root_keys: impl Into<RootKeys>,
        at: Timestamp,
        random: &mut Random<'_>,
    ) -> Result<Self, OpenError> {
        open::in_database(url, folder, &root_keys.into(), at, random).await
    }
}
