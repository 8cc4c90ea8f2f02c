//! Keys, without their digests: those leave the store only through the feed.

use std::collections::HashSet;

use keystile_core::id::{KeyId, OrganizationId, ProjectId};
use keystile_core::key::KeyDigest;
use keystile_core::metadata::Tags;

use super::{push_label, push_name, push_page};
use crate::apply::known_otherwise;
use crate::db::{Columns, Connection, Row, Sql, sql, standing_word};
use crate::records::{FormerVersion, Key, KeyFilter, Page};
use crate::{Catalog, StoreError};

/// Ids or digests that are asked for in one statement.
const ASKED_AT_ONCE: usize = 500;

/// The columns that [`read`] takes.
const SELECT: &str = "SELECT k.id, k.number, p.id, o.id, k.name, k.kind, k.environment, k.hint, c.document, \
     k.expires_at, k.state, k.state_at, k.exposed_at, (SELECT count(*) FROM key_texts x WHERE x.key = k.number), k.labels, k.metadata, k.version, coalesce(k.versioned_at, k.created_at), k.created_at, \
     k.updated_at, k.revision, k.deleted_at FROM keys k \
     JOIN projects p ON p.number = k.project JOIN organizations o ON o.number = k.organization \
     JOIN policies c ON c.number = k.policy WHERE k.deleted_at ";

const THERE: &str = "IS NULL";
const DELETED: &str = "IS NOT NULL";

pub(crate) fn read(row: &Row) -> Result<Key, StoreError> {
    let mut row = Columns::of(row);
    Ok(Key {
        id: row.id(KeyId::from_slice)?,
        number: row.number()?,
        project: row.id(ProjectId::from_slice)?,
        organization: row.id(OrganizationId::from_slice)?,
        name: row.text()?,
        kind: row.word()?,
        environment: row.word()?,
        hint: row.text()?,
        policy: row.json()?,
        expires_at: row.moment_if_any()?,
        state: row.key_state()?,
        exposed_at: row.moment_if_any()?,
        recoverable: row.number::<u32>()? > 0,
        tags: Tags { labels: row.json()?, metadata: row.json()? },
        version: row.number()?,
        versioned_at: row.moment()?,
        created_at: row.moment()?,
        updated_at: row.moment()?,
        revision: row.number()?,
        deleted_at: row.moment_if_any()?,
    })
}

/// Rows of all keys with these numbers, deleted ones among them; [`read`] takes them.
pub(crate) async fn rows_from(db: &mut Connection, first: u32, count: i64) -> Result<Vec<Row>, StoreError> {
    let mut query = sql(SELECT.trim_end_matches("k.deleted_at ")).seldom();
    query.push(" k.number >= ").push_bind(first).push(" AND k.number < ").push_bind(i64::from(first) + count);
    Ok(query.fetch_all(db).await?)
}

/// One key of an organization.
pub(crate) async fn find(
    db: &mut Connection,
    organization: OrganizationId,
    id: KeyId,
) -> Result<Option<Key>, StoreError> {
    one(db, organization, id, THERE).await
}

/// One key of an organization that was deleted.
pub(crate) async fn find_deleted(
    db: &mut Connection,
    organization: OrganizationId,
    id: KeyId,
) -> Result<Option<Key>, StoreError> {
    one(db, organization, id, DELETED).await
}

