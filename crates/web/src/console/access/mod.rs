//! Access requests: who asks for an API of ours, who has it by which plan, and the judging of it.

mod act;
mod approve;
mod credits;
mod limits;
mod list;
mod show;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::Deserialize;

use super::Console;
use super::plans::{Limit, Quota};
use super::visit::Visit;
use crate::api::Asked;
use crate::ui::form::segment;
use crate::ui::html::Badge;

pub(super) use show::standing;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/access", get(list::list))
        .route("/access.csv", get(list::export))
        .route("/access/{id}", get(show::show))
        .route("/access/{id}/approve", get(approve::form).post(approve::approve))
        .route("/access/{id}/code", post(approve::code))
        .route("/access/{id}/refuse", get(act::refuse_form).post(act::refuse))
        .route("/access/{id}/suspend", get(act::suspend_form).post(act::suspend))
        .route("/access/{id}/remove", get(act::remove_form).post(act::remove))
        .route("/access/{id}/plan", get(limits::plan_form).post(limits::plan))
        .route("/access/{id}/credits", get(credits::grant_form).post(credits::grant))
        .route("/access/{id}/credits/code", post(credits::code))
        .route("/access/{id}/credits/{grant}/revoke", get(credits::revoke_form).post(credits::revoke))
        .route("/access/{id}/ceilings", get(limits::ceilings_form).post(limits::ceilings))
}

/// A project and an API that it has to do with: what is told of both.
#[derive(Debug, Deserialize)]
pub(super) struct Access {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) project_id: String,
    pub(super) project_name: String,
    pub(super) project_organization_id: String,
    pub(super) project_organization_name: String,
    pub(super) project_suspended: bool,
    pub(super) environment: String,
    pub(super) api_id: String,
    pub(super) api_name: String,
    pub(super) api_organization_id: String,
    pub(super) active_keys: u64,
    pub(super) calls_30_days: u64,
    pub(super) last_used_at: Option<Timestamp>,
    pub(super) judged_by: Option<String>,
    pub(super) since: Timestamp,
}

/// The link itself: what was asked for, and what was granted.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Activation {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) project_id: String,
    pub(super) api_id: String,
    pub(super) note: String,
    pub(super) reason: String,
    pub(super) plan: Option<String>,
    pub(super) plan_id: Option<String>,
    pub(super) plan_since: Option<Timestamp>,
    pub(super) requested_plan_id: Option<String>,
    pub(super) requested_permissions: Option<Vec<String>>,
    pub(super) granted_permissions: Option<Vec<String>>,
    pub(super) ceilings: Vec<Quota>,
    pub(super) judged_by: Option<String>,
    pub(super) judged_at: Option<Timestamp>,
    pub(super) created_at: Timestamp,
}

/// How much of its quotas a project has used.
#[derive(Debug, Deserialize)]
pub(super) struct Quotas {
    credits: Option<u64>,
    quotas: Vec<Used>,
    rate_limits: Vec<Limit>,
}

/// How much of one.
#[derive(Debug, Deserialize)]
struct Used {
    name: String,
    of: String,
    used: u64,
    limit: u64,
    remaining: u64,
    period: String,
    counts: String,
    on_exhausted: String,
    ends_at: Timestamp,
}

impl Activation {
    fn is_granted(&self) -> bool {
        ["approved", "suspended"].contains(&self.state.as_str())
    }
}

async fn activation(visit: &Visit, id: &str) -> Asked<Activation> {
    visit.get(&format!("/v1/activations/{}", segment(id))).await
}

/// How a link stands, with the project as a whole.
pub(super) fn badge_of(line: &Access) -> Badge {
    badge(&line.state, line.project_suspended)
}

/// How a link stands.
pub(super) fn badge(state: &str, project_is_suspended: bool) -> Badge {
    match state {
        "requested" => Badge::new("warn", "Waiting"),
        "approved" if project_is_suspended => Badge::new("bad", "Project suspended"),
        "approved" => Badge::new("ok", "Approved"),
        "suspended" => Badge::new("bad", "Suspended"),
        "refused" => Badge::new("off", "Refused"),
        other => Badge::new("off", other),
    }
}

/// What was granted, in words; before that, what is asked for.
pub(super) fn permissions_text(link: &Activation) -> String {
    if link.is_granted() {
        listed(link.granted_permissions.as_deref())
    } else {
        listed(link.requested_permissions.as_deref())
    }
}

/// Permissions in words: `None` bounds nothing, an empty list is none of them.
fn listed(permissions: Option<&[String]>) -> String {
    match permissions {
        None => "Whatever each of its keys may".into(),
        Some([]) => "None".into(),
        Some(list) => list.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bound_and_no_permission_are_told_apart() {
        assert_eq!(listed(None), "Whatever each of its keys may");
        assert_eq!(listed(Some(&[])), "None");
        assert_eq!(listed(Some(&["a.read".into(), "b".into()])), "a.read, b");
    }

    #[test]
    fn a_suspended_project_does_not_look_approved() {
        assert_eq!(badge("approved", true).tone, "bad");
        assert_eq!(badge("approved", false), Badge::new("ok", "Approved"));
        assert_eq!(badge("requested", true), Badge::new("warn", "Waiting"));
    }
}
