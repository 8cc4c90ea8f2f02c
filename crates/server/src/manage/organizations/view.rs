//! An organization as it is shown.

use keystile_core::id::OrganizationId;
use keystile_core::member::OrganizationKind;
use keystile_core::time::Timestamp;
use keystile_store::records::Organization;
use serde::Serialize;
use utoipa::ToSchema;

/// A tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = Organization)]
pub(super) struct OrganizationView {
    /// Its id, `org_…`.
    #[schema(value_type = String, example = "org_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: OrganizationId,
    /// Its name.
    name: String,
    /// What it is there for: `owner` publishes APIs, `consumer` has projects that call those of others.
    #[schema(value_type = String, example = "consumer")]
    kind: OrganizationKind,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Organization> for OrganizationView {
    fn from(one: Organization) -> Self {
        Self { id: one.id, name: one.name, kind: one.kind, created_at: one.created_at, updated_at: one.updated_at }
    }
}
