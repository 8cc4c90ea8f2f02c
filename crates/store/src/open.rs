//! Opening an installation: its folder, its hold, its root key, its catalogue and its ledger, in this order.
//!
//! At a first start the root key file is on disk before anything is wrapped under it; a crash in between leaves a root
//! key without data, which the next start takes over. Data without its root key is never touched.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, RwLock};

use keystile_core::key::Pepper;
use keystile_core::time::Timestamp;
use serde_json::json;
use zeroize::Zeroizing;

use crate::catalog::CatalogParts;
use crate::catalog::encryption::{keep_key, kept_keys, kept_ring, learn_keys, peppers};
use crate::cipher::{Algorithm, SecretKey};
use crate::db::{Base, Columns, Connection, Engine, Sql, damaged, sql, to_json, told};
use crate::hold::{Held, Hold};
use crate::keyring::Keyring;
use crate::postgres::{Database, Part, Url};
use crate::root::{Material, RootKey, exposed};
use crate::schema::{self, Steps};
use crate::seal::{Sealer, altered, what_was_altered};
use crate::secret::Place;
use crate::sqlite::{DatabaseFile, Newest, Sizes};
use crate::upkeep::Kept;
use crate::{Catalog, Ledger, OpenError, Random, RootKeys, Store, StoreError};

/// The catalogue's file in the data folder.
const CATALOG_FILE: &str = "catalog.db";
/// The ledger's file in the data folder.
const USAGE_FILE: &str = "usage.db";
/// Beside each of them: how far it has come.
const CATALOG_NEWEST: &str = "catalog.newest";
const USAGE_NEWEST: &str = "usage.newest";
/// An import touches pages of the digests' index at random, so the catalogue's writer gets 64 MiB of cache and 128 MiB of
/// WAL. Small changes never fill either.
const CATALOG_SIZES: Sizes = Sizes { cache_kib: 64 << 10, checkpoint_pages: 32_768 };
/// Batches and counts go to the ends of their tables: 4 MiB of cache and 16 MiB of WAL.
const USAGE_SIZES: Sizes = Sizes { cache_kib: 4 << 10, checkpoint_pages: 4_096 };
/// What a catalogue says of itself whose rows are sealed; that they were sealed as they were, until it stands in the audit.
pub(crate) const SEALED: &str = "sealed";
pub(crate) const SEALED_ANEW: &str = "sealed_anew";
/// That somebody with the root key has asked for rows to be sealed as they are.
pub(crate) const SEAL_ASKED: &str = "seal_asked";

