//! `PATCH /v1/patterns/{id}`

use axum::extract::State;
use keystile_core::id::PatternId;
use keystile_core::pattern::{Conditions, PatternName};
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::filter;
use super::shape::ConditionsShape;
use super::view::PatternView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, WritePatterns};
use crate::manage::extract::{Id, Json, said};
use crate::manage::projects::checked_text;
use crate::problem::Problem;

/// What is to change of a pattern.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PatternUpdate {
    /// Its name. Keys and projects that have it keep it.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    name: Option<PatternName>,
    /// What it is for.
    #[serde(default, deserialize_with = "said")]
    description: Option<String>,
    /// Alternatives of which a call must meet one; the whole list.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<ConditionsShape>>)]
    allow: Option<Vec<Conditions>>,
    /// Alternatives of which a call must meet none; the whole list.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<ConditionsShape>>)]
    deny: Option<Vec<Conditions>>,
    /// Whether it is only tried out.
    #[serde(default, deserialize_with = "said")]
    shadow: Option<bool>,
}

/// Change a pattern. It holds for all keys and projects that have it from the next call on. Fields that are not said stay as
/// they are.
#[utoipa::path(patch, operation_id = "updatePattern", path = "/v1/patterns/{id}", tag = "Patterns", params(("id" = String, Path)),
    request_body = PatternUpdate, security(("management_key" = [])),
    responses((status = 200, body = PatternView), (status = 400), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn update(
    caller: Caller<WritePatterns>,
    State(app): State<App>,
    Id(id): Id<PatternId>,
    body: Json<PatternUpdate>,
) -> Result<axum::Json<PatternView>, Problem> {
    let pattern = app.pattern(&caller, id).await?;
    let wanted = body.value;
    let was = pattern.filter;
    let change = Change::UpdatePattern {
        id,
        was: pattern.revision,
        name: wanted.name.unwrap_or(pattern.name),
        description: wanted.description.map_or(Ok(pattern.description), |text| checked_text("description", text))?,
        filter: filter(
            wanted.allow.unwrap_or_else(|| was.allow().to_vec()),
            wanted.deny.unwrap_or_else(|| was.deny().to_vec()),
            wanted.shadow.unwrap_or(was.is_shadow()),
        )?,
    };
    app.apply(&caller, change).await?;
    Ok(axum::Json(PatternView::from(app.pattern(&caller, id).await?)))
}
