//! What is told of keys, and when, by a clock that a test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use keystile_core::api::ApiSettings;
use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, ApiId, KeyId, OrganizationId, ProjectId};
use keystile_core::key::{Environment, KeyKind};
use keystile_core::policy::Policy;
use keystile_core::time::{Moment, Ticks, Timestamp};
use keystile_store::records::{NewKey, NewVersion};
use keystile_store::{Actor, Author, Change, OpenError, Store, Who};

use super::Lifecycle;
use crate::enforce::feed::Feed;
use crate::world::Clock;

const OWNER: OrganizationId = OrganizationId::from_entropy([1; 16]);
const DAY: i64 = 86_400;
const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A clock that stands still until it is moved.
#[derive(Default)]
struct Still(AtomicI64);

impl Clock for Still {
    fn now(&self) -> Moment {
        let wall = START.plus_secs(self.0.load(Ordering::Relaxed));
        Moment { wall, ticks: self.ticks() }
    }

    fn ticks(&self) -> Ticks {
        Ticks::from_nanos(1 << 60)
    }
}

struct World {
    _folder: tempfile::TempDir,
    store: Store,
    clock: Arc<Still>,
    lifecycle: Lifecycle,
    project: ProjectId,
}

impl World {
    async fn new(rules: ApiSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut fill = |bytes: &mut [u8]| -> Result<(), OpenError> {
            bytes.fill(7);
            Ok(())
        };
        let store = Store::open(folder.path(), &folder.path().join("root.key"), START, &mut fill).await.unwrap();
        let (api, project) = (ApiId::from_entropy([2; 16]), ProjectId::from_entropy([3; 16]));
        let clock = Arc::new(Still::default());
        let feed = Arc::new(Feed::start(&store, None).await.unwrap());
        let (catalog, ledger) = (store.catalog.clone(), store.ledger.clone());
        let lifecycle = Lifecycle { catalog, ledger, feed, clock: clock.clone() };
        let world = Self { _folder: folder, store, clock, lifecycle, project };
        world.apply(Change::CreateOrganization { id: OWNER, name: "owner".to_owned() }).await;
        world.apply(Change::CreateApi { id: api, name: "api".to_owned(), settings: rules, document: None }).await;
        let (name, description, contact) = ("project".to_owned(), String::new(), String::new());
        let environment = Environment::Live;
        world.apply(Change::CreateProject { id: project, name, description, contact, environment }).await;
        let (id, state) = (ActivationId::from_entropy([4; 16]), ActivationState::Approved);
        world.apply(Change::CreateActivation { id, project, api, state, reason: String::new() }).await;
        world
    }

    async fn apply(&self, change: Change) {
        let actor = Actor { organization: OWNER, who: Who::System("test"), address: None, request: None };
        let author = Author { actor, at: self.clock.now().wall, idempotency: None };
        let applied = self.store.catalog.apply(&author, change).await.unwrap();
        self.lifecycle.feed.catch_up(applied.revision).await.unwrap();
    }

    /// A new key with so many days to live.
    async fn key(&self, days: Option<i64>) -> KeyId {
        static KEYS: AtomicU64 = AtomicU64::new(1);
        let n = KEYS.fetch_add(1, Ordering::Relaxed);
        let id = KeyId::from_entropy(u128::from(n).to_be_bytes());
        let fresh = self.version(&format!("key {n}"));
        let key = NewKey {
            id,
            name: format!("key {n}"),
            kind: KeyKind::Secret,
            hint: fresh.hint,
            digest: fresh.digest,
            pepper_version: fresh.pepper_version,
            expires_at: days.map(|days| self.clock.now().wall.plus_secs(days * DAY)),
        };
        self.apply(Change::CreateKey { project: self.project, key, policy: Policy::default() }).await;
        id
    }

    fn version(&self, text: &str) -> NewVersion {
        let pepper = &self.store.catalog.peppers()[0];
        NewVersion { hint: String::new(), digest: pepper.digest(text), pepper_version: pepper.version() }
    }

    async fn rotate(&self, id: KeyId, text: &str, overlap_days: i64) {
        let key = self.store.catalog.key(OWNER, id).await.unwrap().unwrap();
        let former_ends_at = self.clock.now().wall.plus_secs(overlap_days * DAY);
        let fresh = self.version(text);
        let change = Change::RotateKey { id, was: key.revision, fresh, former_ends_at, expires_at: key.expires_at };
        self.apply(change).await;
    }

