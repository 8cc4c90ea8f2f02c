//! `POST /v1/keys/{id}/reveal`: the text of a key once more, where its owner chose that it can be had back.

use axum::extract::State;
use keystile_core::id::KeyId;
use keystile_store::Change;
use serde::Serialize;
use utoipa::ToSchema;

use super::rules::rules_of;
use crate::manage::app::App;
use crate::manage::caller::{Caller, RevealKeys};
use crate::manage::extract::{Id, Nothing};
use crate::manage::problem::{conflict, internal};
use crate::problem::Problem;

/// The text of a key.
#[derive(Serialize, ToSchema)]
#[schema(as = RevealedKey)]
pub(super) struct RevealedView {
    /// The key.
    #[schema(value_type = String)]
    id: KeyId,
    /// The version whose text it is: the latest.
    version: u16,
    /// The text.
    key: String,
}

/// Show the text of a key that was made with `recoverable`. That it was shown, to whom and when, is written down before the
/// answer, and webhooks are told of it as `key.reveal`.
#[utoipa::path(post, operation_id = "revealKey", path = "/v1/keys/{id}/reveal", tag = "Keys", params(("id" = String, Path)),
    security(("management_key" = [])),
    responses((status = 200, body = RevealedView), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn reveal(
    caller: Caller<RevealKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
    _: Nothing,
) -> Result<axum::Json<RevealedView>, Problem> {
    caller.refuse_dry_run()?;
    let key = app.key(&caller, id).await?;
    if key.recoverable && !rules_of(&app, caller.organization, key.project).await?.recoverable {
        return Err(conflict(
            "Texts of keys are had back only where the key's project may call an API now, and each that it may call allows \
             it (recoverable_keys).",
        ));
    }
    app.apply(&caller, Change::RevealKey { id, version: key.version }).await?;
    let kept = app.catalog.key_text(caller.organization, id).await.map_err(|error| internal(&error))?;
    // Between the two it was rotated or revoked; then nothing is shown of which the audit says nothing.
    let kept = kept.filter(|(version, _)| *version == key.version);
    let (version, text) = kept.ok_or_else(|| conflict("The key was changed meanwhile; read it again."))?;
    let text = String::from_utf8(text.to_vec()).map_err(|error| internal(&error))?;
    Ok(axum::Json(RevealedView { id, version, key: text }))
}
