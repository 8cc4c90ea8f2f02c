//! Roles.

use keystile_core::id::{OrganizationId, RoleId};
use keystile_core::role::RoleName;

use super::{push_name, push_page};
use crate::db::{Columns, Connection, Row, sql};
use crate::records::{Page, Role};
use crate::{Catalog, StoreError};

/// The columns that [`read`] takes.
pub(crate) const SELECT: &str = "SELECT r.id, r.number, o.id, r.name, r.description, r.permissions, r.created_at, \
     r.updated_at, r.revision FROM roles r JOIN organizations o ON o.number = r.organization WHERE r.deleted_at IS NULL";

pub(crate) fn read(row: &Row) -> Result<Role, StoreError> {
    let mut row = Columns::of(row);
    Ok(Role {
        id: row.id(RoleId::from_slice)?,
        number: row.number()?,
        organization: row.id(OrganizationId::from_slice)?,
        name: row.word()?,
        description: row.text()?,
        permissions: row.json()?,
        created_at: row.moment()?,
        updated_at: row.moment()?,
        revision: row.number()?,
    })
}

/// One role of an organization.
pub(crate) async fn find(
    db: &mut Connection,
    organization: OrganizationId,
    id: RoleId,
) -> Result<Option<Role>, StoreError> {
    let mut query = sql(SELECT);
    query.push(" AND r.id = ").push_bind(id.to_bytes());
    query.push(" AND o.id = ").push_bind(organization.to_bytes());
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

impl Catalog {
    /// The roles of an organization, newest first; only the one of a name, if one is asked for.
    pub async fn roles(
        &self,
        organization: OrganizationId,
        name: Option<&str>,
        page: Page,
    ) -> Result<Vec<Role>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" AND o.id = ").push_bind(organization.to_bytes());
        push_name(&mut query, "r.name", name);
        push_page(&mut query, "r.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// One role of an organization.
    pub async fn role(&self, organization: OrganizationId, id: RoleId) -> Result<Option<Role>, StoreError> {
        find(&mut self.0.base.read().await?, organization, id).await
    }

    /// The role of an organization that has this name.
    pub async fn role_named(&self, organization: OrganizationId, name: &RoleName) -> Result<Option<Role>, StoreError> {
        let one = Page { before: None, limit: 1 };
        Ok(self.roles(organization, Some(name.as_str()), one).await?.pop())
    }
}
