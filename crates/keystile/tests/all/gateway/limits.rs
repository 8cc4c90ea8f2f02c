//! Rate limits through sockets: exact, and said in the headers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keystile_testkit::Step;
use keystile_testkit::raw::{Answer, Client};
use serde_json::{Value, json};

use super::Stage;

/// One item of a header of draft-ietf-httpapi-ratelimit-headers: a name and its parameters.
#[derive(Debug, PartialEq, Eq)]
struct Item {
    name: String,
    parameters: Vec<(String, String)>,
}

impl Item {
    fn number(&self, parameter: &str) -> u64 {
        let own = self.parameters.iter().find(|(name, _)| name == parameter);
        own.and_then(|(_, value)| value.parse().ok()).unwrap_or_else(|| panic!("no {parameter} in {self:?}"))
    }
}

/// Reads a list of strings or tokens with parameters (RFC 9651), as far as that draft needs it.
fn items(text: &str) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    for member in text.split(", ") {
        let (name, rest) = match member.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => member.split_at(member.find(';').unwrap_or(member.len())),
        };
        let sound = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\');
        if name.is_empty() || !sound(name) {
            return None;
        }
        let mut parameters = Vec::new();
        for parameter in rest.split(';').skip(1) {
            let (key, value) = parameter.split_once('=')?;
            let is_key = key.starts_with(|c: char| c.is_ascii_lowercase())
                && key
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte));
            let is_whole = (1..=15).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
            if !is_key || !is_whole || parameters.iter().any(|(own, _)| own == key) {
                return None;
            }
            parameters.push((key.to_owned(), value.to_owned()));
        }
        if !rest.is_empty() && !rest.starts_with(';') {
            return None;
        }
        items.push(Item { name: name.to_owned(), parameters });
    }
    Some(items)
}

fn limit(name: &str, limit: u32, window_seconds: u32) -> Value {
    json!({ "name": name, "limit": limit, "window_seconds": window_seconds, "algorithm": "sliding_window" })
}

fn one_field(answer: &Answer, name: &str) -> Vec<Item> {
    let [value] = answer.all(name)[..] else { panic!("{name}: {:?}", answer.fields) };
    items(value).unwrap_or_else(|| panic!("{name}: {value}"))
}

#[test]
fn the_reader_of_these_tests_takes_the_examples_of_the_draft() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/vectors/ratelimit_draft_examples.json");
    // A clone of the project alone does not have them.
    let Ok(text) = std::fs::read_to_string(file) else { return };
    let examples: Vec<(String, String, bool)> = serde_json::from_str(&text).expect("the examples are a list");
    for (field, value, sound) in examples {
        assert_eq!(items(&value).is_some(), sound, "{field}: {value}");
    }
}

#[test]
fn l07_every_answer_says_where_the_caller_stands() {
    let rules = json!([limit("per-hour", 3, 3_600), limit("per-day", 100, 86_400)]);
    let stage = Stage::with(json!({}), json!({ "rate_limits": rules }));
    for (call, left) in [(1, 2), (2, 1), (3, 0)] {
        let answer = stage.call("GET /open", &[], b"");
        assert_eq!(answer.status, 200, "{call}");
        let policy = one_field(&answer, "ratelimit-policy");
        let said: Vec<_> = policy.iter().map(|item| (&*item.name, item.number("q"), item.number("w"))).collect();
        assert_eq!(said, [("per-hour", 3, 3_600), ("per-day", 100, 86_400)]);
        let state = one_field(&answer, "ratelimit");
        let said: Vec<_> = state.iter().map(|item| (&*item.name, item.number("r"))).collect();
        assert_eq!(said, [("per-hour", left), ("per-day", 100 - call)]);
        // All of it is there again when this window and what slides on from it are over.
        let (hour, day) = (state[0].number("t"), state[1].number("t"));
        assert!((3_600..=7_200).contains(&hour) && (86_400..=172_800).contains(&day), "{state:?}");
        assert_eq!(answer.all("retry-after"), [] as [&str; 0]);
    }
    stage.upstream.take_requests();
    for _ in 0..3 {
        let answer = stage.call("GET /open", &[], b"");
        stage.check_problem(&answer, 429, "rate_limited", "over the limit");
        let state = one_field(&answer, "ratelimit");
        let waited: u64 = answer.all("retry-after")[0].parse().expect("seconds");
        assert!(state[0].number("t") >= waited as _, "whoever waits for all of it does not come too early: {state:?}");
        // A refusal costs nothing: of the other limit there is as much left as before.
        assert_eq!((state[0].number("r"), state[1].number("r")), (0, 97), "{state:?}");
        assert_eq!(one_field(&answer, "ratelimit-policy").len(), 2);
        let [retry] = answer.all("retry-after")[..] else { panic!("{:?}", answer.fields) };
        let retry: u64 = retry.parse().expect("whole seconds");
        // The window slides: a third of it must have gone by before one of three calls no longer counts.
        assert!((1_200..=3_600).contains(&retry), "{retry}");
    }
    stage.saw_nothing("over the limit");
    assert_eq!((stage.counted("allowed", 200), stage.counted("rate_limited", 429)), (3, 3));
}

