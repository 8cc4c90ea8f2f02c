//! Usage by webhook: whoever names `usage.hour` is told what was counted, hour by hour, to bill it elsewhere without fetching it.
//!
//! An hour is by when usage was *recorded*, as in files, so it is final; it is told some minutes after its end, in parts of some
//! rows ([`sums`], as [`told`] has them). What is told is what the organization's own export shows: usage of its APIs. Each webhook
//! has a place of its own in the ledger, is told its hours in their order, one part at a time, and each at least once; a part
//! is tried until it arrives, for an hour that is left out would be missing on a bill. Hours in which nothing was recorded are passed
//! over.
//!
//! Not here: how something is sent and signed, and when a webhook is disabled (the rest of [`super`]).

mod sums;
#[cfg(test)]
mod tests;
mod told;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use keystile_core::id::OrganizationId;
use keystile_core::time::Timestamp;
use keystile_core::webhook::{USAGE_HOUR, retry_always_after_micros, usage_hour_id};
use keystile_store::records::{Webhook, WebhookState};
use keystile_store::{StoreError, UsagePlace};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::send::Failure;
use super::{Webhooks, job};
use crate::enforce::feed::Feed;
use crate::gateway::Ending;
use crate::manage::{UsageLines, UsageNames};
use crate::usage::Hours;
use crate::usage::hours::{GRACE_SECS, HOUR_SECS};
use sums::{Row, Sums};
use told::{Data, Line, UsageHour};

/// How often it is looked what is due without being told to.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Webhooks that are told at once: the rows of so many hours are in memory.
const ALL: usize = 16;
/// Those of one organization: others have their turn, however slow its receivers are.
const OF_ONE: usize = 4;
/// How long one is told before it is another one's turn, in nanoseconds.
const TURN_NANOS: u64 = 5_000_000_000;
/// The pause after one's turn is over, before others have theirs.
const SOON: Duration = Duration::from_millis(100);
/// The pause after usage could not be read.
const REST_SECS: i64 = 60;
/// How long attempts that are under way may take to their end when the process ends; then they are made anew.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// When the hour of a place is told: not before it is over.
pub(crate) fn due_at(place: &UsagePlace) -> Timestamp {
    place.next_at.max(place.hour.plus_secs(HOUR_SECS + GRACE_SECS))
}

/// Tells.
struct Teller {
    webhooks: Arc<Webhooks>,
    hours: Hours,
    feed: Arc<Feed>,
    ending: Ending,
}

/// Who is being told, by number.
#[derive(Default)]
struct UnderWay {
    /// Each with whether there is more for it.
    running: JoinSet<bool>,
    busy: HashMap<u32, (OrganizationId, AbortHandle)>,
    /// Whether others wait for a place.
    has_waiting: bool,
}

/// What came of an attempt.
enum Outcome {
    Arrived(u16),
    Failed(Failure),
    /// There is nobody to tell any more.
    Nobody,
}

impl Webhooks {
    /// Tells of usage until the process ends or leaves its place to another one.
    pub async fn tell_usage(self: Arc<Self>, hours: Hours, feed: Arc<Feed>, ending: Ending) {
        let teller = Arc::new(Teller { webhooks: self, hours, feed, ending });
        let (mut under_way, mut has_failed) = (UnderWay::default(), false);
        loop {
            let ended = tokio::select! {
                () = teller.ending.left() => break,
                () = tokio::time::sleep(LOOK_EVERY) => None,
                () = teller.webhooks.wake_usage.notified() => None,
                Some(ended) = under_way.running.join_next() => Some(ended),
            };
            if let Some(Err(error)) = &ended {
                tracing::error!(%error, "telling a webhook of usage broke off; it is tried again");
            }
            match ended {
                // Another one's turn.
                Some(Ok(has_more)) if has_more || under_way.has_waiting => tokio::time::sleep(SOON).await,
                // Whoever is through has nothing more for now.
                Some(_) => continue,
                None => {}
            }
            match teller.round(&mut under_way).await {
                Ok(()) => has_failed = false,
                Err(error) if !has_failed => {
                    tracing::warn!(cause = ?error, "the store can't be asked for usage that webhooks are to be told; that is tried again");
                    has_failed = true;
                }
                Err(_) => {}
            }
        }
        let end = Instant::now() + LAST_PATIENCE;
        while let Ok(Some(_)) = timeout_at(end, under_way.running.join_next()).await {}
    }

