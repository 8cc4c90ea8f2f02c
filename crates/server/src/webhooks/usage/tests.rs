//! Every hour arrives, in its order and in the same parts, whatever the receiver, the clock and the process do meanwhile.

use std::sync::atomic::{AtomicI64, AtomicU16};

use keystile_core::code::Code;
use keystile_core::id::{ApiId, OrganizationId, ProjectId, WebhookId};
use keystile_core::key::Environment;
use keystile_core::member::OrganizationKind;
use keystile_core::time::{Moment, Ticks};
use keystile_core::usage::{Counts, Dimensions, UsageEvent};
use keystile_core::webhook::{EventFilter, EventPattern, Reach};
use keystile_store::records::ProjectAbout;
use keystile_store::{Actor, Author, Change, Ledger, NewUsage, OpenError, Store, Who};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::sums::MAX_ROWS;
use super::*;
use crate::enforce::operations::Labels;
use crate::telemetry::metrics::Calls;
use crate::tls::UpstreamTls;
use crate::usage::{Queue, Writer};
use crate::world::{Clock, Entropy, SystemEntropy};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOUR: i64 = HOUR_SECS;
const MINE: OrganizationId = OrganizationId::from_entropy([1; 16]);
const HOOK: WebhookId = WebhookId::from_entropy([9; 16]);

/// Seconds since the start, and by how many more the wall clock was put forward.
struct Still(AtomicI64, AtomicI64);

impl Clock for Still {
    fn now(&self) -> Moment {
        let (secs, leap) = (self.0.load(Ordering::Relaxed), self.1.load(Ordering::Relaxed));
        let nanos = (1 << 60) + secs.unsigned_abs() * 1_000_000_000;
        Moment { wall: START.plus_secs(secs + leap), ticks: Ticks::from_nanos(nanos) }
    }
}

/// Takes what is sent, and answers with a status; 0 is none.
#[derive(Default)]
struct Receiver {
    status: AtomicU16,
    /// How many more are taken with 200 first.
    good: AtomicI64,
    taken: Mutex<Vec<Value>>,
}

impl Receiver {
    async fn start() -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/usage", listener.local_addr().unwrap());
        let receiver = Arc::new(Self::default());
        receiver.status.store(200, Ordering::Relaxed);
        let taking = receiver.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mut read, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
                let told = loop {
                    let count = stream.read(&mut buffer).await.unwrap();
                    read.extend_from_slice(&buffer[..count]);
                    let head = read.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
                    // The body is whole once it can be read.
                    if let Some(told) = head.and_then(|head| serde_json::from_slice::<Value>(&read[head..]).ok()) {
                        break told;
                    }
                };
                let is_good = taking.good.fetch_sub(1, Ordering::Relaxed) > 0;
                let status = if is_good { 200 } else { taking.status.load(Ordering::Relaxed) };
                taking.taken.lock().push(told);
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (receiver, url)
    }

    fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.taken.lock())
    }
}

struct World {
    teller: Arc<Teller>,
    ledger: Ledger,
    clock: Arc<Still>,
    receiver: Arc<Receiver>,
    _folder: TempDir,
}

