//! `PATCH /v1/apis/{id}`

use axum::extract::State;
use keystile_core::id::ApiId;
use keystile_store::Change;

use super::operations::check_permissions;
use super::settings::{ApiInput, Said};
use super::view::ApiView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, WriteApis};
use crate::manage::extract::{Fields, Id, Json};
use crate::problem::Problem;

/// Change an API. Fields that are not said stay as they are.
#[utoipa::path(patch, operation_id = "updateApi", path = "/v1/apis/{id}", tag = "APIs", params(("id" = String, Path)), request_body = ApiInput,
    security(("management_key" = [])),
    responses((status = 200, body = ApiView), (status = 400), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn update(
    caller: Caller<WriteApis>,
    State(app): State<App>,
    Id(id): Id<ApiId>,
    body: Json<Fields>,
) -> Result<axum::Json<ApiView>, Problem> {
    let api = app.api(&caller, id).await?;
    let said = Said::read(body.value.0, Some(&api.settings))?;
    check_permissions(&app, Some(&api), &said.settings, said.document.as_ref()).await?;
    let change = Change::UpdateApi {
        id,
        was: api.revision,
        name: said.name.unwrap_or(api.name),
        active: api.active,
        settings: said.settings,
        document: said.document,
    };
    app.apply(&caller, change).await?;
    Ok(axum::Json(ApiView::from(app.api(&caller, id).await?)))
}
