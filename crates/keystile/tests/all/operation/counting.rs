//! Counting: usage says exactly what was called, by whom and how it ended, across restarts and through `kill -9`.

use std::collections::BTreeMap;
use std::time::Duration;

use keystile_testkit::{Api, Installation};
use serde_json::{Value, json};

use super::process::end;
use super::world::{BINARY, World, shared};

/// What a crash may lose, by default.
const FLUSH: Duration = Duration::from_millis(100);

#[test]
fn usage_equals_what_was_called() {
    let world = World::start();
    let manage = world.manage();
    let pets = json!({
        "openapi": "3.1.0", "info": { "title": "Pets", "version": "1" },
        "paths": { "/pets/{id}": { "get": {} }, "/pets": { "post": {} } },
    });
    let (reader, writer) = (
        world.caller(&json!({})),
        world.caller(&json!({ "rate_limits": [{ "name": "a", "limit": 3, "window_seconds": 3600 }] })),
    );
    let strip = json!({ "openapi": pets, "strip_prefix": true });
    assert_eq!(manage.patch(&format!("/v1/apis/{}", reader.api), &strip).0, 200);
    let (revoked_id, revoked) = world.key(&reader.project, &json!({}));
    manage.post(&format!("/v1/keys/{revoked_id}/revoke"), &json!({}));
    let unknown = "0123456789abcdef0123456789abcdef";
    let mut expected: BTreeMap<[String; 5], u64> = BTreeMap::new();
    let mut call = |key: &str,
                    of: Option<&str>,
                    path: &str,
                    method: &str,
                    status: Option<u16>,
                    operation: &str,
                    code: &str,
                    answered: u16,
                    api: &str| {
        let echo = status.map(|status| status.to_string());
        let fields: Vec<(&str, &str)> = echo.iter().map(|status| ("x-keystile-echo-status", status.as_str())).collect();
        let answer = Api::new(world.installation.gateway, key).request(method, path, &fields, b"");
        assert_eq!(answer.status, answered, "{method} {path}: {}", answer.text());
        let row = [api, of.unwrap_or("null"), operation, code, &answered.to_string()].map(str::to_owned);
        *expected.entry(row).or_default() += 1;
    };
    let (r, w) = (&reader, &writer);
    let read = Some(r.id.as_str());
    for n in 0..5 {
        call(&r.key, read, &format!("{}/pets/{n}", r.path), "GET", None, "GET /pets/{id}", "allowed", 200, &r.api);
    }
    for status in [201, 204, 404, 404, 500] {
        call(&r.key, read, &format!("{}/pets", r.path), "POST", Some(status), "POST /pets", "allowed", status, &r.api);
    }
    call(&r.key, read, &format!("{}/dogs", r.path), "GET", None, "(undocumented) GET /dogs", "allowed", 200, &r.api);
    call(unknown, None, &format!("{}/pets/1", r.path), "GET", None, "GET /pets/{id}", "key_unknown", 401, &r.api);
    call("short", None, &format!("{}/pets/1", r.path), "GET", None, "GET /pets/{id}", "key_malformed", 401, &r.api);
    call(
        &revoked,
        Some(&revoked_id),
        &format!("{}/pets/1", r.path),
        "GET",
        None,
        "GET /pets/{id}",
        "key_revoked",
        401,
        &r.api,
    );
    call(
        &w.key,
        Some(&w.id),
        &format!("{}/pets/1", r.path),
        "GET",
        None,
        "GET /pets/{id}",
        "not_activated",
        403,
        &r.api,
    );
    let name = w.path.clone();
    for (status, code) in
        [(200, "allowed"), (200, "allowed"), (200, "allowed"), (429, "rate_limited"), (429, "rate_limited")]
    {
        call(&w.key, Some(&w.id), &format!("{name}/a"), "GET", None, &format!("GET {name}/a"), code, status, &w.api);
    }
    call(&r.key, read, "/a%2fb", "GET", None, "(invalid)", "request_malformed", 400, "null");
    call(unknown, None, "/a/../b", "GET", None, "(invalid)", "request_malformed", 400, "null");

    let counted = rows(&manage, "group_by=api,key,operation,code,status");
    let mut seen: BTreeMap<[String; 5], u64> = BTreeMap::new();
    for row in &counted {
        let text = |field: &str| match &row[field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let dimensions = ["api_id", "key_id", "operation", "code", "status"].map(text);
        assert!(seen.insert(dimensions, row["calls"].as_u64().unwrap()).is_none(), "a row comes twice: {row}");
    }
    assert_eq!(seen, expected);
    let total: u64 = expected.values().sum();
    for group in ["", "api", "project", "key", "operation", "code", "status", "project,code"] {
        for bucket in ["", "&bucket=minute", "&bucket=hour", "&bucket=day"] {
            let sum: u64 = rows(&manage, &format!("group_by={group}{bucket}"))
                .iter()
                .map(|row| row["calls"].as_u64().unwrap())
                .sum();
            assert_eq!(sum, total, "{group} {bucket}");
        }
    }
    let calls_of = |key: &str| -> u64 {
        rows(&manage, &format!("key_id={key}")).iter().map(|row| row["calls"].as_u64().unwrap()).sum()
    };
    for (filter, count) in [
        (format!("key_id={}", r.id), 12),
        (format!("key_id={},{}", r.id, w.id), 12 + calls_of(&w.id)),
        (format!("project_id={}", r.project), 13),
        (format!("api_id={}", w.api), 5),
        ("code=rate_limited".to_owned(), 2),
        (format!("api_id={}&code=key_unknown", r.api), 1),
    ] {
        let sum: u64 = rows(&manage, &filter).iter().map(|row| row["calls"].as_u64().unwrap()).sum();
        assert_eq!(sum, count, "{filter}");
    }
}

#[test]
fn bytes_and_time_are_counted_and_buckets_begin_where_they_should() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let body = vec![b'x'; 10_000];
    let gateway = Api::new(world.installation.gateway, &caller.key);
    let answers: usize = (0..3).map(|_| gateway.request("POST", &caller.path, &[], &body).body.len()).sum();
    for (bucket, step) in [("minute", 60), ("hour", 3_600), ("day", 86_400)] {
        let rows = rows(&world.manage(), &format!("key_id={}&bucket={bucket}", caller.id));
        let sum = |field: &str| -> u64 { rows.iter().map(|row| row[field].as_u64().unwrap()).sum() };
        assert_eq!((sum("calls"), sum("bytes_in"), sum("bytes_out")), (3, 30_000, answers as u64), "{bucket}");
        assert!(sum("latency_us") > 0 && sum("latency_us") < 60_000_000, "{bucket}");
        for row in &rows {
            let start = super::form::moment(row["start"].as_str().unwrap());
            assert_eq!(start.as_secs() % step, 0, "{bucket}: {row}");
        }
    }
}

