//! What it costs to judge a request target: `cargo bench -p keystile-core --bench target`.

use divan::{Bencher, black_box};
use keystile_core::method::Method;
use keystile_core::operation::{OperationTable, segments_label};
use keystile_core::target::CanonicalTarget;

fn main() {
    divan::main();
}

const TARGETS: [&str; 5] = [
    "/v1/pets/1837",
    "/repos/keystile/example/issues/1347/comments?per_page=100&page=2",
    "/files/a%20b%C3%A9.txt",
    "/v1//pets/%41%2dz",
    "/a/../../etc/passwd",
];

#[divan::bench(args = TARGETS)]
fn parse(target: &str) -> bool {
    CanonicalTarget::parse(black_box(target)).is_ok_and(|target| target.is_verbatim())
}

#[divan::bench]
fn label_without_a_document(bencher: Bencher<'_, '_>) {
    let mut label = String::with_capacity(64);
    bencher.bench_local(|| {
        label.clear();
        segments_label(Method::Get, black_box(TARGETS[1]), &mut label);
        label.len()
    });
}

#[divan::bench]
fn find_among_a_thousand(bencher: Bencher<'_, '_>) {
    let kinds = (0..100).map(|kind| format!("/repos/{{owner}}/{{repo}}/kind{kind}"));
    let forms = ["", "/{id}", "/latest", "/{id}/comments", "/{id}/{from}...{to}"];
    let paths = kinds.flat_map(|kind| forms.map(|form| format!("{kind}{form}")));
    let table = OperationTable::build(paths.flat_map(|path| [(Method::Get, path.clone()), (Method::Post, path)]))
        .expect("all differ");
    bencher.bench_local(|| table.find(Method::Get, black_box("/repos/keystile/example/kind70/1347/comments")));
}
