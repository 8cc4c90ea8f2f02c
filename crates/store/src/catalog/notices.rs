//! Of which keys something is to be told. What was told before is left out; nothing is changed here.

use keystile_core::id::{KeyId, OrganizationId};
use keystile_core::key::{KeyNotice, Standing};
use keystile_core::time::Timestamp;

use crate::db::{Columns, Row, Sql, sql, standing_word};
use crate::{Catalog, StoreError};

/// A key, and the moment because of which something is to be told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its id.
    pub key: KeyId,
    /// Its number.
    pub number: u32,
    /// Which version it is about.
    pub version: u16,
    /// When that version was made, or when it ends.
    pub moment: Timestamp,
}

fn read(row: &Row) -> Result<Due, StoreError> {
    let mut row = Columns::of(row);
    Ok(Due {
        organization: row.id(OrganizationId::from_slice)?,
        key: row.id(KeyId::from_slice)?,
        number: row.number()?,
        version: row.number()?,
        moment: row.moment()?,
    })
}

/// Keys that are not deleted, with the organization that they belong to; open for conditions.
fn keys(version: &'static str, moment: &'static str) -> Sql<'static> {
    let mut query = sql("SELECT o.id, k.id, k.number, ").seldom();
    query.push(version).push(", ").push(moment);
    query.push(" FROM keys k JOIN organizations o ON o.number = k.organization");
    query
}

/// Leaves out those of which this was told. `about` is a column.
fn push_untold(query: &mut Sql<'_>, kind: &'static str, about: &'static str) {
    query.push(" AND NOT EXISTS (SELECT 1 FROM key_notices n WHERE n.key = k.number AND n.kind = ").push_bind(kind);
    query.push(" AND n.about = ").push(about).push(")");
}

impl Catalog {
    /// Active keys that end after one moment and not after the other, of which no notice of this kind was given. Those
    /// whose whole life, from when their version was made, is shorter than so many seconds are left out.
    pub async fn keys_ending(
        &self,
        (after, until): (Timestamp, Timestamp),
        least_life_secs: i64,
        kind: &'static str,
        limit: u32,
    ) -> Result<Vec<Due>, StoreError> {
        let mut query = keys("k.version", "k.expires_at");
        query.push(" WHERE k.deleted_at IS NULL AND k.state = 'active' AND k.expires_at > ");
        query.push_bind(after.as_micros()).push(" AND k.expires_at <= ").push_bind(until.as_micros());
        query.push(" AND k.expires_at - coalesce(k.versioned_at, k.created_at) >= ");
        query.push_bind(least_life_secs.saturating_mul(1_000_000));
        push_untold(&mut query, kind, "k.expires_at");
        query.push(" ORDER BY k.expires_at LIMIT ").push_bind(limit);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// Former versions that ended after one moment and not after the other, of which no notice of this kind was given.
    pub async fn versions_ended(
        &self,
        (after, until): (Timestamp, Timestamp),
        kind: &'static str,
        limit: u32,
    ) -> Result<Vec<Due>, StoreError> {
        let mut query = keys("v.version", "v.ends_at");
        query.push(" JOIN key_versions v ON v.key = k.number WHERE k.deleted_at IS NULL AND v.ends_at > ");
        query.push_bind(after.as_micros()).push(" AND v.ends_at <= ").push_bind(until.as_micros());
        push_untold(&mut query, kind, "v.version");
        query.push(" ORDER BY v.ends_at LIMIT ").push_bind(limit);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// Active keys of projects that may call an API, whose version was made after one moment and not after the other, and
    /// of which no notice of this kind was given about that version.
    pub async fn keys_made(
        &self,
        api: u32,
        (after, until): (Timestamp, Timestamp),
        kind: &'static str,
        limit: u32,
    ) -> Result<Vec<Due>, StoreError> {
        let mut query = of_api(api, until, Standing::Active);
        query.push(" AND coalesce(k.versioned_at, k.created_at) > ").push_bind(after.as_micros());
        push_untold(&mut query, kind, "k.version");
        query.push(" ORDER BY k.number LIMIT ").push_bind(limit);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// Keys of projects that may call an API, whose version was made at this moment or before: those of this standing with a
    /// greater number, in order.
    pub async fn keys_of_api(
        &self,
        api: u32,
        until: Timestamp,
        standing: Standing,
        above: u32,
        limit: u32,
    ) -> Result<Vec<Due>, StoreError> {
        let mut query = of_api(api, until, standing);
        query.push(" AND k.number > ").push_bind(above);
        query.push(" ORDER BY k.number LIMIT ").push_bind(limit);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }
}

impl Catalog {
    /// Whether this was told of a key.
    pub async fn was_told(&self, key: u32, notice: &KeyNotice) -> Result<bool, StoreError> {
        let (kind, about) = notice.identity();
        let query = sql("SELECT at FROM key_notices WHERE key = ? AND kind = ? AND about = ?");
        let told = query.bind(key).bind(kind).bind(about).fetch_optional(&mut self.0.base.read().await?).await?;
        Ok(told.is_some())
    }
}

/// Keys that call APIs, of projects with an approved activation of this one.
fn of_api(api: u32, until: Timestamp, standing: Standing) -> Sql<'static> {
    let mut query = keys("k.version", "coalesce(k.versioned_at, k.created_at)");
    query.push(" JOIN activations a ON a.project = k.project WHERE k.deleted_at IS NULL AND k.kind NOT IN ('management', 'canary')");
    query.push(" AND k.state = ").push_bind(standing_word(standing));
    query.push(" AND coalesce(k.versioned_at, k.created_at) <= ").push_bind(until.as_micros());
    query.push(" AND a.deleted_at IS NULL AND a.state = 'approved' AND a.api = ").push_bind(api);
    query
}
