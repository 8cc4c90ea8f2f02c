//! Reading the catalogue, one room a noun. Deleted rows are hidden, and every read says for which organization it is:
//! rows of another one are answered like rows that do not exist.

mod access;
pub(crate) mod accounts;
pub(crate) mod activations;
pub(crate) mod apis;
pub(crate) mod audit;
pub(crate) mod credits;
mod devices;
pub mod encryption;
mod identities;
pub(crate) mod invitations;
pub(crate) mod keys;
pub(crate) mod member_roles;
pub(crate) mod members;
mod notices;
mod numbers;
pub(crate) mod organizations;
mod passkeys;
pub(crate) mod patterns;
pub(crate) mod plans;
pub(crate) mod projects;
pub(crate) mod roles;
mod secrets;
pub(crate) mod sessions;
mod subscriptions;
pub(crate) mod webhooks;

pub use notices::Due;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use keystile_core::key::Pepper;
use keystile_core::metadata::Label;
use keystile_core::time::Timestamp;

use crate::db::{Base, Connection, Sql, Transaction, sql};
use crate::hold::{Held, Hold};
use crate::keyring::Keyring;
use crate::records::{KeyLimits, Page};
use crate::root::RootKey;
use crate::seal::Sealer;
use crate::sqlite::Newest;
use crate::{Ledger, OpenError, StoreError, StoreFault, postgres};

/// The catalogue. Cheap to clone; all clones share its connections.
#[derive(Clone)]
pub struct Catalog(pub(crate) Arc<CatalogParts>);

pub(crate) struct CatalogParts {
    pub(crate) base: Base,
    pub(crate) hold: Hold,
    /// Where it is, if not in the data folder.
    pub(crate) url: Option<postgres::Url>,
    /// What tells how far its file has come, if it is one.
    pub(crate) newest: Option<Newest>,
    pub(crate) installation: [u8; 16],
    /// The newest revision that was seen here. One that is older than this is another history.
    pub(crate) seen: AtomicU64,
    /// How many keys there may be; said once by whoever opened it.
    pub(crate) key_limits: OnceLock<KeyLimits>,
    pub(crate) root: RootKey,
    /// Whether everything was wrapped under it just now, in place of the one before it.
    pub(crate) root_changed: bool,
    /// What seals the rows that something is decided by.
    pub(crate) sealer: Sealer,
    /// Whether rows were sealed just now that had no seal, whatever they said.
    pub(crate) sealed_anew: bool,
    /// What secrets are under; another one when an encryption key is made or retired.
    pub(crate) ring: RwLock<Arc<Keyring>>,
    /// The newest first; others when one is made or retired.
    pub(crate) peppers: RwLock<Arc<Vec<Pepper>>>,
    pub(crate) warnings: Vec<String>,
}

impl CatalogParts {
    /// The keys that secrets are under, as they are now.
    pub(crate) fn ring(&self) -> Arc<Keyring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends a transaction that may have written to rows that are sealed.
    pub(crate) async fn commit(&self, mut transaction: Transaction) -> Result<(), StoreError> {
        self.sealer.seal_changes(&self.base, &mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// The newest revision, unless the store has gone back behind what it said before: then it is another one, or a copy
    /// from before, and what is known of it here would be wrong.
    pub(crate) async fn newest(&self, db: &mut Connection) -> Result<u64, StoreError> {
        // Before it is asked: what others make meanwhile is newer than the answer.
        let seen = self.seen.load(Ordering::SeqCst);
        let newest: Option<u64> = sql("SELECT max(revision) FROM revisions").fetch_number_if_any(db).await?;
        let newest = newest.unwrap_or(0);
        if newest < seen {
            let why = format!(
                "the store holds revision {newest}, and revision {seen} was seen before: an older copy is in its place, so \
                 nothing is changed; start Keystile anew to use it"
            );
            return Err(StoreError::known(StoreFault::Away, why));
        }
        self.seen.fetch_max(newest, Ordering::SeqCst);
        Ok(newest)
    }
}

impl Catalog {
    /// Sees to it that what was erased is in no file any more; whoever reads for a long time holds that up.
    ///
    /// # Errors
    /// If somebody does.
    pub async fn wipe(&self) -> Result<(), StoreError> {
        Ok(self.0.base.wipe().await?)
    }

    /// The id of this installation, sixteen random bytes made at its first start.
    pub fn installation(&self) -> [u8; 16] {
        self.0.installation
    }

    /// A key for another purpose than secrets, which stays the same for as long as there is this installation.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        self.0.ring().seed().derive(purpose)
    }

    /// Whether the root key took the place of another one, and that does not stand in the audit yet.
    pub fn root_has_changed(&self) -> bool {
        self.0.root_changed
    }

    /// The first row that is not as it was sealed, of all that are.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn first_altered(&self) -> Result<Option<String>, StoreError> {
        let mut first = None;
        let mut view = self.0.base.view().await?;
        self.0.sealer.each_altered(&mut view, true, &mut |what| first = first.take().or(Some(what))).await?;
        Ok(first)
    }

