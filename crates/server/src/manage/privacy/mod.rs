//! `/v1/privacy`: all that is kept about a consumer, exported and erased (K43). A project stands for an application and whoever runs it, a member
//! for a person, an end user for whoever uses an application.

mod end_user;
mod member;
mod own;
mod project;

use keystile_core::id::{AccountId, OrganizationId};
use keystile_store::records::{AuditPage, AuditQuery};
use keystile_store::{Catalog, StoreError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::audit::EntryView;
use super::caller::Asker;
use super::ndjson::PAGE;
use super::problem::{invalid, overloaded};
use crate::problem::{Problem, causes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(project::export, project::erase))
        .routes(routes!(member::export, member::erase))
        .routes(routes!(end_user::export, end_user::erase))
        .routes(routes!(own::export))
}

/// Refuses to try what is for ever: what would go, the export shows.
fn refuse_trial(asker: &Asker) -> Result<(), Problem> {
    if asker.conditions.dry_run || asker.conditions.expected.is_some() {
        return Err(invalid(
            "An erasure can't be tried, nor be made dependent on a state. What it would take the export shows, by GET at the same path; \
             without these it is done for ever.",
        ));
    }
    Ok(())
}

/// Sees to it that what was erased is in no file of the store, before that is said.
async fn wiped(app: &App) -> Result<(), Problem> {
    app.catalog.wipe().await.map_err(|error| {
        tracing::warn!(cause = causes(&error), "what was erased is in the files of the store until nobody reads for a long time");
        overloaded("It is erased, and still in the files of the store while a backup or a check reads them; send it again later.")
    })
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

/// All entries about somebody: what they did, and what was noted of them.
async fn entries_about(catalog: &Catalog, of: OrganizationId, who: AccountId) -> Result<Vec<EntryView>, StoreError> {
    let mut all = entries(catalog, of, &AuditQuery { actor: Some(who.to_string()), ..AuditQuery::default() }).await?;
    all.extend(entries(catalog, of, &AuditQuery { subject: Some(who.to_string()), ..AuditQuery::default() }).await?);
    Ok(all)
}
