//! What is told of keys, and when, by a clock that a test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use keystile_core::account::SessionLimits;
use keystile_core::api::{ApiSettings, UnusedKeys};
use keystile_core::code::Code;
use keystile_core::id::{ActivationId, ApiId, KeyId, OrganizationId, ProjectId};
use keystile_core::key::{Environment, KeyKind, KeyState};
use keystile_core::member::OrganizationKind;
use keystile_core::metadata::{Labels, Metadata};
use keystile_core::policy::Policy;
use keystile_core::time::{Moment, Ticks, Timestamp};
use keystile_core::usage::{Counts, Dimensions, UsageEvent};
use keystile_store::records::{NewKey, NewVersion, ProjectAbout, Wish};
use keystile_store::{Actor, Author, Change, OpenError, Store, Who};

use super::Lifecycle;
use super::Retention;
use crate::enforce::feed::Feed;
use crate::world::Clock;

const SESSIONS: SessionLimits = SessionLimits { idle_secs: 3_600, lifetime_secs: 86_400, proven_secs: 300 };

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
        let feed = Arc::new(Feed::start(&store, None, keystile_core::time::Timestamp::from_secs(0)).await.unwrap());
        let (catalog, ledger) = (store.catalog.clone(), store.ledger.clone());
        let lifecycle = Lifecycle {
            catalog,
            ledger,
            feed,
            clock: clock.clone(),
            sessions: SESSIONS,
            retention: Retention::default(),
        };
        let world = Self { _folder: folder, store, clock, lifecycle, project };
        world
            .apply(Change::CreateOrganization { id: OWNER, name: "owner".to_owned(), kind: OrganizationKind::Owner })
            .await;
        world.apply(Change::CreateApi { id: api, name: "api".to_owned(), settings: rules, document: None }).await;
        let about = ProjectAbout {
            name: "project".to_owned(),
            description: String::new(),
            contact: String::new(),
            max_keys: None,
            patterns: Vec::new(),
            labels: Labels::default(),
            metadata: Metadata::default(),
        };
        world.apply(Change::CreateProject { id: project, about, environment: Environment::Live }).await;
        let id = ActivationId::from_entropy([4; 16]);
        world.apply(Change::CreateActivation { id, project, api, wish: Wish::default() }).await;
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
            text: None,
            expires_at: days.map(|days| self.clock.now().wall.plus_secs(days * DAY)),
            tags: keystile_core::metadata::Tags::default(),
        };
        self.apply(Change::CreateKey { project: self.project, key, policy: Policy::default() }).await;
        id
    }

    fn version(&self, text: &str) -> NewVersion {
        let pepper = &self.store.catalog.pepper();
        NewVersion { hint: String::new(), digest: pepper.digest(text), pepper_version: pepper.version(), text: None }
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
    let change = Change::UpdateKey {
        id: long,
        was: key.revision,
        name: key.name,
        policy: key.policy,
        expires_at,
        tags: keystile_core::metadata::Tags::default(),
    };
    world.apply(change).await;
    assert_eq!(world.told_after(0).await, [told("key.expiring", long)]);
    // Of one that is revoked nothing is told.
    let key = world.store.catalog.key(OWNER, long).await.unwrap().unwrap();
    let state = key.state.revoke(START);
    world.apply(Change::KeyState { id: long, was: key.revision, state, action: "revoke", reason: String::new() }).await;
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

/// A call of a key, just now.
async fn used(world: &World, key: KeyId, sequence: u64) {
    let key = world.store.catalog.key(OWNER, key).await.unwrap().unwrap();
    let dimensions = Dimensions {
        organization: 1,
        api: 1,
        project: 1,
        key: key.number,
        version: 0,
        label: 0,
        code: Code::Allowed,
        status: 200,
    };
    let counts = Counts { calls: 1, ..Counts::default() };
    let event = UsageEvent { at: world.clock.now().wall, dimensions, client: None, facets: None, counts };
    world.store.ledger.append(1, sequence, event.at, &[], &[event]).await.unwrap();
}

async fn state(world: &World, key: KeyId) -> Option<KeyState> {
    world.store.catalog.key(OWNER, key).await.unwrap().map(|key| key.state)
}

#[tokio::test]
async fn k09_keys_that_nobody_uses_are_told_of_and_nothing_more_unless_the_owner_wants_it() {
    let world = World::new(ApiSettings { unused_key_days: Some(30), ..settings() }).await;
    let none: [(String, String); 0] = [];
    let (idle, busy) = (world.key(None).await, world.key(None).await);
    assert_eq!(world.told_after(29).await, none);
    used(&world, busy, 1).await;
    assert_eq!(world.told_after(1).await, [told("key.unused", idle)]);
    assert_eq!(world.told_after(1).await, none, "once");
    assert_eq!(world.told_after(28).await, [told("key.unused", busy)], "thirty days after its last call");
    assert_eq!(world.told_after(300).await, none);
    assert_eq!(
        (state(&world, idle).await, state(&world, busy).await),
        (Some(KeyState::Active), Some(KeyState::Active))
    );
    // A call begins another silence.
    used(&world, idle, 2).await;
    assert_eq!(world.told_after(30).await, [told("key.unused", idle)]);
    let free = World::new(settings()).await;
    free.key(None).await;
    assert_eq!(free.told_after(3_000).await, none);
}

#[tokio::test]
async fn k09_unused_keys_are_disabled_and_deleted_where_the_owner_wants_that() {
    let rules = ApiSettings { unused_key_days: Some(30), unused_keys: UnusedKeys::Disable, ..settings() };
    let world = World::new(rules).await;
    let key = world.key(None).await;
    assert_eq!(world.told_after(30).await, [told("key.unused", key), told("key.disable", key)]);
    let since = world.clock.now().wall;
    assert_eq!(state(&world, key).await, Some(KeyState::Disabled { since }));
    // Somebody who enables it wants it: it is not disabled for the same silence again, nor deleted.
    let was = world.store.catalog.key(OWNER, key).await.unwrap().unwrap().revision;
    world
        .apply(Change::KeyState { id: key, was, state: KeyState::Active, action: "enable", reason: String::new() })
        .await;
    let none: [(String, String); 0] = [];
    assert_eq!(world.told_after(300).await, none);

    let rules = ApiSettings { unused_key_days: Some(30), unused_keys: UnusedKeys::Delete, ..settings() };
    let world = World::new(rules).await;
    let (key, other) = (world.key(None).await, world.key(None).await);
    let was = world.store.catalog.key(OWNER, other).await.unwrap().unwrap().revision;
    let disabled = KeyState::Disabled { since: START };
    world.apply(Change::KeyState { id: other, was, state: disabled, action: "disable", reason: String::new() }).await;
    assert_eq!(world.told_after(30).await, [told("key.unused", key), told("key.disable", key)]);
    assert_eq!(world.told_after(29).await, none);
    assert_eq!(world.told_after(1).await, [told("key.delete", key)]);
    assert_eq!(state(&world, key).await, None);
    assert_eq!(state(&world, other).await, Some(disabled), "what somebody else disabled is left");
    assert!(world.lifecycle.feed.engine().snapshot.keys.iter().all(|entry| entry.id != key), "it is in force");
}

#[tokio::test]
async fn k43_details_of_the_audit_go_after_their_days_and_not_before() {
    let mut world = World::new(settings()).await;
    world.lifecycle.retention = Retention { audit_days: Some(30), ..Retention::default() };
    let newest = async |world: &World| world.store.catalog.audit(OWNER, None, 100).await.unwrap();
    world.told_after(29).await;
    assert!(newest(&world).await.iter().all(|entry| !entry.is_erased));
    let young = world.key(None).await;
    world.told_after(2).await;
    let entries = newest(&world).await;
    assert!(entries.iter().any(|entry| entry.is_erased));
    for entry in entries {
        assert_eq!(entry.is_erased, entry.subject != young.to_string(), "{entry:?}");
    }
    assert_eq!(world.store.catalog.verify_audit().await.unwrap(), None);
}
