//! `/join`, `/password` and `/device`: the pages that invitations, links to a new password and devices lead to. A token stands behind
//! the `#`, so that it is in no log of anybody's. They ask the management API as everybody does.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};

use super::app::App;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/join", get(async || html(include_str!("join.html"))))
        .route("/join.js", get(async || script(include_str!("join.js"))))
        .route("/password", get(async || html(include_str!("password.html"))))
        .route("/device", get(async || html(include_str!("device.html"))))
        .route("/device.js", get(async || script(include_str!("device.js"))))
        .route("/password.js", get(async || script(include_str!("password.js"))))
}

fn html(text: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
    (headers, text).into_response()
}

fn script(text: &'static str) -> Response {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], text).into_response()
}
