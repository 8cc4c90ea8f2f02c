//! From the small numbers of usage and snapshots to ids, and back. Deleted things are among them: their usage stays.

use std::collections::HashMap;

use keystile_core::id::{ApiId, KeyId, NotAnId, OrganizationId, ProjectId};

use super::super::row::{Columns, to_json};
use crate::{Catalog, StoreError};

impl Catalog {
    /// The ids that belong to these numbers, of deleted things too, for showing usage.
    pub async fn api_ids(&self, numbers: &[u32]) -> Result<HashMap<u32, ApiId>, StoreError> {
        let sql = "SELECT number, id FROM apis WHERE number IN (SELECT value FROM json_each(?))";
        self.ids(sql, numbers, ApiId::from_slice).await
    }

    /// As [`Catalog::api_ids`], of projects.
    pub async fn project_ids(&self, numbers: &[u32]) -> Result<HashMap<u32, ProjectId>, StoreError> {
        let sql = "SELECT number, id FROM projects WHERE number IN (SELECT value FROM json_each(?))";
        self.ids(sql, numbers, ProjectId::from_slice).await
    }

    /// As [`Catalog::api_ids`], of keys.
    pub async fn key_ids(&self, numbers: &[u32]) -> Result<HashMap<u32, KeyId>, StoreError> {
        let sql = "SELECT number, id FROM keys WHERE number IN (SELECT value FROM json_each(?))";
        self.ids(sql, numbers, KeyId::from_slice).await
    }

    /// The number of an API of this organization by its id, of a deleted one too.
    pub async fn api_number(&self, organization: OrganizationId, id: ApiId) -> Result<Option<u32>, StoreError> {
        let sql =
            "SELECT a.number FROM apis a JOIN organizations o ON o.number = a.organization WHERE a.id = ? AND o.id = ?";
        self.number(sql, id.to_bytes(), organization).await
    }

    /// As [`Catalog::api_number`], of a project.
    pub async fn project_number(&self, organization: OrganizationId, id: ProjectId) -> Result<Option<u32>, StoreError> {
        let sql = "SELECT p.number FROM projects p JOIN organizations o ON o.number = p.organization WHERE p.id = ? AND o.id = ?";
        self.number(sql, id.to_bytes(), organization).await
    }

    /// As [`Catalog::api_number`], of a key.
    pub async fn key_number(&self, organization: OrganizationId, id: KeyId) -> Result<Option<u32>, StoreError> {
        let sql =
            "SELECT k.number FROM keys k JOIN organizations o ON o.number = k.organization WHERE k.id = ? AND o.id = ?";
        self.number(sql, id.to_bytes(), organization).await
    }

    async fn ids<T>(
        &self,
        sql: &'static str,
        numbers: &[u32],
        read: fn(&[u8]) -> Result<T, NotAnId>,
    ) -> Result<HashMap<u32, T>, StoreError> {
        // One JSON list is one argument, however many numbers there are.
        let rows = sqlx::query(sql).bind(to_json(&numbers)?).fetch_all(&mut *self.0.file.read().await?).await?;
        rows.iter()
            .map(|row| {
                let mut row = Columns::of(row);
                Ok((row.number()?, row.id(read)?))
            })
            .collect()
    }

    async fn number(
        &self,
        sql: &'static str,
        id: [u8; 16],
        organization: OrganizationId,
    ) -> Result<Option<u32>, StoreError> {
        let row = sqlx::query(sql)
            .bind(&id[..])
            .bind(&organization.to_bytes()[..])
            .fetch_optional(&mut *self.0.file.read().await?)
            .await?;
        row.as_ref().map(|row| Columns::of(row).number()).transpose()
    }
}
