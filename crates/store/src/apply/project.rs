//! Changes of projects.

use keystile_core::id::ProjectId;
use keystile_core::key::Environment;

use super::{Done, Work, number_of, or_exists, pattern, ranges, refuse_stale, text};
use crate::catalog::keys;
use crate::catalog::projects::find;
use crate::db::{signed, sql, to_json};
use crate::records::{ProjectAbout, Suspension};
use crate::{ApplyError, Subject, Who};

pub(super) const NO_SUCH: ApplyError = ApplyError::NotFound("project");

pub(super) async fn create(
    work: Work<'_>,
    id: ProjectId,
    about: &ProjectAbout,
    environment: Environment,
) -> Result<Done, ApplyError> {
    pattern::refuse_unknown(work.db, work.tenant, &about.patterns).await?;
    let number = sql(
        "INSERT INTO projects (id, organization, name, description, contact, max_keys, patterns, labels, metadata, environment, \
         created_at, updated_at, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
    )
    .bind(id.to_bytes())
    .bind(work.tenant.number)
    .bind(&about.name)
    .bind(&about.description)
    .bind(&about.contact)
    .bind(about.max_keys.map(i64::from))
    .bind(to_json(&about.patterns)?)
    .bind(to_json(&about.labels)?)
    .bind(to_json(&about.metadata)?)
    .bind(environment.as_str())
    .bind(work.at.as_micros())
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .fetch_one(&mut *work.db)
    .await
    .map_err(or_exists("a project with this id is there already"))?;
    let project = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::made("project.create", id, &project, Subject::Project(number_of(&number)?)))
}

pub(super) async fn update(work: Work<'_>, id: ProjectId, was: u64, about: &ProjectAbout) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(before.revision, was)?;
    pattern::refuse_unknown(work.db, work.tenant, &about.patterns).await?;
    sql("UPDATE projects SET name = ?, description = ?, contact = ?, max_keys = ?, patterns = ?, labels = ?, metadata = ?, \
         updated_at = ?, revision = ? WHERE number = ?")
    .bind(&about.name)
    .bind(&about.description)
    .bind(&about.contact)
    .bind(about.max_keys.map(i64::from))
    .bind(to_json(&about.patterns)?)
    .bind(to_json(&about.labels)?)
    .bind(to_json(&about.metadata)?)
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .bind(before.number)
    .execute(&mut *work.db)
    .await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed("project.update", id, [&before, &after], Subject::Project(before.number)))
}

/// Nobody saws off the branch: whoever is refused as well could not take it back.
async fn refuse_own(work: &mut Work<'_>, id: ProjectId) -> Result<(), ApplyError> {
    let Who::ManagementKey(own) = work.actor.who else { return Ok(()) };
    if keys::find(work.db, work.tenant.id, own).await?.is_none_or(|key| key.project != id) {
        return Ok(());
    }
    Err(ApplyError::Conflict(
        "this project holds the management key that you use, which would be refused as well; use one of another project"
            .to_owned(),
    ))
}

pub(super) async fn suspend(
    mut work: Work<'_>,
    id: ProjectId,
    was: u64,
    suspension: Option<Suspension>,
) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(before.revision, was)?;
    if suspension.is_some() {
        refuse_own(&mut work, id).await?;
    }
    let action = if suspension.is_some() { "project.suspend" } else { "project.resume" };
    let (since, reason) = suspension.map_or((None, String::new()), |own| (Some(own.since.as_micros()), own.reason));
    sql("UPDATE projects SET suspended_at = ?, suspended_reason = ?, updated_at = ?, revision = ? WHERE number = ?")
        .bind(since)
        .bind(reason)
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed(action, id, [&before, &after], Subject::Project(before.number)))
}

pub(super) async fn delete(mut work: Work<'_>, id: ProjectId) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_own(&mut work, id).await?;
    let (at, revision) = (work.at.as_micros(), signed(work.revision));
    sql("UPDATE projects SET deleted_at = ?, revision = ? WHERE number = ?")
        .bind(at)
        .bind(revision)
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    sql("UPDATE activations SET deleted_at = ?, revision = ? WHERE project = ? AND deleted_at IS NULL")
        .bind(at)
        .bind(revision)
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    let keys: Vec<u32> = sql("SELECT number FROM keys WHERE project = ? AND deleted_at IS NULL ORDER BY number")
        .bind(before.number)
        .fetch_numbers(&mut *work.db)
        .await?;
    sql("UPDATE keys SET deleted_at = ?, revision = ? WHERE project = ? AND deleted_at IS NULL")
        .bind(at)
        .bind(revision)
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    text::wipe_of_project(work.db, before.number).await?;
    let touched = [Subject::Project(before.number)].into_iter().chain(ranges(keys)).collect();
    Ok(Done::deleted("project.delete", id, &before, touched))
}
