//! What is kept, as it is read. One struct a noun; what belongs together is one value, not parallel columns.
//!
//! `number` is the small number that a row has inside the installation (never used twice): snapshots and usage use it
//! where sixteen random bytes would be too much. `revision` is the revision of the row's last change.

mod credits;
mod people;
mod plans;
mod proof;

pub use credits::{CreditEntry, CreditFilter, CreditGrant};
pub use people::{
    Account, Credentials, CustomRole, DeviceLogin, DeviceLoginState, Entry, Invitation, InvitationState, Invite,
    Joining, Member, Membership, NewAccount, NewDeviceLogin, NewSession, Session,
};
pub use plans::{Had, Plan, PlanVersion, Subscription};
pub use proof::{
    Challenge, Failure, Identity, Named, NewIdentity, NewPasskey, Passkey, PasswordHash, Shown, Totp, Try, UsedFactor,
    UsedIdentity, UsedLink, UsedPasskey, Ways,
};

use std::net::IpAddr;

use keystile_core::api::ApiSettings;
use keystile_core::decide::ActivationState;
use keystile_core::id::{
    ActivationId, ApiId, KeyId, OrganizationId, PatternId, PlanId, ProjectId, RequestId, RoleId, WebhookId,
};
use keystile_core::key::{DigestAlgorithm, Environment, KeyDigest, KeyKind, KeyState, SlowHash, Standing};
use keystile_core::member::OrganizationKind;
use keystile_core::metadata::{Label, Labels, Metadata, Tags};
use keystile_core::pattern::{Filter, PatternName};
use keystile_core::permission::Permission;
use keystile_core::plan::Quota;
use keystile_core::policy::Policy;
use keystile_core::role::RoleName;
use keystile_core::time::Timestamp;
use keystile_core::webhook::{EventFilter, EventPattern, WebhookUrl};

use crate::secret::Sealed;

/// An audit entry that stands for all before it: its place in the chain, and its hash, which covers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// Its sequence; 0 for the beginning.
    pub sequence: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its number; the first one is 1 and owns the installation.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// What it is there for.
    pub kind: OrganizationKind,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The revision of its last change.
    pub revision: u64,
}

/// Something protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Its id.
    pub id: ApiId,
    /// Its number.
    pub number: u32,
    /// Who publishes it.
    pub organization: OrganizationId,
    /// The number of that organization.
    pub organization_number: u32,
    /// Its name.
    pub name: String,
    /// Whether it is switched on.
    pub active: bool,
    /// How it is published.
    pub settings: ApiSettings,
    /// Its OpenAPI document, if it has one; the operations themselves are read with [`crate::Catalog::api_operations`].
    pub document: Option<DocumentInfo>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The revision of its last change.
    pub revision: u64,
}

/// What is shown of an API's OpenAPI document.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DocumentInfo {
    /// `info.title`.
    pub title: String,
    /// `info.version`.
    pub version: String,
    /// Operations that calls are matched with.
    pub operations: u32,
    /// Operations that were left out.
    pub skipped: u32,
}

/// A document to keep: what is shown, and the operations as JSON in the server's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What is shown.
    pub info: DocumentInfo,
    /// The operations, JSON.
    pub operations: String,
}

/// A program that calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its number.
    pub number: u32,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The number of that organization.
    pub organization_number: u32,
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Whom to ask about it.
    pub contact: String,
    /// Where it and its keys live.
    pub environment: Environment,
    /// Whether all that it may do is taken back for now.
    pub suspension: Option<Suspension>,
    /// How many keys it may have, if its owner bounds that.
    pub max_keys: Option<u32>,
    /// Patterns that all its calls must pass.
    pub patterns: Vec<PatternId>,
    /// What it is found by.
    pub labels: Labels,
    /// What its owner wrote on it.
    pub metadata: Metadata,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The revision of its last change.
    pub revision: u64,
}

