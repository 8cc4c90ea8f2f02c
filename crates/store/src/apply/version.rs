//! Versions of keys: a rotation moves the text that was the latest to the former ones.

use keystile_core::id::KeyId;
use keystile_core::key::{DigestAlgorithm, KeyDigest};
use keystile_core::time::Timestamp;
use serde_json::json;

use super::key::NO_SUCH;
use super::{Done, Work, or_exists, pepper, refuse_stale, text};
use crate::audit::Shown;
use crate::catalog::keys::find;
use crate::db::{Connection, signed, sql};
use crate::records::NewVersion;
use crate::{ApplyError, StoreError, Subject};

/// Why a deleted key can't come back.
pub(super) const TAKEN: &str = "a text of this key belongs to another key by now";
/// Former versions of keys that are not deleted.
const LIVING: &str = "FROM key_versions v JOIN keys k ON k.number = v.key WHERE k.deleted_at IS NULL AND v.digest";
/// The same of what texts were hashed to under peppers of before.
const LIVING_OLDER: &str =
    "FROM former_digests v JOIN keys k ON k.number = v.key WHERE k.deleted_at IS NULL AND v.digest";
/// The same of what came with a slow hash.
const LIVING_SLOW: &str = "FROM slow_hashes v JOIN keys k ON k.number = v.key WHERE k.deleted_at IS NULL AND v.digest";

pub(super) async fn rotate(
    work: Work<'_>,
    id: KeyId,
    was: u64,
    fresh: &NewVersion,
    former_ends_at: Timestamp,
    expires_at: Option<Timestamp>,
) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(before.revision, was)?;
    let next =
        before.version.checked_add(1).ok_or(ApplyError::Exists("a key has at most 65535 versions; create another"))?;
    refuse_known(work.db, &fresh.digest).await?;
    pepper::refuse_retired(work.db, fresh.pepper_version).await?;
    sql(
        "INSERT INTO key_versions (key, version, hint, digest, algorithm, pepper, created_at, superseded_at, ends_at) \
         SELECT number, version, hint, digest, algorithm, pepper, coalesce(versioned_at, created_at), ?, ? FROM keys \
         WHERE number = ?",
    )
    .bind(work.at.as_micros())
    .bind(former_ends_at.as_micros())
    .bind(before.number)
    .execute(&mut *work.db)
    .await?;
    sql("UPDATE keys SET version = ?, versioned_at = ?, hint = ?, digest = ?, algorithm = ?, pepper = ?, expires_at = ?, \
         exposed_at = CASE WHEN kind = 'canary' THEN exposed_at END, updated_at = ?, revision = ? WHERE number = ?")
    .bind(u32::from(next))
    .bind(work.at.as_micros())
    .bind(&fresh.hint)
    .bind(&fresh.digest.as_bytes()[..])
    .bind(DigestAlgorithm::HmacSha256OfSha256.number())
    .bind(fresh.pepper_version)
    .bind(expires_at.map(Timestamp::as_micros))
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .bind(before.number)
    .execute(&mut *work.db)
    .await
    .map_err(or_exists("this text is known here already"))?;
    text::keep(work.db, before.number, next, fresh.text.as_ref()).await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    let mut shown = after.shown();
    shown["former_ends_at"] = json!(former_ends_at);
    let touched = vec![Subject::Keys(before.number, before.number)];
    Ok(Done::new("key.rotate", id, before.shown().to_string(), shown.to_string(), touched))
}

pub(super) async fn end(
    work: Work<'_>,
    id: KeyId,
    was: u64,
    version: u16,
    ends_at: Timestamp,
    action: &'static str,
) -> Result<Done, ApplyError> {
    let key = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(key.revision, was)?;
    let ended: Option<i64> = sql("SELECT ends_at FROM key_versions WHERE key = ? AND version = ?")
        .bind(key.number)
        .bind(u32::from(version))
        .fetch_number_if_any(&mut *work.db)
        .await?;
    let before = ended.map(Timestamp::from_micros).ok_or(ApplyError::NotFound("former version of this key"))?;
    sql("UPDATE key_versions SET ends_at = ? WHERE key = ? AND version = ?")
        .bind(ends_at.as_micros())
        .bind(key.number)
        .bind(u32::from(version))
        .execute(&mut *work.db)
        .await?;
    sql("UPDATE keys SET updated_at = ?, revision = ? WHERE number = ?")
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(key.number)
        .execute(&mut *work.db)
        .await?;
    let shown = |ends_at: Timestamp| json!({ "version": version, "ends_at": ends_at }).to_string();
    let touched = vec![Subject::Keys(key.number, key.number)];
    Ok(Done::new(format!("key.{action}"), id, shown(before), shown(ends_at), touched))
}

/// Refuses a text that is a former version of a key: it would open two keys.
pub(super) async fn refuse_known(db: &mut Connection, digest: &KeyDigest) -> Result<(), ApplyError> {
    if known(db, &[digest.as_bytes()]).await?.is_empty() {
        Ok(())
    } else {
        Err(ApplyError::Exists("this key is known here already, as a former version of another"))
    }
}

/// Which of these digests are former versions of keys, or stood for slow hashes of keys.
pub(crate) async fn known(db: &mut Connection, digests: &[&[u8; 32]]) -> Result<Vec<[u8; 32]>, StoreError> {
    let mut query = sql("SELECT v.digest ").seldom();
    for (from, between) in
        [(LIVING, ""), (LIVING_SLOW, " UNION ALL SELECT v.digest "), (LIVING_OLDER, " UNION ALL SELECT v.digest ")]
    {
        query.push(between).push(from).push(" IN (");
        for (place, digest) in digests.iter().enumerate() {
            query.push(if place == 0 { "" } else { ", " }).push_bind(&digest[..]);
        }
        query.push(")");
    }
    query.fetch_all(db).await?.iter().map(|row| crate::db::Columns::of(row).bytes()).collect()
}

/// Refuses to bring back a key of which a text was given to another key after it was deleted. (That its latest text is
/// nobody's latest text is seen to by the index.)
pub(super) async fn refuse_taken(db: &mut Connection, key: u32) -> Result<(), ApplyError> {
    let taken: u32 = sql("SELECT count(*) FROM (SELECT digest FROM keys WHERE number = ? \
         UNION ALL SELECT digest FROM key_versions WHERE key = ? \
         UNION ALL SELECT digest FROM slow_hashes WHERE key = ? \
         UNION ALL SELECT digest FROM former_digests WHERE key = ?) AS own \
         WHERE EXISTS (SELECT 1 FROM keys k WHERE k.digest = own.digest AND k.deleted_at IS NULL) \
         OR EXISTS (SELECT 1 FROM key_versions v JOIN keys k ON k.number = v.key \
         WHERE v.digest = own.digest AND k.deleted_at IS NULL)")
    .bind(key)
    .bind(key)
    .bind(key)
    .bind(key)
    .fetch_number(db)
    .await?;
    if taken == 0 { Ok(()) } else { Err(ApplyError::Exists(TAKEN)) }
}
