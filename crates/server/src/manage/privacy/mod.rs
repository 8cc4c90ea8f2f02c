//! `/v1/privacy`: all that is kept about a consumer, exported and erased (K43). A project stands for an application and whoever runs it, a member
//! for a person.

mod member;
mod own;
mod project;

use keystile_core::id::OrganizationId;
use keystile_store::records::{AuditPage, AuditQuery};
use keystile_store::{Catalog, StoreError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::audit::EntryView;
use super::ndjson::PAGE;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(project::export, project::erase))
        .routes(routes!(member::export, member::erase))
        .routes(routes!(own::export))
}

/// All entries of the audit that fit, the oldest first.
async fn entries(catalog: &Catalog, of: OrganizationId, asked: &AuditQuery) -> Result<Vec<EntryView>, StoreError> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let some = catalog.audit_entries(of, asked, AuditPage::After(after), PAGE).await?;
        let Some(last) = some.last() else { return Ok(all) };
        after = last.sequence;
        all.extend(some.into_iter().map(|entry| EntryView::of(&catalog.installation(), entry)));
    }
}
