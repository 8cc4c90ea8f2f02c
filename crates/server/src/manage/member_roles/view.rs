//! A role of members as it is shown.

use keystile_core::id::MemberRoleId;
use keystile_core::member::MemberRoleName;
use keystile_core::permission::Permission;
use keystile_core::time::Timestamp;
use keystile_store::records::CustomRole;
use serde::Serialize;
use utoipa::ToSchema;

/// A role that an organization made for its members.
#[derive(Serialize, ToSchema)]
#[schema(as = MemberRole)]
pub(super) struct MemberRoleView {
    /// Its id, `mrl_…`.
    #[schema(value_type = String, example = "mrl_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: MemberRoleId,
    /// Its name.
    #[schema(value_type = String, example = "night-shift")]
    name: MemberRoleName,
    /// What it is for.
    description: String,
    /// What members that have it may do at this API.
    #[schema(value_type = Vec<String>)]
    permissions: Vec<Permission>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<CustomRole> for MemberRoleView {
    fn from(role: CustomRole) -> Self {
        Self {
            id: role.id,
            name: role.name,
            description: role.description,
            permissions: role.permissions,
            created_at: role.created_at,
            updated_at: role.updated_at,
        }
    }
}
