//! Going over to another organization, of which somebody is a member, too.

use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::post;
use http::header::SET_COOKIE;
use http::{HeaderMap, Method};
use serde_json::json;

use super::visit::Visit;
use super::{Console, Shown};

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/switch", post(switch))
}

async fn switch(visit: Visit) -> Shown {
    let body = json!({"organization_id": visit.form.one("organization_id")});
    let answer = visit.send(Method::POST, "/v1/account/switch", Some(&body)).await?;
    let cookies: HeaderMap =
        answer.headers.get_all(SET_COOKIE).iter().map(|value| (SET_COOKIE, value.clone())).collect();
    Ok((cookies, visit.go("/")).into_response())
}
