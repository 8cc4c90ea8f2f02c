//! Changes of patterns. Keys and projects name them; they are touched only when one goes.

use keystile_core::id::PatternId;
use keystile_core::pattern::{Filter, PatternName};
use keystile_core::policy::Policy;

use super::policy::{From, Named, held_by, take_away};
use super::{Done, Tenant, Work, number_of, or_exists, ranges, refuse_stale};
use crate::catalog::patterns::find;
use crate::db::{Columns, Connection, signed, sql, to_json};
use crate::{ApplyError, StoreError, Subject};

pub(super) const NO_SUCH: ApplyError = ApplyError::NotFound("pattern");

/// Most patterns of an organization: nodes hold all of them.
const MAX_OF_ORGANIZATION: u32 = 1_000;

const NAME_TAKEN: &str = "there is a pattern of this name already; change that one, or take another name";

/// What is said of a pattern.
pub(super) struct About<'a> {
    pub(super) name: &'a PatternName,
    pub(super) description: &'a str,
    pub(super) filter: &'a Filter,
}

pub(super) async fn create(work: Work<'_>, id: PatternId, about: About<'_>) -> Result<Done, ApplyError> {
    let others: u32 = sql("SELECT count(*) FROM patterns WHERE organization = ? AND deleted_at IS NULL")
        .bind(work.tenant.number)
        .fetch_number(&mut *work.db)
        .await?;
    if others >= MAX_OF_ORGANIZATION {
        return Err(ApplyError::Exists("there are as many patterns as an organization can have; delete one first"));
    }
    let number =
        sql("INSERT INTO patterns (id, organization, name, description, filter, created_at, updated_at, revision) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING number")
        .bind(id.to_bytes())
        .bind(work.tenant.number)
        .bind(about.name.as_str())
        .bind(about.description)
        .bind(to_json(about.filter)?)
        .bind(work.at.as_micros())
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .fetch_one(&mut *work.db)
        .await
        .map_err(or_exists(NAME_TAKEN))?;
    let made = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::made("pattern.create", id, &made, Subject::Pattern(number_of(&number)?)))
}

pub(super) async fn update(work: Work<'_>, id: PatternId, was: u64, about: About<'_>) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(before.revision, was)?;
    sql("UPDATE patterns SET name = ?, description = ?, filter = ?, updated_at = ?, revision = ? WHERE number = ?")
        .bind(about.name.as_str())
        .bind(about.description)
        .bind(to_json(about.filter)?)
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await
        .map_err(or_exists(NAME_TAKEN))?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed("pattern.update", id, [&before, &after], Subject::Pattern(before.number)))
}

/// Takes a pattern away. Revoked keys are no reason to keep it, for nobody can change them.
pub(super) async fn delete(mut work: Work<'_>, id: PatternId, unassign: bool) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    let keys = held_by(work.db, Named::Pattern, before.number).await?;
    let projects = projects_with(work.db, work.tenant, id).await?;
    if !unassign && (keys > 0 || !projects.is_empty()) {
        let counted = |count: u64, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
        return Err(ApplyError::Conflict(format!(
            "{} and {} have this pattern; take it from them first, or say unassign=true to take it from all of them",
            counted(keys, "key"),
            counted(projects.len() as u64, "project")
        )));
    }
    // A deleted key that comes back must still pass it, unless it was said that nothing has to any more.
    let from = if unassign { From::All } else { From::Living };
    let without = |policy: &mut Policy| policy.patterns.retain(|one| *one != id);
    let numbers = take_away(&mut work, (Named::Pattern, before.number), from, without).await?;
    let mut touched = ranges(numbers);
    for (number, mut patterns) in projects {
        patterns.retain(|one| *one != id);
        sql("UPDATE projects SET patterns = ?, updated_at = ?, revision = ? WHERE number = ?")
            .bind(to_json(&patterns)?)
            .bind(work.at.as_micros())
            .bind(signed(work.revision))
            .bind(number)
            .execute(&mut *work.db)
            .await?;
        touched.push(Subject::Project(number));
    }
    sql("UPDATE patterns SET deleted_at = ?, revision = ? WHERE number = ?")
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    // Last of all: whoever names one that is gone is refused everything.
    touched.push(Subject::Pattern(before.number));
    Ok(Done::deleted("pattern.delete", id, &before, touched))
}

/// The projects that have a pattern, with all of theirs.
async fn projects_with(
    db: &mut Connection,
    tenant: Tenant,
    id: PatternId,
) -> Result<Vec<(u32, Vec<PatternId>)>, StoreError> {
    let rows = sql(
        "SELECT number, patterns FROM projects WHERE organization = ? AND patterns <> '[]' AND deleted_at IS NULL \
         ORDER BY number",
    )
    .bind(tenant.number)
    .fetch_all(db)
    .await?;
    let all = rows.iter().map(|row| {
        let mut row = Columns::of(row);
        Ok((row.number()?, row.json::<Vec<PatternId>>()?))
    });
    all.filter(|one| one.as_ref().map_or(true, |(_, patterns)| patterns.contains(&id))).collect()
}

/// Refuses patterns of others, and those that are gone.
pub(super) async fn refuse_unknown(
    db: &mut Connection,
    tenant: Tenant,
    patterns: &[PatternId],
) -> Result<(), ApplyError> {
    for id in patterns {
        find(db, tenant.id, *id).await?.ok_or(NO_SUCH)?;
    }
    Ok(())
}
