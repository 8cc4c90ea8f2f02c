//! Changes of activations. Nodes hold a project with its activations, so it is the project that they are told of.

use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, ApiId, OrganizationId, ProjectId};

use super::{Done, Work, or_exists, refuse_stale};
use crate::catalog::activations::find;
use crate::db::{Columns, Connection, signed, sql};
use crate::records::Activation;
use crate::{ApplyError, Subject};

const NO_SUCH: ApplyError = ApplyError::NotFound("activation");

/// One end of a link: its number and whose it is.
struct Side {
    number: u32,
    organization: u32,
}

pub(super) async fn create(
    work: Work<'_>,
    id: ActivationId,
    (project, api): (ProjectId, ApiId),
    state: ActivationState,
    reason: &str,
) -> Result<Done, ApplyError> {
    let project_sql = "SELECT number, organization FROM projects WHERE id = ? AND deleted_at IS NULL";
    let project = side(work.db, project_sql, project.to_bytes()).await?.ok_or(super::project::NO_SUCH)?;
    let api_sql = "SELECT number, organization FROM apis WHERE id = ? AND deleted_at IS NULL";
    let api = side(work.db, api_sql, api.to_bytes()).await?.ok_or(ApplyError::NotFound("API"))?;
    if project.organization != work.tenant.number && api.organization != work.tenant.number {
        return Err(super::project::NO_SUCH);
    }
    // Only the API's organization grants; whoever else asks for more than a request has no say over this API.
    if api.organization != work.tenant.number && state != ActivationState::Requested {
        return Err(ApplyError::NotFound("API"));
    }
    sql("INSERT INTO activations (id, project, api, state, reason, created_at, updated_at, revision) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
    .bind(id.to_bytes())
    .bind(project.number)
    .bind(api.number)
    .bind(state.as_str())
    .bind(reason)
    .bind(work.at.as_micros())
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .execute(&mut *work.db)
    .await
    .map_err(or_exists("this project is linked to this API already"))?;
    let activation = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::made("activation.create", id, &activation, Subject::Project(project.number)))
}

pub(super) async fn update(
    work: Work<'_>,
    id: ActivationId,
    was: u64,
    state: ActivationState,
    reason: &str,
) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    if !grants(&before, work.tenant.id) {
        return Err(NO_SUCH);
    }
    refuse_stale(before.revision, was)?;
    let project: u32 = sql(
        "UPDATE activations SET state = ?, reason = ?, updated_at = ?, revision = ? WHERE number = ? RETURNING project",
    )
    .bind(state.as_str())
    .bind(reason)
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .bind(before.number)
    .fetch_number(&mut *work.db)
    .await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    let action = format!("activation.{}", verb(state));
    Ok(Done::changed(action, id, [&before, &after], Subject::Project(project)))
}

pub(super) async fn delete(work: Work<'_>, id: ActivationId) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    let project: u32 = sql("UPDATE activations SET deleted_at = ?, revision = ? WHERE number = ? RETURNING project")
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .fetch_number(&mut *work.db)
        .await?;
    Ok(Done::deleted("activation.delete", id, &before, vec![Subject::Project(project)]))
}

async fn side(db: &mut Connection, select: &'static str, id: [u8; 16]) -> Result<Option<Side>, ApplyError> {
    let row = sql(select).bind(id).fetch_optional(db).await?;
    let Some(row) = row else { return Ok(None) };
    let mut row = Columns::of(&row);
    Ok(Some(Side { number: row.number()?, organization: row.number()? }))
}

/// Whether this organization may say how far an activation has come.
fn grants(activation: &Activation, organization: OrganizationId) -> bool {
    activation.api_organization == organization
}

/// What the audit calls a change to this state.
const fn verb(state: ActivationState) -> &'static str {
    match state {
        ActivationState::Requested => "request",
        ActivationState::Approved => "approve",
        ActivationState::Suspended => "suspend",
        ActivationState::Refused => "refuse",
    }
}
