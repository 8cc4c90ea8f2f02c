//! Figures of calls by API. They are added up from the events by which usage is counted, when those leave the queue:
//! so they say what usage says, and the way of a call knows nothing of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use keystile_core::Code;
use parking_lot::Mutex;

use super::page::{Histogram, Kind};
use super::registry::Registry;
use crate::enforce::engine::Engine;
use crate::usage::Event;

/// APIs with figures of their own; the rest share `(other)`. With all of them a page has some 50,000 lines, which
/// Prometheus still takes in one go.
const MAX_APIS: usize = 1_000;
/// Calls that found no API.
const NO_API: u32 = 0;
/// The figures that the rest share.
const OTHER: u32 = u32::MAX;

/// What was called since the start of the process.
pub struct Calls {
    engine: Arc<Engine>,
    by_api: Mutex<BTreeMap<u32, Figures>>,
}

/// Of one API.
#[derive(Default)]
struct Figures {
    /// As it was called last: an API that was deleted keeps its figures until the process ends.
    name: Name,
    /// By code and by the first digit of the status.
    calls: BTreeMap<(Code, u8), u64>,
    whole: Histogram,
    upstream: Histogram,
    bytes_in: u64,
    bytes_out: u64,
}

#[derive(Default)]
struct Name {
    id: String,
    name: String,
}

impl Name {
    fn fixed(name: &str) -> Self {
        Self { id: String::new(), name: name.to_owned() }
    }

    fn labels(&self) -> [(&str, &str); 2] {
        [("api_id", &self.id), ("api", &self.name)]
    }
}

impl Calls {
    /// None yet.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine, by_api: Mutex::default() }
    }

    /// Adds events.
    pub fn add(&self, events: &[Event]) {
        let mut by_api = self.by_api.lock();
        // Those of one API come in runs: it is looked up once a run.
        for run in events.chunk_by(|one, next| one.kept.dimensions.api == next.kept.dimensions.api) {
            let api = run[0].kept.dimensions.api;
            let slot = if by_api.len() < MAX_APIS || by_api.contains_key(&api) { api } else { OTHER };
            let figures =
                by_api.entry(slot).or_insert_with(|| Figures { name: self.first_name(slot), ..Figures::default() });
            run.iter().for_each(|event| figures.add(event));
        }
    }

    fn first_name(&self, api: u32) -> Name {
        match api {
            NO_API => Name::fixed("(none)"),
            OTHER => Name::fixed("(other)"),
            // Without a name it was deleted before anything of it was added up; its number tells it from others.
            api => self.name_now(api).unwrap_or_else(|| Name { id: format!("#{api}"), ..Name::fixed("(deleted)") }),
        }
    }

    fn name_now(&self, api: u32) -> Option<Name> {
        let view = self.engine.snapshot.apis.get(api);
        view.as_ref().map(|api| Name { id: api.id.to_string(), name: api.name.to_string() })
    }

    /// Takes up the names that APIs have now.
    pub fn rename(&self) {
        for (api, figures) in &mut *self.by_api.lock() {
            if let Some(name) = self.name_now(*api).filter(|_| *api != NO_API && *api != OTHER) {
                figures.name = name;
            }
        }
    }

    /// Declares the families.
    pub fn declare(self: &Arc<Self>, registry: &Registry) {
        self.by_code(
            registry,
            "keystile_calls_total",
            "Decided calls and verifications, by API, code and class of the status.",
        );
        self.histogram(
            registry,
            "keystile_call_duration_seconds",
            "From the head of a request to the end of its answer.",
            |of| &of.whole,
        );
        self.histogram(
            registry,
            "keystile_upstream_duration_seconds",
            "From sending a call on to the head of the upstream's answer.",
            |of| &of.upstream,
        );
        self.sum(registry, "keystile_request_body_bytes_total", "Bytes of request bodies that came.", |of| of.bytes_in);
        self.sum(
            registry,
            "keystile_response_body_bytes_total",
            "Bytes of response bodies that were handed over.",
            |of| of.bytes_out,
        );
    }

    fn by_code(self: &Arc<Self>, registry: &Registry, name: &'static str, help: &'static str) {
        let calls = self.clone();
        registry.family(Kind::Counter, name, help, move |samples| {
            for figures in calls.by_api.lock().values() {
                let [id, name] = figures.name.labels();
                for ((code, class), count) in &figures.calls {
                    let class = [char::from(b'0' + class), 'x', 'x'].iter().collect::<String>();
                    samples.put(&[id, name, ("code", code.as_str()), ("status", &class)], *count);
                }
            }
        });
    }

    fn histogram(
        self: &Arc<Self>,
        registry: &Registry,
        name: &'static str,
        help: &'static str,
        of: fn(&Figures) -> &Histogram,
    ) {
        let calls = self.clone();
        registry.family(Kind::Histogram, name, help, move |samples| {
            for figures in calls.by_api.lock().values() {
                samples.put_histogram(&figures.name.labels(), of(figures));
            }
        });
    }

    fn sum(self: &Arc<Self>, registry: &Registry, name: &'static str, help: &'static str, of: fn(&Figures) -> u64) {
        let calls = self.clone();
        registry.family(Kind::Counter, name, help, move |samples| {
            for figures in calls.by_api.lock().values() {
                samples.put(&figures.name.labels(), of(figures));
            }
        });
    }
}