    /// Says that usage may have to be told.
    pub fn wake_usage(&self) {
        self.wake_usage.notify_one();
    }
}

impl Teller {
    /// Begins with whoever is due.
    async fn round(self: &Arc<Self>, under_way: &mut UnderWay) -> Result<(), StoreError> {
        if !self.hours.are_told_here() {
            return Ok(());
        }
        let ledger = &self.hours.ledger;
        // Before the webhooks: a place that is read is that of one which named usage by then.
        let places = ledger.usage_places().await?;
        let webhooks = self.webhooks.catalog.webhooks_naming(USAGE_HOUR).await?;
        let mut places: HashMap<u32, UsagePlace> = places.into_iter().map(|place| (place.webhook, place)).collect();
        let (now, mut due) = (self.hours.clock.now().wall, Vec::new());
        let mut behind: Option<Timestamp> = None;
        for webhook in webhooks {
            let place = match places.remove(&webhook.number) {
                Some(place) => place,
                None => {
                    let place = UsagePlace::beginning(webhook.number, webhook.updated_at);
                    ledger.begin_usage_place(&place).await?;
                    place
                }
            };
            if webhook.state != WebhookState::Active {
                continue;
            }
            if place.attempts > 0 {
                behind = Some(behind.map_or(place.hour, |oldest| oldest.min(place.hour)));
            }
            // One that somebody looked after is tried at once.
            let was_changed = place.last_at.is_some_and(|last| last < webhook.updated_at);
            let tried_at = if was_changed { place.hour.plus_secs(HOUR_SECS + GRACE_SECS) } else { due_at(&place) };
            if tried_at <= now {
                due.push((tried_at, webhook, place));
            }
        }
        for gone in places.into_keys() {
            ledger.end_usage_place(gone).await?;
        }
        let behind = behind.map_or(0, |hour| hour.plus_secs(HOUR_SECS).as_micros());
        self.webhooks.tally.usage_behind_since.store(behind, Ordering::Relaxed);
        under_way.busy.retain(|_, (_, task)| !task.is_finished());
        // Whoever was not told for the longest time comes first.
        due.sort_by_key(|(tried_at, _, place)| (place.last_at, *tried_at));
        under_way.has_waiting = false;
        for (_, webhook, place) in due {
            let (number, organization) = (webhook.number, webhook.organization);
            if under_way.busy.contains_key(&number) {
                continue;
            }
            let of_one = under_way.busy.values().filter(|(of, _)| *of == organization).count();
            if under_way.busy.len() >= ALL || of_one >= OF_ONE {
                under_way.has_waiting = true;
                continue;
            }
            let task = under_way.running.spawn(self.clone().tell(webhook, place));
            under_way.busy.insert(number, (organization, task));
        }
        Ok(())
    }

    /// Tells a webhook what it has not been told yet; whether there is more, and it is another one's turn.
    async fn tell(self: Arc<Self>, webhook: Webhook, place: UsagePlace) -> bool {
        match self.tell_hours(&webhook, place).await {
            Ok(has_more) => has_more,
            Err(error) => {
                tracing::warn!(webhook = %webhook.id, cause = ?error, "a webhook can't be told of usage; that is tried again");
                // If that fails as well, the store is away, which the next look finds out.
                let _ = self.rest(webhook.number).await;
                false
            }
        }
    }

    /// Lets a webhook rest whose usage can't be read.
    async fn rest(&self, webhook: u32) -> Result<(), StoreError> {
        let (ledger, now) = (&self.hours.ledger, self.hours.clock.now().wall);
        let Some(place) = ledger.usage_place(webhook).await? else { return Ok(()) };
        let error = "what was counted can't be read at the moment".to_owned();
        let next = UsagePlace { next_at: now.plus_secs(REST_SECS), last_at: Some(now), error, ..place.clone() };
        ledger.move_usage_place(&place, &next).await.map(drop)
    }

