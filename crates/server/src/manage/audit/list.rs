//! `GET /v1/audit`

use axum::extract::State;
use keystile_core::webhook::sequence_of;
use keystile_store::records::AuditPage;

use super::view::EntryView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadAudit};
use crate::manage::extract::Query;
use crate::manage::list::{List, limit};
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;

asked! {
    /// Which entries, and which page of them.
    struct Asked {
        /// Rows of the page, 1 to 200; 50 unless said otherwise.
        limit: Option<u32>,
        /// `next_cursor` of the page before.
        cursor: Option<String>,
    }
}

/// What was done, newest first.
#[utoipa::path(get, operation_id = "listAudit", path = "/v1/audit", tag = "Audit", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = List<EntryView>), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadAudit>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<EntryView>>, Problem> {
    let installation = app.catalog.installation();
    let shown = limit(asked.limit)?;
    // A cursor is the id of the last entry that was given: what comes meanwhile is newer.
    let before = asked.cursor.as_deref().map(|cursor| {
        let entry = cursor.parse().ok().and_then(|event| sequence_of(&installation, event));
        entry.ok_or_else(|| invalid("cursor is no next_cursor of this list; leave it out to begin anew."))
    });
    let page = AuditPage::Before(before.transpose()?);
    let found = app.catalog.audit_entries(caller.organization, &asked.query()?, page, shown + 1).await;
    let entries = found.map_err(|error| internal(&error))?;
    let more = entries.len() > shown as usize;
    let items: Vec<EntryView> =
        entries.into_iter().take(shown as usize).map(|entry| EntryView::of(&installation, entry)).collect();
    let next_cursor = items.last().filter(|_| more).map(|entry| entry.id.to_string());
    Ok(axum::Json(List { items, next_cursor }))
}
