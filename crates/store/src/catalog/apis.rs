//! APIs, without the operations of their documents unless those are asked for.

use keystile_core::id::{ApiId, OrganizationId};

use super::{push_name, push_page};
use crate::db::{Columns, Connection, Row, sql};
use crate::records::{Api, Page};
use crate::{Catalog, StoreError};

/// The columns that [`read`] takes.
pub(crate) const SELECT: &str = "SELECT a.id, a.number, o.id, o.number, a.name, a.active, a.settings, a.document, a.created_at, a.updated_at, \
     a.revision FROM apis a JOIN organizations o ON o.number = a.organization WHERE a.deleted_at IS NULL";

pub(crate) fn read(row: &Row) -> Result<Api, StoreError> {
    let mut row = Columns::of(row);
    Ok(Api {
        id: row.id(ApiId::from_slice)?,
        number: row.number()?,
        organization: row.id(OrganizationId::from_slice)?,
        organization_number: row.number()?,
        name: row.text()?,
        active: row.flag()?,
        settings: row.json()?,
        document: row.json_if_any()?,
        created_at: row.moment()?,
        updated_at: row.moment()?,
        revision: row.number()?,
    })
}

/// One API of an organization.
pub(crate) async fn find(
    db: &mut Connection,
    organization: OrganizationId,
    id: ApiId,
) -> Result<Option<Api>, StoreError> {
    let mut query = sql(SELECT);
    query.push(" AND a.id = ").push_bind(id.to_bytes());
    query.push(" AND o.id = ").push_bind(organization.to_bytes());
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

impl Catalog {
    /// The APIs of an organization, newest first; only those of exactly this name, if one is given.
    pub async fn apis(
        &self,
        organization: OrganizationId,
        name: Option<&str>,
        page: Page,
    ) -> Result<Vec<Api>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" AND o.id = ").push_bind(organization.to_bytes());
        push_name(&mut query, "a.name", name);
        push_page(&mut query, "a.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// One API of an organization.
    pub async fn api(&self, organization: OrganizationId, id: ApiId) -> Result<Option<Api>, StoreError> {
        find(&mut self.0.base.read().await?, organization, id).await
    }

    /// The operations of an API's document, JSON in the server's form.
    pub async fn api_operations(&self, number: u32) -> Result<Option<String>, StoreError> {
        let row = sql("SELECT operations FROM apis WHERE number = ? AND deleted_at IS NULL")
            .bind(number)
            .fetch_optional(&mut self.0.base.read().await?)
            .await?;
        row.map_or(Ok(None), |row| Columns::of(&row).text_if_any())
    }
}
