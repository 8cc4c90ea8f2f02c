//! Keeps the snapshot current: reads from the catalogue what a revision touched and puts it in place.
//!
//! The feed is the only writer of the snapshot. Whoever changes the catalogue asks it to catch up to the revision of
//! the change before answering, so that a change is in force on the next call (a revocation above all).

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderValue;
use keystile_core::api::OperationPermissions;
use keystile_core::operation::OperationTable;
use keystile_core::permission::PermissionQuery;
use keystile_core::time::Timestamp;
use keystile_store::records::{Api, FeedKey, FeedProject, FeedSlow};
use keystile_store::{Catalog, History, Store, StoreError, StoreFault, Subject};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::credits::ENDED_SECS;
use super::engine::Engine;
use super::file::SnapshotFile;
use super::keys::{KeyEntry, Keys, Text};
use super::maker::Makers;
use super::operations::{ApiLabels, Operations};
use super::patterns::Patterns;
use super::plans::{Link, Plans};
use super::quotas::Quotas;
use super::roles::Roles;
use super::snapshot::{Alive, ApiView, PolicyView, ProjectView, Router, Snapshot, header_text};
use crate::openapi::ApiDocument;
use crate::upstream::{Secrets, Upstream};

/// Revisions read in one go.
const BATCH: u32 = 1_000;
/// How long a follower may take to catch up.
const FOLLOWING: Duration = Duration::from_secs(2);

/// The reader of revisions.
pub struct Feed {
    catalog: Catalog,
    engine: Arc<Engine>,
    /// The revision up to which the snapshot holds everything.
    revision: AtomicU64,
    /// Whether the last change failed by the store's fault.
    has_failed: AtomicBool,
    /// Another process that answers from the same catalogue, and does not read it of its own accord.
    follower: Mutex<Option<Follower>>,
    /// Who makes the changes that are read here.
    pub makers: Makers,
    state: Mutex<State>,
}

/// Where a follower is told to which revision it must catch up, and how it says that it has.
pub type Follower = mpsc::Sender<(u64, oneshot::Sender<()>)>;

#[derive(Default)]
struct State {
    apis: BTreeMap<u32, Arc<ApiView>>,
    /// Labels without a document; kept when the API changes.
    labels: HashMap<u32, Arc<ApiLabels>>,
    /// Calls that are being answered; kept when the API changes.
    alive: HashMap<u32, Alive>,
    /// The highest policy number that was read.
    policies: u32,
    /// What policies grant besides their own.
    roles: Roles,
    /// What calls of keys and projects must pass.
    patterns: Patterns,
}

impl State {
    /// A policy as a call needs it, with the patterns that it names.
    fn with_patterns(&mut self, view: PolicyView) -> Arc<PolicyView> {
        let patterns = self.patterns.cells(&view.policy.patterns);
        Arc::new(PolicyView { patterns, ..view })
    }
}

