//! Changes of the roles that organizations make for their members. Nodes hold nothing of them: what a member may do is read with
//! each request.

use keystile_core::id::MemberRoleId;
use keystile_core::member::{MemberRole, MemberRoleName};
use keystile_core::permission::Permission;

use super::{Done, Work, or_exists, refuse_stale};
use crate::catalog::member_roles::find;
use crate::db::{Connection, signed, sql, to_json};
use crate::{ApplyError, Subject};

pub(super) const NO_SUCH: ApplyError = ApplyError::NotFound("member role");

/// Most roles of an organization: people pick one from a list.
const MAX_OF_ORGANIZATION: u32 = 100;

const NAME_TAKEN: &str = "there is a role of this name already; change that one, or take another name";

/// What is said of a role.
pub(super) struct About<'a> {
    pub(super) name: &'a MemberRoleName,
    pub(super) description: &'a str,
    pub(super) permissions: &'a [Permission],
}

/// The two columns in which a role is kept: its word, and the number of one that the organization made.
pub(super) async fn columns(
    db: &mut Connection,
    organization: keystile_core::id::OrganizationId,
    role: MemberRole,
) -> Result<(&'static str, Option<i64>), ApplyError> {
    match role {
        MemberRole::BuiltIn(role) => Ok((role.as_str(), None)),
        MemberRole::Custom(id) => {
            let role = find(db, organization, id).await?.ok_or(NO_SUCH)?;
            Ok(("", Some(i64::from(role.number))))
        }
    }
}

pub(super) async fn create(work: Work<'_>, id: MemberRoleId, about: About<'_>) -> Result<Done, ApplyError> {
    let others: u32 = sql("SELECT count(*) FROM member_roles WHERE organization = ? AND deleted_at IS NULL")
        .bind(work.tenant.number)
        .fetch_number(&mut *work.db)
        .await?;
    if others >= MAX_OF_ORGANIZATION {
        return Err(ApplyError::Exists("there are as many roles as an organization can have; delete one first"));
    }
    sql(
        "INSERT INTO member_roles (id, organization, name, description, permissions, created_at, updated_at, revision) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(id.to_bytes())
    .bind(work.tenant.number)
    .bind(about.name.as_str())
    .bind(about.description)
    .bind(to_json(&about.permissions)?)
    .bind(work.at.as_micros())
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .execute(&mut *work.db)
    .await
    .map_err(or_exists(NAME_TAKEN))?;
    let made = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::made("member_role.create", id, &made, Subject::Organization))
}

pub(super) async fn update(work: Work<'_>, id: MemberRoleId, was: u64, about: About<'_>) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(before.revision, was)?;
    sql("UPDATE member_roles SET name = ?, description = ?, permissions = ?, updated_at = ?, revision = ? \
         WHERE number = ?")
    .bind(about.name.as_str())
    .bind(about.description)
    .bind(to_json(&about.permissions)?)
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .bind(before.number)
    .execute(&mut *work.db)
    .await
    .map_err(or_exists(NAME_TAKEN))?;
    // Whoever read what a member may do before is told that it changed.
    sql("UPDATE members SET revision = ? WHERE custom_role = ? AND deleted_at IS NULL")
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed("member_role.update", id, [&before, &after], Subject::Organization))
}

pub(super) async fn delete(work: Work<'_>, id: MemberRoleId) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    let held: u32 = sql("SELECT count(*) FROM members WHERE custom_role = ? AND deleted_at IS NULL")
        .bind(before.number)
        .fetch_number(&mut *work.db)
        .await?;
    let promised: u32 =
        sql("SELECT count(*) FROM invitations WHERE custom_role = ? AND state = 'open' AND ends_at > ?")
            .bind(before.number)
            .bind(work.at.as_micros())
            .fetch_number(&mut *work.db)
            .await?;
    if held + promised > 0 {
        return Err(ApplyError::Conflict(format!(
            "members that have this role: {held}, open invitations that promise it: {promised}; give the members another \
             role and withdraw the invitations first"
        )));
    }
    sql("UPDATE member_roles SET deleted_at = ?, revision = ? WHERE number = ?")
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    Ok(Done::deleted("member_role.delete", id, &before, vec![Subject::Organization]))
}
