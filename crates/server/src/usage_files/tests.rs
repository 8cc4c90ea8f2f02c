//! Every event is in exactly one file, whenever it happened, and over crashes too.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::atomic::AtomicI64;

use flate2::read::GzDecoder;
use keystile_core::code::Code;
use keystile_core::time::{Moment, Ticks};
use keystile_core::usage::{Counts, Dimensions, UsageEvent};
use keystile_store::{NewUsage, OpenError, Store};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::enforce::feed::Feed;
use crate::enforce::operations::Labels;
use crate::telemetry::metrics::Calls;
use crate::usage::hours::GRACE_SECS;
use crate::usage::{Queue, Writer};
use crate::world::Clock;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);

struct Still(AtomicI64);

impl Clock for Still {
    fn now(&self) -> Moment {
        let secs = self.0.load(Ordering::Relaxed);
        let nanos = (1 << 60) + secs.unsigned_abs() * 1_000_000_000;
        Moment { wall: START.plus_secs(secs), ticks: Ticks::from_nanos(nanos) }
    }
}

struct World {
    files: UsageFiles,
    store: Store,
    clock: Arc<Still>,
    folder: TempDir,
}

impl World {
    async fn new(format: Format) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut fill = |bytes: &mut [u8]| -> Result<(), OpenError> {
            bytes.fill(7);
            Ok(())
        };
        let data = folder.path().join("data");
        let store = Store::open(&data, &folder.path().join("root.key"), START, &mut fill).await.unwrap();
        let clock = Arc::new(Still(AtomicI64::new(0)));
        let feed = Arc::new(Feed::start(&store, None, START).await.unwrap());
        let engine = feed.engine().clone();
        let counted = (Arc::new(Calls::new(engine.clone())), Arc::default());
        let labels: Arc<Labels> = engine.snapshot.labels.clone();
        let writer = Writer::new(Arc::new(Queue::default()), store.ledger.clone(), labels, counted, clock.clone(), 9);
        let to = (folder.path().join("usage"), format);
        let hours = Hours::new(store.ledger.clone(), Arc::new(writer), feed, clock.clone());
        let files = UsageFiles::new(store.catalog.clone(), hours, to);
        Self { files, store, clock, folder }
    }

    /// Counts calls that happened so many seconds after the start, at another moment.
    async fn count(&self, sequence: u64, recorded: i64, happened: &[i64]) {
        let dimensions = Dimensions {
            organization: 1,
            api: 1,
            project: 1,
            key: 1,
            version: 0,
            label: 0,
            code: Code::Allowed,
            status: 200,
        };
        let counts = Counts { calls: 1, cost: 1, ..Counts::default() };
        let event =
            |secs: &i64| UsageEvent { at: START.plus_secs(*secs), dimensions, client: None, facets: None, counts };
        let events: Vec<_> = happened.iter().map(event).collect();
        self.store.ledger.append(1, sequence, START.plus_secs(recorded), &[], &events).await.unwrap();
        self.store.ledger.roll_up().await.unwrap();
    }

    /// Writes all that can be written by then.
    async fn until(&self, secs: i64) {
        self.clock.0.store(secs, Ordering::Relaxed);
        while self.files.round().await.unwrap() {}
    }

    /// The files by their names, each with when its events happened after the start.
    fn written(&self) -> BTreeMap<String, Vec<i64>> {
        let mut all = BTreeMap::new();
        for day in fs::read_dir(&self.files.folder).into_iter().flatten() {
            for file in fs::read_dir(day.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let mut text = String::new();
                GzDecoder::new(File::open(&path).unwrap()).read_to_string(&mut text).unwrap();
                let happened = text.lines().map(|line| {
                    let event: Value = serde_json::from_str(line).unwrap();
                    let at: Timestamp = event["at"].as_str().unwrap().parse().unwrap();
                    at.as_secs() - START.as_secs()
                });
                all.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), happened.collect());
            }
        }
        all
    }
}

#[tokio::test]
async fn every_event_is_in_the_file_of_the_hour_in_which_it_was_recorded() {
    let world = World::new(Format::Ndjson).await;
    world.until(0).await;
    assert_eq!(world.written(), BTreeMap::new(), "there is nothing yet");
    world.count(1, 60, &[50, 55]).await;
    world.count(2, 3_599, &[3_598]).await;
    // In the next hour, of the one before; then an hour of nothing; and by hand.
    world.count(3, 3_600, &[3_599]).await;
    world.count(4, 11_000, &[10_999, 20]).await;
    let new = NewUsage {
        id: "refund".to_owned(),
        api: 1,
        project: 1,
        at: Some(START.plus_secs(30)),
        calls: 0,
        cost: -1,
        corrects: None,
        note: "late".to_owned(),
    };
    world.store.ledger.record((1, "somebody"), START.plus_secs(11_100), &[new]).await.unwrap();
    world.until(3_600 + GRACE_SECS - 1).await;
    assert_eq!(world.written(), BTreeMap::new(), "something may be under way");
    world.until(3_600 + GRACE_SECS).await;
    let name = |hour: i64| {
        let path = path(Path::new(""), START.plus_secs(hour * 3_600), Format::Ndjson);
        path.file_name().unwrap().to_str().unwrap().to_owned()
    };
    let first = (name(0), vec![50, 55, 3_598]);
    assert_eq!(world.written(), BTreeMap::from([first.clone()]));
    world.until(86_400).await;
    let all = BTreeMap::from([first, (name(1), vec![3_599]), (name(3), vec![20, 10_999, 30])]);
    assert_eq!(world.written(), all);
    assert_eq!(world.files.done.files.load(Ordering::Relaxed), 3);
    // After a crash between a file and the note of it, the same again.
    world.store.ledger.note_in_files(START.plus_secs(3_600)).await.unwrap();
    world.until(86_400).await;
    assert_eq!(world.written(), all);
    // What is recorded by a clock that was set back is in the next one.
    world.count(5, 5_000, &[4_990]).await;
    world.until(100_000).await;
    assert_eq!(world.written().len(), all.len() + 1);
    assert!(world.written().values().flatten().any(|secs| *secs == 4_990));
    // Whoever takes files away gets no new ones.
    fs::remove_dir_all(&world.files.folder).unwrap();
    world.until(110_000).await;
    assert_eq!(world.written(), BTreeMap::new());
}

#[tokio::test]
async fn what_can_not_be_written_waits_and_leaves_nothing_half() {
    let world = World::new(Format::Parquet).await;
    world.count(1, 60, &[50]).await;
    fs::write(&world.files.folder, "no folder").unwrap();
    world.clock.0.store(7_200, Ordering::Relaxed);
    assert!(world.files.round().await.is_err());
    assert_eq!(world.store.ledger.in_files_until().await.unwrap(), Some(START));
    fs::remove_file(&world.files.folder).unwrap();
    world.until(7_200).await;
    let path = path(&world.files.folder, START, Format::Parquet);
    assert_eq!(&fs::read(&path).unwrap()[..4], b"PAR1");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    assert!(world.folder.path().join("usage").is_dir());
}
