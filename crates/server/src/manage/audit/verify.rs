//! `GET /v1/audit/verify`: whether anything of the audit was altered or taken out.

use axum::extract::State;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadAudit};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// Who walks it.
static WALK: Mutex<()> = Mutex::const_new(());

/// What was found of the audit of the whole installation.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditVerdict)]
pub(super) struct VerdictView {
    /// Whether every entry is as it was written, none is missing, and the end is the one that was sealed.
    intact: bool,
    /// Entries when it began.
    entries: u64,
    /// The place of the first entry that was altered, moved or taken out; `null` if there is none.
    broken_at: Option<u64>,
}

/// Walk the chain of the audit: each entry's hash covers all before it, and the end is sealed under the root key. It reads all
/// entries, of which there may be millions.
#[utoipa::path(get, operation_id = "verifyAudit", path = "/v1/audit/verify", tag = "Audit", security(("management_key" = [])),
    responses((status = 200, body = VerdictView), (status = 401), (status = 403)))]
pub(super) async fn verify(
    _caller: Caller<ReadAudit>,
    State(app): State<App>,
) -> Result<axum::Json<VerdictView>, Problem> {
    // One walk at a time: each of them reads everything.
    let _turn = WALK.lock().await;
    let entries = app.catalog.history().await.map_err(|error| internal(&error))?.sequence;
    let broken_at = app.catalog.verify_audit().await.map_err(|error| internal(&error))?;
    Ok(axum::Json(VerdictView { intact: broken_at.is_none(), entries, broken_at }))
}
