//! Policies, interned: keys with the same rights share one row, and nodes share one copy in memory.

use keystile_core::permission::MAX_PERMISSIONS;
use keystile_core::policy::Policy;
use keystile_core::role;
use sha2::{Digest, Sha256};

use super::Tenant;
use crate::catalog::roles::find;
use crate::db::{Connection, sql, to_json};
use crate::records::Role;
use crate::{ApplyError, StoreError};

/// The number that the first policy can't have: nodes pack a policy's number into 24 bits beside other facts of a key.
const NUMBERS: u32 = 1 << 24;

/// All numbers of policies are used up.
#[derive(Debug, thiserror::Error)]
#[error(
    "this installation has used all {NUMBERS} numbers for different policies; give keys the same rights where they mean the same"
)]
struct NoMorePolicies;

/// The number of a policy, a new one if it was never seen. The roles that it names must be the tenant's.
pub(super) async fn intern(db: &mut Connection, tenant: Tenant, policy: &Policy) -> Result<u32, ApplyError> {
    let roles = roles_of(db, tenant, policy).await?;
    if roles.len() < policy.roles.len() {
        return Err(super::role::NO_SUCH);
    }
    if role::effective(&policy.permissions, roles.iter().map(|role| &*role.permissions)).is_err() {
        return Err(ApplyError::Conflict(format!(
            "with those of its roles the key would have more than {MAX_PERMISSIONS} permissions; use wildcards such as pets.*"
        )));
    }
    let document = to_json(policy)?;
    let hash: [u8; 32] = Sha256::digest(document.as_bytes()).into();
    let known = sql("SELECT number FROM policies WHERE hash = ?").bind(hash).fetch_number_if_any(&mut *db).await?;
    if let Some(number) = known {
        return Ok(number);
    }
    let added = sql("INSERT INTO policies (hash, document) VALUES (?, ?) RETURNING number");
    let number: u32 = added.bind(hash).bind(document).fetch_number(&mut *db).await?;
    for role in &roles {
        sql("INSERT INTO policy_roles (role, policy) VALUES (?, ?)")
            .bind(role.number)
            .bind(number)
            .execute(&mut *db)
            .await?;
    }
    if number < NUMBERS { Ok(number) } else { Err(StoreError(Box::new(NoMorePolicies)).into()) }
}

/// The roles that a policy names, without those that are gone.
pub(super) async fn roles_of(db: &mut Connection, tenant: Tenant, policy: &Policy) -> Result<Vec<Role>, StoreError> {
    let mut roles = Vec::with_capacity(policy.roles.len());
    for id in &policy.roles {
        roles.extend(find(&mut *db, tenant.id, *id).await?);
    }
    Ok(roles)
}
