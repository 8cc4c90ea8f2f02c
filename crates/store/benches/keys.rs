//! A million keys: how fast they come in, by how many at a time, and how fast a node reads them at its start; and what a
//! batch of usage costs.
//!
//! Imports include everything durable: rows, indexes, audit entry, revision, and a sync of the disk for each batch.

#![allow(clippy::unwrap_used, reason = "a bench is run by people who read its panics")]

use std::sync::OnceLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use keystile_core::id::{KeyId, OrganizationId, ProjectId};
use keystile_core::key::{Environment, KeyKind};
use keystile_core::member::OrganizationKind;
use keystile_core::policy::Policy;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Counts, Dimensions, UsageEvent};
use keystile_store::records::{NewKey, ProjectAbout};
use keystile_store::{Actor, Author, Change, OpenError, Store, Who};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const KEYS: u64 = 1_000_000;
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn main() {
    divan::main();
}

struct Installation {
    runtime: Runtime,
    store: Store,
    project: ProjectId,
    author: Author,
    _folder: TempDir,
}

fn new_installation() -> Installation {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = TempDir::new().unwrap();
    let (organization, project) = (OrganizationId::from_entropy([1; 16]), ProjectId::from_entropy([2; 16]));
    let actor = Actor { organization, who: Who::System("bench"), address: None, request: None };
    let author = Author { actor, at: NOW, idempotency: None };
    let store = runtime.block_on(async {
        let mut random = |bytes: &mut [u8]| -> Result<(), OpenError> {
            bytes.fill(7);
            Ok(())
        };
        let data = folder.path().join("data");
        let store = Store::open(&data, &folder.path().join("root.key"), NOW, &mut random).await.unwrap();
        let name = || "bench".to_owned();
        let (about, environment) = (ProjectAbout { name: name(), ..ProjectAbout::default() }, Environment::Live);
        for change in [
            Change::CreateOrganization { id: organization, name: name(), kind: OrganizationKind::Owner },
            Change::CreateProject { id: project, about, environment },
        ] {
            store.catalog.apply(&author, change).await.unwrap();
        }
        store
    });
    Installation { runtime, store, project, author, _folder: folder }
}

/// The keys from this one on.
fn keys(installation: &Installation, first: u64, count: u64) -> Vec<NewKey> {
    let pepper = &installation.store.catalog.pepper();
    let key = |n: u64| {
        // Ids are spread as real ones are; a counter would be kind to the index.
        let digest = pepper.digest(&n.to_string());
        let (id, _) = pepper.digest(&format!("id {n}")).as_bytes().split_first_chunk().map(|(a, b)| (*a, b)).unwrap();
        NewKey {
            id: KeyId::from_entropy(id),
            name: format!("key {n}"),
            kind: KeyKind::Secret,
            hint: "abcd••••wxyz".to_owned(),
            digest,
            pepper_version: 1,
            text: None,
            expires_at: None,
            tags: keystile_core::metadata::Tags::default(),
        }
    };
    (first..first + count).map(key).collect()
}

fn import(installation: &Installation, keys: Vec<NewKey>) {
    let keys = keys.into_iter().map(Into::into).collect();
    let change = Change::ImportKeys { project: installation.project, keys, policy: Policy::default() };
    let applied = installation.store.catalog.apply(&installation.author, change);
    assert_eq!(installation.runtime.block_on(applied).unwrap().duplicates, [0_usize; 0]);
}

/// The million that the other benches read.
fn filled() -> &'static Installation {
    static FILLED: OnceLock<Installation> = OnceLock::new();
    FILLED.get_or_init(|| {
        let installation = new_installation();
        for first in (0..KEYS).step_by(100_000) {
            import(&installation, keys(&installation, first, 100_000));
        }
        installation
    })
}

#[divan::bench(args = [10_000, 100_000], sample_count = 1, sample_size = 1)]
fn import_a_million_keys(bencher: Bencher<'_, '_>, at_a_time: u64) {
    let installation = new_installation();
    let all = || (0..KEYS).step_by(at_a_time as usize).map(|first| keys(&installation, first, at_a_time));
    bencher
        .counter(ItemsCount::new(KEYS))
        .with_inputs(|| all().collect::<Vec<_>>())
        .bench_values(|batches| batches.into_iter().for_each(|keys| import(&installation, keys)));
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn feed_a_million_keys(bencher: Bencher<'_, '_>) {
    let installation = filled();
    bencher.counter(ItemsCount::new(KEYS)).bench(|| {
        let mut count = 0_u64;
        let mut each = |_| count += 1;
        installation.runtime.block_on(installation.store.catalog.feed_keys(1..=u32::MAX, &mut each)).unwrap();
        assert_eq!(count, KEYS);
    });
}

#[divan::bench(args = [10_000, 100_000], sample_count = 3, sample_size = 1)]
fn import_more_into_a_million(bencher: Bencher<'_, '_>, at_a_time: u64) {
    let installation = filled();
    // Each starts where no other one comes.
    let mut first = 100 * KEYS * at_a_time;
    bencher
        .counter(ItemsCount::new(at_a_time))
        .with_inputs(|| {
            first += at_a_time;
            keys(installation, first, at_a_time)
        })
        .bench_local_values(|keys| import(installation, keys));
}

#[divan::bench(args = [100, 1_000, 5_000], sample_count = 50, sample_size = 1)]
fn append_a_batch_of_events(bencher: Bencher<'_, '_>, events: usize) {
    let installation = new_installation();
    let code = keystile_core::code::Code::Allowed;
    let dimensions =
        Dimensions { organization: 1, api: 1, project: 1, key: 1, version: 0, label: 1, code, status: 200 };
    let event = UsageEvent {
        at: NOW,
        dimensions,
        client: None,
        facets: None,
        counts: Counts { calls: 1, ..Counts::default() },
    };
    let events = vec![event; events];
    let mut sequence = 0;
    bencher.counter(ItemsCount::new(events.len())).bench_local(|| {
        sequence += 1;
        installation.runtime.block_on(installation.store.ledger.append(1, sequence, NOW, &[], &events)).unwrap();
    });
}
