//! Changes of activations. Nodes hold a project with its activations, so it is the project that they are told of.

use keystile_core::api::{ApiSettings, Approval};
use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, ApiId, OrganizationId, PlanId, ProjectId};
use keystile_core::key::Environment;
use keystile_core::permission::Permission;
use keystile_core::plan::Quota;
use keystile_core::time::Timestamp;

use super::{Done, Work, credit, or_exists, plan, refuse_stale, text};
use crate::audit::actor_text;
use crate::catalog::activations::find;
use crate::db::{Columns, Connection, signed, sql, to_json};
use crate::records::{Activation, Wish};
use crate::{ApplyError, StoreError, Subject};

const NO_SUCH: ApplyError = ApplyError::NotFound("activation");

/// Who judges where an API's owner lets everybody in.
const AUTOMATIC: &str = "system:automatic";
/// What is said of that.
const LET_IN: &str = "approved by the API's setting";

/// What was judged.
pub(super) struct Judged<'a> {
    pub(super) state: ActivationState,
    pub(super) reason: &'a str,
    pub(super) granted: Option<&'a [Permission]>,
    /// If something is said of it: the plan, or that there is none.
    pub(super) plan: Option<Option<PlanId>>,
}

/// A project and an API as the link of the two needs them.
struct Pair {
    project: u32,
    project_owner: u32,
    environment: Environment,
    api: u32,
    api_owner: u32,
    settings: ApiSettings,
}

impl Pair {
    fn with_plan(&self, plan: u32, since: Timestamp) -> credit::Link {
        let Self { project, project_owner, api_owner, .. } = *self;
        credit::Link { project, project_owner, api_owner, plan, since }
    }
}

/// Texts of keys that open an API are kept only where its owner wants that.
async fn wipe_texts(db: &mut Connection, pair: &Pair) -> Result<(), StoreError> {
    if pair.settings.recoverable_keys { Ok(()) } else { text::wipe_of_project(db, pair.project).await }
}

