//! Events as those are told who were not there: an entry of the audit, without the address from which it was done. Entries
//! hold neither secrets nor digests.

use keystile_core::id::{EventId, OrganizationId};
use keystile_core::time::Timestamp;
use keystile_core::webhook::event_id;
use keystile_store::records::AuditEntry;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Something that was changed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Event {
    /// Its id, `evt_…`: the same however often it is sent.
    #[schema(value_type = String, example = "evt_2Zk9mQ4tR7vX1bN6cL8dF3")]
    pub id: EventId,
    /// What was done, such as `key.revoke`.
    #[serde(rename = "type")]
    #[schema(example = "key.revoke")]
    pub kind: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Whose it is.
    #[schema(value_type = String)]
    pub organization_id: OrganizationId,
    /// The id of what it was done to.
    pub subject_id: String,
    /// Who did it: a management key's id, or `system:…`.
    pub actor: String,
    /// What it was done to as it was before; `null` if it was not there.
    #[schema(value_type = Option<Object>)]
    pub before: Value,
    /// The same as it is after; `null` if it is gone.
    #[schema(value_type = Option<Object>)]
    pub after: Value,
    /// Whether details were taken out: of somebody who was erased, or because their time was over.
    pub is_erased: bool,
}

impl Event {
    /// The event that this entry of an installation is.
    pub fn of(installation: &[u8; 16], entry: AuditEntry) -> Self {
        Self {
            id: event_id(installation, entry.sequence),
            kind: entry.action,
            created_at: entry.at,
            organization_id: entry.organization,
            subject_id: entry.subject,
            actor: entry.actor,
            before: object(&entry.before),
            after: object(&entry.after),
            is_erased: entry.is_erased,
        }
    }
}

/// What is kept as JSON, empty for nothing.
fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_what_its_entry_says_but_not_from_where() {
        let entry = AuditEntry {
            sequence: 7,
            at: Timestamp::from_secs(0),
            organization: OrganizationId::from_entropy([1; 16]),
            actor: "system:test".to_owned(),
            address: Some("198.51.100.7".parse().unwrap()),
            request: None,
            action: "key.revoke".to_owned(),
            subject: "key_1".to_owned(),
            before: r#"{"state":"active"}"#.to_owned(),
            after: String::new(),
            is_erased: false,
        };
        let event = serde_json::to_value(Event::of(&[2; 16], entry)).unwrap();
        assert_eq!((&event["type"], &event["subject_id"]), (&"key.revoke".into(), &"key_1".into()));
        assert_eq!((&event["before"]["state"], &event["after"]), (&"active".into(), &Value::Null));
        assert!(!event.to_string().contains("198.51.100.7"));
    }
}
