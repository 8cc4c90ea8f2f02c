//! Promises of keys that are known by slow hashes.

use std::sync::Arc;

use futures_util::future::join_all;
use http::HeaderValue;
use keystile_core::Code;
use keystile_core::facts::Facts;
use keystile_core::id::{KeyId, OrganizationId, ProjectId};
use keystile_core::key::{Environment, KeyKind, Pepper, PepperSecret, ShortToken, SlowHash, Standing, TextHash};
use keystile_core::policy::Policy;
use keystile_core::time::{Moment, Ticks, Timestamp};
use keystile_store::records::FeedSlow;

use super::*;
use crate::enforce::engine::{Door, Engine};
use crate::enforce::keys::KeyEntry;
use crate::enforce::snapshot::{PolicyView, ProjectView, Snapshot};

const TEXT: &str = "sk_legacy_5up3r53cr3t-0123456789";
const NOW: Ticks = Ticks::from_nanos(1 << 60);

fn pepper() -> Pepper {
    Pepper::new(1, &PepperSecret::new([1; 32]))
}

fn engine() -> Engine {
    let snapshot = Snapshot::with_capacity(0);
    let project = ProjectView {
        suspended: false,
        patterns: Box::default(),
        number: 1,
        owner: 1,
        id: ProjectId::from_entropy([1; 16]),
        organization: OrganizationId::from_entropy([1; 16]),
        environment: Environment::Live,
        id_header: HeaderValue::from_static("prj"),
        name_header: HeaderValue::from_static("p"),
        links: Vec::new(),
    };
    snapshot.projects.set(1, Some(Arc::new(project)));
    snapshot.policies.set(1, Some(Arc::new(PolicyView::new(Policy::default()))));
    Engine::new(snapshot, vec![pepper()])
}

fn put_key(engine: &Engine, number: u32, digest: KeyDigest, standing: Standing) {
    engine.snapshot.keys.put(&KeyEntry {
        number,
        digest,
        id: KeyId::from_entropy([number as u8; 16]),
        project: 1,
        policy: 1,
        expires_at: None,
        standing,
        kind: KeyKind::Secret,
        environment: Environment::Live,
    });
}

fn slow(number: u32, lookup: Lookup, hash: &str) -> FeedSlow {
    let slow = SlowHash { lookup, hash: hash.to_owned() };
    FeedSlow { key: number, version: 1, digest: pepper().placeholder(&slow), slow: Some(slow) }
}

/// A key under bcrypt that begins with its first nine characters.
fn bcrypt_of(number: u32, text: &str, cost: u32) -> FeedSlow {
    slow(number, pepper().lookup_of_beginning(&text[..9]), &bcrypt::hash(text, cost).unwrap())
}

fn put(engine: &Engine, slow: FeedSlow) {
    put_key(engine, slow.key, slow.digest, Standing::Active);
    engine.slow.put(slow.key..=slow.key, [slow]);
}

fn code(engine: &Engine, text: &str) -> Code {
    let at = Moment { wall: Timestamp::from_secs(1_000), ticks: NOW };
    engine.check(text, Door::KeyAlone, &Facts::at(at)).code
}

#[tokio::test]
async fn k08_a_text_opens_its_key_once_it_was_verified_and_others_are_unknown() {
    let engine = engine();
    assert!(!engine.may_prove(TEXT), "there is no such key");
    let one = bcrypt_of(1, TEXT, 4);
    let placeholder = one.digest;
    put(&engine, one);
    assert_eq!(code(&engine, TEXT), Code::KeyUnknown);
    let wrong = TEXT.replace("789", "780");
    assert!(engine.may_prove(TEXT) && engine.may_prove(&wrong) && !engine.may_prove("another-beginning-0123"));
    assert_eq!(engine.prove(&wrong, NOW).await, Proof::Fails);
    assert_eq!(code(&engine, &wrong), Code::KeyUnknown);
    assert_eq!(engine.prove("another-beginning-0123", NOW).await, Proof::Fails);
    assert_eq!(engine.prove(TEXT, NOW).await, Proof::Fits);
    assert_eq!(code(&engine, TEXT), Code::Allowed);
    put_key(&engine, 1, placeholder, Standing::Revoked);
    assert_eq!(code(&engine, TEXT), Code::KeyRevoked, "what was verified is who it is, not what it may");
    engine.slow.put(1..=1, []);
    assert!(!engine.slow.is_any() && !engine.may_prove(TEXT));
}

#[tokio::test]
async fn k05_a_slow_hash_that_was_written_into_the_store_from_outside_opens_nothing() {
    let engine = engine();
    let own = bcrypt_of(1, TEXT, 4);
    let FeedSlow { slow: hash, .. } = own.clone();
    // Somebody who knows a key of his own gives its hash to another's key, whose digest he can read.
    let others = pepper().digest("another key's text, which nobody else knows");
    put_key(&engine, 2, others, Standing::Active);
    engine.slow.put(2..=2, [FeedSlow { key: 2, version: 1, digest: others, slow: hash }]);
    assert!(!engine.may_prove(TEXT));
    assert_eq!(engine.prove(TEXT, NOW).await, Proof::Fails);
    assert_eq!(code(&engine, TEXT), Code::KeyUnknown);
    put(&engine, own);
    assert_eq!(engine.prove(TEXT, NOW).await, Proof::Fits, "as it came it does");
}

