//! An entry of the audit as it is shown: all of it.

use std::net::IpAddr;

use keystile_core::id::{EventId, RequestId};
use keystile_core::time::Timestamp;
use keystile_core::vocabulary::owasp;
use keystile_core::webhook::event_id;
use keystile_store::records::AuditEntry;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Something that was done.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct EntryView {
    /// The id of the event that it is, `evt_…`.
    #[schema(value_type = String, example = "evt_2Zk9mQ4tR7vX1bN6cL8dF3")]
    pub(super) id: EventId,
    /// Its place in the chain of the whole installation, from 1; what lies between is others'.
    sequence: u64,
    /// What was done, such as `key.revoke`.
    #[serde(rename = "type")]
    #[schema(example = "key.revoke")]
    kind: String,
    /// The same in the words of the OWASP Logging Vocabulary.
    #[schema(example = "authn_token_revoked")]
    vocabulary: &'static str,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Who did it: a management key's id, a person's account `acc_…`, or `system:…`.
    actor: String,
    /// From which address; `null` if it was no request.
    #[schema(value_type = Option<String>)]
    address: Option<IpAddr>,
    /// By which request; `null` if it was none.
    #[schema(value_type = Option<String>)]
    request_id: Option<RequestId>,
    /// The id of what it was done to.
    subject_id: String,
    /// What it was done to as it was before; `null` if it was not there.
    #[schema(value_type = Option<Object>)]
    before: Value,
    /// The same as it is after; `null` if it is gone.
    #[schema(value_type = Option<Object>)]
    after: Value,
    /// Whether details were taken out: of somebody who was erased, or because their time was over.
    is_erased: bool,
}

impl EntryView {
    /// The entry of an installation.
    pub(crate) fn of(installation: &[u8; 16], entry: AuditEntry) -> Self {
        let object = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
        Self {
            id: event_id(installation, entry.sequence),
            sequence: entry.sequence,
            vocabulary: owasp(&entry.action),
            kind: entry.action,
            created_at: entry.at,
            actor: entry.actor,
            address: entry.address,
            request_id: entry.request,
            subject_id: entry.subject,
            before: object(&entry.before),
            after: object(&entry.after),
            is_erased: entry.is_erased,
        }
    }

    /// When it was done.
    pub(crate) const fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// What was done.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }
}