impl Feed {
    /// Fills a new engine: keys from the saved snapshot if it is sound, else from the catalogue.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn start(store: &Store, file: Option<&SnapshotFile>, now: Timestamp) -> Result<Self, StoreError> {
        let catalog = store.catalog.clone();
        let now_at = catalog.revision().await?;
        let mut saved = file.and_then(|file| Some((file, file.load(now_at)?)));
        if let Some((file, loaded)) = &saved
            && !catalog.has(&loaded.history).await?
        {
            file.forget("it is of another history than the catalogue, which was put back to an earlier day");
            saved = None;
        }
        let (keys, revision) = match saved {
            Some((_, saved)) => (saved.keys, saved.revision),
            None => (load_keys(&catalog).await?, now_at),
        };
        let snapshot = Snapshot { keys, ..Snapshot::with_capacity(0) };
        for row in store.ledger.labels().await? {
            snapshot.labels.restore(&row);
        }
        let engine = Arc::new(Engine::new(snapshot, catalog.peppers().to_vec()));
        catalog.feed_slow_hashes(1..=u32::MAX, false, &mut |one| engine.slow.load(one)).await?;
        if catalog.has_keys_with_token().await? {
            engine.slow.note_tokens();
        }
        engine.quotas.restore(store.ledger.balances().await?);
        // Those too that have just ended: whoever held them is told if there are no others.
        for grant in catalog.feed_credits(now.plus_secs(-ENDED_SECS)).await? {
            engine.credits.learn(&grant);
        }
        engine.credits.restore(store.ledger.credits_taken().await?);
        let mut state = State::default();
        for pattern in catalog.feed_patterns().await? {
            state.patterns.learn(pattern.number, Some(pattern));
        }
        for project in catalog.feed_projects().await? {
            let view = Arc::new(project_view(&project, &mut state.patterns, &engine.quotas));
            engine.snapshot.put_project(project.project.number, Some(view));
        }
        let feed = Self {
            catalog,
            engine,
            revision: AtomicU64::new(revision),
            has_failed: AtomicBool::new(false),
            follower: Mutex::default(),
            makers: Makers::default(),
            state: Mutex::default(),
        };
        state.roles.restore(feed.catalog.feed_roles().await?);
        feed.read_policies(&mut state).await?;
        feed.read_metadata(0..=u32::MAX).await?;
        for api in feed.catalog.feed_apis().await? {
            let view = feed.api_view(&mut state, &api).await?;
            feed.put_api(&mut state, api.number, Some(view));
        }
        *feed.state.lock().await = state;
        feed.catch_up(u64::MAX).await?;
        Ok(feed)
    }

    /// What is read.
    pub(super) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The engine that this feed keeps current.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The revision up to which the snapshot holds everything.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The newest audit entry, by which a history is told from another one.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn history(&self) -> Result<History, StoreError> {
        self.catalog.history().await
    }

    /// Whether the catalogue can be asked, and with `writes` whether it can be written: its newest revision.
    ///
    /// # Errors
    /// If it can't.
    pub async fn probe(&self, writes: Option<Timestamp>) -> Result<u64, StoreError> {
        let revision = self.catalog.probe(writes).await?;
        self.has_failed.store(false, Ordering::Relaxed);
        Ok(revision)
    }

    /// Whether another process, whose place this one took, has not ended yet.
    pub async fn is_followed(&self) -> bool {
        self.follower.lock().await.as_ref().is_some_and(|told| !told.is_closed())
    }

    /// From now on this follower is told of every change.
    pub async fn followed_by(&self, follower: Follower) {
        *self.follower.lock().await = Some(follower);
    }

    /// Waits until the follower, if there is one, has caught up to this revision. One that does not is let go: whoever
    /// holds its other end must see to it that it answers nobody any more.
    pub async fn lead(&self, revision: u64) {
        let mut follower = self.follower.lock().await;
        let Some(told) = follower.as_ref() else { return };
        let following = async {
            let (done, wait) = oneshot::channel();
            told.send((revision, done)).await.ok()?;
            wait.await.ok()
        };
        if !matches!(tokio::time::timeout(FOLLOWING, following).await, Ok(Some(()))) {
            *follower = None;
        }
    }

    /// Whether a change failed by the store's fault since it was last found to be well.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Says that a change failed by the store's fault.
    pub fn failed(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }

    /// Reads on until the snapshot holds this revision, or until there is nothing more.
    ///
    /// # Errors
    /// If the store fails; what was read until then stays in force.
    pub async fn catch_up(&self, revision: u64) -> Result<(), StoreError> {
        if self.revision() >= revision {
            return Ok(());
        }
        let mut state = self.state.lock().await;
        while self.revision() < revision {
            let notes = self.catalog.feed_after(self.revision(), BATCH).await?;
            let Some((last, _)) = notes.last().copied() else { break };
            for (at, subject) in notes {
                self.learn(&mut state, subject).await?;
                // One revision may touch several things: it is complete when the next one begins.
                self.revision.fetch_max(at.saturating_sub(1), Ordering::AcqRel);
            }
            self.revision.fetch_max(last, Ordering::AcqRel);
        }
        Ok(())
    }

    async fn learn(&self, state: &mut State, subject: Subject) -> Result<(), StoreError> {
        match subject {
            Subject::Organization => {
                self.engine.use_peppers(self.catalog.read_peppers().await?);
                Ok(())
            }
            Subject::Api(number) => {
                let view = match self.catalog.feed_api(number).await? {
                    Some(api) => Some(self.api_view(state, &api).await?),
                    None => None,
                };
                self.put_api(state, number, view);
                self.engine.credits.plans.notify_one();
                Ok(())
            }
            Subject::Project(number) => {
                let project = self.catalog.feed_project(number).await?;
                let view = project.map(|project| project_view(&project, &mut state.patterns, &self.engine.quotas));
                self.engine.snapshot.put_project(number, view.map(Arc::new));
                Ok(())
            }
            Subject::Credits(number) => {
                match self.catalog.feed_credit(number).await? {
                    Some(grant) => self.engine.credits.learn(&grant),
                    None => self.engine.credits.forget(number),
                }
                Ok(())
            }
            Subject::Role(number) => {
                let role = self.catalog.feed_role(number).await?;
                for (policy, view) in state.roles.learn(number, role) {
                    self.engine.snapshot.policies.set(policy, Some(state.with_patterns(view)));
                }
                Ok(())
            }
            Subject::Pattern(number) => {
                let pattern = self.catalog.feed_pattern(number).await?;
                state.patterns.learn(number, pattern);
                Ok(())
            }
            Subject::Keys(first, last) => {
                self.read_policies(state).await?;
                self.read_metadata(first..=last).await?;
                let (keys, slow) = (&self.engine.snapshot.keys, &self.engine.slow);
                let mut hashes = Vec::new();
                self.catalog.feed_slow_hashes(first..=last, true, &mut |one| hashes.push(one)).await?;
                self.catalog
                    .feed_keys(first..=last, &mut |key| {
                        if key.altered {
                            keys.remove_number(key.number);
                        } else if key.deleted {
                            keys.remove(&key.digest, key.id);
                        } else {
                            put(keys, &key, of_key(&hashes, key.number));
                        }
                    })
                    .await?;
                slow.put(first..=last, hashes);
                if !slow.has_tokens() && self.catalog.has_keys_with_token().await? {
                    slow.note_tokens();
                }
                Ok(())
            }
        }
    }

    async fn read_metadata(&self, numbers: RangeInclusive<u32>) -> Result<(), StoreError> {
        let fresh = self.catalog.feed_metadata(numbers.clone()).await?;
        self.engine.snapshot.written.replace(numbers, fresh);
        Ok(())
    }

    async fn read_policies(&self, state: &mut State) -> Result<(), StoreError> {
        let policies = self.catalog.feed_policies(state.policies).await?;
        // One may name a role that was made after the last revision that was read. What became of it since is told later.
        if policies.iter().any(|(_, policy)| !state.roles.know(policy)) {
            state.roles.restore(self.catalog.feed_roles().await?);
        }
        for (number, policy) in policies {
            let view = state.roles.view(number, policy);
            self.engine.snapshot.policies.set(number, Some(state.with_patterns(view)));
            state.policies = number;
        }
        Ok(())
    }

    fn put_api(&self, state: &mut State, number: u32, view: Option<Arc<ApiView>>) {
        self.engine.snapshot.apis.set(number, view.clone());
        match view {
            Some(view) => state.apis.insert(number, view),
            None => state.apis.remove(&number),
        };
        self.engine.snapshot.router.store(Arc::new(Router::new(state.apis.values().cloned().collect())));
    }

    async fn api_view(&self, state: &mut State, api: &Api) -> Result<Arc<ApiView>, StoreError> {
        let labels = state
            .labels
            .entry(api.number)
            .or_insert_with(|| Arc::new(ApiLabels::new(api.number, self.engine.snapshot.labels.clone())));
        let document = match api.document {
            Some(_) => self.catalog.api_operations(api.number).await?,
            None => None,
        };
        let by = api.settings.operation_permissions;
        let operations = match document.as_deref().map(|json| operation_table(json, by)) {
            Some(Some((table, needs))) => Operations::documented(table, needs, labels),
            Some(None) => {
                tracing::error!(api = %api.id, "the kept document can't be read; calls are told apart by their paths");
                Operations::Segments(labels.clone())
            }
            None => Operations::Segments(labels.clone()),
        };
        // What nobody can read asks for nothing; then nobody may call.
        let is_guarded = by == OperationPermissions::Off || matches!(operations, Operations::Documented { .. });
        let alive = state.alive.entry(api.number).or_default().clone();
        let opened = self.catalog.feed_api_secrets(api.number, api.id).await?;
        let secrets = opened
            .map_err(|error| error.to_string())
            .and_then(|opened| Secrets::of(&opened).map_err(|error| error.to_string()));
        let (secrets, usable) = match secrets {
            Ok(secrets) => (secrets, true),
            // Without them calls would reach the upstream as somebody else.
            Err(error) => {
                tracing::error!(api = %api.id, error, "the secrets for its upstream can't be used; its calls are refused until they are set anew");
                (Secrets::default(), false)
            }
        };
        // What is known of its targets outlives changes of other settings.
        let known = state.apis.get(&api.number).map(|view| view.upstream.clone());
        let upstream = known
            .filter(|known| known.is_of(&api.settings, secrets.identity.as_ref()))
            .unwrap_or_else(|| Arc::new(Upstream::new(&api.settings, secrets.identity.clone())));
        let mut view = ApiView::new(api, operations, alive, upstream, secrets.fields);
        view.active &= usable && is_guarded;
        match self.catalog.feed_plans(api.number).await {
            Ok(plans) => view.plans = Plans::new(&plans),
            // Without them calls would have no limits.
            Err(error) if error.fault() == StoreFault::Broken => {
                tracing::error!(api = %api.id, cause = ?error, "the API's plans can't be read; its calls are refused until they can");
                view.active = false;
            }
            Err(error) => return Err(error),
        }
        Ok(Arc::new(view))
    }
}

