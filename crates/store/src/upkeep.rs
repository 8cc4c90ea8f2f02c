//! What is done to an installation while no server uses it, or beside one: what state its tables are in, bringing them up
//! to date, moving it to another engine.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::catalog::encryption::kept_ring;
use crate::copy::{self, Copied, CopyError, What};
use crate::db::{Base, sql};
use crate::hold::Held;
use crate::postgres::Url;
use crate::schema::{self, Steps};
use crate::seal::Sealer;
use crate::{OpenError, RootKeys, StoreError, open};

/// Where an installation is kept: a folder (`sqlite://PATH`) or a database (`postgres://…`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// A data folder with SQLite files.
    Folder(PathBuf),
    /// A PostgreSQL database.
    Database(Url),
}

impl FromStr for Kept {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("sqlite://") {
            Some("") => Err("name the data folder: sqlite:///var/lib/keystile".to_owned()),
            Some(folder) => Ok(Self::Folder(folder.into())),
            None if text.starts_with("postgres") => text.parse().map(Self::Database),
            None => Err("write sqlite://DATA-FOLDER or postgres://user:password@host:port/name".to_owned()),
        }
    }
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "sqlite://{}", folder.display()),
            Self::Database(url) => url.fmt(f),
        }
    }
}

/// What state the tables of an installation are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Of the catalogue.
    pub catalog: Version,
    /// Of the ledger.
    pub usage: Version,
    /// The newest revision; 0 if nothing was ever changed.
    pub revision: u64,
    /// How many of each there are that are not deleted.
    pub rows: Vec<(&'static str, u64)>,
}

/// The version of some tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// What was found; 0 if there are none.
    pub found: u32,
    /// The newest that this program knows.
    pub known: u32,
}

impl Version {
    /// Whether there is nothing to do, or nothing that can be done.
    pub const fn is_current(self) -> bool {
        self.found == self.known
    }
}

/// Looks at an installation. A server may use it meanwhile.
///
/// # Errors
/// If it can't be opened or read.
pub async fn status(kept: &Kept) -> Result<Status, OpenError> {
    let failed = |error: StoreError| unreadable(kept, &error);
    let nothing = |steps: &Steps| Version { found: 0, known: steps.known() };
    let Some([catalog, usage]) = open::existing(kept).await? else {
        let (catalog, usage) = (nothing(&schema::CATALOG), nothing(&schema::USAGE));
        return Ok(Status { catalog, usage, revision: 0, rows: Vec::new() });
    };
    let version = async |base: &Base, steps: &Steps| {
        let found = schema::version(&mut base.read().await?).await?;
        Ok::<_, StoreError>(Version { found, known: steps.known() })
    };
    let seen = async {
        let versions = (version(&catalog, &schema::CATALOG).await?, version(&usage, &schema::USAGE).await?);
        let (mut revision, mut rows) = (0, Vec::new());
        if versions.0.found == 0 && versions.1.found > 0 {
            return Err(StoreError(Box::new(CopyError::Unfinished(kept.to_string()))));
        }
        if versions.0.found > 0 {
            let mut view = catalog.view().await?;
            let newest = sql("SELECT max(revision) FROM revisions");
            revision = newest.fetch_number_if_any(&mut view).await?.unwrap_or(0);
            for (name, count) in [
                ("organizations", "SELECT count(*) FROM organizations"),
                ("APIs", "SELECT count(*) FROM apis WHERE deleted_at IS NULL"),
                ("projects", "SELECT count(*) FROM projects WHERE deleted_at IS NULL"),
                ("activations", "SELECT count(*) FROM activations WHERE deleted_at IS NULL"),
                ("keys", "SELECT count(*) FROM keys WHERE deleted_at IS NULL"),
                ("audit entries", "SELECT count(*) FROM audit"),
            ] {
                rows.push((name, sql(count).fetch_number(&mut view).await?));
            }
        }
        Ok(Status { catalog: versions.0, usage: versions.1, revision, rows })
    };
    let seen = seen.await.map_err(failed);
    close([catalog, usage]).await;
    seen
}

/// Whether one of these root keys is that of an installation. A server may use it meanwhile.
///
/// # Errors
/// If there is no root key, or the installation can't be opened or read.
pub async fn belongs(kept: &Kept, root_keys: &RootKeys) -> Result<bool, OpenError> {
    let Some(bases) = open::existing(kept).await? else { return Ok(true) };
    let told = open::told_by(&bases[0]).await.map_err(|error| unreadable(kept, &error));
    close(bases).await;
    let Some((installation, check)) = told? else { return Ok(true) };
    Ok(root_keys.belonging_to(&installation, &check)?.is_some())
}

