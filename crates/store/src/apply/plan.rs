//! Changes of plans. Nodes hold an API with its plans, so it is the API that they are told of.

use keystile_core::id::{ApiId, PlanId};
use keystile_core::plan::{MAX_PLAN_VERSIONS, MAX_PLANS, PlanName, PlanTerms};
use keystile_core::time::Timestamp;

use super::{Done, Work, number_of, or_exists, refuse_stale};
use crate::catalog::plans::find;
use crate::db::{Columns, Connection, signed, sql, to_json};
use crate::{ApplyError, StoreError, Subject};

pub(super) const NO_SUCH: ApplyError = ApplyError::NotFound("plan");

const NAME_TAKEN: &str = "the API has a plan of this name already; change that one, or take another name";

/// What is said of a plan, besides its terms.
pub(super) struct About<'a> {
    pub(super) name: &'a PlanName,
    pub(super) description: &'a str,
    pub(super) standard: bool,
}

pub(super) async fn create(
    work: Work<'_>,
    id: PlanId,
    api: ApiId,
    about: About<'_>,
    terms: &PlanTerms,
) -> Result<Done, ApplyError> {
    let api: u32 = sql("SELECT number FROM apis WHERE id = ? AND organization = ? AND deleted_at IS NULL")
        .bind(api.to_bytes())
        .bind(work.tenant.number)
        .fetch_optional(&mut *work.db)
        .await?
        .map(|row| Columns::of(&row).number())
        .transpose()?
        .ok_or(ApplyError::NotFound("API"))?;
    let others: u32 = sql("SELECT count(*) FROM plans WHERE api = ? AND deleted_at IS NULL")
        .bind(api)
        .fetch_number(&mut *work.db)
        .await?;
    if others >= MAX_PLANS {
        return Err(ApplyError::Exists("the API has as many plans as it can have; delete one first"));
    }
    if about.standard {
        take_standard(work.db, api).await?;
    }
    let row = sql("INSERT INTO plans (id, api, name, description, standard, created_at, updated_at, revision) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING number")
    .bind(id.to_bytes())
    .bind(api)
    .bind(about.name.as_str())
    .bind(about.description)
    .bind(u32::from(about.standard))
    .bind(work.at.as_micros())
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .fetch_one(&mut *work.db)
    .await
    .map_err(or_exists(NAME_TAKEN))?;
    // From ever: there was nothing else before it.
    add_version(work.db, (number_of(&row)?, 1), terms, work.at, work.at).await?;
    let made = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::made("plan.create", id, &made, Subject::Api(api)))
}

/// Changes a plan; new terms, if there are any, are in force from a moment on.
pub(super) async fn update(
    work: Work<'_>,
    id: PlanId,
    was: u64,
    about: About<'_>,
    terms: Option<(&PlanTerms, Timestamp)>,
) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(before.revision, was)?;
    if about.standard && !before.standard {
        take_standard(work.db, before.api_number).await?;
    }
    if let Some((terms, from)) = terms {
        let last = before.versions.iter().map(|version| version.version).max().unwrap_or(0);
        if last >= MAX_PLAN_VERSIONS {
            return Err(ApplyError::Exists(
                "the plan was changed as often as one can be, and nothing of it is forgotten; make another plan",
            ));
        }
        add_version(work.db, (before.number, last + 1), terms, from.max(work.at), work.at).await?;
    }
    sql("UPDATE plans SET name = ?, description = ?, standard = ?, updated_at = ?, revision = ? WHERE number = ?")
        .bind(about.name.as_str())
        .bind(about.description)
        .bind(u32::from(about.standard))
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await
        .map_err(or_exists(NAME_TAKEN))?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed("plan.update", id, [&before, &after], Subject::Api(before.api_number)))
}

/// Takes a plan away that no project has.
pub(super) async fn delete(work: Work<'_>, id: PlanId) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    let having: u32 = sql("SELECT count(*) FROM activations WHERE plan = ? AND deleted_at IS NULL")
        .bind(before.number)
        .fetch_number(&mut *work.db)
        .await?;
    if having > 0 {
        let projects = if having == 1 { "1 project has".to_owned() } else { format!("{having} projects have") };
        return Err(ApplyError::Conflict(format!("{projects} this plan; give them another one first")));
    }
    sql("UPDATE activations SET wanted_plan = NULL WHERE wanted_plan = ?")
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    sql("UPDATE plans SET deleted_at = ?, revision = ? WHERE number = ?")
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    Ok(Done::deleted("plan.delete", id, &before, vec![Subject::Api(before.api_number)]))
}

/// The number of a plan of an API.
pub(super) async fn of_api(db: &mut Connection, api: u32, id: PlanId) -> Result<u32, ApplyError> {
    let row = sql("SELECT number FROM plans WHERE id = ? AND api = ? AND deleted_at IS NULL")
        .bind(id.to_bytes())
        .bind(api)
        .fetch_optional(db)
        .await?;
    Ok(Columns::of(&row.ok_or(NO_SUCH)?).number()?)
}

/// The number of the plan that projects get at an API unless something else is said, if there is one.
pub(super) async fn standard_of(db: &mut Connection, api: u32) -> Result<Option<u32>, StoreError> {
    let row = sql("SELECT number FROM plans WHERE api = ? AND standard = 1 AND deleted_at IS NULL")
        .bind(api)
        .fetch_optional(db)
        .await?;
    row.map(|row| Columns::of(&row).number()).transpose()
}

/// Of an API's plans one at most is the standard one.
async fn take_standard(db: &mut Connection, api: u32) -> Result<(), StoreError> {
    sql("UPDATE plans SET standard = 0 WHERE api = ? AND standard = 1 AND deleted_at IS NULL")
        .bind(api)
        .execute(db)
        .await?;
    Ok(())
}

async fn add_version(
    db: &mut Connection,
    (plan, version): (u32, u32),
    terms: &PlanTerms,
    from: Timestamp,
    at: Timestamp,
) -> Result<(), StoreError> {
    sql("INSERT INTO plan_versions (plan, version, terms, from_at, created_at) VALUES (?, ?, ?, ?, ?)")
        .bind(plan)
        .bind(version)
        .bind(to_json(terms)?)
        .bind(from.as_micros())
        .bind(at.as_micros())
        .execute(db)
        .await?;
    Ok(())
}
