//! Policies, interned: keys with the same rights share one row, and nodes share one copy in memory.

use keystile_core::permission::MAX_PERMISSIONS;
use keystile_core::policy::Policy;
use keystile_core::role;
use sha2::{Digest, Sha256};

use super::{Tenant, Work};
use crate::catalog::{patterns, roles};
use crate::db::{Columns, Connection, signed, sql, to_json};
use crate::records::{Pattern, Role};
use crate::{ApplyError, StoreError};

/// The number that the first policy can't have: nodes pack a policy's number into 24 bits beside other facts of a key.
const NUMBERS: u32 = 1 << 24;

/// All numbers of policies are used up.
#[derive(Debug, thiserror::Error)]
#[error(
    "this installation has used all {NUMBERS} numbers for different policies; give keys the same rights where they mean the same"
)]
struct NoMorePolicies;

/// What policies name, and keys have by that.
#[derive(Clone, Copy)]
pub(super) enum Named {
    Role,
    Pattern,
}

impl Named {
    /// The table that tells which policies name which, and its column beside `policy`.
    const fn table(self) -> [&'static str; 2] {
        match self {
            Self::Role => ["policy_roles", "role"],
            Self::Pattern => ["policy_patterns", "pattern"],
        }
    }
}

/// The number of a policy, a new one if it was never seen. What it names must be the tenant's.
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
    let patterns = patterns_of(db, tenant, policy).await?;
    if patterns.len() < policy.patterns.len() {
        return Err(super::pattern::NO_SUCH);
    }
    let document = to_json(policy)?;
    let hash: [u8; 32] = Sha256::digest(document.as_bytes()).into();
    let known = sql("SELECT number FROM policies WHERE hash = ?").bind(hash).fetch_number_if_any(&mut *db).await?;
    if let Some(number) = known {
        return Ok(number);
    }
    let added = sql("INSERT INTO policies (hash, document) VALUES (?, ?) RETURNING number");
    let number: u32 = added.bind(hash).bind(document).fetch_number(&mut *db).await?;
    let roles = roles.iter().map(|role| (Named::Role, role.number));
    for (named, thing) in roles.chain(patterns.iter().map(|pattern| (Named::Pattern, pattern.number))) {
        let [table, column] = named.table();
        let mut query = sql("INSERT INTO ");
        query.push(table).push(" (").push(column).push(", policy) VALUES (");
        query.push_bind(thing).push(", ").push_bind(number).push(")");
        query.execute(&mut *db).await?;
    }
    if number < NUMBERS { Ok(number) } else { Err(StoreError(Box::new(NoMorePolicies)).into()) }
}

/// Leaves nothing in those of these policies that no key has any more. Their rows stay: whether a row is named is asked for once, and not for each.
pub(super) async fn blank_unused(db: &mut Connection, numbers: &[u32], none: u32) -> Result<(), StoreError> {
    let mut query = sql("SELECT DISTINCT policy FROM keys WHERE policy IN ");
    query.push_list(numbers.iter().copied());
    let used: Vec<u32> = query.fetch_numbers(&mut *db).await?;
    for number in numbers.iter().filter(|number| **number != none && !used.contains(number)) {
        for table in ["policy_roles", "policy_patterns"] {
            let mut query = sql("DELETE FROM ");
            query.push(table).push(" WHERE policy = ").push_bind(*number);
            query.execute(&mut *db).await?;
        }
        // No document has this hash, so none finds the row.
        let hash: [u8; 32] = Sha256::digest(format!("erased {number}")).into();
        sql("UPDATE policies SET hash = ?, document = ? WHERE number = ?")
            .bind(hash)
            .bind(to_json(&Policy::default())?)
            .bind(*number)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// The roles that a policy names, without those that are gone.
pub(super) async fn roles_of(db: &mut Connection, tenant: Tenant, policy: &Policy) -> Result<Vec<Role>, StoreError> {
    let mut found = Vec::with_capacity(policy.roles.len());
    for id in &policy.roles {
        found.extend(roles::find(&mut *db, tenant.id, *id).await?);
    }
    Ok(found)
}

/// The same of its patterns.
pub(super) async fn patterns_of(
    db: &mut Connection,
    tenant: Tenant,
    policy: &Policy,
) -> Result<Vec<Pattern>, StoreError> {
    let mut found = Vec::with_capacity(policy.patterns.len());
    for id in &policy.patterns {
        found.extend(patterns::find(&mut *db, tenant.id, *id).await?);
    }
    Ok(found)
}

/// How many keys have what policies name, besides revoked ones.
pub(super) async fn held_by(db: &mut Connection, named: Named, number: u32) -> Result<u64, StoreError> {
    let [table, column] = named.table();
    let mut query = sql("SELECT count(*) FROM ");
    query.push(table).push(" n JOIN keys k ON k.policy = n.policy WHERE n.").push(column).push(" = ").push_bind(number);
    query.push(" AND k.deleted_at IS NULL AND k.state != 'revoked'");
    query.fetch_number(db).await
}

/// The policies that name it and that keys have which are not deleted.
pub(super) async fn held_policies(
    db: &mut Connection,
    named: Named,
    number: u32,
) -> Result<Vec<(u32, Policy)>, StoreError> {
    policies(db, named, number, " AND k.deleted_at IS NULL").await
}

async fn policies(
    db: &mut Connection,
    named: Named,
    number: u32,
    of_keys: &str,
) -> Result<Vec<(u32, Policy)>, StoreError> {
    let [table, column] = named.table();
    let mut query = sql("SELECT p.number, p.document FROM ");
    query.push(table).push(" n JOIN policies p ON p.number = n.policy WHERE n.").push(column).push(" = ");
    query.push_bind(number);
    query.push(" AND EXISTS (SELECT 1 FROM keys k WHERE k.policy = p.number").push(of_keys).push(")");
    let rows = query.fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            let mut row = Columns::of(row);
            Ok((row.number()?, row.json()?))
        })
        .collect()
}

/// Which keys something is taken from.
#[derive(Clone, Copy)]
pub(super) enum From {
    /// Those that are not deleted.
    Living,
    /// Deleted ones too, which may come back.
    All,
}

/// Takes it from keys that have it: their policies become what `without` makes of them. The numbers of the keys.
pub(super) async fn take_away(
    work: &mut Work<'_>,
    (named, number): (Named, u32),
    from: From,
    without: impl Fn(&mut Policy),
) -> Result<Vec<u32>, ApplyError> {
    let of_keys = match from {
        From::Living => " AND k.deleted_at IS NULL",
        From::All => "",
    };
    let mut numbers = Vec::new();
    for (old, mut policy) in policies(work.db, named, number, of_keys).await? {
        without(&mut policy);
        let new = intern(work.db, work.tenant, &policy).await?;
        let mut query = sql("UPDATE keys AS k SET policy = ?, updated_at = ?, revision = ? WHERE k.policy = ?")
            .bind(new)
            .bind(work.at.as_micros())
            .bind(signed(work.revision))
            .bind(old);
        query.push(of_keys).push(" RETURNING number");
        let moved: Vec<u32> = query.fetch_numbers(&mut *work.db).await?;
        numbers.extend(moved);
    }
    Ok(numbers)
}
