//! What counting costs: a minute of a million calls from batches to sums, counting a day anew, and questions about a year of ten
//! thousand keys.

#![allow(clippy::unwrap_used, reason = "a bench is run by people who read its panics")]

use std::sync::OnceLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use keystile_core::code::Code;
use keystile_core::id::RequestId;
use keystile_core::method::Method;
use keystile_core::restrict::Rules;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts, Dimensions, UsageEvent};
use keystile_store::{GroupBy, Ledger, LoggedRequest, OpenError, RequestDoor, Store, UsageQuery};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const KEYS: u32 = 10_000;
const DAY: i64 = 86_400;
const DAYS: i64 = 365;
/// Batches of a minute, ten a second.
const BATCHES: u64 = 600;

fn main() {
    divan::main();
}

struct Installation {
    runtime: Runtime,
    ledger: Ledger,
    _folder: TempDir,
}

fn new_installation() -> Installation {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = TempDir::new().unwrap();
    let store = runtime.block_on(async {
        let mut random = |bytes: &mut [u8]| -> Result<(), OpenError> {
            bytes.fill(7);
            Ok(())
        };
        let data = folder.path().join("data");
        Store::open(&data, &folder.path().join("root.key"), NOW, &mut random).await.unwrap()
    });
    Installation { runtime, ledger: store.ledger, _folder: folder }
}

/// A call with a key, each of a project of its own, at one of ten APIs.
fn event(key: u32, at: Timestamp) -> UsageEvent {
    let dimensions = Dimensions {
        organization: 1,
        api: key % 10 + 1,
        project: key + 1,
        key: key + 1,
        version: 0,
        label: key % 7 + 16,
        code: Code::Allowed,
        status: 200,
    };
    let client = Some([192, 0, 2, (key % 250) as u8].into());
    UsageEvent {
        at,
        dimensions,
        client,
        facets: None,
        counts: Counts { calls: 1, latency_us: 900, bytes_in: 10, bytes_out: 256, cost: 1 },
    }
}

/// A minute of so many calls, by ten thousand keys of which some call far more often than others.
fn minute(installation: &Installation, events: u64, first: Timestamp, sequence: &mut u64) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for batch in 0..BATCHES {
        let at = Timestamp::from_micros(first.as_micros() + batch as i64 * 100_000);
        let some: Vec<UsageEvent> = (0..events / BATCHES)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let share = (state >> 11) as f64 / (1_u64 << 53) as f64;
                let key = (share * f64::from(KEYS + 1).ln()).exp() as u32 - 1;
                event(key % KEYS, at)
            })
            .collect();
        *sequence += 1;
        let append = installation.ledger.append(1, *sequence, at, &[], &some);
        installation.runtime.block_on(append).unwrap();
    }
}

#[divan::bench(args = [60_000, 1_000_000], sample_count = 5, sample_size = 1)]
fn a_minute_of_calls(bencher: Bencher<'_, '_>, events: u64) {
    let installation = new_installation();
    let (mut sequence, mut first) = (0, NOW);
    bencher.counter(ItemsCount::new(events)).bench_local(|| {
        minute(&installation, events, first, &mut sequence);
        installation.runtime.block_on(installation.ledger.roll_up()).unwrap();
        first = first.plus_secs(60);
    });
}

/// A call as it stands in the request log.
fn logged(number: u64) -> LoggedRequest {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    LoggedRequest {
        id: RequestId::from_entropy(id),
        at: NOW.plus_secs(i64::try_from(number / 50).unwrap()),
        door: RequestDoor::Gateway,
        organization: 1,
        api: 2,
        project: (number % 1_000) as u32 + 1,
        key: (number % 10_000) as u32 + 1,
        label: 16,
        code: Code::Allowed,
        status: 200,
        method: Some(Method::Get),
        host: Some("api.example.com".to_owned()),
        path: Some(format!("/v1/pets/{number}/toys")),
        client: Some([192, 0, 2, (number % 250) as u8].into()),
        user_agent: Some("pets-client/1.2 (Linux; x86_64)".to_owned()),
        shadow: Rules::NONE,
        latency_us: 900,
        upstream_us: Some(700),
        bytes_in: 10,
        bytes_out: 256,
        trace: None,
    }
}

/// As many as come twice a second at 50 and 200 calls a second, one more or less.
#[divan::bench(args = [25, 99], sample_count = 100, sample_size = 1)]
fn log_requests(bencher: Bencher<'_, '_>, rows: u64) {
    let installation = new_installation();
    let mut number = 0;
    bencher
        .counter(ItemsCount::new(rows))
        .with_inputs(|| {
            number += rows;
            (number..number + rows).map(logged).collect::<Vec<_>>()
        })
        .bench_local_values(|some| {
            installation.runtime.block_on(installation.ledger.log_requests(NOW, &some)).unwrap()
        });
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn count_a_million_calls_anew(bencher: Bencher<'_, '_>) {
    let installation = new_installation();
    let mut sequence = 0;
    for turn in 0..10 {
        minute(&installation, 100_000, NOW.plus_secs(turn * 3_600), &mut sequence);
        installation.runtime.block_on(installation.ledger.roll_up()).unwrap();
    }
    bencher.counter(ItemsCount::new(1_000_000_u64)).bench_local(|| {
        let span = (NOW, NOW.plus_secs(DAY));
        let recount = installation.runtime.block_on(installation.ledger.recount(span, &[])).unwrap();
        assert_eq!(recount.differing, 0);
    });
}

/// A year in which each of ten thousand keys is used on every day.
fn year() -> &'static Installation {
    static YEAR: OnceLock<Installation> = OnceLock::new();
    YEAR.get_or_init(|| {
        let installation = new_installation();
        for day in 0..DAYS {
            let events: Vec<_> =
                (0..KEYS).map(|key| event(key, NOW.plus_secs(day * DAY + i64::from(key) * 8))).collect();
            let append = installation.ledger.append(1, day.cast_unsigned() + 1, NOW, &[], &events);
            installation.runtime.block_on(append).unwrap();
            installation.runtime.block_on(installation.ledger.roll_up()).unwrap();
        }
        installation
    })
}

#[divan::bench(args = ["all in one", "by day", "a project by day", "a project by hour", "by project"], sample_count = 5, sample_size = 1)]
fn ask_about_a_year(bencher: Bencher<'_, '_>, what: &str) {
    let installation = year();
    let bucket = match what {
        "by day" | "a project by day" => Some(Bucket::Day),
        "a project by hour" => Some(Bucket::Hour),
        _ => None,
    };
    let query = UsageQuery {
        bucket,
        by: GroupBy { project: what == "by project", ..GroupBy::default() },
        project: what.starts_with("a project").then_some(77),
        organizations: vec![1],
        limit: 10_000,
        ..UsageQuery::of((NOW, NOW.plus_secs(DAYS * DAY)))
    };
    bencher.bench_local(|| installation.runtime.block_on(installation.ledger.usage(&query)).unwrap());
}
