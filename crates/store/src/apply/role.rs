//! Changes of roles. Nodes make the policies that name a role anew when it changes; keys are touched only when it goes.

use keystile_core::id::RoleId;
use keystile_core::permission::Permission;
use keystile_core::role::{self, RoleName};

use super::policy::{From, Named, held_by, held_policies, roles_of, take_away};
use super::{Done, Work, number_of, or_exists, ranges, refuse_stale};
use crate::catalog::roles::find;
use crate::db::{signed, sql, to_json};
use crate::records::Role;
use crate::{ApplyError, Subject};

pub(super) const NO_SUCH: ApplyError = ApplyError::NotFound("role");

/// Most roles of an organization: nodes hold all of them.
const MAX_OF_ORGANIZATION: u32 = 1_000;

const NAME_TAKEN: &str = "there is a role of this name already; change that one, or take another name";

/// What is said of a role.
pub(super) struct About<'a> {
    pub(super) name: &'a RoleName,
    pub(super) description: &'a str,
    pub(super) permissions: &'a [Permission],
}

pub(super) async fn create(work: Work<'_>, id: RoleId, about: About<'_>) -> Result<Done, ApplyError> {
    let others: u32 = sql("SELECT count(*) FROM roles WHERE organization = ? AND deleted_at IS NULL")
        .bind(work.tenant.number)
        .fetch_number(&mut *work.db)
        .await?;
    if others >= MAX_OF_ORGANIZATION {
        return Err(ApplyError::Exists("there are as many roles as an organization can have; delete one first"));
    }
    let number =
        sql("INSERT INTO roles (id, organization, name, description, permissions, created_at, updated_at, revision) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING number")
        .bind(id.to_bytes())
        .bind(work.tenant.number)
        .bind(about.name.as_str())
        .bind(about.description)
        .bind(to_json(&about.permissions)?)
        .bind(work.at.as_micros())
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .fetch_one(&mut *work.db)
        .await
        .map_err(or_exists(NAME_TAKEN))?;
    let made = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::made("role.create", id, &made, Subject::Role(number_of(&number)?)))
}

pub(super) async fn update(mut work: Work<'_>, id: RoleId, was: u64, about: About<'_>) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(before.revision, was)?;
    sql("UPDATE roles SET name = ?, description = ?, permissions = ?, updated_at = ?, revision = ? WHERE number = ?")
        .bind(about.name.as_str())
        .bind(about.description)
        .bind(to_json(&about.permissions)?)
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await
        .map_err(or_exists(NAME_TAKEN))?;
    if before.permissions != about.permissions {
        refuse_too_many(&mut work, &before).await?;
    }
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed("role.update", id, [&before, &after], Subject::Role(before.number)))
}

/// Refuses what would give a key more permissions than one may have, now that the role is what it is to be.
async fn refuse_too_many(work: &mut Work<'_>, role: &Role) -> Result<(), ApplyError> {
    for (_, policy) in held_policies(work.db, Named::Role, role.number).await? {
        let roles = roles_of(work.db, work.tenant, &policy).await?;
        let lists = roles.iter().map(|role| &*role.permissions);
        if role::effective(&policy.permissions, lists).is_err() {
            return Err(ApplyError::Conflict(format!(
                "a key that has this role would have more than {} permissions in all; use wildcards such as pets.*",
                keystile_core::permission::MAX_PERMISSIONS
            )));
        }
    }
    Ok(())
}

/// Takes a role away. Revoked keys are no reason to keep it, for nobody can change them.
pub(super) async fn delete(mut work: Work<'_>, id: RoleId, from_keys: bool) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    let held = held_by(work.db, Named::Role, before.number).await?;
    if held > 0 && !from_keys {
        let keys = if held == 1 { "1 key has".to_owned() } else { format!("{held} keys have") };
        return Err(ApplyError::Conflict(format!(
            "{keys} this role; take it from them first, or say from_keys=true to take it from all of them"
        )));
    }
    let numbers = take_away(&mut work, (Named::Role, before.number), From::Living, |policy| {
        policy.roles.retain(|one| *one != id)
    })
    .await?;
    sql("UPDATE roles SET deleted_at = ?, revision = ? WHERE number = ?")
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    let touched = [Subject::Role(before.number)].into_iter().chain(ranges(numbers)).collect();
    Ok(Done::deleted("role.delete", id, &before, touched))
}
