//! From the small numbers of usage and snapshots to ids, and back. Deleted things are among them: their usage stays.

use std::collections::HashMap;

use keystile_core::id::{ApiId, KeyId, NotAnId, OrganizationId, ProjectId};

use crate::db::{Columns, sql};
use crate::{Catalog, StoreError};

/// Numbers in one statement.
const CHUNK: usize = 1_000;

impl Catalog {
    /// The ids that belong to these numbers, of deleted things too, for showing usage.
    pub async fn api_ids(&self, numbers: &[u32]) -> Result<HashMap<u32, ApiId>, StoreError> {
        let select = "SELECT number, id FROM apis WHERE number IN ";
        self.ids(select, numbers, ApiId::from_slice).await
    }

    /// As [`Catalog::api_ids`], of projects.
    pub async fn project_ids(&self, numbers: &[u32]) -> Result<HashMap<u32, ProjectId>, StoreError> {
        let select = "SELECT number, id FROM projects WHERE number IN ";
        self.ids(select, numbers, ProjectId::from_slice).await
    }

    /// As [`Catalog::api_ids`], of keys.
    pub async fn key_ids(&self, numbers: &[u32]) -> Result<HashMap<u32, KeyId>, StoreError> {
        let select = "SELECT number, id FROM keys WHERE number IN ";
        self.ids(select, numbers, KeyId::from_slice).await
    }

    /// As [`Catalog::api_ids`], of organizations.
    pub async fn organization_ids(&self, numbers: &[u32]) -> Result<HashMap<u32, OrganizationId>, StoreError> {
        let select = "SELECT number, id FROM organizations WHERE number IN ";
        self.ids(select, numbers, OrganizationId::from_slice).await
    }

    /// The organizations of projects, by the numbers of those.
    pub async fn organizations_of_projects(&self, numbers: &[u32]) -> Result<HashMap<u32, OrganizationId>, StoreError> {
        let select = "SELECT p.number, o.id FROM projects p JOIN organizations o ON o.number = p.organization \
             WHERE p.number IN ";
        self.ids(select, numbers, OrganizationId::from_slice).await
    }

    /// Every project's number with that of its organization, of deleted ones too.
    pub async fn projects_organizations(&self) -> Result<Vec<(u32, u32)>, StoreError> {
        let rows = sql("SELECT number, organization FROM projects").fetch_all(&mut self.0.base.read().await?).await?;
        rows.iter()
            .map(|row| {
                let mut row = Columns::of(row);
                Ok((row.number()?, row.number()?))
            })
            .collect()
    }

    /// The number of an API of this organization by its id, of a deleted one too.
    pub async fn api_number(&self, organization: OrganizationId, id: ApiId) -> Result<Option<u32>, StoreError> {
        let select =
            "SELECT a.number FROM apis a JOIN organizations o ON o.number = a.organization WHERE a.id = ? AND o.id = ?";
        self.number(select, id.to_bytes(), organization).await
    }

    /// As [`Catalog::api_number`], of a project.
    pub async fn project_number(&self, organization: OrganizationId, id: ProjectId) -> Result<Option<u32>, StoreError> {
        let select = "SELECT p.number FROM projects p JOIN organizations o ON o.number = p.organization WHERE p.id = ? AND o.id = ?";
        self.number(select, id.to_bytes(), organization).await
    }

    /// As [`Catalog::api_number`], of a key.
    pub async fn key_number(&self, organization: OrganizationId, id: KeyId) -> Result<Option<u32>, StoreError> {
        let select =
            "SELECT k.number FROM keys k JOIN organizations o ON o.number = k.organization WHERE k.id = ? AND o.id = ?";
        self.number(select, id.to_bytes(), organization).await
    }

    async fn ids<T>(
        &self,
        select: &'static str,
        numbers: &[u32],
        read: fn(&[u8]) -> Result<T, NotAnId>,
    ) -> Result<HashMap<u32, T>, StoreError> {
        let mut db = self.0.base.read().await?;
        let mut ids = HashMap::new();
        for numbers in numbers.chunks(CHUNK) {
            let mut query = sql(select).seldom();
            query.push_list(numbers.iter().copied());
            for row in &query.fetch_all(&mut db).await? {
                let mut row = Columns::of(row);
                ids.insert(row.number()?, row.id(read)?);
            }
        }
        Ok(ids)
    }

    async fn number(
        &self,
        select: &'static str,
        id: [u8; 16],
        organization: OrganizationId,
    ) -> Result<Option<u32>, StoreError> {
        let query = sql(select).bind(id).bind(organization.to_bytes());
        query.fetch_number_if_any(&mut self.0.base.read().await?).await
    }
}
