//! What restrictions cost that need more than a comparison: `cargo bench -p keystile-core --bench restrictions`.
//!
//! Allocations are counted too: a decision makes none.

use divan::{AllocProfiler, Bencher, black_box};
use keystile_core::facts::Facts;
use keystile_core::restrict::Restrictions;
use keystile_core::source::{Field, Source};
use keystile_core::time::{Moment, Ticks, Timestamp};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[derive(Debug)]
struct Page;

impl Source for Page {
    fn origin(&self) -> Option<&[u8]> {
        Some(b"https://shop.example.com")
    }

    fn referrer(&self) -> Option<&[u8]> {
        Some(b"https://shop.example.com/cart/7?x=1")
    }

    fn country(&self) -> Option<keystile_core::country::Country> {
        "DE".parse().ok()
    }

    fn field(&self, _: &str) -> Field<'_> {
        Field::Absent
    }
}

fn judge(bencher: Bencher<'_, '_>, document: &str) {
    let restrictions: Restrictions = serde_json::from_str(document).expect("restrictions");
    let mut secs = 1_774_000_000;
    bencher.bench_local(|| {
        // Another hour each time, over a hundred years.
        secs = 1_774_000_000 + (secs + 3_607) % 3_000_000_000;
        let at = Moment { wall: Timestamp::from_secs(black_box(secs)), ticks: Ticks::from_nanos(1) };
        restrictions.judge(black_box(&Facts { source: Some(&Page), ..Facts::at(at) }))
    });
}

#[divan::bench]
fn none(bencher: Bencher<'_, '_>) {
    judge(bencher, "{}");
}

#[divan::bench]
fn hours(bencher: Bencher<'_, '_>) {
    judge(
        bencher,
        r#"{"times":{"time_zone":"Europe/Berlin","windows":[
            {"days":["mon","tue","wed","thu","fri"],"from":"08:00","until":"18:00"},
            {"days":["sat"],"from":"22:00","until":"06:00"}]}}"#,
    );
}

#[divan::bench]
fn origins_and_pages(bencher: Bencher<'_, '_>) {
    judge(
        bencher,
        r#"{"origins":["https://app.example.com","https://*.example.com"],"referrers":["https://*.example.com/cart/*"]}"#,
    );
}

#[divan::bench]
fn countries(bencher: Bencher<'_, '_>) {
    judge(bencher, r#"{"countries":{"allow":["DE","AT","CH","FR","IT","ES","NL","BE"],"deny":["KP"]}}"#);
}
