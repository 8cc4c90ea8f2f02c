//! `GET /v1/account/export`

use axum::extract::State;
use keystile_store::Change;
use keystile_store::records::Page;
use serde::Serialize;
use utoipa::ToSchema;

use super::entries_about;
use crate::manage::account::{IdentityView, PasskeyView, WhoAmIView, who};
use crate::manage::app::App;
use crate::manage::audit::EntryView;
use crate::manage::caller::{Anybody, Caller};
use crate::manage::problem::internal;
use crate::manage::sessions::view::SessionView;
use crate::problem::Problem;

/// More than there are of any of it.
const ALL: Page = Page { before: None, limit: 200 };

/// All that is kept about whoever asks.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountExport)]
pub(super) struct AccountExportView {
    /// The account, and what it is a member of.
    who: WhoAmIView,
    /// Its passkeys.
    passkeys: Vec<PasskeyView>,
    /// What it is known by at identity providers.
    identities: Vec<IdentityView>,
    /// Its sessions that last.
    sessions: Vec<SessionView>,
    /// What its holder did, and what was noted of it, in all organizations that it is a member of.
    audit_entries: Vec<EntryView>,
}

/// All that is kept about you. Prove first who you are.
#[utoipa::path(get, operation_id = "exportAccount", path = "/v1/account/export", tag = "Privacy", security(("management_key" = [])),
    responses((status = 200, body = AccountExportView), (status = 401), (status = 403)))]
pub(super) async fn export(
    caller: Caller<Anybody>,
    State(app): State<App>,
) -> Result<axum::Json<AccountExportView>, Problem> {
    let person = caller.person()?;
    caller.proven()?;
    let (account, limits) = (person.account(), &app.identity.limits);
    let change = Change::Note { action: "account.export", subject: account.to_string(), made: None };
    app.apply(&caller, change).await?;
    let kept = async {
        let mut audit_entries = Vec::new();
        for membership in app.catalog.memberships(account).await? {
            audit_entries.extend(entries_about(&app.catalog, membership.organization, account).await?);
        }
        let passkeys = app.catalog.passkeys(account, ALL).await?;
        let identities = app.catalog.identities(account, ALL).await?;
        let sessions = app.catalog.sessions_of(account, (limits, app.now()), ALL).await?;
        Ok::<_, keystile_store::StoreError>((passkeys, identities, sessions, audit_entries))
    };
    let (passkeys, identities, sessions, audit_entries) = kept.await.map_err(|error| internal(&error))?;
    let view = |session| SessionView::of(session, limits, Some(person.id()));
    Ok(axum::Json(AccountExportView {
        who: who(&app, &caller).await?,
        passkeys: passkeys.into_iter().map(Into::into).collect(),
        identities: identities.into_iter().map(Into::into).collect(),
        sessions: sessions.into_iter().map(view).collect(),
        audit_entries,
    }))
}
