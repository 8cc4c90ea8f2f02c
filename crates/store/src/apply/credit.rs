//! Changes of credits: what is granted, by hand and by plans, and taken back. What is spent stands in the ledger.

use keystile_core::credit::{CreditHolder, CreditKind, MAX_OPEN_GRANTS};
use keystile_core::id::{ActivationId, CreditGrantId};
use keystile_core::plan::{CreditsOf, PlanTerms, Span};
use keystile_core::time::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Done, Work, number_of, refuse_stale};
use crate::catalog::credits::find;
use crate::db::{Columns, signed, sql};
use crate::{ApplyError, StoreError, Subject};

const NO_SUCH: ApplyError = ApplyError::NotFound("credit grant");

const SECONDS_A_DAY: i64 = 86_400;

/// What is granted.
pub(super) struct Granted<'a> {
    pub(super) kind: CreditKind,
    pub(super) amount: u64,
    pub(super) note: &'a str,
    /// The number of the plan that it comes with.
    pub(super) plan: Option<u32>,
    pub(super) starts_at: Timestamp,
    pub(super) ends_at: Option<Timestamp>,
}

/// Whose credits they are, by number: an organization, and a project of it unless they are all of its projects'.
#[derive(Clone, Copy)]
pub(super) struct Holder {
    pub(super) organization: u32,
    pub(super) project: Option<u32>,
}

/// The link of a project to an API, as far as credits come with its plan.
#[derive(Clone, Copy)]
pub(super) struct Link {
    pub(super) project: u32,
    pub(super) project_owner: u32,
    pub(super) api_owner: u32,
    /// The number of the plan.
    pub(super) plan: u32,
    /// Since when the project has it.
    pub(super) since: Timestamp,
}

pub(super) async fn grant(
    mut work: Work<'_>,
    id: CreditGrantId,
    holder: CreditHolder,
    granted: Granted<'_>,
) -> Result<Done, ApplyError> {
    let holder = find_holder(&mut work, holder).await?;
    let owner = work.tenant.number;
    refuse_one_too_many(&mut work, holder).await?;
    let number = insert(&mut work, (id, owner), holder, granted).await?;
    let made = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::made("credits.grant", id, &made, Subject::Credits(number)))
}

/// Takes back what is left of a grant.
pub(super) async fn revoke(work: Work<'_>, id: CreditGrantId, was: u64, reason: &str) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    if before.organization != work.tenant.id {
        return Err(NO_SUCH);
    }
    refuse_stale(before.revision, was)?;
    if before.span().end <= work.at {
        let how = if before.revoked_at.is_some() { "were revoked" } else { "have ended" };
        return Err(ApplyError::Conflict(format!("these credits {how}, so there is nothing to take back")));
    }
    let note = if reason.is_empty() { before.note.clone() } else { reason.to_owned() };
    sql("UPDATE credit_grants SET revoked_at = ?, note = ?, updated_at = ?, revision = ? WHERE number = ?")
        .bind(work.at.as_micros())
        .bind(note)
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed("credits.revoke", id, [&before, &after], Subject::Credits(before.number)))
}