pub(super) async fn create(
    mut work: Work<'_>,
    id: ActivationId,
    (project, api): (ProjectId, ApiId),
    wish: &Wish,
) -> Result<Done, ApplyError> {
    let pair = pair(work.db, project, api).await?;
    let is_own = pair.api_owner == work.tenant.number;
    if pair.project_owner != work.tenant.number && !is_own {
        return Err(super::project::NO_SUCH);
    }
    refuse_environment(&pair.settings, pair.environment)?;
    // Only the API's organization grants, now or once for all.
    let (state, reason, by) = if is_own {
        (ActivationState::Approved, "", Some(actor_text(&work.actor)))
    } else if pair.settings.approval == Approval::Automatic && !was_turned_away(work.db, &pair).await? {
        (ActivationState::Approved, LET_IN, Some(AUTOMATIC.to_owned()))
    } else {
        (ActivationState::Requested, "", None)
    };
    let wanted = wish.permissions.as_ref().map(to_json).transpose()?;
    let granted = wanted.clone().filter(|_| by.is_some());
    let wanted_plan = plan_number(work.db, pair.api, wish.plan).await?;
    let had = had_before(work.db, &pair).await?;
    let plan = match (&by, wanted_plan, had) {
        // Whoever lets everybody in has said with which plan.
        (Some(_), Some(plan), _) if is_own => Some(plan),
        // Who deletes a link and asks anew has what was given then.
        (Some(_), _, Some((plan, _))) => Some(plan),
        (Some(_), _, None) => plan::standard_of(work.db, pair.api).await?,
        (None, ..) => None,
    };
    let since = plan.map(|plan| since(had, plan, work.at));
    sql("INSERT INTO activations (id, project, api, state, reason, wanted, note, granted, judged_by, judged_at, \
         created_at, updated_at, revision, plan, plan_since, wanted_plan) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
    .bind(id.to_bytes())
    .bind(pair.project)
    .bind(pair.api)
    .bind(state.as_str())
    .bind(reason)
    .bind(wanted)
    .bind(&wish.note)
    .bind(granted)
    .bind(by.clone())
    .bind(by.map(|_| work.at.as_micros()))
    .bind(work.at.as_micros())
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .bind(plan)
    .bind(since.map(Timestamp::as_micros))
    .bind(wanted_plan)
    .execute(&mut *work.db)
    .await
    .map_err(or_exists("this project is linked to this API already"))?;
    if state == ActivationState::Approved {
        wipe_texts(work.db, &pair).await?;
    }
    let activation = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    let mut done = Done::made("activation.create", id, &activation, Subject::Project(pair.project));
    if let Some((plan, since)) = plan.zip(since) {
        note_plan(work.db, activation.number, work.at).await?;
        let at = work.at;
        done.touched.extend(credit::by_plan(&mut work, pair.with_plan(plan, since), at).await?);
    }
    Ok(done)
}

pub(super) async fn request(work: Work<'_>, id: ActivationId, was: u64, wish: &Wish) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    if before.project_organization != work.tenant.id {
        return Err(NO_SUCH);
    }
    refuse_stale(before.revision, was)?;
    if before.state != ActivationState::Refused {
        return Err(ApplyError::Conflict(format!(
            "only what was refused can be asked for again, and this is {}",
            before.state.as_str()
        )));
    }
    let wanted = wish.permissions.as_ref().map(to_json).transpose()?;
    let pair = pair(work.db, before.project, before.api).await?;
    let wanted_plan = plan_number(work.db, pair.api, wish.plan).await?;
    let project: u32 = sql("UPDATE activations SET state = 'requested', wanted = ?, note = ?, wanted_plan = ?, \
         granted = NULL, plan = NULL, plan_since = NULL, updated_at = ?, revision = ? WHERE number = ? RETURNING project")
    .bind(wanted)
    .bind(&wish.note)
    .bind(wanted_plan)
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .bind(before.number)
    .fetch_number(&mut *work.db)
    .await?;
    if before.plan.is_some() {
        note_plan(work.db, before.number, work.at).await?;
    }
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed("activation.request", id, [&before, &after], Subject::Project(project)))
}

pub(super) async fn update(
    mut work: Work<'_>,
    id: ActivationId,
    was: u64,
    judged: Judged<'_>,
) -> Result<Done, ApplyError> {
    let Judged { state, reason, granted, plan } = judged;
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    if !grants(&before, work.tenant.id) {
        return Err(NO_SUCH);
    }
    refuse_stale(before.revision, was)?;
    let pair = pair(work.db, before.project, before.api).await?;
    if state == ActivationState::Approved {
        refuse_environment(&pair.settings, pair.environment)?;
        wipe_texts(work.db, &pair).await?;
    }
    let mut touched = vec![Subject::Project(pair.project)];
    let plan = match plan {
        Some(plan) => Some(plan),
        None if state == ActivationState::Approved && is_asked_for(&before) => match before.wish.plan {
            Some(wanted) => Some(Some(wanted)),
            None => {
                let standard = plan::standard_of(work.db, pair.api).await?;
                touched.extend(put_plan(&mut work, (&before, &pair), (standard, true)).await?);
                None
            }
        },
        None => None,
    };
    if let Some(plan) = plan {
        let plan = plan_number(work.db, pair.api, plan).await?;
        let is_approved = state == ActivationState::Approved;
        touched.extend(put_plan(&mut work, (&before, &pair), (plan, is_approved)).await?);
    }
    sql("UPDATE activations SET state = ?, reason = ?, granted = ?, judged_by = ?, judged_at = ?, updated_at = ?, \
         revision = ? WHERE number = ?")
    .bind(state.as_str())
    .bind(reason)
    .bind(granted.map(|granted| to_json(&granted)).transpose()?)
    .bind(actor_text(&work.actor))
    .bind(work.at.as_micros())
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .bind(before.number)
    .execute(&mut *work.db)
    .await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    let action = format!("activation.{}", verb(state));
    Ok(Done { touched, ..Done::changed(action, id, [&before, &after], Subject::Project(pair.project)) })
}

