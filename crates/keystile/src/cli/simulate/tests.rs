//! What is promised of simulations at the command line.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::super::tests::{Ran, Run, Stub};
use super::Exit;

const PLAN: [&str; 6] =
    ["--rate-limit", "fixed:2/min", "--quota", "3/day", "--price", "9.90 EUR/month,included=2,unit=0.40/1000"];
/// Calls of two; the last one stands where it does not belong, and two lines are none.
const COMBINED: &str = r#"192.0.2.1 - - [27/Nov/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200 1
192.0.2.1 - - [27/Nov/2026:10:00:01 +0000] "GET /b HTTP/1.1" 404 1
192.0.2.1 - - [27/Nov/2026:10:00:02 +0000] "GET /a HTTP/1.1" 200 1
192.0.2.2 - - [27/Nov/2026:10:00:03 +0000] "-" 408 0
192.0.2.2 - - [27/Nov/2026:10:00:03 +0000] "POST /a HTTP/1.1" 200 1
192.0.2.1 - - [27/Nov/2026:10:05:00 +0000] "GET /a HTTP/1.1" 200 1
192.0.2.1 - - [27/Nov/2026:10:06:00 +0000] "GET /a HTTP/1.1" 200 1

a remark
192.0.2.1 - - [27/Nov/2026:10:00:05 +0000] "GET /a HTTP/1.1" 200 1
"#;

/// A run without any server or key.
fn run(input: &[u8], args: &[&str]) -> Ran {
    let stub = Stub::new(|_| panic!("nothing is asked of a server"));
    let mut run = Run::at(&stub).with_input(input);
    run.env.clear();
    let ran = run.run(&[&["plan", "simulate", "--log", "-"], args].concat());
    assert_eq!(stub.connections(), 0);
    ran
}

fn found(input: &[u8], args: &[&str]) -> Value {
    let ran = run(input, &[&["--json"], args].concat());
    assert_eq!(ran.exit, Exit::Ok, "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn a_plan_is_tried_out_without_a_server_and_nothing_is_left_out_silently() {
    let ran = run(COMBINED.as_bytes(), &PLAN);
    assert_eq!(
        ran.out,
        "CLIENT     CALLS  LET THROUGH  LIMITED  EXHAUSTED  UNITS  OVERAGE    AMOUNT\n\
         192.0.2.1      6            3        2          1      3        1  9.90 EUR\n\
         192.0.2.2      1            1        0          0      1        0  9.90 EUR\n"
    );
    assert_eq!(
        ran.err.lines().collect::<Vec<_>>(),
        [
            "7 calls of 2 clients: 4 let through, 2 limited, 1 exhausted; 4 units, 1 of them beyond what fees include; 19.80 EUR",
            "from 2026-11-27T10:00:00Z until 2026-11-27T10:06:00Z",
            "limit fixed:minute=2/60s: refused 2 calls",
            "quota day=3/day: refused 1 call",
            "left out: 2 lines: no request that is understood (line 4; line 9)",
            "put in order of time: 1 call stood behind later ones",
        ]
    );
    let ran = run(COMBINED.as_bytes(), &[&PLAN[..], &["--limit", "1", "-q"]].concat());
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (2, ""));
}

#[test]
fn programs_are_told_everything() {
    let found = found(COMBINED.as_bytes(), &PLAN);
    let totals = json!({
        "subjects": 2, "calls": 7, "let_through": 4, "limited": 2, "exhausted": 1, "units": 4, "overage": 1, "amount": "19.80",
    });
    assert_eq!(found["totals"], totals);
    assert_eq!(
        found["items"][0],
        json!({
            "who": "192.0.2.1", "calls": 6, "let_through": 3, "limited": 2, "exhausted": 1, "units": 3, "overage": 1,
            "amount": "9.90",
            "statements": [{
                "starts_at": "2026-11-01T00:00:00Z", "ends_at": "2026-12-01T00:00:00Z", "calls": 3, "refused": 3, "units": 3,
                "included": 2, "overage": 1, "total": "9.90",
                "lines": [
                    {"item": "base_fee", "units": 2, "amount": "9.90"},
                    {"item": "overage", "units": 1, "amount": "0.00"},
                ],
            }],
        })
    );
    assert_eq!((&found["lines"], &found["out_of_order"], &found["by"]), (&json!(9), &json!(1), &json!("client")));
    let skipped =
        json!([{"reason": "no_request", "lines": 2, "first": [{"log": "-", "line": 4}, {"log": "-", "line": 9}]}]);
    assert_eq!(found["skipped"], skipped);
    assert_eq!(found["rate_limits"], json!([{"name": "minute", "shadow": false, "refused": 2}]));
    assert_eq!(found["quotas"], json!([{"name": "day", "refused": 1, "beyond": 0}]));
    assert_eq!(found["plan"]["price"]["base_fee"], "9.90");
}

