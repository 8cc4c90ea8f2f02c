//! API keys: the list, making one, its page, and what can be done to it.

mod act;
mod create;
mod list;
mod made;
mod permissions;
mod show;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Console;
use super::model::{List, Project};
use super::visit::Visit;

pub(in crate::console) use made::call_url;
pub(super) use status::status;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/keys", get(list::list).post(create::create))
        .route("/keys.csv", get(list::export))
        .route("/keys/new", get(create::form))
        .route("/keys/code", post(create::code))
        .route("/keys/{id}", get(show::show))
        .route("/keys/{id}/edit", get(act::edit_form).post(act::edit))
        .route("/keys/{id}/rotate", get(act::rotate_form).post(act::rotate))
        .route("/keys/{id}/disable", get(act::disable_form).post(act::disable))
        .route("/keys/{id}/enable", post(act::enable))
        .route("/keys/{id}/revoke", get(act::revoke_form).post(act::revoke))
        .route("/keys/{id}/versions/{version}/end", post(act::end_version))
}

/// The projects that a form offers: the newest ones.
pub(super) async fn projects(visit: &Visit) -> Vec<Project> {
    let list: List<Project> = visit.aside("/v1/projects?limit=200").await;
    list.items
}
