//! Looks whether the process can do its work. A further check is a function here and its line in [`Pulse::look`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use keystile_store::{Catalog, StoreError};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::health::{Check, Health, Weight};
use super::metrics::{Kind, Registry};
use crate::enforce::feed::Feed;
use crate::enforce::maker::Maker;
use crate::usage::Writer;
use crate::world::Clock;

/// How long the store may take to answer, and the snapshot to learn of a change.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is looked at, and what was seen last.
pub struct Pulse {
    catalog: Catalog,
    feed: Arc<Feed>,
    writer: Arc<Writer>,
    clock: Arc<dyn Clock>,
    /// The newest revision of the catalogue that was seen.
    newest: AtomicU64,
    seen: Mutex<Health>,
    saves: Saves,
}

/// What became of saving the snapshot.
#[derive(Default)]
struct Saves {
    failed: AtomicBool,
    /// Microseconds since 1970; 0 before the first.
    last: AtomicI64,
}

impl Pulse {
    /// Nothing was looked at yet.
    pub fn new(catalog: Catalog, feed: Arc<Feed>, writer: Arc<Writer>, clock: Arc<dyn Clock>) -> Self {
        let seen = Mutex::new(Health { checks: Vec::new() });
        Self { catalog, feed, writer, clock, newest: AtomicU64::new(0), seen, saves: Saves::default() }
    }

    /// The snapshot was saved, or it could not be.
    pub fn note_save(&self, saved: bool) {
        self.saves.failed.store(!saved, Ordering::Relaxed);
        if saved {
            self.saves.last.store(self.clock.now().wall.as_micros(), Ordering::Relaxed);
        }
    }

    /// The revision that is in force.
    pub fn revision(&self) -> u64 {
        self.feed.revision()
    }

    /// Looks at everything. What changed since the last look is logged.
    pub async fn look(&self) -> Health {
        let newest = self.newest().await;
        // Without its store a node goes on with what it knows, and taking all of them away would be worse.
        let goes_on = self.feed.engine().news.is_usable(self.clock.now().ticks);
        let weight = if goes_on { Weight::Degrades } else { Weight::Needed };
        let checks = vec![
            Check::new("store", weight, newest.as_ref().map(|_| ()).map_err(Clone::clone)),
            Check::new("feed", weight, self.feed(newest.ok()).await),
            Check::new("snapshot", Weight::Degrades, self.snapshot()),
            Check::new("usage", Weight::Degrades, self.usage()),
            Check::new("changes", Weight::Degrades, self.changes()),
        ];
        let was = std::mem::replace(&mut *self.seen.lock(), Health { checks: checks.clone() });
        for check in &checks {
            let was_ok = was.checks.iter().find(|was| was.name == check.name).is_none_or(|was| was.ok);
            match &check.reason {
                Some(reason) if was_ok => tracing::warn!(check = check.name, "a check fails: {reason}"),
                None if !was_ok => tracing::info!(check = check.name, "a check that failed is well again"),
                _ => {}
            }
        }
        Health { checks }
    }

    /// The catalogue answers: its newest revision.
    async fn newest(&self) -> Result<u64, String> {
        if let Some(trouble) = self.feed.engine().news.trouble(self.clock.now().ticks) {
            return Err(format!(
                "The store can't be asked: {}; calls are decided by what is in memory, and nothing can be changed.",
                trouble.why
            ));
        }
        let silent = |_| StoreError("it does not answer in time".into());
        match timeout(PATIENCE, self.catalog.revision()).await.map_err(silent).and_then(|asked| asked) {
            Ok(newest) => {
                self.newest.fetch_max(newest, Ordering::Relaxed);
                Ok(newest)
            }
            Err(error) => {
                tracing::debug!(cause = ?error, "the catalogue can't be read");
                Err("The catalogue can't be read; calls are decided by what is in memory, and nothing can be changed."
                    .to_owned())
            }
        }
    }

