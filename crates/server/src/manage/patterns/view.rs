//! A pattern as it is shown.

use keystile_core::id::PatternId;
use keystile_core::pattern::{Conditions, PatternName};
use keystile_core::time::Timestamp;
use keystile_store::records::Pattern;
use serde::Serialize;
use utoipa::ToSchema;

use super::shape::ConditionsShape;

/// A pattern.
#[derive(Serialize, ToSchema)]
#[schema(as = Pattern)]
pub(super) struct PatternView {
    /// Its id, `pat_…`.
    #[schema(value_type = String, example = "pat_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: PatternId,
    /// Its name.
    #[schema(value_type = String, example = "office")]
    name: PatternName,
    /// What it is for.
    description: String,
    /// Alternatives of which a call must meet one; empty if all that is not denied is allowed.
    #[schema(value_type = Vec<ConditionsShape>)]
    allow: Vec<Conditions>,
    /// Alternatives of which a call must meet none.
    #[schema(value_type = Vec<ConditionsShape>)]
    deny: Vec<Conditions>,
    /// Whether it is only tried out.
    shadow: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Pattern> for PatternView {
    fn from(pattern: Pattern) -> Self {
        Self {
            id: pattern.id,
            name: pattern.name,
            description: pattern.description,
            allow: pattern.filter.allow().to_vec(),
            deny: pattern.filter.deny().to_vec(),
            shadow: pattern.filter.is_shadow(),
            created_at: pattern.created_at,
            updated_at: pattern.updated_at,
        }
    }
}
