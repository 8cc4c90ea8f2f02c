//! Several machines behind an API: who gets the next call, what happens to those that fail, and how long answers may take.

use std::cell::Cell;
use std::time::Duration;

use keystile_testkit::{Step, Upstream, eventually, now, raw};
use serde_json::{Value, json};

use super::Stage;

const NAMED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";

/// A stage whose API has these targets, each with its weight.
fn with_targets(targets: &[(&Upstream, u32)], more: Value) -> Stage {
    let list: Vec<Value> = targets
        .iter()
        .map(|(target, weight)| json!({ "address": target.address().to_string(), "weight": weight }))
        .collect();
    let mut settings = json!({ "upstream": "http://api.internal/base", "targets": list });
    settings.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    Stage::with(settings, json!({}))
}

fn named(name: &str) -> Upstream {
    let upstream = Upstream::start();
    upstream.answer_with(format!("{NAMED}{name}"));
    upstream
}

/// The target's state as the owner sees it.
fn state(stage: &Stage, target: &str) -> Value {
    let (status, list) = stage.manage.get(&format!("/v1/apis/{}/targets", stage.api_id));
    assert_eq!(status, 200, "{list}");
    let own = list["items"].as_array().expect("a list has items").iter().find(|item| item["address"] == target);
    own.unwrap_or_else(|| panic!("{target} is not in {list}")).clone()
}

