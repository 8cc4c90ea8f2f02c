//! K-8: can the time of an answer tell an unknown key from a revoked, an expired or a stranger's one?
//!
//! Welch's t-test over interleaved samples, as dudect does it (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant
//! time?", 2017): a million samples a class, the slowest tenth left out, |t| above 4.5 means that it can.
//! `cargo bench -p keystile-server --bench timing`. It prints and asserts nothing: the machine's own noise is in it.
#![allow(clippy::print_stdout, reason = "a measurement prints")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use keystile_core::api::ApiSettings;
use keystile_core::decide::ActivationState;
use keystile_core::facts::Facts;
use keystile_core::id::{ApiId, KeyId, OrganizationId, ProjectId};
use keystile_core::key::{Environment, KeyKind, Pepper, PepperSecret, Standing};
use keystile_core::policy::Policy;
use keystile_core::time::{Moment, Ticks, Timestamp};
use keystile_server::enforce::engine::{Door, Engine};
use keystile_server::enforce::keys::KeyEntry;
use keystile_server::enforce::operations::{ApiLabels, Operations};
use keystile_server::enforce::plans::Link;
use keystile_server::enforce::snapshot::{Alive, ApiView, PolicyView, ProjectView, Snapshot};
use keystile_server::upstream::Upstream;
use keystile_store::records::Api;

const SAMPLES: usize = 1_000_000;
/// Few enough to stay in the cache of a core: what is measured is the path, not the memory behind it.
const KEYS: u32 = 4_000;
const OURS: OrganizationId = OrganizationId::from_entropy([1; 16]);
const THEIRS: OrganizationId = OrganizationId::from_entropy([9; 16]);

fn text(n: u32) -> String {
    format!("gk_live_{n:032}")
}

fn engine() -> Engine {
    let snapshot = Snapshot::with_capacity(KEYS as usize);
    let pepper = Pepper::new(1, &PepperSecret::new([7; 32]));
    let link = Link::of(1, ActivationState::Approved);
    for (number, organization, activations) in [(1, OURS, vec![link]), (2, THEIRS, Vec::new())] {
        let view = ProjectView {
            number,
            owner: number,
            id: ProjectId::from_entropy([2; 16]),
            organization,
            environment: Environment::Live,
            suspended: false,
            patterns: Box::default(),
            id_header: HeaderValue::from_static("prj"),
            name_header: HeaderValue::from_static("timing"),
            links: activations,
        };
        snapshot.projects.set(number, Some(Arc::new(view)));
    }
    snapshot.policies.set(1, Some(Arc::new(PolicyView::new(Policy::default()))));
    for n in 0..KEYS {
        snapshot.keys.put(&KeyEntry {
            number: n + 1,
            digest: pepper.digest(&text(n)),
            id: KeyId::from_entropy([n as u8; 16]),
            // A quarter each: revoked, expired, a stranger's, in force.
            project: if n % 4 == 2 { 2 } else { 1 },
            policy: 1,
            expires_at: (n % 4 == 1).then_some(Timestamp::from_secs(1)),
            standing: if n % 4 == 0 { Standing::Revoked } else { Standing::Active },
            kind: KeyKind::Secret,
            environment: Environment::Live,
        });
    }
    Engine::new(snapshot, vec![pepper])
}

fn api() -> ApiView {
    let settings = ApiSettings::new("http://127.0.0.1:9".parse().expect("an upstream"));
    ApiView::new(
        &Api {
            id: ApiId::from_entropy([3; 16]),
            number: 1,
            organization: OURS,
            organization_number: 1,
            name: "timing".to_owned(),
            active: true,
            settings: settings.clone(),
            document: None,
            created_at: Timestamp::from_secs(0),
            updated_at: Timestamp::from_secs(0),
            revision: 1,
        },
        Operations::Segments(Arc::new(ApiLabels::new(1, Arc::default()))),
        Alive::default(),
        Arc::new(Upstream::new(&settings, None)),
        Vec::new(),
    )
}

fn main() {
    let engine = engine();
    let facts = Facts::at(Moment { wall: Timestamp::from_secs(1_000), ticks: Ticks::from_nanos(1 << 60) });
    let api = api();
    let every_fourth = |first: u32| (0..KEYS / 4).map(|n| text(4 * n + first)).collect::<Vec<_>>();
    let classes = [
        ("unknown", (0..KEYS / 4).map(|n| text(KEYS + n)).collect()),
        ("revoked", every_fourth(0)),
        ("expired", every_fourth(1)),
        ("a stranger's", every_fourth(2)),
    ];
    let mut samples = [const { Vec::new() }; 4];
    // SplitMix64 (Steele, Lea, Flood, 2014): which class is drawn says nothing of which of its keys is.
    let mut state = 1_u64;
    let mut dice = |sides: usize| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) as usize % sides
    };
    while samples.iter().any(|times| times.len() < SAMPLES) {
        let class = dice(classes.len());
        let texts = &classes[class].1;
        let text = &texts[dice(texts.len())];
        let took = nanoseconds(|| engine.check(black_box(text), Door::Api(&api), &facts).code);
        if samples[class].len() < SAMPLES {
            samples[class].push(took);
        }
    }
    for times in &mut samples {
        times.sort_unstable_by(f64::total_cmp);
        times.truncate(SAMPLES / 10 * 9);
    }
    for (a, b) in [(0, 3), (0, 1), (0, 2), (1, 2)] {
        let (x, y) = (moments(&samples[a]), moments(&samples[b]));
        let t = (x.0 - y.0) / (x.1 / x.2 + y.1 / y.2).sqrt();
        println!("{} {:.1} ns, {} {:.1} ns: t = {t:.2}", classes[a].0, x.0, classes[b].0, y.0);
    }
}

#[allow(clippy::disallowed_methods, reason = "a measurement reads the real clock")]
fn nanoseconds<T>(measured: impl FnOnce() -> T) -> f64 {
    let began = Instant::now();
    black_box(measured());
    began.elapsed().as_nanos() as f64
}

/// Mean, variance, count.
fn moments(times: &[f64]) -> (f64, f64, f64) {
    let count = times.len() as f64;
    let mean = times.iter().sum::<f64>() / count;
    let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, variance, count)
}
