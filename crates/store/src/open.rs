//! Opening an installation: its folder, its hold, its root key, its catalogue and its ledger, in this order.
//!
//! At a first start the root key file is on disk before anything is wrapped under it; a crash in between leaves a root
//! key without data, which the next start takes over. Data without its root key is never touched.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use keystile_core::key::{Pepper, PepperSecret};
use keystile_core::time::Timestamp;
use zeroize::Zeroizing;

use crate::catalog::CatalogParts;
use crate::db::{Base, Columns, Connection, Engine, damaged, sql, told};
use crate::hold::{Held, Hold};
use crate::postgres::{Database, Part, Url};
use crate::root::exposed;
use crate::schema::{self, Steps};
use crate::sqlite::{DatabaseFile, Sizes};
use crate::upkeep::Kept;
use crate::{Catalog, Ledger, OpenError, Random, RootKey, RootKeyError, Store, StoreError};

/// The catalogue's file in the data folder.
const CATALOG_FILE: &str = "catalog.db";
/// The ledger's file in the data folder.
const USAGE_FILE: &str = "usage.db";
/// An import touches pages of the digests' index at random, so the catalogue's writer gets 64 MiB of cache and 128 MiB of
/// WAL. Small changes never fill either.
const CATALOG_SIZES: Sizes = Sizes { cache_kib: 64 << 10, checkpoint_pages: 32_768, wipes: true };
/// Batches and counts go to the ends of their tables: 4 MiB of cache and 16 MiB of WAL.
const USAGE_SIZES: Sizes = Sizes { cache_kib: 4 << 10, checkpoint_pages: 4_096, wipes: false };
/// Opens the installation in a folder.
pub(crate) async fn in_folder(
    folder: &Path,
    root_key: &Path,
    at: Timestamp,
    random: &mut Random<'_>,
) -> Result<Store, OpenError> {
    let name = folder.display().to_string();
    let unreadable = |cause: &dyn std::fmt::Display| OpenError::unreadable(&name, cause);

    let (catalog_path, usage_path) = (folder.join(CATALOG_FILE), folder.join(USAGE_FILE));
    let holds_data = || catalog_path.try_exists().map_err(|error| unreadable(&error));
    // Asked before the folder is made or anything else is: without its root key, data is left exactly as it is.
    if holds_data()? {
        RootKey::load(root_key)?;
    } else if usage_path.try_exists().map_err(|error| unreadable(&error))? {
        return Err(OpenError::CatalogMissing { folder: name });
    }
    make_folder(folder)?;
    let is_lost = Arc::default();
    let held = Held::take(Some(folder), None, &is_lost).await?;
    // Asked again, now that nobody else can make any.
    let root = if holds_data()? { RootKey::load(root_key)? } else { RootKey::load_or_make(root_key, random)? };
    let had_usage = usage_path.try_exists().map_err(|error| unreadable(&error))?;

    let file = DatabaseFile::open(&catalog_path, CATALOG_SIZES).await.map_err(|error| unreadable(&told(&error)))?;
    let catalog = Base::new(Engine::Sqlite(file.clone()), is_lost.clone());
    let filled = fill_catalog(&catalog, &name, root_key, &root, at, random).await;
    let Filled { installation, peppers, is_new } = match filled {
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

    let usage_file = DatabaseFile::open(&usage_path, USAGE_SIZES).await.map_err(|error| unreadable(&told(&error)))?;
    let usage = Base::new(Engine::Sqlite(usage_file.clone()), is_lost);
    if let Err(error) = fill_usage(&usage, &name, installation).await {
        usage.close().await;
        catalog.close().await;
        return Err(error);
    }
    for file in [&file, &usage_file] {
        file.remember_place().map_err(|error| unreadable(&error))?;
    }
    // A file that was just made is only safe when its name in the folder is.
    sync_folder(folder).map_err(|error| unreadable(&error))?;

    let hold = Hold::of(&held);
    let parts = CatalogParts {
        base: catalog,
        hold,
        url: None,
        installation,
        seen: AtomicU64::new(0),
        key_limits: OnceLock::new(),
        root,
        peppers,
        warnings,
    };
    Ok(Store { catalog: Catalog(Arc::new(parts)), ledger: Ledger::new(usage, Hold::of(&held)) })
}

/// Opens the installation in a database; what a process has for itself alone is in the folder.
pub(crate) async fn in_database(
    url: &Url,
    folder: &Path,
    root_key: &Path,
    at: Timestamp,
    random: &mut Random<'_>,
) -> Result<Store, OpenError> {
    let name = url.to_string();
    make_folder(folder)?;
    let is_lost = Arc::default();
    let held = Held::take(Some(folder), Some(url), &is_lost).await?;
    let database = async |part| {
        let database = Database::open(url, part).await.map_err(|error| url.unreadable(&error))?;
        Ok::<_, OpenError>(Base::new(Engine::Postgres(database), is_lost.clone()))
    };
    let catalog = database(Part::Catalog).await?;
    let unreadable = |error: StoreError| OpenError::unreadable(&name, error.cause());
    let mut db = catalog.read().await.map_err(|error| url.unreadable(&error))?;
    let is_filled = schema::version(&mut db).await.map_err(unreadable)? > 0;
    drop(db);
    let root = if is_filled { RootKey::load(root_key)? } else { RootKey::load_or_make(root_key, random)? };
    let Filled { installation, peppers, .. } = fill_catalog(&catalog, &name, root_key, &root, at, random).await?;
    let usage = database(Part::Usage).await?;
    fill_usage(&usage, &name, installation).await?;
    let warnings: Vec<String> = [folder, root_key].into_iter().filter_map(exposed).collect();
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let hold = Hold::of(&held);
    let parts = CatalogParts {
        base: catalog,
        hold,
        url: Some(url.clone()),
        installation,
        seen: AtomicU64::new(0),
        key_limits: OnceLock::new(),
        root,
        peppers,
        warnings,
    };
    Ok(Store { catalog: Catalog(Arc::new(parts)), ledger: Ledger::new(usage, Hold::of(&held)) })
}

/// Catalogue and ledger of an installation that is there; `None` if there is none. Nothing is made.
pub(crate) async fn existing(kept: &Kept) -> Result<Option<[Base; 2]>, OpenError> {
    let is_there = match kept {
        Kept::Folder(folder) => [CATALOG_FILE, USAGE_FILE].iter().all(|file| folder.join(file).exists()),
        Kept::Database(url) => Database::is_there(url).await.map_err(|error| url.unreadable(&error))?,
    };
    if is_there { bases(kept).await.map(Some) } else { Ok(None) }
}

/// Makes the folder of an installation, if it is in one.
pub(crate) fn make_place(kept: &Kept) -> Result<(), OpenError> {
    match kept {
        Kept::Folder(folder) => make_folder(folder),
        Kept::Database(_) => Ok(()),
    }
}

fn make_folder(folder: &Path) -> Result<(), OpenError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| OpenError::unreadable(folder.display(), error))
}