#[tokio::test]
async fn one_lookup_is_tried_so_often_in_a_minute_and_the_same_text_once() {
    let engine = engine();
    put(&engine, bcrypt_of(1, TEXT, 4));
    let wrong = |n: u32| format!("{}-{n:020}", &TEXT[..9]);
    for _ in 0..100 {
        assert_eq!(engine.prove(&wrong(0), NOW).await, Proof::Fails);
    }
    for n in 1..memory::MAX_TRIES {
        assert_eq!(engine.prove(&wrong(n), NOW).await, Proof::Fails);
    }
    assert_eq!(engine.prove(TEXT, NOW).await, Proof::Fails, "tried too often");
    let next = Ticks::from_nanos(NOW.as_nanos() + 60_000_000_000);
    assert_eq!(engine.prove(TEXT, next).await, Proof::Fits);
}

#[tokio::test]
async fn calls_with_one_text_wait_for_one_verification() {
    let engine = engine();
    put(&engine, bcrypt_of(1, TEXT, 8));
    let proofs = join_all((0..200).map(|_| engine.prove(TEXT, NOW))).await;
    assert!(proofs.iter().all(|proof| *proof == Proof::Fits), "{proofs:?}");
}

#[tokio::test]
async fn r09_more_texts_than_can_be_verified_are_told_to_come_again() {
    let engine = engine();
    let hash = bcrypt::hash(TEXT, 8).unwrap();
    for n in 0..6 {
        put(&engine, slow(n + 1, pepper().lookup_of_beginning(&format!("begin_{n}_")), &hash));
    }
    let texts: Vec<String> = (0..150).map(|n| format!("begin_{}_{n:020}", n % 6)).collect();
    let proofs = join_all(texts.iter().map(|text| engine.prove(text, NOW))).await;
    let count = |wanted: Proof| proofs.iter().filter(|proof| **proof == wanted).count();
    assert!(count(Proof::Overloaded) > 50 && count(Proof::Fails) >= 64, "{proofs:?}");
}

#[tokio::test]
async fn k07_a_text_that_can_be_guessed_is_found_by_its_whole_and_stays_under_its_hash() {
    let engine = engine();
    let weak = "1234567890123456";
    let hash = stretched(weak, &[7; SALT_LEN]).unwrap();
    put(&engine, slow(1, pepper().lookup_of_whole(weak), &hash));
    assert_eq!(engine.prove(weak, NOW).await, Proof::Fits);
    assert_eq!(code(&engine, weak), Code::Allowed);
    let mut asked = engine.slow.prover.rehashes.take();
    assert!(asked.try_recv().is_err(), "it gets no digest that could be tried quickly");
}

#[tokio::test]
async fn a_text_that_fits_is_to_be_written_down_once() {
    let engine = engine();
    put(&engine, bcrypt_of(1, TEXT, 4));
    for _ in 0..3 {
        assert_eq!(engine.prove(TEXT, NOW).await, Proof::Fits);
    }
    let mut asked = engine.slow.prover.rehashes.take();
    assert_eq!(asked.try_recv().unwrap().digest, pepper().digest(TEXT));
    assert!(asked.try_recv().is_err());
}

#[test]
fn a_key_with_a_short_token_is_opened_by_both_of_its_tokens() {
    let engine = engine();
    let long = "51FwqftsmMDHHbJAMEXXHCgG";
    let digest = |token: &str| pepper().digest_of_prefixed(ShortToken::parse(token).unwrap(), &TextHash::of(long));
    put_key(&engine, 1, digest("mycompany_BRTRKFsL"), Standing::Active);
    put_key(&engine, 2, digest("Xs3vGTLa"), Standing::Active);
    let texts = ["mycompany_BRTRKFsL", "other_BRTRKFsL", "any_Xs3vGTLa", "any_Xs3vGTLb"].map(|t| format!("{t}_{long}"));
    assert_eq!(code(&engine, &texts[0]), Code::KeyUnknown, "nobody has said that there is one");
    engine.slow.note_tokens();
    let codes = texts.each_ref().map(|text| code(&engine, text));
    assert_eq!(codes, [Code::Allowed, Code::KeyUnknown, Code::Allowed, Code::KeyUnknown]);
    assert_eq!(code(&engine, &texts[0].replace("HCgG", "HCgH")), Code::KeyUnknown);
}

#[test]
fn those_of_a_key_are_found_by_every_way_and_gone_with_it() {
    let engine = engine();
    let of = |chars: usize| pepper().lookup_of_beginning(&TEXT[..chars]);
    let at =
        |number: u32, version: u16, lookup: Lookup| FeedSlow { version, ..slow(number, lookup, &format!("{version}")) };
    engine
        .slow
        .put(1..=9, [at(1, 1, of(6)), at(1, 2, of(9)), at(2, 1, of(9)), at(3, 1, pepper().lookup_of_whole(TEXT))]);
    let found = |text: &str| engine.slow.candidates(text, &[pepper()]).len();
    assert_eq!((found(TEXT), found(&TEXT[..8]), found("sk_other_0123456789")), (4, 1, 0));
    assert_eq!((engine.slow.count(of(9)), engine.slow.count(of(6))), (2, 1));
    engine.slow.put(1..=1, [at(1, 2, of(9))]);
    assert_eq!(found(TEXT), 3);
    engine.slow.put(1..=2, [FeedSlow { slow: None, ..at(1, 2, of(9)) }]);
    assert_eq!(found(TEXT), 1);
    engine.slow.put(1..=u32::MAX, []);
    assert_eq!((found(TEXT), engine.slow.is_any()), (0, false));
}