impl Figures {
    fn add(&mut self, event: &Event) {
        let (dimensions, counts) = (&event.kept.dimensions, &event.kept.counts);
        let class = u8::try_from(dimensions.status / 100).unwrap_or(0).min(9);
        *self.calls.entry((dimensions.code, class)).or_default() += counts.calls;
        self.whole.add(counts.calls, counts.latency_us);
        if let Some(upstream_us) = event.upstream_us {
            self.upstream.add(1, upstream_us.get().into());
        }
        self.bytes_in = self.bytes_in.saturating_add(counts.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(counts.bytes_out);
    }
}

#[cfg(test)]
mod tests {
    use keystile_core::time::Timestamp;
    use keystile_core::usage::{Counts, Dimensions, UsageEvent};

    use super::super::page::Format;
    use super::*;
    use crate::enforce::snapshot::Snapshot;

    fn event(api: u32) -> Event {
        let dimensions = Dimensions {
            organization: 1,
            api,
            project: 0,
            key: 0,
            version: 0,
            label: 0,
            code: Code::Allowed,
            status: 200,
        };
        let counts = Counts { calls: 1, latency_us: 5, bytes_in: 1, bytes_out: 2, cost: 1 };
        Event {
            kept: UsageEvent { at: Timestamp::from_secs(0), dimensions, client: None, facets: None, counts },
            upstream_us: None,
        }
    }

    #[test]
    fn the_number_of_apis_is_bounded_and_no_call_is_lost() {
        let calls = Arc::new(Calls::new(Arc::new(Engine::new(Snapshot::with_capacity(0), Vec::new()))));
        for _ in 0..2 {
            calls.add(&(0..MAX_APIS as u32 + 500).map(event).collect::<Vec<_>>());
        }
        let registry = Registry::default();
        calls.declare(&registry);
        let text = registry.write(Format::Prometheus);
        let counts: Vec<u64> = text
            .lines()
            .filter(|line| line.starts_with("keystile_calls_total{"))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
            .collect();
        assert_eq!(counts.len(), MAX_APIS + 1);
        assert_eq!(counts.iter().sum::<u64>(), 2 * (MAX_APIS as u64 + 500));
        let other = "keystile_calls_total{api_id=\"\",api=\"(other)\",code=\"allowed\",status=\"2xx\"} 1000";
        assert!(text.lines().any(|line| line == other), "{other}");
    }
}
