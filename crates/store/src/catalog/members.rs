//! Members: people in organizations.

use keystile_core::id::{MemberId, MemberRoleId, OrganizationId};
use keystile_core::member::{MemberRole, MemberRoleName};
use keystile_core::permission::Permission;

use super::accounts::account;
use super::{accounts, push_page};
use crate::db::{Columns, Connection, Row, damaged, sql, word};
use crate::records::{Member, Membership, Page};
use crate::{Catalog, StoreError};

/// The columns that [`read`] and [`read_membership`] take.
pub(crate) const SELECT: &str = concat!(
    "SELECT m.id, m.number, o.id, ",
    account!(),
    ", m.role, r.id, r.name, r.permissions, m.created_at, m.updated_at, m.revision, o.number, o.name, o.kind \
     FROM members m JOIN organizations o ON o.number = m.organization JOIN accounts a ON a.number = m.account \
     LEFT JOIN member_roles r ON r.number = m.custom_role WHERE m.deleted_at IS NULL"
);

fn columns(row: &mut Columns<'_>) -> Result<Member, StoreError> {
    let (id, number) = (row.id(MemberId::from_slice)?, row.number()?);
    let organization = row.id(OrganizationId::from_slice)?;
    let account = accounts::columns(row)?;
    let (role, role_name) = role(row)?;
    let granted: Option<Vec<Permission>> = row.json_if_any()?;
    Ok(Member {
        id,
        number,
        organization,
        account,
        granted: match (role, granted) {
            (MemberRole::BuiltIn(role), None) => role.permissions(),
            (MemberRole::Custom(_), Some(granted)) => granted,
            (role, _) => return Err(damaged(format_args!("the role {role} of {id}"))),
        },
        role,
        role_name,
        created_at: row.moment()?,
        updated_at: row.moment()?,
        revision: row.number()?,
    })
}

/// A role, of three columns: the word, and id and name of one that the organization made.
pub(crate) fn role(row: &mut Columns<'_>) -> Result<(MemberRole, Option<MemberRoleName>), StoreError> {
    let built_in = row.text()?;
    let (id, name) = (row.blob_if_any()?, row.text_if_any()?);
    match (id, name) {
        (Some(id), Some(name)) => {
            let id = MemberRoleId::from_slice(&id).map_err(damaged)?;
            Ok((MemberRole::Custom(id), Some(word(&name)?)))
        }
        _ => Ok((MemberRole::BuiltIn(word(&built_in)?), None)),
    }
}

pub(crate) fn read(row: &Row) -> Result<Member, StoreError> {
    columns(&mut Columns::of(row))
}

pub(crate) fn read_membership(row: &Row) -> Result<Membership, StoreError> {
    let mut row = Columns::of(row);
    let member = columns(&mut row)?;
    Ok(Membership {
        organization: member.organization,
        member,
        organization_number: row.number()?,
        organization_name: row.text()?,
        kind: row.word()?,
    })
}

/// One member of an organization.
pub(crate) async fn find(
    db: &mut Connection,
    organization: OrganizationId,
    id: MemberId,
) -> Result<Option<Member>, StoreError> {
    let mut query = sql(SELECT);
    query.push(" AND m.id = ").push_bind(id.to_bytes());
    query.push(" AND o.id = ").push_bind(organization.to_bytes());
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

impl Catalog {
    /// The members of an organization, newest first; only the one of an address, if one is asked for.
    pub async fn members(
        &self,
        organization: OrganizationId,
        email: Option<&str>,
        page: Page,
    ) -> Result<Vec<Member>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" AND o.id = ").push_bind(organization.to_bytes());
        super::push_name(&mut query, "a.email", email.map(str::to_lowercase).as_deref());
        push_page(&mut query, "m.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// One member of an organization.
    pub async fn member(&self, organization: OrganizationId, id: MemberId) -> Result<Option<Member>, StoreError> {
        find(&mut self.0.base.read().await?, organization, id).await
    }
}
