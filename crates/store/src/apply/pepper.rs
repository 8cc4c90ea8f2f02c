//! Changes of the peppers that texts of keys are hashed with. A text is seen only when it is presented: then its key gets its
//! digest under the newest pepper, and the one before it has one key less.

use std::collections::HashSet;

use keystile_core::key::KeyDigest;
use serde_json::json;

use super::encryption::{self, SUBJECT};
use super::{Done, Work, ranges, version};
use crate::catalog::encryption::digests;
use crate::catalog::keys::find;
use crate::db::{Columns, Connection, sql};
use crate::records::Rehashed;
use crate::secret::Sealed;
use crate::{ApplyError, StoreError, Subject};

/// Refuses what was hashed with a pepper that was retired before it could be kept.
pub(super) async fn refuse_retired(db: &mut Connection, pepper: u32) -> Result<(), ApplyError> {
    if is_there(db, pepper).await? {
        return Ok(());
    }
    let why = "the pepper that this key was hashed with was retired at the same moment; send the request again";
    Err(ApplyError::Conflict(why.to_owned()))
}

pub(super) async fn is_there(db: &mut Connection, pepper: u32) -> Result<bool, StoreError> {
    let known: u32 = sql("SELECT count(*) FROM peppers WHERE version = ?").bind(pepper).fetch_number(db).await?;
    Ok(known > 0)
}

/// Takes another pepper into use.
pub(super) async fn rotate(work: Work<'_>, version: u32, sealed: &Sealed) -> Result<Done, ApplyError> {
    encryption::refuse_retired(work.db, sealed).await?;
    let last: u32 = sql("SELECT max(version) FROM peppers").fetch_number(&mut *work.db).await?;
    if version != last + 1 {
        return Err(ApplyError::Stale);
    }
    sql("INSERT INTO peppers (version, wrapped, created_at) VALUES (?, ?, ?)")
        .bind(version)
        .bind(&sealed.0[..])
        .bind(work.at.as_micros())
        .execute(&mut *work.db)
        .await?;
    let shown = |version: u32| json!({ "version": version }).to_string();
    Ok(done("encryption.rotate_pepper", shown(last), shown(version)))
}

/// Removes a pepper with which no key that could be used is hashed any more.
pub(super) async fn retire(work: Work<'_>, version: u32, forget: bool) -> Result<Done, ApplyError> {
    let known = sql("SELECT version FROM peppers ORDER BY version").fetch_all(&mut *work.db).await?;
    let known: Vec<u32> = known.iter().map(|row| Columns::of(row).number()).collect::<Result<_, _>>()?;
    if !known.contains(&version) {
        return Err(ApplyError::NotFound("pepper"));
    }
    let newest = known.last().copied().unwrap_or(version);
    if version == newest {
        let why = "it is the newest pepper, with which everything new is hashed; rotate it first";
        return Err(ApplyError::Conflict(why.to_owned()));
    }
    let left = digests(&mut *work.db, work.at).await?.get(&version).copied().unwrap_or(0);
    if left > 0 {
        return Err(ApplyError::Conflict(format!(
            "pepper {version} is still needed for {left} of the texts of keys. Each gets the newest one when it is presented; \
             rotate, revoke or delete the keys that are not (keystile key list --pepper {version})"
        )));
    }
    let ended = ended_under(&mut *work.db, version).await?;
    if ended > 0 && !forget {
        return Err(ApplyError::Conflict(format!(
            "pepper {version} still tells {ended} of the texts of revoked keys and former versions: without it they are \
             unknown, and whoever imports one again makes a good key of it. Delete those keys, or say that they are to be \
             forgotten (keystile encryption retire-pepper {version} --forget, forget=true)"
        )));
    }
    // Keys that were deleted, and those that are to be forgotten: their digests lead nowhere from now on.
    for statement in
        ["UPDATE keys SET pepper = ? WHERE pepper = ?", "UPDATE key_versions SET pepper = ? WHERE pepper = ?"]
    {
        sql(statement).bind(newest).bind(version).execute(&mut *work.db).await?;
    }
    // Nobody can make them any more.
    sql("DELETE FROM former_digests WHERE pepper = ?").bind(version).execute(&mut *work.db).await?;
    sql("DELETE FROM peppers WHERE version = ?").bind(version).execute(&mut *work.db).await?;
    let before = json!({ "version": version, "texts_forgotten": ended }).to_string();
    Ok(done("encryption.retire_pepper", before, String::new()))
}

