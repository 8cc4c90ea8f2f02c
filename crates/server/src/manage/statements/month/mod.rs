//! A month of ten thousand projects, with plans that change, refunds, calls that are told of late, and clocks that are set forward
//! in Vienna and New York: what statements say is what `bill.py` makes of the raw export, to the cent.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use keystile_core::api::ApiSettings;
use keystile_core::code::Code;
use keystile_core::id::{ActivationId, ApiId, OrganizationId, PlanId, ProjectId};
use keystile_core::key::Environment;
use keystile_core::member::OrganizationKind;
use keystile_core::plan::PlanTerms;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Counts, Dimensions, UsageEvent};
use keystile_store::records::{ProjectAbout, Wish};
use keystile_store::{Actor, Author, Change, NewUsage, OpenError, Store, Who};
use serde_json::{Value, json};

use super::made::{Books, statement};
use crate::manage::ndjson::Pages as _;
use crate::manage::usage::Events;

const PROJECTS: usize = 10_000;
const CALLS: usize = 120_000;
const REFUNDS: usize = 600;
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

const OWNER: OrganizationId = OrganizationId::from_entropy([1; 16]);
const API: ApiId = ApiId::from_entropy([2; 16]);

/// 2026-02-20: before March, in which New York changes its clocks on the 8th and Vienna on the 29th.
const START: Timestamp = Timestamp::from_secs(1_771_545_600);
/// 2026-05-01T12:00Z: what has ended by then is billed.
const UNTIL: Timestamp = Timestamp::from_secs(1_777_636_800);

/// Always the same numbers (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as i64 % bound
    }

    /// A number below `bound`, by Zipf's law: the first ones by far the most often.
    fn zipf(&mut self, bound: usize) -> usize {
        let share = self.below(1 << 40) as f64 / (1_u64 << 40) as f64;
        ((share * ((bound + 1) as f64).ln()).exp() - 1.0) as usize % bound
    }
}

fn price(currency: &str, period: &str, fee: &str, included: u64, unit: &str, per: u64) -> Value {
    json!({ "currency": currency, "period": period, "base_fee": fee, "included": included, "unit_price": unit, "per_units": per })
}

/// Plans, each with the prices that it has one after the other, and by whose clock.
fn plans() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        (
            "Europe/Vienna",
            vec![price("EUR", "month", "9.90", 100, "0.005", 1), price("EUR", "month", "12.345", 80, "0.40", 1_000)],
        ),
        (
            "Europe/Vienna",
            vec![price("EUR", "month", "0", 0, "0.40", 1_000), price("EUR", "month", "1", 7, "0.013", 3)],
        ),
        ("Asia/Tokyo", vec![price("JPY", "month", "500", 50, "3", 10)]),
        (
            "America/New_York",
            vec![
                price("EUR", "billing_period", "29.00", 1_000, "0.0125", 1),
                price("USD", "billing_period", "31.00", 900, "0.0125", 1),
            ],
        ),
        ("UTC", vec![price("KWD", "month", "1.234", 0, "0.0007", 1)]),
    ]
}

fn terms(zone: &str, price: &Value) -> PlanTerms {
    serde_json::from_value(json!({ "price": price, "time_zone": zone })).unwrap()
}

/// An id by its number.
fn numbered(kind: u8, number: usize) -> [u8; 16] {
    let mut bytes = (number as u128 + 1).to_be_bytes();
    bytes[0] = kind;
    bytes
}

/// The id of a project's first, or second activation.
fn link(customer: usize, turn: usize) -> ActivationId {
    ActivationId::from_entropy(numbered(5 + turn as u8, customer))
}

/// A project, and which plans it had since when; none while it was away.
struct Customer {
    had: Vec<(Timestamp, Option<usize>)>,
    /// Since when billing periods are counted, of each of those.
    anchors: Vec<Timestamp>,
    /// When it got each of its activations.
    links: Vec<Timestamp>,
    revision: u64,
}

impl Customer {
    /// Since when billing periods are counted of a plan that it gets now: who had it when they left goes on with them.
    fn anchor(&self, plan: usize, now: Timestamp) -> Timestamp {
        let left = self.had.iter().rposition(|(_, plan)| plan.is_none());
        let before = left.map(|left| (self.had[left - 1].1, self.anchors[left - 1]));
        before.filter(|(had, _)| *had == Some(plan)).map_or(now, |(_, anchor)| anchor)
    }
}

