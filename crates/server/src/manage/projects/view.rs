//! A project as it is shown.

use keystile_core::id::{OrganizationId, ProjectId};
use keystile_core::key::Environment;
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
            created_at: project.created_at,
            updated_at: project.updated_at,
        }
    }
}