/// Grants what the plans of projects bring for the periods of moments, as far as it was not granted before.
pub(super) async fn refill(mut work: Work<'_>, due: &[(ActivationId, Timestamp)]) -> Result<Done, ApplyError> {
    let mut touched = Vec::new();
    for (id, at) in due {
        let row = sql("SELECT v.project, p.organization, a.organization, v.plan, v.plan_since FROM activations v \
             JOIN projects p ON p.number = v.project JOIN apis a ON a.number = v.api WHERE v.id = ? AND a.organization = ? \
             AND v.state = 'approved' AND v.deleted_at IS NULL AND v.plan IS NOT NULL AND v.plan_since IS NOT NULL")
        .bind(id.to_bytes())
        .bind(work.tenant.number)
        .fetch_optional(&mut *work.db)
        .await?;
        // It was deleted or lost its plan a moment ago.
        let Some(row) = row else { continue };
        let mut row = Columns::of(&row);
        let link = Link {
            project: row.number()?,
            project_owner: row.number()?,
            api_owner: row.number()?,
            plan: row.number()?,
            since: row.moment()?,
        };
        touched.extend(by_plan(&mut work, link, *at).await?);
    }
    if touched.is_empty() {
        return Err(ApplyError::Exists("what these plans bring was granted before"));
    }
    let numbers = touched.iter().filter_map(|subject| match subject {
        Subject::Credits(number) => Some(*number),
        _ => None,
    });
    let mut query = sql("SELECT id FROM credit_grants WHERE number IN ");
    query.push_list(numbers);
    query.push(" ORDER BY number");
    let ids = query.seldom().fetch_all(&mut *work.db).await?;
    let ids = ids.iter().map(|row| Columns::of(row).id(CreditGrantId::from_slice).map(|id| id.to_string()));
    let shown = json!({ "grants": ids.collect::<Result<Vec<_>, StoreError>>()? }).to_string();
    Ok(Done::new("credits.refill", work.tenant.id, String::new(), shown, touched))
}

/// Grants what comes with a plan at a moment, as far as it was not granted before: the trial, once, and the refill of the
/// period of that moment.
pub(super) async fn by_plan(work: &mut Work<'_>, link: Link, at: Timestamp) -> Result<Vec<Subject>, ApplyError> {
    let row = sql(
        "SELECT terms FROM plan_versions WHERE plan = ? AND from_at <= ? ORDER BY from_at DESC, version DESC LIMIT 1",
    )
    .bind(link.plan)
    .bind(at.as_micros())
    .fetch_optional(&mut *work.db)
    .await?;
    let terms: Option<PlanTerms> = row.map(|row| Columns::of(&row).json()).transpose()?;
    let Some((terms, credits)) = terms.and_then(|terms| terms.credits.map(|credits| (terms, credits))) else {
        return Ok(Vec::new());
    };
    let holder = Holder {
        organization: link.project_owner,
        project: (credits.of == CreditsOf::Project).then_some(link.project),
    };
    let mut touched = Vec::new();
    if let Some(trial) = credits.trial
        && !has(work, holder, (link.plan, CreditKind::Trial), None).await?
    {
        let granted = Granted {
            kind: CreditKind::Trial,
            amount: trial.amount,
            note: "",
            plan: Some(link.plan),
            starts_at: work.at,
            ends_at: Some(work.at.plus_secs(i64::from(trial.days) * SECONDS_A_DAY)),
        };
        let id = id_of(holder, (link.plan, CreditKind::Trial), Timestamp::from_micros(0));
        touched.push(Subject::Credits(insert(work, (id, link.api_owner), holder, granted).await?));
    }
    if let Some(refill) = credits.refill
        && let Span { start, end } = refill.period.at(at, &terms.time_zone, link.since)
        && !has(work, holder, (link.plan, CreditKind::Refill), Some((at, end))).await?
    {
        let granted = Granted {
            kind: CreditKind::Refill,
            amount: refill.amount,
            note: "",
            plan: Some(link.plan),
            starts_at: start.max(work.at),
            ends_at: Some(end),
        };
        let id = id_of(holder, (link.plan, CreditKind::Refill), at);
        touched.push(Subject::Credits(insert(work, (id, link.api_owner), holder, granted).await?));
    }
    Ok(touched)
}

/// Whether a holder was granted credits of a kind with a plan, ever, or such as end after a moment and begin before the end of
/// its period.
async fn has(
    work: &mut Work<'_>,
    holder: Holder,
    (plan, kind): (u32, CreditKind),
    during: Option<(Timestamp, Timestamp)>,
) -> Result<bool, ApplyError> {
    let mut query = sql(
        "SELECT count(*) FROM credit_grants WHERE plan = ? AND kind = ? AND holder = ? AND coalesce(project, 0) = ?",
    )
    .bind(plan)
    .bind(kind.as_str())
    .bind(holder.organization)
    .bind(holder.project.unwrap_or(0));
    if let Some((at, end)) = during {
        query.push(" AND starts_at < ").push_bind(end.as_micros());
        query.push(" AND ends_at > ").push_bind(at.as_micros());
    }
    let found: u32 = query.fetch_number(&mut *work.db).await?;
    Ok(found > 0)
}

