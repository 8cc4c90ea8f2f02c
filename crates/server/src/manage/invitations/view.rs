//! An invitation as it is shown.

use keystile_core::id::{InvitationId, OrganizationId};
use keystile_core::time::Timestamp;
use keystile_store::records::{Invitation, InvitationState};
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::members::view::role_text;

/// An invitation to an organization.
#[derive(Serialize, ToSchema)]
#[schema(as = Invitation)]
pub(super) struct InvitationView {
    /// Its id, `inv_…`.
    #[schema(value_type = String, example = "inv_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: InvitationId,
    /// Where to.
    #[schema(value_type = String)]
    organization_id: OrganizationId,
    /// Whom; `null` if that is up to whoever holds the link.
    email: Option<String>,
    /// As what: the word of a role that is built in, or the name of one of your own.
    role: String,
    /// Who made it: a management key's id, a person's account `acc_…`, or `system:…`.
    made_by: String,
    /// `open`, `accepted`, `withdrawn` or `expired`.
    state: &'static str,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// Until when it can be accepted.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// What to add to the address of this server, shown when it is made and never again. What follows the `#` lets its holder in:
    /// send it only to whom it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/join#invitation_live_…")]
    path: Option<String>,
}

impl InvitationView {
    /// An invitation as it is now.
    pub(super) fn of(invitation: Invitation, now: Timestamp) -> Self {
        Self {
            id: invitation.id,
            organization_id: invitation.organization,
            email: invitation.email.map(|email| email.as_str().to_owned()),
            role: role_text(invitation.role, invitation.role_name.as_ref()),
            made_by: invitation.made_by,
            state: match invitation.state {
                InvitationState::Open if invitation.ends_at <= now => "expired",
                InvitationState::Open => "open",
                InvitationState::Accepted => "accepted",
                InvitationState::Withdrawn => "withdrawn",
            },
            created_at: invitation.created_at,
            updated_at: invitation.updated_at,
            expires_at: invitation.ends_at,
            path: None,
        }
    }

    /// With its link.
    pub(super) fn with_path(self, path: String) -> Self {
        Self { path: Some(path), ..self }
    }
}