/// Something that happens to plans and those who have them.
enum Event {
    Begins(usize),
    /// To the plan that stands so many places after the one that it has.
    Changes(usize, usize),
    Leaves(usize),
    ComesBack(usize),
    SaysAnew(usize, Timestamp),
}

struct Month {
    store: Store,
    customers: Vec<Customer>,
    /// What plans say, from when, by what they were told.
    versions: Vec<Vec<(Timestamp, Value)>>,
    dice: Dice,
}

impl Month {
    async fn apply(&self, at: Timestamp, change: Change) -> u64 {
        let actor = Actor { organization: OWNER, who: Who::System("test"), address: None, request: None };
        let author = Author { actor, at, idempotency: None };
        self.store.catalog.apply(&author, change).await.unwrap().revision
    }

    async fn begin(folder: &Path) -> Self {
        let mut fill = |bytes: &mut [u8]| -> Result<(), OpenError> {
            bytes.fill(7);
            Ok(())
        };
        let store = Store::open(folder, &folder.join("root.key"), START, &mut fill).await.unwrap();
        let month = Self { store, customers: Vec::new(), versions: Vec::new(), dice: Dice(0x9E37_79B9_7F4A_7C15) };
        let settings = ApiSettings::new("http://127.0.0.1:9".parse().unwrap());
        let owner = Change::CreateOrganization { id: OWNER, name: "owner".to_owned(), kind: OrganizationKind::Owner };
        month.apply(START, owner).await;
        month.apply(START, Change::CreateApi { id: API, name: "api".to_owned(), settings, document: None }).await;
        month
    }

    /// Projects come, get other plans, and plans say something else from later moments on.
    async fn live(&mut self) {
        let plans = plans();
        for (number, (zone, prices)) in plans.iter().enumerate() {
            let name = format!("plan {number}").parse().unwrap();
            let (id, description) = (PlanId::from_entropy(numbered(3, number)), String::new());
            let terms = terms(zone, &prices[0]);
            let change = Change::CreatePlan { id, api: API, name, description, standard: false, terms };
            self.apply(START, change).await;
            self.versions.push(vec![(START, prices[0].clone())]);
        }
        let mut happens: Vec<(Timestamp, Event)> = Vec::new();
        for customer in 0..PROJECTS {
            let begins = START.plus_secs(1 + self.dice.below(30 * DAY));
            happens.push((begins, Event::Begins(customer)));
            for _ in 0..self.dice.below(10) / 8 {
                let changes = begins.plus_secs(MINUTE + self.dice.below(45 * DAY));
                happens.push((changes, Event::Changes(customer, 1 + self.dice.below(plans.len() as i64 - 1) as usize)));
            }
            if self.dice.below(25) == 0 {
                let leaves = begins.plus_secs(DAY + self.dice.below(30 * DAY));
                happens.push((leaves, Event::Leaves(customer)));
                if self.dice.below(2) == 0 {
                    happens.push((leaves.plus_secs(1 + self.dice.below(9 * DAY)), Event::ComesBack(customer)));
                }
            }
            self.customers.push(Customer { had: Vec::new(), anchors: Vec::new(), links: Vec::new(), revision: 0 });
        }
        for (number, (_, prices)) in plans.iter().enumerate() {
            for turn in 1..prices.len() {
                // Said some days before, in force within the hour in which Vienna's clocks are set forward.
                let from = START.plus_secs(37 * DAY + 27 + HOUR * turn as i64 + 600 * number as i64);
                happens.push((START.plus_secs(20 * DAY), Event::SaysAnew(number, from)));
            }
        }
        happens.sort_by_key(|(at, _)| *at);
        for (at, event) in happens {
            match event {
                Event::Begins(customer) => {
                    let plan = self.dice.below(plans.len() as i64) as usize;
                    let about = ProjectAbout { name: format!("project {customer}"), ..ProjectAbout::default() };
                    let project = ProjectId::from_entropy(numbered(4, customer));
                    let environment = Environment::Live;
                    self.apply(at, Change::CreateProject { id: project, about, environment }).await;
                    self.link(at, customer, plan).await;
                }
                Event::ComesBack(customer) => {
                    let plan = self.dice.below(plans.len() as i64) as usize;
                    self.link(at, customer, plan).await;
                }
                Event::Leaves(customer) => {
                    let id = link(customer, self.customers[customer].links.len() - 1);
                    self.apply(at, Change::DeleteActivation { id }).await;
                    self.customers[customer].had.push((at, None));
                    self.customers[customer].anchors.push(at);
                }
                Event::Changes(customer, further) => {
                    // Who has left changes nothing.
                    let Some(plan) = self.customers[customer].had.last().unwrap().1 else { continue };
                    let plan = (plan + further) % plans.len();
                    let id = link(customer, self.customers[customer].links.len() - 1);
                    let was = self.customers[customer].revision;
                    let change = Change::SetPlan { id, was, plan: Some(PlanId::from_entropy(numbered(3, plan))) };
                    self.customers[customer].revision = self.apply(at, change).await;
                    let customer = &mut self.customers[customer];
                    customer.anchors.push(customer.anchor(plan, at));
                    customer.had.push((at, Some(plan)));
                }
                Event::SaysAnew(number, from) => {
                    let id = PlanId::from_entropy(numbered(3, number));
                    let plan = self.store.catalog.plan(OWNER, id).await.unwrap().unwrap();
                    let (zone, prices) = &plans[number];
                    let price = &prices[self.versions[number].len()];
                    let (was, name, description) = (plan.revision, plan.name, plan.description);
                    let terms = Some((terms(zone, price), from));
                    self.apply(at, Change::UpdatePlan { id, was, name, description, standard: false, terms }).await;
                    self.versions[number].push((from, price.clone()));
                }
            }
        }
    }