/// What is said of a project and can be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectAbout {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Whom to ask about it.
    pub contact: String,
    /// How many keys it may have, if its owner bounds that.
    pub max_keys: Option<u32>,
    /// Patterns that all its calls must pass.
    pub patterns: Vec<PatternId>,
    /// What it is found by.
    pub labels: Labels,
    /// What its owner wrote on it.
    pub metadata: Metadata,
}

/// That a project's keys are refused for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Since when.
    pub since: Timestamp,
    /// Why; empty if nothing was said.
    pub reason: String,
}

/// What a project asks for at an API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// What its keys are to be allowed; `None` for whatever each of them is.
    pub permissions: Option<Vec<Permission>>,
    /// What for; empty if nothing was said.
    pub note: String,
    /// The plan that it would like.
    pub plan: Option<PlanId>,
}

/// Who judged, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// A management key's id, or `system:…`.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// The link of a project to an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// Its id.
    pub id: ActivationId,
    /// Its number.
    pub number: u32,
    /// The project.
    pub project: ProjectId,
    /// Its number.
    pub project_number: u32,
    /// Whose the project is.
    pub project_organization: OrganizationId,
    /// The API.
    pub api: ApiId,
    /// Its number.
    pub api_number: u32,
    /// Who publishes the API.
    pub api_organization: OrganizationId,
    /// How far it has come.
    pub state: ActivationState,
    /// Why it was last judged so; empty if nothing was said.
    pub reason: String,
    /// What is asked for.
    pub wish: Wish,
    /// What was granted: what keys of the project may do at this API at most; `None` bounds nothing.
    pub granted: Option<Vec<Permission>>,
    /// Who judged last; `None` if nobody did, or before that was kept.
    pub judged: Option<Judgement>,
    /// The plan that was granted, if it is limited by one.
    pub plan: Option<Subscription>,
    /// What the project's own people allow it at most, besides the plan.
    pub ceilings: Vec<Quota>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The revision of its last change.
    pub revision: u64,
}

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Its number.
    pub number: u32,
    /// Its project.
    pub project: ProjectId,
    /// Whose the project is.
    pub organization: OrganizationId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: KeyKind,
    /// Where it lives.
    pub environment: Environment,
    /// What may be shown of its text.
    pub hint: String,
    /// What it may do.
    pub policy: Policy,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// What was done to it.
    pub state: KeyState,
    /// When it was first sent where others could read it.
    pub exposed_at: Option<Timestamp>,
    /// Whether its text is kept, sealed, and can be shown again.
    pub recoverable: bool,
    /// What its owner wrote on it.
    pub tags: Tags,
    /// Its latest version, from 1.
    pub version: u16,
    /// When that version was made.
    pub versioned_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The revision of its last change.
    pub revision: u64,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Timestamp>,
}

/// A version of a key that a later one has taken the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerVersion {
    /// Which one, from 1.
    pub version: u16,
    /// What may be shown of its text.
    pub hint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the next one was made.
    pub superseded_at: Timestamp,
    /// Until when it is good.
    pub ends_at: Timestamp,
}

/// The text of a version that is to be the latest one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVersion {
    /// What may be shown of its text.
    pub hint: String,
    /// The keyed digest of its text.
    pub digest: KeyDigest,
    /// The pepper of the digest.
    pub pepper_version: u32,
    /// Its text, if it is to be had back.
    pub text: Option<Sealed>,
}

/// A key as it is added: issued here, or brought from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Its id.
    pub id: KeyId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: KeyKind,
    /// What may be shown of its text.
    pub hint: String,
    /// The keyed digest of its text.
    pub digest: KeyDigest,
    /// The pepper of the digest.
    pub pepper_version: u32,
    /// Its text, if it is to be had back.
    pub text: Option<Sealed>,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// What its owner wrote on it.
    pub tags: Tags,
}

/// A key that is brought from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportKey {
    /// The key.
    pub key: NewKey,
    /// What its digest is.
    pub algorithm: DigestAlgorithm,
    /// The slow hash for which its digest stands, if it does.
    pub slow: Option<SlowHash>,
    /// What its digest would be under older peppers: it is known if one of those is.
    pub older: Vec<KeyDigest>,
}

