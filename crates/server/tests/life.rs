//! The whole life of keys against a simple model: whatever is done to keys, and in whatever order, each text that was ever
//! given out is answered as the model says, by a node that followed and by one that starts anew.
#![allow(clippy::unwrap_used, reason = "a test that can't go on says so")]

use keystile_core::Code;
use keystile_core::api::ApiSettings;
use keystile_core::decide::ActivationState;
use keystile_core::facts::Facts;
use keystile_core::id::{ActivationId, ApiId, KeyId, OrganizationId, PatternId, ProjectId};
use keystile_core::key::{Environment, KeyKind, KeyState, move_end, overlap_end};
use keystile_core::member::OrganizationKind;
use keystile_core::metadata::Tags;
use keystile_core::pattern::Filter;
use keystile_core::policy::Policy;
use keystile_core::time::{Moment, Ticks, Timestamp};
use keystile_server::enforce::engine::Door;
use keystile_server::enforce::feed::Feed;
use keystile_server::enforce::file::SnapshotFile;
use keystile_store::records::{NewKey, NewVersion, ProjectAbout, Suspension, Wish};
use keystile_store::{Actor, Applied, ApplyError, Author, Change, OpenError, Store, Who};
use proptest::prelude::*;

const OWNER: OrganizationId = OrganizationId::from_entropy([1; 16]);
const API: ApiId = ApiId::from_entropy([2; 16]);
const PROJECT: ProjectId = ProjectId::from_entropy([3; 16]);
const LINK: ActivationId = ActivationId::from_entropy([4; 16]);
const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Something that is done. Keys are named by a number that is brought into the range of those that there are.
#[derive(Debug, Clone)]
enum Action {
    Create { lives: Option<u32> },
    Rotate { key: usize, overlap: u32 },
    EndVersion { key: usize, version: u16, seconds: u32 },
    Disable { key: usize },
    Enable { key: usize },
    Revoke { key: usize },
    Compromise { key: usize, replace: bool },
    SetEnd { key: usize, lives: Option<u32> },
    Delete { key: usize },
    Undelete { key: usize },
    ImportAgain { key: usize, text: usize },
    SwitchApi { active: bool },
    Link { state: ActivationState },
    SuspendProject { suspended: bool },
    Assign { key: usize, has: bool },
    AssignProject { has: bool },
    ChangePattern { passes: bool },
    DropPattern,
    Pass { seconds: u32 },
    StartAnew { from_file: bool },
}

fn action() -> impl Strategy<Value = Action> {
    let (key, lives) = (0..64_usize, || proptest::option::of(1..120_u32));
    let state = (0..4_usize).prop_map(|n| ActivationState::ALL[n]);
    prop_oneof![
        4 => lives().prop_map(|lives| Action::Create { lives }),
        6 => (key.clone(), 0..90_u32).prop_map(|(key, overlap)| Action::Rotate { key, overlap }),
        3 => (key.clone(), 1..5_u16, 0..90_u32)
            .prop_map(|(key, version, seconds)| Action::EndVersion { key, version, seconds }),
        2 => key.clone().prop_map(|key| Action::Disable { key }),
        3 => key.clone().prop_map(|key| Action::Enable { key }),
        1 => key.clone().prop_map(|key| Action::Revoke { key }),
        1 => (key.clone(), any::<bool>()).prop_map(|(key, replace)| Action::Compromise { key, replace }),
        2 => (key.clone(), lives()).prop_map(|(key, lives)| Action::SetEnd { key, lives }),
        3 => key.clone().prop_map(|key| Action::Delete { key }),
        3 => key.clone().prop_map(|key| Action::Undelete { key }),
        3 => (key.clone(), 0..4_usize).prop_map(|(key, text)| Action::ImportAgain { key, text }),
        1 => (0..4_u8).prop_map(|n| Action::SwitchApi { active: n != 0 }),
        1 => state.prop_map(|state| Action::Link { state }),
        1 => (0..4_u8).prop_map(|n| Action::SuspendProject { suspended: n == 0 }),
        3 => (key.clone(), any::<bool>()).prop_map(|(key, has)| Action::Assign { key, has }),
        1 => any::<bool>().prop_map(|has| Action::AssignProject { has }),
        2 => any::<bool>().prop_map(|passes| Action::ChangePattern { passes }),
        1 => Just(Action::DropPattern),
        4 => (1..60_u32).prop_map(|seconds| Action::Pass { seconds }),
        1 => any::<bool>().prop_map(|from_file| Action::StartAnew { from_file }),
    ]
}

