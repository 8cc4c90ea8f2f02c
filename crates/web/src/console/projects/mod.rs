//! Consumers: the projects whose keys call. The list, making one, its page, and what can be done to it. Projects of other
//! organizations that call our APIs are theirs to change: of those we see what they may call.

mod act;
mod form;
mod list;
mod show;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::Deserialize;

use super::Console;
use super::visit::Visit;
use crate::api::Asked;
use crate::ui::form::segment;
use crate::ui::html::Badge;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/projects", get(list::list).post(form::create))
        .route("/projects.csv", get(list::export))
        .route("/projects/new", get(form::new))
        .route("/projects/code", post(form::code))
        .route("/projects/{id}", get(show::show))
        .route("/projects/{id}/edit", get(form::edit).post(form::save))
        .route("/projects/{id}/access", post(act::link))
        .route("/projects/{id}/suspend", get(act::suspend_form).post(act::suspend))
        .route("/projects/{id}/resume", post(act::resume))
        .route("/projects/{id}/delete", get(act::delete_form).post(act::delete))
}

/// A project with all that its page shows.
#[derive(Debug, Clone, Deserialize)]
struct Project {
    id: String,
    name: String,
    description: String,
    environment: String,
    contact: String,
    labels: Vec<String>,
    max_keys: Option<u64>,
    patterns: Vec<String>,
    state: String,
    suspended_at: Option<Timestamp>,
    suspended_reason: String,
    created_at: Timestamp,
}

impl Project {
    fn is_suspended(&self) -> bool {
        self.state == "suspended"
    }

    fn badge(&self) -> Badge {
        if self.is_suspended() { Badge::new("bad", "Suspended") } else { Badge::new("ok", "Active") }
    }
}

async fn project(visit: &Visit, id: &str) -> Asked<Project> {
    visit.get(&format!("/v1/projects/{}", segment(id))).await
}
