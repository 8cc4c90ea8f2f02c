//! Tells of events as they come, and again as long as they did not arrive.
//!
//! One loop decides and keeps; each attempt is a task of its own. What was tried stays marked as busy until what came of it
//! is on disk, so nothing is tried twice at once; and what was tried when the process was killed is tried again, so that
//! every event arrives at least once. A receiver that is slow keeps its own few attempts waiting, and no others.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use keystile_core::time::Timestamp;
use keystile_core::webhook::{DISABLE_AFTER_SECS, retry_after_micros};
use keystile_store::deliveries::{Attempt, Due, Then};
use keystile_store::records::{Webhook, WebhookState};
use keystile_store::{Actor, ApplyError, Author, Change, StoreError, Who};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::send::Failure;
use super::{Event, Webhooks};
use crate::enforce::feed::Feed;
use crate::enforce::maker::Maker;
use crate::gateway::Ending;
use crate::world::random;

/// How often is looked for what is due without being told to.
const TICK: Duration = Duration::from_secs(1);
/// Attempts at once to one webhook.
const EACH: usize = 4;
/// Attempts at once: as many webhooks may hang for as long as an attempt takes before another one has to wait.
const ALL: usize = 64 * EACH;
/// How long deliveries are kept of which nothing is to be sent any more.
const KEPT_SECS: i64 = 30 * 86_400;
/// Ticks between looking for those, and the first one on which that is done: a start has better things to do.
const FORGET_EVERY: u64 = 3_600;
const FORGET_AT: u64 = 60;
/// How long attempts that are under way may take to their end when the process ends; then they are made anew.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Why nothing is sent that can't be signed.
pub(super) const SECRET_UNREADABLE: &str = "its secret can't be read here; rotate it";

/// A delivery: the webhook's number, and the place of its event.
type Place = (u32, u64);

/// What came of an attempt, until it is noted.
struct Tried {
    webhook: Webhook,
    attempt: Attempt,
    /// Whether the receiver wants no more of them.
    is_gone: bool,
}

/// What is under way.
#[derive(Default)]
struct UnderWay {
    running: JoinSet<Option<Tried>>,
    places: HashMap<Id, Place>,
    busy: HashSet<Place>,
    tried: Vec<Tried>,
}

impl UnderWay {
    fn at(&self, webhook: u32) -> usize {
        self.busy.iter().filter(|(of, _)| *of == webhook).count()
    }

    /// Takes what came of a task.
    fn take(&mut self, done: Result<(Id, Option<Tried>), JoinError>) {
        match done {
            Ok((id, Some(tried))) => {
                self.places.remove(&id);
                self.tried.push(tried);
            }
            Ok((id, None)) => {
                if let Some(place) = self.places.remove(&id) {
                    self.busy.remove(&place);
                }
            }
            // It stays busy: what broke off once would break off again and again.
            Err(error) => {
                let place = self.places.remove(&error.id());
                tracing::error!(%error, ?place, "an attempt to deliver an event broke off; it is made again after a restart");
            }
        }
    }
}

