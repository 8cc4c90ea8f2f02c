//! Many keys at once: one revision and one audit entry for all of them.
//!
//! Rows go in by the hundred in one statement, in the order of their digests; a key whose digest is known is passed over
//! by the index that makes sure of it anyway. Only if some were, is it read back which ones went in.

use std::collections::HashSet;

use keystile_core::id::{KeyId, ProjectId};
use keystile_core::key::KeyDigest;
use keystile_core::policy::Policy;
use keystile_core::time::Timestamp;
use serde_json::json;

use super::{Done, Work, pepper, policy, slow, version};
use crate::catalog::projects;
use crate::db::{Columns, Connection, signed, sql, to_json};
use crate::records::{ImportKey, Project};
use crate::{ApplyError, StoreError, Subject};

/// Keys in one statement. Beyond a few hundred more rows gain nothing, and a statement of one size is prepared once.
const CHUNK: usize = 500;

pub(super) async fn import(
    mut work: Work<'_>,
    project: ProjectId,
    keys: &[ImportKey],
    policy: &Policy,
) -> Result<Done, ApplyError> {
    let project = projects::find(work.db, work.tenant.id, project).await?.ok_or(super::project::NO_SUCH)?;
    let shared = Shared {
        policy: policy::intern(work.db, work.tenant, policy).await?,
        project: &project,
        at: work.at,
        revision: work.revision,
    };
    for version in keys.iter().map(|one| one.key.pepper_version).collect::<HashSet<u32>>() {
        pepper::refuse_retired(work.db, version).await?;
    }
    let last_before = last_number(work.db).await?;
    // In the order of the digests' index: a statement then touches few of its pages, not as many as it has keys (105,000
    // keys a second instead of 76,000). Stable, so that of two keys of one text the first goes in.
    let mut sorted: Vec<&ImportKey> = keys.iter().collect();
    sorted.sort_by_key(|one| *one.key.digest.as_bytes());
    if keys.iter().any(|one| !one.older.is_empty()) {
        leave_out_older(work.db, &mut sorted).await?;
    }
    let any_former = sql(
        "SELECT key FROM key_versions UNION ALL SELECT key FROM slow_hashes UNION ALL SELECT key FROM former_digests LIMIT 1",
    );
    if any_former.fetch_optional(&mut *work.db).await?.is_some() {
        leave_out_former(work.db, &mut sorted).await?;
    }
    let crowded: HashSet<KeyId> = slow::leave_out_crowded(work.db, &mut sorted, CHUNK).await?;
    let mut added = 0;
    for chunk in sorted.chunks(CHUNK) {
        added += insert(work.db, &shared, chunk).await?;
        slow::insert(work.db, chunk).await?;
    }
    super::capacity::refuse_too_many(&mut work, &project).await?;
    let last = last_number(work.db).await?;
    for key in keys.iter().map(|key| &key.key).filter(|key| !key.tags.is_empty()) {
        // Few have any. Of one that was left out there is no row with this id.
        sql("UPDATE keys SET labels = ?, metadata = ? WHERE id = ?")
            .bind(to_json(&key.tags.labels)?)
            .bind(to_json(&key.tags.metadata)?)
            .bind(key.id.to_bytes())
            .execute(&mut *work.db)
            .await?;
    }

    let places = |of: &dyn Fn(&ImportKey) -> bool| -> Vec<usize> {
        keys.iter().enumerate().filter(|(_, one)| of(one)).map(|(place, _)| place).collect()
    };
    let ambiguous = places(&|one| crowded.contains(&one.key.id));
    let duplicates = if added + ambiguous.len() as u64 == keys.len() as u64 {
        Vec::new()
    } else {
        let rows = sql("SELECT id FROM keys WHERE number > ?").bind(last_before).fetch_all(&mut *work.db).await?;
        let ids: Result<HashSet<KeyId>, StoreError> =
            rows.iter().map(|row| Columns::of(row).id(KeyId::from_slice)).collect();
        let ids = ids?;
        places(&|one| !ids.contains(&one.key.id) && !crowded.contains(&one.key.id))
    };
    let touched = if added == 0 {
        // Nothing for nodes to read, but the change has its revision and its entry like every other.
        Subject::Project(project.number)
    } else {
        Subject::Keys(last_before + 1, last)
    };
    let after = json!({ "imported": added, "known_already": duplicates.len(), "policy": policy });
    let done = Done::new("key.import", project.id, String::new(), after.to_string(), vec![touched]);
    Ok(Done { duplicates, ambiguous, ..done })
}

