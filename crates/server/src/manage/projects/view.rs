//! A project as it is shown.

use keystile_core::id::{OrganizationId, PatternId, ProjectId};
use keystile_core::key::Environment;
use keystile_core::metadata::{Labels, Metadata};
use keystile_core::time::Timestamp;
use keystile_store::records::Project;
use serde::Serialize;
use utoipa::ToSchema;

/// A project.
#[derive(Serialize, ToSchema)]
#[schema(as = Project)]
pub(in crate::manage) struct ProjectView {
    /// Its id, `prj_…`.
    #[schema(value_type = String, example = "prj_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: ProjectId,
    /// Whose it is.
    #[schema(value_type = String)]
    organization_id: OrganizationId,
    /// Its name.
    name: String,
    /// What it does.
    description: String,
    /// Whom to ask about it.
    contact: String,
    /// `live` or `test`: where it and its keys live.
    #[schema(value_type = String, example = "live")]
    environment: Environment,
    /// `active`, or `suspended`: all its keys are refused.
    #[schema(value_type = String, example = "active")]
    state: &'static str,
    /// Since when it is suspended; `null` if it is not.
    #[schema(value_type = Option<String>, format = DateTime)]
    suspended_at: Option<Timestamp>,
    /// Why; empty if nothing was said.
    suspended_reason: String,
    /// How many keys it may have that are not revoked; `null` for as many as the server lets a project have.
    max_keys: Option<u32>,
    /// The ids of the patterns that all its calls must pass.
    #[schema(value_type = Vec<String>)]
    patterns: Vec<PatternId>,
    /// Words that it is found by.
    #[schema(value_type = Vec<String>)]
    labels: Labels,
    /// An object that its owner's programs understand.
    #[schema(value_type = Object)]
    metadata: Metadata,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Project> for ProjectView {
    fn from(project: Project) -> Self {
        Self {
            id: project.id,
            organization_id: project.organization,
            name: project.name,
            description: project.description,
            contact: project.contact,
            environment: project.environment,
            state: if project.suspension.is_some() { "suspended" } else { "active" },
            suspended_at: project.suspension.as_ref().map(|own| own.since),
            suspended_reason: project.suspension.map(|own| own.reason).unwrap_or_default(),
            max_keys: project.max_keys,
            patterns: project.patterns,
            labels: project.labels,
            metadata: project.metadata,
            created_at: project.created_at,
            updated_at: project.updated_at,
        }
    }
}
