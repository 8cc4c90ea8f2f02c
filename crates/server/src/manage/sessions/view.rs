//! A session as it is shown.

use keystile_core::account::SessionLimits;
use keystile_core::id::{AccountId, OrganizationId, SessionId};
use keystile_core::time::Timestamp;
use keystile_store::records::Session;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which page of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::manage) struct Paged {
    /// Rows of the page, 1 to 200; 50 unless said otherwise.
    pub(in crate::manage) limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub(in crate::manage) cursor: Option<String>,
}

/// A session: somebody is logged in.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(in crate::manage) struct SessionView {
    /// Its id, `ses_…`.
    #[schema(value_type = String, example = "ses_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: SessionId,
    /// Who.
    #[schema(value_type = String)]
    account_id: AccountId,
    /// Where.
    #[schema(value_type = String)]
    organization_id: OrganizationId,
    /// From which address it began; `null` if that is not known.
    address: Option<String>,
    /// What the program calls itself.
    agent: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last used, to half a minute.
    #[schema(value_type = String, format = DateTime)]
    seen_at: Timestamp,
    /// When its holder last proved who they are.
    #[schema(value_type = String, format = DateTime)]
    proven_at: Timestamp,
    /// When it ends if nobody uses it.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    /// Whether it is the one that asks.
    is_current: bool,
}

impl SessionView {
    /// A session; `current` is the one that asks.
    pub(in crate::manage) fn of(session: Session, limits: &SessionLimits, current: Option<SessionId>) -> Self {
        Self {
            id: session.id,
            account_id: session.account.id,
            organization_id: session.organization,
            address: Some(session.address).filter(|address| !address.is_empty()),
            agent: session.agent,
            created_at: session.times.created_at,
            seen_at: session.times.seen_at,
            proven_at: session.times.proven_at,
            ends_at: session.times.ends_at(limits),
            is_current: current == Some(session.id),
        }
    }
}
