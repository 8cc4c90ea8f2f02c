//! `POST /v1/organizations`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keystile_core::id::OrganizationId;
use keystile_core::member::OrganizationKind;
use keystile_store::Change;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::OrganizationView;
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, WriteOrganizations};
use crate::manage::extract::Json;
use crate::manage::problem::not_found;
use crate::manage::projects::checked_name;
use crate::problem::Problem;

/// An organization to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrganizationCreate {
    /// Its name.
    #[schema(example = "Weather Apps Ltd")]
    name: String,
    /// What it is there for: `consumer` unless something else is said.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "consumer")]
    kind: Option<OrganizationKind>,
}

/// Make an organization. Invite its first member then, with `organization_id`. Only the organization that runs the installation can.
#[utoipa::path(post, operation_id = "createOrganization", path = "/v1/organizations", tag = "Organizations",
    request_body = OrganizationCreate, security(("management_key" = [])),
    responses((status = 201, body = OrganizationView), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn create(
    caller: Caller<WriteOrganizations>,
    State(app): State<App>,
    body: Json<OrganizationCreate>,
) -> Result<impl IntoResponse, Problem> {
    caller.runs_the_installation()?;
    let id = OrganizationId::from_entropy(app.id()?);
    let kind = body.value.kind.unwrap_or(OrganizationKind::Consumer);
    let change = Change::CreateOrganization { id, name: checked_name(body.value.name)?, kind };
    let id = match app.create(&caller, body.hash, id.to_string(), change).await? {
        Made::Now => id,
        Made::Before(subject) => subject.parse().map_err(|_| not_found("organization"))?,
    };
    Ok((StatusCode::CREATED, axum::Json(OrganizationView::from(app.organization(&caller, id).await?))))
}
