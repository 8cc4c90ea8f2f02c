//! Keys that exist already: taken over from a file as text or as SHA-256, refused line by line where they are no keys.

use keystile_core::key::{Environment, KeyText, Prefix};
use keystile_server::world::{SystemEntropy, random};
use keystile_testkit::raw::Answer;
use serde_json::{Value, json};

use super::form::problem;
use super::process::{Ended, keystile, run, run_with};
use super::world::{Caller, World, mistyped, shared};

/// Keys of the import that is measured.
const MANY: usize = 20_000;
/// Keys and their SHA-256.
const FIRST: (&str, &str) =
    ("legacy-4f1d7a92c0e8b35617d2a6f0984c3be5", "2ba920a871f84e7b75a76fe4c3ea77d1c8b439bb3011fcabb987703f5dc260b7");
const SECOND: (&str, &str) =
    ("legacy-a81b53c7de90f2461c7b0d5e39f8a264", "31de12f7e196c3509992fd637940b4ac9ede1624a4cb9af73377a7ec2cf481df");

#[test]
fn k07_a_file_of_good_and_bad_keys_is_taken_over_as_far_as_it_is_good() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let (first, named, ours) = (fresh(), fresh(), issued());
    let bad = mistyped(&issued());
    let lines = [
        first.as_str(),
        &format!("{named}  the billing job"),
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "short",
        "",
        &first,
        &bad,
        &ours,
        "schlüssel-schlüssel-schlüssel-schlüssel",
        "1234567890123456789012345678",
        &"x".repeat(513),
    ];
    let text = lines.join("\r\n");
    let ended = import(world, &caller, &["--json"], &text);
    assert_eq!(ended.code, 3, "{}", ended.err);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&report["imported"], &report["refused_count"]), (&json!(3), &json!(7)), "{report}");
    let refused: Vec<(u64, &str)> = report["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refusal| (refusal["line"].as_u64().unwrap(), refusal["reason"].as_str().unwrap()))
        .collect();
    let expected = [
        (3, "weak"),
        (4, "malformed"),
        (6, "duplicate"),
        (7, "checksum"),
        (9, "malformed"),
        (10, "weak"),
        (11, "malformed"),
    ];
    assert_eq!(refused, expected);
    for key in [&first, &named, &ours] {
        assert_eq!(world.call(key, "GET", &caller.path).status, 200);
    }
    problem(&world.call(&bad, "GET", &caller.path), 401, "key_malformed");
    problem(&world.call(lines[2], "GET", &caller.path), 401, "key_unknown");
    let listed = world.manage().get(&format!("/v1/keys?project_id={}", caller.project)).1;
    let find = |name: &str| listed["items"].as_array().unwrap().iter().find(|key| key["name"] == name).cloned();
    let billing = find("the billing job").expect("names are taken over");
    assert_eq!(
        (&billing["expires_at"], &billing["hint"]),
        (&Value::Null, &json!(format!("••••{}", &named[named.len() - 4..])))
    );
    for key in [&first, &named, &ours, &bad] {
        assert!(!ended.out.contains(key.as_str()) && !ended.err.contains(key.as_str()), "a key is in the report");
    }
}

#[test]
fn for_people_the_report_names_the_lines() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let text = format!("{}\nshort\n{}\nshort\naaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", fresh(), fresh());
    let ended = import(world, &caller, &[], &text);
    assert_eq!(ended.code, 3, "{}", ended.err);
    for words in ["imported 2 keys", "refused 3", "malformed", "lines 2, 4", "weak", "lines 5"] {
        assert!(ended.out.contains(words), "{words} in {}", ended.out);
    }
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("refused.ndjson");
    let ended = import(world, &caller, &["--report", report.to_str().unwrap()], &text);
    assert_eq!(ended.code, 3);
    let written: Vec<Value> =
        std::fs::read_to_string(&report).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let places: Vec<(u64, &str)> =
        written.iter().map(|line| (line["line"].as_u64().unwrap(), line["reason"].as_str().unwrap())).collect();
    assert_eq!(places, [(1, "duplicate"), (2, "malformed"), (3, "duplicate"), (4, "malformed"), (5, "weak")]);
    assert_eq!(import(world, &caller, &["--report", report.to_str().unwrap()], &text).code, 2, "an old report is kept");
}