fn change(stage: &Stage, settings: Value) {
    let (status, answer) = stage.manage.patch(&format!("/v1/apis/{}", stage.api_id), &settings);
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn calls_spread_over_all_targets_by_weight_and_each_sees_the_same_call() {
    let (one, two) = (named("one"), named("two"));
    let stage = with_targets(&[(&one, 1), (&two, 3)], json!({}));
    for _ in 0..80 {
        assert_eq!(stage.call("GET /open", &[], b"").status, 200);
    }
    let calls = (one.requests(), two.requests());
    assert_eq!(calls.0.len() + calls.1.len(), 80);
    assert!((50..=70).contains(&calls.1.len()), "three of four: {}", calls.1.len());
    for request in calls.0.iter().chain(&calls.1) {
        assert_eq!((&*request.target, request.field("host")), ("/base/open", Some("api.internal")));
    }
    assert_eq!(state(&stage, &two.address().to_string())["weight"], 3);
}

#[test]
fn a_target_that_is_busy_is_passed_over() {
    let (slow, quick) = (named("one"), named("two"));
    let stage = with_targets(&[(&slow, 1), (&quick, 1)], json!({}));
    slow.script([Step::ReadBody, Step::Gate, Step::Send(format!("{NAMED}one").into_bytes())]);
    let mut waiting = Vec::new();
    while slow.requests().is_empty() {
        let mut client = stage.client();
        client.write(stage.request("GET /open", &[], b"")).unwrap();
        // Either it is answered, or the slow one has it.
        let before = quick.requests().len();
        eventually("somebody has it", || !slow.requests().is_empty() || quick.requests().len() > before);
        waiting.push(client);
    }
    eventually("one call is in flight", || state(&stage, &slow.address().to_string())["calls_in_flight"] == 1);
    for _ in 0..20 {
        assert_eq!(stage.call("GET /open", &[], b"").text(), "two");
    }
    assert_eq!(slow.requests().len(), 1);
    slow.open_gate();
    assert_eq!(waiting.last_mut().unwrap().answer().unwrap().text(), "one");
    eventually("none is", || state(&stage, &slow.address().to_string())["calls_in_flight"] == 0);
}

#[test]
fn a_call_that_finds_its_target_out_of_reach_goes_to_another_also_with_a_body() {
    let (up, down) = (named("two"), raw::nobody().to_string());
    let stage = with_targets(&[(&up, 1)], json!({}));
    let both = json!([{ "address": down }, { "address": up.address().to_string() }]);
    change(&stage, json!({ "targets": both }));
    for n in 0..40 {
        let method = if n % 2 == 0 { "GET" } else { "POST" };
        let answer = stage.call(&format!("{method} /open"), &[], b"body");
        assert_eq!((answer.status, &*answer.text()), (200, "two"));
    }
    let requests = up.requests();
    assert_eq!(requests.len(), 40, "each once");
    assert!(requests.iter().all(|request| request.complete && request.body == b"body"));
    assert_eq!(state(&stage, &down)["state"], "resting");
    assert_eq!(state(&stage, &up.address().to_string())["state"], "up");
    stage.counts_only("allowed", 200, 40);
}

#[test]
fn an_upstream_that_fails_again_and_again_gets_rest_and_is_tried_again() {
    let stage = Stage::with(json!({ "breaker_failures": 3 }), json!({}));
    stage.upstream.script([Step::ReadBody, Step::Send(b"nonsense\r\n\r\n".to_vec()), Step::Close]);
    // A slow machine may see the end of a rest, and a trial that fails, where this one asks again.
    let tried = Cell::new(0);
    let call = || {
        let answer = stage.call("GET /open", &[], b"");
        tried.set(tried.get() + usize::from(answer.status == 502));
        answer
    };
    for _ in 0..3 {
        assert_eq!(call().status, 502);
    }
    let mut answer = call();
    eventually("it rests", || {
        if answer.status == 502 {
            answer = call();
        }
        answer.status == 503
    });
    stage.check_problem(&answer, 503, "upstream_down", "it rests");
    let retry: u64 = answer.field("retry-after").expect("it says when").parse().unwrap();
    assert!((1..=31).contains(&retry), "{retry}");
    assert_eq!(stage.upstream.take_requests().len(), tried.get(), "it got none of that");
    // A change of something else does not wake it.
    change(&stage, json!({ "body_limit_bytes": 1_000 }));
    assert_eq!(state(&stage, &stage.upstream.address().to_string())["state"], "resting");
    // One call tries it, and fails: another rest. Then it is well.
    tried.set(0);
    eventually("it is tried", || call().status == 502);
    assert_eq!(stage.upstream.take_requests().len(), 1);
    stage.upstream.answer_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    eventually("it answers again", || stage.call("GET /open", &[], b"").status == 200);
    assert_eq!(state(&stage, &stage.upstream.address().to_string())["state"], "up");
    // Without a breaker it is asked every time.
    change(&stage, json!({ "breaker_failures": 0 }));
    stage.upstream.script([Step::ReadBody, Step::Close]);
    for _ in 0..10 {
        assert_eq!(stage.call("POST /open", &[], b"").status, 502);
    }
}

#[test]
fn answers_of_an_upstream_that_say_500_are_answers() {
    let stage = Stage::with(json!({ "breaker_failures": 1 }), json!({}));
    stage.upstream.answer_with("HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\noh");
    for _ in 0..5 {
        assert_eq!(
            (
                stage.call("GET /open", &[], b"").status,
                state(&stage, &stage.upstream.address().to_string())["state"].clone()
            ),
            (500, json!("up"))
        );
    }
}

#[test]
fn a_client_that_breaks_off_says_nothing_of_the_target() {
    let stage = Stage::with(json!({ "breaker_failures": 1 }), json!({}));
    for _ in 0..5 {
        let mut client = stage.client();
        client
            .write(stage.raw("POST /open HTTP/1.1\r\nHost: {host}\r\nx-api-key: {key}\r\ncontent-length: 5\r\n\r\nab"))
            .unwrap();
        stage.upstream.wait_for(1);
        drop(client);
        stage.upstream.wait_until_left();
        stage.upstream.take_requests();
    }
    assert_eq!(state(&stage, &stage.upstream.address().to_string())["state"], "up");
    assert_eq!(stage.call("GET /open", &[], b"").status, 200);
}

#[test]
fn a_health_check_takes_a_target_out_and_brings_it_back() {
    let (one, two) = (named("one"), named("two"));
    let check = json!({ "path": "/healthz", "interval_seconds": 1, "timeout_seconds": 1, "healthy_after": 1, "unhealthy_after": 2 });
    let stage = with_targets(&[(&one, 1), (&two, 1)], json!({ "health_check": check }));
    let first = one.address().to_string();
    let asked = one.wait_for(1)[0].clone();
    assert_eq!((&*asked.method, &*asked.target, asked.field("host")), ("GET", "/healthz", Some("api.internal")));
    assert_eq!(asked.field("user-agent"), Some("keystile-health-check"));
    assert_eq!(asked.field("x-consumer-id"), None);
    one.answer_with("HTTP/1.1 503 Ill\r\ncontent-length: 0\r\n\r\n");
    eventually("it is found ill", || state(&stage, &first)["state"] == "unhealthy");
    for _ in 0..20 {
        assert_eq!(stage.call("GET /open", &[], b"").text(), "two");
    }
    one.answer_with(format!("{NAMED}one"));
    eventually("it is found well", || state(&stage, &first)["state"] == "up");
    eventually("it gets calls", || stage.call("GET /open", &[], b"").text() == "one");
    // Where all are ill, calls go on: it may be the check that is wrong.
    one.answer_with("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n");
    two.answer_with("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n");
    let second = two.address().to_string();
    eventually("all are ill", || [&first, &second].iter().all(|target| state(&stage, target)["state"] == "unhealthy"));
    assert_eq!(stage.call("GET /open", &[], b"").status, 404);
}

#[test]
fn a_target_that_rests_and_is_ill_too_is_said_to_be_both() {
    let stage = Stage::with(json!({ "breaker_failures": 1 }), json!({}));
    let target = stage.upstream.address().to_string();
    assert_eq!(state(&stage, &target)["healthy"], Value::Null, "nobody asks it");
    // What it says is an answer to a check, a bad one, and none to a call.
    stage.upstream.script([Step::ReadBody, Step::Send(b"nonsense\r\n\r\n".to_vec()), Step::Close]);
    assert_eq!(stage.call("GET /open", &[], b"").status, 502);
    change(&stage, json!({ "health_check": { "path": "/healthz", "interval_seconds": 1, "unhealthy_after": 1 } }));
    eventually("it is found ill", || state(&stage, &target)["healthy"] == false);
    assert_eq!(state(&stage, &target)["state"], "unhealthy");
    assert_eq!(stage.call("GET /open", &[], b"").status, 502);
    let both = state(&stage, &target);
    assert_eq!((&both["state"], &both["healthy"]), (&json!("resting"), &json!(false)), "{both}");
    // Well again by its check, it rests all the same until a call tries it.
    stage.upstream.answer_with(format!("{NAMED}one"));
    eventually("it is found well", || state(&stage, &target)["healthy"] == true);
    assert_eq!(state(&stage, &target)["state"], "resting");
    eventually("it gets calls", || stage.call("GET /open", &[], b"").status == 200);
    let well = state(&stage, &target);
    assert_eq!((&well["state"], &well["healthy"]), (&json!("up"), &json!(true)), "{well}");
}

#[test]
fn an_answer_that_stops_coming_or_never_ends_is_cut_off() {
    for (settings, script) in [
        (json!({ "idle_timeout_seconds": 1 }), vec![Step::UntilClosed]),
        (
            json!({ "total_timeout_seconds": 2 }),
            std::iter::repeat_n([Step::Send(b"1\r\na\r\n".to_vec()), Step::Pause(Duration::from_millis(300))], 100)
                .flatten()
                .collect(),
        ),
    ] {
        let stage = Stage::with(settings, json!({}));
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n".to_vec();
        stage.upstream.script([vec![Step::ReadBody, Step::Send(head)], script].concat());
        let mut client = stage.client();
        client.write(stage.request("GET /open", &[], b"")).unwrap();
        let began = now();
        assert!(client.answer().is_err(), "what has come is no whole answer");
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        stage.counts_only("upstream_timeout", 200, 1);
        stage.upstream.wait_until_left();
    }
}

#[test]
fn an_upload_that_moves_may_take_longer_than_the_upstream_may() {
    let stage = Stage::with(json!({ "upstream_timeout_seconds": 1 }), json!({}));
    let mut client = stage.client();
    client
        .write(stage.raw("POST /open HTTP/1.1\r\nHost: {host}\r\nx-api-key: {key}\r\ncontent-length: 5\r\n\r\n"))
        .unwrap();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(500));
        client.write(b"a").unwrap();
    }
    assert_eq!(client.answer().unwrap().status, 200);
}