/// Catalogue and ledger, opened as they are; made if they are not there, without tables.
pub(crate) async fn bases(kept: &Kept) -> Result<[Base; 2], OpenError> {
    let unreadable = |error: sqlx::Error| OpenError::unreadable(kept, told(&error));
    let base = async |file, sizes, part| {
        let engine = match kept {
            Kept::Folder(folder) => {
                Engine::Sqlite(DatabaseFile::open(&folder.join(file), sizes).await.map_err(unreadable)?)
            }
            Kept::Database(url) => Engine::Postgres(Database::open(url, part).await.map_err(unreadable)?),
        };
        Ok::<_, OpenError>(Base::new(engine, Arc::default()))
    };
    let catalog = base(CATALOG_FILE, CATALOG_SIZES, Part::Catalog).await?;
    Ok([catalog, base(USAGE_FILE, USAGE_SIZES, Part::Usage).await?])
}

/// What stands in a catalogue.
struct Filled {
    installation: [u8; 16],
    peppers: Vec<Pepper>,
    /// Whether it was filled just now.
    is_new: bool,
}

/// Checks the catalogue against the root key, brings its tables up to date, and fills a new one.
async fn fill_catalog(
    base: &Base,
    name: &str,
    root_key: &Path,
    root: &RootKey,
    at: Timestamp,
    random: &mut Random<'_>,
) -> Result<Filled, OpenError> {
    let unreadable = |error: StoreError| OpenError::unreadable(name, error.cause());
    let mut db = base.write().await.map_err(|error| unreadable(error.into()))?;
    let seen = refuse_newer(&mut db, name, &schema::CATALOG).await?;
    if seen > 0 {
        let installation = read_meta(&mut db, "installation").await.map_err(unreadable)?;
        let check: [u8; 32] = read_meta(&mut db, "root_check").await.map_err(unreadable)?;
        if check != root.check(&installation) {
            return Err(RootKeyError::Wrong { path: root_key.to_owned() }.into());
        }
    }
    schema::CATALOG.migrate(&mut db).await.map_err(unreadable)?;
    if seen == 0 {
        let mut installation = [0; 16];
        random(&mut installation)?;
        let mut secret = Zeroizing::new([0; 32]);
        random(secret.as_mut_slice())?;
        let secret = PepperSecret::new(*secret);
        let wrapped = root.wrap_pepper(&secret, &installation, 1, random)?;
        write_meta(&mut db, "installation", &installation).await.map_err(unreadable)?;
        write_meta(&mut db, "root_check", &root.check(&installation)).await.map_err(unreadable)?;
        sql("INSERT INTO peppers (version, wrapped, created_at) VALUES (1, ?, ?)")
            .bind(wrapped)
            .bind(at.as_micros())
            .execute(&mut db)
            .await
            .map_err(|error| unreadable(error.into()))?;
    }
    let installation = read_meta(&mut db, "installation").await.map_err(unreadable)?;
    let rows = sql("SELECT version, wrapped FROM peppers ORDER BY version DESC")
        .fetch_all(&mut db)
        .await
        .map_err(|error| unreadable(error.into()))?;
    let mut peppers = Vec::new();
    for row in &rows {
        let mut row = Columns::of(row);
        let version: u32 = row.number().map_err(unreadable)?;
        let wrapped = row.blob().map_err(unreadable)?;
        let secret = root.unwrap_pepper(wrapped, &installation, version).ok_or_else(|| {
            let cause = format!("pepper {version} was altered; restore the catalogue from your backup");
            OpenError::unreadable(name, cause)
        })?;
        peppers.push(Pepper::new(version, &secret));
    }
    db.commit().await.map_err(|error| unreadable(error.into()))?;
    Ok(Filled { installation, peppers, is_new: seen == 0 })
}

