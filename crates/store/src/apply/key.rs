//! Changes of keys, one at a time; many at once are in `import`.

use keystile_core::id::{KeyId, ProjectId};
use keystile_core::key::{DigestAlgorithm, KeyKind, KeyState, Standing};
use keystile_core::metadata::Tags;
use keystile_core::policy::Policy;
use keystile_core::time::Timestamp;
use serde_json::json;

use super::{Done, Work, number_of, or_exists, pepper, policy, refuse_stale, text, version};
use crate::audit::Shown;
use crate::catalog::keys::{find, find_deleted};
use crate::catalog::projects;
use crate::db::{signed, sql, state_columns, to_json};
use crate::records::{NewKey, Project};
use crate::{ApplyError, Subject};

pub(super) const NO_SUCH: ApplyError = ApplyError::NotFound("key");

pub(super) async fn create(
    mut work: Work<'_>,
    project: ProjectId,
    key: &NewKey,
    policy: &Policy,
) -> Result<Done, ApplyError> {
    let project = projects::find(work.db, work.tenant.id, project).await?.ok_or(super::project::NO_SUCH)?;
    let policy = policy::intern(work.db, work.tenant, policy).await?;
    let number = insert(&mut work, &project, key, policy).await?;
    let made = find(work.db, work.tenant.id, key.id).await?.ok_or(NO_SUCH)?;
    Ok(Done::made("key.create", key.id, &made, Subject::Keys(number, number)))
}

/// Adds a key to a project; its number.
pub(super) async fn insert(
    work: &mut Work<'_>,
    project: &Project,
    key: &NewKey,
    policy: u32,
) -> Result<u32, ApplyError> {
    version::refuse_known(work.db, &key.digest).await?;
    pepper::refuse_retired(work.db, key.pepper_version).await?;
    let number = sql(
        "INSERT INTO keys (id, project, organization, environment, kind, name, hint, policy, digest, algorithm, pepper, \
         expires_at, labels, metadata, state, created_at, updated_at, revision) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'active', ?, ?, ?) RETURNING number",
    )
    .bind(key.id.to_bytes())
    .bind(project.number)
    .bind(project.organization_number)
    .bind(project.environment.as_str())
    .bind(key.kind.as_str())
    .bind(&key.name)
    .bind(&key.hint)
    .bind(policy)
    .bind(&key.digest.as_bytes()[..])
    .bind(DigestAlgorithm::HmacSha256OfSha256.number())
    .bind(key.pepper_version)
    .bind(key.expires_at.map(Timestamp::as_micros))
    .bind(to_json(&key.tags.labels)?)
    .bind(to_json(&key.tags.metadata)?)
    .bind(work.at.as_micros())
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .fetch_one(&mut *work.db)
    .await
    .map_err(or_exists("this key is known here already"))?;
    let number = number_of(&number)?;
    text::keep(work.db, number, 1, key.text.as_ref()).await?;
    super::capacity::refuse_too_many(work, project).await?;
    Ok(number)
}

/// What becomes of a key.
pub(super) struct Update<'a> {
    pub(super) name: &'a str,
    pub(super) policy: &'a Policy,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) tags: &'a Tags,
}

pub(super) async fn update(
    work: Work<'_>,
    id: KeyId,
    was: u64,
    Update { name, policy, expires_at, tags }: Update<'_>,
) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(before.revision, was)?;
    let policy = policy::intern(work.db, work.tenant, policy).await?;
    sql(
        "UPDATE keys SET name = ?, policy = ?, expires_at = ?, labels = ?, metadata = ?, updated_at = ?, revision = ? \
         WHERE number = ?",
    )
    .bind(name)
    .bind(policy)
    .bind(expires_at.map(Timestamp::as_micros))
    .bind(to_json(&tags.labels)?)
    .bind(to_json(&tags.metadata)?)
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .bind(before.number)
    .execute(&mut *work.db)
    .await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed("key.update", id, [&before, &after], Subject::Keys(before.number, before.number)))
}

pub(super) async fn change_state(
    work: Work<'_>,
    id: KeyId,
    was: u64,
    state: KeyState,
    (action, reason): (&'static str, &str),
) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(before.revision, was)?;
    if state.standing() == Standing::Revoked {
        text::wipe(work.db, before.number).await?;
    }
    let (word, moment) = state_columns(state);
    sql("UPDATE keys SET state = ?, state_at = ?, updated_at = ?, revision = ? WHERE number = ?")
        .bind(word)
        .bind(moment)
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    let mut shown = after.shown();
    if !reason.is_empty() {
        shown["reason"] = json!(reason);
    }
    let touched = vec![Subject::Keys(before.number, before.number)];
    Ok(Done::new(format!("key.{action}"), id, before.shown().to_string(), shown.to_string(), touched))
}

pub(super) async fn expose(work: Work<'_>, id: KeyId, version: u16, action: &'static str) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    if before.exposed_at.is_some() {
        return Err(ApplyError::Exists("this key is known to be exposed"));
    }
    // Of a canary every text is listened for.
    if before.kind != KeyKind::Canary && version.max(1) != before.version {
        return Err(ApplyError::Exists("another version of this key is the latest by now"));
    }
    sql("UPDATE keys SET exposed_at = ?, updated_at = ?, revision = ? WHERE number = ?")
        .bind(work.at.as_micros())
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed(format!("key.{action}"), id, [&before, &after], Subject::Keys(before.number, before.number)))
}

pub(super) async fn delete(work: Work<'_>, id: KeyId) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    text::wipe(work.db, before.number).await?;
    sql("UPDATE keys SET deleted_at = ?, revision = ? WHERE number = ?")
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    Ok(Done::deleted("key.delete", id, &before, vec![Subject::Keys(before.number, before.number)]))
}

pub(super) async fn undelete(mut work: Work<'_>, id: KeyId) -> Result<Done, ApplyError> {
    let before = find_deleted(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    let project = projects::find(work.db, work.tenant.id, before.project).await?.ok_or(super::project::NO_SUCH)?;
    version::refuse_taken(work.db, before.number).await?;
    // Roles may have gone meanwhile, and with them what they granted. Without a pattern it would be allowed more.
    let mut policy = before.policy.clone();
    policy.roles = policy::roles_of(work.db, work.tenant, &policy).await?.into_iter().map(|role| role.id).collect();
    if policy::patterns_of(work.db, work.tenant, &policy).await?.len() < policy.patterns.len() {
        return Err(ApplyError::Conflict(
            "a pattern that this key must pass was deleted meanwhile, and without it the key would be allowed more; \
             create a new key"
                .to_owned(),
        ));
    }
    let policy = policy::intern(work.db, work.tenant, &policy).await?;
    sql("UPDATE keys SET deleted_at = NULL, policy = ?, updated_at = ?, revision = ? WHERE number = ?")
        .bind(policy)
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await
        .map_err(or_exists(version::TAKEN))?;
    super::capacity::refuse_too_many(&mut work, &project).await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::made("key.undelete", id, &after, Subject::Keys(before.number, before.number)))
}