/// A key as the model knows it.
#[derive(Debug, Clone)]
struct ModelKey {
    id: KeyId,
    /// Every text that it had, with its end; the last one is the latest.
    texts: Vec<(String, Option<Timestamp>)>,
    ends: Option<Timestamp>,
    state: KeyState,
    deleted: bool,
    /// Whether the pattern was assigned to it.
    has_pattern: bool,
}

struct Model {
    keys: Vec<ModelKey>,
    now: Timestamp,
    active: bool,
    link: ActivationState,
    suspended: bool,
    /// Whether the pattern was assigned to the project, and whether it lets a call pass.
    project_has_pattern: bool,
    pattern_passes: bool,
    made: u64,
}

impl Model {
    /// What a text must be answered with.
    fn expected(&self, text: &str) -> Code {
        let found = self.keys.iter().filter(|key| !key.deleted).find_map(|key| {
            let (_, ends) = key.texts.iter().find(|(own, _)| own == text)?;
            Some((key, *ends))
        });
        let Some((key, ends)) = found else { return Code::KeyUnknown };
        let has_ended = |end: Option<Timestamp>| end.is_some_and(|end| end <= self.now);
        match key.state {
            KeyState::Revoked { .. } => Code::KeyRevoked,
            KeyState::Disabled { .. } => Code::KeyDisabled,
            KeyState::Active if has_ended(ends) || has_ended(key.ends) => Code::KeyExpired,
            KeyState::Active if self.suspended => Code::Suspended,
            KeyState::Active if !self.active => Code::ApiInactive,
            KeyState::Active => match self.link {
                ActivationState::Approved if !self.pattern_passes && (key.has_pattern || self.project_has_pattern) => {
                    Code::PatternForbidden
                }
                ActivationState::Approved => Code::Allowed,
                ActivationState::Suspended => Code::Suspended,
                ActivationState::Requested | ActivationState::Refused => Code::NotActivated,
            },
        }
    }

    fn is_living(&self, text: &str) -> bool {
        self.keys.iter().any(|key| !key.deleted && key.texts.iter().any(|(own, _)| own == text))
    }
}