/// A key whose text was presented: what it is hashed to under a newer pepper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rehashed {
    /// The key.
    pub key: KeyId,
    /// Which version's text it was.
    pub version: u16,
    /// Its digest until now.
    pub was: KeyDigest,
    /// Its digest from now on.
    pub digest: KeyDigest,
}

impl From<NewKey> for ImportKey {
    /// One whose text is known, or the SHA-256 of it.
    fn from(key: NewKey) -> Self {
        Self { key, algorithm: DigestAlgorithm::HmacSha256OfSha256, slow: None, older: Vec::new() }
    }
}

/// A version of a key that came with a slow hash, as a snapshot holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedSlow {
    /// The key's number.
    pub key: u32,
    /// Which version.
    pub version: u16,
    /// What stands, or stood, for the digest of its text.
    pub digest: KeyDigest,
    /// The hash; `None` since the text was presented.
    pub slow: Option<SlowHash>,
}

/// A key as a snapshot holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedKey {
    /// Its number.
    pub number: u32,
    /// Its id.
    pub id: KeyId,
    /// The keyed digest of its latest text.
    pub digest: KeyDigest,
    /// Which version that is, from 1.
    pub version: u16,
    /// The versions before, in order.
    pub former: Vec<FeedVersion>,
    /// Its project's number.
    pub project: u32,
    /// Its policy's number.
    pub policy: u32,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// What was done to it.
    pub standing: Standing,
    /// What it is for.
    pub kind: KeyKind,
    /// Where it lives.
    pub environment: Environment,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Whether what is kept of it was altered: then it is told as deleted, and nothing of it counts but its number.
    pub altered: bool,
}

/// A former version of a key as a snapshot holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedVersion {
    /// Which one.
    pub version: u16,
    /// The keyed digest of its text.
    pub digest: KeyDigest,
    /// Until when it is good.
    pub ends_at: Timestamp,
}

/// A project as a snapshot holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedProject {
    /// The project.
    pub project: Project,
    /// The APIs it has to do with.
    pub activations: Vec<FeedActivation>,
}

/// The link of a project to an API as a snapshot holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedActivation {
    /// Its number.
    pub number: u32,
    /// Its id.
    pub id: ActivationId,
    /// The number of the API.
    pub api: u32,
    /// How far it has come.
    pub state: ActivationState,
    /// What keys of the project may do there at most; `None` bounds nothing.
    pub granted: Option<Vec<Permission>>,
    /// The number of its plan, and since when it has it.
    pub plan: Option<(u32, Timestamp)>,
    /// What the project's own people allow it at most.
    pub ceilings: Vec<Quota>,
}

/// A line of the overview of access: a project and an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The link of the two.
    pub activation: ActivationId,
    /// Its number.
    pub number: u32,
    /// The project.
    pub project: AccessSide<ProjectId>,
    /// Where it and its keys live.
    pub environment: Environment,
    /// Whether the project as a whole is suspended.
    pub is_suspended: bool,
    /// The API.
    pub api: AccessSide<ApiId>,
    /// How far the link has come.
    pub state: ActivationState,
    /// Since when: when it was last judged, or asked for.
    pub since: Timestamp,
    /// Who judged last; `None` if nobody did, or before that was kept.
    pub judged_by: Option<String>,
    /// What was granted; `None` bounds nothing.
    pub granted: Option<Vec<Permission>>,
    /// Keys of the project that could call now.
    pub active_keys: u64,
}

/// One side of a line of the overview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessSide<I> {
    /// Its id.
    pub id: I,
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The name of that organization.
    pub organization_name: String,
}

/// How many keys there may be that are not revoked; `None` for any number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyLimits {
    /// In a project. A project's own bound holds as well.
    pub per_project: Option<u32>,
    /// In an organization.
    pub per_organization: Option<u32>,
}

