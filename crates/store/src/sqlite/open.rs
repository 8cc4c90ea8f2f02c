//! Opening an installation: its folder, its lock, its root key, its two files, in this order.
//!
//! At a first start the root key file is on disk before anything is wrapped under it; a crash in between leaves a root
//! key without data, which the next start takes over. Data without its root key is never touched.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use keystile_core::key::{Pepper, PepperSecret};
use keystile_core::time::Timestamp;
use sqlx::{Row, SqliteConnection};
use zeroize::Zeroizing;

use super::fault::told;
use super::file::{DatabaseFile, Sizes};
use super::row::signed;
use super::{Catalog, CatalogParts, Ledger, schema};
use crate::root::exposed;
use crate::{OpenError, Random, RootKey, RootKeyError, Store};

/// The catalogue's file in the data folder.
const CATALOG_FILE: &str = "catalog.db";
/// The ledger's file in the data folder.
const USAGE_FILE: &str = "usage.db";
/// An import touches pages of the digests' index at random, so the catalogue's writer gets 64 MiB of cache and 128 MiB of
/// WAL. Small changes never fill either.
const CATALOG_SIZES: Sizes = Sizes { cache_kib: 64 << 10, checkpoint_pages: 32_768 };
/// Batches and counts go to the ends of their tables: 4 MiB of cache and 16 MiB of WAL.
const USAGE_SIZES: Sizes = Sizes { cache_kib: 4 << 10, checkpoint_pages: 4_096 };
/// The file whose lock says that the folder is in use. The system frees the lock when the process ends, however it does.
const LOCK_FILE: &str = "keystile.lock";

/// One half of the hold on a data folder: catalogue and ledger each keep one, and the folder is free when both let go.
pub(super) struct Hold(Mutex<Option<Arc<File>>>);

impl Hold {
    fn of(lock: &Arc<File>) -> Self {
        Self(Mutex::new(Some(Arc::clone(lock))))
    }

    /// Lets go.
    pub(super) fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn take(&self, lock: &Arc<File>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(lock));
    }
}

pub(super) async fn open(
    folder: &Path,
    root_key: &Path,
    at: Timestamp,
    random: &mut Random<'_>,
) -> Result<Store, OpenError> {
    let name = folder.display().to_string();
    let unreadable =
        |cause: &dyn std::fmt::Display| OpenError::Unreadable { folder: name.clone(), cause: cause.to_string() };

    let (catalog_path, usage_path) = (folder.join(CATALOG_FILE), folder.join(USAGE_FILE));
    let holds_data = || catalog_path.try_exists().map_err(|error| unreadable(&error));
    // Asked before the folder is made or anything else is: without its root key, data is left exactly as it is.
    if holds_data()? {
        RootKey::load(root_key)?;
    } else if usage_path.try_exists().map_err(|error| unreadable(&error))? {
        return Err(OpenError::CatalogMissing { folder: name });
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| unreadable(&error))?;
    let lock = Arc::new(lock(folder)?);
    // Asked again, now that nobody else can make any.
    let root = if holds_data()? { RootKey::load(root_key)? } else { RootKey::load_or_make(root_key, random)? };
    let had_usage = usage_path.try_exists().map_err(|error| unreadable(&error))?;

    let catalog = DatabaseFile::open(&catalog_path, CATALOG_SIZES).await.map_err(|error| unreadable(&told(&error)))?;
    let filled = fill_catalog(&catalog, &name, root_key, &root, at, random).await;
    let (installation, peppers, is_new) = match filled {
        Ok(filled) => filled,
        Err(error) => {
            catalog.close().await;
            return Err(error);
        }
    };

    let mut warnings: Vec<String> =
        [folder, root_key, &catalog_path, &usage_path].into_iter().filter_map(exposed).collect();
    if !is_new && !had_usage {
        warnings.push(format!("{} is missing; usage is counted from zero", usage_path.display()));
    }
    for warning in &warnings {
        tracing::warn!("{warning}");
    }

    let usage = DatabaseFile::open(&usage_path, USAGE_SIZES).await.map_err(|error| unreadable(&told(&error)))?;
    if let Err(error) = fill_usage(&usage, &name, installation).await {
        usage.close().await;
        catalog.close().await;
        return Err(error);
    }
    for file in [&catalog, &usage] {
        file.remember_place().map_err(|error| unreadable(&error))?;
    }
    // A file that was just made is only safe when its name in the folder is.
    sync_folder(folder).map_err(|error| unreadable(&error))?;

    let parts = CatalogParts { file: catalog, hold: Hold::of(&lock), installation, root, peppers, warnings };
    Ok(Store { catalog: Catalog(Arc::new(parts)), ledger: Ledger::new(usage, Hold::of(&lock)) })
}

/// Takes the lock of a folder again that was let go.
pub(super) fn take_again(folder: &Path, holds: [&Hold; 2]) -> Result<(), OpenError> {
    let lock = Arc::new(lock(folder)?);
    holds.into_iter().for_each(|hold| hold.take(&lock));
    Ok(())
}

