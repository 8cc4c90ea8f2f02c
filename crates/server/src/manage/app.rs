//! What every handler works with, and the one way in which handlers change something.

use std::sync::Arc;
use std::time::Duration;

use keystile_core::id::{ActivationId, ApiId, KeyId, ProjectId, RequestId};
use keystile_core::time::Timestamp;
use keystile_store::records::{Activation, Api, Key, Project};
use keystile_store::{Applied, ApplyError, Author, Catalog, Change, Idempotency, Ledger, StoreError};
use tokio::task::JoinError;

use super::caller::Asker;
use super::extract::RequestHash;
use super::problem::{conflict, elsewhere, internal, not_found};
use crate::enforce::feed::Feed;
use crate::problem::Problem;
use crate::telemetry::metrics::{Calls, Registry};
use crate::telemetry::pulse::Pulse;
use crate::usage::Writer;
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
    /// Figures of the process.
    pub metrics: Arc<Registry>,
    /// The figures of calls among them.
    pub calls: Arc<Calls>,
    /// Looks whether the process can do its work.
    pub pulse: Arc<Pulse>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How long a deleted key can be brought back.
    pub undelete: Duration,
    /// Gives randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// What became of a request to make something.
pub(super) enum Made {
    /// It was made.
    Now,
    /// The same request made it before; this is its id.
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
        found(self.catalog.api(asker.organization, id).await, "API")
    }

    /// A project of the asker's.
    pub(super) async fn project(&self, asker: &Asker, id: ProjectId) -> Result<Project, Problem> {
        found(self.catalog.project(asker.organization, id).await, "project")
    }

    /// An activation of which one side is the asker's.
    pub(super) async fn activation(&self, asker: &Asker, id: ActivationId) -> Result<Activation, Problem> {
        found(self.catalog.activation(asker.organization, id).await, "activation")
    }

    /// A key of the asker's.
    pub(super) async fn key(&self, asker: &Asker, id: KeyId) -> Result<Key, Problem> {
        found(self.catalog.key(asker.organization, id).await, "key")
    }

    /// Makes a change; when this returns it is durable and in force on this node. It is finished even if the client
    /// goes away meanwhile.
    pub(super) async fn apply(&self, asker: &Asker, change: Change) -> Result<u64, Problem> {
        let author = Author { actor: asker.actor(), at: self.now(), idempotency: None };
        self.carry_out(author, change).await.map(|applied| applied.revision).map_err(Problem::from)
    }

    /// Makes a change that makes something, once for all requests with the same idempotency key.
    pub(super) async fn create(
        &self,
        asker: &Asker,
        request: RequestHash,
        subject: String,
        change: Change,
    ) -> Result<Made, Problem> {
        let idempotency = asker.idempotency_key.map(|key| Idempotency { key, request: request.0, subject });
        let author = Author { actor: asker.actor(), at: self.now(), idempotency };
        match self.carry_out(author, change).await {
            Ok(_) => Ok(Made::Now),
            Err(NotDone::Refused(ApplyError::Repeated { subject })) => Ok(Made::Before(subject)),
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
        let author = Author { actor: asker.actor(), at: self.now(), idempotency };
        match self.carry_out(author, change).await {
            Ok(applied) => Ok(Imported::Now(applied)),
            Err(NotDone::Refused(ApplyError::Repeated { subject })) => Ok(Imported::Before(subject)),
            Err(error) => Err(error.into()),
        }
    }

    async fn carry_out(&self, author: Author, change: Change) -> Result<Applied, NotDone> {
        let (catalog, feed) = (self.catalog.clone(), self.feed.clone());
        if !feed.makers.are_here().await {
            return Err(NotDone::Elsewhere);
        }
        // Known to be in vain; without this, whoever asks would wait as long as the store does, and others behind.
        if let Some(trouble) = feed.engine().news.trouble(self.clock.ticks()) {
            return Err(ApplyError::from(StoreError::known(trouble.fault, trouble.why)).into());
        }
        // A task of its own: a client that goes away between the commit and the snapshot would leave a revoked key
        // in force until the next change.
        let task = tokio::spawn(async move {
            let changing = async {
                let applied = catalog.apply(&author, change).await?;
                feed.catch_up(applied.revision).await?;
                feed.lead(applied.revision).await;
                Ok(applied)
            };
            let changed = changing.await;
            if let Err(ApplyError::Store(_)) = changed {
                feed.failed();
            }
            changed
        });
        let done = task.await.unwrap_or_else(|error: JoinError| Err(ApplyError::Store(StoreError(error.into()))));
        done.map_err(NotDone::Refused)
    }
}

/// Why a change was not made.
enum NotDone {
    /// Another process makes changes now.
    Elsewhere,
    /// The catalogue did not make it.
    Refused(ApplyError),
}

impl From<ApplyError> for NotDone {
    fn from(error: ApplyError) -> Self {
        Self::Refused(error)
    }
}

impl From<NotDone> for Problem {
    fn from(why: NotDone) -> Self {
        match why {
            NotDone::Elsewhere => elsewhere(),
            NotDone::Refused(error) => problem(error),
        }
    }
}

/// What was looked for, or the problem that it is not there.
pub(super) fn found<T>(looked_up: Result<Option<T>, StoreError>, noun: &'static str) -> Result<T, Problem> {
    looked_up.map_err(|error| internal(&error))?.ok_or_else(|| not_found(noun))
}

fn problem(error: ApplyError) -> Problem {
    match error {
        ApplyError::NotFound(noun) => not_found(noun),
        ApplyError::Stale => {
            conflict("It was changed by somebody else meanwhile; read it again and repeat your change.")
        }
        ApplyError::Exists(what) => conflict(what),
        ApplyError::KeyReused => {
            conflict("Another request was made with this Idempotency-Key; use a new one for a new request.")
        }
        ApplyError::Repeated { .. } => conflict("This request was made before."),
        ApplyError::Store(error) => internal(&error),
    }
}