#[test]
fn however_a_log_is_written_its_calls_are_the_same() {
    let calls = [(0, "192.0.2.1"), (1_000, "192.0.2.1"), (2_000, "192.0.2.1"), (60_000, "192.0.2.2")];
    let columns: String = calls.iter().map(|(after, who)| format!("{after}\t{who}\tGET\t/a\t200\n")).collect();
    let columns = format!("t_ms\tclient\tmethod\tpath\tstatus\n{columns}");
    let clock = |after: u32| format!("10:{:02}:{:02}", after / 60_000, after % 60_000 / 1_000);
    let combined: String = calls
        .iter()
        .map(|(after, who)| format!("{who} - - [27/Nov/2026:{} +0000] \"GET /a HTTP/1.1\" 200 1\r\n", clock(*after)))
        .collect();
    let keystile: String = calls
        .iter()
        .map(|(after, who)| {
            let time = format!("2026-11-27T{}Z", clock(*after));
            let line = json!({"time": time, "client": who, "method": "GET", "path": "/a", "code": "allowed", "project_id": "prj_x", "key_id": null});
            format!("{line}\n")
        })
        .collect();
    let args = |rest: &[&'static str]| [&PLAN[..], &["--start", "2026-11-27T10:00:00Z"], rest].concat();
    let expected = found(combined.as_bytes(), &args(&[]));
    assert_eq!(expected["totals"]["limited"], 1);
    assert_eq!(found(columns.as_bytes(), &args(&[]))["items"], expected["items"]);
    assert_eq!(found(columns.as_bytes(), &args(&["--format", "columns"]))["items"], expected["items"]);
    assert_eq!(found(keystile.as_bytes(), &args(&["--by", "client"]))["items"], expected["items"]);
    let by_project = found(keystile.as_bytes(), &args(&[]));
    assert_eq!((&by_project["items"][0]["who"], &by_project["items"][0]["calls"]), (&json!("prj_x"), &json!(4)));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(combined.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    assert_eq!(found(&gzip, &args(&[]))["items"], expected["items"]);
    let ran = run(&gzip[..gzip.len() / 2], &PLAN);
    assert!(ran.exit == Exit::Failure && ran.err.contains("can't be read to its end"), "{}", ran.err);
}

#[test]
fn operations_cost_what_the_plan_says() {
    let costs = ["--operation-cost", "GET /pets/{id}=5", "--operation-cost", "GET /health=0", "--quota", "100/month"];
    let log = b"time\tclient\tmethod\tpath\tcost\n2026-11-27T10:00:00Z\ta\tGET\t/pets/7?x=1\t3\n\
                2026-11-27T10:00:01Z\ta\tGET\t/health\t1\n2026-11-27T10:00:02Z\ta\tPOST\t/pets/7\t3\n";
    let simulated = found(log, &costs);
    assert_eq!(simulated["totals"]["units"], 5 + 3, "of others what the log says");
    assert_eq!(simulated["costs_replaced"], 1, "one that somebody may have told");
    let event = |operation: &str| {
        format!(
            r#"{{"id":"1-1-0","kind":"call","at":"2027-01-08T00:00:00Z","recorded_at":"2027-01-08T00:00:01Z","api_id":"api_1","project_id":"prj_1","key_id":null,"operation":"{operation}","code":"allowed","status":200,"calls":1,"latency_us":1,"bytes_in":0,"bytes_out":0,"units":3}}
"#
        )
    };
    let usage = ["GET /pets/{petId}", "GET /pets/7/*", "(other)"].map(event).concat();
    assert_eq!(found(usage.as_bytes(), &costs)["totals"]["units"], 5 + 3 + 3, "an operation is known by its template");
}

#[test]
fn of_several_apis_the_one_is_meant_whose_plan_it_is() {
    let line = |api: &str, name: &str, key: u8| {
        let key = keystile_core::id::KeyId::from_entropy([key; 16]).to_string();
        let line = json!({"time": "2026-11-27T10:00:00Z", "client": "192.0.2.1", "method": "GET", "path": "/a", "code": "allowed",
            "project_id": "prj_x", "key_id": key, "api_id": api, "api": name});
        format!("{line}\n")
    };
    let log =
        line("api_1", "Pets", 1) + &line("api_1", "Pets", 1) + &line("api_1", "Pets", 2) + &line("api_2", "Shop", 1);
    let args = ["--rate-limit", "fixed:1/min,by=key"];
    let ran = run(log.as_bytes(), &[&args[..], &["-q"]].concat());
    assert_eq!(
        ran.err,
        "warning: calls of several APIs count together here, and a plan is of one; --api says of which\n"
    );
    for api in ["api_1", "Pets"] {
        let found = found(log.as_bytes(), &[&args[..], &["--api", api]].concat());
        assert_eq!((&found["totals"]["calls"], &found["totals"]["limited"]), (&json!(3), &json!(1)));
        assert_eq!((&found["skipped"][0]["reason"], &found["skipped"][0]["lines"]), (&json!("other_api"), &json!(1)));
    }
}

#[test]
fn several_logs_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let line = |minute: u32| format!("h - - [27/Nov/2026:10:{minute:02}:00 +0000] \"GET / HTTP/1.1\" 200 1\n");
    // One begins before the other and ends after it, as logs of two servers do.
    let (one, two) = (file("one", &(line(0) + &line(9))), file("two", &(line(4) + "junk\n")));
    let found = found(b"", &["--log", &one, "--log", &two, "--quota", "2/day"]);
    assert_eq!((&found["totals"]["calls"], &found["totals"]["exhausted"]), (&json!(3), &json!(1)));
    assert_eq!((&found["out_of_order"], &found["skipped"][0]["first"][0]["log"]), (&json!(0), &json!(two)));
}

#[test]
fn names_of_others_cannot_write_on_the_terminal_nor_stop_a_run() {
    let input = b"t_ms\tclient\tmethod\tpath\n0\ta\x1b[2J\x9b\xff\tGET\t/\x1b[2J\xff\n1\t\xe2\x80\xaeb\tGET\t/\xff\n";
    for args in [&["--quota", "1/day"][..], &["--quota", "1/day", "--json"], &["--rate-limit", "1/min,by=operation"]] {
        let ran = run(input, args);
        let text = ran.out + &ran.err;
        assert_eq!(ran.exit, Exit::Ok, "{text}");
        assert!(text.chars().all(|c| c == '\n' || c == '…' || matches!(c, ' '..='~')), "{text:?}");
    }
    let long = format!("t_ms\tclient\n0\t{}\n1\t{}\n2\tc\n", "x".repeat(257), "x".repeat(100_000));
    let ran = run(long.as_bytes(), &["--quota", "1/day"]);
    assert!(ran.err.contains("2 lines: longer than any sensible line (line 2; line 3)"), "{}", ran.err);
}

#[test]
fn what_a_log_can_not_tell_is_said_even_to_who_wants_no_remarks() {
    let limits = ["flight:a=5", "b=1/min,by=end_user", "fixed:c=1/min,by=operation"];
    let args: Vec<&str> = limits.iter().flat_map(|limit| ["--rate-limit", limit]).chain(["-q"]).collect();
    let ran = run(COMBINED.as_bytes(), &args);
    assert_eq!(ran.exit, Exit::Ok);
    assert_eq!(
        ran.err,
        "warning: the limit flight:a=5/60s is left out: it counts calls in flight, and it is not known when the calls ended\n\
         warning: the limit b=1/60s,by=end_user is left out: it is counted apart by end_user, which is not known of the calls\n"
    );
    // Each operation has its own: of the first client's calls three are of /a within a minute.
    assert!(ran.out.contains("192.0.2.1      6            4        2"), "{}", ran.out);
}

#[test]
fn a_plan_of_the_server_is_tried_out_and_options_replace_parts_of_it() {
    let (id, price) = (
        keystile_core::id::PlanId::from_entropy([7; 16]).to_string(),
        json!({"currency": "EUR", "period": "month", "base_fee": "5", "included": 0, "unit_price": "0", "per_units": 1}),
    );
    let version = |number: u32, limit: u32| json!({"version": number, "from": "2026-01-01T00:00:00Z", "created_at": "2026-01-01T00:00:00Z", "rate_limits": [], "quotas": [{"name": "day", "limit": limit, "period": "day"}], "price": price, "credits": null, "time_zone": "UTC"});
    let plan =
        json!({"id": id, "name": "Free", "version": 2, "versions": [version(1, 1), version(2, 4), version(3, 100)]});
    let answer = plan.to_string();
    let list = json!({"items": [plan]}).to_string();
    let stub = Stub::new(move |seen| (200, if seen.target.contains("name=") { list.clone() } else { answer.clone() }));
    let args = ["plan", "simulate", "--log", "-", "--json", "--plan", "Free"];
    let tried = |more: &[&str]| -> Value {
        let ran = Run::at(&stub).with_input(COMBINED.as_bytes()).run(&[&args[..], more].concat());
        assert_eq!(ran.exit, Exit::Ok, "{}", ran.err);
        serde_json::from_str(&ran.out).unwrap()
    };
    let totals = |found: &Value| (found["totals"]["exhausted"].clone(), found["totals"]["amount"].clone());
    assert_eq!(totals(&tried(&[])), (json!(2), json!("10.00")), "the version that is in force");
    assert_eq!(totals(&tried(&["--quota", "1/day"])), (json!(5), json!("10.00")));
    assert_eq!(totals(&tried(&["--price", "1 EUR/month"])), (json!(2), json!("2.00")));
    assert_eq!(stub.lines()[1], format!("GET /v1/plans/{id}"));
}

#[test]
fn what_can_not_be_tried_out_is_refused_before_anything_is_read() {
    for (args, exit, why) in [
        (&[][..], Exit::Usage, "there is no plan to try out"),
        (&["--credits", "project"], Exit::Usage, "paid by credits"),
        (&["--quota", "1/day", "--quota", "2/day"], Exit::Usage, "each with a name of its own"),
        (&["--quota", "1/day", "--log", "/no/such/file"], Exit::Usage, "/no/such/file"),
        (&["--quota", "1/day", "--by", "project"], Exit::Usage, "which project called"),
        (&["--quota", "1/day", "--api", "Pets"], Exit::Usage, "which API was called"),
        (&["--quota", "1/day", "--format", "columns"], Exit::Usage, "columns of - are not understood"),
        (&["--quota", "1/day", "--format", "keystile"], Exit::Failure, "none of it is a call"),
    ] {
        let ran = run(COMBINED.as_bytes(), args);
        assert!(ran.exit == exit && ran.err.contains(why) && ran.out.is_empty(), "{args:?} {ran:?}");
    }
    let ran = run(b"<html>\n", &["--quota", "1/day"]);
    assert!(ran.exit == Exit::Usage && ran.err.contains("say how with --format"), "{}", ran.err);
    let ran = run(b"", &["--quota", "1/day"]);
    assert!(ran.exit == Exit::Failure && ran.err.contains("none of it is a call"), "{}", ran.err);
}

#[test]
fn a_log_without_a_date_begins_when_somebody_says() {
    let input = b"t_ms\tclient\n0\ta\n86400000\ta\n";
    let args = ["--price", "1 EUR/month"];
    assert!(run(input, &args).err.contains("the log has no date"));
    let found = found(input, &[&args[..], &["--start", "2027-01-31"]].concat());
    assert_eq!(found["items"][0]["amount"], "2.00", "its second day is one of February");
    assert_eq!(found["from"], "2027-01-31T00:00:00Z");
}
