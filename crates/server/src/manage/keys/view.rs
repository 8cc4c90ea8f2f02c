//! A key as it is shown: everything but its secret.

use std::collections::HashMap;

use keystile_core::id::{KeyId, PatternId, ProjectId, RoleId};
use keystile_core::key::{Environment, KeyKind, KeyState, Standing};
use keystile_core::limit::LimitRule;
use keystile_core::metadata::{Labels, Metadata};
use keystile_core::permission::Permission;
use keystile_core::restrict::Restrictions;
use keystile_core::time::Timestamp;
use keystile_store::Ledger;
use keystile_store::records::Key;
use serde::Serialize;
use utoipa::ToSchema;

use super::hand_over::{HandOverView, Shown};
use super::policy::{RateLimitShape, RestrictionsShape};
use crate::problem::causes;

/// A key.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
pub(in crate::manage) struct KeyView {
    /// Its id, `key_…`: safe to log and show.
    #[schema(value_type = String, example = "key_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: KeyId,
    /// Its project.
    #[schema(value_type = String)]
    project_id: ProjectId,
    /// Its name.
    name: String,
    /// `secret` (calls APIs), `publishable` (calls what is open to it), `management` (calls this API) or `canary` (calls
    /// nothing).
    #[schema(value_type = String, example = "secret")]
    kind: KeyKind,
    /// `live` or `test`, as its project.
    #[schema(value_type = String, example = "live")]
    environment: Environment,
    /// What may be shown of its text.
    #[schema(example = "ks_live_Ab3d••••9f3a")]
    hint: String,
    /// `active`, `disabled` or `revoked`.
    #[schema(value_type = String, example = "active")]
    state: Standing,
    /// Since when it is disabled or revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    state_since: Option<Timestamp>,
    /// Since when it is exposed: it was sent in an address, or in clear where TLS is required. Replace it. Of a canary: since
    /// when somebody uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    exposed_at: Option<Timestamp>,
    /// When it ends; `null` if it does not.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// What it may do by itself.
    #[schema(value_type = Vec<String>)]
    permissions: Vec<Permission>,
    /// The ids of its roles, whose permissions it has as well.
    #[schema(value_type = Vec<String>)]
    roles: Vec<RoleId>,
    /// The ids of the patterns that its calls must pass, besides those of its project.
    #[schema(value_type = Vec<String>)]
    patterns: Vec<PatternId>,
    /// Where and how it may be used.
    #[schema(value_type = RestrictionsShape)]
    restrictions: Restrictions,
    /// How often it may call.
    #[schema(value_type = Vec<RateLimitShape>)]
    rate_limits: Vec<LimitRule>,
    /// What it is found by.
    #[schema(value_type = Vec<String>)]
    labels: Labels,
    /// What your programs want to know of it.
    #[schema(value_type = Object)]
    metadata: Metadata,
    /// Whether its text can be had back.
    recoverable: bool,
    /// Its latest version, from 1: each rotation makes another.
    version: u16,
    /// When it was last rotated; absent if it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    rotated_at: Option<Timestamp>,
    /// When it was deleted; only in the list of deleted ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    deleted_at: Option<Timestamp>,
    /// When it was last sent with a call to an API, to the second; uses of the last minute may be missing. Only in lists and exports, absent
    /// if it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// Keys as lists show them, with what is known of their use. A ledger that can't be read is no reason not to find a key.
pub(super) async fn with_use(ledger: &Ledger, keys: Vec<Key>) -> Vec<KeyView> {
    let numbers: Vec<u32> = keys.iter().map(|key| key.number).collect();
    let used = ledger.last_used(&numbers).await.unwrap_or_else(|error| {
        tracing::error!(cause = causes(&error), "a list of keys is shown without their last use");
        HashMap::new()
    });
    let view = |key: Key| KeyView { last_used_at: used.get(&key.number).copied(), ..KeyView::from(key) };
    keys.into_iter().map(view).collect()
}

/// A key that was just made, with its text: this one time.
#[derive(Serialize, ToSchema)]
#[schema(as = NewKey)]
pub(in crate::manage) struct NewKeyView {
    /// The key.
    #[serde(flatten)]
    pub(super) key_object: KeyView,
    /// Its text. It is shown now and never again; absent when the request was made before with the same
    /// `Idempotency-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The link behind which its text waits, if that was asked for in place of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    hand_over: Option<HandOverView>,
}

impl NewKeyView {
    /// The key, and its text if this is the one time that it is shown.
    pub(super) fn new(key_object: KeyView, shown: Option<Shown>) -> Self {
        match shown {
            None => Self { key_object, key: None, hand_over: None },
            Some(Shown::Text(text)) => Self { key_object, key: Some(text), hand_over: None },
            Some(Shown::Link(link)) => Self { key_object, key: None, hand_over: Some(link) },
        }
    }
}

impl From<Key> for KeyView {
    fn from(key: Key) -> Self {
        let state_since = match key.state {
            KeyState::Active => None,
            KeyState::Disabled { since } => Some(since),
            KeyState::Revoked { at } => Some(at),
        };
        Self {
            id: key.id,
            project_id: key.project,
            name: key.name,
            kind: key.kind,
            environment: key.environment,
            hint: key.hint,
            state: key.state.standing(),
            state_since,
            exposed_at: key.exposed_at,
            expires_at: key.expires_at,
            permissions: key.policy.permissions,
            roles: key.policy.roles,
            patterns: key.policy.patterns,
            restrictions: key.policy.restrictions,
            rate_limits: key.policy.rate_limits,
            labels: key.tags.labels,
            metadata: key.tags.metadata,
            recoverable: key.recoverable,
            version: key.version,
            rotated_at: (key.version > 1).then_some(key.versioned_at),
            deleted_at: key.deleted_at,
            last_used_at: None,
            created_at: key.created_at,
            updated_at: key.updated_at,
        }
    }
}
