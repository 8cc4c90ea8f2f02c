//! Promises of the import.

use std::io::Cursor;

use keystile_core::id::ProjectId;
use serde_json::{Value, json};

use super::super::tests::{Run, Seen, Stub};
use super::batch::{Batch, Preparer, Size};
use super::*;

const DIGEST: &str = "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824";

fn open(text: &[u8], format: Format, sha256: bool, size: Size) -> Result<Preparer, Fault> {
    Preparer::open(Box::new(Cursor::new(text.to_vec())), format, sha256, size)
}

fn batches(text: &[u8], format: Format, sha256: bool, size: Size) -> Vec<Batch> {
    let mut preparer = open(text, format, sha256, size).unwrap_or_else(|fault| panic!("{fault:?}"));
    std::iter::from_fn(|| preparer.next_batch(None).unwrap()).collect()
}

fn body(text: &str, format: Format, sha256: bool) -> String {
    let batches = batches(text.as_bytes(), format, sha256, Size::of(false));
    batches.iter().map(|batch| std::str::from_utf8(batch.body()).unwrap()).collect()
}

fn refused(batch: &Batch) -> Vec<u64> {
    batch.refused().iter().map(|refusal| refusal.line).collect()
}

#[test]
fn every_format_becomes_the_same_lines() {
    use Format::{Auto, Csv, Ndjson, Text};
    let (a, ab) = ("{\"key\":\"aaa\"}\n", "{\"key\":\"aaa\",\"name\":\"My app\"}\n{\"key\":\"bbb\"}\n");
    let full = "{\"key\":\"aaa\",\"name\":\"My app\",\"expires_at\":\"2027-01-01T00:00:00Z\"}\n";
    let digest = format!("{{\"sha256\":\"{DIGEST}\",\"name\":\"n\"}}\n");
    for (text, format, sha256, expected) in [
        ("aaa", Auto, false, a),
        ("\u{feff}aaa\r\n\r\n", Auto, false, a),
        ("\n\n  aaa  \n", Text, false, a),
        ("aaa My app\nbbb\n", Auto, false, ab),
        ("aaa\tMy app\nbbb", Auto, false, ab),
        ("key,name\naaa,My app\nbbb,\n", Auto, false, ab),
        ("name;key\nMy app;aaa\n;bbb\n", Csv, false, ab),
        ("\"Key\",\"Name\",\"id\"\n\"aaa\",\"My app\",\"7\"\nbbb\n", Auto, false, ab),
        ("key,name,expires_at\naaa,My app,2027-01-01T00:00:00Z\n", Auto, false, full),
        ("key\naaa\n", Auto, false, a),
        ("key\naaa\n", Text, false, "{\"key\":\"key\"}\n{\"key\":\"aaa\"}\n"),
        ("a\"a\\a", Auto, false, "{\"key\":\"a\\\"a\\\\a\"}\n"),
        ("aaa \"x\"\u{1}", Auto, false, "{\"key\":\"aaa\",\"name\":\"\\\"x\\\"\\u0001\"}\n"),
        ("key,name\naaa,\"x, \"\"y\"\"\"\n", Auto, false, "{\"key\":\"aaa\",\"name\":\"x, \\\"y\\\"\"}\n"),
        ("{\"key\":\"aaa\"}\n", Auto, false, a),
        ("  {\"key\":\"aaa\"}  \r\n\n", Ndjson, false, a),
        (&format!("{DIGEST} n\n"), Auto, true, &digest),
        (&format!("sha256,name\n{DIGEST},n\n"), Auto, false, &digest),
        (&format!("key,name\n{DIGEST},n\n"), Auto, true, &digest),
        (
            "name;hash;lookup\nn;$2b$x;sk_live\n",
            Auto,
            false,
            "{\"hash\":\"$2b$x\",\"lookup\":\"sk_live\",\"name\":\"n\"}\n",
        ),
        ("hash\n$2b$x\n", Auto, false, "{\"hash\":\"$2b$x\"}\n"),
        (
            "short_token,long_token_hash\nab_cd,x\n",
            Auto,
            false,
            "{\"long_token_hash\":\"x\",\"short_token\":\"ab_cd\"}\n",
        ),
        ("", Auto, false, ""),
        ("\n\n", Auto, false, ""),
        ("key,name\n", Auto, false, ""),
    ] {
        assert_eq!(body(text, format, sha256), expected, "{format:?} {text:?}");
    }
}

