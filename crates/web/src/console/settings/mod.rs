//! Settings: what this server is, how it is, and the few things that are set here. Most is set where the server runs, by its file or
//! its variables, and is only told of.

mod encryption;
mod organization;
mod show;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Console;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/settings", get(show::show))
        .route("/settings/organization", get(organization::form).post(organization::rename))
        .route("/settings/organization/code", post(organization::code))
        .route("/settings/encryption/rotate", get(encryption::rotate_form).post(encryption::rotate))
        .route("/settings/encryption/pepper", get(encryption::pepper_form).post(encryption::pepper))
        .route("/settings/encryption/rewrap", post(encryption::rewrap))
}