/// A teller of this store, as a process has it after its start.
async fn teller(store: &Store, clock: &Arc<Still>) -> Arc<Teller> {
    let feed = Arc::new(Feed::start(store, None, START).await.unwrap());
    let engine = feed.engine().clone();
    let counted = (Arc::new(Calls::new(engine.clone())), Arc::default());
    let labels: Arc<Labels> = engine.snapshot.labels.clone();
    let writer = Writer::new(Arc::new(Queue::default()), store.ledger.clone(), labels, counted, clock.clone(), 9);
    let hours = Hours::new(store.ledger.clone(), Arc::new(writer), feed.clone(), clock.clone());
    let (reach, tls) = (Reach::with(vec!["127.0.0.0/8".parse().unwrap()]), UpstreamTls::new(None).unwrap());
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let webhooks = Webhooks::new(store.catalog.clone(), reach, Arc::new(tls), clock.clone(), entropy);
    Arc::new(Teller { webhooks: Arc::new(webhooks), hours, feed, ending: Ending::new() })
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut fill = |bytes: &mut [u8]| -> Result<(), OpenError> {
            bytes.fill(7);
            Ok(())
        };
        let data = folder.path().join("data");
        let store = Store::open(&data, &folder.path().join("root.key"), START, &mut fill).await.unwrap();
        let (receiver, url) = Receiver::start().await;
        let patterns: Vec<EventPattern> = vec!["usage.hour".parse().unwrap()];
        let secret = store.catalog.seal_webhook_secret(MINE, HOOK, b"secret", &[3; 24]);
        let settings = keystile_core::api::ApiSettings::new("http://127.0.0.1:9".parse().unwrap());
        let about = ProjectAbout { name: "project".to_owned(), ..ProjectAbout::default() };
        for change in [
            Change::CreateOrganization { id: MINE, name: "mine".to_owned(), kind: OrganizationKind::Owner },
            Change::CreateApi { id: ApiId::from_entropy([2; 16]), name: "api".to_owned(), settings, document: None },
            Change::CreateProject { id: ProjectId::from_entropy([3; 16]), about, environment: Environment::Live },
            Change::CreateWebhook {
                id: HOOK,
                url: url.parse().unwrap(),
                description: String::new(),
                events: EventFilter::try_from(patterns).unwrap(),
                secret,
            },
        ] {
            store.catalog.apply(&author(0), change).await.unwrap();
        }
        let clock = Arc::new(Still(AtomicI64::new(0), AtomicI64::new(0)));
        let ledger = store.ledger.clone();
        Self { teller: teller(&store, &clock).await, ledger, clock, receiver, _folder: folder }
    }

    async fn webhook(&self) -> Webhook {
        self.teller.webhooks.catalog.webhook(MINE, HOOK).await.unwrap().unwrap()
    }

    async fn update(&self, secs: i64, events: &[&str], state: WebhookState) {
        let Webhook { id, revision: was, url, description, .. } = self.webhook().await;
        let patterns: Vec<EventPattern> = events.iter().map(|text| text.parse().unwrap()).collect();
        let events = EventFilter::try_from(patterns).unwrap();
        let change = Change::UpdateWebhook { id, was, url, description, events, state };
        self.teller.webhooks.catalog.apply(&author(secs), change).await.unwrap();
    }

    /// Counts calls of so many keys that happened so many seconds after the start, at another moment.
    async fn count(&self, sequence: u64, recorded: i64, organization: u32, happened: &[(i64, u32)]) {
        let event = |(secs, key): &(i64, u32)| {
            let (code, status) = (Code::Allowed, 200);
            let dimensions =
                Dimensions { organization, api: 1, project: 1, key: *key, version: 0, label: 0, code, status };
            let counts = Counts { calls: 1, cost: 2, ..Counts::default() };
            UsageEvent { at: START.plus_secs(*secs), dimensions, client: None, facets: None, counts }
        };
        let events: Vec<_> = happened.iter().map(event).collect();
        self.ledger.append(1, sequence, START.plus_secs(recorded), &[], &events).await.unwrap();
    }

    /// Tells all that can be told by then.
    async fn until(&self, secs: i64) -> Vec<Value> {
        self.clock.0.store(secs, Ordering::Relaxed);
        let mut under_way = UnderWay::default();
        self.teller.round(&mut under_way).await.unwrap();
        while let Some(done) = under_way.running.join_next().await {
            done.unwrap();
        }
        self.receiver.take()
    }

    async fn place(&self) -> UsagePlace {
        self.ledger.usage_place(self.webhook().await.number).await.unwrap().unwrap()
    }
}

fn author(secs: i64) -> Author {
    let actor = Actor { organization: MINE, who: Who::System("test"), address: None, request: None };
    Author { actor, at: START.plus_secs(secs), idempotency: None }
}

/// The start of an hour, as it is told.
fn hour(number: i64) -> Value {
    json!(START.plus_secs(number * HOUR))
}

/// Of each part its hour, its number and the sum of what is in it.
fn said(told: &[Value]) -> Vec<(Value, u64, u64, i64)> {
    let sum = |told: &Value, of: &str| {
        told["data"]["usage"].as_array().unwrap().iter().map(|row| row[of].as_i64().unwrap()).sum::<i64>()
    };
    let one = |told: &Value| {
        let data = &told["data"];
        let (part, parts) = (data["part"].as_u64().unwrap(), data["parts"].as_u64().unwrap());
        assert!(part <= parts, "{data}");
        (data["starts_at"].clone(), part, sum(told, "calls").unsigned_abs(), sum(told, "units"))
    };
    told.iter().map(one).collect()
}

#[tokio::test]
async fn a_clock_that_leaps_for_a_moment_ends_no_hours() {
    let world = World::new().await;
    assert_eq!(world.until(0).await, [json!(null); 0]);
    world.count(1, 60, 1, &[(50, 1)]).await;
    assert_eq!(said(&world.until(2 * HOUR).await).len(), 1);
    world.clock.1.store(30 * 24 * HOUR, Ordering::Relaxed);
    world.until(2 * HOUR + 10).await;
    world.clock.1.store(0, Ordering::Relaxed);
    world.count(2, 2 * HOUR + 20, 1, &[(2 * HOUR + 15, 1)]).await;
    assert_eq!(said(&world.until(4 * HOUR).await), [(hour(2), 1, 1, 2)], "and not in a month");
    // A machine that slept for a day is believed after a while.
    world.clock.1.store(24 * HOUR, Ordering::Relaxed);
    world.count(3, 28 * HOUR + 20, 1, &[(28 * HOUR + 10, 1)]).await;
    assert_eq!(said(&world.until(6 * HOUR).await), []);
    assert_eq!(said(&world.until(6 * HOUR + 500).await), []);
    assert_eq!(said(&world.until(6 * HOUR + 700).await), [(hour(28), 1, 1, 2)]);
}

