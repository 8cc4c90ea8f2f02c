//! Slow hashes of other systems: kept beside the keys that came with them, until the text of each is presented.

use std::collections::{HashMap, HashSet};

use keystile_core::id::KeyId;
use keystile_core::key::{DigestAlgorithm, KeyDigest, Lookup, MAX_CANDIDATES};
use serde_json::json;

use super::key::NO_SUCH;
use super::{Done, Work, or_exists, pepper, version};
use crate::catalog::keys::find;
use crate::db::{Columns, Connection, signed, sql};
use crate::records::ImportKey;
use crate::{ApplyError, StoreError, Subject};

/// Leaves out the keys whose lookup leads to as many hashes as are tried for one text; which ones.
pub(super) async fn leave_out_crowded(
    db: &mut Connection,
    keys: &mut Vec<&ImportKey>,
    chunk: usize,
) -> Result<HashSet<KeyId>, StoreError> {
    let lookups: HashSet<Lookup> = keys.iter().filter_map(|one| Some(one.slow.as_ref()?.lookup)).collect();
    let lookups: Vec<Lookup> = lookups.into_iter().collect();
    let mut counts: HashMap<Lookup, usize> = HashMap::new();
    for chunk in lookups.chunks(chunk) {
        let mut query = sql("SELECT s.lookup, count(*) FROM slow_hashes s JOIN keys k ON k.number = s.key \
             WHERE k.deleted_at IS NULL AND s.lookup IN ")
        .seldom();
        query.push_list(chunk.iter().map(|lookup| signed(lookup.number())));
        query.push(" GROUP BY s.lookup");
        for row in query.fetch_all(&mut *db).await? {
            let mut row = Columns::of(&row);
            let lookup = Lookup::from_number(row.integer()?.cast_unsigned());
            counts.insert(lookup, row.number()?);
        }
    }
    let mut crowded = HashSet::new();
    // One hash twice in the list is one of them.
    let mut seen = HashSet::new();
    keys.retain(|one| {
        let Some(slow) = &one.slow else { return true };
        if !seen.insert(*one.key.digest.as_bytes()) {
            return true;
        }
        let count = counts.entry(slow.lookup).or_default();
        *count += 1;
        let has_room = *count <= MAX_CANDIDATES;
        if !has_room {
            crowded.insert(one.key.id);
        }
        has_room
    });
    Ok(crowded)
}

/// Keeps the slow hashes of keys that were just added; of those that were not, none.
pub(super) async fn insert(db: &mut Connection, keys: &[&ImportKey]) -> Result<(), StoreError> {
    let slow = keys.iter().filter_map(|one| Some((one.key.id, one.slow.as_ref()?)));
    let slow: Vec<_> = slow.collect();
    if slow.is_empty() {
        return Ok(());
    }
    let text = format!(
        "INSERT INTO slow_hashes (key, version, digest, lookup, hash) SELECT k.number, 1, k.digest, new.column2, new.column3 \
         FROM (VALUES {}) AS new JOIN keys k ON k.id = new.column1",
        vec!["(?, ?, ?)"; slow.len()].join(", ")
    );
    let mut query = sql(text).seldom();
    for (id, slow) in slow {
        query = query.bind(id.to_bytes()).bind(signed(slow.lookup.number())).bind(slow.hash.as_str());
    }
    query.execute(db).await?;
    Ok(())
}

/// Gives a version the digest of its text, which was presented, and forgets its slow hash.
pub(super) async fn rehash(
    work: Work<'_>,
    id: KeyId,
    version: u16,
    digest: &KeyDigest,
    pepper_version: u32,
) -> Result<Done, ApplyError> {
    let key = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    version::refuse_known(work.db, digest).await?;
    if !pepper::is_there(work.db, pepper_version).await? {
        return Err(ApplyError::NotFound("pepper"));
    }
    let forgotten =
        sql("UPDATE slow_hashes SET lookup = NULL, hash = NULL WHERE key = ? AND version = ? AND hash IS NOT NULL")
            .bind(key.number)
            .bind(u32::from(version))
            .execute(&mut *work.db)
            .await?;
    if forgotten == 0 {
        return Err(ApplyError::NotFound("slow hash of this version"));
    }
    let is_latest = version == key.version;
    // A former version's row has its key's number in another column.
    let statement = if is_latest {
        "UPDATE keys SET digest = ?, algorithm = ?, pepper = ? WHERE number = ? AND version = ?"
    } else {
        "UPDATE key_versions SET digest = ?, algorithm = ?, pepper = ? WHERE key = ? AND version = ?"
    };
    sql(statement)
        .bind(&digest.as_bytes()[..])
        .bind(DigestAlgorithm::HmacSha256OfSha256.number())
        .bind(pepper_version)
        .bind(key.number)
        .bind(u32::from(version))
        .execute(&mut *work.db)
        .await
        .map_err(or_exists("this text is known here already"))?;
    // Its revision stays: nothing that is shown of the key has changed, and who read it a moment ago and now revokes it must
    // not be told to read it again.
    let shown = |kept: &str| json!({ "version": version, "kept": kept }).to_string();
    let touched = vec![Subject::Keys(key.number, key.number)];
    Ok(Done::new("key.rehash", id, shown("slow_hash"), shown("keyed_digest"), touched))
}