/// An entry of the audit chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place in the chain, from 1 without gaps.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// Whose catalogue was changed.
    pub organization: OrganizationId,
    /// Who, as text: a management key's id, or `system:…`.
    pub actor: String,
    /// The address of the request, if there was one.
    pub address: Option<IpAddr>,
    /// The request, if there was one.
    pub request: Option<RequestId>,
    /// What was done, such as `key.revoke`.
    pub action: String,
    /// The id of what it was done to.
    pub subject: String,
    /// The subject before, JSON; empty if it was not there.
    pub before: String,
    /// The subject after, JSON; empty if it is gone.
    pub after: String,
    /// Whether details were taken out, because somebody was erased or their time was over.
    pub is_erased: bool,
}

/// Which part of a list is asked for: newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Only rows with a smaller number.
    pub before: Option<u32>,
    /// At most so many.
    pub limit: u32,
}

/// Which keys are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Only those of this project.
    pub project: Option<ProjectId>,
    /// Only those of this standing.
    pub standing: Option<Standing>,
    /// Only those of this kind.
    pub kind: Option<KeyKind>,
    /// Only those of exactly this name.
    pub name: Option<String>,
    /// Only those with this in their name (in any case) or in what is shown of their text, or with this id.
    pub search: Option<String>,
    /// Only those of which a text is hashed with this pepper.
    pub pepper: Option<u32>,
    /// Those that were deleted after this moment, instead of those that are there.
    pub deleted_after: Option<Timestamp>,
    /// Only those with all of these labels.
    pub labels: Vec<Label>,
}

/// Which projects are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectFilter {
    /// Only those of exactly this name.
    pub name: Option<String>,
    /// Only those with all of these labels.
    pub labels: Vec<Label>,
}

/// Which activations are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActivationFilter {
    /// Only those of this project.
    pub project: Option<ProjectId>,
    /// Only those of this API.
    pub api: Option<ApiId>,
    /// Only those that have come so far.
    pub state: Option<ActivationState>,
    /// Those that were taken away, too.
    pub ever: bool,
}

/// Permissions under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Its number.
    pub number: u32,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its name; no other role of the organization has it.
    pub name: RoleName,
    /// What it is for.
    pub description: String,
    /// What keys that have it may do.
    pub permissions: Vec<Permission>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The revision of its last change.
    pub revision: u64,
}

/// A filter under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Its id.
    pub id: PatternId,
    /// Its number.
    pub number: u32,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its name; no other pattern of the organization has it.
    pub name: PatternName,
    /// What it is for.
    pub description: String,
    /// What it lets pass.
    pub filter: Filter,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The revision of its last change.
    pub revision: u64,
}

/// Where an organization is told of events, without the secret that deliveries are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Its number.
    pub number: u32,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Where it leads.
    pub url: WebhookUrl,
    /// What it is for.
    pub description: String,
    /// Of which events it tells.
    pub events: EventFilter,
    /// Whether anything is sent.
    pub state: WebhookState,
    /// Until when the secret before the last rotation signs too.
    pub old_secret_until: Option<Timestamp>,
    /// Since when nothing arrived, though something was sent.
    pub failing_since: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The revision of its last change.
    pub revision: u64,
}

/// Whether a webhook sends anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookState {
    /// It does.
    Active,
    /// It does not; what happens meanwhile is sent once it is active again.
    Disabled {
        /// Why, if Keystile did it; empty if its owner did.
        reason: String,
    },
}

/// Which entries of the audit are asked for: those that fit all that is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only those of this type.
    pub kind: Option<EventPattern>,
    /// Only those about the thing of this id.
    pub subject: Option<String>,
    /// Only those of this actor: a management key's id, or `system:…`.
    pub actor: Option<String>,
    /// Only those of requests from this address.
    pub address: Option<IpAddr>,
    /// Only those of this request.
    pub request: Option<RequestId>,
    /// Only those from this moment on.
    pub from: Option<Timestamp>,
    /// Only those before this moment.
    pub until: Option<Timestamp>,
}

/// Which part of what was asked for, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditPage {
    /// The newest first, of those before this place in the chain.
    Before(Option<u64>),
    /// The oldest first, of those after this place in the chain.
    After(u64),
}