#[tokio::test]
async fn an_hour_is_told_once_it_is_over_and_what_comes_late_is_in_a_later_one() {
    let world = World::new().await;
    assert_eq!(world.until(0).await, [json!(null); 0]);
    world.count(1, 60, 1, &[(50, 1), (55, 1), (57, 2)]).await;
    world.count(2, 70, 2, &[(50, 1)]).await;
    let by_hand = |id: &str, cost: i64| NewUsage {
        id: id.to_owned(),
        api: 1,
        project: 1,
        at: Some(START.plus_secs(-HOUR)),
        calls: 0,
        cost,
        corrects: None,
        note: "secret".to_owned(),
    };
    world.ledger.record((1, "somebody"), START.plus_secs(80), &[by_hand("a", -30)]).await.unwrap();
    world.count(3, HOUR, 1, &[(HOUR - 1, 1)]).await;
    assert_eq!(world.until(HOUR + GRACE_SECS - 1).await, [json!(null); 0], "something may be under way");
    let told = world.until(HOUR + GRACE_SECS).await;
    let [first] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&first["type"], &first["organization_id"]), (&json!("usage.hour"), &json!(MINE)));
    assert_eq!((&first["created_at"], &first["data"]["ends_at"]), (&hour(1), &hour(1)));
    assert_eq!(first["id"], json!(usage_hour_id(&world.teller.webhooks.catalog.installation(), MINE, START, 1)));
    assert_eq!(said(&told), [(hour(0), 1, 3, 6 - 30)], "of others' APIs nothing");
    let rows = first["data"]["usage"].as_array().unwrap();
    assert_eq!(
        (&rows[0]["at"], &rows[0]["units"], &rows[0]["operation"]),
        (&hour(-1), &json!(-30), &json!("(recorded)"))
    );
    assert_eq!((&rows[1]["at"], &rows[1]["calls"], &rows[1]["code"]), (&hour(0), &json!(2), &json!("allowed")));
    assert!(rows[1]["api_id"].is_string() && rows[1]["project_id"].is_string(), "{first}");
    assert_eq!(rows[1]["organization_id"], json!(MINE));
    assert!(!first.to_string().contains("secret") && !first.to_string().contains("somebody"), "{first}");
    // What came later of the hour before; then hours of nothing, which others had something in.
    assert_eq!(said(&world.until(2 * HOUR + GRACE_SECS).await), [(hour(1), 1, 1, 2)]);
    world.count(4, 4 * HOUR, 2, &[(4 * HOUR, 1)]).await;
    assert_eq!(world.until(9 * HOUR + GRACE_SECS).await, [json!(null); 0]);
    assert_eq!(world.place().await.hour, START.plus_secs(9 * HOUR));
    // By a clock that was set back.
    world.count(5, 5 * HOUR, 1, &[(5 * HOUR, 1)]).await;
    assert_eq!(said(&world.until(20 * HOUR).await), [(hour(9), 1, 1, 2)]);
    // The same again when somebody asks: each part with the id that it had.
    let number = world.webhook().await.number;
    world.ledger.put_usage_place_back(number, START.plus_secs(60), START.plus_secs(20 * HOUR)).await.unwrap();
    let again = world.until(20 * HOUR).await;
    assert_eq!((&again[0], again.len()), (first, 3));
    assert_eq!(world.until(20 * HOUR).await, [json!(null); 0]);
}

