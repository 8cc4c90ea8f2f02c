//! APIs: what is published, how it is documented, and what keys of it are like.

mod create;
mod list;
mod operations;
mod policy;
mod show;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Console;
use super::model::{Api, UsageItem};
use crate::ui::form::segment;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/apis", get(list::list).post(create::create))
        .route("/apis/new", get(create::form))
        .route("/apis/look", post(create::look))
        .route("/apis/{id}", get(show::show))
        .route("/apis/{id}/edit", get(create::edit_form).post(create::edit))
        .route("/apis/{id}/policy", post(policy::save))
        .route("/apis/{id}/disable", get(show::disable_form).post(show::disable))
        .route("/apis/{id}/enable", post(show::enable))
        .route("/apis/{id}/delete", get(show::delete_form).post(show::delete))
}

/// The path of an API at the management API.
fn at(id: &str) -> String {
    format!("/v1/apis/{}", segment(id))
}

/// Where calls of it begin, in words.
fn entrance(api: &Api) -> String {
    let hosts = if api.hosts.is_empty() { "any host".to_owned() } else { api.hosts.join(", ") };
    format!("{hosts}{}", api.path_prefix)
}

/// Calls by day, of rows by day: the last of `days` is today.
fn by_day<'a>(items: impl Iterator<Item = &'a UsageItem>, first_day: i64, days: usize) -> Vec<u64> {
    let mut counts = vec![0; days];
    for item in items {
        let Some(start) = item.start else { continue };
        let at = usize::try_from(start.as_second().div_euclid(86_400) - first_day).unwrap_or(usize::MAX);
        if let Some(count) = counts.get_mut(at) {
            *count += item.calls;
        }
    }
    counts
}