    /// Tells a webhook hour by hour, until it has all of them, its turn is over, or something does not arrive; whether it was
    /// its turn that was over.
    async fn tell_hours(&self, webhook: &Webhook, mut place: UsagePlace) -> Result<bool, StoreError> {
        let catalog = &self.webhooks.catalog;
        let Some(owner) = catalog.organization(webhook.organization, webhook.organization).await? else {
            return Ok(false);
        };
        let began = self.hours.clock.ticks();
        while let Some(until) = self.hours.over(place.hour).await? {
            if self.hours.clock.ticks().nanos_since(began) >= TURN_NANOS {
                return Ok(true);
            }
            let Some(next) = self.pass_over(place, until).await? else { return Ok(false) };
            if next.hour >= until {
                return Ok(false);
            }
            let Some(next) = self.tell_hour(webhook, owner.number, next).await? else { return Ok(false) };
            place = next;
        }
        Ok(false)
    }

    /// The place with the next hour in which something was recorded, or at the end of what is over; `None` if it was put elsewhere.
    async fn pass_over(&self, was: UsagePlace, until: Timestamp) -> Result<Option<UsagePlace>, StoreError> {
        let ledger = &self.hours.ledger;
        let mut place = was.clone();
        let kept_from = ledger.events_kept_from().await?;
        if kept_from.is_some_and(|kept_from| kept_from > place.hour) && place.missed_from.is_none() {
            let (webhook, hour) = (place.webhook, place.hour);
            tracing::warn!(webhook, %hour, "events were forgotten before a webhook was told of them; what is left of them is told");
            place.missed_from = Some(hour);
        }
        let first = ledger.first_recorded(place.hour).await?;
        place.hour = first.map_or(until, |first| first.floor_secs(HOUR_SECS).min(until));
        if place.hour != was.hour {
            (place.part, place.attempts) = (1, 0);
        }
        let is_kept = place == was || ledger.move_usage_place(&was, &place).await?;
        Ok(is_kept.then_some(place))
    }

    /// Tells of the hour of this place; the place after it, or `None` if that is not all for now.
    async fn tell_hour(
        &self,
        webhook: &Webhook,
        owner: u32,
        mut place: UsagePlace,
    ) -> Result<Option<UsagePlace>, StoreError> {
        let ledger = &self.hours.ledger;
        let hour = (place.hour, place.hour.plus_secs(HOUR_SECS));
        let after = |place: &UsagePlace| UsagePlace { hour: hour.1, part: 1, attempts: 0, ..place.clone() };
        let mut lines = UsageLines::recorded_of(owner, (&self.webhooks.catalog, ledger), hour).await?;
        let mut sums = Sums::default();
        loop {
            let events = lines.counted().await?;
            if events.is_empty() {
                break;
            }
            events.iter().for_each(|event| sums.add(event));
        }
        let parts = sums.parts();
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let begun = place.part.saturating_sub(1) as usize;
        for (part, rows) in (1..).zip(&parts).skip(begun) {
            // Whoever was disabled, deleted or sent elsewhere meanwhile is not told any more.
            let found = self.webhooks.catalog.webhook(webhook.organization, webhook.id).await?;
            let is_told = |webhook: &Webhook| webhook.state == WebhookState::Active && webhook.events.names(USAGE_HOUR);
            let Some(webhook) = found.filter(is_told).filter(|_| !self.ending.is_leaving()) else { return Ok(None) };
            let told = UsageHour {
                id: usage_hour_id(&self.webhooks.catalog.installation(), webhook.organization, hour.0, part),
                kind: USAGE_HOUR,
                created_at: hour.1,
                organization_id: webhook.organization,
                data: Data {
                    starts_at: hour.0,
                    ends_at: hour.1,
                    part,
                    parts: count,
                    missed_from: place.missed_from,
                    usage: self.lines(rows, &lines).await?,
                },
            };
            let outcome = self.attempt(&webhook, &told).await?;
            let at = self.hours.clock.now().wall;
            let (mut next, failure) = match outcome {
                Outcome::Nobody => return Ok(None),
                Outcome::Arrived(status) => {
                    let next = if part == count {
                        UsagePlace { missed_from: None, ..after(&place) }
                    } else {
                        UsagePlace { part: part + 1, attempts: 0, ..place.clone() }
                    };
                    let (status, error) = (Some(status), String::new());
                    (UsagePlace { next_at: at, status, error, delivered_at: Some(at), ..next }, None)
                }
                Outcome::Failed(failure) => (self.after_failure(&place, at, &failure), Some(failure)),
            };
            next.last_at = Some(at);
            let is_kept = ledger.move_usage_place(&place, &next).await?;
            if failure.is_some() || webhook.failing_since.is_some() {
                self.webhooks.catalog.note_arrival(webhook.number, failure.is_none(), at).await?;
            }
            let Some(failure) = failure else {
                if !is_kept {
                    return Ok(None);
                }
                place = next;
                continue;
            };
            let is_gone = failure.status == Some(410);
            if let Some(reason) = job::disabled_for(&webhook, (at, true), is_gone) {
                self.webhooks.disable(&self.feed, &webhook, reason).await?;
            }
            return Ok(None);
        }
        if place.hour == hour.1 {
            return Ok(Some(place));
        }
        // There is nothing of this organization, or no more: the rest was forgotten meanwhile.
        let next = after(&place);
        Ok(ledger.move_usage_place(&place, &next).await?.then_some(next))
    }

