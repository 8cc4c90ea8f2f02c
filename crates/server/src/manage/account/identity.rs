//! What one is known by at the identity provider: `/v1/account/identities`, `/v1/account/prove/provider/begin`. Whoever changes it proved
//! just now who they are.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use keystile_core::id::IdentityId;
use keystile_core::time::Timestamp;
use keystile_store::Change;
use keystile_store::records::Identity;
use serde::Serialize;
use utoipa::ToSchema;

use crate::identity::Errand;
use crate::manage::app::App;
use crate::manage::caller::{Anybody, Caller};
use crate::manage::extract::{Id, Json, Nothing, Query};
use crate::manage::list::{List, list as shown, page};
use crate::manage::problem::internal;
use crate::manage::provider::{DepartureView, Page, ProviderLogin, depart};
use crate::manage::sessions::view::Paged;
use crate::problem::Problem;

/// What somebody is known by at an identity provider.
#[derive(Serialize, ToSchema)]
#[schema(as = Identity)]
pub(in crate::manage) struct IdentityView {
    /// Its id, `idn_…`.
    #[schema(value_type = String, example = "idn_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: IdentityId,
    /// The provider.
    #[schema(example = "https://id.example.com")]
    issuer: String,
    /// Who you are there, as the provider says it.
    subject: String,
    /// When it was connected.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it last let you in; `null` if it never did.
    #[schema(value_type = Option<String>, format = DateTime)]
    used_at: Option<Timestamp>,
}

impl From<Identity> for IdentityView {
    fn from(identity: Identity) -> Self {
        let Identity { id, named, created_at, used_at, .. } = identity;
        Self { id, issuer: named.issuer, subject: named.subject, created_at, used_at }
    }
}

/// What you are known by at identity providers.
#[utoipa::path(get, operation_id = "listIdentities", path = "/v1/account/identities", tag = "Accounts", params(Paged),
    security(("management_key" = [])), responses((status = 200, body = List<IdentityView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<Anybody>,
    State(app): State<App>,
    Query(asked): Query<Paged>,
) -> Result<axum::Json<List<IdentityView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let rows = app.catalog.identities(caller.person()?.account(), page).await.map_err(|error| internal(&error))?;
    Ok(axum::Json(shown(rows, page, |identity| identity.number, IdentityView::from)))
}

/// Be known by it no longer. Other sessions end. Prove first who you are.
#[utoipa::path(delete, operation_id = "removeIdentity", path = "/v1/account/identities/{id}", tag = "Accounts",
    params(("id" = String, Path)), security(("management_key" = [])),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn remove(
    caller: Caller<Anybody>,
    State(app): State<App>,
    Id(id): Id<IdentityId>,
) -> Result<StatusCode, Problem> {
    caller.refuse_conditions()?;
    let person = caller.person()?;
    caller.proven()?;
    app.apply(
        &caller,
        Change::RemoveIdentity { id, account: person.account(), except: person.id(), ways: app.identity.ways() },
    )
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begin to connect your account with who you are at the identity provider. Prove first who you are.
#[utoipa::path(post, operation_id = "beginIdentity", path = "/v1/account/identities/begin", tag = "Accounts",
    security(("management_key" = [])),
    responses((status = 200, body = DepartureView), (status = 401), (status = 403), (status = 409)))]
pub(super) async fn connect(caller: Caller<Anybody>, State(app): State<App>, _: Nothing) -> Result<Response, Problem> {
    caller.refuse_conditions()?;
    let account = caller.person()?.account();
    caller.proven()?;
    depart(&app, Errand::Connect { account }, Page::Account).await
}

/// Begin to prove once more who you are, at the identity provider. The session goes on under another token, in the cookie.
#[utoipa::path(post, operation_id = "beginProviderProof", path = "/v1/account/prove/provider/begin", tag = "Accounts",
    request_body = ProviderLogin, security(("management_key" = [])),
    responses((status = 200, body = DepartureView), (status = 400), (status = 401), (status = 403), (status = 409)))]
pub(super) async fn prove(
    caller: Caller<Anybody>,
    State(app): State<App>,
    body: Json<ProviderLogin>,
) -> Result<Response, Problem> {
    caller.refuse_conditions()?;
    let session = caller.person()?.id();
    depart(&app, Errand::Prove { session }, body.value.page.unwrap_or_default()).await
}
