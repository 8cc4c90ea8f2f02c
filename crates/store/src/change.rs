//! Changes as values: what can be done to the catalogue, by whom, and what became of it.

use std::net::IpAddr;

use keystile_core::api::{ApiSettings, SecretName};
use keystile_core::code::Code;
use keystile_core::credit::{CreditHolder, CreditKind, CreditNotice};
use keystile_core::decide::ActivationState;
use keystile_core::id::{
    AccountId, ActivationId, ApiId, CreditGrantId, IdentityId, InvitationId, KeyId, MemberId, MemberRoleId,
    OrganizationId, PasskeyId, PatternId, PlanId, ProjectId, RequestId, RoleId, SessionId, WebhookId,
};
use keystile_core::key::{Environment, KeyDigest, KeyNotice, KeyState};
use keystile_core::member::{MemberRole, MemberRoleName, OrganizationKind};
use keystile_core::metadata::Tags;
use keystile_core::pattern::{Filter, PatternName};
use keystile_core::permission::Permission;
use keystile_core::plan::{PlanName, PlanTerms, Quota, QuotaNotice};
use keystile_core::policy::Policy;
use keystile_core::role::RoleName;
use keystile_core::time::Timestamp;
use keystile_core::webhook::{EventFilter, WebhookUrl};

use crate::StoreError;
use crate::condition::Thing;
use crate::keyring::NewEncryptionKey;
use crate::records::{
    Document, Failure, ImportKey, Invite, Joining, NewIdentity, NewKey, NewPasskey, NewSession, NewVersion,
    PasswordHash, ProjectAbout, Rehashed, Shown, Suspension, Ways, WebhookState, Wish,
};
use crate::secret::Sealed;

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A program with a management key.
    ManagementKey(KeyId),
    /// A person.
    Account(AccountId),
    /// Keystile itself: a first start, a job.
    System(&'static str),
}

/// Who acts, for whom, from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// The tenant for whom it acts: only this tenant's rows can be changed.
    pub organization: OrganizationId,
    /// Who.
    pub who: Who,
    /// The address of the request, if there was one.
    pub address: Option<IpAddr>,
    /// The request, if there was one.
    pub request: Option<RequestId>,
}

/// Who changes something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// How a repeated request is recognised, if the client asked for it.
    pub idempotency: Option<Idempotency>,
}

/// A request that may be sent again (draft-ietf-httpapi-idempotency-key-header). Kept with the change itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// SHA-256 of the client's key.
    pub key: [u8; 32],
    /// SHA-256 of the request.
    pub request: [u8; 32],
    /// The id of what the request made.
    pub subject: String,
}

