//! A grant as it is shown.

use std::collections::HashMap;

use keystile_core::credit::{CreditHolder, CreditKind};
use keystile_core::id::{CreditGrantId, OrganizationId, PlanId, ProjectId};
use keystile_core::time::Timestamp;
use keystile_store::records::CreditGrant;
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::app::App;
use crate::manage::problem::internal;
use crate::problem::Problem;

/// What has become of a grant.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CreditGrantState)]
pub(in crate::manage) enum StateView {
    /// It can be spent later.
    Scheduled,
    /// It can be spent.
    Active,
    /// All of it is used.
    Used,
    /// Its time is over; what was left has lapsed.
    Ended,
    /// What was left was taken back.
    Revoked,
}

/// Credits that were granted.
#[derive(Serialize, ToSchema)]
#[schema(as = CreditGrant)]
pub(in crate::manage) struct CreditGrantView {
    /// Its id, `crg_…`.
    #[schema(value_type = String, example = "crg_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: CreditGrantId,
    /// Who granted them: they are spent at its APIs.
    #[schema(value_type = String)]
    granted_by: OrganizationId,
    /// Whose they are, or whose project's.
    #[schema(value_type = String)]
    organization_id: OrganizationId,
    /// The project whose they are; `null` if all projects of the organization share them.
    #[schema(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// `paid`, `bonus`, or `trial` and `refill`, which come with plans.
    #[schema(value_type = String, example = "paid")]
    kind: CreditKind,
    /// How many.
    #[schema(example = 10000)]
    amount: u64,
    /// How many of them are used or reserved.
    used: u64,
    /// How many can still be spent, now or once they can be.
    remaining: u64,
    /// What has become of it.
    state: StateView,
    /// What was said of it.
    note: String,
    /// The plan that it came with.
    #[schema(value_type = Option<String>)]
    plan_id: Option<PlanId>,
    /// From when they can be spent.
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    /// Until when; `null` for ever.
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Timestamp>,
    /// When what was left of them was taken back.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl CreditGrantView {
    /// A grant of which so much is used.
    pub(in crate::manage) fn new(grant: CreditGrant, used: u64, now: Timestamp) -> Self {
        let span = grant.span();
        let left = grant.amount.saturating_sub(used);
        let state = match grant.revoked_at {
            Some(_) => StateView::Revoked,
            None if span.end <= now => StateView::Ended,
            None if left == 0 => StateView::Used,
            None if now < span.start => StateView::Scheduled,
            None => StateView::Active,
        };
        Self {
            id: grant.id,
            granted_by: grant.organization,
            organization_id: grant.holder_organization,
            project_id: match grant.holder {
                CreditHolder::Project(id) => Some(id),
                CreditHolder::Organization(_) => None,
            },
            kind: grant.kind,
            amount: grant.amount,
            used: used.min(grant.amount),
            remaining: if span.end <= now { 0 } else { left },
            state,
            note: grant.note,
            plan_id: grant.plan.map(|(id, _)| id),
            starts_at: grant.starts_at,
            ends_at: grant.ends_at,
            revoked_at: grant.revoked_at,
            created_at: grant.created_at,
            updated_at: grant.updated_at,
        }
    }
}

/// What was used of grants, by number: exact of those that can be spent, and as it is written down of others.
pub(super) async fn used(app: &App, grants: &[CreditGrant]) -> Result<HashMap<u32, u64>, Problem> {
    let numbers: Vec<u32> = grants.iter().map(|grant| grant.number).collect();
    let mut used = app.feed.engine().credits.used(&numbers);
    let rest: Vec<u32> = numbers.into_iter().filter(|number| !used.contains_key(number)).collect();
    used.extend(app.ledger.credits_taken_of(&rest).await.map_err(|error| internal(&error))?);
    Ok(used)
}

/// A grant as it is now.
pub(super) async fn view(app: &App, grant: CreditGrant) -> Result<CreditGrantView, Problem> {
    let used = used(app, std::slice::from_ref(&grant)).await?;
    Ok(shown(grant, &used, app.now()))
}

/// A grant of which so much is used.
pub(super) fn shown(grant: CreditGrant, used: &HashMap<u32, u64>, now: Timestamp) -> CreditGrantView {
    let used = used.get(&grant.number).copied().unwrap_or(0);
    CreditGrantView::new(grant, used, now)
}
