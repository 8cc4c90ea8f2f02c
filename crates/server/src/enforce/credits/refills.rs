//! Has granted what plans bring: a trial once, and credits for each period, some minutes before it begins, so that they are there
//! with its first call.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, OrganizationId};
use keystile_core::time::Timestamp;
use keystile_store::{Actor, ApplyError, Author, Change, Who};

use crate::enforce::change::NotMade;
use crate::enforce::engine::Engine;
use crate::enforce::feed::Feed;
use crate::enforce::plans::{holder, period_of};
use crate::world::Clock;

/// How often it looks for what is to be granted, unless plans change.
const LOOK: Duration = Duration::from_secs(5);
/// How long before a period begins.
const AHEAD_SECS: i64 = 900;
/// Activations of one change.
const BATCH: usize = 100;

/// Tells what a plan says of a moment from what it says of others: its number, from when it says it, and when the period began.
type Term = (u32, Timestamp, Timestamp);

/// Has granted what plans bring.
pub struct Refills {
    engine: Arc<Engine>,
    feed: Arc<Feed>,
    clock: Arc<dyn Clock>,
    /// What was tried for each activation last: it was granted, or had been before.
    tried: HashMap<ActivationId, Term>,
}

/// What may be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due {
    id: ActivationId,
    at: Timestamp,
    term: Term,
}

impl Refills {
    /// For the plans that a feed knows.
    pub fn new(feed: Arc<Feed>, clock: Arc<dyn Clock>) -> Self {
        Self { engine: feed.engine().clone(), feed, clock, tried: HashMap::new() }
    }

    /// Looks after them for as long as the process lives.
    pub async fn run(mut self) {
        loop {
            self.grant_all().await;
            let _ = tokio::time::timeout(LOOK, self.engine.credits.plans.notified()).await;
        }
    }

    async fn grant_all(&mut self) {
        let (engine, now) = (self.engine.clone(), self.clock.now().wall);
        // It goes over all projects.
        let Ok(due) = tokio::task::spawn_blocking(move || due(&engine, now)).await else { return };
        for (owner, all) in due {
            let open: Vec<Due> = all.into_iter().filter(|due| self.tried.get(&due.id) != Some(&due.term)).collect();
            for some in open.chunks(BATCH) {
                if !self.grant(owner, some).await {
                    return;
                }
                self.tried.extend(some.iter().map(|due| (due.id, due.term)));
            }
        }
    }

    /// Whether it was done, or had been before.
    async fn grant(&self, owner: OrganizationId, some: &[Due]) -> bool {
        let actor = Actor { organization: owner, who: Who::System("credits"), address: None, request: None };
        let author = Author { actor, at: self.clock.now().wall, idempotency: None };
        let due = some.iter().map(|due| (due.id, due.at)).collect();
        match self.feed.make(author, Change::RefillCredits { due }, self.clock.ticks()).await {
            Ok(_) | Err(NotMade::Refused(ApplyError::Exists(_))) => true,
            // Another process does it.
            Err(NotMade::Elsewhere) => false,
            Err(NotMade::Refused(error)) => {
                tracing::warn!(cause = ?error, "what plans bring could not be granted; it is tried again");
                false
            }
        }
    }
}

/// What plans bring now and in some minutes that is not known to be granted, by whose APIs they are of.
fn due(engine: &Engine, now: Timestamp) -> BTreeMap<OrganizationId, Vec<Due>> {
    let mut due = BTreeMap::<OrganizationId, Vec<Due>>::new();
    engine.snapshot.projects.each(|project| {
        for link in project.links.iter().filter(|link| link.state == ActivationState::Approved) {
            let Some((number, since)) = link.plan else { continue };
            let api = engine.snapshot.apis.get(link.api);
            let Some(api) = api.as_ref() else { continue };
            let lacks = |at: Timestamp| {
                let plan = api.plans.at(number, at)?;
                let terms = plan.credits?;
                let account = engine.credits.account(api.organization, holder(&terms, project));
                let period = period_of(plan, at, since);
                let lacks_trial = terms.trial.is_some() && !account.has_trial(number);
                let lacks_refill = period.is_some_and(|period| !account.is_refilled(number, at, period));
                let term = (number, plan.from(), period.map_or(plan.from(), |period| period.start));
                (lacks_trial || lacks_refill).then_some(Due { id: link.id, at, term })
            };
            let soon = now.plus_secs(AHEAD_SECS);
            if let Some(one) = lacks(now).or_else(|| lacks(soon)) {
                due.entry(api.organization).or_default().push(one);
            }
        }
    });
    due
}
