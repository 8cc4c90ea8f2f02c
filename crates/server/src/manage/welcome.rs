//! `/join`, `/password`, `/enter`, `/device` and `/account`: the pages that invitations, links (to a new password, or in) and devices
//! lead to, and the one where browsers add passkeys. A token stands behind the `#`, so that it is in no log of anybody's. They ask the management API as
//! everybody does.

use axum::Router;
use axum::routing::get;

use super::app::App;
use super::page::{script, scripted};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/join", get(async || scripted(include_str!("join.html"))))
        .route("/join.js", get(async || script(include_str!("join.js"))))
        .route("/password", get(async || scripted(include_str!("password.html"))))
        .route("/server.js", get(async || script(include_str!("server.js"))))
        .route("/enter", get(async || scripted(include_str!("enter.html"))))
        .route("/enter.js", get(async || script(include_str!("enter.js"))))
        .route("/account", get(async || scripted(include_str!("account.html"))))
        .route("/account.js", get(async || script(include_str!("account.js"))))
        .route("/device", get(async || scripted(include_str!("device.html"))))
        .route("/device.js", get(async || script(include_str!("device.js"))))
        .route("/password.js", get(async || script(include_str!("password.js"))))
}
