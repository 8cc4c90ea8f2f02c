//! `POST /v1/credits`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keystile_core::credit::{CreditHolder, CreditKind};
use keystile_core::id::{CreditGrantId, OrganizationId, ProjectId};
use keystile_core::plan::credits;
use keystile_core::time::Timestamp;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::{CreditGrantView, view};
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, WriteCredits};
use crate::manage::extract::Json;
use crate::manage::problem::{invalid, not_found};
use crate::manage::projects::checked_text;
use crate::problem::Problem;

/// Credits to grant: to a project, or to an organization, whose projects share them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreditGrantCreate {
    /// The project whose they are.
    #[schema(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// The organization whose they are.
    #[schema(value_type = Option<String>)]
    organization_id: Option<OrganizationId>,
    /// How many.
    #[schema(example = 10000)]
    amount: u64,
    /// `paid` (if nothing is said), `bonus` or `trial`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "paid")]
    kind: CreditKind,
    /// What people on both sides read: an invoice's number, a reason.
    #[serde(default)]
    note: String,
    /// From when they can be spent; from now, unless said otherwise.
    #[schema(value_type = Option<String>, format = DateTime)]
    starts_at: Option<Timestamp>,
    /// Until when; for ever, unless said otherwise. What is not spent by then lapses.
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Timestamp>,
}

/// Grant credits, which are spent at the organization's APIs by calls of projects whose plan says that they are paid by
/// credits: what ends first is spent first.
#[utoipa::path(post, operation_id = "grantCredits", path = "/v1/credits", tag = "Credits", request_body = CreditGrantCreate, security(("management_key" = [])),
    responses((status = 201, body = CreditGrantView), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn create(
    caller: Caller<WriteCredits>,
    State(app): State<App>,
    body: Json<CreditGrantCreate>,
) -> Result<impl IntoResponse, Problem> {
    let wanted = body.value;
    let holder = match (wanted.project_id, wanted.organization_id) {
        (Some(id), None) => CreditHolder::Project(id),
        (None, Some(id)) => CreditHolder::Organization(id),
        (Some(_), Some(_)) | (None, None) => {
            return Err(invalid("Say whose they are: a project_id, or an organization_id for all of its projects."));
        }
    };
    if wanted.kind == CreditKind::Refill {
        return Err(invalid("Refills come with a plan; grant paid, bonus or trial credits."));
    }
    let now = app.now();
    let starts_at = wanted.starts_at.unwrap_or(now).max(now);
    if wanted.ends_at.is_some_and(|end| end <= starts_at) {
        return Err(invalid("ends_at is past, or before starts_at; leave it out for credits that don't end."));
    }
    let id = CreditGrantId::from_entropy(app.id()?);
    let change = Change::GrantCredits {
        id,
        holder,
        kind: wanted.kind,
        amount: credits(wanted.amount).map_err(|error| invalid(format!("amount: {error}.")))?,
        note: checked_text("note", wanted.note)?,
        starts_at,
        ends_at: wanted.ends_at,
    };
    let id = match app.create(&caller, body.hash, id.to_string(), change).await? {
        Made::Now => id,
        Made::Before(subject) => subject.parse().map_err(|_| not_found("credit grant"))?,
    };
    let grant = app.credit_grant(&caller, id).await?;
    Ok((StatusCode::CREATED, axum::Json(view(&app, grant).await?)))
}
