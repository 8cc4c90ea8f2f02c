//! Moving an installation from one engine to another: every row of every table as it is, in one transaction, and then the
//! proof that both sides hold the same.
//!
//! Rows are compared by a hash of all of them in the order of their keys, read anew from each side. What is sealed stays
//! sealed: nothing is unwrapped on the way, and the same root key opens the copy.

use sha2::digest::Update;
use sha2::{Digest, Sha256};

use crate::db::{Base, Connection, Engine, Sql, Value, sql};
use crate::schema::{self, Steps};
use crate::tables::{CATALOG, ROWS, Table, USAGE, Values};
use crate::{OpenError, StoreError};

/// What was copied, and is there on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The table.
    pub table: &'static str,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 of all of them.
    pub hash: [u8; 32],
}

/// Why nothing was copied, or what was copied is not used.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A side can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is nothing to copy.
    #[error("{0} holds no installation")]
    Nothing(String),
    /// The other side holds something already.
    #[error("{0} holds an installation already, and nothing is written over it; name another place")]
    NotEmpty(String),
    /// A copy to there was broken off.
    #[error(
        "{0} holds the beginning of a copy that was broken off; remove that (catalog.db and usage.db with their -wal and -shm, and nothing else; or DROP SCHEMA keystile, keystile_usage CASCADE) and do it again"
    )]
    Unfinished(String),
    /// The side to copy from was written by another version.
    #[error(
        "{place} has the tables of another version (schema {found}, this one knows {known}); bring it up to date first: keystile db migrate"
    )]
    OtherVersion {
        /// Where.
        place: String,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The two sides do not hold the same.
    #[error("the copy differs from what was copied in the table {0}; it is not to be used")]
    Differs(&'static str),
    /// A side failed.
    #[error("the copy failed: {0}")]
    Failed(String),
}

impl From<StoreError> for CopyError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.cause())
    }
}

impl From<sqlx::Error> for CopyError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// Which tables, and their versions.
#[derive(Clone, Copy)]
pub(crate) enum What {
    Catalog,
    Usage,
}

impl What {
    const fn tables(self) -> &'static [Table] {
        match self {
            Self::Catalog => CATALOG,
            Self::Usage => USAGE,
        }
    }

    const fn steps(self) -> &'static Steps {
        match self {
            Self::Catalog => &schema::CATALOG,
            Self::Usage => &schema::USAGE,
        }
    }
}

/// Refuses a side that can't be copied from.
pub(crate) async fn refuse_other_version(from: &Base, what: What, place: &str) -> Result<(), CopyError> {
    let found = schema::version(&mut from.read().await?).await?;
    let known = what.steps().known();
    match found {
        0 => Err(CopyError::Nothing(place.to_owned())),
        found if found == known => Ok(()),
        found => Err(CopyError::OtherVersion { place: place.to_owned(), found, known }),
    }
}

/// Refuses a place that holds something.
pub(crate) async fn refuse_filled([catalog, usage]: &[Base; 2], place: &str) -> Result<(), CopyError> {
    let version = async |base: &Base| schema::version(&mut base.read().await?).await;
    match (version(catalog).await?, version(usage).await?) {
        (0, 0) => Ok(()),
        (0, _) => Err(CopyError::Unfinished(place.to_owned())),
        _ => Err(CopyError::NotEmpty(place.to_owned())),
    }
}

/// Copies all tables into an empty side, and compares. `each` is told of every table that agrees.
pub(crate) async fn copy(
    from: &Base,
    to: &Base,
    what: What,
    each: &mut (dyn FnMut(&Copied) + Send),
) -> Result<(), CopyError> {
    // One view: nothing of what is changed meanwhile is in it.
    let mut source = from.view().await?;
    let mut target = to.write().await?;
    what.steps().migrate(&mut target).await?;
    for table in what.tables() {
        let mut after = None;
        loop {
            let rows = table.read(&mut source, after.as_deref()).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last[..table.keys].to_vec());
            table.write(&mut target, rows).await?;
        }
        if table.numbered && matches!(to.engine(), Engine::Postgres(_)) {
            let name = table.name;
            sql(format!(
                "SELECT setval(pg_get_serial_sequence('{name}', 'number'), \
                 (SELECT coalesce(max(number), 0) + 1 FROM {name}), false)"
            ))
            .fetch_one(&mut target)
            .await?;
        }
    }
    target.commit().await?;
    // Read anew, by another connection.
    let mut target = to.view().await?;
    for table in what.tables() {
        let (here, there) = (table.digest(&mut source).await?, table.digest(&mut target).await?);
        if here != there {
            return Err(CopyError::Differs(table.name));
        }
        each(&here);
    }
    Ok(())
}

impl Table {
    async fn write(&self, db: &mut Connection, rows: Vec<Values>) -> Result<(), StoreError> {
        let is_full = rows.len() == ROWS;
        let query = sql(format!("INSERT INTO {} ({}) VALUES ", self.name, self.names()));
        let mut query: Sql<'_> = if is_full { query } else { query.seldom() };
        for (place, row) in rows.into_iter().enumerate() {
            query.push(if place == 0 { "" } else { ", " }).push_list(row);
        }
        query.execute(db).await?;
        Ok(())
    }

    /// All its rows as one hash.
    async fn digest(&self, db: &mut Connection) -> Result<Copied, StoreError> {
        let (mut hash, mut rows, mut after) = (Sha256::new(), 0, None);
        loop {
            let read = self.read(db, after.as_deref()).await?;
            let Some(last) = read.last() else { break };
            after = Some(last[..self.keys].to_vec());
            rows += read.len() as u64;
            read.iter().flatten().for_each(|value| digest(&mut hash, value));
        }
        Ok(Copied { table: self.name, rows, hash: hash.finalize().into() })
    }
}

/// With its kind and length, so that no two rows run together into the same bytes.
pub(crate) fn digest(hash: &mut impl Update, value: &Value<'_>) {
    let number;
    let (kind, bytes): (u8, &[u8]) = match value {
        Value::Number(None) | Value::Text(None) => (0, &[]),
        Value::Number(Some(value)) => {
            number = value.to_be_bytes();
            (1, &number)
        }
        Value::Text(Some(text)) => (2, text.as_bytes()),
        Value::Bytes(bytes) => (3, bytes),
    };
    hash.update(&[kind]);
    hash.update(&(bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::db::Columns;
    use crate::open::bases;
    use crate::upkeep::Kept;

    #[tokio::test]
    async fn every_column_of_every_table_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let bases = bases(&Kept::Folder(folder.path().to_owned())).await.unwrap();
        for (base, what) in bases.iter().zip([What::Catalog, What::Usage]) {
            let mut db = base.write().await.unwrap();
            what.steps().migrate(&mut db).await.unwrap();
            let columns = sql("SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
                 WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'");
            let kept: BTreeSet<(String, String)> = columns
                .fetch_all(&mut db)
                .await
                .unwrap()
                .iter()
                .map(|row| {
                    let mut row = Columns::of(row);
                    (row.text().unwrap(), row.text().unwrap())
                })
                .collect();
            let copied: BTreeSet<(String, String)> = what
                .tables()
                .iter()
                .flat_map(|table| table.columns.iter().map(|(column, _)| (table.name.to_owned(), (*column).to_owned())))
                .collect();
            assert_eq!(kept, copied);
        }
    }
}