/// How many texts are hashed with a pepper that are to be refused for good: of revoked keys and of versions that have ended.
async fn ended_under(db: &mut Connection, pepper: u32) -> Result<u64, StoreError> {
    sql("SELECT (SELECT count(*) FROM keys WHERE pepper = ? AND deleted_at IS NULL) \
         + (SELECT count(*) FROM key_versions v JOIN keys k ON k.number = v.key WHERE v.pepper = ? AND k.deleted_at IS NULL)")
    .bind(pepper)
    .bind(pepper)
    .fetch_number(db)
    .await
}

fn done(action: &'static str, before: String, after: String) -> Done {
    // Nodes read the peppers again.
    Done::new(action, SUBJECT, before, after, vec![Subject::Organization])
}

/// Gives keys whose texts were presented the digests of them under a newer pepper. Those that were changed meanwhile are left
/// out: they are presented again.
pub(super) async fn rehash(mut work: Work<'_>, keys: &[Rehashed], pepper: u32) -> Result<Done, ApplyError> {
    if !is_there(work.db, pepper).await? {
        return Err(ApplyError::NotFound("pepper"));
    }
    let mut numbers = Vec::new();
    let mut seen = HashSet::new();
    for one in keys.iter().filter(|one| seen.insert(one.digest)) {
        numbers.extend(rehash_one(&mut work, one, pepper).await?);
    }
    if numbers.is_empty() {
        return Err(ApplyError::NotFound("key that is hashed with an older pepper"));
    }
    let shown = json!({ "version": pepper, "keys": numbers.len() }).to_string();
    Ok(Done::new("encryption.rehash", SUBJECT, String::new(), shown, ranges(numbers)))
}

/// The number of the key, if it was changed.
async fn rehash_one(work: &mut Work<'_>, one: &Rehashed, pepper: u32) -> Result<Option<u32>, ApplyError> {
    let Some(key) = find(work.db, work.tenant.id, one.key).await? else { return Ok(None) };
    if !version::known(work.db, &[one.digest.as_bytes()]).await?.is_empty() || is_taken(work.db, &one.digest).await? {
        return Ok(None);
    }
    // A former version's row has its key's number in another column.
    let (read, update) = if one.version == key.version {
        (
            "SELECT digest, pepper FROM keys WHERE number = ? AND version = ? AND pepper < ?",
            "UPDATE keys SET digest = ?, pepper = ? WHERE number = ? AND version = ?",
        )
    } else {
        (
            "SELECT digest, pepper FROM key_versions WHERE key = ? AND version = ? AND pepper < ?",
            "UPDATE key_versions SET digest = ?, pepper = ? WHERE key = ? AND version = ?",
        )
    };
    let version = u32::from(one.version);
    let row = sql(read).bind(key.number).bind(version).bind(pepper).fetch_optional(&mut *work.db).await?;
    let Some(row) = row else { return Ok(None) };
    let mut row = Columns::of(&row);
    let (former, former_pepper): ([u8; 32], u32) = (row.bytes()?, row.number()?);
    if former != *one.was.as_bytes() {
        return Ok(None);
    }
    sql(update)
        .bind(&one.digest.as_bytes()[..])
        .bind(pepper)
        .bind(key.number)
        .bind(version)
        .execute(&mut *work.db)
        .await?;
    take_along(work.db, &former, &one.digest, pepper).await?;
    // Nodes that know the text by its former digest find the key's record by it.
    sql("INSERT INTO former_digests (key, version, pepper, digest) VALUES (?, ?, ?, ?)")
        .bind(key.number)
        .bind(version)
        .bind(former_pepper)
        .bind(&former[..])
        .execute(&mut *work.db)
        .await?;
    Ok(Some(key.number))
}

/// Gives deleted keys of the same text its digest under a newer pepper, so that they are still known to have it: none of them
/// comes back while another key has it.
pub(super) async fn take_along(
    db: &mut Connection,
    was: &[u8; 32],
    digest: &KeyDigest,
    pepper: u32,
) -> Result<(), StoreError> {
    for statement in [
        "UPDATE keys SET digest = ?, pepper = ? WHERE digest = ? AND deleted_at IS NOT NULL AND algorithm IN (1, 4)",
        "UPDATE key_versions SET digest = ?, pepper = ? WHERE digest = ? AND algorithm IN (1, 4) \
         AND key IN (SELECT number FROM keys WHERE deleted_at IS NOT NULL)",
    ] {
        sql(statement).bind(&digest.as_bytes()[..]).bind(pepper).bind(&was[..]).execute(&mut *db).await?;
    }
    Ok(())
}

async fn is_taken(db: &mut Connection, digest: &KeyDigest) -> Result<bool, ApplyError> {
    let taken: u32 = sql("SELECT count(*) FROM keys WHERE digest = ? AND deleted_at IS NULL")
        .bind(&digest.as_bytes()[..])
        .fetch_number(db)
        .await?;
    Ok(taken > 0)
}
