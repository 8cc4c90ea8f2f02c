//! Why something is done, for those to read whom it concerns.

use serde::Deserialize;
use utoipa::ToSchema;

use super::extract::Json;
use super::problem::invalid;
use crate::problem::Problem;

/// Longest reason.
const MAX_REASON_CHARS: usize = 500;

/// Why.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    /// What the project's people are told.
    #[serde(default)]
    reason: String,
}

/// The reason of a request that may say one.
pub(super) fn reason(body: Option<Json<Reason>>) -> Result<String, Problem> {
    checked(body.map(|body| body.value.reason).unwrap_or_default())
}

/// One line.
pub(super) fn checked(reason: String) -> Result<String, Problem> {
    if reason.chars().count() > MAX_REASON_CHARS || reason.chars().any(char::is_control) {
        return Err(invalid(format!("reason is one line of at most {MAX_REASON_CHARS} characters.")));
    }
    Ok(reason)
}