#[test]
fn a_key_without_limits_says_nothing_of_limits() {
    let stage = Stage::new();
    let answer = stage.call("GET /open", &[], b"");
    for name in ["ratelimit", "ratelimit-policy", "retry-after"] {
        assert_eq!(answer.all(name), [] as [&str; 0]);
    }
}

#[test]
fn l07_who_waits_as_long_as_told_is_let_in() {
    for rule in [
        limit("two", 2, 1),
        json!({ "name": "two", "limit": 2, "window_seconds": 1, "algorithm": "token_bucket", "burst": 2 }),
    ] {
        let stage = Stage::with(json!({}), json!({ "rate_limits": [rule] }));
        let mut client = stage.client();
        let mut refused = 0;
        for _ in 0..5 {
            client.write(stage.request("GET /open", &[], b"")).expect("the connection stays open");
            let answer = client.answer().expect("an answer comes");
            if answer.status == 200 {
                continue;
            }
            stage.check_problem(&answer, 429, "rate_limited", "over the limit");
            refused += 1;
            let wait: u64 = answer.field("retry-after").and_then(|text| text.parse().ok()).expect("it says when");
            assert!((1..=2).contains(&wait), "{wait}");
            std::thread::sleep(Duration::from_secs(wait));
            client.write(stage.request("GET /open", &[], b"")).expect("the connection stays open");
            assert_eq!(client.answer().expect("an answer comes").status, 200, "{rule}: {:?}", answer.fields);
        }
        assert!(refused > 0, "{rule}");
    }
}

/// Calls from eight threads at once, over connections of their own; how many were let in.
fn admitted(stage: &Stage, calls: usize) -> usize {
    let (let_in, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                let mut client = Client::connect(stage.gateway);
                let request = stage.request("GET /open", &[], b"");
                for _ in 0..calls / 8 {
                    client.write(&request).expect("the connection stays open");
                    let answer = client.answer().expect("an answer comes");
                    match answer.status {
                        200 => let_in.fetch_add(1, Ordering::Relaxed),
                        429 => refused.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other}: {}", answer.text()),
                    };
                }
            });
        }
    });
    assert_eq!(let_in.load(Ordering::Relaxed) + refused.load(Ordering::Relaxed), calls / 8 * 8);
    let_in.load(Ordering::Relaxed)
}

#[test]
fn l03_a_limit_is_exact_under_concurrent_calls() {
    for rules in [
        json!([limit("exact", 50, 3_600)]),
        json!([{ "name": "exact", "limit": 1, "window_seconds": 86_400, "algorithm": "token_bucket", "burst": 50 }]),
        json!([limit("loose", 90, 3_600), limit("exact", 50, 3_600), limit("looser", 1_000, 60)]),
    ] {
        let stage = Stage::with(json!({}), json!({ "rate_limits": rules }));
        assert_eq!(admitted(&stage, 104), 50, "{rules}");
        assert_eq!(stage.upstream.requests().len(), 50, "{rules}");
        assert_eq!((stage.counted("allowed", 200), stage.counted("rate_limited", 429)), (50, 54));
    }
}