/// Leaves out the keys that are former versions of others: no index keeps them out.
async fn leave_out_former(db: &mut Connection, keys: &mut Vec<&ImportKey>) -> Result<(), StoreError> {
    let mut former = HashSet::new();
    for chunk in keys.chunks(CHUNK) {
        let digests: Vec<&[u8; 32]> = chunk.iter().map(|one| one.key.digest.as_bytes()).collect();
        former.extend(version::known(db, &digests).await?);
    }
    keys.retain(|one| !former.contains(one.key.digest.as_bytes()));
    Ok(())
}

/// Leaves out the keys that are known under an older pepper. Deleted keys of the same text go along with it.
async fn leave_out_older(db: &mut Connection, keys: &mut Vec<&ImportKey>) -> Result<(), StoreError> {
    let older: Vec<&[u8; 32]> = keys.iter().flat_map(|one| &one.older).map(KeyDigest::as_bytes).collect();
    let (mut known, mut deleted) = (HashSet::new(), HashSet::new());
    for chunk in older.chunks(CHUNK) {
        known.extend(version::known(db, chunk).await?);
        for (is_there, found) in [(true, &mut known), (false, &mut deleted)] {
            let mut query = sql("SELECT digest FROM keys WHERE deleted_at ").seldom();
            query.push(if is_there { "IS NULL" } else { "IS NOT NULL" }).push(" AND digest IN ");
            query.push_list(chunk.iter().map(|digest| **digest));
            for row in query.fetch_all(&mut *db).await? {
                found.insert(Columns::of(&row).bytes()?);
            }
        }
        let mut query = sql("SELECT v.digest FROM key_versions v JOIN keys k ON k.number = v.key \
             WHERE k.deleted_at IS NOT NULL AND v.digest IN ")
        .seldom();
        query.push_list(chunk.iter().map(|digest| **digest));
        for row in query.fetch_all(&mut *db).await? {
            deleted.insert(Columns::of(&row).bytes()?);
        }
    }
    keys.retain(|one| !one.older.iter().any(|digest| known.contains(digest.as_bytes())));
    for one in keys.iter() {
        for older in one.older.iter().filter(|digest| deleted.contains(digest.as_bytes())) {
            pepper::take_along(db, older.as_bytes(), &one.key.digest, one.key.pepper_version).await?;
        }
    }
    Ok(())
}

async fn last_number(db: &mut Connection) -> Result<u32, StoreError> {
    Ok(sql("SELECT max(number) FROM keys").fetch_number_if_any(db).await?.unwrap_or(0))
}

/// What the keys of an import have in common.
struct Shared<'a> {
    policy: u32,
    project: &'a Project,
    at: Timestamp,
    revision: u64,
}

/// Adds keys; returns how many were not known.
async fn insert(db: &mut Connection, shared: &Shared<'_>, keys: &[&ImportKey]) -> Result<u64, sqlx::Error> {
    // What is common is bound once and joined to the rows, not repeated in each.
    let text = format!(
        "WITH common (project, organization, environment, policy, at, revision) AS (SELECT ?, ?, ?, ?, ?, ?) \
         INSERT INTO keys (id, project, organization, environment, kind, name, hint, policy, digest, algorithm, pepper, \
         expires_at, state, created_at, updated_at, revision) \
         SELECT new.column1, project, organization, environment, new.column2, new.column3, new.column4, policy, \
         new.column5, new.column6, new.column7, new.column8, 'active', at, at, revision \
         FROM (VALUES {}) AS new, common WHERE true \
         ON CONFLICT (digest) WHERE deleted_at IS NULL DO NOTHING",
        vec!["(?, ?, ?, ?, ?, ?, ?, ?)"; keys.len()].join(", ")
    );
    let query = sql(text);
    let mut query = if keys.len() == CHUNK { query } else { query.seldom() }
        .bind(shared.project.number)
        .bind(shared.project.organization_number)
        .bind(shared.project.environment.as_str())
        .bind(shared.policy)
        .bind(shared.at.as_micros())
        .bind(signed(shared.revision));
    for ImportKey { key, algorithm, .. } in keys {
        query = query
            .bind(key.id.to_bytes())
            .bind(key.kind.as_str())
            .bind(key.name.as_str())
            .bind(key.hint.as_str())
            .bind(&key.digest.as_bytes()[..])
            .bind(algorithm.number())
            .bind(key.pepper_version)
            .bind(key.expires_at.map(Timestamp::as_micros));
    }
    query.execute(db).await
}
