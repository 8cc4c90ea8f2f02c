//! Keys as one value instead of rows: a row costs a way through a channel and a dozen allocations, and at a million keys
//! that is most of the time. Of each key there are digest and id as they are, then its other facts as text, its seal, and
//! what owners wrote on it for their programs.
//!
//! This is also what a key's seal covers: everything that is decided by, and nothing else, so that a start reads no more
//! than it needs.

use crate::StoreError;
use crate::db::{Columns, Connection, damaged, sql};

/// A key, taken apart no further than its seal asks for.
pub(crate) struct Packed<'p> {
    pub(crate) digest: &'p [u8; 32],
    pub(crate) id: &'p [u8; 16],
    /// Number, project, organization, policy, end, state, kind, environment, version and whether it is deleted.
    pub(crate) facts: &'p str,
    /// Empty until it is sealed.
    pub(crate) seal: &'p str,
    /// JSON.
    pub(crate) metadata: &'p [u8],
}

/// Which keys.
pub(crate) enum Which {
    /// With these numbers.
    Between(u32, u32),
    /// Exactly these.
    Of(Vec<u32>),
    /// So many that are not sealed, with numbers above this one.
    Unsealed { after: i64, most: u32 },
}

/// Reads keys in the order of their numbers, deleted ones among them.
pub(crate) async fn read(db: &mut Connection, which: Which) -> Result<Vec<u8>, StoreError> {
    let (whole, packed) = match db {
        Connection::Sqlite(_) => (
            "SELECT CAST(group_concat(packed, '') AS BLOB) FROM ",
            "digest || id || number || ',' || project || ',' || organization || ',' || policy || ',' || coalesce(expires_at, '') \
             || ',' || state || ',' || kind || ',' || environment || ',' || version || ',' || (deleted_at IS NOT NULL) \
             || ',' || seal || ',' || length(CAST(metadata AS BLOB)) || ';' || metadata",
        ),
        Connection::Postgres { .. } => (
            "SELECT string_agg(packed, ''::bytea ORDER BY number) FROM ",
            "digest || id || convert_to(concat(number, ',', project, ',', organization, ',', policy, ',', expires_at, ',', state, \
             ',', kind, ',', environment, ',', version, ',', CASE WHEN deleted_at IS NULL THEN 0 ELSE 1 END, ',', seal, ',', \
             octet_length(metadata), ';', metadata), 'UTF8')",
        ),
    };
    let mut query = sql(whole);
    query.push("(SELECT number, ").push(packed).push(" AS packed FROM keys WHERE ");
    match which {
        Which::Between(first, last) => {
            query.push("number BETWEEN ").push_bind(first).push(" AND ").push_bind(last).push(" ORDER BY number");
        }
        Which::Of(numbers) => {
            query = query.seldom();
            query.push("number IN ").push_list(numbers).push(" ORDER BY number");
        }
        Which::Unsealed { after, most } => {
            query.push("seal = '' AND number > ").push_bind(after).push(" ORDER BY number LIMIT ").push_bind(most);
        }
    }
    query.push(") AS rows_of_keys");
    Ok(Columns::of(&query.fetch_one(db).await?).blob_if_any()?.unwrap_or_default())
}

/// Takes keys apart, one after the other.
pub(crate) fn each<'p>(
    mut packed: &'p [u8],
    mut take: impl FnMut(Packed<'p>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    while !packed.is_empty() {
        let (digest, rest) = packed.split_first_chunk::<32>().ok_or_else(cut_short)?;
        let (id, rest) = rest.split_first_chunk::<16>().ok_or_else(cut_short)?;
        let end = rest.iter().position(|byte| *byte == b';').ok_or_else(cut_short)?;
        let text = std::str::from_utf8(&rest[..end]).map_err(damaged)?;
        let mut ends = text.rsplitn(3, ',');
        let length: usize = ends.next().and_then(|length| length.parse().ok()).ok_or_else(cut_short)?;
        let (seal, facts) = ends.next().zip(ends.next()).ok_or_else(cut_short)?;
        let (metadata, rest) = rest[end + 1..].split_at_checked(length).ok_or_else(cut_short)?;
        take(Packed { digest, id, facts, seal, metadata })?;
        packed = rest;
    }
    Ok(())
}

impl Packed<'_> {
    /// Its number.
    pub(crate) fn number(&self) -> Result<u32, StoreError> {
        self.facts.split(',').next().and_then(|number| number.parse().ok()).ok_or_else(cut_short)
    }
}

fn cut_short() -> StoreError {
    damaged("a key that is cut short")
}
