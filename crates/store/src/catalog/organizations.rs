//! Organizations. Each sees itself; the first one, which runs the installation, sees all.

use keystile_core::id::OrganizationId;

use super::push_page;
use crate::db::{Columns, Connection, Row, Sql, sql};
use crate::records::{Organization, Page};
use crate::{Catalog, StoreError};

/// The number of the organization that runs the installation: it was made at the first start.
pub(crate) const FIRST: u32 = 1;

/// The columns that [`read`] takes.
const SELECT: &str = "SELECT o.id, o.number, o.name, o.kind, o.created_at, o.updated_at, o.revision \
     FROM organizations o WHERE 1 = 1";

fn read(row: &Row) -> Result<Organization, StoreError> {
    let mut row = Columns::of(row);
    Ok(Organization {
        id: row.id(OrganizationId::from_slice)?,
        number: row.number()?,
        name: row.text()?,
        kind: row.word()?,
        created_at: row.moment()?,
        updated_at: row.moment()?,
        revision: row.number()?,
    })
}

/// Keeps what belongs to an organization, or all for the one that runs the installation. `o` is the organization's table.
pub(crate) fn push_seen_by(query: &mut Sql<'_>, organization: OrganizationId) {
    query.push(" AND (o.id = ").push_bind(organization.to_bytes());
    query.push(" OR EXISTS (SELECT 1 FROM organizations first WHERE first.number = ").push_bind(FIRST);
    query.push(" AND first.id = ").push_bind(organization.to_bytes()).push("))");
}

/// One organization that another one sees.
pub(crate) async fn find(
    db: &mut Connection,
    seen_by: OrganizationId,
    id: OrganizationId,
) -> Result<Option<Organization>, StoreError> {
    let mut query = sql(SELECT);
    query.push(" AND o.id = ").push_bind(id.to_bytes());
    push_seen_by(&mut query, seen_by);
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

impl Catalog {
    /// Every organization, oldest first: for the process itself.
    pub async fn organizations(&self) -> Result<Vec<Organization>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" ORDER BY o.number");
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// The id of the one that runs the installation; `None` before there is any.
    pub async fn first_organization(&self) -> Result<Option<OrganizationId>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" AND o.number = ").push_bind(FIRST);
        let row = query.fetch_optional(&mut self.0.base.read().await?).await?;
        Ok(row.as_ref().map(read).transpose()?.map(|first| first.id))
    }

    /// The organizations that one sees, newest first.
    pub async fn organizations_seen_by(
        &self,
        organization: OrganizationId,
        page: Page,
    ) -> Result<Vec<Organization>, StoreError> {
        let mut query = sql(SELECT);
        push_seen_by(&mut query, organization);
        push_page(&mut query, "o.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// One organization that another one sees.
    pub async fn organization(
        &self,
        seen_by: OrganizationId,
        id: OrganizationId,
    ) -> Result<Option<Organization>, StoreError> {
        find(&mut self.0.base.read().await?, seen_by, id).await
    }
}