#[test]
fn a_limit_is_one_keys_own() {
    let stage = Stage::with(json!({}), json!({ "rate_limits": [limit("one", 1, 3_600)] }));
    let (_, other) = stage.another_key(json!({ "rate_limits": [limit("one", 1, 3_600)] }));
    assert_eq!(stage.call("GET /open", &[], b"").status, 200);
    assert_eq!(stage.call("GET /open", &[], b"").status, 429);
    let request = stage.request_without_key("GET /open", &[("X-Api-Key", &other)], b"");
    assert_eq!(stage.answer(&request).status, 200);
    assert_eq!(stage.answer(&request).status, 429);
    assert_eq!(stage.upstream.requests().len(), 2);
}

#[test]
fn l03_calls_in_flight_are_counted_until_their_answers_end_and_one_that_leaves_frees_its_place() {
    for (of_api, of_key) in [
        (json!({}), json!({ "rate_limits": [{ "name": "calls", "limit": 2, "algorithm": "concurrency" }] })),
        (
            json!({ "rate_limits": [{ "name": "calls", "limit": 2, "algorithm": "concurrency", "by": ["project"] }] }),
            json!({}),
        ),
    ] {
        let stage = Stage::with(of_api, of_key);
        let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone".to_vec();
        stage.upstream.script([Step::ReadBody, Step::Gate, Step::Send(reply)]);
        let ask = || {
            let mut client = stage.client();
            client.write(stage.request("GET /open", &[], b"")).unwrap();
            client
        };
        let (mut first, second) = (ask(), ask());
        stage.upstream.wait_for(2);
        for _ in 0..5 {
            let answer = stage.call("GET /open", &[], b"");
            stage.check_problem(&answer, 429, "rate_limited", "a third call");
            assert_eq!(answer.all("retry-after"), ["1"]);
            assert_eq!(answer.field("ratelimit-policy"), Some("\"calls\";q=2;qu=\"concurrent-requests\""));
        }
        drop(second);
        keystile_testkit::eventually("its call is counted", || stage.counted("client_gone", 499) == 1);
        let mut third = ask();
        stage.upstream.wait_for(3);
        assert_eq!(stage.call("GET /open", &[], b"").status, 429);
        (0..3).for_each(|_| stage.upstream.open_gate());
        for client in [&mut first, &mut third] {
            assert_eq!(client.answer().unwrap().status, 200);
        }
        stage.upstream.answer_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        for _ in 0..5 {
            assert_eq!(stage.call("GET /open", &[], b"").status, 200, "one after another there is room for all");
        }
    }
}

#[test]
fn l03_limits_of_keys_and_of_the_api_are_exact_together() {
    let by_project = json!({ "name": "exact", "limit": 50, "window_seconds": 3_600, "by": ["project"] });
    let all = json!({ "name": "all", "limit": 90, "window_seconds": 3_600 });
    let stage =
        Stage::with(json!({ "rate_limits": [all, by_project] }), json!({ "rate_limits": [limit("own", 70, 3_600)] }));
    assert_eq!(admitted(&stage, 104), 50);
    let answer = stage.call("GET /open", &[], b"");
    let left: Vec<_> =
        one_field(&answer, "ratelimit").iter().map(|item| (item.name.clone(), item.number("r"))).collect();
    assert_eq!(left, [("own".to_owned(), 20), ("exact".to_owned(), 0)], "what was refused was counted nowhere");
}

#[test]
fn k24_who_calls_without_a_key_is_bound_by_the_limits_of_the_api_too() {
    let rules = json!([{ "name": "all", "limit": 5, "window_seconds": 3_600 }]);
    let stage = Stage::with(json!({ "open_operations": ["GET /health"], "rate_limits": rules }), json!({}));
    let request = stage.request_without_key("GET /health", &[], b"");
    let statuses = [0; 3].map(|_| stage.answer(&request).status);
    assert_eq!(statuses, [200, 200, 200]);
    assert_eq!([0; 3].map(|_| stage.call("GET /open", &[], b"").status), [200, 200, 429], "all together");
    assert_eq!(stage.answer(&request).status, 429);
}

