//! What every handler works with, and the one way in which handlers change something.

use std::sync::Arc;
use std::time::Duration;

use keystile_core::id::{
    ActivationId, ApiId, CreditGrantId, InvitationId, KeyId, MemberId, MemberRoleId, OrganizationId, PatternId, PlanId,
    ProjectId, RequestId, RoleId, WebhookId,
};
use keystile_core::time::Timestamp;
use keystile_store::records::{
    Activation, Api, CreditGrant, CustomRole, Invitation, Key, Member, Organization, Pattern, Plan, Project, Role,
    Webhook,
};
use keystile_store::{Applied, ApplyError, Author, Catalog, Change, Idempotency, Ledger, Stated, StoreError, ThingId};

use super::caller::Asker;
use super::extract::RequestHash;
use super::problem::{conflict, elsewhere, internal, not_found, precondition_failed};
use crate::enforce::change::NotMade;
use crate::enforce::feed::Feed;
use crate::exposure::Exposures;
use crate::identity::Identity;
use crate::mail::Mailer;
use crate::problem::Problem;
use crate::telemetry::metrics::{Calls, Registry};
use crate::telemetry::pulse::Pulse;
use crate::telemetry::request_log::RequestLog;
use crate::usage::Writer;
use crate::webhooks::Webhooks;
use crate::world::{Clock, Entropy, random};

/// An installation, as the management API sees it.
#[derive(Clone)]
pub struct App {
    /// What is known.
    pub catalog: Catalog,
    /// What was counted.
    pub ledger: Ledger,
    /// Brings changes into force.
    pub feed: Arc<Feed>,
    /// Carries counts to the ledger.
    pub writer: Arc<Writer>,
    /// Carries single calls to the request log, and tells whoever follows it.
    pub requests: Arc<RequestLog>,
    /// Figures of the process.
    pub metrics: Arc<Registry>,
    /// The figures of calls among them.
    pub calls: Arc<Calls>,
    /// Looks whether the process can do its work.
    pub pulse: Arc<Pulse>,
    /// Tells others of changes.
    pub webhooks: Arc<Webhooks>,
    /// People and what proves who they are.
    pub identity: Arc<Identity>,
    /// Sends letters to them.
    pub mail: Arc<Mailer>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where canaries are reported that somebody uses.
    pub exposures: Exposures,
    /// How long a deleted key can be brought back.
    pub undelete: Duration,
    /// Gives randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// What became of a request to make something.
pub(super) enum Made {
    /// It was made.
    Now,
    /// The same request made it before, or it would be made; this is its id. Its text is not shown.
    Before(String),
}

/// What became of a request to add keys.
pub(super) enum Imported {
    /// They were added, but for those named here.
    Now(Applied),
    /// The same request added them before, under this subject.
    Before(String),
}

impl App {
    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// Keys that were deleted after this moment can still be brought back.
    pub(super) fn brought_back_after(&self) -> Timestamp {
        self.now().plus_secs(-self.undelete.as_secs().cast_signed())
    }

    /// Random bytes for an id.
    pub(super) fn id(&self) -> Result<[u8; 16], Problem> {
        random(&*self.entropy).map_err(|error| internal(&error))
    }

    /// A request's id.
    pub(super) fn request_id(&self) -> RequestId {
        // An id names a request in logs; without randomness the request itself is refused further in.
        RequestId::from_entropy(random(&*self.entropy).unwrap_or_default())
    }

    /// An API of the asker's.
    pub(super) async fn api(&self, asker: &Asker, id: ApiId) -> Result<Api, Problem> {
        self.one(asker, ThingId::Api(id), self.catalog.api(asker.organization, id), "API").await
    }

    /// A project of the asker's.
    pub(super) async fn project(&self, asker: &Asker, id: ProjectId) -> Result<Project, Problem> {
        self.one(asker, ThingId::Project(id), self.catalog.project(asker.organization, id), "project").await
    }

    /// An activation of which one side is the asker's.
    pub(super) async fn activation(&self, asker: &Asker, id: ActivationId) -> Result<Activation, Problem> {
        self.one(asker, ThingId::Activation(id), self.catalog.activation(asker.organization, id), "activation").await
    }

    /// A key of the asker's.
    pub(super) async fn key(&self, asker: &Asker, id: KeyId) -> Result<Key, Problem> {
        self.one(asker, ThingId::Key(id), self.catalog.key(asker.organization, id), "key").await
    }

    /// A role of the asker's.
    pub(super) async fn role(&self, asker: &Asker, id: RoleId) -> Result<Role, Problem> {
        self.one(asker, ThingId::Role(id), self.catalog.role(asker.organization, id), "role").await
    }

    /// Credits that the asker's organization granted or holds.
    pub(super) async fn credit_grant(&self, asker: &Asker, id: CreditGrantId) -> Result<CreditGrant, Problem> {
        let look = self.catalog.credit_grant(asker.organization, id);
        self.one(asker, ThingId::CreditGrant(id), look, "credit grant").await
    }

    /// A plan of one of the asker's APIs.
    pub(super) async fn plan(&self, asker: &Asker, id: PlanId) -> Result<Plan, Problem> {
        self.one(asker, ThingId::Plan(id), self.catalog.plan(asker.organization, id), "plan").await
    }

    /// A pattern of the asker's.
    pub(super) async fn pattern(&self, asker: &Asker, id: PatternId) -> Result<Pattern, Problem> {
        self.one(asker, ThingId::Pattern(id), self.catalog.pattern(asker.organization, id), "pattern").await
    }

    /// A webhook of the asker's.
    pub(super) async fn webhook(&self, asker: &Asker, id: WebhookId) -> Result<Webhook, Problem> {
        self.one(asker, ThingId::Webhook(id), self.catalog.webhook(asker.organization, id), "webhook").await
    }

