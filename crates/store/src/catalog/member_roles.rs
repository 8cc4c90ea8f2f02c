//! Roles that organizations made for their members.

use keystile_core::id::{MemberRoleId, OrganizationId};
use keystile_core::member::MemberRoleName;

use super::{push_name, push_page};
use crate::db::{Columns, Connection, Row, sql};
use crate::records::{CustomRole, Page};
use crate::{Catalog, StoreError};

const SELECT: &str = "SELECT r.id, r.number, o.id, r.name, r.description, r.permissions, r.created_at, r.updated_at, \
     r.revision FROM member_roles r JOIN organizations o ON o.number = r.organization WHERE r.deleted_at IS NULL";

fn read(row: &Row) -> Result<CustomRole, StoreError> {
    let mut row = Columns::of(row);
    Ok(CustomRole {
        id: row.id(MemberRoleId::from_slice)?,
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
    id: MemberRoleId,
) -> Result<Option<CustomRole>, StoreError> {
    let mut query = sql(SELECT);
    query.push(" AND r.id = ").push_bind(id.to_bytes());
    query.push(" AND o.id = ").push_bind(organization.to_bytes());
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

impl Catalog {
    /// The roles that an organization made for its members, newest first; only the one of a name, if one is asked for.
    pub async fn member_roles(
        &self,
        organization: OrganizationId,
        name: Option<&str>,
        page: Page,
    ) -> Result<Vec<CustomRole>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" AND o.id = ").push_bind(organization.to_bytes());
        push_name(&mut query, "r.name", name);
        push_page(&mut query, "r.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// One of them.
    pub async fn member_role(
        &self,
        organization: OrganizationId,
        id: MemberRoleId,
    ) -> Result<Option<CustomRole>, StoreError> {
        find(&mut self.0.base.read().await?, organization, id).await
    }

    /// The one of this name.
    pub async fn member_role_named(
        &self,
        organization: OrganizationId,
        name: &MemberRoleName,
    ) -> Result<Option<CustomRole>, StoreError> {
        let one = Page { before: None, limit: 1 };
        Ok(self.member_roles(organization, Some(name.as_str()), one).await?.pop())
    }
}
