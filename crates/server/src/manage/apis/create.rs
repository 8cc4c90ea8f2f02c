//! `POST /v1/apis`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use keystile_core::id::ApiId;
use keystile_store::Change;

use super::operations::check_permissions;
use super::settings::{ApiInput, Said};
use super::view::ApiView;
use crate::manage::app::{App, Made};
use crate::manage::caller::{Caller, WriteApis};
use crate::manage::extract::{Fields, Json};
use crate::manage::problem::{invalid, not_found};
use crate::problem::Problem;

/// Publish an API.
#[utoipa::path(post, operation_id = "createApi", path = "/v1/apis", tag = "APIs", request_body = ApiInput, security(("management_key" = [])),
    responses((status = 201, body = ApiView), (status = 400), (status = 401), (status = 403), (status = 409)))]
pub(super) async fn create(
    caller: Caller<WriteApis>,
    State(app): State<App>,
    body: Json<Fields>,
) -> Result<impl IntoResponse, Problem> {
    let said = Said::read(body.value.0, None)?;
    let name = said.name.ok_or_else(|| invalid("name is missing; say how the API is called."))?;
    check_permissions(&app, None, &said.settings, said.document.as_ref()).await?;
    let id = ApiId::from_entropy(app.id()?);
    let change = Change::CreateApi { id, name, settings: said.settings, document: said.document.flatten() };
    let id = match app.create(&caller, body.hash, id.to_string(), change).await? {
        Made::Now => id,
        Made::Before(subject) => subject.parse().map_err(|_| not_found("API"))?,
    };
    let view = ApiView::from(app.api(&caller, id).await?);
    Ok((StatusCode::CREATED, axum::Json(view)))
}
