//! What a decision costs, with everything it needs in memory: `cargo bench -p keystile-server --bench decision`.
//!
//! Allocations are counted too: a decision makes none, but for what a plan says, which is boxed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use divan::{AllocProfiler, Bencher, black_box};
use http::HeaderValue;
use keystile_core::api::ApiSettings;
use keystile_core::decide::ActivationState;
use keystile_core::facts::Facts;
use keystile_core::id::{ActivationId, ApiId, KeyId, OrganizationId, PlanId, ProjectId};
use keystile_core::key::{Environment, KeyKind, Pepper, PepperSecret, Standing};
use keystile_core::limit::{Algorithm, LimitRule};
use keystile_core::plan::{Exhausted, Period, PlanTerms, Quota};
use keystile_core::policy::Policy;
use keystile_core::time::{Moment, Ticks, Timestamp};
use keystile_server::enforce::engine::{Door, Engine};
use keystile_server::enforce::keys::KeyEntry;
use keystile_server::enforce::operations::{ApiLabels, Operations};
use keystile_server::enforce::plans::{Link, Plans};
use keystile_server::enforce::snapshot::{Alive, ApiView, PolicyView, ProjectView, Snapshot};
use keystile_server::upstream::Upstream;
use keystile_store::records::{Api, FeedActivation, Plan, PlanVersion};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const OWNER: OrganizationId = OrganizationId::from_entropy([1; 16]);

struct World {
    engine: Engine,
    api: Arc<ApiView>,
    /// The same with limits by project, address and operation.
    limited: Arc<ApiView>,
    /// One where the project has a plan with a limit and a quota beyond which calls go on.
    planned: Arc<ApiView>,
    keys: u32,
}

fn text(n: u32) -> String {
    format!("gk_live_{n:032}")
}

fn rule(name: &str, limit: u32, window: u32, algorithm: Algorithm) -> LimitRule {
    LimitRule::new(name, limit, window, algorithm, None).expect("a limit")
}

/// The project with these links.
fn project(links: Vec<Link>) -> Option<Arc<ProjectView>> {
    Some(Arc::new(ProjectView {
        number: 1,
        owner: 1,
        id: ProjectId::from_entropy([2; 16]),
        organization: OWNER,
        environment: Environment::Live,
        id_header: HeaderValue::from_static("prj"),
        name_header: HeaderValue::from_static("bench"),
        suspended: false,
        patterns: Box::default(),
        links,
    }))
}

/// A plan with a limit and a quota beyond which calls go on, so that nothing has to be taken for them.
fn plan() -> Plan {
    let quota = Quota::new("month", 1, Period::Month).expect("a quota");
    let terms = PlanTerms {
        rate_limits: vec![rule("minute", 1_000_000_000, 60, Algorithm::SlidingWindow)],
        quotas: vec![Quota { on_exhausted: Exhausted::Allow, ..quota }],
        ..PlanTerms::default()
    };
    let at = Timestamp::from_secs(0);
    Plan {
        id: PlanId::from_entropy([4; 16]),
        number: 1,
        api: ApiId::from_entropy([3; 16]),
        api_number: 2,
        organization: OWNER,
        name: "bench".parse().expect("a name"),
        description: String::new(),
        standard: false,
        versions: vec![PlanVersion { version: 1, terms, from: at, created_at: at }],
        created_at: at,
        updated_at: at,
        revision: 1,
    }
}