impl Webhooks {
    /// Tells of events until the process ends or leaves its place to another one.
    pub async fn run(self: Arc<Self>, feed: Arc<Feed>, ending: Ending) {
        let mut seconds = interval(TICK);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut under_way, mut ticks, mut has_failed) = (UnderWay::default(), 0_u64, false);
        loop {
            let mut is_tick = false;
            tokio::select! {
                () = ending.left() => break,
                _ = seconds.tick() => {
                    is_tick = true;
                    ticks += 1;
                }
                () = self.wake.notified() => {}
                Some(done) = under_way.running.join_next_with_id() => under_way.take(done),
            }
            while let Some(done) = under_way.running.try_join_next_with_id() {
                under_way.take(done);
            }
            // What another process is about to send is not sent here.
            if feed.makers.now() != Maker::Here {
                continue;
            }
            let outcome = async {
                self.round(&feed, &mut under_way).await?;
                if is_tick { self.look_after(ticks).await } else { Ok(()) }
            };
            match outcome.await {
                Ok(()) => has_failed = false,
                Err(error) if !has_failed => {
                    tracing::warn!(cause = ?error, "the store can't be asked for what webhooks are to be told; that is tried again");
                    has_failed = true;
                }
                Err(_) => {}
            }
        }
        let end = Instant::now() + LAST_PATIENCE;
        while let Ok(Some(done)) = timeout_at(end, under_way.running.join_next_with_id()).await {
            under_way.take(done);
        }
        if feed.makers.now() == Maker::Here
            && let Err(error) = self.note(&feed, &mut under_way).await
        {
            tracing::warn!(cause = ?error, "what came of the last deliveries could not be noted; they are made again");
        }
    }

    /// Notes what came of attempts, makes deliveries of new events, and begins to send what is due.
    async fn round(self: &Arc<Self>, feed: &Arc<Feed>, under_way: &mut UnderWay) -> Result<(), StoreError> {
        self.note(feed, under_way).await?;
        let now = self.clock.now().wall;
        if self.catalog.make_deliveries(now).await? {
            self.wake();
        }
        let mut due = self.catalog.due_webhooks(now).await?;
        // Whoever has least under way comes first, or those who never answer would take every place that falls free.
        due.sort_by_cached_key(|webhook| under_way.at(webhook.number));
        for webhook in due {
            let at_it = under_way.at(webhook.number);
            if at_it >= EACH || under_way.busy.len() >= ALL {
                break;
            }
            // Those that are busy are due as well.
            let due = self.catalog.due_deliveries(webhook.number, now, (EACH + at_it) as u32).await?;
            let free = due.into_iter().filter(|due| !under_way.busy.contains(&(webhook.number, due.entry.sequence)));
            let free: Vec<Due> = free.take((EACH - at_it).min(ALL - under_way.busy.len())).collect();
            for due in free {
                let place = (webhook.number, due.entry.sequence);
                let task = under_way.running.spawn(self.clone().attempt(webhook.clone(), due));
                under_way.places.insert(task.id(), place);
                under_way.busy.insert(place);
            }
        }
        Ok(())
    }

    /// Once a tick: what waits, for the metrics; and now and then what nobody needs any more.
    async fn look_after(&self, ticks: u64) -> Result<(), StoreError> {
        if ticks % FORGET_EVERY == FORGET_AT {
            self.catalog.forget_deliveries(self.clock.now().wall.plus_secs(-KEPT_SECS)).await?;
        }
        let waiting = self.catalog.waiting_deliveries().await?;
        self.tally.waiting.store(waiting.count, Ordering::Relaxed);
        self.tally.waiting_since.store(waiting.since.map_or(0, Timestamp::as_micros), Ordering::Relaxed);
        Ok(())
    }

    /// One attempt; `None` if it could not be made.
    async fn attempt(self: Arc<Self>, webhook: Webhook, due: Due) -> Option<Tried> {
        let (sequence, attempts) = (due.entry.sequence, due.attempts + 1);
        let secrets = match self.catalog.webhook_secrets(&webhook, self.clock.now().wall).await {
            Ok(secrets) if !secrets.is_empty() => secrets,
            // It was deleted meanwhile.
            Ok(_) => return None,
            Err(error) => {
                tracing::error!(webhook = %webhook.id, cause = ?error, "the secret of a webhook can't be read");
                return Some(self.failed(webhook, sequence, attempts, SECRET_UNREADABLE.into()));
            }
        };
        let event = Event::of(&self.catalog.installation(), due.entry);
        match self.send(&webhook.url, event.id, event.to_json(), &secrets).await {
            Ok(status) => {
                self.tally.delivered.fetch_add(1, Ordering::Relaxed);
                let (at, number) = (self.clock.now().wall, webhook.number);
                let attempt = Attempt { webhook: number, sequence, at, status: Some(status), then: Then::Done };
                Some(Tried { webhook, attempt, is_gone: false })
            }
            Err(failure) => Some(self.failed(webhook, sequence, attempts, failure)),
        }
    }

    fn failed(&self, webhook: Webhook, sequence: u64, attempts: u32, failure: Failure) -> Tried {
        let Failure { status, why: error } = failure;
        let at = self.clock.now().wall;
        let is_gone = status == Some(410);
        let then = match retry_after_micros(attempts, self.draw()).filter(|_| !is_gone) {
            Some(micros) => Then::Retry { at: Timestamp::from_micros(at.as_micros() + micros), error },
            None => Then::GiveUp { error },
        };
        let tally = if matches!(then, Then::GiveUp { .. }) { &self.tally.failed } else { &self.tally.retried };
        tally.fetch_add(1, Ordering::Relaxed);
        let attempt = Attempt { webhook: webhook.number, sequence, at, status, then };
        Tried { webhook, attempt, is_gone }
    }

    /// A number of chance for the pause until something is tried again.
    pub(super) fn draw(&self) -> u32 {
        // Without chance they are all tried again at the same moment, which is no reason not to.
        random(&*self.entropy).map_or(0, u32::from_le_bytes)
    }

    /// Notes what came of attempts, and disables webhooks that lead nowhere.
    async fn note(&self, feed: &Feed, under_way: &mut UnderWay) -> Result<(), StoreError> {
        if under_way.tried.is_empty() {
            return Ok(());
        }
        let attempts: Vec<Attempt> = under_way.tried.iter().map(|tried| tried.attempt.clone()).collect();
        self.catalog.note_attempts(&attempts).await?;
        for tried in std::mem::take(&mut under_way.tried) {
            under_way.busy.remove(&(tried.webhook.number, tried.attempt.sequence));
            let tried_at = (tried.attempt.at, tried.attempt.then != Then::Done);
            if let Some(reason) = disabled_for(&tried.webhook, tried_at, tried.is_gone) {
                self.disable(feed, &tried.webhook, reason).await?;
            }
        }
        Ok(())
    }

    /// Disables a webhook for this reason, unless somebody looked after it meanwhile.
    pub(super) async fn disable(&self, feed: &Feed, webhook: &Webhook, reason: &str) -> Result<(), StoreError> {
        let found = self.catalog.webhook(webhook.organization, webhook.id).await?;
        // Somebody looked after it meanwhile.
        let Some(webhook) = found.filter(|found| found.state == WebhookState::Active && found.url == webhook.url)
        else {
            return Ok(());
        };
        let organization = webhook.organization;
        let actor = Actor { organization, who: Who::System("webhooks"), address: None, request: None };
        let author = Author { actor, at: self.clock.now().wall, idempotency: None };
        let change = Change::UpdateWebhook {
            id: webhook.id,
            was: webhook.revision,
            url: webhook.url,
            description: webhook.description,
            events: webhook.events,
            state: WebhookState::Disabled { reason: reason.to_owned() },
        };
        match self.catalog.apply(&author, change).await {
            Ok(applied) => {
                tracing::warn!(webhook = %webhook.id, reason, "a webhook was disabled; its owner can enable it again");
                feed.catch_up(applied.revision).await
            }
            Err(ApplyError::Store(error)) => Err(error),
            // It was changed or deleted at this moment.
            Err(_) => Ok(()),
        }
    }
}

/// Why a webhook is disabled after an attempt at that moment, which failed or did not; `None` if it is not.
pub(super) fn disabled_for(
    webhook: &Webhook,
    (at, has_failed): (Timestamp, bool),
    is_gone: bool,
) -> Option<&'static str> {
    match webhook.failing_since {
        _ if is_gone => Some("its receiver answered 410: it is gone"),
        Some(since) if has_failed && since <= at.plus_secs(-DISABLE_AFTER_SECS) => {
            Some("nothing arrived for five days")
        }
        Some(_) | None => None,
    }
}

impl From<&str> for Failure {
    fn from(why: &str) -> Self {
        Self { status: None, why: why.to_owned() }
    }
}
