//! The management API: `/v1/…` with a management key. One folder a resource, one file an endpoint (or a pair that
//! shares its shape). The OpenAPI document at `/openapi.json` is generated from these handlers.
//!
//! A handler names the right that it needs in the type of its [`Caller`], so no route is open by accident (Z-1), and
//! every read and change is made for the caller's organization (Z-5). Changes go through [`App::apply`], which answers
//! when they are in force.
//!
//! Not here: the page and health answers (`page`), decisions, SQL.

mod access;
mod account;
mod activations;
mod apis;
mod app;
mod asker;
mod audit;
mod authenticate;
mod caller;
mod condition;
mod credits;
mod describe;
mod devices;
mod encryption;
mod events;
mod extract;
mod hand_over;
mod invitations;
mod keys;
mod links;
mod list;
mod login;
mod member_roles;
mod members;
mod ndjson;
mod organizations;
mod page;
mod passkeys;
mod patterns;
mod plans;
mod privacy;
mod problem;
mod projects;
mod provider;
mod reason;
mod requests;
mod rights;
mod roles;
mod sessions;
mod statements;
mod statuses;
mod usage;
mod webhooks;
mod welcome;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

pub use app::App;
pub(crate) use audit::EntryView as AuditLine;
pub use caller::PeerAddress;
pub(crate) use ndjson::Pages;
pub use problem::Encrypted;
pub use rights::RIGHTS;
pub(crate) use usage::{EventView as UsageLine, Events as UsageLines, Names as UsageNames};

/// Largest body of an ordinary request.
const BODY_LIMIT_BYTES: usize = 1 << 20;

/// The management API over an installation, with its page, health and document.
pub fn router(app: App) -> Router {
    let (router, document) = routes().split_for_parts();
    let json = describe::finished(&document).to_string();
    router
        .route("/openapi.json", get(move || async move { page::json(json) }))
        .route("/page.css", get(page::style))
        .route("/hand-over", get(hand_over::page).post(hand_over::open))
        .route("/hand-over.js", get(hand_over::script))
        .merge(welcome::routes())
        .route(crate::identity::CALLBACK, get(provider::come_back))
        .route("/healthz", get(page::health))
        .route("/readyz", get(page::ready))
        .route("/metrics", get(page::metrics))
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(CatchPanicLayer::custom(problem::after_panic))
        .layer(axum::middleware::from_fn_with_state(app.clone(), problem::finish))
        .with_state(app)
}

/// The management API with pages before it: what they don't have is the API's. Their answers are finished as its own are.
pub fn with_pages(app: App, api: Router, pages: Router) -> Router {
    pages
        .layer(CatchPanicLayer::custom(problem::after_panic))
        .layer(axum::middleware::from_fn_with_state(app, problem::finish))
        .fallback_service(api)
}

/// The OpenAPI 3.1 document of the management API.
pub fn document() -> serde_json::Value {
    describe::finished(&routes().into_openapi())
}

fn routes() -> OpenApiRouter<App> {
    let document = crate::describe::begun(
        "Keystile management API",
        "Publish APIs, link projects to them, issue and revoke keys, read usage, be told of changes.",
        "A management key, or the token of a session, as `Authorization: Bearer TEXT`.",
    );
    OpenApiRouter::with_openapi(document)
        .merge(apis::routes())
        .merge(projects::routes())
        .merge(activations::routes())
        .merge(access::routes())
        .merge(keys::routes())
        .merge(roles::routes())
        .merge(patterns::routes())
        .merge(plans::routes())
        .merge(credits::routes())
        .merge(statements::routes())
        .merge(usage::routes())
        .merge(requests::routes())
        .merge(webhooks::routes())
        .merge(events::routes())
        .merge(audit::routes())
        .merge(encryption::routes())
        .merge(login::routes())
        .merge(links::routes())
        .merge(passkeys::routes())
        .merge(provider::routes())
        .merge(account::routes())
        .merge(devices::routes())
        .merge(members::routes())
        .merge(member_roles::routes())
        .merge(invitations::routes())
        .merge(sessions::routes())
        .merge(organizations::routes())
        .merge(privacy::routes())
}