#[test]
fn keys_are_taken_over_by_their_sha_256() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let text = format!("{}\n{}\nnot-a-hash\n{}\n", FIRST.1, SECOND.1.to_uppercase(), &FIRST.1[..62]);
    let ended = import(world, &caller, &["--sha256", "--json"], &text);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, &report["imported"], &report["refused_count"]), (3, &json!(2), &json!(2)), "{report}");
    for (key, hash) in [FIRST, SECOND] {
        assert_eq!(world.call(key, "GET", &caller.path).status, 200);
        assert_eq!(world.call(hash, "GET", &caller.path).status, 401, "k05: the hash of a key is no key");
    }
    let again = import(world, &caller, &["--json"], FIRST.0);
    let report: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(report["refused"][0]["reason"], "duplicate", "the text and its hash are one key: {report}");
}

#[test]
fn every_format_is_read_and_told_apart() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let keys: Vec<String> = (0..6).map(|_| fresh()).collect();
    let files = [
        format!("name,key,expires_at,colour\n\"a, b\",{},2100-01-31T12:00:00Z,red\nc,{},,\n", keys[0], keys[1]),
        format!("{{\"key\":\"{}\",\"name\":\"d\"}}\n{{\"key\":\"{}\",\"expires_at\":null}}\n", keys[2], keys[3]),
        format!("\u{feff}{}\n{}\n", keys[4], keys[5]),
    ];
    for (file, format) in files.iter().zip(["csv", "ndjson", "text"]) {
        let ended = import(world, &caller, &["--json"], file);
        let report: Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!((ended.code, &report["imported"]), (0, &json!(2)), "{format}: {report} {}", ended.err);
        assert_eq!(
            import(world, &caller, &["--json", "--format", format], file).code,
            3,
            "{format}: all are duplicates"
        );
    }
    let listed = world.manage().get(&format!("/v1/keys?project_id={}", caller.project)).1;
    let named =
        |name: &str| listed["items"].as_array().unwrap().iter().find(|key| key["name"] == name).unwrap().clone();
    assert_eq!(named("a, b")["expires_at"], "2100-01-31T12:00:00Z");
    assert_eq!(named("d")["expires_at"], Value::Null);
}

#[test]
fn a_policy_and_an_end_hold_for_all_keys_of_an_import() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let keys = [fresh(), fresh()];
    let ended = import(
        world,
        &caller,
        &["--method", "POST", "--rate-limit", "1/hour", "--expires-in-days", "5", "--permission", "a.b"],
        &keys.join("\n"),
    );
    assert_eq!(ended.code, 0, "{}", ended.err);
    for key in &keys {
        problem(&world.call(key, "GET", &caller.path), 403, "operation_forbidden");
        assert_eq!(world.call(key, "POST", &caller.path).status, 200);
        problem(&world.call(key, "POST", &caller.path), 429, "rate_limited");
    }
    let listed = world.manage().get(&format!("/v1/keys?project_id={}", caller.project)).1;
    assert!(
        listed["items"].as_array().unwrap()[..2]
            .iter()
            .all(|key| key["expires_at"].is_string() && key["permissions"] == json!(["a.b"]))
    );
}

#[test]
fn twenty_thousand_keys_are_taken_over_quickly() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let keys: Vec<String> = (0..MANY).map(|_| fresh()).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.txt");
    std::fs::write(&file, keys.join("\n")).unwrap();
    let ended =
        run(&mut command(world, &["key", "import", "--project", &caller.project, file.to_str().unwrap(), "--json"]));
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, &report["imported"]), (0, &json!(MANY)), "{}", ended.err);
    println!(
        "{MANY} keys in {:.2?} with the start of the command, {} keys/s by its own clock",
        ended.took, report["keys_per_second"]
    );
    for key in keys.iter().step_by(MANY / 50) {
        assert_eq!(world.call(key, "GET", &caller.path).status, 200);
    }
    let again =
        run(&mut command(world, &["key", "import", "--project", &caller.project, file.to_str().unwrap(), "--json"]));
    let report: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!((again.code, &report["imported"], &report["refused_count"]), (3, &json!(0), &json!(MANY)));
    assert_eq!(report["refused"].as_array().unwrap().len(), 1_000, "the list is bounded");
}