#[test]
fn a_file_that_could_be_misread_is_refused_without_being_repeated() {
    for (text, format, sha256) in [
        ("s3cr3t,My app\n", Format::Auto, false),
        ("s3cr3t,My app\n", Format::Csv, false),
        ("key,sha256\ns3cr3t,x\n", Format::Csv, false),
        ("[{\"key\":\"s3cr3t\"}]\n", Format::Auto, false),
        ("{\"key\":\"s3cr3t\"}\n", Format::Auto, true),
    ] {
        let fault = open(text.as_bytes(), format, sha256, Size::of(false)).err().unwrap();
        assert_eq!(fault.exit, Exit::Usage);
        assert!(!format!("{fault:?}").contains("s3cr3t"), "{fault:?}");
    }
    assert!(
        open(b"\xff\xfea\0", Format::Auto, false, Size::of(false)).is_err_and(|fault| fault.why.contains("UTF-16"))
    );
    assert!(open(b"s3cr3t,with-comma\n", Format::Text, false, Size::of(false)).is_ok());
}

#[test]
fn a_line_that_cannot_be_sent_is_refused_and_the_rest_goes_on() {
    let long = "x".repeat(40_000);
    let text = [b"aaa\n".as_slice(), long.as_bytes(), b"\nb\xffb\nccc\n\n", long.as_bytes()].concat();
    let batches = batches(&text, Format::Text, false, Size::of(false));
    assert_eq!(batches.len(), 1);
    assert_eq!(std::str::from_utf8(batches[0].body()).unwrap(), "{\"key\":\"aaa\"}\n{\"key\":\"ccc\"}\n");
    assert_eq!(refused(&batches[0]), [2, 3, 6]);
    assert_eq!(
        (batches[0].line_in_file(1), batches[0].line_in_file(2), batches[0].line_in_file(3)),
        (Some(1), Some(4), None)
    );
    assert_eq!(batches[0].line_in_file(0), None);
    assert_eq!(batches[0].read_bytes(), text.len() as u64);

    for (text, format, sha256, lines) in [
        ("aaa\n{\"key\":1}\n", Format::Ndjson, false, vec![1]),
        ("name,key\nx\n\"y\n,\n", Format::Csv, false, vec![2, 3, 4]),
        ("abc\n", Format::Text, true, vec![1]),
    ] {
        let all: Vec<u64> =
            self::batches(text.as_bytes(), format, sha256, Size::of(false)).iter().flat_map(refused).collect();
        assert_eq!(all, lines, "{text:?}");
    }
}

#[test]
fn batches_are_bounded_in_lines_and_bytes() {
    let text: String = (0..25).map(|n| format!("key-{n}\n\n")).collect();
    let size = Size { lines: 10, bytes: 1 << 20 };
    let split = batches(text.as_bytes(), Format::Text, false, size);
    assert_eq!(split.iter().map(Batch::sent).collect::<Vec<_>>(), [10, 10, 5]);
    assert_eq!(split[2].line_in_file(1), Some(41));

    let line = format!("{}\n", "\"".repeat(16_000));
    let split = batches(line.repeat(50).as_bytes(), Format::Text, false, Size { lines: 1_000, bytes: 300_000 });
    assert!(split.iter().all(|batch| batch.body().len() <= 300_000 && batch.sent() > 0), "a body is too long");
    assert_eq!(split.iter().map(Batch::sent).sum::<usize>(), 50);
}

#[test]
fn a_used_batch_brings_nothing_of_its_own() {
    let mut preparer = open(b"a\n\xff\nb\n", Format::Text, false, Size { lines: 2, bytes: 1 << 20 }).unwrap();
    let first = preparer.next_batch(None).unwrap().unwrap();
    let second = preparer.next_batch(Some(first)).unwrap().unwrap();
    assert_eq!((second.body(), second.sent(), refused(&second)), (b"{\"key\":\"b\"}\n".as_slice(), 1, vec![]));
}

fn project() -> String {
    ProjectId::from_entropy([1; 16]).to_string()
}

/// A server that refuses every key with `bad` in it, and lists at most `listed` of them.
fn refusing(listed: usize) -> Stub {
    Stub::new(move |seen: &Seen| {
        if seen.method == "GET" {
            return (200, json!({"id": project()}).to_string());
        }
        let lines: Vec<Value> = seen
            .body
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect();
        let bad: Vec<usize> = lines
            .iter()
            .enumerate()
            .filter(|(_, l)| l["key"].as_str().unwrap().contains("bad"))
            .map(|(n, _)| n + 1)
            .collect();
        let refused: Vec<Value> =
            bad.iter().take(listed).map(|n| json!({"line": n, "reason": "weak", "detail": "Guessable."})).collect();
        (200, json!({"imported": lines.len() - bad.len(), "refused": refused, "refused_count": bad.len()}).to_string())
    })
}

