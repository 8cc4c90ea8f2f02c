//! `POST /v1/patterns`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keystile_core::id::PatternId;
use keystile_core::pattern::{Conditions, PatternName};
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::filter;
use super::shape::ConditionsShape;
use super::view::PatternView;
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, WritePatterns};
use crate::manage::extract::Json;
use crate::manage::problem::not_found;
use crate::manage::projects::checked_text;
use crate::problem::Problem;

/// A pattern to make: what it allows, what it denies, or both.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PatternCreate {
    /// Its name, a word that no other pattern of the organization has.
    #[schema(value_type = String, example = "office")]
    name: PatternName,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Alternatives of which a call must meet one; without any, all that is not denied is allowed.
    #[serde(default)]
    #[schema(value_type = Option<Vec<ConditionsShape>>)]
    allow: Vec<Conditions>,
    /// Alternatives of which a call must meet none.
    #[serde(default)]
    #[schema(value_type = Option<Vec<ConditionsShape>>)]
    deny: Vec<Conditions>,
    /// Whether it is only tried out: what it would refuse is told and counted, but let through.
    #[serde(default)]
    #[schema(required = false)]
    shadow: bool,
}

/// Make a pattern. Keys and projects have it by naming it in `patterns`; then each of their calls must pass it.
#[utoipa::path(post, operation_id = "createPattern", path = "/v1/patterns", tag = "Patterns", request_body = PatternCreate, security(("management_key" = [])),
    responses((status = 201, body = PatternView), (status = 400), (status = 401), (status = 403), (status = 409)))]
pub(super) async fn create(
    caller: Caller<WritePatterns>,
    State(app): State<App>,
    body: Json<PatternCreate>,
) -> Result<impl IntoResponse, Problem> {
    let wanted = body.value;
    let id = PatternId::from_entropy(app.id()?);
    let change = Change::CreatePattern {
        id,
        name: wanted.name,
        description: checked_text("description", wanted.description)?,
        filter: filter(wanted.allow, wanted.deny, wanted.shadow)?,
    };
    let id = match app.create(&caller, body.hash, id.to_string(), change).await? {
        Made::Now => id,
        Made::Before(subject) => subject.parse().map_err(|_| not_found("pattern"))?,
    };
    Ok((StatusCode::CREATED, axum::Json(PatternView::from(app.pattern(&caller, id).await?))))
}