    /// A project gets an activation with a plan.
    async fn link(&mut self, at: Timestamp, customer: usize, plan: usize) {
        let project = ProjectId::from_entropy(numbered(4, customer));
        let id = link(customer, self.customers[customer].links.len());
        let wish = Wish { plan: Some(PlanId::from_entropy(numbered(3, plan))), ..Wish::default() };
        let revision = self.apply(at, Change::CreateActivation { id, project, api: API, wish }).await;
        let customer = &mut self.customers[customer];
        customer.anchors.push(customer.anchor(plan, at));
        customer.had.push((at, Some(plan)));
        customer.links.push(at);
        customer.revision = revision;
    }

    /// Calls come, some are recorded much later, and some is taken back.
    async fn call(&mut self) {
        let api = self.store.catalog.api(OWNER, API).await.unwrap().unwrap().number;
        let mut numbers = Vec::with_capacity(PROJECTS);
        for customer in 0..PROJECTS {
            let id = ProjectId::from_entropy(numbered(4, customer));
            numbers.push(self.store.catalog.project_number(OWNER, id).await.unwrap().unwrap());
        }
        let mut batches: BTreeMap<i64, Vec<UsageEvent>> = BTreeMap::new();
        for _ in 0..CALLS {
            let customer = self.dice.zipf(PROJECTS);
            // Whoever was there in March calls in March, most of it; some before they had a plan.
            let from = self.customers[customer].had[0].0.plus_secs(-HOUR);
            let span = (UNTIL.as_secs() - 25 * DAY - from.as_secs()).max(DAY);
            let at =
                Timestamp::from_micros(from.plus_secs(self.dice.below(span)).as_micros() + self.dice.below(1_000_000));
            let is_refused = self.dice.below(20) == 0;
            let code = match self.dice.below(20) {
                _ if is_refused => Code::RateLimited,
                0 => Code::ClientGone,
                _ => Code::Allowed,
            };
            let dimensions = Dimensions {
                organization: 1,
                api,
                project: numbers[customer],
                key: 0,
                version: 0,
                label: 2,
                code,
                status: code.status(),
            };
            let cost = if is_refused { 0 } else { self.dice.below(40) - 1 };
            let calls = 1 + self.dice.below(3).unsigned_abs();
            let late = match self.dice.below(100) {
                0 => self.dice.below(20 * DAY),
                1 => self.dice.below(3 * HOUR),
                _ => self.dice.below(90),
            };
            let recorded = at.plus_secs(late).as_secs() / (10 * MINUTE) + 1;
            let counts = Counts { calls, latency_us: 9, bytes_in: 1, bytes_out: 2, cost };
            batches.entry(recorded).or_default().push(UsageEvent {
                at,
                dimensions,
                client: None,
                facets: None,
                counts,
            });
        }
        for (sequence, (recorded, events)) in (1..).zip(&batches) {
            let recorded_at = Timestamp::from_secs(recorded * 10 * MINUTE);
            self.store.ledger.append(1, sequence, recorded_at, &[], events).await.unwrap();
        }
        self.store.ledger.roll_up().await.unwrap();
        for refund in 0..REFUNDS {
            let customer = self.dice.zipf(PROJECTS);
            let since = self.customers[customer].had[0].0;
            let at = since.plus_secs(self.dice.below(UNTIL.as_secs() - since.as_secs()));
            let recorded_at = at.plus_secs(self.dice.below((UNTIL.as_secs() - at.as_secs()).max(1)));
            let new = NewUsage {
                id: format!("refund {refund}"),
                api,
                project: numbers[customer],
                at: Some(at),
                calls: 0,
                cost: -self.dice.below(if refund % 10 == 0 { 100_000 } else { 300 }),
                corrects: None,
                note: String::new(),
            };
            self.store.ledger.record((1, "test"), recorded_at, &[new]).await.unwrap();
        }
    }

