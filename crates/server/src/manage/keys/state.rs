//! `POST /v1/keys/{id}/revoke`, `/disable` and `/enable`. Each is in force when it is answered.

use axum::extract::State;
use keystile_core::id::KeyId;
use keystile_core::key::{KeyState, StateError};
use keystile_core::time::Timestamp;
use keystile_store::Change;
use keystile_store::records::Key;

use super::policy::checked;
use super::view::KeyView;
use crate::manage::app::{App, stale};
use crate::manage::caller::{Asker, Caller, WriteKeys};
use crate::manage::extract::{Id, Json, Nothing};
use crate::manage::problem::conflict;
use crate::manage::reason::{Reason, reason};
use crate::problem::Problem;

/// End a key for good. A reason is kept in the audit log.
#[utoipa::path(post, operation_id = "revokeKey", path = "/v1/keys/{id}/revoke", tag = "Keys", params(("id" = String, Path)),
    request_body = Reason, security(("management_key" = [])),
    responses((status = 200, body = KeyView), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn revoke(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
    body: Option<Json<Reason>>,
) -> Result<axum::Json<KeyView>, Problem> {
    change(&caller, &app, id, ("revoke", reason(body)?), |state, now| Ok(state.revoke(now))).await
}

/// Switch a key off. A reason is kept in the audit log.
#[utoipa::path(post, operation_id = "disableKey", path = "/v1/keys/{id}/disable", tag = "Keys", params(("id" = String, Path)),
    request_body = Reason, security(("management_key" = [])),
    responses((status = 200, body = KeyView), (status = 400), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn disable(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
    body: Option<Json<Reason>>,
) -> Result<axum::Json<KeyView>, Problem> {
    change(&caller, &app, id, ("disable", reason(body)?), KeyState::disable).await
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
    enabled(&caller, &app, id).await
}

/// Refuses to bring back into force what its maker could not have been given: to end a key needs no more than the right to.
pub(super) fn may_bring_back(asker: &Asker, key: &Key) -> Result<(), Problem> {
    checked(asker, key.kind, key.policy.clone(), key.expires_at).map(drop)
}

/// Switches a key on again.
pub(super) async fn enabled(asker: &Asker, app: &App, id: KeyId) -> Result<axum::Json<KeyView>, Problem> {
    may_bring_back(asker, &app.key(asker, id).await?)?;
    change(asker, app, id, ("enable", String::new()), |state, _| state.enable()).await
}

/// How often a change is tried anew that somebody else's came before.
const TRIES: u32 = 4;

/// Puts a key into another state.
pub(super) async fn change(
    asker: &Asker,
    app: &App,
    id: KeyId,
    (action, reason): (&'static str, String),
    next: impl Fn(KeyState, Timestamp) -> Result<KeyState, StateError>,
) -> Result<axum::Json<KeyView>, Problem> {
    let mut tries = 0;
    loop {
        let key = app.key(asker, id).await?;
        let state = next(key.state, app.now()).map_err(|error| conflict(format!("{error}.")))?;
        tries += 1;
        match app
            .apply_unless_stale(
                asker,
                Change::KeyState { id, was: key.revision, state, action, reason: reason.clone() },
            )
            .await?
        {
            // What was changed meanwhile is no reason not to end a key.
            false if tries < TRIES => {}
            false => return Err(stale()),
            true => return Ok(axum::Json(KeyView::from(app.key(asker, id).await?))),
        }
    }
}