#[test]
fn the_route_itself_refuses_line_by_line() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let (good, other) = (fresh(), fresh());
    let lines = [
        json!({ "key": good, "surprise": 1 }).to_string(),
        "{".to_owned(),
        "[]".to_owned(),
        json!({ "name": "nothing" }).to_string(),
        json!({ "key": good, "sha256": FIRST.1 }).to_string(),
        json!({ "key": good, "expires_at": "2001-01-01T00:00:00Z" }).to_string(),
        json!({ "key": good, "name": "a\nb" }).to_string(),
        String::new(),
        json!({ "key": good, "name": "kept" }).to_string(),
        json!({ "key": good }).to_string(),
        json!({ "key": other, "id": "key_x" }).to_string(),
    ];
    let answer = post(world, &format!("project_id={}", caller.project), &lines.join("\n"));
    let report = answer.json();
    assert_eq!((answer.status, &report["imported"], &report["refused_count"]), (200, &json!(1), &json!(9)), "{report}");
    let refused: Vec<(u64, &str)> = report["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["line"].as_u64().unwrap(), line["reason"].as_str().unwrap()))
        .collect();
    let invalid = |line: u64| (line, "invalid");
    let expected: Vec<(u64, &str)> = (1..=7).map(invalid).chain([(10, "duplicate"), invalid(11)]).collect();
    assert_eq!(refused, expected);
    assert!(!answer.text().contains(&good), "the report repeats a key");
    for (query, status, code) in [
        ("project_id=prj_2Zk9mQ4tR7vX1bN6cL8dF3", 404, "not_found"),
        ("", 400, "invalid"),
        (&format!("project_id={}&surprise=1", caller.project), 400, "invalid"),
        (&format!("project_id={}&expires_in_days=0", caller.project), 400, "invalid"),
        (&format!("project_id={}&policy=%7B", caller.project), 400, "invalid"),
    ] {
        problem(&post(world, query, &json!({ "key": fresh() }).to_string()), status, code);
    }
    let many = "x\n".repeat(1_500);
    let report = post(world, &format!("project_id={}", caller.project), &many).json();
    assert_eq!((report["refused"].as_array().unwrap().len(), &report["refused_count"]), (1_000, &json!(1_500)));
}

#[test]
fn a_key_of_another_project_is_a_duplicate_and_stays_where_it_is() {
    let world = shared();
    let (first, second) = (world.caller(&json!({})), world.caller(&json!({})));
    let key = fresh();
    assert_eq!(import(world, &first, &[], &key).code, 0);
    assert_eq!(import(world, &second, &[], &key).code, 3);
    assert_eq!(world.call(&key, "GET", &first.path).status, 200);
    problem(&world.call(&key, "GET", &second.path), 403, "not_activated");
    // An issued key can't be taken over either.
    assert_eq!(import(world, &second, &[], &first.key).code, 3);
}

fn post(world: &World, query: &str, lines: &str) -> Answer {
    let fields = [("content-type", "application/x-ndjson")];
    world.manage().request("POST", &format!("/v1/keys/import?{query}"), &fields, lines.as_bytes())
}

fn import(world: &World, caller: &Caller, options: &[&str], text: &str) -> Ended {
    let args = [&["key", "import", "--project", &caller.project, "-"], options].concat();
    run_with(&mut command(world, &args), text.as_bytes())
}

fn command(world: &World, args: &[&str]) -> std::process::Command {
    let mut command = keystile(args);
    command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
    command
}

/// A key as other products issue them.
fn fresh() -> String {
    let bytes: [u8; 20] = random(&SystemEntropy).unwrap();
    bytes.iter().fold("ext_".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// A key that another installation of this product issued.
fn issued() -> String {
    let text = KeyText::issue(&Prefix::default(), Environment::Live, &random(&SystemEntropy).unwrap()).unwrap();
    text.expose().to_owned()
}