/// Opens the installation in a folder.
pub(crate) async fn in_folder(
    folder: &Path,
    root_keys: &RootKeys,
    at: Timestamp,
    random: &mut Random<'_>,
) -> Result<Store, OpenError> {
    let name = folder.display().to_string();
    let unreadable = |cause: &dyn std::fmt::Display| OpenError::unreadable(&name, cause);

    let (catalog_path, usage_path) = (folder.join(CATALOG_FILE), folder.join(USAGE_FILE));
    let holds_data = || catalog_path.try_exists().map_err(|error| unreadable(&error));
    // Asked before the folder is made or anything else is: without its root key, data is left exactly as it is.
    if holds_data()? {
        root_keys.current.read(None)?;
    } else if usage_path.try_exists().map_err(|error| unreadable(&error))? {
        return Err(OpenError::CatalogMissing { folder: name });
    }
    make_folder(folder)?;
    let is_lost = Arc::default();
    let held = Held::take(Some(folder), None, &is_lost).await?;
    // Asked again, now that nobody else can make any.
    let material = root_keys.current.read(if holds_data()? { None } else { Some(&mut *random) })?;
    let had_usage = usage_path.try_exists().map_err(|error| unreadable(&error))?;

    let file = DatabaseFile::open(&catalog_path, CATALOG_SIZES).await.map_err(|error| unreadable(&told(&error)))?;
    let catalog = Base::new(Engine::Sqlite(file.clone()), is_lost.clone());
    let filled = fill_catalog(&catalog, &name, (root_keys, material), at, random).await;
    let filled = match filled {
        Ok(filled) => filled,
        Err(error) => {
            catalog.close().await;
            return Err(error);
        }
    };

    let mut warnings: Vec<String> = [Some(folder), root_keys.current.file(), Some(&catalog_path), Some(&usage_path)]
        .into_iter()
        .flatten()
        .filter_map(exposed)
        .collect();
    if !filled.is_new && !had_usage {
        warnings.push(format!("{} is missing; usage is counted from zero", usage_path.display()));
    }
    for warning in &warnings {
        tracing::warn!("{warning}");
    }

    let usage_file = DatabaseFile::open(&usage_path, USAGE_SIZES).await.map_err(|error| unreadable(&told(&error)))?;
    let usage = Base::new(Engine::Sqlite(usage_file.clone()), is_lost);
    if let Err(error) = fill_usage(&usage, &name, filled.installation).await {
        usage.close().await;
        catalog.close().await;
        return Err(error);
    }
    let newest = async {
        let revision = sql("SELECT coalesce(max(revision), 0) FROM revisions");
        let catalog = newest(&catalog, revision, (&catalog_path, &folder.join(CATALOG_NEWEST))).await?;
        let batches = sql(Ledger::BATCHES);
        Ok::<_, OpenError>((catalog, newest(&usage, batches, (&usage_path, &folder.join(USAGE_NEWEST))).await?))
    };
    let (catalog_newest, usage_newest) = match newest.await {
        Ok(newest) => newest,
        Err(error) => {
            usage.close().await;
            catalog.close().await;
            return Err(error);
        }
    };
    for file in [&file, &usage_file] {
        file.remember_place().map_err(|error| unreadable(&error))?;
    }
    // A file that was just made is only safe when its name in the folder is.
    sync_folder(folder).map_err(|error| unreadable(&error))?;

    let catalog = filled.into_catalog((catalog, None), &held, warnings, Some(catalog_newest));
    Ok(Store { catalog, ledger: Ledger::new(usage, Hold::of(&held), Some(usage_newest)) })
}

/// Opens the installation in a database; what a process has for itself alone is in the folder.
pub(crate) async fn in_database(
    url: &Url,
    folder: &Path,
    root_keys: &RootKeys,
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
    let material = root_keys.current.read(if is_filled { None } else { Some(&mut *random) })?;
    let filled = fill_catalog(&catalog, &name, (root_keys, material), at, random).await?;
    let usage = database(Part::Usage).await?;
    fill_usage(&usage, &name, filled.installation).await?;
    let warnings: Vec<String> =
        [Some(folder), root_keys.current.file()].into_iter().flatten().filter_map(exposed).collect();
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    // A database's server looks after its own log of changes.
    let catalog = filled.into_catalog((catalog, Some(url.clone())), &held, warnings, None);
    Ok(Store { catalog, ledger: Ledger::new(usage, Hold::of(&held), None) })
}