    /// What a round after so many more days tells, in the order in which it is told.
    async fn told_after(&self, days: i64) -> Vec<(String, String)> {
        self.clock.0.fetch_add(days * DAY, Ordering::Relaxed);
        let newest = self.store.catalog.audit(OWNER, None, 1).await.unwrap()[0].sequence;
        self.lifecycle.round().await.unwrap();
        let all = self.store.catalog.audit(OWNER, None, 100).await.unwrap();
        let fresh = all.into_iter().filter(|entry| entry.sequence > newest);
        let mut told: Vec<_> = fresh.map(|entry| (entry.action, entry.subject)).collect();
        told.reverse();
        told
    }
}

fn settings() -> ApiSettings {
    ApiSettings::new("http://127.0.0.1:9".parse().unwrap())
}

fn told(action: &str, key: KeyId) -> (String, String) {
    (action.to_owned(), key.to_string())
}

#[tokio::test]
async fn k08_an_end_is_told_before_it_comes_and_when_it_has_each_once() {
    let world = World::new(settings()).await;
    let (long, short, never) = (world.key(Some(90)).await, world.key(Some(4)).await, world.key(None).await);
    let none: [(String, String); 0] = [];
    assert_eq!(world.told_after(0).await, none);
    assert_eq!(world.told_after(2).await, none, "whoever makes a key for four days knows that");
    assert_eq!(world.told_after(2).await, [told("key.expired", short)]);
    assert_eq!(world.told_after(71).await, none);
    assert_eq!(world.told_after(1).await, [told("key.expiring", long)], "two weeks before");
    assert_eq!(world.told_after(5).await, none, "once");
    assert_eq!(world.told_after(6).await, [told("key.expiring", long)], "three days before");
    assert_eq!(world.told_after(3).await, [told("key.expired", long)]);
    assert_eq!(world.told_after(1).await, none);
    let key = world.store.catalog.key(OWNER, never).await.unwrap().unwrap();
    assert!(key.expires_at.is_none());
    // Another end is another matter.
    let key = world.store.catalog.key(OWNER, long).await.unwrap().unwrap();
    let expires_at = Some(world.clock.now().wall.plus_secs(10 * DAY));
    let change = Change::UpdateKey { id: long, was: key.revision, name: key.name, policy: key.policy, expires_at };
    world.apply(change).await;
    assert_eq!(world.told_after(0).await, [told("key.expiring", long)]);
    // Of one that is revoked nothing is told.
    let key = world.store.catalog.key(OWNER, long).await.unwrap().unwrap();
    let state = key.state.revoke(START);
    world.apply(Change::KeyState { id: long, was: key.revision, state, action: "revoke" }).await;
    assert_eq!(world.told_after(20).await, none);
}

#[tokio::test]
async fn a_server_that_was_away_tells_what_it_missed_and_only_that() {
    let world = World::new(settings()).await;
    let (recent, old) = (world.key(Some(35)).await, world.key(Some(20)).await);
    assert_eq!(world.told_after(40).await, [told("key.expired", recent)], "not what ended weeks ago: {old}");
}

#[tokio::test]
async fn k10_the_end_of_a_former_version_is_told_once() {
    let world = World::new(settings()).await;
    let key = world.key(None).await;
    world.rotate(key, "second", 1).await;
    world.rotate(key, "third", 3).await;
    let none: [(String, String); 0] = [];
    assert_eq!(world.told_after(0).await, none);
    assert_eq!(world.told_after(1).await, [told("key.version_ended", key)]);
    assert_eq!(world.told_after(1).await, none);
    assert_eq!(world.told_after(1).await, [told("key.version_ended", key)], "the other one");
    assert_eq!(world.told_after(1).await, none);
}

#[tokio::test]
async fn k07_rotations_are_reminded_of_where_an_api_wants_them() {
    let none: [(String, String); 0] = [];
    let free = World::new(settings()).await;
    free.key(None).await;
    assert_eq!(free.told_after(400).await, none);
    let world = World::new(ApiSettings { rotate_key_days: Some(60), ..settings() }).await;
    let key = world.key(None).await;
    assert_eq!(world.told_after(45).await, none);
    let reminder = [told("key.rotation_due", key)];
    assert_eq!(world.told_after(1).await, reminder, "two weeks before");
    assert_eq!(world.told_after(1).await, none);
    assert_eq!(world.told_after(10).await, reminder, "three days before");
    assert_eq!(world.told_after(3).await, reminder, "it is due");
    assert_eq!(world.told_after(30).await, none, "that is no alarm clock");
    world.rotate(key, "fresh", 0).await;
    assert_eq!(world.told_after(0).await, [told("key.version_ended", key)]);
    assert_eq!(world.told_after(46).await, reminder, "of the next version again");
    // Of one that is long overdue when the rule comes, one thing is told.
    assert_eq!(world.told_after(100).await, reminder);
}
