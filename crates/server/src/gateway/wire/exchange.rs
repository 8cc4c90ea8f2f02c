//! What the guard and the service of a connection tell each other.
//!
//! Both count: hyper serves the heads that it was given in their order, so the n-th request of the service is the n-th
//! head of the guard. Nothing that a client can send changes that, where a marker in the request could be forged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::Refused;

/// The service's side of a guarded connection.
#[derive(Debug, Default)]
pub struct Exchanges {
    shared: Arc<Shared>,
}

/// One request and its answer. Keep it until the whole answer is out, body included (in the body, for instance):
/// while there is one, the connection is not idle.
#[derive(Debug)]
pub struct Exchange {
    shared: Arc<Shared>,
    number: u64,
    /// Why it was refused, where a guard did not say so. Boxed: it is rare, and this is kept with every answer.
    own: Option<Box<Refused>>,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    begun: AtomicU64,
    ended: AtomicU64,
    /// Set once, because nothing is read after it.
    fault: OnceLock<Fault>,
}

#[derive(Debug)]
struct Fault {
    /// The number of the request that it is about.
    number: u64,
    stage: Stage,
    refused: Refused,
}

/// What of a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Head,
    Body,
}

impl Exchanges {
    /// The next request. To be called exactly once for each one, in the order in which the service gets them: before
    /// anything is awaited.
    pub fn begin(&self) -> Exchange {
        let number = self.shared.begun.fetch_add(1, Ordering::Relaxed) + 1;
        Exchange { shared: Arc::clone(&self.shared), number, own: None }
    }

    /// Requests that have begun.
    pub fn begun(&self) -> u64 {
        self.shared.begun.load(Ordering::Relaxed)
    }

    /// Whether all that have begun are answered.
    pub fn is_idle(&self) -> bool {
        !self.shared.is_answering(self.begun())
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl Exchange {
    /// The same, refused.
    #[must_use]
    pub fn with(mut self, refused: Refused) -> Self {
        self.own = Some(Box::new(refused));
        self
    }

    /// Why this request was refused. What the service got instead of it is made up, in whole or in part (see
    /// [`Scope`](super::Scope)); it must answer with the refused.
    pub fn refused(&self) -> Option<Refused> {
        self.own.as_deref().copied().or_else(|| self.find(Stage::Head))
    }

    /// Why the body broke off, if the body's stream ended with an error and it was not the client who left.
    pub fn body_refused(&self) -> Option<Refused> {
        self.find(Stage::Body)
    }

    fn find(&self, stage: Stage) -> Option<Refused> {
        let fault = self.shared.fault.get()?;
        (fault.number == self.number && fault.stage == stage).then_some(fault.refused)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.shared.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// Says why request `number` is refused. Only the first refusal of a connection counts.
    pub(super) fn refuse(&self, number: u64, stage: Stage, refused: Refused) {
        // A second one can't be seen: the guard passes nothing on after the first.
        let _ = self.fault.set(Fault { number, stage, refused });
    }

    /// Whether one of so many requests is still to be answered.
    pub(super) fn is_answering(&self, heads: u64) -> bool {
        self.ended.load(Ordering::Relaxed) < heads
    }
}