/// Takes the folder's lock.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let name = folder.display().to_string();
    let unreadable = |cause: std::io::Error| OpenError::Unreadable { folder: name.clone(), cause: cause.to_string() };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(folder.join(LOCK_FILE))
        .map_err(unreadable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { folder: name }),
        Err(TryLockError::Error(cause)) => Err(unreadable(cause)),
    }
}

/// Checks the catalogue against the root key, brings its tables up to date, and fills a new one.
async fn fill_catalog(
    file: &DatabaseFile,
    folder: &str,
    root_key: &Path,
    root: &RootKey,
    at: Timestamp,
    random: &mut Random<'_>,
) -> Result<([u8; 16], Vec<Pepper>, bool), OpenError> {
    let unreadable = |error: sqlx::Error| OpenError::Unreadable { folder: folder.to_owned(), cause: told(&error) };
    let mut db = file.write().await.map_err(unreadable)?;
    let seen = refuse_newer(&mut db, folder, schema::CATALOG).await?;
    if seen > 0 {
        let installation = read_meta(&mut db, "installation").await.map_err(unreadable)?;
        let check: [u8; 32] = read_meta(&mut db, "root_check").await.map_err(unreadable)?;
        if check != root.check(&installation) {
            return Err(RootKeyError::Wrong { path: root_key.to_owned() }.into());
        }
    }
    schema::migrate(&mut db, schema::CATALOG).await.map_err(unreadable)?;
    if seen == 0 {
        let mut installation = [0; 16];
        random(&mut installation)?;
        let mut secret = Zeroizing::new([0; 32]);
        random(secret.as_mut_slice())?;
        let secret = PepperSecret::new(*secret);
        let wrapped = root.wrap_pepper(&secret, &installation, 1, random)?;
        write_meta(&mut db, "installation", &installation).await.map_err(unreadable)?;
        write_meta(&mut db, "root_check", &root.check(&installation)).await.map_err(unreadable)?;
        sqlx::query("INSERT INTO peppers (version, wrapped, created_at) VALUES (1, ?, ?)")
            .bind(wrapped)
            .bind(at.as_micros())
            .execute(&mut *db)
            .await
            .map_err(unreadable)?;
    }
    let installation = read_meta(&mut db, "installation").await.map_err(unreadable)?;
    let rows = sqlx::query("SELECT version, wrapped FROM peppers ORDER BY version DESC")
        .fetch_all(&mut *db)
        .await
        .map_err(unreadable)?;
    let mut peppers = Vec::new();
    for row in rows {
        let version: u32 = row.try_get(0).map_err(unreadable)?;
        let wrapped: &[u8] = row.try_get(1).map_err(unreadable)?;
        let secret = root.unwrap_pepper(wrapped, &installation, version).ok_or_else(|| OpenError::Unreadable {
            folder: folder.to_owned(),
            cause: format!("pepper {version} was altered; restore catalog.db from your backup"),
        })?;
        peppers.push(Pepper::new(version, &secret));
    }
    db.commit().await.map_err(unreadable)?;
    Ok((installation, peppers, seen == 0))
}

/// Brings the ledger's tables up to date, and ties a new ledger to its catalogue.
async fn fill_usage(file: &DatabaseFile, folder: &str, installation: [u8; 16]) -> Result<(), OpenError> {
    let unreadable = |error: sqlx::Error| OpenError::Unreadable { folder: folder.to_owned(), cause: told(&error) };
    let mut db = file.write().await.map_err(unreadable)?;
    let seen = refuse_newer(&mut db, folder, schema::USAGE).await?;
    if seen > 0 && installation != read_meta::<16>(&mut db, "installation").await.map_err(unreadable)? {
        return Err(OpenError::Mismatch { folder: folder.to_owned() });
    }
    schema::migrate(&mut db, schema::USAGE).await.map_err(unreadable)?;
    if seen == 0 {
        write_meta(&mut db, "installation", &installation).await.map_err(unreadable)?;
    }
    db.commit().await.map_err(unreadable)
}

async fn refuse_newer(db: &mut SqliteConnection, folder: &str, steps: &[&str]) -> Result<i64, OpenError> {
    let found = schema::version(db)
        .await
        .map_err(|error| OpenError::Unreadable { folder: folder.to_owned(), cause: told(&error) })?;
    let known = signed(steps.len() as u64);
    if found > known { Err(OpenError::Newer { folder: folder.to_owned(), found, known }) } else { Ok(found) }
}

async fn read_meta<const N: usize>(db: &mut SqliteConnection, name: &str) -> Result<[u8; N], sqlx::Error> {
    let value: Vec<u8> = sqlx::query_scalar("SELECT value FROM meta WHERE name = ?").bind(name).fetch_one(db).await?;
    value.try_into().map_err(|_| sqlx::Error::Decode(format!("meta.{name} has another length").into()))
}

async fn write_meta(db: &mut SqliteConnection, name: &str, value: &[u8]) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO meta (name, value) VALUES (?, ?)").bind(name).bind(value).execute(db).await?;
    Ok(())
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    fs::File::open(folder)?.sync_all()
}