/// Gives a project another plan, or none.
pub(super) async fn set_plan(
    mut work: Work<'_>,
    id: ActivationId,
    was: u64,
    plan: Option<PlanId>,
) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    if !grants(&before, work.tenant.id) {
        return Err(NO_SUCH);
    }
    refuse_stale(before.revision, was)?;
    let pair = pair(work.db, before.project, before.api).await?;
    let plan = plan_number(work.db, pair.api, plan).await?;
    let mut touched = vec![Subject::Project(pair.project)];
    let is_approved = before.state == ActivationState::Approved;
    touched.extend(put_plan(&mut work, (&before, &pair), (plan, is_approved)).await?);
    touch(work.db, before.number, work.at, work.revision).await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done { touched, ..Done::changed("activation.plan", id, [&before, &after], Subject::Project(pair.project)) })
}

/// Says what a project's people allow it at most.
pub(super) async fn set_ceilings(
    work: Work<'_>,
    id: ActivationId,
    was: u64,
    ceilings: &[Quota],
) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    if before.project_organization != work.tenant.id {
        return Err(NO_SUCH);
    }
    refuse_stale(before.revision, was)?;
    let project: u32 = sql("UPDATE activations SET ceilings = ? WHERE number = ? RETURNING project")
        .bind((!ceilings.is_empty()).then(|| to_json(&ceilings)).transpose()?)
        .bind(before.number)
        .fetch_number(&mut *work.db)
        .await?;
    touch(work.db, before.number, work.at, work.revision).await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed("activation.ceilings", id, [&before, &after], Subject::Project(project)))
}

/// Notes that an activation was changed.
async fn touch(db: &mut Connection, number: u32, at: Timestamp, revision: u64) -> Result<(), StoreError> {
    sql("UPDATE activations SET updated_at = ?, revision = ? WHERE number = ?")
        .bind(at.as_micros())
        .bind(signed(revision))
        .bind(number)
        .execute(db)
        .await?;
    Ok(())
}

/// The number of a plan, if one is said.
async fn plan_number(db: &mut Connection, api: u32, plan: Option<PlanId>) -> Result<Option<u32>, ApplyError> {
    match plan {
        Some(plan) => plan::of_api(db, api, plan).await.map(Some),
        None => Ok(None),
    }
}

/// Gives an activation a plan from now on, unless it has it.
async fn put_plan(
    work: &mut Work<'_>,
    (before, pair): (&Activation, &Pair),
    (plan, is_approved): (Option<u32>, bool),
) -> Result<Vec<Subject>, ApplyError> {
    let had = had_before(work.db, pair).await?;
    let since = plan.map(|plan| since(had, plan, work.at));
    let changed = sql("UPDATE activations SET plan = ?, plan_since = ? WHERE number = ? AND coalesce(plan, 0) <> ?")
        .bind(plan)
        .bind(since.map(Timestamp::as_micros))
        .bind(before.number)
        .bind(plan.unwrap_or(0))
        .execute(&mut *work.db)
        .await?;
    if changed == 0 {
        return Ok(Vec::new());
    }
    note_plan(work.db, before.number, work.at).await?;
    let at = work.at;
    match plan.zip(since) {
        // Of one that can't be used nothing comes until it can.
        Some((plan, since)) if is_approved => credit::by_plan(work, pair.with_plan(plan, since), at).await,
        _ => Ok(Vec::new()),
    }
}