/// The id of what comes with a plan: the same for whoever grants it.
fn id_of(holder: Holder, (plan, kind): (u32, CreditKind), at: Timestamp) -> CreditGrantId {
    let what = format!(
        "credits|{plan}|{}|{}|{}|{}",
        kind.as_str(),
        holder.organization,
        holder.project.unwrap_or(0),
        at.as_micros()
    );
    let mut id = [0; 16];
    id.copy_from_slice(&Sha256::digest(what)[..16]);
    CreditGrantId::from_entropy(id)
}

/// There are only so many grants of one holder that have not ended. What comes with plans comes all the same.
async fn refuse_one_too_many(work: &mut Work<'_>, holder: Holder) -> Result<(), ApplyError> {
    let open: u32 =
        sql("SELECT count(*) FROM credit_grants WHERE organization = ? AND holder = ? AND coalesce(project, 0) = ? \
         AND revoked_at IS NULL AND (ends_at IS NULL OR ends_at > ?)")
        .bind(work.tenant.number)
        .bind(holder.organization)
        .bind(holder.project.unwrap_or(0))
        .bind(work.at.as_micros())
        .fetch_number(&mut *work.db)
        .await?;
    if open >= MAX_OPEN_GRANTS {
        return Err(ApplyError::Exists(
            "there are as many grants as one holder can have that have not ended; revoke those that are used up",
        ));
    }
    Ok(())
}

async fn insert(
    work: &mut Work<'_>,
    (id, owner): (CreditGrantId, u32),
    holder: Holder,
    granted: Granted<'_>,
) -> Result<u32, ApplyError> {
    let row = sql(
        "INSERT INTO credit_grants (id, organization, holder, project, kind, amount, note, plan, starts_at, ends_at, \
         created_at, updated_at, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
    )
    .bind(id.to_bytes())
    .bind(owner)
    .bind(holder.organization)
    .bind(holder.project)
    .bind(granted.kind.as_str())
    .bind(signed(granted.amount))
    .bind(granted.note)
    .bind(granted.plan)
    .bind(granted.starts_at.as_micros())
    .bind(granted.ends_at.map(Timestamp::as_micros))
    .bind(work.at.as_micros())
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .fetch_one(&mut *work.db)
    .await?;
    Ok(number_of(&row)?)
}

/// The holder, if it has to do with the organization that grants: one of its own, or linked to one of its APIs.
async fn find_holder(work: &mut Work<'_>, holder: CreditHolder) -> Result<Holder, ApplyError> {
    let linked = " = ? OR EXISTS (SELECT 1 FROM activations v JOIN apis a ON a.number = v.api JOIN projects q ON q.number = v.project \
         WHERE v.deleted_at IS NULL AND a.organization = ? AND ";
    let owner = work.tenant.number;
    let (mut query, no_such) = match holder {
        CreditHolder::Project(id) => {
            let mut query =
                sql("SELECT p.organization, p.number FROM projects p WHERE p.deleted_at IS NULL AND p.id = ");
            query.push_bind(id.to_bytes()).push(" AND (p.organization").push(linked).push("q.number = p.number))");
            (query, "project")
        }
        CreditHolder::Organization(id) => {
            let mut query = sql("SELECT o.number, NULL FROM organizations o WHERE o.id = ");
            query.push_bind(id.to_bytes()).push(" AND (o.number").push(linked).push("q.organization = o.number))");
            (query, "organization")
        }
    };
    query = query.bind(owner).bind(owner);
    let row = query.fetch_optional(&mut *work.db).await?.ok_or(ApplyError::NotFound(no_such))?;
    let mut row = Columns::of(&row);
    let organization = row.number()?;
    let project = match holder {
        CreditHolder::Project(_) => Some(row.number()?),
        CreditHolder::Organization(_) => None,
    };
    Ok(Holder { organization, project })
}
