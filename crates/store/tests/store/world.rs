//! A world to test in: an installation with two organizations that have the same things.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use keystile_core::api::ApiSettings;
use keystile_core::id::{ActivationId, ApiId, KeyId, OrganizationId, ProjectId, WebhookId};
use keystile_core::key::{Environment, KeyKind, KeyState};
use keystile_core::member::OrganizationKind;
use keystile_core::policy::Policy;
use keystile_core::time::Timestamp;
use keystile_core::webhook::{EventFilter, EventPattern};
use keystile_store::postgres::Url;
use keystile_store::records::{Key, NewKey, Page, ProjectAbout, Wish};
use keystile_store::{Actor, Applied, ApplyError, Author, Catalog, Change, Ledger, OpenError, Store, Who};
use keystile_testkit::Postgres;
use tempfile::TempDir;

/// Every engine that the suite runs on.
pub const ENGINES: &[Engine] = &[Engine::Sqlite, Engine::Postgres];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// Opens the installation of a folder, or makes one there. A database is known by the folder's `url`.
    pub async fn open(self, folder: &Path) -> Result<Store, OpenError> {
        let (data, root) = (folder.join("data"), folder.join("root.key"));
        match self {
            Self::Sqlite => Store::open(&data, &root, NOW, &mut random).await,
            Self::Postgres => Store::open_database(&url(folder), &data, &root, NOW, &mut random).await,
        }
    }
}

/// The database of a folder, an empty one at first.
pub fn url(folder: &Path) -> Url {
    let kept = folder.join("url");
    if !kept.exists() {
        std::fs::write(&kept, Postgres::shared().database()).unwrap();
    }
    std::fs::read_to_string(kept).unwrap().parse().unwrap()
}

/// When everything happens, unless a test says otherwise.
pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
/// All of a list.
pub const ALL: Page = Page { before: None, limit: 1_000 };

/// An organization with one of everything.
#[derive(Debug, Clone, Copy)]
pub struct Tenant {
    pub id: OrganizationId,
    pub number: u32,
    pub api: ApiId,
    pub project: ProjectId,
    pub activation: ActivationId,
    pub key: KeyId,
}

impl Tenant {
    pub fn author(&self) -> Author {
        author(self.id)
    }
}

pub fn author(organization: OrganizationId) -> Author {
    let actor = Actor { organization, who: Who::System("test"), address: None, request: None };
    Author { actor, at: NOW, idempotency: None }
}

pub struct World {
    pub folder: TempDir,
    pub catalog: Catalog,
    pub ledger: Ledger,
    pub mine: Tenant,
    pub theirs: Tenant,
}

/// Runs a test in a fresh world of every engine.
pub async fn everywhere(test: impl AsyncFn(&World)) {
    for engine in ENGINES {
        let world = World::new(*engine).await;
        test(&world).await;
        // Whatever a test did, it was done in the open.
        assert_eq!(world.catalog.verify_audit().await.unwrap(), None, "{engine:?}");
        // And left every row that is decided by with its seal.
        assert_eq!(crate::checks::looked(&world, *engine).await.wrong, [], "{engine:?}");
    }
}

impl World {
    pub async fn new(engine: Engine) -> Self {
        Self::on(engine, None).await
    }

    /// The same, in this database.
    pub async fn on(engine: Engine, database: Option<String>) -> Self {
        let folder = TempDir::new().unwrap();
        if let Some(url) = database {
            std::fs::write(folder.path().join("url"), url).unwrap();
        }
        let Store { catalog, ledger } = engine.open(folder.path()).await.unwrap();
        let (mine, theirs) = (settle(&catalog, "mine").await, settle(&catalog, "theirs").await);
        Self { folder, catalog, ledger, mine, theirs }
    }

    /// Changes something as the first organization.
    pub async fn apply(&self, change: Change) -> Result<Applied, ApplyError> {
        self.catalog.apply(&self.mine.author(), change).await
    }

    /// Changes something as the other organization.
    pub async fn apply_as_other(&self, change: Change) -> Result<Applied, ApplyError> {
        self.catalog.apply(&self.theirs.author(), change).await
    }

    pub async fn my_key(&self, id: KeyId) -> Key {
        self.catalog.key(self.mine.id, id).await.unwrap().unwrap()
    }

    /// Adds a key to the first organization's project.
    pub async fn add_key(&self, text: &str) -> KeyId {
        let key = new_key(&self.catalog, text);
        let id = key.id;
        self.apply(Change::CreateKey { project: self.mine.project, key, policy: Policy::default() }).await.unwrap();
        id
    }

