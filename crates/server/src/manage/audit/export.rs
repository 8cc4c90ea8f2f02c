//! `GET /v1/audit/export`

use axum::extract::State;
use axum::response::Response;
use keystile_core::id::OrganizationId;
use keystile_store::records::{AuditPage, AuditQuery};
use keystile_store::{Catalog, StoreError};

use super::view::EntryView;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadAudit};
use crate::manage::extract::Query;
use crate::manage::ndjson::{self, PAGE, Pages};
use crate::manage::problem::invalid;
use crate::problem::Problem;

asked! {
    /// Which entries.
    struct Asked {
        /// Only those after this place in the chain: the `sequence` of the last one that you have.
        after: Option<u64>,
    }
}

/// All entries that fit, the oldest first; NDJSON, an entry a line. An answer that breaks off is not all of them: go on with
/// `after`.
#[utoipa::path(get, operation_id = "exportAudit", path = "/v1/audit/export", tag = "Audit", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = EntryView, content_type = "application/x-ndjson"), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn export(
    caller: Caller<ReadAudit>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    caller.proven()?;
    let after = asked.after.unwrap_or(0);
    if i64::try_from(after).is_err() {
        return Err(invalid("after is the sequence of an entry; no entry has one as high as that."));
    }
    let (organization, query) = (caller.organization, asked.query()?);
    ndjson::all(Entries { catalog: app.catalog, organization, query, after }).await
}

/// What is still to be sent.
struct Entries {
    catalog: Catalog,
    organization: OrganizationId,
    query: AuditQuery,
    after: u64,
}

impl Pages for Entries {
    type Row = EntryView;

    async fn next(&mut self) -> Result<Vec<EntryView>, StoreError> {
        let page = AuditPage::After(self.after);
        let entries = self.catalog.audit_entries(self.organization, &self.query, page, PAGE).await?;
        self.after = entries.last().map_or(self.after, |last| last.sequence);
        let installation = self.catalog.installation();
        Ok(entries.into_iter().map(|entry| EntryView::of(&installation, entry)).collect())
    }
}