/// An engine with so many keys of one project; even ones have no limits, odd ones have three.
fn world(keys: u32) -> World {
    let snapshot = Snapshot::with_capacity(keys as usize);
    let pepper = Pepper::new(1, &PepperSecret::new([7; 32]));
    let limits = vec![
        rule("second", 1_000_000, 1, Algorithm::TokenBucket),
        rule("minute", 100_000_000, 60, Algorithm::SlidingWindow),
        rule("day", 1_000_000_000, 86_400, Algorithm::SlidingWindow),
    ];
    snapshot.policies.set(1, Some(Arc::new(PolicyView::new(Policy::default()))));
    snapshot.policies.set(2, Some(Arc::new(PolicyView::new(Policy { rate_limits: limits, ..Policy::default() }))));
    for n in 0..keys {
        snapshot.keys.put(&KeyEntry {
            number: n + 1,
            digest: pepper.digest(&text(n)),
            id: KeyId::from_entropy([n as u8; 16]),
            project: 1,
            policy: 1 + n % 2,
            expires_at: None,
            standing: Standing::Active,
            kind: KeyKind::Secret,
            environment: Environment::Live,
        });
    }
    let plain = ApiSettings::new("http://127.0.0.1:9".parse().expect("an upstream"));
    let by = |name, dimension: &str| {
        let rule = rule(name, 1_000_000_000, 60, Algorithm::SlidingWindow);
        rule.by(vec![dimension.parse().expect("a dimension")]).expect("one of them")
    };
    let rate_limits = vec![by("a", "project"), by("b", "client_address"), by("c", "operation")];
    let limited = ApiSettings { rate_limits, ..plain.clone() };
    let [api, limited, mut planned] = [(1, plain.clone()), (1, limited), (2, plain)].map(|(number, settings)| {
        ApiView::new(
            &Api {
                id: ApiId::from_entropy([3; 16]),
                number,
                organization: OWNER,
                organization_number: 1,
                name: "bench".to_owned(),
                active: true,
                settings: settings.clone(),
                document: None,
                created_at: Timestamp::from_secs(0),
                updated_at: Timestamp::from_secs(0),
                revision: 1,
            },
            Operations::Segments(Arc::new(ApiLabels::new(number, snapshot.labels.clone()))),
            Alive::default(),
            Arc::new(Upstream::new(&settings, None)),
            Vec::new(),
        )
    });
    planned.plans = Plans::new(&[plan()]);
    let engine = Engine::new(snapshot, vec![pepper]);
    let with_plan = FeedActivation {
        number: 1,
        id: ActivationId::from_entropy([5; 16]),
        api: 2,
        state: ActivationState::Approved,
        granted: None,
        plan: Some((1, Timestamp::from_secs(0))),
        ceilings: Vec::new(),
    };
    let links = vec![Link::of(1, ActivationState::Approved), Link::new(&with_plan, 1, &engine.quotas)];
    engine.snapshot.put_project(1, project(links));
    let [api, limited, planned] = [api, limited, planned].map(Arc::new);
    World { engine, api, limited, planned, keys }
}

fn million() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| world(1_000_000))
}

fn ten_thousand() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| world(10_000))
}

/// Decides calls of keys all over the table; `parity` picks keys without (0) or with (1) limits.
fn decide(bencher: Bencher<'_, '_>, world: &World, api: &ApiView, parity: u32) {
    let texts: Vec<String> =
        (0..4_096u32).map(|n| text((n.wrapping_mul(2_654_435_761) % world.keys) & !1 | parity)).collect();
    let mut at = 0;
    let moment = Moment { wall: Timestamp::from_secs(1), ticks: Ticks::from_nanos(1 << 60) };
    bencher.bench_local(|| {
        at = (at + 1) % texts.len();
        let client = Some(IpAddr::V4(Ipv4Addr::from_bits(at as u32)));
        let facts = Facts { client, operation: Some(at as u32 % 64), ..Facts::at(moment) };
        world.engine.check(black_box(&texts[at]), Door::Api(api), &facts).code
    });
}

#[divan::bench]
fn key_alone_of_a_million(bencher: Bencher<'_, '_>) {
    decide(bencher, million(), &million().api, 0);
}

#[divan::bench]
fn key_and_three_limits_of_a_million(bencher: Bencher<'_, '_>) {
    decide(bencher, million(), &million().api, 1);
}

#[divan::bench]
fn key_and_three_limits_of_ten_thousand(bencher: Bencher<'_, '_>) {
    decide(bencher, ten_thousand(), &ten_thousand().api, 1);
}

#[divan::bench]
fn key_and_three_limits_of_each_of_key_and_api(bencher: Bencher<'_, '_>) {
    decide(bencher, ten_thousand(), &ten_thousand().limited, 1);
}

#[divan::bench]
fn key_with_a_plan_of_ten_thousand(bencher: Bencher<'_, '_>) {
    decide(bencher, ten_thousand(), &ten_thousand().planned, 0);
}

#[divan::bench]
fn unknown_key_of_a_million(bencher: Bencher<'_, '_>) {
    let world = million();
    let facts = Facts::at(Moment { wall: Timestamp::from_secs(1), ticks: Ticks::from_nanos(1 << 60) });
    bencher.bench_local(|| {
        world.engine.check(black_box("gk_live_no_such_key_here_0123456789"), Door::Api(&world.api), &facts).code
    });
}