    /// What was changed is in force.
    async fn feed(&self, newest: Option<u64>) -> Result<(), String> {
        let Some(newest) = newest else {
            return Err(
                "Without the catalogue nobody knows whether there are changes that are not in force.".to_owned()
            );
        };
        // A commit of this very moment is on its way; a feed that is stuck is not ready.
        let _ = timeout(PATIENCE, self.feed.catch_up(newest)).await;
        let held = self.feed.revision();
        if held >= newest {
            return Ok(());
        }
        Err(format!("Changes are not in force: the catalogue is at revision {newest}, and {held} is in memory."))
    }

    /// The next start will be fast.
    fn snapshot(&self) -> Result<(), String> {
        if !self.saves.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err("The snapshot could not be saved; the next start reads the keys from the catalogue.".to_owned())
    }

    /// What is counted reaches the disk.
    fn usage(&self) -> Result<(), String> {
        if !self.writer.is_failing() {
            return Ok(());
        }
        let waiting = self.writer.waiting();
        Err(format!("The usage ledger can't be written; {waiting} counts wait in memory, and a crash would lose them."))
    }

    /// What is asked to be changed is changed here, and at once.
    fn changes(&self) -> Result<(), String> {
        let why = match self.feed.makers.now() {
            Maker::Here => return Ok(()),
            Maker::Undecided => "Another process takes this one's place; changes wait until it has.",
            Maker::Elsewhere => "Another process took this one's place; changes are made there.",
        };
        Err(why.to_owned())
    }

    /// Declares the families of what is looked at.
    pub fn declare(self: &Arc<Self>, registry: &Registry) {
        let figure = |of: fn(&Self) -> u64| {
            let pulse = self.clone();
            move || of(&pulse)
        };
        registry.gauge(
            "keystile_snapshot_keys",
            "Keys held in memory.",
            figure(|of| of.feed.engine().snapshot.keys.len().into()),
        );
        registry.gauge(
            "keystile_snapshot_revision",
            "The catalogue's revision that is in force.",
            figure(Self::revision),
        );
        registry.gauge(
            "keystile_catalog_revision",
            "The newest revision of the catalogue.",
            figure(|of| of.newest.load(Ordering::Relaxed)),
        );
        registry.gauge(
            "keystile_feed_lag_revisions",
            "Revisions of the catalogue that are not in force yet.",
            figure(|of| of.newest.load(Ordering::Relaxed).saturating_sub(of.revision())),
        );
        let pulse = self.clone();
        registry.gauge(
            "keystile_snapshot_saved_timestamp_seconds",
            "When the snapshot was saved, since 1970; 0 for never.",
            move || pulse.saves.last.load(Ordering::Relaxed) as f64 / 1e6,
        );
        let pulse = self.clone();
        registry.family(
            Kind::Gauge,
            "keystile_check_ok",
            "Whether a check of readiness is as it should be.",
            move |samples| {
                pulse
                    .seen
                    .lock()
                    .checks
                    .iter()
                    .for_each(|check| samples.put(&[("check", check.name)], u64::from(check.ok)));
            },
        );
        let (taken, most) = ("keystile_api_calls_in_flight", "keystile_api_max_concurrent_calls");
        self.by_api(registry, taken, "Calls to an API that are being answered, where there is a bound.", |_, taken| {
            taken
        });
        self.by_api(
            registry,
            most,
            "Calls to an API that may be answered at once, where there is a bound.",
            |most, _| most,
        );
    }

    /// A family of the APIs that bear only so many calls at once, from that number and from how many there are.
    fn by_api(self: &Arc<Self>, registry: &Registry, name: &'static str, help: &'static str, of: fn(u32, u32) -> u32) {
        let pulse = self.clone();
        registry.family(Kind::Gauge, name, help, move |samples| {
            for api in pulse.feed.engine().snapshot.router.load().apis() {
                if let Some(most) = api.max_concurrent_calls {
                    let id = api.id.to_string();
                    samples.put(&[("api_id", &id), ("api", &api.name)], u64::from(of(most, api.in_flight.taken())));
                }
            }
        });
    }
}
