//! The hold on an installation: as long as a process has it, no other one opens the same data.
//!
//! It is the lock of a file in the data folder, and of a database that others can reach as well a lock there. Neither
//! outlives the process that has it, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use crate::OpenError;
use crate::postgres;

/// The file whose lock says that the folder is in use. The system frees the lock when the process ends, however it does.
const LOCK_FILE: &str = "keystile.lock";

/// One half of a hold: catalogue and ledger each keep one, and the installation is free when both let go.
pub(crate) struct Hold(Mutex<Option<Arc<Held>>>);

/// What is held.
pub(crate) struct Held {
    _folder: Option<File>,
    _database: Option<postgres::Lock>,
}

impl Held {
    /// Takes the folder, and the database, if there is one. While another process has the database after all, `is_lost` is
    /// set.
    pub(crate) async fn take(
        folder: Option<&Path>,
        database: Option<&postgres::Url>,
        is_lost: &Arc<AtomicBool>,
    ) -> Result<Arc<Self>, OpenError> {
        let folder = folder.map(lock).transpose()?;
        let database = match database {
            Some(url) => Some(postgres::Lock::take(url, is_lost).await?),
            None => None,
        };
        Ok(Arc::new(Self { _folder: folder, _database: database }))
    }
}

impl Hold {
    pub(crate) fn of(held: &Arc<Held>) -> Self {
        Self(Mutex::new(Some(Arc::clone(held))))
    }

    /// Lets go.
    pub(crate) fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Takes it again.
    pub(crate) fn take(&self, held: &Arc<Held>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(held));
    }
}

/// Takes the folder's lock.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let unreadable = |cause: std::io::Error| OpenError::unreadable(folder.display(), cause);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(folder.join(LOCK_FILE))
        .map_err(unreadable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { folder: folder.display().to_string() }),
        Err(TryLockError::Error(cause)) => Err(unreadable(cause)),
    }
}