#[test]
fn refusals_are_told_by_their_line_in_the_file_and_never_by_their_text() {
    let folder = tempfile::tempdir().unwrap();
    let (file, report) = (folder.path().join("keys.txt"), folder.path().join("report"));
    std::fs::write(&file, b"\ngood-1\nbad-s3cr3t\n\xc3\x28\n\ngood-2 name\nbad-s3cr3t-2\n").unwrap();
    let stub = refusing(1_000);
    let args = [
        "key",
        "import",
        "--project",
        &project(),
        file.to_str().unwrap(),
        "--expires-in-days",
        "30",
        "--rate-limit",
        "5/min",
    ];
    let ran = Run::at(&stub).run(&args);
    assert_eq!(ran.exit, Exit::Findings);
    assert_eq!(
        ran.out,
        "imported 2 keys in 1.0 s (2 keys/s)\nrefused 3\n  malformed          1  lines 4\n  weak               2  lines 3, 7\n"
    );
    assert!(!ran.out.contains("s3cr3t") && !ran.err.contains("s3cr3t"), "{ran:?}");
    let seen = stub.seen();
    assert_eq!(stub.lines()[0], format!("GET /v1/projects/{}", project()));
    let limits = "%7B%22rate_limits%22%3A%5B%7B%22algorithm%22%3A%22sliding_window%22%2C%22limit%22%3A5%2C%22name%22%3A%22minute%22%2C%22window_seconds%22%3A60%7D%5D%7D";
    assert_eq!(
        stub.lines()[1],
        format!("POST /v1/keys/import?project_id={}&expires_in_days=30&policy={limits}", project())
    );
    assert!(seen[1].headers.contains("content-type: application/x-ndjson\r\n"), "{}", seen[1].headers);
    assert_eq!(stub.connections(), 1);

    let args = [
        "key",
        "import",
        "--project",
        &project(),
        file.to_str().unwrap(),
        "--report",
        report.to_str().unwrap(),
        "--json",
    ];
    let ran = Run::at(&stub).run(&args);
    let result: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&result["imported"], &result["refused_count"]), (&json!(2), &json!(3)));
    let lines: Vec<Value> =
        std::fs::read_to_string(&report).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.iter().map(|l| l["line"].as_u64().unwrap()).collect::<Vec<_>>(), [4, 3, 7]);

    let ran = Run::at(&stub).run(&args);
    assert_eq!(ran.exit, Exit::Usage, "a report never overwrites a file");
}

#[test]
fn a_report_lists_every_refusal_of_any_number() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let text: String = (0..2_500).map(|n| format!("bad-{n}\n")).collect();
    let stub = refusing(1_000);
    let args = ["key", "import", "--project", &project(), "-", "--report", report.to_str().unwrap()];
    assert_eq!(Run::at(&stub).with_input(text.as_bytes()).run(&args).exit, Exit::Findings);
    assert_eq!(std::fs::read_to_string(&report).unwrap().lines().count(), 2_500);

    let ran = Run::at(&stub).with_input(text.as_bytes()).run(&["key", "import", "--project", &project(), "-"]);
    assert!(ran.out.contains("refused 2,500\n") && ran.out.contains("1,500 more were refused"), "{}", ran.out);
}

#[test]
fn all_good_is_no_finding_and_a_broken_import_says_how_to_go_on() {
    let stub = refusing(1_000);
    let ran = Run::at(&stub).with_input(b"good-1\ngood-2\n").run(&["key", "import", "--project", &project(), "-"]);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Ok, "imported 2 keys in 1.0 s (2 keys/s)\n"));

    let count = std::sync::atomic::AtomicUsize::new(0);
    let stub = Stub::new(move |seen: &Seen| {
        match (seen.method.as_str(), count.fetch_add(1, std::sync::atomic::Ordering::SeqCst)) {
            ("GET", _) => (200, json!({"id": project()}).to_string()),
            (_, 1) => (200, json!({"imported": 100_000, "refused": [], "refused_count": 0}).to_string()),
            _ => (503, json!({"code": "overloaded", "detail": "Too busy."}).to_string()),
        }
    });
    let text = "good\n".repeat(100_001);
    let ran = Run::at(&stub).with_input(text.as_bytes()).run(&["key", "import", "--project", &project(), "-"]);
    assert_eq!(ran.exit, Exit::Network);
    assert!(ran.out.starts_with("imported 100,000 keys"), "{}", ran.out);
    assert!(ran.err.contains("up to line 100000 of the file are done"), "{}", ran.err);
}