/// Brings the tables of an installation up to date; says what was found. A server does that itself when it starts; this
/// is for doing it at another time. No server may use it meanwhile.
///
/// # Errors
/// If it can't be opened or changed, or is newer than this program.
pub async fn migrate(kept: &Kept) -> Result<Option<[Version; 2]>, OpenError> {
    let failed = |error: StoreError| unreadable(kept, &error);
    let Some(bases) = open::existing(kept).await? else { return Ok(None) };
    let _held = hold(kept).await?;
    let mut found = Vec::new();
    for (base, steps) in bases.iter().zip([&schema::CATALOG, &schema::USAGE]) {
        let migrated = async {
            let mut db = base.write().await?;
            let version = Version { found: schema::version(&mut db).await?, known: steps.known() };
            if version.found > 0 && version.found < version.known {
                steps.migrate(&mut db).await?;
                db.commit().await?;
            }
            Ok(version)
        };
        let version = migrated.await.map_err(failed)?;
        if version.found > version.known {
            return Err(OpenError::Newer { folder: kept.to_string(), found: version.found, known: version.known });
        }
        found.push(version);
    }
    close(bases).await;
    Ok(found.try_into().ok())
}

/// Has the next start seal every row as it is, whatever it says, and write that into the audit. For whoever has looked at
/// what was altered and has nothing better. No server may use it meanwhile. `false` if there is no installation.
///
/// # Errors
/// If it can't be opened or changed, or the root key is another one.
pub async fn unseal(kept: &Kept, root_keys: &RootKeys) -> Result<bool, OpenError> {
    let Some(bases) = open::existing(kept).await? else { return Ok(false) };
    let _held = hold(kept).await?;
    let unsealed = unseal_in(&bases[0], kept, root_keys).await;
    close(bases).await;
    unsealed.map(|()| true)
}

async fn unseal_in(catalog: &Base, kept: &Kept, root_keys: &RootKeys) -> Result<(), OpenError> {
    let failed = |error: StoreError| unreadable(kept, &error);
    let Some((installation, check)) = open::told_by(catalog).await.map_err(failed)? else { return Ok(()) };
    let root = root_keys.belonging_to(&installation, &check)?.ok_or_else(|| root_keys.current.wrong())?;
    let asked = async {
        let mut db = catalog.write().await?;
        let sealer = Sealer::new(kept_ring(&mut db, &root, installation).await?.seed());
        let request = sealer.request(open::newest_revision(&mut db).await?);
        sql("DELETE FROM meta WHERE name = ?").bind(open::SEALED).execute(&mut db).await?;
        sql("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
            .bind(open::SEAL_ASKED)
            .bind(request)
            .execute(&mut db)
            .await?;
        Ok::<_, StoreError>(db.commit().await?)
    };
    asked.await.map_err(failed)
}

/// Copies an installation to a place where there is none, and proves that both hold the same. No server may use either
/// meanwhile. `each` is told of every table, with its rows, when it is proven.
///
/// # Errors
/// [`CopyError`] says what is wrong; then the copy is not to be used.
pub async fn copy(from: &Kept, to: &Kept, each: &mut (dyn FnMut(&Copied) + Send)) -> Result<(), CopyError> {
    if from == to {
        return Err(CopyError::NotEmpty(to.to_string()));
    }
    // Nothing is made for a copy of nothing.
    let Some(sources) = open::existing(from).await? else { return Err(CopyError::Nothing(from.to_string())) };
    let _source = hold(from).await?;
    for (base, what) in sources.iter().zip([What::Catalog, What::Usage]) {
        copy::refuse_other_version(base, what, &from.to_string()).await?;
    }
    open::make_place(to)?;
    let _target = hold(to).await?;
    let targets = open::bases(to).await?;
    copy::refuse_filled(&targets, &to.to_string()).await?;
    if let Kept::Folder(folder) = to {
        open::forget_newest(folder)?;
    }
    // The catalogue last: without it nothing opens a copy that was broken off.
    for (place, what) in [(1, What::Usage), (0, What::Catalog)] {
        copy::copy(&sources[place], &targets[place], what, each).await?;
    }
    close(sources).await;
    close(targets).await;
    Ok(())
}

async fn hold(kept: &Kept) -> Result<Arc<Held>, OpenError> {
    // What takes a second is not worth looking whether it was lost.
    let is_lost = Arc::default();
    match kept {
        Kept::Folder(folder) => Held::take(Some(folder), None, &is_lost).await,
        Kept::Database(url) => Held::take(None, Some(url), &is_lost).await,
    }
}

pub(crate) async fn close(bases: [Base; 2]) {
    for base in bases {
        base.close().await;
    }
}

fn unreadable(kept: &Kept, error: &StoreError) -> OpenError {
    OpenError::unreadable(kept, error.cause())
}
