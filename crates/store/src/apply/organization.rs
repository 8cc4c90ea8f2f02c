//! Changes of organizations.

use keystile_core::id::OrganizationId;
use keystile_core::time::Timestamp;

use super::{Done, Tenant, Work, number_of, or_exists};
use crate::db::{Connection, sql};
use crate::records::Organization;
use crate::{ApplyError, Subject};

/// Adds an organization, which is then the tenant of its own making.
pub(super) async fn insert(
    db: &mut Connection,
    id: OrganizationId,
    name: &str,
    at: Timestamp,
) -> Result<Tenant, ApplyError> {
    let number = sql("INSERT INTO organizations (id, name, created_at) VALUES (?, ?, ?) RETURNING number")
        .bind(id.to_bytes())
        .bind(name)
        .bind(at.as_micros())
        .fetch_one(db)
        .await
        .map_err(or_exists("an organization with this id is there already"))?;
    Ok(Tenant { id, number: number_of(&number)? })
}

/// What the journal has to say of it.
pub(super) fn done(work: &Work<'_>, id: OrganizationId, name: String) -> Done {
    let organization = Organization { id, number: work.tenant.number, name, created_at: work.at };
    Done::made("organization.create", id, &organization, Subject::Organization)
}