/// What calls of the stage's API cost so far, and how many there were.
fn cost(stage: &Stage) -> (i64, u64) {
    let (status, usage) = stage.manage.get(&format!("/v1/usage?api_id={}", stage.api_id));
    assert_eq!(status, 200, "{usage}");
    (usage["items"][0]["cost"].as_i64().expect("a cost"), usage["items"][0]["calls"].as_u64().expect("a count"))
}

#[test]
fn k27_what_the_upstream_says_that_a_call_cost_is_counted_and_taken_out_of_its_answer() {
    let rules = json!([limit("tokens", 100, 3_600), { "name": "calls", "limit": 10, "window_seconds": 3_600, "counts": "calls" }]);
    let costs = json!([{ "operation": "POST /open", "cost": 5 }, { "operation": "GET /health", "cost": 0 }]);
    let stage = Stage::with(
        json!({ "cost_header": "X-Usage-Cost", "operation_costs": costs }),
        json!({ "rate_limits": rules }),
    );
    let says = |cost: &str| {
        let answer = format!("HTTP/1.1 200 OK\r\nx-usage-cost: {cost}\r\ncontent-length: 2\r\n\r\nok");
        stage.upstream.answer_with(answer);
    };
    let left = |line: &str| {
        let answer = stage.call(line, &[], b"");
        assert_eq!((answer.status, answer.field("x-usage-cost")), (200, None), "{:?}", answer.fields);
        let state = one_field(&answer, "ratelimit");
        (state[0].number("r"), state[1].number("r"))
    };
    says("30");
    // What is told in the answer is what was left when it was let through.
    assert_eq!(left("GET /open"), (99, 9));
    assert_eq!(left("POST /open"), (65, 8), "30 for the call before, 5 for this one");
    says("0");
    assert_eq!(left("POST /open"), (35, 7));
    assert_eq!(left("GET /open"), (39, 6), "the one before cost nothing after all");
    stage.upstream.answer_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    assert_eq!(left("GET /open"), (39, 5), "of which nothing is said costs what its operation does");
    assert_eq!(left("GET /health"), (39, 5), "and one that costs nothing counts nowhere");
    for wrong in ["-1", "many", "1e9", "1.5", ""] {
        says(wrong);
        left("GET /health");
    }
    says("500");
    assert_eq!(left("GET /open").0, 38);
    assert_eq!(stage.call("GET /open", &[], b"").status, 429, "it was more than there was");
    assert_eq!(cost(&stage), (30 + 30 + 1 + 500, 13));
    // What never reached the upstream costs nothing, and who leaves before the end pays.
    let changed = stage.manage.patch(&format!("/v1/keys/{}", stage.key_id), &json!({ "rate_limits": [] }));
    assert_eq!(changed.0, 200, "{}", changed.1);
    let head = b"HTTP/1.1 200 OK\r\nx-usage-cost: 40\r\ncontent-length: 4\r\n\r\n".to_vec();
    stage.upstream.script([Step::ReadBody, Step::Send(head), Step::Gate, Step::Send(b"done".to_vec())]);
    let mut client = stage.client();
    client.write(stage.request("GET /open", &[], b"")).unwrap();
    keystile_testkit::eventually("its answer has begun", || !stage.upstream.requests().is_empty());
    std::thread::sleep(Duration::from_millis(200));
    drop(client);
    keystile_testkit::eventually("its call is counted", || {
        stage.counted("client_gone", 499) + stage.counted("client_gone", 200) == 1
    });
    stage.upstream.open_gate();
    assert_eq!(cost(&stage), (561 + 40, 14));
    // What is dearer than anything can be is not cheap.
    says("5000000000");
    assert_eq!(stage.call("GET /open", &[], b"").status, 200);
    assert_eq!(cost(&stage), (601 + 1_000_000_000, 15));
}
