//! One's own sessions: `POST /v1/logout`, `POST /v1/account/switch`, `/v1/account/sessions`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use keystile_core::id::{OrganizationId, SessionId};
use keystile_core::key::TokenKind;
use keystile_store::Change;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::manage::app::App;
use crate::manage::authenticate::no_cookie;
use crate::manage::caller::{Anybody, Caller};
use crate::manage::extract::{Id, Json, Nothing, Query};
use crate::manage::list::{List, list as shown, page};
use crate::manage::login::{Delivery, delivered};
use crate::manage::problem::{internal, not_found};
use crate::manage::sessions::view::{Paged, SessionView};
use crate::problem::Problem;

/// End this session.
#[utoipa::path(post, operation_id = "logout", path = "/v1/logout", tag = "Accounts", security(("management_key" = [])),
    responses((status = 204), (status = 401), (status = 403)))]
pub(super) async fn logout(caller: Caller<Anybody>, State(app): State<App>, _: Nothing) -> Result<Response, Problem> {
    caller.refuse_conditions()?;
    let person = caller.person()?;
    app.apply(&caller, Change::EndSession { id: person.id() }).await?;
    let cookie = if person.in_cookie { no_cookie() } else { HeaderMap::new() };
    Ok((StatusCode::NO_CONTENT, cookie).into_response())
}

/// Where to work.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Switch {
    /// An organization that you are a member of.
    #[schema(value_type = String)]
    organization_id: OrganizationId,
}

/// A session that went on elsewhere.
#[derive(Serialize, ToSchema)]
#[schema(as = Switched)]
pub(super) struct SwitchedView {
    /// Where it is.
    #[schema(value_type = String)]
    organization_id: OrganizationId,
    /// The session's token from now on, if it is not in a cookie. It is shown this one time; the one before is no longer good.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Go on in another organization that you are a member of. The session gets another token.
#[utoipa::path(post, operation_id = "switchOrganization", path = "/v1/account/switch", tag = "Accounts", request_body = Switch,
    security(("management_key" = [])),
    responses((status = 200, body = SwitchedView), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn switch(
    caller: Caller<Anybody>,
    State(app): State<App>,
    body: Json<Switch>,
) -> Result<Response, Problem> {
    caller.refuse_conditions()?;
    let person = caller.person()?;
    let organization = body.value.organization_id;
    let token = app.identity.token(TokenKind::Session).map_err(|error| internal(&error))?;
    let change = Change::MoveSession { id: person.id(), organization, lookup: token.lookup };
    app.apply(&caller, change).await.map_err(|problem| match problem.status {
        404 => {
            not_found("organization").because("You are a member of no such organization; GET /v1/whoami lists yours.")
        }
        _ => problem,
    })?;
    let deliver = if person.in_cookie { Delivery::Cookie } else { Delivery::Token };
    let (token, cookie) = delivered(&token, deliver);
    let view = SwitchedView { organization_id: organization, token };
    Ok((cookie, axum::Json(view)).into_response())
}

/// Your sessions, wherever they are.
#[utoipa::path(get, operation_id = "listOwnSessions", path = "/v1/account/sessions", tag = "Accounts", params(Paged),
    security(("management_key" = [])), responses((status = 200, body = List<SessionView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<Anybody>,
    State(app): State<App>,
    Query(asked): Query<Paged>,
) -> Result<axum::Json<List<SessionView>>, Problem> {
    let person = caller.person()?;
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let rows = app.catalog.sessions_of(person.account(), (&app.identity.limits, app.now()), page).await;
    let rows = rows.map_err(|error| internal(&error))?;
    let view = |session| SessionView::of(session, &app.identity.limits, Some(person.id()));
    Ok(axum::Json(shown(rows, page, |session| session.number, view)))
}

/// End one of your sessions.
#[utoipa::path(delete, operation_id = "endOwnSession", path = "/v1/account/sessions/{id}", tag = "Accounts",
    params(("id" = String, Path)), security(("management_key" = [])),
    responses((status = 204), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn end(
    caller: Caller<Anybody>,
    State(app): State<App>,
    Id(id): Id<SessionId>,
) -> Result<StatusCode, Problem> {
    let account = caller.person()?.account();
    app.apply(&caller, Change::EndOwnSession { id, account }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End all your sessions but this one.
#[utoipa::path(post, operation_id = "endOtherSessions", path = "/v1/account/sessions/end_others", tag = "Accounts",
    security(("management_key" = [])), responses((status = 204), (status = 401), (status = 403)))]
pub(super) async fn end_others(
    caller: Caller<Anybody>,
    State(app): State<App>,
    _: Nothing,
) -> Result<StatusCode, Problem> {
    let person = caller.person()?;
    app.apply(&caller, Change::EndSessions { account: person.account(), except: Some(person.id()) }).await?;
    Ok(StatusCode::NO_CONTENT)
}