/// The operations of a kept document, and what each asks of a key. One whose words make no sense is nobody's.
fn operation_table(json: &str, by: OperationPermissions) -> Option<(OperationTable, Vec<Option<PermissionQuery>>)> {
    let document: ApiDocument = serde_json::from_str(json).ok()?;
    let operations = document.operations.iter().map(|operation| (operation.method, &operation.template));
    let needs = document.permissions(by).into_iter().map(|needs| needs.unwrap_or(Some(PermissionQuery::never())));
    Some((OperationTable::build(operations).ok()?, needs.collect()))
}

async fn load_keys(catalog: &Catalog) -> Result<Keys, StoreError> {
    let last = catalog.last_key_number().await?;
    let keys = Keys::with_capacity(last as usize);
    catalog
        .feed_keys(1..=last, &mut |key| {
            if !key.deleted {
                put(&keys, &key, &[]);
            }
        })
        .await?;
    Ok(keys)
}

/// What is told of one key, of what is told in the order of the keys' numbers.
fn of_key(slow: &[FeedSlow], number: u32) -> &[FeedSlow] {
    let first = slow.partition_point(|one| one.key < number);
    let after = slow.partition_point(|one| one.key <= number);
    &slow[first..after]
}

/// `slow` is what came with slow hashes: a text that was presented since then leads to the record that the hash had, so
/// that its limits go on being counted, and what is done to the key reaches whoever is still led there.
fn put(keys: &Keys, key: &FeedKey, slow: &[FeedSlow]) {
    let ends = |version: u16| {
        let former = key.former.iter().find(|former| former.version == version && version != key.version);
        former.map(|former| former.ends_at)
    };
    let is_presented = |one: &&FeedSlow| one.slow.is_none() && keys.find(&one.digest).is_some();
    let stand_ins: Vec<Text> = slow
        .iter()
        .filter(is_presented)
        .map(|one| Text { version: one.version, digest: one.digest, ends_at: ends(one.version) })
        .collect();
    if key.former.is_empty() && stand_ins.is_empty() {
        return keys.put(&entry(key));
    }
    let latest = Text { version: key.version, digest: key.digest, ends_at: None };
    let former = key.former.iter().filter(|former| former.version != key.version).map(|former| Text {
        version: former.version,
        digest: former.digest,
        ends_at: Some(former.ends_at),
    });
    let texts: Vec<Text> = stand_ins.into_iter().chain(former).chain([latest]).collect();
    keys.put_versions(&entry(key), &texts);
}

fn entry(key: &FeedKey) -> KeyEntry {
    KeyEntry {
        number: key.number,
        digest: key.digest,
        id: key.id,
        project: key.project,
        policy: key.policy,
        // Whole seconds are kept; rounded down, so that no key lives longer than it was given.
        expires_at: key.expires_at.map(|end| Timestamp::from_secs(end.as_secs())),
        standing: key.standing,
        kind: key.kind,
        environment: key.environment,
    }
}

fn project_view(feed: &FeedProject, patterns: &mut Patterns, quotas: &Quotas) -> ProjectView {
    let project = &feed.project;
    ProjectView {
        number: project.number,
        owner: project.organization_number,
        id: project.id,
        organization: project.organization,
        environment: project.environment,
        suspended: project.suspension.is_some(),
        id_header: HeaderValue::try_from(project.id.to_string()).expect("ids are visible ASCII"),
        name_header: header_text(&project.name),
        patterns: patterns.cells(&project.patterns),
        links: feed.activations.iter().map(|link| Link::new(link, project.number, quotas)).collect(),
    }
}
