//! The audit chain: what an entry's hash covers, and what is shown of a thing before and after a change.
//!
//! Each entry's hash is SHA-256 over the hash before it and every field with its length, so that an entry can be neither
//! altered, moved nor taken out without the chain breaking there (E-5). The chain's end is sealed under a key derived
//! from the root key: whoever can write to the file only can neither cut entries off the end nor make the chain anew.
//!
//! An entry is hashed with a salt that goes with its details: nobody without the root key can try out what they were.
//! Details of an entry can be taken out (K43). What is left is sealed then, and the chain goes on over the hash that the whole entry had:
//! nobody without the root key takes anything out unseen.
//!
//! Snapshots show no digest and no secret. Not here: where the chain is kept.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use keystile_core::credit::CreditHolder;
use keystile_core::key::KeyState;

use crate::cipher::SecretKey;
use crate::records::{
    Activation, Api, AuditEntry, CreditGrant, CustomRole, Invitation, Key, Member, Organization, Pattern, Plan,
    PlanVersion, Project, Role, Webhook, WebhookState,
};
use crate::root::hex;
use crate::{Actor, Who};

/// The hash of an entry, or of the place before the first one.
pub(crate) type Hash = [u8; 32];

/// What stands before the first entry: no two installations have the same beginning.
pub(crate) fn beginning(installation: &[u8; 16]) -> Hash {
    Sha256::new().chain_update(b"keystile audit 1").chain_update(installation).finalize().into()
}

/// The salt of the entry that follows the entry of this hash.
pub(crate) fn salt(seed: &SecretKey, sequence: u64, previous: &Hash) -> String {
    let key = seed.derive("audit salts");
    let mut mac: Hmac<Sha256> = KeyInit::new_from_slice(&key).expect("HMAC takes a key of any length");
    mac.update(&sequence.to_be_bytes());
    mac.update(previous);
    hex(&mac.finalize().into_bytes()[..SALT_LEN])
}

/// Bytes of a salt: nobody tries them all.
const SALT_LEN: usize = 16;

