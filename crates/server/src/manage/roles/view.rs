//! A role as it is shown.

use keystile_core::id::RoleId;
use keystile_core::permission::Permission;
use keystile_core::role::RoleName;
use keystile_core::time::Timestamp;
use keystile_store::records::Role;
use serde::Serialize;
use utoipa::ToSchema;

/// A role.
#[derive(Serialize, ToSchema)]
#[schema(as = Role)]
pub(super) struct RoleView {
    /// Its id, `rol_…`.
    #[schema(value_type = String, example = "rol_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: RoleId,
    /// Its name.
    #[schema(value_type = String, example = "reader")]
    name: RoleName,
    /// What it is for.
    description: String,
    /// What keys that have it may do.
    #[schema(value_type = Vec<String>)]
    permissions: Vec<Permission>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Role> for RoleView {
    fn from(role: Role) -> Self {
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
