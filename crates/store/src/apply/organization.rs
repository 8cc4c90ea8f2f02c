//! Changes of organizations. The first one runs the installation, and makes the others.

use keystile_core::id::OrganizationId;
use keystile_core::member::OrganizationKind;
use keystile_core::time::Timestamp;

use super::{Done, Tenant, Work, number_of, or_exists, refuse_stale};
use crate::catalog::organizations::find;
use crate::db::{Connection, signed, sql};
use crate::{ApplyError, Subject};

pub(super) const NO_SUCH: ApplyError = ApplyError::NotFound("organization");

/// Adds an organization.
pub(super) async fn insert(
    db: &mut Connection,
    id: OrganizationId,
    (name, kind): (&str, OrganizationKind),
    at: Timestamp,
    revision: u64,
) -> Result<Tenant, ApplyError> {
    let number = sql("INSERT INTO organizations (id, name, created_at, kind, updated_at, revision) \
         VALUES (?, ?, ?, ?, ?, ?) RETURNING number")
    .bind(id.to_bytes())
    .bind(name)
    .bind(at.as_micros())
    .bind(kind.as_str())
    .bind(at.as_micros())
    .bind(signed(revision))
    .fetch_one(db)
    .await
    .map_err(or_exists("an organization with this id is there already"))?;
    Ok(Tenant { id, number: number_of(&number)? })
}

/// Makes one, unless it is the tenant of its own making and is there by now.
pub(super) async fn create(
    work: Work<'_>,
    id: OrganizationId,
    name: &str,
    kind: OrganizationKind,
) -> Result<Done, ApplyError> {
    if id != work.tenant.id {
        insert(work.db, id, (name, kind), work.at, work.revision).await?;
    }
    let made = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::made("organization.create", id, &made, Subject::Organization))
}

pub(super) async fn update(work: Work<'_>, id: OrganizationId, was: u64, name: &str) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(before.revision, was)?;
    sql("UPDATE organizations SET name = ?, updated_at = ?, revision = ? WHERE number = ?")
        .bind(name)
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed("organization.update", id, [&before, &after], Subject::Organization))
}
