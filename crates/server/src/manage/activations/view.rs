//! An activation as it is shown.

use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, ApiId, PlanId, ProjectId};
use keystile_core::permission::Permission;
use keystile_core::plan::{PlanName, Quota};
use keystile_core::time::Timestamp;
use keystile_store::records::Activation;
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::plans::view::QuotaShape;

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
    /// Why it was last judged so; empty if nothing was said.
    reason: String,
    /// What was asked for; `null` for whatever each key of the project may do.
    #[schema(value_type = Option<Vec<String>>)]
    requested_permissions: Option<Vec<Permission>>,
    /// What it was asked for, in the words of the project's people.
    note: String,
    /// What was granted: keys of the project may do at this API what both they and this allow. `null` bounds nothing.
    #[schema(value_type = Option<Vec<String>>)]
    granted_permissions: Option<Vec<Permission>>,
    /// The plan that was granted; `null` if it is limited by none.
    #[schema(value_type = Option<String>)]
    plan_id: Option<PlanId>,
    /// Its name.
    #[schema(value_type = Option<String>, example = "Free")]
    plan: Option<PlanName>,
    /// Since when the project has it: its billing periods begin on this day of the month.
    #[schema(value_type = Option<String>, format = DateTime)]
    plan_since: Option<Timestamp>,
    /// The plan that was asked for.
    #[schema(value_type = Option<String>)]
    requested_plan_id: Option<PlanId>,
    /// What the project's own people allow it at most, besides the plan.
    #[schema(value_type = Vec<QuotaShape>)]
    ceilings: Vec<Quota>,
    /// Who judged it last: a management key, or `system:automatic` for the API's setting. `null` if nobody did yet.
    judged_by: Option<String>,
    /// When.
    #[schema(value_type = Option<String>, format = DateTime)]
    judged_at: Option<Timestamp>,
    /// When it was first asked for.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Activation> for ActivationView {
    fn from(activation: Activation) -> Self {
        Self {
            plan_id: activation.plan.as_ref().map(|own| own.plan),
            plan_since: activation.plan.as_ref().map(|own| own.since),
            plan: activation.plan.map(|own| own.name),
            requested_plan_id: activation.wish.plan,
            ceilings: activation.ceilings,
            id: activation.id,
            project_id: activation.project,
            api_id: activation.api,
            state: activation.state,
            reason: activation.reason,
            requested_permissions: activation.wish.permissions,
            note: activation.wish.note,
            granted_permissions: activation.granted,
            judged_at: activation.judged.as_ref().map(|judged| judged.at),
            judged_by: activation.judged.map(|judged| judged.by),
            created_at: activation.created_at,
            updated_at: activation.updated_at,
        }
    }
}
