//! The keys that secrets are encrypted under: what there is, and how much is under each.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use keystile_core::key::{Pepper, PepperSecret};
use keystile_core::time::Timestamp;

use crate::cipher::{Algorithm, SecretKey};
use crate::db::{Columns, Connection, damaged, sql};
use crate::keyring::{Keyring, NewEncryptionKey};
use crate::root::RootKey;
use crate::secret::Place;
use crate::{Catalog, StoreError};

/// Every column that holds records under an encryption key: its table, and how it is called there. Empty ones hold none.
pub(crate) const RECORDS: [(&str, &str); 7] = [
    ("api_secrets", "sealed"),
    ("webhooks", "secret"),
    ("webhooks", "old_secret"),
    ("key_texts", "sealed"),
    ("totps", "sealed"),
    ("peppers", "wrapped"),
    ("meta WHERE name = 'seed'", "value"),
];

/// What secrets are encrypted under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// The versions of the encryption key, the newest first: that one encrypts what is new.
    pub keys: Vec<EncryptionKeyInfo>,
    /// Records of before there were versions, which open with the root key that the installation began with.
    pub unversioned: u64,
    /// The peppers that keys are hashed with, the newest first: that one hashes what is new.
    pub peppers: Vec<PepperInfo>,
}

impl Encryption {
    /// Records that are not under the newest version.
    pub fn older_records(&self) -> u64 {
        self.unversioned + self.keys.iter().skip(1).map(|key| key.records).sum::<u64>()
    }
}

/// A version of the encryption key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptionKeyInfo {
    /// Which one.
    pub version: u32,
    /// What it encrypts with.
    pub algorithm: Algorithm,
    /// When it was made.
    pub created_at: Timestamp,
    /// How many records are under it.
    pub records: u64,
}

/// A pepper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PepperInfo {
    /// Which one.
    pub version: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// How many texts are hashed with it of keys that are neither revoked nor deleted, and of their former versions.
    pub digests: u64,
}

impl Catalog {
    /// What secrets are encrypted under, and how much is under each. Reads every record's beginning.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn encryption(&self, now: Timestamp) -> Result<Encryption, StoreError> {
        let mut view = self.0.base.view().await?;
        let mut keys = Vec::new();
        for (version, algorithm, _, created_at) in kept_keys(&mut view).await? {
            let records = records_under(&mut view, version).await?;
            keys.push(EncryptionKeyInfo { version, algorithm, created_at, records });
        }
        keys.reverse();
        let mut unversioned = 0;
        for (table, column) in RECORDS {
            let text =
                format!("SELECT count(*) FROM {} length({column}) > 0 AND substr({column}, 1, 5) < ?", filtered(table));
            unversioned += sql(text).bind(&Keyring::head(0)[..]).fetch_number::<u64>(&mut view).await?;
        }
        let mut peppers = Vec::new();
        let digests = digests(&mut view, now).await?;
        for row in sql("SELECT version, created_at FROM peppers ORDER BY version DESC").fetch_all(&mut view).await? {
            let mut row = Columns::of(&row);
            let (version, created_at) = (row.number()?, row.moment()?);
            peppers.push(PepperInfo { version, created_at, digests: digests.get(&version).copied().unwrap_or(0) });
        }
        Ok(Encryption { keys, unversioned, peppers })
    }
}

impl Catalog {
    /// Reads the peppers anew, if there are others than those that are known.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn read_peppers(&self) -> Result<Arc<Vec<Pepper>>, StoreError> {
        let rows = sql("SELECT version, wrapped FROM peppers ORDER BY version DESC")
            .fetch_all(&mut self.0.base.read().await?)
            .await?;
        let mut versions = Vec::new();
        let mut sealed = Vec::new();
        for row in &rows {
            let mut row = Columns::of(row);
            versions.push(row.number::<u32>()?);
            sealed.push(row.blob()?);
        }
        let known = self.peppers();
        if known.iter().map(Pepper::version).eq(versions) {
            return Ok(known);
        }
        let ring = self.ring_for(sealed).await?;
        let fresh = Arc::new(peppers(&mut self.0.base.read().await?, &ring).await?);
        *self.0.peppers.write().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
        Ok(fresh)
    }
}

/// A table with the beginning of a condition.
fn filtered(table: &str) -> String {
    if table.contains(" WHERE ") { format!("{table} AND") } else { format!("{table} WHERE") }
}

/// How many records are under a version.
pub(crate) async fn records_under(db: &mut Connection, version: u32) -> Result<u64, StoreError> {
    let mut records = 0;
    for (table, column) in RECORDS {
        let text = format!("SELECT count(*) FROM {} substr({column}, 1, 5) = ?", filtered(table));
        records += sql(text).bind(&Keyring::head(version)[..]).fetch_number::<u64>(&mut *db).await?;
    }
    Ok(records)
}