#[test]
fn a_name_is_looked_up_and_shown() {
    let upstream = named("one");
    let stage =
        Stage::with(json!({ "upstream": format!("http://localhost:{}", upstream.address().port()) }), json!({}));
    for _ in 0..4 {
        assert_eq!(stage.call("GET /open", &[], b"").status, 200);
    }
    let name = format!("localhost:{}", upstream.address().port());
    let addresses = state(&stage, &name)["addresses"].to_string();
    assert!(addresses.contains(&upstream.address().to_string()), "{addresses}");
}

#[test]
fn targets_that_make_no_sense_are_refused() {
    let stage = Stage::new();
    for wrong in [
        json!({ "targets": [{ "address": "10.0.0.1" }] }),
        json!({ "targets": [{ "address": "http://10.0.0.1:80" }] }),
        json!({ "targets": [{ "address": "10.0.0.1:80", "weight": 0 }] }),
        json!({ "targets": [{ "address": "10.0.0.1:80" }, { "address": "10.0.0.1:80" }] }),
        json!({ "targets": [{ "address": "10.0.0.1:80", "more": 1 }] }),
        json!({ "upstream_protocol": "http3" }),
        json!({ "health_check": { "path": "healthz" } }),
        json!({ "health_check": { "interval_seconds": 0 } }),
        json!({ "breaker_failures": 1_001 }),
        json!({ "connect_timeout_seconds": 0 }),
        json!({ "idle_timeout_seconds": 86_401 }),
        json!({ "total_timeout_seconds": 0 }),
    ] {
        let (status, answer) = stage.manage.patch(&format!("/v1/apis/{}", stage.api_id), &wrong);
        assert_eq!((status, &answer["code"]), (400, &json!("invalid")), "{wrong}");
    }
}