#[test]
fn pages_of_usage_follow_each_other() {
    let world = shared();
    let caller = world.caller(&json!({}));
    for n in 0..25 {
        assert_eq!(world.call(&caller.key, "GET", &format!("{}/n{n}", caller.path)).status, 200);
    }
    let query = format!("group_by=operation&key_id={}", caller.id);
    let all = rows(&world.manage(), &query);
    assert_eq!(all.len(), 25);
    assert_eq!(rows(&world.manage(), &format!("{query}&limit=4")), all);
}

#[test]
fn what_was_called_stays_counted_when_the_key_the_project_and_the_api_are_gone() {
    let world = shared();
    let manage = world.manage();
    let caller = world.caller(&json!({}));
    for _ in 0..3 {
        assert_eq!(world.call(&caller.key, "GET", &caller.path).status, 200);
    }
    for path in ["keys", "projects", "apis"].into_iter().zip([&caller.id, &caller.project, &caller.api]) {
        let before: Vec<Value> = ours(&manage, &caller.id);
        assert_eq!(manage.delete(&format!("/v1/{}/{}", path.0, path.1)).0, 204);
        assert_eq!(ours(&manage, &caller.id), before, "after its {} was removed", path.0);
    }
    let row = &ours(&manage, &caller.id)[0];
    let dimensions = (&row["api_id"], &row["project_id"], &row["calls"]);
    assert_eq!(dimensions, (&json!(caller.api), &json!(caller.project), &json!(3)));
}

