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
use keystile_core::facts::Facts;
use keystile_core::id::{KeyId, OrganizationId, ProjectId};
use keystile_core::key::{Environment, KeyKind, Pepper, PepperSecret, Standing};
use keystile_core::policy::Policy;
use keystile_core::time::{Moment, Ticks, Timestamp};
use keystile_server::enforce::engine::{Door, Engine};
use keystile_server::enforce::keys::KeyEntry;
use keystile_server::enforce::snapshot::{PolicyView, ProjectView, Snapshot};

const SAMPLES: usize = 1_000_000;
const KEYS: u32 = 30_000;

fn text(n: u32) -> String {
    format!("gk_live_{n:032}")
}

fn engine() -> Engine {
    let snapshot = Snapshot::with_capacity(KEYS as usize);
    let pepper = Pepper::new(1, &PepperSecret::new([7; 32]));
    let organization = OrganizationId::from_entropy([1; 16]);
    let view = ProjectView {
        number: 1,
        owner: 1,
        id: ProjectId::from_entropy([2; 16]),
        organization,
        environment: Environment::Live,
        id_header: HeaderValue::from_static("prj"),
        name_header: HeaderValue::from_static("timing"),
        activations: Vec::new(),
    };
    snapshot.projects.set(1, Some(Arc::new(view)));
    snapshot.policies.set(1, Some(Arc::new(PolicyView::new(Policy::default()))));
    for n in 0..KEYS {
        snapshot.keys.put(&KeyEntry {
            number: n + 1,
            digest: pepper.digest(&text(n)),
            id: KeyId::from_entropy([n as u8; 16]),
            project: 1,
            policy: 1,
            // A third revoked, a third expired, a third in force.
            expires_at: (n % 3 == 1).then_some(Timestamp::from_secs(1)),
            standing: if n % 3 == 0 { Standing::Revoked } else { Standing::Active },
            kind: KeyKind::Secret,
            environment: Environment::Live,
        });
    }
    Engine::new(snapshot, vec![pepper])
}

fn main() {
    let engine = engine();
    let facts = Facts::at(Moment { wall: Timestamp::from_secs(1_000), ticks: Ticks::from_nanos(1 << 60) });
    let classes: [(&str, Vec<String>); 3] = [
        ("unknown", (0..KEYS / 3).map(|n| text(KEYS + n)).collect()),
        ("revoked", (0..KEYS / 3).map(|n| text(3 * n)).collect()),
        ("expired", (0..KEYS / 3).map(|n| text(3 * n + 1)).collect()),
    ];
    let mut samples = [const { Vec::new() }; 3];
    let mut state = 1_u64;
    // Thrown twice a sample: the class must not say which keys of it are taken.
    let mut dice = |sides: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % sides
    };
    while samples.iter().any(|times| times.len() < SAMPLES) {
        let class = dice(classes.len());
        let texts = &classes[class].1;
        let text = &texts[dice(texts.len())];
        let took = nanoseconds(|| engine.check(black_box(text), Door::KeyAlone, &facts).code);
        if samples[class].len() < SAMPLES {
            samples[class].push(took);
        }
    }
    for times in &mut samples {
        times.sort_unstable_by(f64::total_cmp);
        times.truncate(SAMPLES / 10 * 9);
    }
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
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
