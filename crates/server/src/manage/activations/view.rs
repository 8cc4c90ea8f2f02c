//! An activation as it is shown.

use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, ApiId, ProjectId};
use keystile_core::time::Timestamp;
use keystile_store::records::Activation;
use serde::Serialize;
use utoipa::ToSchema;

/// The link of a project to an API.
#[derive(Serialize, ToSchema)]
#[schema(as = Activation)]
pub(in crate::manage) struct ActivationView {
    /// Its id, `act_…`.
    #[schema(value_type = String, example = "act_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: ActivationId,
    /// The project.
    #[schema(value_type = String)]
    project_id: ProjectId,
    /// The API.
    #[schema(value_type = String)]
    api_id: ApiId,
    /// `requested`, `approved`, `suspended` or `refused`.
    #[schema(value_type = String, example = "approved")]
    state: ActivationState,
    /// Why it was suspended or refused; empty if nothing was said.
    reason: String,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Activation> for ActivationView {
    fn from(activation: Activation) -> Self {
        Self {
            id: activation.id,
            project_id: activation.project,
            api_id: activation.api,
            state: activation.state,
            reason: activation.reason,
            created_at: activation.created_at,
            updated_at: activation.updated_at,
        }
    }
}