/// The rows of a key, whatever became of it.
fn ours(manage: &Api, key: &str) -> Vec<Value> {
    rows(manage, "group_by=api,project,key,code").into_iter().filter(|row| row["key_id"] == key).collect()
}

#[test]
fn questions_to_verification_are_counted_as_calls_are() {
    let world = shared();
    let caller = world.caller(&json!({}));
    for _ in 0..3 {
        let question =
            json!({ "key": caller.key, "api": caller.api, "operation": { "method": "GET", "path": "/pets/x" } });
        assert_eq!(world.verify(&question).status, 200);
    }
    world.verify(&json!({ "key": "0123456789abcdef0123456789abcdef", "api": caller.api }));
    let count =
        |query: &str| -> u64 { rows(&world.manage(), query).iter().map(|row| row["calls"].as_u64().unwrap()).sum() };
    assert_eq!(count(&format!("key_id={}", caller.id)), 3);
    assert_eq!(count(&format!("api_id={}&code=key_unknown", caller.api)), 1);
}

#[test]
fn what_was_counted_survives_an_orderly_end_and_a_kill_after_the_flush() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let start = || Installation::start(BINARY, &["--data", data.to_str().unwrap()]);
    let mut running = start();
    let (key, owner) = (running.secret().to_owned(), running.management_key.clone().unwrap());
    let mut sent = 0;
    let count = |running: &Installation| -> u64 {
        rows(&Api::new(running.admin, &owner), "").iter().map(|row| row["calls"].as_u64().unwrap()).sum()
    };
    for turn in 0..4 {
        for n in 0..20 {
            let key = if n % 5 == 0 { "0123456789abcdef0123456789abcdef" } else { &key };
            Api::new(running.gateway, key).get(&format!("/turn/{turn}"));
            sent += 1;
        }
        if turn % 2 == 0 {
            // Nobody asks for usage before the end: asking would write it down.
            let (status, _) = end(&mut running);
            assert!(status.success());
        } else {
            std::thread::sleep(FLUSH * 3);
            running.kill();
        }
        running = start();
        assert_eq!(count(&running), sent, "turn {turn}");
    }
}

#[test]
fn a_kill_loses_at_most_the_last_moment_and_counts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let start = || Installation::start(BINARY, &["--data", data.to_str().unwrap()]);
    let mut running = start();
    let (key, owner) = (running.secret().to_owned(), running.management_key.clone().unwrap());
    let mut sent = 0;
    for turn in 0..5 {
        for _ in 0..50 {
            Api::new(running.gateway, &key).get("/");
            sent += 1;
        }
        std::thread::sleep(FLUSH * 3);
        let safe = sent;
        for _ in 0..20 {
            Api::new(running.gateway, &key).get("/");
            sent += 1;
        }
        running.kill();
        running = start();
        let counted: u64 =
            rows(&Api::new(running.admin, &owner), "").iter().map(|row| row["calls"].as_u64().unwrap()).sum();
        assert!(counted >= safe && counted <= sent, "turn {turn}: {counted} of {sent}, {safe} are safe");
        // What was lost is lost; from here on it counts from what there is.
        sent = counted;
    }
}

/// Every row of an answer, page by page.
fn rows(manage: &Api, query: &str) -> Vec<Value> {
    let (mut rows, mut next) = (Vec::new(), format!("/v1/usage?{query}"));
    loop {
        let (status, mut page) = manage.get(&next);
        assert_eq!(status, 200, "{query}: {page}");
        rows.append(page["items"].as_array_mut().unwrap());
        let Some(cursor) = page["next_cursor"].as_str() else { return rows };
        next = format!("/v1/usage?{query}&cursor={cursor}");
    }
}