/// Forgets how far files had come that are there no more.
pub(crate) fn forget_newest(folder: &Path) -> Result<(), OpenError> {
    for name in [CATALOG_NEWEST, USAGE_NEWEST] {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(OpenError::unreadable(folder.join(name).display(), error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What tells how far a file has come; refuses one that is behind it.
async fn newest(base: &Base, found: Sql<'_>, (file, beside): (&Path, &Path)) -> Result<Newest, OpenError> {
    let unreadable = |cause: &dyn std::fmt::Display| OpenError::unreadable(beside.display(), cause);
    let (newest, said) = Newest::open(beside).map_err(|error| unreadable(&error))?;
    let mut db = base.read().await.map_err(|error| unreadable(&told(&error)))?;
    let found: u64 = found.fetch_number(&mut db).await.map_err(|error| unreadable(&error.cause()))?;
    match said {
        Some(said) if said > found => Err(OpenError::Behind {
            file: file.display().to_string(),
            found,
            newest: said,
            beside: newest.path().display().to_string(),
        }),
        _ => {
            newest.note(found);
            Ok(newest)
        }
    }
}

/// Catalogue and ledger of an installation that is there; `None` if there is none. Nothing is made.
pub(crate) async fn existing(kept: &Kept) -> Result<Option<[Base; 2]>, OpenError> {
    let is_there = match kept {
        Kept::Folder(folder) => [CATALOG_FILE, USAGE_FILE].iter().all(|file| folder.join(file).exists()),
        Kept::Database(url) => Database::is_there(url).await.map_err(|error| url.unreadable(&error))?,
    };
    if is_there { bases(kept).await.map(Some) } else { Ok(None) }
}

/// Whether a folder holds a ledger and no catalogue.
pub(crate) fn is_half_there(folder: &Path) -> bool {
    folder.join(USAGE_FILE).exists() && !folder.join(CATALOG_FILE).exists()
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
    root: RootKey,
    /// Whether it took the place of another one.
    root_changed: bool,
    ring: Keyring,
    peppers: Vec<Pepper>,
    sealer: Sealer,
    /// Whether rows were sealed whatever they said.
    sealed_anew: bool,
    /// Whether it was filled just now.
    is_new: bool,
}

impl Filled {
    fn into_catalog(
        self,
        (base, url): (Base, Option<Url>),
        held: &Arc<Held>,
        warnings: Vec<String>,
        newest: Option<Newest>,
    ) -> Catalog {
        let Self { installation, root, root_changed, ring, peppers, sealer, sealed_anew, is_new: _ } = self;
        let parts = CatalogParts {
            base,
            hold: Hold::of(held),
            url,
            newest,
            installation,
            seen: AtomicU64::new(0),
            key_limits: OnceLock::new(),
            root,
            root_changed,
            sealer,
            sealed_anew,
            ring: RwLock::new(Arc::new(ring)),
            peppers: RwLock::new(Arc::new(peppers)),
            warnings,
        };
        Catalog(Arc::new(parts))
    }
}

/// Checks the catalogue against the root key, brings its tables up to date, and fills a new one.
async fn fill_catalog(
    base: &Base,
    name: &str,
    (root_keys, material): (&RootKeys, Material),
    at: Timestamp,
    random: &mut Random<'_>,
) -> Result<Filled, OpenError> {
    let unreadable = |error: StoreError| OpenError::unreadable(name, error.cause());
    let mut db = base.write().await.map_err(|error| unreadable(error.into()))?;
    let seen = refuse_newer(&mut db, name, &schema::CATALOG).await?;
    let installation: [u8; 16] = match seen {
        0 => some(random)?,
        _ => read_meta(&mut db, "installation").await.map_err(unreadable)?,
    };
    let root = material.of(&installation);
    let former = match seen {
        0 => None,
        _ => {
            let check: [u8; 32] = read_meta(&mut db, "root_check").await.map_err(unreadable)?;
            former(root_keys, &root, &installation, &check)?
        }
    };
    schema::CATALOG.migrate(&mut db).await.map_err(unreadable)?;
    let began_under = former.as_ref().unwrap_or(&root);
    let seed = if seen == 0 { SecretKey::new(some(random)?) } else { began_under.key().clone() };
    if seen == 0 {
        write_meta(&mut db, "installation", &installation).await.map_err(unreadable)?;
        write_meta(&mut db, "root_check", &root.check(&installation)).await.map_err(unreadable)?;
    }
    let ring = Keyring::new(installation, seed);
    let ring = fill_ring(&mut db, name, (began_under, ring), at, random).await?;
    if let Some(former) = &former {
        wrap_anew(&mut db, name, (former, &root), &installation, random).await?;
        tracing::info!("everything is under another root key now; the one before it opens older backups only");
    }
    if seen == 0 {
        let secret = Zeroizing::new(some::<32>(random)?);
        let sealed = Place::of_pepper(&installation, 1).seal(&ring, secret.as_slice(), &some(random)?);
        sql("INSERT INTO peppers (version, wrapped, created_at) VALUES (1, ?, ?)")
            .bind(sealed.0)
            .bind(at.as_micros())
            .execute(&mut db)
            .await
            .map_err(|error| unreadable(error.into()))?;
    }
    let peppers = peppers(&mut db, &ring).await.map_err(unreadable)?;
    let sealer = Sealer::new(ring.seed());
    if let Some(strange) = schema::CATALOG.strange(&mut db).await.map_err(unreadable)? {
        return Err(OpenError::Strange { folder: name.to_owned(), name: strange });
    }
    seal(&mut db, &sealer, ring.rows_sealed(), seen == 0).await.map_err(|error| match what_was_altered(&error) {
        Some(what) => OpenError::Altered { folder: name.to_owned(), what: what.to_owned() },
        None => unreadable(error),
    })?;
    if !ring.rows_sealed() {
        let sealed = Place::of_seed(&installation, true).seal(&ring, ring.seed().expose(), &some(random)?);
        let kept = sql("UPDATE meta SET value = ? WHERE name = 'seed'").bind(sealed.0).execute(&mut db).await;
        kept.map_err(|error| unreadable(error.into()))?;
    }
    let root_changed = is_unnoted(&mut db, "root_changed").await.map_err(unreadable)?;
    let sealed_anew = is_unnoted(&mut db, SEALED_ANEW).await.map_err(unreadable)?;
    db.commit().await.map_err(|error| unreadable(error.into()))?;
    // What the former one opens is still in the log of changes.
    if former.is_some()
        && let Err(error) = base.wipe().await
    {
        tracing::warn!(
            cause = told(&error),
            "what the former root key opens may be in the files until the next orderly end"
        );
    }
    Ok(Filled { installation, root, root_changed, ring, peppers, sealer, sealed_anew, is_new: seen == 0 })
}

/// Looks whether rows are as they were sealed; or seals them as they are, if none ever was (which the seed says, as whoever
/// edits tables can't), or somebody with the root key asked for it.
async fn seal(db: &mut Connection, sealer: &Sealer, ever_sealed: bool, is_new: bool) -> Result<(), StoreError> {
    let row = sql("SELECT value FROM meta WHERE name = ?").bind(SEALED).fetch_optional(db).await?;
    if let Some(row) = row {
        if Columns::of(&row).blob()? != sealer.mark() {
            return Err(altered("what says that its rows are sealed"));
        }
        if is_unnoted(db, SEALED_ANEW).await? {
            // Nobody has served since. A process that was to be replaced, and went on, seals nothing.
            sealer.seal_blank(db).await?;
        }
        let mut first = None;
        sealer.each_altered(db, false, &mut |what| first = first.take().or(Some(what))).await?;
        return first.map_or(Ok(()), |what| Err(altered(what)));
    }
    let asked = sql("SELECT value FROM meta WHERE name = ?").bind(SEAL_ASKED).fetch_optional(&mut *db).await?;
    let is_asked = match &asked {
        Some(row) => Columns::of(row).blob()? == sealer.request(newest_revision(&mut *db).await?),
        None => false,
    };
    if ever_sealed && !is_asked {
        return Err(altered("what says that its rows are sealed"));
    }
    sql("DELETE FROM meta WHERE name = ?").bind(SEAL_ASKED).execute(&mut *db).await?;
    let taken = sealer.seal_all(db).await?;
    write_meta(db, SEALED, &sealer.mark()).await?;
    if !is_new {
        tracing::warn!(altered = taken.count, first = taken.named.join(", "), "rows were sealed as they are");
        // Until it stands in the audit.
        sql("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
            .bind(SEALED_ANEW)
            .bind(to_json(&json!({ "altered": taken.count, "first": taken.named }))?.into_bytes())
            .execute(db)
            .await?;
    }
    Ok(())
}

/// The newest revision in a catalogue; 0 if there is none.
pub(crate) async fn newest_revision(db: &mut Connection) -> Result<u64, StoreError> {
    sql("SELECT coalesce(max(revision), 0) FROM revisions").fetch_number(db).await
}

async fn is_unnoted(db: &mut Connection, name: &'static str) -> Result<bool, StoreError> {
    let unnoted = sql("SELECT count(*) FROM meta WHERE name = ?").bind(name);
    Ok(unnoted.fetch_number::<u32>(db).await? > 0)
}

fn some<const N: usize>(random: &mut Random<'_>) -> Result<[u8; N], OpenError> {
    let mut bytes = [0; N];
    random(&mut bytes)?;
    Ok(bytes)
}

/// The root key that the data is under, if it is the previous one. Any other belongs to other data.
fn former(
    root_keys: &RootKeys,
    root: &RootKey,
    installation: &[u8; 16],
    check: &[u8; 32],
) -> Result<Option<RootKey>, OpenError> {
    if *check == root.check(installation) {
        return Ok(None);
    }
    let Some(previous) = &root_keys.previous else { return Err(root_keys.current.wrong()) };
    let former = previous.read(None)?.of(installation);
    if *check == former.check(installation) { Ok(Some(former)) } else { Err(root_keys.current.wrong()) }
}

/// Opens the keys that secrets are under, or makes the first one, with the seed of the ring as it is.
async fn fill_ring(
    db: &mut Connection,
    name: &str,
    (root, mut ring): (&RootKey, Keyring),
    at: Timestamp,
    random: &mut Random<'_>,
) -> Result<Keyring, OpenError> {
    let unreadable = |error: StoreError| OpenError::unreadable(name, error.cause());
    let place = Place::of_seed(ring.installation(), false);
    if kept_keys(db).await.map_err(unreadable)?.is_empty() {
        let (key, first) = (SecretKey::new(some(random)?), (1, Algorithm::Aes256Gcm));
        let made = Keyring::make(root, ring.installation(), first, (&key, &some(random)?));
        keep_key(db, &made, at).await.map_err(unreadable)?;
        learn_keys(db, root, &mut ring).await.map_err(unreadable)?;
        let sealed = place.seal(&ring, ring.seed().expose(), &some(random)?);
        write_meta(db, "seed", &sealed.0).await.map_err(unreadable)?;
        return Ok(ring);
    }
    kept_ring(db, root, *ring.installation()).await.map_err(unreadable)
}

/// Wraps the encryption keys under another root key.
async fn wrap_anew(
    db: &mut Connection,
    name: &str,
    (from, to): (&RootKey, &RootKey),
    installation: &[u8; 16],
    random: &mut Random<'_>,
) -> Result<(), OpenError> {
    let unreadable = |error: StoreError| OpenError::unreadable(name, error.cause());
    for (version, algorithm, wrapped, _) in kept_keys(db).await.map_err(unreadable)? {
        let anew = Keyring::wrap_anew((from, to), installation, (version, algorithm), (&wrapped, &some(random)?));
        let anew = anew.ok_or_else(|| unreadable(damaged(format_args!("encryption key {version} was altered"))))?;
        sql("UPDATE encryption_keys SET wrapped = ? WHERE version = ?")
            .bind(anew)
            .bind(version)
            .execute(&mut *db)
            .await
            .map_err(|error| unreadable(error.into()))?;
    }
    for statement in [
        "UPDATE meta SET value = ? WHERE name = 'root_check'",
        // Until it stands in the audit.
        "INSERT INTO meta (name, value) VALUES ('root_changed', ?) ON CONFLICT (name) DO NOTHING",
    ] {
        let changed = sql(statement).bind(to.check(installation)).execute(&mut *db).await;
        changed.map_err(|error| unreadable(error.into()))?;
    }
    Ok(())
}

/// The installation of a catalogue, and what tells its root key; `None` of an empty one.
pub(crate) async fn told_by(base: &Base) -> Result<Option<([u8; 16], [u8; 32])>, StoreError> {
    let mut db = base.read().await?;
    if schema::version(&mut db).await? == 0 {
        return Ok(None);
    }
    Ok(Some((read_meta(&mut db, "installation").await?, read_meta(&mut db, "root_check").await?)))
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