    /// An organization that the asker's sees.
    pub(super) async fn organization(&self, asker: &Asker, id: OrganizationId) -> Result<Organization, Problem> {
        let look = self.catalog.organization(asker.organization, id);
        self.one(asker, ThingId::Organization(id), look, "organization").await
    }

    /// A member of the asker's organization.
    pub(super) async fn member(&self, asker: &Asker, id: MemberId) -> Result<Member, Problem> {
        self.one(asker, ThingId::Member(id), self.catalog.member(asker.organization, id), "member").await
    }

    /// A role that the asker's organization made for its members.
    pub(super) async fn member_role(&self, asker: &Asker, id: MemberRoleId) -> Result<CustomRole, Problem> {
        let look = self.catalog.member_role(asker.organization, id);
        self.one(asker, ThingId::CustomRole(id), look, "member role").await
    }

    /// An invitation that the asker's organization sees.
    pub(super) async fn invitation(&self, asker: &Asker, id: InvitationId) -> Result<Invitation, Problem> {
        let look = self.catalog.invitation(asker.organization, id);
        self.one(asker, ThingId::Invitation(id), look, "invitation").await
    }

    /// A thing of the asker's, as it is or, where the request is only tried, as it would be.
    async fn one<T: Stated>(
        &self,
        asker: &Asker,
        id: ThingId,
        look: impl Future<Output = Result<Option<T>, StoreError>>,
        noun: &'static str,
    ) -> Result<T, Problem> {
        let thing = match asker.seen.preview(id).and_then(T::of) {
            Some(thing) => thing,
            None => found(look.await, noun)?,
        };
        asker.seen.note(id, self.catalog.tag(&thing));
        Ok(thing)
    }

    /// For what is written without being a change: waits until it is known which process writes, and refuses if that is
    /// another one.
    pub(super) async fn writes_here(&self) -> Result<(), Problem> {
        if self.feed.makers.are_here().await { Ok(()) } else { Err(elsewhere()) }
    }

    /// Makes a change; when this returns it is durable and in force on this node. It is finished even if the client
    /// goes away meanwhile.
    pub(super) async fn apply(&self, asker: &Asker, change: Change) -> Result<u64, Problem> {
        self.carry_out(asker, None, change).await.map(|applied| applied.revision).map_err(Problem::from)
    }

    /// Makes a change, unless what it changes was changed meanwhile; whether it was made.
    pub(super) async fn apply_unless_stale(&self, asker: &Asker, change: Change) -> Result<bool, Problem> {
        match self.carry_out(asker, None, change).await {
            Ok(_) => Ok(true),
            Err(NotMade::Refused(ApplyError::Stale)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a change that makes something, once for all requests with the same idempotency key.
    pub(super) async fn create(
        &self,
        asker: &Asker,
        request: RequestHash,
        subject: String,
        change: Change,
    ) -> Result<Made, Problem> {
        // Nothing is kept of what is only tried, neither a text nor that it was asked for.
        let (dry_run, made) = (asker.conditions.dry_run, subject.clone());
        let key = asker.idempotency_key.filter(|_| !dry_run);
        let idempotency = key.map(|key| Idempotency { key, request: request.0, subject });
        match self.carry_out(asker, idempotency, change).await {
            Ok(_) if dry_run => Ok(Made::Before(made)),
            Ok(_) => Ok(Made::Now),
            Err(NotMade::Refused(ApplyError::Repeated { subject })) => Ok(Made::Before(subject)),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds keys, once for all requests with the same idempotency key.
    pub(super) async fn import(
        &self,
        asker: &Asker,
        change: Change,
        idempotency: Option<Idempotency>,
    ) -> Result<Imported, Problem> {
        match self.carry_out(asker, idempotency, change).await {
            Ok(applied) => Ok(Imported::Now(applied)),
            Err(NotMade::Refused(ApplyError::Repeated { subject })) => Ok(Imported::Before(subject)),
            Err(error) => Err(error.into()),
        }
    }

    async fn carry_out(
        &self,
        asker: &Asker,
        idempotency: Option<Idempotency>,
        change: Change,
    ) -> Result<Applied, NotMade> {
        let author = Author { actor: asker.actor(), at: self.now(), idempotency };
        let mut made = self.feed.make_if(asker.conditions.clone(), author, change, self.clock.ticks()).await;
        self.webhooks.wake();
        if let Ok(applied) = &mut made {
            asker.seen.would_be(std::mem::take(&mut applied.preview));
        }
        made
    }
}

impl From<NotMade> for Problem {
    fn from(why: NotMade) -> Self {
        match why {
            NotMade::Elsewhere => elsewhere(),
            NotMade::Refused(error) => problem(error),
        }
    }
}

/// What was looked for, or the problem that it is not there.
pub(super) fn found<T>(looked_up: Result<Option<T>, StoreError>, noun: &'static str) -> Result<T, Problem> {
    looked_up.map_err(|error| internal(&error))?.ok_or_else(|| not_found(noun))
}

/// Somebody else was faster.
pub(super) fn stale() -> Problem {
    conflict("It was changed by somebody else meanwhile; read it again and repeat your change.")
}

fn problem(error: ApplyError) -> Problem {
    match error {
        ApplyError::NotFound(noun) => not_found(noun),
        ApplyError::Stale => stale(),
        ApplyError::Unmet => precondition_failed(),
        ApplyError::Exists(what) => conflict(what),
        ApplyError::Conflict(why) => conflict(why),
        ApplyError::KeyReused => {
            conflict("Another request was made with this Idempotency-Key; use a new one for a new request.")
        }
        ApplyError::Repeated { .. } => conflict("This request was made before."),
        ApplyError::Store(error) => internal(&error),
    }
}
