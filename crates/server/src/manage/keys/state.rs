//! `POST /v1/keys/{id}/revoke`, `/disable` and `/enable`. Each is in force when it is answered.

use axum::extract::State;
use keystile_core::id::KeyId;
use keystile_core::key::{KeyState, StateError};
use keystile_core::time::Timestamp;
use keystile_store::Change;

use super::view::KeyView;
use crate::manage::app::App;
use crate::manage::caller::{Asker, Caller, WriteKeys};
use crate::manage::extract::{Id, Nothing};
use crate::manage::problem::conflict;
use crate::problem::Problem;

/// End a key for good.
#[utoipa::path(post, operation_id = "revokeKey", path = "/v1/keys/{id}/revoke", tag = "Keys", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = KeyView), (status = 401), (status = 404)))]
pub(super) async fn revoke(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
    _: Nothing,
) -> Result<axum::Json<KeyView>, Problem> {
    change(&caller, &app, id, "revoke", |state, now| Ok(state.revoke(now))).await
}

/// Switch a key off.
#[utoipa::path(post, operation_id = "disableKey", path = "/v1/keys/{id}/disable", tag = "Keys", params(("id" = String, Path)),
    security(("management_key" = [])),
    responses((status = 200, body = KeyView), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn disable(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
    _: Nothing,
) -> Result<axum::Json<KeyView>, Problem> {
    change(&caller, &app, id, "disable", KeyState::disable).await
}

/// Switch a key on again.
#[utoipa::path(post, operation_id = "enableKey", path = "/v1/keys/{id}/enable", tag = "Keys", params(("id" = String, Path)),
    security(("management_key" = [])),
    responses((status = 200, body = KeyView), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn enable(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
    _: Nothing,
) -> Result<axum::Json<KeyView>, Problem> {
    change(&caller, &app, id, "enable", |state, _| state.enable()).await
}

/// Puts a key into another state.
pub(super) async fn change(
    asker: &Asker,
    app: &App,
    id: KeyId,
    action: &'static str,
    next: impl FnOnce(KeyState, Timestamp) -> Result<KeyState, StateError>,
) -> Result<axum::Json<KeyView>, Problem> {
    let key = app.key(asker, id).await?;
    let state = next(key.state, app.now()).map_err(|error| conflict(format!("{error}.")))?;
    app.apply(asker, Change::KeyState { id, was: key.revision, state, action }).await?;
    Ok(axum::Json(KeyView::from(app.key(asker, id).await?)))
}