struct World {
    folder: tempfile::TempDir,
    store: Store,
    feed: Feed,
    pattern: PatternId,
    model: Model,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut fill = |bytes: &mut [u8]| -> Result<(), OpenError> {
            bytes.fill(7);
            Ok(())
        };
        let store = Store::open(folder.path(), &folder.path().join("root.key"), START, &mut fill).await.unwrap();
        let feed = Feed::start(&store, None, keystile_core::time::Timestamp::from_secs(0)).await.unwrap();
        let (active, link) = (true, ActivationState::Approved);
        let model = Model {
            keys: Vec::new(),
            now: START,
            active,
            link,
            suspended: false,
            project_has_pattern: false,
            pattern_passes: false,
            made: 0,
        };
        let pattern = PatternId::from_entropy([5; 16]);
        let world = Self { folder, store, feed, pattern, model };
        let about = ProjectAbout { name: "project".to_owned(), ..ProjectAbout::default() };
        let settings = ApiSettings::new("http://127.0.0.1:9".parse().unwrap());
        for change in [
            Change::CreateOrganization { id: OWNER, name: "owner".to_owned(), kind: OrganizationKind::Owner },
            Change::CreateApi { id: API, name: "api".to_owned(), settings, document: None },
            Change::CreateProject { id: PROJECT, about, environment: Environment::Live },
            Change::CreateActivation { id: LINK, project: PROJECT, api: API, wish: Wish::default() },
            world.new_pattern(),
        ] {
            world.apply(change).await.unwrap();
        }
        world
    }

    fn new_pattern(&self) -> Change {
        let (name, filter) = ("pattern".parse().unwrap(), filter(self.model.pattern_passes));
        Change::CreatePattern { id: self.pattern, name, description: String::new(), filter }
    }

    fn policy(&self, has_pattern: bool) -> Policy {
        Policy { patterns: has_pattern.then_some(self.pattern).into_iter().collect(), ..Policy::default() }
    }

    async fn apply(&self, change: Change) -> Result<Applied, ApplyError> {
        let actor = Actor { organization: OWNER, who: Who::System("test"), address: None, request: None };
        let author = Author { actor, at: self.model.now, idempotency: None };
        let applied = self.store.catalog.apply(&author, change).await?;
        self.feed.catch_up(applied.revision).await.unwrap();
        Ok(applied)
    }

    fn new_text(&mut self) -> String {
        self.model.made += 1;
        format!("a-text-that-is-long-enough-{}", self.model.made)
    }

    fn version(&self, text: &str) -> NewVersion {
        let pepper = &self.store.catalog.pepper();
        NewVersion { hint: String::new(), digest: pepper.digest(text), pepper_version: pepper.version(), text: None }
    }

    fn key(&self, text: &str, ends: Option<Timestamp>) -> NewKey {
        let NewVersion { hint, digest, pepper_version, text } = self.version(text);
        let id = KeyId::from_entropy((self.model.keys.len() as u128 + 1).to_be_bytes());
        let (name, kind) = ("key".to_owned(), KeyKind::Secret);
        NewKey { id, name, kind, hint, digest, pepper_version, text, expires_at: ends, tags: Tags::default() }
    }

    fn remember(&mut self, id: KeyId, text: String, ends: Option<Timestamp>, has_pattern: bool) {
        let texts = vec![(text, None)];
        self.model.keys.push(ModelKey { id, texts, ends, state: KeyState::Active, deleted: false, has_pattern });
    }

    /// The key that a number means, if there is one that is not deleted.
    fn living(&self, key: usize) -> Option<(usize, KeyId)> {
        let place = key.checked_rem(self.model.keys.len())?;
        let key = &self.model.keys[place];
        (!key.deleted).then_some((place, key.id))
    }

    async fn revision(&self, id: KeyId) -> u64 {
        self.store.catalog.key(OWNER, id).await.unwrap().unwrap().revision
    }

    async fn change_state(&mut self, key: usize, next: impl FnOnce(KeyState) -> Option<KeyState>) {
        let Some((place, id)) = self.living(key) else { return };
        let Some(state) = next(self.model.keys[place].state) else { return };
        let was = self.revision(id).await;
        self.apply(Change::KeyState { id, was, state, action: "test", reason: String::new() }).await.unwrap();
        self.model.keys[place].state = state;
    }

    async fn act(&mut self, action: &Action) {
        let now = self.model.now;
        let after = |lives: Option<u32>| lives.map(|seconds| now.plus_secs(seconds.into()));
        match *action {
            Action::Create { lives } => {
                let text = self.new_text();
                let key = self.key(&text, after(lives));
                let id = key.id;
                self.apply(Change::CreateKey { project: PROJECT, key, policy: Policy::default() }).await.unwrap();
                self.remember(id, text, after(lives), false);
            }
            Action::Rotate { key, overlap } => {
                let Some((place, id)) = self.living(key) else { return };
                let text = self.new_text();
                let (fresh, was) = (self.version(&text), self.revision(id).await);
                let key = &mut self.model.keys[place];
                let overlap = overlap_end(now, overlap).unwrap();
                let former_ends_at = key.ends.map_or(overlap, |end| end.min(overlap));
                key.texts.last_mut().unwrap().1 = Some(former_ends_at);
                key.texts.push((text, None));
                let expires_at = key.ends;
                self.apply(Change::RotateKey { id, was, fresh, former_ends_at, expires_at }).await.unwrap();
            }
            Action::EndVersion { key, version, seconds } => {
                let Some((place, id)) = self.living(key) else { return };
                let was = self.revision(id).await;
                let former = self.model.keys[place].texts.get_mut(usize::from(version) - 1);
                let Some((_, Some(end))) = former else { return };
                let Ok(ends_at) = move_end(*end, now, seconds) else { return };
                *end = ends_at;
                let change = Change::EndKeyVersion { id, was, version, ends_at, action: "end_version" };
                self.apply(change).await.unwrap();
            }
            Action::Disable { key } => self.change_state(key, |state| state.disable(now).ok()).await,
            Action::Enable { key } => self.change_state(key, |state| state.enable().ok()).await,
            Action::Revoke { key } => self.change_state(key, |state| Some(state.revoke(now))).await,
            Action::Compromise { key, replace } => {
                let Some((place, id)) = self.living(key) else { return };
                let text = self.new_text();
                let replacement = replace.then(|| self.key(&text, None));
                let (other, was) = (replacement.as_ref().map(|key| key.id), self.revision(id).await);
                let change = Change::CompromiseKey { id, was, replacement, reason: String::new() };
                self.apply(change).await.unwrap();
                self.model.keys[place].state = self.model.keys[place].state.revoke(now);
                if let Some(other) = other {
                    self.remember(other, text, None, self.model.keys[place].has_pattern);
                }
            }
            Action::SetEnd { key, lives } => {
                let Some((place, id)) = self.living(key) else { return };
                let was = self.revision(id).await;
                let policy = self.policy(self.model.keys[place].has_pattern);
                let (name, tags) = ("renamed".to_owned(), Tags::default());
                let expires_at = after(lives);
                self.apply(Change::UpdateKey { id, was, name, policy, expires_at, tags }).await.unwrap();
                self.model.keys[place].ends = expires_at;
            }
            Action::Delete { key } => {
                let Some((place, id)) = self.living(key) else { return };
                self.apply(Change::DeleteKey { id }).await.unwrap();
                self.model.keys[place].deleted = true;
            }
            Action::Undelete { key } => {
                let Some(place) = key.checked_rem(self.model.keys.len()) else { return };
                let (id, deleted) = (self.model.keys[place].id, self.model.keys[place].deleted);
                let is_taken = self.model.keys[place].texts.iter().any(|(text, _)| self.model.is_living(text));
                let back = self.apply(Change::UndeleteKey { id }).await;
                match (deleted, is_taken) {
                    (true, false) => {
                        back.unwrap();
                        self.model.keys[place].deleted = false;
                    }
                    (true, true) => assert!(matches!(back, Err(ApplyError::Exists(_))), "{back:?}"),
                    (false, _) => assert!(matches!(back, Err(ApplyError::NotFound(_))), "{back:?}"),
                }
            }
            Action::ImportAgain { key, text } => {
                let Some(place) = key.checked_rem(self.model.keys.len()) else { return };
                let texts = &self.model.keys[place].texts;
                let text = texts[text % texts.len()].0.clone();
                let is_known = self.model.is_living(&text);
                let key = self.key(&text, None);
                let id = key.id;
                let change = Change::ImportKeys { project: PROJECT, keys: vec![key.into()], policy: Policy::default() };
                let duplicates = self.apply(change).await.unwrap().duplicates;
                assert_eq!(duplicates.is_empty(), !is_known, "{text}");
                if !is_known {
                    self.remember(id, text, None, false);
                }
            }
            Action::SwitchApi { active } => {
                let api = self.store.catalog.api(OWNER, API).await.unwrap().unwrap();
                let (was, name, settings) = (api.revision, api.name, api.settings);
                let change = Change::UpdateApi { id: API, was, name, active, settings, document: None };
                self.apply(change).await.unwrap();
                self.model.active = active;
            }
            Action::Link { state } => {
                let was = self.store.catalog.activation(OWNER, LINK).await.unwrap().unwrap().revision;
                let change =
                    Change::UpdateActivation { id: LINK, was, state, reason: String::new(), granted: None, plan: None };
                self.apply(change).await.unwrap();
                self.model.link = state;
            }
            Action::SuspendProject { suspended } => {
                let was = self.store.catalog.project(OWNER, PROJECT).await.unwrap().unwrap().revision;
                let suspension = suspended.then(|| Suspension { since: now, reason: String::new() });
                self.apply(Change::SuspendProject { id: PROJECT, was, suspension }).await.unwrap();
                self.model.suspended = suspended;
            }
            Action::Assign { key, has } => {
                let Some((place, id)) = self.living(key) else { return };
                let (was, policy, expires_at) =
                    (self.revision(id).await, self.policy(has), self.model.keys[place].ends);
                let (name, tags) = ("assigned".to_owned(), Tags::default());
                self.apply(Change::UpdateKey { id, was, name, policy, expires_at, tags }).await.unwrap();
                self.model.keys[place].has_pattern = has;
            }
            Action::AssignProject { has } => {
                let was = self.store.catalog.project(OWNER, PROJECT).await.unwrap().unwrap().revision;
                let patterns = self.policy(has).patterns;
                let about = ProjectAbout { name: "project".to_owned(), patterns, ..ProjectAbout::default() };
                self.apply(Change::UpdateProject { id: PROJECT, was, about }).await.unwrap();
                self.model.project_has_pattern = has;
            }
            Action::ChangePattern { passes } => {
                let was = self.store.catalog.pattern(OWNER, self.pattern).await.unwrap().unwrap();
                let (id, name, filter) = (was.id, was.name, filter(passes));
                let change = Change::UpdatePattern { id, was: was.revision, name, description: String::new(), filter };
                self.apply(change).await.unwrap();
                self.model.pattern_passes = passes;
            }
            Action::DropPattern => {
                self.apply(Change::DeletePattern { id: self.pattern, unassign: true }).await.unwrap();
                self.model.keys.iter_mut().for_each(|key| key.has_pattern = false);
                self.model.project_has_pattern = false;
                self.model.made += 1;
                self.pattern = PatternId::from_entropy(u128::from(self.model.made).to_be_bytes());
                self.apply(self.new_pattern()).await.unwrap();
            }
            Action::Pass { seconds } => self.model.now = now.plus_secs(seconds.into()),
            Action::StartAnew { from_file } => {
                let file = SnapshotFile::new(self.folder.path().join("snapshot"), &self.store.catalog);
                if from_file {
                    let history = self.feed.history().await.unwrap();
                    file.save(&self.feed.engine().snapshot.keys, self.feed.revision(), &history).unwrap();
                }
                self.feed =
                    Feed::start(&self.store, from_file.then_some(&file), keystile_core::time::Timestamp::from_secs(0))
                        .await
                        .unwrap();
            }
        }
    }

    /// Every text that was ever given out is answered as it must be.
    fn check(&self, after: &Action) {
        let engine = self.feed.engine();
        let api = engine.snapshot.apis.get(1).clone().unwrap();
        let at = Moment { wall: self.model.now, ticks: Ticks::from_nanos(1 << 60) };
        let facts = Facts { path: Some("/pets"), ..Facts::at(at) };
        for text in self.model.keys.iter().flat_map(|key| key.texts.iter().map(|(text, _)| text)) {
            let verdict = engine.check(text, Door::Api(&api), &facts);
            assert_eq!(verdict.code, self.model.expected(text), "{text} after {after:?}");
            if let Some(key) = verdict.key {
                let owner =
                    self.model.keys.iter().find(|key| !key.deleted && key.texts.iter().any(|(own, _)| own == text));
                assert_eq!(owner.map(|owner| owner.id), Some(key.entry.id), "{text} after {after:?}");
            }
        }
    }
}

/// One that lets the call pass, or does not.
fn filter(passes: bool) -> Filter {
    let list = if passes { "allow" } else { "deny" };
    serde_json::from_str(&format!(r#"{{"{list}":[{{"paths":["/pets"]}}]}}"#)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_text_is_answered_as_a_simple_model_says(actions in proptest::collection::vec(action(), 10..70)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            world.act(&Action::Create { lives: None }).await;
            for action in &actions {
                world.act(action).await;
                world.check(action);
            }
        });
    }
}