/// Notes which plan an activation has from now on.
async fn note_plan(db: &mut Connection, activation: u32, at: Timestamp) -> Result<(), StoreError> {
    sql("INSERT INTO activation_plans (activation, since_at, plan, anchor_at) \
         SELECT number, CAST(? AS BIGINT), plan, plan_since FROM activations WHERE number = ? \
         ON CONFLICT (activation, since_at) DO UPDATE SET plan = excluded.plan, anchor_at = excluded.anchor_at")
    .bind(at.as_micros())
    .bind(activation)
    .execute(db)
    .await?;
    Ok(())
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

async fn pair(db: &mut Connection, project: ProjectId, api: ApiId) -> Result<Pair, ApplyError> {
    let row = sql("SELECT number, organization, environment FROM projects WHERE id = ? AND deleted_at IS NULL")
        .bind(project.to_bytes())
        .fetch_optional(&mut *db)
        .await?
        .ok_or(super::project::NO_SUCH)?;
    let mut row = Columns::of(&row);
    let (project, project_owner, environment) = (row.number()?, row.number()?, row.word()?);
    let row = sql("SELECT number, organization, settings FROM apis WHERE id = ? AND deleted_at IS NULL")
        .bind(api.to_bytes())
        .fetch_optional(db)
        .await?
        .ok_or(ApplyError::NotFound("API"))?;
    let mut row = Columns::of(&row);
    Ok(Pair {
        project,
        project_owner,
        environment,
        api: row.number()?,
        api_owner: row.number()?,
        settings: row.json()?,
    })
}

/// A link that lets nobody through helps nobody.
fn refuse_environment(settings: &ApiSettings, environment: Environment) -> Result<(), ApplyError> {
    let takes = settings.environments;
    if takes.take(environment) {
        return Ok(());
    }
    Err(ApplyError::Conflict(format!(
        "this API takes {takes} keys and the project's are {}; use a {takes} project, or have {} added to the API's environments",
        environment.as_str(),
        environment.as_str(),
    )))
}

/// Whether the last word of the API's owner on this pair was no. Both sides may delete a link: a project that was refused
/// or suspended must not be let in by an API's setting because it has deleted that.
async fn was_turned_away(db: &mut Connection, pair: &Pair) -> Result<bool, ApplyError> {
    let last = sql("SELECT state FROM activations WHERE project = ? AND api = ? \
         AND (judged_at IS NOT NULL OR state IN ('refused', 'suspended')) ORDER BY number DESC LIMIT 1")
    .bind(pair.project)
    .bind(pair.api)
    .fetch_optional(db)
    .await?;
    let state = last.map(|row| Columns::of(&row).word::<ActivationState>()).transpose()?;
    Ok(state.is_some_and(|state| state != ActivationState::Approved))
}

/// The plan that a project had by the last of its deleted links to an API that had one, and since when, if that plan is still
/// there.
async fn had_before(db: &mut Connection, pair: &Pair) -> Result<Option<(u32, Timestamp)>, StoreError> {
    let row =
        sql("SELECT v.plan, v.plan_since, l.deleted_at FROM activations v LEFT JOIN plans l ON l.number = v.plan \
         WHERE v.project = ? AND v.api = ? AND v.plan IS NOT NULL AND v.deleted_at IS NOT NULL \
         ORDER BY v.number DESC LIMIT 1")
        .bind(pair.project)
        .bind(pair.api)
        .fetch_optional(db)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let mut row = Columns::of(&row);
    let had = row.number_if_any::<u32>()?.zip(row.moment_if_any()?);
    Ok(had.filter(|_| row.moment_if_any().is_ok_and(|deleted| deleted.is_none())))
}

/// Since when a project has a plan that it is given now: deleting a link and asking anew begins no billing period.
fn since(had: Option<(u32, Timestamp)>, plan: u32, at: Timestamp) -> Timestamp {
    had.filter(|(before, _)| *before == plan).map_or(at, |(_, since)| since)
}

/// Whether it waits for the word of the API's owner.
const fn is_asked_for(activation: &Activation) -> bool {
    matches!(activation.state, ActivationState::Requested | ActivationState::Refused) && activation.plan.is_none()
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
