//! The keys that secrets are encrypted under: what there is, and how much is under each.

use keystile_core::time::Timestamp;

use crate::cipher::Algorithm;
use crate::db::{Columns, Connection, damaged, sql};
use crate::keyring::Keyring;
use crate::root::RootKey;
use crate::{Catalog, StoreError};

/// Every column that holds records under an encryption key: its table, and how it is called there. Empty ones hold none.
pub(crate) const RECORDS: [(&str, &str); 6] = [
    ("api_secrets", "sealed"),
    ("webhooks", "secret"),
    ("webhooks", "old_secret"),
    ("key_texts", "sealed"),
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
    /// How many texts of keys are hashed with it, those of former versions among them.
    pub digests: u64,
}

impl Catalog {
    /// What secrets are encrypted under, and how much is under each. Reads every record's beginning.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn encryption(&self) -> Result<Encryption, StoreError> {
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
        let rows = sql("SELECT p.version, p.created_at, (SELECT count(*) FROM keys k WHERE k.pepper = p.version) \
             + (SELECT count(*) FROM key_versions v WHERE v.pepper = p.version) FROM peppers p ORDER BY p.version DESC")
        .fetch_all(&mut view)
        .await?;
        let read = |row| {
            let mut row = Columns::of(row);
            Ok(PepperInfo { version: row.number()?, created_at: row.moment()?, digests: row.number()? })
        };
        let peppers = rows.iter().map(read).collect::<Result<_, StoreError>>()?;
        Ok(Encryption { keys, unversioned, peppers })
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