    /// Whether every row was sealed as it is, and that does not stand in the audit yet.
    pub fn was_sealed_anew(&self) -> bool {
        self.0.sealed_anew
    }

    /// Says how many keys there may be, for as long as it is open. Without it there may be any number.
    pub fn limit_keys(&self, limits: KeyLimits) {
        self.0.key_limits.get_or_init(|| limits);
    }

    /// The peppers, newest first.
    pub fn peppers(&self) -> Arc<Vec<Pepper>> {
        self.0.peppers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The one that everything new is hashed with.
    ///
    /// # Panics
    /// If there is none, which opening a store rules out.
    pub fn pepper(&self) -> Pepper {
        self.peppers().first().expect("an opened store has a pepper").clone()
    }

    /// What was found wrong when it was opened, and was no reason to refuse: permissions that are too wide, a ledger that
    /// was missing. Each was logged as well.
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// The newest revision; 0 for a new catalogue.
    pub async fn revision(&self) -> Result<u64, StoreError> {
        self.0.newest(&mut self.0.base.read().await?).await
    }

    /// Whether the catalogue can be asked and changed: its newest revision. Takes the lock that a change takes, and waits
    /// for it as long as a change would; `writes` also writes something, which finds out whether there is room.
    ///
    /// # Errors
    /// If it can't.
    pub async fn probe(&self, writes: Option<Timestamp>) -> Result<u64, StoreError> {
        self.0.base.is_in_place()?;
        let revision = self.revision().await?;
        self.0.base.try_writing(writes).await?;
        Ok(revision)
    }

    /// Lets another process write the catalogue in this one's place, and take the data. What was being changed is
    /// finished; later changes are refused. Reading goes on, and so does the ledger: counts of this process are its own.
    ///
    /// # Errors
    /// If what is being changed does not come to its end.
    pub async fn hand_over(&self, ledger: &Ledger) -> Result<(), StoreError> {
        self.0.base.pause().await?;
        self.0.hold.release();
        ledger.hold().release();
        Ok(())
    }

    /// Takes the data again, if the other process did not.
    ///
    /// # Errors
    /// If it did.
    pub async fn take_back(&self, folder: &Path, ledger: &Ledger) -> Result<(), OpenError> {
        let held = Held::take(Some(folder), self.0.url.as_ref(), self.0.base.is_lost()).await?;
        for hold in [&self.0.hold, ledger.hold()] {
            hold.take(&held);
        }
        self.0.base.resume();
        Ok(())
    }

    /// Gives back what a large import took, of SQLite up to 64 MiB of page cache and 128 MiB of WAL. For the end of an
    /// import: between its parts they are worth it.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn settle(&self) -> Result<(), StoreError> {
        Ok(self.0.base.settle().await?)
    }

    /// Ends its connections, and lets go of the data once the ledger is closed as well.
    pub async fn close(&self) {
        self.0.base.close().await;
        self.0.hold.release();
    }
}

/// Keeps only rows of exactly this name, if one is asked for. `column` is the name's, with its table.
fn push_name(query: &mut Sql<'_>, column: &'static str, name: Option<&str>) {
    // No name has a NUL, and PostgreSQL takes none.
    if name.is_some_and(|name| name.contains('\0')) {
        query.push(" AND 1 = 0");
    } else if let Some(name) = name {
        query.push(" AND ").push(column).push(" = ").push_bind(name.to_owned());
    }
}

/// Keeps only rows with this label. `column` is the list of labels, with its table.
fn push_label(query: &mut Sql<'_>, column: &'static str, label: &Label) {
    // Labels have neither quotes nor backslashes, so one stands in the list just as it does here.
    query.push(" AND replace(").push(column).push(", ").push_bind(format!("\"{}\"", label.as_str()));
    query.push(", '') <> ").push(column);
}

/// Ends a list: newest first, the part that was asked for. `number` is the column, with its table.
pub(crate) fn push_page(query: &mut Sql<'_>, number: &'static str, page: Page) {
    if let Some(before) = page.before {
        query.push(" AND ").push(number).push(" < ").push_bind(i64::from(before));
    }
    query.push(" ORDER BY ").push(number).push(" DESC LIMIT ").push_bind(i64::from(page.limit));
}