/// Brings the ledger's tables up to date, and ties a new ledger to its catalogue.
async fn fill_usage(base: &Base, name: &str, installation: [u8; 16]) -> Result<(), OpenError> {
    let unreadable = |error: StoreError| OpenError::unreadable(name, error.cause());
    let mut db = base.write().await.map_err(|error| unreadable(error.into()))?;
    let seen = refuse_newer(&mut db, name, &schema::USAGE).await?;
    if seen > 0 && installation != read_meta::<16>(&mut db, "installation").await.map_err(unreadable)? {
        return Err(match base.engine() {
            Engine::Sqlite(_) => OpenError::Mismatch { folder: name.to_owned() },
            Engine::Postgres(_) => OpenError::unreadable(
                name,
                "its schemas keystile and keystile_usage belong to different installations; restore both from the same backup",
            ),
        });
    }
    schema::USAGE.migrate(&mut db).await.map_err(unreadable)?;
    if seen == 0 {
        write_meta(&mut db, "installation", &installation).await.map_err(unreadable)?;
    }
    db.commit().await.map_err(|error| unreadable(error.into()))
}

async fn refuse_newer(db: &mut Connection, name: &str, steps: &Steps) -> Result<u32, OpenError> {
    let found = schema::version(db).await.map_err(|error| OpenError::unreadable(name, error.cause()))?;
    let known = steps.known();
    if found > known { Err(OpenError::Newer { folder: name.to_owned(), found, known }) } else { Ok(found) }
}

async fn read_meta<const N: usize>(db: &mut Connection, name: &'static str) -> Result<[u8; N], StoreError> {
    let row = sql("SELECT value FROM meta WHERE name = ?").bind(name).fetch_one(db).await?;
    Columns::of(&row).bytes().map_err(|_| damaged(format_args!("meta.{name} has another length")))
}

async fn write_meta(db: &mut Connection, name: &'static str, value: &[u8]) -> Result<(), StoreError> {
    sql("INSERT INTO meta (name, value) VALUES (?, ?)").bind(name).bind(value).execute(db).await?;
    Ok(())
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    fs::File::open(folder)?.sync_all()
}
