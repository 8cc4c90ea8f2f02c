//! How many keys there may be. Asked after keys were added, in the transaction that adds them: changes are made one after
//! the other, so two at once can't both find the last place.

use super::Work;
use crate::db::{Connection, Sql, sql};
use crate::records::Project;
use crate::{ApplyError, StoreError};

/// Refuses keys that are more than their project or its organization may have. Revoked ones don't count: they stay listed
/// and open nothing.
pub(super) async fn refuse_too_many(work: &mut Work<'_>, project: &Project) -> Result<(), ApplyError> {
    let of_project = [project.max_keys, work.key_limits.per_project].into_iter().flatten().min();
    let of_organization = work.key_limits.per_organization;
    for (whose, column, number, most) in [
        ("project", "project", project.number, of_project),
        ("organization", "organization", project.organization_number, of_organization),
    ] {
        let Some(most) = most else { continue };
        if is_more_than(work.db, column, number, most).await? {
            return Err(ApplyError::Conflict(format!(
                "the {whose} may have {most} keys that are not revoked, and has no room for this; revoke or delete keys \
                 that are not used any more, or have the limit raised"
            )));
        }
    }
    Ok(())
}

/// Counts no further than it must: there may be a million.
async fn is_more_than(db: &mut Connection, column: &str, number: u32, most: u32) -> Result<bool, StoreError> {
    let mut query: Sql<'_> = sql("SELECT count(*) FROM (SELECT 1 AS one FROM keys WHERE ");
    query.push(column).push(" = ").push_bind(number);
    query.push(" AND deleted_at IS NULL AND state <> 'revoked' LIMIT ").push_bind(i64::from(most) + 1);
    query.push(") AS found");
    Ok(query.fetch_number::<u64>(db).await? > u64::from(most))
}