    /// What `bill.py` reads: the scenario, the raw export and the statements.
    async fn write_down(&self, folder: &Path) {
        let plans = plans();
        let versions = |(number, told): (usize, &Vec<(Timestamp, Value)>)| {
            let each = told
                .iter()
                .map(|(from, price)| json!({ "from": from.as_micros(), "price": price, "time_zone": plans[number].0 }));
            json!({ "versions": each.collect::<Vec<_>>() })
        };
        let links = self.customers.iter().enumerate().map(|(number, customer)| {
            let had = customer.had.iter().zip(&customer.anchors);
            let had = had.map(|((since, plan), anchor)| {
                json!({ "since": since.as_micros(), "plan": plan, "anchor": anchor.as_micros() })
            });
            let id = ProjectId::from_entropy(numbered(4, number));
            json!({ "project_id": id.to_string(), "had": had.collect::<Vec<_>>() })
        });
        let scenario = json!({
            "until": UNTIL.as_micros(),
            "plans": self.versions.iter().enumerate().map(versions).collect::<Vec<_>>(),
            "links": links.collect::<Vec<_>>(),
        });
        std::fs::write(folder.join("scenario.json"), scenario.to_string()).unwrap();

        let mut file = std::io::BufWriter::new(std::fs::File::create(folder.join("export.ndjson")).unwrap());
        let span = (Timestamp::from_secs(0), UNTIL);
        let mut events = Events::all_of(1, (&self.store.catalog, &self.store.ledger), span).await.unwrap();
        loop {
            let rows = events.next().await.unwrap();
            if rows.is_empty() {
                break;
            }
            for row in rows {
                serde_json::to_writer(&mut file, &row).unwrap();
                file.write_all(b"\n").unwrap();
            }
        }
        file.flush().unwrap();

        let mut books = Books::new(self.store.catalog.clone(), self.store.ledger.clone());
        let mut statements = Vec::new();
        for number in 0..PROJECTS {
            for (turn, begins) in self.customers[number].links.iter().enumerate() {
                let link = self.store.catalog.activation_ever(OWNER, link(number, turn)).await.unwrap().unwrap();
                let mut at = *begins;
                while let Some(one) = statement(&mut books, &link, at, UNTIL.plus_secs(60 * DAY)).await.unwrap() {
                    let one = serde_json::to_value(one).unwrap();
                    at = one["ends_at"].as_str().unwrap().parse().unwrap();
                    if at > UNTIL {
                        break;
                    }
                    statements.push(one);
                }
            }
        }
        std::fs::write(folder.join("statements.json"), Value::from(statements).to_string()).unwrap();
    }
}

#[tokio::test]
async fn k28_a_month_is_billed_to_the_same_cent_by_two_computations() {
    // In memory, where there is such a folder: what is to be proven is what is computed.
    let shm = Path::new("/dev/shm");
    let folder = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap();
    let mut month = Month::begin(&folder.path().join("data")).await;
    month.live().await;
    month.call().await;
    let recount = month.store.ledger.recount((START.plus_secs(-DAY), UNTIL), &[]).await.unwrap();
    assert_eq!((recount.events, recount.differing), ((CALLS + REFUNDS) as u64, 0), "counted anew from the events");
    month.write_down(folder.path()).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manage/statements/month/bill.py");
    let billed = Command::new("python3").arg(script).arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&billed.stdout);
    print!("{said}");
    assert!(billed.status.success(), "{said}{}", String::from_utf8_lossy(&billed.stderr));
}
