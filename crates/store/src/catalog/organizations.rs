//! Organizations.

use keystile_core::id::OrganizationId;

use crate::db::{Columns, Row, sql};
use crate::records::Organization;
use crate::{Catalog, StoreError};

fn read(row: &Row) -> Result<Organization, StoreError> {
    let mut row = Columns::of(row);
    Ok(Organization {
        id: row.id(OrganizationId::from_slice)?,
        number: row.number()?,
        name: row.text()?,
        created_at: row.moment()?,
    })
}

impl Catalog {
    /// Every organization, oldest first.
    pub async fn organizations(&self) -> Result<Vec<Organization>, StoreError> {
        sql("SELECT id, number, name, created_at FROM organizations ORDER BY number")
            .fetch_all(&mut self.0.base.read().await?)
            .await?
            .iter()
            .map(read)
            .collect()
    }

    /// One organization.
    pub async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
        sql("SELECT id, number, name, created_at FROM organizations WHERE id = ?")
            .bind(id.to_bytes())
            .fetch_optional(&mut self.0.base.read().await?)
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }
}