/// What is to be done. Rows that carry `was` are only changed if their revision still is that one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the records that they become")]
pub enum Change {
    /// Makes an organization. The first one is made by itself, others by the one that runs the installation.
    CreateOrganization { id: OrganizationId, name: String, kind: OrganizationKind },
    /// Gives an organization another name.
    UpdateOrganization { id: OrganizationId, was: u64, name: String },
    /// Makes a role for members.
    CreateMemberRole { id: MemberRoleId, name: MemberRoleName, description: String, permissions: Vec<Permission> },
    /// Changes a role, and with it what the members that have it may do.
    UpdateMemberRole {
        id: MemberRoleId,
        was: u64,
        name: MemberRoleName,
        description: String,
        permissions: Vec<Permission>,
    },
    /// Takes a role away that no member has and no open invitation promises; else [`ApplyError::Conflict`].
    DeleteMemberRole { id: MemberRoleId },
    /// Lets somebody become a member.
    Invite(Invite),
    /// Lets somebody claim an installation in which nobody can log in yet: an invitation in the place of the one that a start
    /// before this made.
    OfferClaim(Invite),
    /// Takes an invitation back.
    WithdrawInvitation { id: InvitationId },
    /// Makes whoever holds an invitation's token a member; [`ApplyError::NotFound`] for whoever comes second.
    AcceptInvitation { lookup: [u8; 32], member: MemberId, joining: Joining },
    /// Gives a member another role; [`ApplyError::Conflict`] for the last one with the leading role.
    UpdateMember { id: MemberId, was: u64, role: MemberRole },
    /// Takes a member away, and erases the account with all that it is known by; its id stays where it stood. [`ApplyError::Conflict`] if
    /// it is a member of others too.
    EraseMember { id: MemberId, was: u64 },
    /// Takes a member away, with the sessions there.
    DeleteMember { id: MemberId, was: u64 },
    /// Somebody proved who they are, and is logged in.
    OpenSession(NewSession),
    /// Somebody lets a device in as themselves, or does not; [`ApplyError::NotFound`] if none waits.
    JudgeDeviceLogin { user_code: [u8; 32], account: AccountId, approve: bool },
    /// A device that was let in is logged in, once; [`ApplyError::NotFound`] for whoever comes second.
    FinishDeviceLogin { lookup: [u8; 32], session: NewSession },
    /// The holder of a session proved once more who they are; it gets another token.
    ProveSession { id: SessionId, lookup: [u8; 32], shown: Shown },
    /// A session goes on in another organization of its account, under another token.
    MoveSession { id: SessionId, organization: OrganizationId, lookup: [u8; 32] },
    /// Ends a session in the actor's organization.
    EndSession { id: SessionId },
    /// Ends a session of this account, wherever it is.
    EndOwnSession { id: SessionId, account: AccountId },
    /// Ends the sessions of the actor's own account, but for one.
    EndSessions { account: AccountId, except: Option<SessionId> },
    /// Gives an account's holder another name.
    RenameAccount { account: AccountId, name: String },
    /// Gives an account another password and ends its sessions, but for the one that goes on. `alone` is whether it may be all that
    /// is asked for.
    SetPassword { account: AccountId, password: PasswordHash, alone: bool, by: PasswordBy },
    /// Gives an account a seed of one-time codes, which are asked for once one was shown. [`ApplyError::Conflict`] if it has one.
    OfferTotp { account: AccountId, sealed: Sealed },
    /// One-time codes are asked for from now on, beginning after this step, and these recovery codes will do in their place. Other
    /// sessions end.
    ConfirmTotp { account: AccountId, made_at: Timestamp, step: u64, codes: Vec<[u8; 32]>, except: SessionId },
    /// Gives an account other recovery codes in the place of those that it has.
    SetRecoveryCodes { account: AccountId, codes: Vec<[u8; 32]> },
    /// Nothing besides the password is asked for any more. Sessions end, but for one. [`ApplyError::Conflict`] if the password is too
    /// short to be all. By somebody else: of this member, if it is still as it was.
    RemoveFactors { account: AccountId, except: Option<SessionId>, of: Option<(MemberId, u64)> },
    /// Lets somebody log in with this passkey from now on. [`ApplyError::NotFound`] if what it answered was answered before.
    AddPasskey(NewPasskey),
    /// Gives a passkey of this account another name.
    RenamePasskey { id: PasskeyId, account: AccountId, name: String },
    /// Takes a passkey of this account away. Sessions end, but for this one. [`ApplyError::Conflict`] if nothing else lets its holder in.
    RemovePasskey { id: PasskeyId, account: AccountId, except: SessionId, ways: Ways },
    /// Lets somebody log in by an identity provider from now on. [`ApplyError::NotFound`] if what was answered was answered before.
    AddIdentity(NewIdentity),
    /// Takes what this account is known by at a provider away. Sessions end, but for this one. [`ApplyError::Conflict`] if nothing else
    /// lets its holder in.
    RemoveIdentity { id: IdentityId, account: AccountId, except: SessionId, ways: Ways },
    /// Takes the password of an account away, with its codes: passkeys and providers alone let its holder in. Sessions end, but for this one.
    /// [`ApplyError::Conflict`] if there are none.
    RemovePassword { account: AccountId, except: SessionId, ways: Ways },
    /// Makes a link to a new password of this member, if it is still as it was, in the place of others for the account. It is good as
    /// long as the account is what it is now, in all its organizations.
    OfferReset { member: MemberId, was: u64, lookup: [u8; 32], ends_at: Timestamp },
    /// Makes a link that lets the holder of an account in, once. Of more than some at a time the oldest ends.
    OfferSignIn { account: AccountId, lookup: [u8; 32], ends_at: Timestamp },
    /// Notes that something was done that changes nothing of the catalogue, `project.export`, `usage.record` and so on; with what it
    /// made as JSON, if that is said.
    Note { action: &'static str, subject: String, made: Option<String> },
    /// Notes that a key was refused at the management API.
    NoteRefusedKey { id: KeyId, code: Code },
    /// Notes that what somebody showed was wrong; of an address without an account as well.
    FailLogin { account: Option<AccountId>, failure: Failure },
    /// Publishes an API.
    CreateApi { id: ApiId, name: String, settings: ApiSettings, document: Option<Document> },
    /// Changes an API. `document`: `None` leaves it, `Some(None)` takes it away.
    UpdateApi {
        id: ApiId,
        was: u64,
        name: String,
        active: bool,
        settings: ApiSettings,
        document: Option<Option<Document>>,
    },
    /// Takes an API away, with its activations and plans.
    DeleteApi { id: ApiId },
    /// Gives an API a secret for its upstream, or another value for one that it has.
    SetApiSecret { api: ApiId, name: SecretName, sealed: Sealed },
    /// Takes a secret of an API away.
    RemoveApiSecret { api: ApiId, name: SecretName },
    /// Makes a plan of an API.
    CreatePlan { id: PlanId, api: ApiId, name: PlanName, description: String, standard: bool, terms: PlanTerms },
    /// Changes a plan. New terms are in force from a moment on, for all projects that have it; from one that is past, from now.
    UpdatePlan {
        id: PlanId,
        was: u64,
        name: PlanName,
        description: String,
        standard: bool,
        terms: Option<(PlanTerms, Timestamp)>,
    },
    /// Takes a plan away that no project has.
    DeletePlan { id: PlanId },
    /// Makes a project.
    CreateProject { id: ProjectId, about: ProjectAbout, environment: Environment },
    /// Changes what is said of a project.
    UpdateProject { id: ProjectId, was: u64, about: ProjectAbout },
    /// Refuses all keys of a project for now, or takes that back.
    SuspendProject { id: ProjectId, was: u64, suspension: Option<Suspension> },
    /// Erases a project: it is deleted if it was not, and nothing that anybody wrote about it or about its keys and activations is kept, in the
    /// audit neither. Ids and counts stay.
    EraseProject { id: ProjectId },
    /// Takes a project away, with its keys and activations.
    DeleteProject { id: ProjectId },
    /// Links a project to an API. One side at least must be the actor's; of a pair there is one link. It is approved at
    /// once if the API is the actor's own, or if its owner wants that for everybody; else it is a request.
    CreateActivation { id: ActivationId, project: ProjectId, api: ApiId, wish: Wish },
    /// Asks once more for what was refused; only the project's organization may.
    RequestActivation { id: ActivationId, was: u64, wish: Wish },
    /// Judges a link; only the API's organization may.
    UpdateActivation {
        id: ActivationId,
        was: u64,
        state: ActivationState,
        reason: String,
        granted: Option<Vec<Permission>>,
        /// The plan, or that there is none. If nothing is said: the one that it has; of what is approved that was asked for, the
        /// plan that was asked for as well, or else the API's standard one.
        plan: Option<Option<PlanId>>,
    },
    /// Grants credits, which are spent at the organization's APIs.
    GrantCredits {
        id: CreditGrantId,
        holder: CreditHolder,
        kind: CreditKind,
        amount: u64,
        note: String,
        starts_at: Timestamp,
        ends_at: Option<Timestamp>,
    },
    /// Takes back what is left of a grant; only who granted it may. The reason, if there is one, takes the place of its note.
    RevokeCredits { id: CreditGrantId, was: u64, reason: String },
    /// Grants what plans bring for the periods of moments, as far as that was not granted before.
    RefillCredits { due: Vec<(ActivationId, Timestamp)> },
    /// Tells the actor's organization of credits that run down or end, once for each grant.
    NoteCredits { notice: CreditNotice },
    /// Gives a project another plan at an API, or none; only the API's organization may.
    SetPlan { id: ActivationId, was: u64, plan: Option<PlanId> },
    /// What a project's people allow it at most at an API; only its organization may.
    SetCeilings { id: ActivationId, was: u64, ceilings: Vec<Quota> },
    /// Tells the actor's organization of a share of a quota that is used, once in each period.
    NoteQuota { id: ActivationId, notice: QuotaNotice },
    /// Takes a link away; both sides may.
    DeleteActivation { id: ActivationId },
    /// Adds a key to a project.
    CreateKey { project: ProjectId, key: NewKey, policy: Policy },
    /// Changes a key's name, rights or end.
    UpdateKey { id: KeyId, was: u64, name: String, policy: Policy, expires_at: Option<Timestamp>, tags: Tags },
    /// Changes a key's state. `action` is the word for the audit: `revoke`, `disable`, `enable`.
    KeyState { id: KeyId, was: u64, state: KeyState, action: &'static str, reason: String },
    /// Ends a key that others know, and adds the one that takes its place, with the same project and policy.
    CompromiseKey { id: KeyId, was: u64, replacement: Option<NewKey>, reason: String },
    /// Notes that a key was sent where others could read it, or that a canary was used; [`ApplyError::Exists`] if that is known
    /// already, or if it was another version than the latest (0: of a key that was never rotated). `action` is the word for the audit: `expose`, `canary_used`.
    KeyExposed { id: KeyId, version: u16, action: &'static str },
    /// Gives a key another text. The one before is good until `former_ends_at`.
    RotateKey { id: KeyId, was: u64, fresh: NewVersion, former_ends_at: Timestamp, expires_at: Option<Timestamp> },
    /// Moves the end of a former version. `action` is the word for the audit: `end_version`, `extend_version`.
    EndKeyVersion { id: KeyId, was: u64, version: u16, ends_at: Timestamp, action: &'static str },
    /// Tells something of a key; [`ApplyError::Exists`] if it was told before.
    NoteKey { id: KeyId, notice: KeyNotice },
    /// Lets a text of a key wait for whoever holds a link.
    HandOver { id: KeyId, lookup: [u8; 32], sealed: Sealed, ends_at: Timestamp },
    /// Notes that the kept text of a key's version, its latest, is shown; [`ApplyError::Exists`] if none is kept.
    RevealKey { id: KeyId, version: u16 },
    /// Opens a link, once; [`ApplyError::NotFound`] for whoever comes second.
    OpenHandOver { lookup: [u8; 32] },
    /// Takes a key away.
    DeleteKey { id: KeyId },
    /// Brings a deleted key back as it was, unless its project is gone or its text was given to another key meanwhile.
    UndeleteKey { id: KeyId },
    /// Adds many keys with one policy to a project: one revision, one audit entry. Keys whose digest is known already
    /// are left out and reported, and so are slow hashes whose lookup leads to as many as are tried.
    ImportKeys { project: ProjectId, keys: Vec<ImportKey>, policy: Policy },
    /// The text of a version that was known by its slow hash alone was presented: from now on it has a digest like others.
    RehashKey { id: KeyId, version: u16, digest: KeyDigest, pepper_version: u32 },
    /// Takes another version of the key that secrets are encrypted under into use. Older ones go on opening what is under them.
    RotateEncryptionKey { key: NewEncryptionKey },
    /// Encrypts so many secrets of older versions anew, under the newest; the bytes are random.
    Rewrap { limit: u32, entropy: [u8; 32] },
    /// Removes a version that nothing is under any more; else [`ApplyError::Conflict`].
    RetireEncryptionKey { version: u32 },
    /// Takes another pepper into use, with which everything new is hashed.
    RotatePepper { version: u32, sealed: Sealed },
    /// Gives keys whose texts were presented the digests of them under a newer pepper.
    RehashKeys { keys: Vec<Rehashed>, pepper_version: u32 },
    /// Removes a pepper with which nothing is hashed that could be used, nor, unless it is to be forgotten, anything that is to be
    /// refused for good; else [`ApplyError::Conflict`].
    RetirePepper { version: u32, forget: bool },
    /// Notes that everything was wrapped under another root key.
    NoteRootChange,
    /// Every row was sealed as it is: by the first version that seals them, or because somebody asked for it.
    NoteSeal,
    /// Makes a role.
    CreateRole { id: RoleId, name: RoleName, description: String, permissions: Vec<Permission> },
    /// Changes a role, and with it what the keys that have it may do.
    UpdateRole { id: RoleId, was: u64, name: RoleName, description: String, permissions: Vec<Permission> },
    /// Takes a role away. If keys have it: from them too, or [`ApplyError::Conflict`].
    DeleteRole { id: RoleId, from_keys: bool },
    /// Makes a pattern.
    CreatePattern { id: PatternId, name: PatternName, description: String, filter: Filter },
    /// Changes a pattern, and with it what the keys and projects that have it may do.
    UpdatePattern { id: PatternId, was: u64, name: PatternName, description: String, filter: Filter },
    /// Takes a pattern away. If keys or projects have it: from them too, or [`ApplyError::Conflict`].
    DeletePattern { id: PatternId, unassign: bool },
    /// Makes a webhook. It tells of what happens after it.
    CreateWebhook { id: WebhookId, url: WebhookUrl, description: String, events: EventFilter, secret: Sealed },
    /// Changes a webhook.
    UpdateWebhook {
        id: WebhookId,
        was: u64,
        url: WebhookUrl,
        description: String,
        events: EventFilter,
        state: WebhookState,
    },
    /// Gives a webhook another secret; the one that it has signs too until then.
    RotateWebhookSecret { id: WebhookId, secret: Sealed, old_until: Timestamp },
    /// Takes a webhook away, with its deliveries.
    DeleteWebhook { id: WebhookId },
}

/// By what somebody sets a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordBy {
    /// By what they showed; this session goes on, under another token.
    Holder {
        /// What; nothing if there is no password yet.
        shown: Option<Shown>,
        /// Which.
        session: SessionId,
        /// What its token is found by from now on.
        lookup: [u8; 32],
    },
    /// By a link, once; [`ApplyError::NotFound`] if it is not good any more.
    Link {
        /// What it is found by.
        lookup: [u8; 32],
        /// The tries that are forgotten.
        forgives: [u8; 32],
    },
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The revision that holds it, or would.
    pub revision: u64,
    /// Of one that was only tried: its things as they would be.
    pub preview: Vec<Thing>,
    /// Of an import: the places in the list of keys that were known already.
    pub duplicates: Vec<usize>,
    /// Of an import: the places in the list of keys whose lookup leads to as many slow hashes as are tried.
    pub ambiguous: Vec<usize>,
}

/// Why a change was not made. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// There is no such thing, or it belongs to somebody else.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It was changed by somebody else since it was read.
    #[error("it was changed by somebody else meanwhile; read it again and repeat your change")]
    Stale,
    /// It is in another state than the change was made for; see [`crate::Conditions`].
    #[error("it is in another state than the change was made for")]
    Unmet,
    /// It is there already.
    #[error("{0}")]
    Exists(&'static str),
    /// It can't be done in the state in which things are; the text says what to do.
    #[error("{0}")]
    Conflict(String),
    /// Another request used this idempotency key.
    #[error("another request was made with this Idempotency-Key")]
    KeyReused,
    /// The same request was made before; this is the id of what it made.
    #[error("this request was made before")]
    Repeated {
        /// The id of what it made.
        subject: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a revision touched, by number: what a node must read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// An organization; snapshots hold nothing of it.
    Organization,
    /// An API, made, changed or deleted, or one of its plans.
    Api(u32),
    /// A project, made, changed or deleted, or one of its activations.
    Project(u32),
    /// Keys with the numbers from the first to the last.
    Keys(u32, u32),
    /// A role, made, changed or deleted: the policies that name it mean something else now.
    Role(u32),
    /// A pattern, made, changed or deleted.
    Pattern(u32),
    /// Credits, granted or taken back.
    Credits(u32),
}
