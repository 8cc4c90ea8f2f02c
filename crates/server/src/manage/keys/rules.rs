//! When a key ends: what was asked for, within what the APIs of its project say of their keys.

use keystile_core::api::{ApiSettings, KeyRules};
use keystile_core::decide::ActivationState;
use keystile_core::id::{OrganizationId, ProjectId};
use keystile_core::key::KeyKind;
use keystile_core::time::Timestamp;
use keystile_store::records::{ActivationFilter, Page};

use crate::manage::app::App;
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;

/// Longest life of a key that ends: a hundred years, beyond which "never" is meant.
const MAX_LIFE_SECS: i64 = 100 * 366 * 86_400;
/// APIs of a project that are asked: no project calls more of them.
const MAX_APIS: u32 = 1_000;

/// What the APIs that a project may call say of its keys.
pub(super) async fn rules_of(app: &App, organization: OrganizationId, project: ProjectId) -> Result<KeyRules, Problem> {
    let filter =
        ActivationFilter { project: Some(project), api: None, state: Some(ActivationState::Approved), ever: false };
    let page = Page { before: None, limit: MAX_APIS };
    let links = app.catalog.activations(organization, filter, page).await.map_err(|error| internal(&error))?;
    let mut apis: Vec<ApiSettings> = Vec::with_capacity(links.len());
    for link in links {
        let api = app.catalog.api(link.api_organization, link.api).await.map_err(|error| internal(&error))?;
        apis.extend(api.map(|api| api.settings));
    }
    Ok(KeyRules::of(&apis))
}

/// The end that a request says.
pub(super) struct End {
    /// `expires_at`
    pub(super) at: Option<Option<Timestamp>>,
    /// `expires_in_days`
    pub(super) in_days: Option<u32>,
}

impl End {
    /// The end that was said, checked against the rules; `None` if nothing was.
    pub(super) fn checked(
        self,
        rules: &KeyRules,
        kind: KeyKind,
        now: Timestamp,
    ) -> Result<Option<Option<Timestamp>>, Problem> {
        let end = match (self.at, self.in_days) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => return Err(invalid("Say expires_at or expires_in_days, not both.")),
            (Some(end), None) => end.map(|end| checked_end(end, now)).transpose()?,
            (None, Some(days)) => Some(end_in_days(days, now)?),
        };
        within(rules, kind, end, now)?;
        Ok(Some(end))
    }
}

/// Whether APIs have rules for keys of this kind: management keys and canaries call none.
pub(super) const fn is_ruled(kind: KeyKind) -> bool {
    matches!(kind, KeyKind::Secret | KeyKind::Publishable)
}

/// Refuses an end that is later than the rules allow.
pub(super) fn within(rules: &KeyRules, kind: KeyKind, end: Option<Timestamp>, now: Timestamp) -> Result<(), Problem> {
    let Some(days) = rules.max_days.filter(|_| is_ruled(kind) && !rules.allow(end, now)) else {
        return Ok(());
    };
    Err(invalid(format!(
        "A key of this project ends after {days} days at the latest (max_key_days of an API that it may call); say an earlier end."
    )))
}

/// A moment at which a key may end.
pub(super) fn checked_end(end: Timestamp, now: Timestamp) -> Result<Timestamp, Problem> {
    if end <= now {
        return Err(invalid("expires_at lies in the past; to end a key now, revoke it."));
    }
    if end > now.plus_secs(MAX_LIFE_SECS) {
        return Err(invalid("expires_at lies more than a hundred years ahead; for a key that never ends say null."));
    }
    Ok(end)
}

/// A key's end in so many days.
pub(super) fn end_in_days(days: u32, now: Timestamp) -> Result<Timestamp, Problem> {
    checked_end(now.plus_secs(i64::from(days) * 86_400), now)
}
