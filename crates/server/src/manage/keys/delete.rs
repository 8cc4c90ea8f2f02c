//! `DELETE /v1/keys/{id}` and `POST /v1/keys/{id}/undelete`

use axum::extract::State;
use http::StatusCode;
use keystile_core::id::KeyId;
use keystile_store::Change;

use super::state::may_bring_back;
use super::view::KeyView;
use crate::manage::app::{App, found};
use crate::manage::caller::{Asker, Caller, WriteKeys};
use crate::manage::extract::{Id, Nothing};
use crate::manage::problem::conflict;
use crate::problem::Problem;

/// Delete a key: it is refused as unknown from now on. It can be brought back for as long as the server's settings say.
#[utoipa::path(delete, operation_id = "deleteKey", path = "/v1/keys/{id}", tag = "Keys", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 204), (status = 401), (status = 404)))]
pub(super) async fn delete(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
) -> Result<StatusCode, Problem> {
    app.apply(&caller, Change::DeleteKey { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Bring a deleted key back as it was: a revoked one is still revoked.
#[utoipa::path(post, operation_id = "undeleteKey", path = "/v1/keys/{id}/undelete", tag = "Keys", params(("id" = String, Path)),
    security(("management_key" = [])),
    responses((status = 200, body = KeyView), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn undelete(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
    _: Nothing,
) -> Result<axum::Json<KeyView>, Problem> {
    Ok(axum::Json(brought_back(&caller, &app, id).await?))
}

/// Brings a deleted key back.
pub(super) async fn brought_back(asker: &Asker, app: &App, id: KeyId) -> Result<KeyView, Problem> {
    let key = found(app.catalog.deleted_key(asker.organization, id).await, "deleted key")?;
    if key.deleted_at.is_some_and(|at| at <= app.brought_back_after()) {
        return Err(conflict("The key was deleted too long ago to be brought back; create a new one."));
    }
    may_bring_back(asker, &key)?;
    app.apply(asker, Change::UndeleteKey { id }).await?;
    Ok(KeyView::from(app.key(asker, id).await?))
}
