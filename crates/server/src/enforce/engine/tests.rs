//! What holds for the engine.

use std::sync::atomic::Ordering;

use http::HeaderValue;
use keystile_core::decide::ActivationState;
use keystile_core::id::{KeyId, OrganizationId, ProjectId};
use keystile_core::key::{ENTROPY_LEN, Environment, KeyDigest, KeyText, PepperSecret, Prefix, Standing, TextHash};
use keystile_core::policy::Policy;
use keystile_core::time::{Moment, Ticks, Timestamp};
use keystile_store::StoreFault;
use sha2::{Digest, Sha256};

use super::*;
use crate::enforce::news::Trouble;
use crate::enforce::plans::Link;

const OURS: OrganizationId = OrganizationId::from_entropy([1; 16]);
const NOW: Moment = Moment { wall: Timestamp::from_secs(1_000), ticks: Ticks::from_nanos(1 << 60) };

fn pepper(version: u32) -> Pepper {
    Pepper::new(version, &PepperSecret::new([version as u8; 32]))
}

fn text(n: u8) -> String {
    KeyText::issue(&Prefix::default(), Environment::Live, &[n; ENTROPY_LEN]).unwrap().expose().to_owned()
}

fn engine(peppers: Vec<Pepper>) -> Engine {
    let snapshot = Snapshot::with_capacity(0);
    let project = ProjectView {
        number: 1,
        owner: 1,
        id: ProjectId::from_entropy([1; 16]),
        organization: OURS,
        environment: Environment::Live,
        id_header: HeaderValue::from_static("prj"),
        name_header: HeaderValue::from_static("p"),
        suspended: false,
        patterns: Box::default(),
        links: vec![Link::of(1, ActivationState::Approved)],
    };
    snapshot.projects.set(1, Some(Arc::new(project)));
    snapshot.policies.set(1, Some(Arc::new(PolicyView::new(Policy::default()))));
    Engine::new(snapshot, peppers)
}

fn put(engine: &Engine, n: u8, digest: KeyDigest, standing: Standing) {
    engine.snapshot.keys.put(&KeyEntry {
        number: u32::from(n),
        digest,
        id: KeyId::from_entropy([n; 16]),
        project: 1,
        policy: 1,
        expires_at: None,
        standing,
        kind: KeyKind::Secret,
        environment: Environment::Live,
    });
}

fn code(engine: &Engine, text: &str) -> Code {
    engine.check(text, Door::KeyAlone, &Facts::at(NOW)).code
}

#[test]
fn k03_junk_is_refused_without_a_look_up() {
    let engine = engine(vec![pepper(1)]);
    let mut broken = text(1);
    broken.replace_range(20..21, "x");
    let swapped = text(1).replace("_live_", "_test_");
    for junk in ["", "short", "has a space in it has a space", &broken, &swapped, &"x".repeat(600)] {
        assert_eq!(code(&engine, junk), Code::KeyMalformed, "{junk}");
    }
    assert_eq!(engine.lookups.load(Ordering::Relaxed), 0);
    assert_eq!(code(&engine, &text(1)), Code::KeyUnknown);
    assert_eq!(engine.lookups.load(Ordering::Relaxed), 1);
}

#[test]
fn k05_a_row_that_holds_the_plain_hash_opens_nothing() {
    let engine = engine(vec![pepper(1)]);
    put(&engine, 1, KeyDigest::from_bytes(Sha256::digest(text(1).as_bytes()).into()), Standing::Active);
    assert_eq!(code(&engine, &text(1)), Code::KeyUnknown);
    put(&engine, 2, pepper(2).digest(&text(2)), Standing::Active);
    assert_eq!(code(&engine, &text(2)), Code::KeyUnknown, "another pepper is another digest");
}

#[test]
fn k06_a_key_under_an_older_pepper_is_still_found() {
    let engine = engine(vec![pepper(2), pepper(1)]);
    put(&engine, 1, pepper(1).digest(&text(1)), Standing::Active);
    put(&engine, 2, pepper(2).digest_of_hash(&TextHash::of(&text(2))), Standing::Active);
    assert_eq!(code(&engine, &text(1)), Code::Allowed);
    assert_eq!(code(&engine, &text(2)), Code::Allowed);
    assert_eq!(engine.pepper().version(), 2, "new keys are stored under the newest");
}

#[test]
fn r14_without_news_a_known_key_goes_on_and_an_unknown_one_is_told_to_come_again() {
    let engine = engine(vec![pepper(1)]);
    assert_eq!(code(&engine, &text(9)), Code::KeyUnknown, "nothing is known");
    put(&engine, 1, pepper(1).digest(&text(1)), Standing::Active);
    put(&engine, 2, pepper(1).digest(&text(2)), Standing::Revoked);
    let codes = |engine: &Engine| [1, 2, 9].map(|n| code(engine, &text(n)));
    assert_eq!(codes(&engine), [Code::Allowed, Code::KeyRevoked, Code::KeyUnknown]);
    let gone = || Trouble { fault: StoreFault::Away, why: "gone".to_owned() };
    engine.news.doubt(gone(), false);
    assert_eq!(codes(&engine), [Code::Allowed, Code::KeyRevoked, Code::Stale]);
    assert_eq!(code(&engine, "no key at all"), Code::KeyMalformed);
    engine.news.doubt(gone(), true);
    assert_eq!(codes(&engine), [Code::Stale; 3]);
}

#[test]
fn k08_an_unknown_key_is_answered_without_a_word_of_the_stand_in() {
    let engine = engine(vec![pepper(1)]);
    put(&engine, 1, pepper(1).digest(&text(1)), Standing::Revoked);
    let verdict = engine.check(&text(9), Door::KeyAlone, &Facts::at(NOW));
    assert_eq!(verdict.code, Code::KeyUnknown);
    assert!(verdict.key.is_none() && verdict.readings.is_empty() && verdict.retry_nanos.is_none());
    assert!(engine.identify(&text(9)).is_none());
    assert_eq!(code(&engine, &text(1)), Code::KeyRevoked);
}