/// How many texts are hashed with each pepper, but for those of keys that are revoked or deleted, and of versions that have
/// ended. Reads every key.
pub(crate) async fn digests(db: &mut Connection, now: Timestamp) -> Result<HashMap<u32, u64>, StoreError> {
    let rows =
        sql("SELECT pepper, count(*) FROM keys WHERE deleted_at IS NULL AND state <> 'revoked' GROUP BY pepper \
         UNION ALL SELECT v.pepper, count(*) FROM key_versions v JOIN keys k ON k.number = v.key WHERE v.ends_at > ? \
         AND k.deleted_at IS NULL AND k.state <> 'revoked' GROUP BY v.pepper")
        .bind(now.as_micros())
        .fetch_all(db)
        .await?;
    let mut digests = HashMap::new();
    for row in &rows {
        let mut row = Columns::of(row);
        let (pepper, count): (u32, u64) = (row.number()?, row.number()?);
        *digests.entry(pepper).or_default() += count;
    }
    Ok(digests)
}

/// The encryption keys as they are kept, the oldest first: version, algorithm, wrapped, and since when.
pub(crate) async fn kept_keys(db: &mut Connection) -> Result<Vec<(u32, Algorithm, Vec<u8>, Timestamp)>, StoreError> {
    let rows =
        sql("SELECT version, algorithm, wrapped, created_at FROM encryption_keys ORDER BY version").fetch_all(db);
    let read = |row| {
        let mut row = Columns::of(row);
        let (version, number) = (row.number()?, row.number()?);
        let algorithm = Algorithm::from_number(number)
            .ok_or_else(|| damaged(format_args!("the algorithm {number} of encryption key {version}")))?;
        Ok((version, algorithm, row.blob()?.to_vec(), row.moment()?))
    };
    rows.await?.iter().map(read).collect()
}

/// Keeps a version of the encryption key.
pub(crate) async fn keep_key(db: &mut Connection, key: &NewEncryptionKey, at: Timestamp) -> Result<(), StoreError> {
    sql("INSERT INTO encryption_keys (version, algorithm, wrapped, created_at) VALUES (?, ?, ?, ?)")
        .bind(key.version)
        .bind(u32::from(key.algorithm.number()))
        .bind(&key.wrapped[..])
        .bind(at.as_micros())
        .execute(db)
        .await?;
    Ok(())
}

/// All keys of an installation, as they are kept.
pub(crate) async fn kept_ring(
    db: &mut Connection,
    root: &RootKey,
    installation: [u8; 16],
) -> Result<Keyring, StoreError> {
    let mut ring = Keyring::new(installation, SecretKey::new([0; 32]));
    learn_keys(db, root, &mut ring).await?;
    let row = sql("SELECT value FROM meta WHERE name = 'seed'").fetch_one(db).await?;
    let kept = Columns::of(&row).blob()?;
    let place = |rows_sealed| Place::of_seed(&installation, rows_sealed);
    let (seed, rows_sealed) = match place(true).open(&ring, kept) {
        Ok(seed) => (seed, true),
        Err(_) => (place(false).open(&ring, kept)?, false),
    };
    let seed = SecretKey::from_slice(&seed).ok_or_else(|| damaged("the seed has another length"))?;
    Ok(ring.with_seed(seed, rows_sealed))
}

/// Opens the encryption keys into a ring.
pub(crate) async fn learn_keys(db: &mut Connection, root: &RootKey, ring: &mut Keyring) -> Result<(), StoreError> {
    for (version, algorithm, wrapped, _) in kept_keys(db).await? {
        if !ring.learn(root, version, algorithm, &wrapped) {
            return Err(damaged(format_args!(
                "encryption key {version} was altered; restore the catalogue from your backup"
            )));
        }
    }
    Ok(())
}

/// The peppers, newest first.
pub(crate) async fn peppers(db: &mut Connection, ring: &Keyring) -> Result<Vec<Pepper>, StoreError> {
    let rows = sql("SELECT version, wrapped FROM peppers ORDER BY version DESC").fetch_all(db).await?;
    let read = |row| {
        let mut row = Columns::of(row);
        let version = row.number()?;
        let secret = Place::of_pepper(ring.installation(), version).open(ring, row.blob()?).ok();
        let secret = secret.and_then(|secret| Some(PepperSecret::new(secret.as_slice().try_into().ok()?)));
        let altered = || damaged(format_args!("pepper {version} was altered; restore the catalogue from your backup"));
        Ok(Pepper::new(version, &secret.ok_or_else(altered)?))
    };
    rows.iter().map(read).collect()
}