#[tokio::test]
async fn what_does_not_arrive_is_sent_again_from_its_part_on_over_restarts_too() {
    let world = World::new().await;
    let keys: Vec<(i64, u32)> = (1..=2 * MAX_ROWS as u32 + 5).map(|key| (50, key)).collect();
    world.count(1, 60, 1, &keys).await;
    world.count(2, HOUR, 1, &[(HOUR, 1)]).await;
    world.receiver.status.store(500, Ordering::Relaxed);
    world.receiver.good.store(1, Ordering::Relaxed);
    let first = world.until(2 * HOUR + GRACE_SECS).await;
    assert_eq!(first.iter().map(|told| told["data"]["part"].clone()).collect::<Vec<_>>(), [1, 2], "and not the third");
    let place = world.place().await;
    assert_eq!((place.part, place.attempts, place.status, place.error.as_str()), (2, 1, Some(500), "it answered 500"));
    assert!(world.webhook().await.failing_since.is_some());
    let pause = place.next_at.as_secs() - START.as_secs();
    assert!((2 * HOUR + GRACE_SECS + 4..=2 * HOUR + GRACE_SECS + 5).contains(&pause), "{pause}");
    assert_eq!(world.until(2 * HOUR + GRACE_SECS + 3).await, [json!(null); 0], "not before its pause is over");
    // For longer than events are tried it is still tried, and disabled is what takes nothing for so long.
    for attempt in 2..=20 {
        let at = world.place().await.next_at.as_secs() - START.as_secs();
        let told = world.until(at + 1).await;
        assert_eq!((told.len(), told.first().map(|told| &told["id"])), (1, Some(&first[1]["id"])), "{attempt}");
        if world.webhook().await.state != WebhookState::Active {
            break;
        }
    }
    assert!(world.place().await.attempts > 12, "{:?}", world.place().await);
    assert_eq!(world.until(30 * 24 * HOUR).await, [json!(null); 0], "it is disabled");
    // A process that starts then goes on with what did not arrive, once somebody has looked after it.
    world.receiver.status.store(200, Ordering::Relaxed);
    let store = Store { catalog: world.teller.webhooks.catalog.clone(), ledger: world.ledger.clone() };
    let world = World { teller: teller(&store, &world.clock).await, ..world };
    world.update(30 * 24 * HOUR, &["usage.hour"], WebhookState::Active).await;
    let rest = world.until(30 * 24 * HOUR + 1).await;
    assert_eq!(rest[0], first[1]);
    assert_eq!(
        said(&rest).iter().map(|told| (told.0.clone(), told.1)).collect::<Vec<_>>(),
        [(hour(0), 2), (hour(0), 3), (hour(1), 1)]
    );
    let calls: i64 =
        [&first[0]].into_iter().chain(&rest).map(|told| said(std::slice::from_ref(told))[0].2 as i64).sum();
    assert_eq!(calls, keys.len() as i64 + 1);
    assert_eq!((world.place().await.attempts, world.webhook().await.failing_since), (0, None));
    // One that is gone is left alone.
    world.count(3, 40 * 24 * HOUR, 1, &[(40 * 24 * HOUR, 1)]).await;
    world.receiver.status.store(410, Ordering::Relaxed);
    assert_eq!(world.until(41 * 24 * HOUR).await.len(), 1);
    assert_ne!(world.webhook().await.state, WebhookState::Active);
    assert_eq!(world.until(42 * 24 * HOUR).await, [json!(null); 0]);
}

#[tokio::test]
async fn whoever_names_usage_anew_begins_then_and_what_was_forgotten_is_said() {
    let world = World::new().await;
    world.until(0).await;
    world.update(60, &[], WebhookState::Active).await;
    world.count(1, 100, 1, &[(50, 1)]).await;
    assert_eq!(world.until(3 * HOUR).await, [json!(null); 0], "whoever wants all events names no usage");
    assert_eq!(world.ledger.usage_places().await.unwrap(), []);
    world.update(3 * HOUR + 60, &["usage.hour"], WebhookState::Disabled { reason: String::new() }).await;
    world.count(2, 3 * HOUR + 5, 1, &[(3 * HOUR, 1)]).await;
    assert_eq!(world.until(5 * HOUR).await, [json!(null); 0], "it is off");
    world.update(5 * HOUR, &["usage.hour"], WebhookState::Active).await;
    let told = world.until(5 * HOUR + GRACE_SECS).await;
    assert_eq!(said(&told), [(hour(3), 1, 1, 2)], "from the hour in which it named it");
    assert!(told[0]["data"].get("missed_from").is_none(), "{told:?}");
    // It is off for so long that events are forgotten.
    world.update(6 * HOUR, &["usage.hour"], WebhookState::Disabled { reason: String::new() }).await;
    world.count(3, 6 * HOUR, 1, &[(6 * HOUR, 1)]).await;
    world.count(4, 30 * HOUR, 1, &[(30 * HOUR, 1)]).await;
    world.ledger.roll_up().await.unwrap();
    world.ledger.forget_events(Some(START.plus_secs(20 * HOUR)), None).await.unwrap();
    world.update(40 * HOUR, &["usage.hour"], WebhookState::Active).await;
    let told = world.until(40 * HOUR + 1).await;
    assert_eq!(said(&told), [(hour(30), 1, 1, 2)]);
    assert_eq!(told[0]["data"]["missed_from"], hour(5));
    assert_eq!(world.place().await.missed_from, None);
}
