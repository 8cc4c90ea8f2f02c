//! Invitations. An organization sees its own; the one that runs the installation sees all, for it invites the first members of
//! others.

use keystile_core::id::{InvitationId, OrganizationId};
use keystile_core::time::Timestamp;

use super::organizations::push_seen_by;
use super::{members, push_page};
use crate::db::{Columns, Connection, Row, sql, word};
use crate::records::{Invitation, Page};
use crate::seal::Sealer;
use crate::{Catalog, StoreError};

const SELECT: &str = "SELECT i.id, i.number, o.id, o.name, i.email, i.role, r.id, r.name, i.made_by, i.state, i.created_at, \
     i.updated_at, i.ends_at, i.revision FROM invitations i JOIN organizations o ON o.number = i.organization \
     LEFT JOIN member_roles r ON r.number = i.custom_role WHERE 1 = 1";

fn read(row: &Row) -> Result<Invitation, StoreError> {
    let mut row = Columns::of(row);
    let (id, number) = (row.id(InvitationId::from_slice)?, row.number()?);
    let (organization, organization_name) = (row.id(OrganizationId::from_slice)?, row.text()?);
    let email = row.text_if_any()?.map(|text| word(&text)).transpose()?;
    let (role, role_name) = members::role(&mut row)?;
    Ok(Invitation {
        id,
        number,
        organization,
        organization_name,
        email,
        role,
        role_name,
        made_by: row.text()?,
        state: row.word()?,
        created_at: row.moment()?,
        updated_at: row.moment()?,
        ends_at: row.moment()?,
        revision: row.number()?,
    })
}

/// One invitation that an organization sees.
pub(crate) async fn find(
    db: &mut Connection,
    seen_by: OrganizationId,
    id: InvitationId,
) -> Result<Option<Invitation>, StoreError> {
    let mut query = sql(SELECT);
    query.push(" AND i.id = ").push_bind(id.to_bytes());
    push_seen_by(&mut query, seen_by);
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

/// The invitation of this token, if it is open at this moment and as it was made.
pub(crate) async fn find_open(
    db: &mut Connection,
    sealer: &Sealer,
    lookup: [u8; 32],
    now: Timestamp,
) -> Result<Option<Invitation>, StoreError> {
    if sealer.is_altered(db, "invitations", ("WHERE lookup = ?", &[lookup.into()])).await? {
        return Ok(None);
    }
    let mut query = sql(SELECT);
    query.push(" AND i.lookup = ").push_bind(&lookup[..]);
    query.push(" AND i.state = 'open' AND i.ends_at > ").push_bind(now.as_micros());
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

impl Catalog {
    /// The invitations to an organization, newest first.
    pub async fn invitations(&self, organization: OrganizationId, page: Page) -> Result<Vec<Invitation>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" AND o.id = ").push_bind(organization.to_bytes());
        push_page(&mut query, "i.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// One invitation that an organization sees.
    pub async fn invitation(
        &self,
        seen_by: OrganizationId,
        id: InvitationId,
    ) -> Result<Option<Invitation>, StoreError> {
        find(&mut self.0.base.read().await?, seen_by, id).await
    }

    /// The invitation of this token, if it is open at this moment.
    pub async fn open_invitation(&self, lookup: [u8; 32], now: Timestamp) -> Result<Option<Invitation>, StoreError> {
        find_open(&mut *self.0.base.view().await?, &self.0.sealer, lookup, now).await
    }
}