    fn after_failure(&self, place: &UsagePlace, at: Timestamp, failure: &Failure) -> UsagePlace {
        let attempts = place.attempts.saturating_add(1);
        let micros = retry_always_after_micros(attempts, self.webhooks.draw());
        let next_at = Timestamp::from_micros(at.as_micros() + micros);
        UsagePlace { attempts, next_at, status: failure.status, error: failure.why.clone(), ..place.clone() }
    }

    /// One attempt.
    async fn attempt(&self, webhook: &Webhook, told: &UsageHour) -> Result<Outcome, StoreError> {
        let now = self.hours.clock.now().wall;
        let secrets = match self.webhooks.catalog.webhook_secrets(webhook, now).await {
            Ok(secrets) if secrets.is_empty() => return Ok(Outcome::Nobody),
            Ok(secrets) => Ok(secrets),
            Err(error) => {
                tracing::error!(webhook = %webhook.id, cause = ?error, "the secret of a webhook can't be read");
                Err(Failure::from(job::SECRET_UNREADABLE))
            }
        };
        let body: Bytes = serde_json::to_vec(told).unwrap_or_default().into();
        let sent = match secrets {
            Ok(secrets) => self.webhooks.send(&webhook.url, told.id, body, &secrets).await,
            Err(failure) => Err(failure),
        };
        let tally = &self.webhooks.tally;
        Ok(match sent {
            Ok(status) => {
                tally.usage_delivered.fetch_add(1, Ordering::Relaxed);
                Outcome::Arrived(status)
            }
            Err(failure) => {
                tally.usage_failed.fetch_add(1, Ordering::Relaxed);
                Outcome::Failed(failure)
            }
        })
    }

    /// Sums with ids where the ledger has numbers.
    async fn lines(&self, rows: &[Row], words: &UsageLines) -> Result<Vec<Line>, StoreError> {
        let catalog = &self.webhooks.catalog;
        let numbers = rows.iter().map(|row| [Some(row.of.api), Some(row.of.project), Some(row.of.key)]);
        let names = UsageNames::of(catalog, numbers).await?;
        let mut projects: Vec<u32> = rows.iter().map(|row| row.of.project).filter(|number| *number != 0).collect();
        projects.sort_unstable();
        projects.dedup();
        let owners = catalog.organizations_of_projects(&projects).await?;
        let line = |Row { at, of, counts }: &Row| Line {
            at: *at,
            api_id: names.api(of.api),
            organization_id: owners.get(&of.project).copied(),
            project_id: names.project(of.project),
            key_id: names.key(of.key),
            operation: words.operation(of.label).map(str::to_owned),
            code: of.code,
            status: of.status,
            calls: counts.calls,
            latency_us: counts.latency_us,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            units: counts.cost,
        };
        Ok(rows.iter().map(line).collect())
    }
}
