//! Credits that were granted: seen by both sides, who granted them and who holds them.

use keystile_core::credit::{CreditHolder, CreditNoticeKind};
use keystile_core::id::{CreditGrantId, OrganizationId, PlanId, ProjectId};

use super::push_page;
use crate::db::{Columns, Connection, Row, Sql, Value, sql};
use crate::records::{CreditFilter, CreditGrant, Page};
use crate::{Catalog, StoreError};

/// The columns that [`read`] takes.
pub(crate) const SELECT: &str = "SELECT c.id, c.number, o.id, h.id, p.id, c.kind, c.amount, c.note, l.id, c.plan, c.starts_at, \
     c.ends_at, c.revoked_at, c.created_at, c.updated_at, c.revision FROM credit_grants c \
     JOIN organizations o ON o.number = c.organization JOIN organizations h ON h.number = c.holder \
     LEFT JOIN projects p ON p.number = c.project LEFT JOIN plans l ON l.number = c.plan WHERE 1 = 1";

pub(crate) fn read(row: &Row) -> Result<CreditGrant, StoreError> {
    let mut row = Columns::of(row);
    let (id, number, organization) =
        (row.id(CreditGrantId::from_slice)?, row.number()?, row.id(OrganizationId::from_slice)?);
    let holder_organization = row.id(OrganizationId::from_slice)?;
    let project = row.id_if_any(ProjectId::from_slice)?;
    Ok(CreditGrant {
        id,
        number,
        organization,
        holder: project.map_or(CreditHolder::Organization(holder_organization), CreditHolder::Project),
        holder_organization,
        kind: row.word()?,
        amount: row.number()?,
        note: row.text()?,
        plan: row.id_if_any(PlanId::from_slice)?.zip(row.number_if_any()?),
        starts_at: row.moment()?,
        ends_at: row.moment_if_any()?,
        revoked_at: row.moment_if_any()?,
        created_at: row.moment()?,
        updated_at: row.moment()?,
        revision: row.number()?,
    })
}

/// Only those of which one side is this organization.
fn push_sides(query: &mut Sql<'_>, organization: OrganizationId) {
    // By numbers, of which there are indexes.
    let number = "(SELECT number FROM organizations WHERE id = ";
    query.push(" AND (c.organization = ").push(number).push_bind(organization.to_bytes());
    query.push(") OR c.holder = ").push(number).push_bind(organization.to_bytes()).push("))");
}

/// One grant that an organization may see.
pub(crate) async fn find(
    db: &mut Connection,
    organization: OrganizationId,
    id: CreditGrantId,
) -> Result<Option<CreditGrant>, StoreError> {
    find_by(db, organization, "c.id", id.to_bytes().into()).await
}

/// The grant of this number, if an organization may see it.
pub(crate) async fn of_number(
    db: &mut Connection,
    organization: OrganizationId,
    number: u32,
) -> Result<Option<CreditGrant>, StoreError> {
    find_by(db, organization, "c.number", number.into()).await
}

async fn find_by(
    db: &mut Connection,
    organization: OrganizationId,
    column: &str,
    value: Value<'_>,
) -> Result<Option<CreditGrant>, StoreError> {
    let mut query = sql(SELECT);
    query.push(" AND ").push(column).push(" = ").push_bind(value);
    push_sides(&mut query, organization);
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

impl Catalog {
    /// Credits that an organization granted or holds, newest first.
    pub async fn credit_grants(
        &self,
        organization: OrganizationId,
        filter: CreditFilter,
        page: Page,
    ) -> Result<Vec<CreditGrant>, StoreError> {
        let mut query = sql(SELECT);
        push_sides(&mut query, organization);
        if let Some(project) = filter.project {
            query.push(" AND p.id = ").push_bind(project.to_bytes());
        }
        if let Some(holder) = filter.organization {
            query.push(" AND c.project IS NULL AND h.id = ").push_bind(holder.to_bytes());
        }
        if let Some(kind) = filter.kind {
            query.push(" AND c.kind = ").push_bind(kind.as_str());
        }
        push_page(&mut query, "c.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// What was told of credits to all who are told: the number of the grant, and what.
    pub async fn credit_notices(&self) -> Result<Vec<(u32, CreditNoticeKind)>, StoreError> {
        let query = sql(
            "SELECT n.credit_grant, n.kind FROM credit_notices n JOIN credit_grants c ON c.number = n.credit_grant \
             GROUP BY n.credit_grant, n.kind, c.organization, c.holder \
             HAVING count(*) = CASE WHEN c.organization = c.holder THEN 1 ELSE 2 END",
        );
        let rows = query.fetch_all(&mut self.0.base.read().await?).await?;
        let read = |row: &Row| {
            let mut row = Columns::of(row);
            Ok((row.number()?, row.word()?))
        };
        rows.iter().map(read).collect()
    }

    /// One grant that an organization may see.
    pub async fn credit_grant(
        &self,
        organization: OrganizationId,
        id: CreditGrantId,
    ) -> Result<Option<CreditGrant>, StoreError> {
        find(&mut self.0.base.read().await?, organization, id).await
    }
}