    pub async fn revoke(&self, id: KeyId) {
        let was = self.my_key(id).await.revision;
        let state = KeyState::Revoked { at: NOW };
        self.apply(Change::KeyState { id, was, state, action: "revoke", reason: String::new() }).await.unwrap();
    }

    /// Ends the store, as a process does that stops in order.
    pub async fn close(self) -> TempDir {
        self.catalog.close().await;
        self.ledger.close().await;
        self.folder
    }
}

/// Makes an organization with one of everything.
async fn settle(catalog: &Catalog, name: &str) -> Tenant {
    let id = OrganizationId::from_entropy(bytes());
    let (api, project) = (ApiId::from_entropy(bytes()), ProjectId::from_entropy(bytes()));
    let activation = ActivationId::from_entropy(bytes());
    let key = new_key(catalog, &format!("the first key of {name}"));
    let tenant = Tenant { id, number: 0, api, project, activation, key: key.id };
    for change in [
        Change::CreateOrganization { id, name: name.to_owned(), kind: OrganizationKind::Owner },
        create_api(api, name),
        create_project(project, name),
        Change::CreateActivation { id: activation, project, api, wish: Wish::default() },
        Change::CreateKey { project, key, policy: Policy::default() },
    ] {
        catalog.apply(&tenant.author(), change).await.unwrap();
    }
    let number = catalog.organization(id, id).await.unwrap().unwrap().number;
    Tenant { number, ..tenant }
}

pub fn create_api(id: ApiId, name: &str) -> Change {
    // Each has a route of its own: two with the same one are refused.
    let settings = ApiSettings { path_prefix: format!("/{id}").parse().unwrap(), ..settings(9_000) };
    Change::CreateApi { id, name: name.to_owned(), settings, document: None }
}

pub fn create_project(id: ProjectId, name: &str) -> Change {
    let about = ProjectAbout { name: name.to_owned(), ..ProjectAbout::default() };
    Change::CreateProject { id, about, environment: Environment::Live }
}

/// A webhook that tells of these events, or of all.
pub fn create_webhook(catalog: &Catalog, owner: OrganizationId, id: WebhookId, events: &[&str]) -> Change {
    Change::CreateWebhook {
        id,
        url: "https://hooks.test/secret-path".parse().unwrap(),
        description: "a webhook".to_owned(),
        events: told(events),
        secret: catalog.seal_webhook_secret(owner, id, b"first secret", &salt()),
    }
}

pub fn told(events: &[&str]) -> EventFilter {
    let patterns: Vec<EventPattern> = events.iter().map(|text| text.parse().unwrap()).collect();
    patterns.try_into().unwrap()
}

pub fn settings(port: u16) -> ApiSettings {
    ApiSettings::new(format!("http://127.0.0.1:{port}").parse().unwrap())
}

/// A policy that differs from others by its permission.
pub fn policy(permission: &str) -> Policy {
    Policy { permissions: vec![permission.parse().unwrap()], ..Policy::default() }
}

/// A key of this text, as it is added.
pub fn new_key(catalog: &Catalog, text: &str) -> NewKey {
    let pepper = &catalog.pepper();
    NewKey {
        id: KeyId::from_entropy(bytes()),
        name: text.to_owned(),
        kind: KeyKind::Secret,
        hint: "ks_…".to_owned(),
        digest: pepper.digest(text),
        pepper_version: pepper.version(),
        text: None,
        expires_at: None,
        tags: keystile_core::metadata::Tags::default(),
    }
}

/// Bytes that were never given out before: unlike each other, and the same in every run.
pub fn bytes() -> [u8; 16] {
    static GIVEN: AtomicU64 = AtomicU64::new(1);
    let mut dice = Dice(GIVEN.fetch_add(1, Ordering::Relaxed));
    let mut bytes = [0; 16];
    bytes.fill_with(|| dice.below(256) as u8);
    bytes
}

/// What to seal something with.
pub fn salt() -> [u8; 24] {
    let mut salt = [0; 24];
    salt[..16].copy_from_slice(&bytes());
    salt
}

/// The source of randomness that stores are opened with.
pub fn random(into: &mut [u8]) -> Result<(), OpenError> {
    for chunk in into.chunks_mut(16) {
        chunk.copy_from_slice(&bytes()[..chunk.len()]);
    }
    Ok(())
}

/// Chance that comes out the same in every run (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() { None } else { Some(from[self.below(from.len() as u64) as usize]) }
    }
}