#[test]
fn an_answer_that_does_not_add_up_is_not_believed() {
    for answer in [
        json!({}),
        json!({"imported": 5, "refused": [], "refused_count": 0}),
        json!({"imported": 1, "refused": [{"line": 9, "reason": "weak"}], "refused_count": 1}),
    ] {
        let stub = Stub::new(move |seen: &Seen| {
            if seen.method == "GET" { (200, json!({"id": 1}).to_string()) } else { (200, answer.to_string()) }
        });
        let ran = Run::at(&stub).with_input(b"good-1\ngood-2\n").run(&["key", "import", "--project", &project(), "-"]);
        assert_eq!(ran.exit, Exit::Failure, "{ran:?}");
        assert!(ran.err.contains("not understood"), "{}", ran.err);
    }
}

/// A server that takes `done` batches and then is gone for a while.
fn breaking(done: usize, back_after: usize) -> Stub {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Stub::new(move |seen: &Seen| {
        if seen.method == "GET" {
            return (200, json!({"id": project()}).to_string());
        }
        let place = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let lines = seen.body.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count();
        if place >= done && place < back_after {
            return (503, json!({"code": "store_unavailable", "detail": "Gone."}).to_string());
        }
        (200, json!({"imported": lines, "refused": [], "refused_count": 0, "reasons": {}}).to_string())
    })
}

fn names(stub: &Stub) -> Vec<String> {
    let of =
        |seen: Seen| seen.headers.lines().find_map(|line| line.strip_prefix("idempotency-key: ").map(str::to_owned));
    stub.seen().into_iter().filter_map(of).collect()
}

#[test]
fn an_import_that_broke_off_goes_on_where_it_was_under_the_same_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.txt");
    std::fs::write(&file, (0..500).map(|n| format!("key-{n}\n")).collect::<String>()).unwrap();
    let kept = folder.path().join("keys.txt.keystile-import");
    let stub = breaking(1, 5);
    let project = project();
    let args = ["key", "import", "--project", &project, file.to_str().unwrap(), "--weak", "argon2id"];
    let ran = Run::at(&stub).run(&args);
    assert_eq!(ran.exit, Exit::Network, "{ran:?}");
    assert!(ran.err.contains("up to line 200") && ran.err.contains("--resume"), "{}", ran.err);
    let text = std::fs::read_to_string(&kept).unwrap();
    assert!(text.contains("\"done_line\":200") && !text.contains("key-"), "{text}");

    let other = [&args[..], &["--resume", "--expires-in-days", "5"]].concat();
    assert_eq!(Run::at(&stub).run(&other).exit, Exit::Usage, "other options are another import");
    let ran = Run::at(&stub).run(&[&args[..], &["--resume", "--json"]].concat());
    assert_eq!(ran.exit, Exit::Ok, "{ran:?}");
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["imported"], 500, "all of it");
    assert!(!kept.exists());
    let names = names(&stub);
    assert_eq!(names.len(), 1 + 4 + 2, "the second batch was tried four times, then once, then the third: {names:?}");
    assert!(names[0].ends_with("-1") && names[6].ends_with("-401"), "{names:?}");
    assert!(names[1..6].iter().all(|name| *name == names[1] && name.ends_with("-201")), "{names:?}");

    let ran = Run::at(&stub).run(&[&args[..], &["--resume"]].concat());
    assert_eq!(ran.exit, Exit::Usage, "there is nothing to go on with");
    let ran = Run::at(&stub).run(&[&args[..], &["--from-line", "499", "--json"]].concat());
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["imported"], 2, "{ran:?}");
}

#[test]
fn a_batch_that_did_not_get_through_is_sent_again() {
    let stub = breaking(0, 2);
    let ran = Run::at(&stub).with_input(b"a\nb\n").run(&["key", "import", "--project", &project(), "-"]);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Ok, "imported 2 keys in 1.0 s (2 keys/s)\n"));
    let names = names(&stub);
    assert!(names.len() == 3 && names.iter().all(|name| *name == names[0]), "{names:?}");
}