async fn one(
    db: &mut Connection,
    organization: OrganizationId,
    id: KeyId,
    whether: &'static str,
) -> Result<Option<Key>, StoreError> {
    let mut query = sql(SELECT);
    query.push(whether).push(" AND k.id = ").push_bind(id.to_bytes());
    query.push(" AND o.id = ").push_bind(organization.to_bytes());
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

/// Keys that somebody looks for by a part of what they know.
fn push_search(query: &mut Sql<'_>, text: &str) {
    // No name has a NUL, and PostgreSQL takes none.
    if text.contains('\0') {
        query.push(" AND 1 = 0");
        return;
    }
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    query.push(" AND (lower(k.name) LIKE ").push_bind(format!("%{}%", escaped.to_lowercase())).push(" ESCAPE '\\'");
    query.push(" OR k.hint LIKE ").push_bind(format!("%{escaped}%")).push(" ESCAPE '\\'");
    if let Ok(id) = text.parse::<KeyId>() {
        query.push(" OR k.id = ").push_bind(id.to_bytes());
    }
    query.push(")");
}

impl Catalog {
    /// The keys of an organization, newest first.
    pub async fn keys(
        &self,
        organization: OrganizationId,
        filter: KeyFilter,
        page: Page,
    ) -> Result<Vec<Key>, StoreError> {
        let mut query = sql(SELECT);
        match filter.deleted_after {
            None => query.push(THERE),
            Some(moment) => query.push("> ").push_bind(moment.as_micros()),
        };
        // The organization is looked up first and compared as a number, so that its index gives the rows in order. With
        // a project, the project's index is the shorter one; the plus sign keeps SQLite from choosing the other.
        let organization_column = if filter.project.is_some() { " AND +k.organization" } else { " AND k.organization" };
        query.push(organization_column).push(" = (SELECT number FROM organizations WHERE id = ");
        query.push_bind(organization.to_bytes()).push(")");
        if let Some(project) = filter.project {
            query.push(" AND k.project = (SELECT number FROM projects WHERE id = ");
            query.push_bind(project.to_bytes()).push(")");
        }
        if let Some(standing) = filter.standing {
            query.push(" AND k.state = ").push_bind(standing_word(standing));
        }
        if let Some(kind) = filter.kind {
            query.push(" AND k.kind = ").push_bind(kind.as_str());
        }
        if let Some(pepper) = filter.pepper {
            query.push(" AND (k.pepper = ").push_bind(pepper);
            query.push(" OR k.number IN (SELECT key FROM key_versions WHERE pepper = ").push_bind(pepper).push("))");
        }
        for label in &filter.labels {
            push_label(&mut query, "k.labels", label);
        }
        push_name(&mut query, "k.name", filter.name.as_deref());
        if let Some(text) = &filter.search {
            push_search(&mut query, text);
        }
        push_page(&mut query, "k.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// One key of an organization.
    pub async fn key(&self, organization: OrganizationId, id: KeyId) -> Result<Option<Key>, StoreError> {
        find(&mut self.0.base.read().await?, organization, id).await
    }

    /// A key of an organization that was deleted.
    pub async fn deleted_key(&self, organization: OrganizationId, id: KeyId) -> Result<Option<Key>, StoreError> {
        find_deleted(&mut self.0.base.read().await?, organization, id).await
    }

    /// The versions of a key that others have taken the place of, newest first. The key must have been found to be
    /// the asker's.
    pub async fn former_versions(&self, key: u32) -> Result<Vec<FormerVersion>, StoreError> {
        let rows = sql("SELECT version, hint, created_at, superseded_at, ends_at FROM key_versions WHERE key = ? \
             ORDER BY version DESC")
        .bind(key)
        .fetch_all(&mut self.0.base.read().await?)
        .await?;
        rows.iter()
            .map(|row| {
                let mut row = Columns::of(row);
                Ok(FormerVersion {
                    version: row.number()?,
                    hint: row.text()?,
                    created_at: row.moment()?,
                    superseded_at: row.moment()?,
                    ends_at: row.moment()?,
                })
            })
            .collect()
    }

    /// Which of these ids are those of keys, deleted ones too.
    pub async fn known_ids(&self, ids: &[KeyId]) -> Result<HashSet<KeyId>, StoreError> {
        let mut known = HashSet::new();
        let mut db = self.0.base.read().await?;
        for chunk in ids.chunks(ASKED_AT_ONCE) {
            let mut query = sql("SELECT id FROM keys WHERE id IN ").seldom();
            query.push_list(chunk.iter().map(|id| id.to_bytes()));
            for row in query.fetch_all(&mut db).await? {
                known.insert(Columns::of(&row).id(KeyId::from_slice)?);
            }
        }
        Ok(known)
    }

    /// Which of these digests an import would leave out, because they are those of keys that are not deleted, whosever.
    pub async fn known_digests(&self, digests: &[KeyDigest]) -> Result<HashSet<[u8; 32]>, StoreError> {
        let mut known = HashSet::new();
        let mut db = self.0.base.read().await?;
        for chunk in digests.chunks(ASKED_AT_ONCE) {
            let mut query = sql("SELECT digest FROM keys WHERE deleted_at IS NULL AND digest IN ").seldom();
            query.push_list(chunk.iter().map(|digest| *digest.as_bytes()));
            for row in query.fetch_all(&mut db).await? {
                known.insert(Columns::of(&row).bytes()?);
            }
            let chunk: Vec<&[u8; 32]> = chunk.iter().map(KeyDigest::as_bytes).collect();
            known.extend(known_otherwise(&mut db, &chunk).await?);
        }
        Ok(known)
    }

    /// How many keys of an organization are not deleted.
    pub async fn count_keys(&self, organization: OrganizationId) -> Result<u64, StoreError> {
        let query = sql("SELECT count(*) FROM keys WHERE deleted_at IS NULL \
             AND organization = (SELECT number FROM organizations WHERE id = ?)")
        .bind(organization.to_bytes());
        query.fetch_number(&mut self.0.base.read().await?).await
    }
}
