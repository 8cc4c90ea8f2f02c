//! `/portal`: the place of the developer portal's settings.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::routing::get;

use super::shell::Place;
use super::visit::Visit;
use super::{Console, Shown};

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/portal", get(show))
}

/// The page.
#[derive(Template)]
#[template(path = "console/portal.html")]
struct Portal {
    may_invite: bool,
}

async fn show(visit: Visit) -> Shown {
    Ok(visit.page(Place::Portal, "Developer portal", &Portal { may_invite: visit.may("organizations.write") }))
}