/// The hash of an entry that follows the entry of this hash. Entries of before there were salts have an empty one.
pub(crate) fn follow(previous: &Hash, entry: &AuditEntry, salt: &str) -> Hash {
    let mut hash = Sha256::new().chain_update(previous);
    let address = entry.address.map(|address| address.to_string()).unwrap_or_default();
    let request = entry.request.map(|request| request.to_string()).unwrap_or_default();
    for field in [
        &entry.sequence.to_be_bytes()[..],
        &entry.at.as_micros().to_be_bytes(),
        &entry.organization.to_bytes(),
        entry.actor.as_bytes(),
        address.as_bytes(),
        request.as_bytes(),
        entry.action.as_bytes(),
        entry.subject.as_bytes(),
        entry.before.as_bytes(),
        entry.after.as_bytes(),
    ] {
        // With its length, so that no two entries run together into the same bytes.
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    // Of one length or none, and last.
    hash.update(salt);
    hash.finalize().into()
}

/// Seals what is left of an entry whose details were taken out, between the hash before it and the one that it had with them: the chain before it
/// is bound as ever.
pub(crate) fn seal_erased(seed: &SecretKey, previous: &Hash, hash: &Hash, left: &AuditEntry) -> Hash {
    let key = seed.derive("audit erasures");
    let mut mac: Hmac<Sha256> = KeyInit::new_from_slice(&key).expect("HMAC takes a key of any length");
    mac.update(previous);
    mac.update(&follow(hash, left, ""));
    mac.finalize().into_bytes().into()
}

/// Seals the end of the chain.
pub(crate) fn seal(seed: &SecretKey, sequence: u64, end: &Hash) -> Hash {
    let mut mac: Hmac<Sha256> = KeyInit::new_from_slice(&seed.derive("audit")).expect("HMAC takes a key of any length");
    mac.update(&sequence.to_be_bytes());
    mac.update(end);
    mac.finalize().into_bytes().into()
}

/// Who acted, as text.
pub(crate) fn actor_text(actor: &Actor) -> String {
    match actor.who {
        Who::ManagementKey(id) => id.to_string(),
        Who::Account(id) => id.to_string(),
        Who::System(part) => format!("system:{part}"),
    }
}

/// What can be shown of itself before and after a change.
pub(crate) trait Shown {
    /// As it stands in an entry.
    fn shown(&self) -> Value;
}

impl Shown for Organization {
    fn shown(&self) -> Value {
        json!({ "name": self.name, "kind": self.kind })
    }
}

impl Shown for Member {
    /// Without name and address: the account's id says who it is for as long as there is the account.
    fn shown(&self) -> Value {
        json!({ "account": self.account.id, "role": self.role })
    }
}

impl Shown for CustomRole {
    fn shown(&self) -> Value {
        json!({ "name": self.name, "description": self.description, "permissions": self.permissions })
    }
}

impl Shown for Invitation {
    fn shown(&self) -> Value {
        json!({
            "organization": self.organization,
            "role": self.role,
            "state": self.state,
            "ends_at": self.ends_at,
        })
    }
}

impl Shown for Api {
    fn shown(&self) -> Value {
        json!({ "name": self.name, "active": self.active, "settings": self.settings, "document": self.document })
    }
}

impl Shown for Project {
    fn shown(&self) -> Value {
        json!({
            "name": self.name,
            "description": self.description,
            "contact": self.contact,
            "environment": self.environment,
            "suspended": self.suspension.as_ref().map(|own| json!({ "since": own.since, "reason": own.reason })),
            "max_keys": self.max_keys,
            "patterns": self.patterns,
            "labels": self.labels,
            "metadata": self.metadata,
        })
    }
}

impl Shown for Activation {
    fn shown(&self) -> Value {
        json!({
            "project": self.project,
            "api": self.api,
            "state": self.state,
            "reason": self.reason,
            "wanted": self.wish.permissions,
            "note": self.wish.note,
            "granted": self.granted,
            "plan": self.plan.as_ref().map(|own| json!({ "id": own.plan, "name": own.name, "since": own.since })),
            "wanted_plan": self.wish.plan,
            "ceilings": self.ceilings,
        })
    }
}

impl Shown for CreditGrant {
    fn shown(&self) -> Value {
        let project = match self.holder {
            CreditHolder::Project(id) => Some(id),
            CreditHolder::Organization(_) => None,
        };
        json!({
            "organization": self.holder_organization,
            "project": project,
            "kind": self.kind,
            "amount": self.amount,
            "note": self.note,
            "plan": self.plan.map(|(id, _)| id),
            "starts_at": self.starts_at,
            "ends_at": self.ends_at,
            "revoked_at": self.revoked_at,
        })
    }
}

impl Shown for Plan {
    fn shown(&self) -> Value {
        let version = |one: &PlanVersion| json!({ "version": one.version, "from": one.from, "terms": one.terms });
        json!({
            "api": self.api,
            "name": self.name,
            "description": self.description,
            "standard": self.standard,
            // The ones before it stand in the entries of before.
            "latest": self.versions.iter().max_by_key(|one| one.version).map(version),
        })
    }
}

impl Shown for Key {
    fn shown(&self) -> Value {
        let (state, since) = match self.state {
            KeyState::Active => ("active", None),
            KeyState::Disabled { since } => ("disabled", Some(since)),
            KeyState::Revoked { at } => ("revoked", Some(at)),
        };
        json!({
            "project": self.project,
            "name": self.name,
            "kind": self.kind,
            "environment": self.environment,
            "hint": self.hint,
            "version": self.version,
            "labels": self.tags.labels,
            "metadata": self.tags.metadata,
            "policy": self.policy,
            "expires_at": self.expires_at,
            "state": state,
            "state_since": since,
            "exposed_at": self.exposed_at,
            "recoverable": self.recoverable,
        })
    }
}

impl Shown for Role {
    fn shown(&self) -> Value {
        json!({ "name": self.name, "description": self.description, "permissions": self.permissions })
    }
}

impl Shown for Pattern {
    fn shown(&self) -> Value {
        json!({ "name": self.name, "description": self.description, "filter": self.filter })
    }
}

impl Shown for Webhook {
    /// Without the path of its address, in which there may be a secret: other webhooks tell of this one.
    fn shown(&self) -> Value {
        let (state, reason) = match &self.state {
            WebhookState::Active => ("active", None),
            WebhookState::Disabled { reason } => ("disabled", Some(reason)),
        };
        json!({
            "url": self.url.shown(),
            "description": self.description,
            "events": self.events,
            "state": state,
            "reason": reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystile_core::id::OrganizationId;
    use keystile_core::time::Timestamp;

    fn entry(action: &str, subject: &str) -> AuditEntry {
        AuditEntry {
            sequence: 1,
            at: Timestamp::from_secs(1),
            organization: OrganizationId::from_entropy([1; 16]),
            actor: "system:test".to_owned(),
            address: None,
            request: None,
            action: action.to_owned(),
            subject: subject.to_owned(),
            before: String::new(),
            after: String::new(),
            is_erased: false,
        }
    }

    #[test]
    fn fields_do_not_run_together() {
        let start = beginning(&[0; 16]);
        let [one, other] = [entry("key.revoke", "key_1"), entry("key.revokek", "ey_1")];
        assert_ne!(follow(&start, &one, ""), follow(&start, &other, ""));
        assert_ne!(follow(&start, &one, "1f"), follow(&start, &one, ""), "the salt is a part of it");
    }

    #[test]
    fn an_entry_depends_on_what_came_before() {
        let entry = entry("key.revoke", "key_1");
        assert_ne!(follow(&beginning(&[0; 16]), &entry, ""), follow(&beginning(&[1; 16]), &entry, ""));
    }
}
