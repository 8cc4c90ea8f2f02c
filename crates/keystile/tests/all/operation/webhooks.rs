//! Webhooks, from the receiver's side: every event arrives, signed so that anybody can check it, and nothing goes where it
//! must not.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use keystile_testkit::{Api, Installation, Recorded, Step, Upstream, eventually};
use serde_json::{Value, json};
use ureq::Agent;

use super::process::{keystile, run, settings};
use super::world::{BINARY, World, id, name};

const GONE: &[u8] = b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n";
pub(super) const FAILED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops";

/// How a receiver that uses nothing of ours checks a delivery: Python's HMAC, after the text of Standard Webhooks.
const CHECK: &str = "import sys,hmac,hashlib,base64
secret,id,at=sys.argv[1:4]
key=base64.b64decode(secret.removeprefix('whsec_'))
body=sys.stdin.buffer.read()
print('v1,'+base64.b64encode(hmac.new(key,f'{id}.{at}.'.encode()+body,hashlib.sha256).digest()).decode())";

/// A webhook and its secret.
pub(super) struct Hook {
    pub(super) path: String,
    pub(super) secret: String,
}

pub(super) fn hook(manage: &Api, receiver: &Upstream, events: &[&str]) -> Hook {
    let made =
        manage.create("/v1/webhooks", &json!({ "url": format!("{}/hook?t=1", receiver.url()), "events": events }));
    Hook { path: format!("/v1/webhooks/{}", id(&made)), secret: made["secret"].as_str().unwrap().to_owned() }
}

fn signature(secret: &str, id: &str, at: &str, body: &[u8]) -> String {
    let mut python = Command::new("python3");
    python.args(["-c", CHECK, secret, id, at]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

pub(super) fn field<'a>(request: &'a Recorded, name: &str) -> &'a str {
    request.field(name).unwrap_or_else(|| panic!("{name} is missing: {}", request.text()))
}

pub(super) fn event(request: &Recorded) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

pub(super) fn seconds_now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a receiver has no other clock")]
    let now = SystemTime::now();
    i64::try_from(now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// Whether a receiver that wants deliveries to be at most five minutes old takes this one at that moment.
pub(super) fn is_taken(request: &Recorded, secret: &str, now: i64) -> bool {
    let (id, at) = (field(request, "webhook-id"), field(request, "webhook-timestamp"));
    let fresh = at.parse::<i64>().is_ok_and(|at| (now - at).abs() <= 300);
    let expected = signature(secret, id, at, &request.body);
    fresh && field(request, "webhook-signature").split(' ').any(|signature| signature == expected)
}

/// All that has come, when each request was read to its end.
pub(super) fn arrived(receiver: &Upstream, count: usize) -> Vec<Recorded> {
    eventually("the deliveries arrive", || {
        receiver.requests().iter().filter(|request| request.complete).count() >= count
    });
    receiver.requests()
}

#[test]
fn c08_a_delivery_is_signed_with_its_moment_and_an_old_one_is_known_by_it() {
    let world = World::start();
    let (manage, receiver) = (world.manage(), Upstream::start());
    let hook = hook(&manage, &receiver, &["project.*"]);
    let project = manage.create("/v1/projects", &json!({ "name": name("told") }));
    let request = arrived(&receiver, 1).remove(0);
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/hook?t=1"));
    assert_eq!(request.field("content-type"), Some("application/json"));
    let told = event(&request);
    assert_eq!(told["id"], field(&request, "webhook-id"));
    assert_eq!((&told["type"], &told["subject_id"]), (&json!("project.create"), &project["id"]));
    assert_eq!((&told["before"], &told["after"]["name"]), (&Value::Null, &project["name"]));
    assert!(told["actor"].as_str().unwrap().starts_with("key_") && told["created_at"].is_string(), "{told}");

    let now = seconds_now();
    assert!(is_taken(&request, &hook.secret, now));
    assert!(!is_taken(&request, &hook.secret, now + 400), "one that was recorded is too old");
    let mut forged = request.clone();
    let at = forged.fields.iter_mut().find(|(name, _)| name == "webhook-timestamp").unwrap();
    at.1 = (now + 400).to_string();
    assert!(!is_taken(&forged, &hook.secret, now + 400), "its moment can't be changed");
    let mut forged = request.clone();
    forged.body.push(b' ');
    assert!(!is_taken(&forged, &hook.secret, now), "nor its body");
    assert!(!is_taken(&request, "whsec_AAAA", now));

    // After a rotation both secrets sign; with no overlap only the new one does.
    // Sent again because its answer was lost, the same rotation is not made twice.
    let (path, fields) =
        (format!("{}/rotate_secret", hook.path), [("content-type", "application/json"), ("idempotency-key", "r")]);
    let rotated = manage.request("POST", &path, &fields, b"{}").json();
    let again = manage.request("POST", &path, &fields, b"{}").json();
    assert!(again["secret"].is_null() && again["old_secret_until"] == rotated["old_secret_until"], "{again}");
    let new = rotated["secret"].as_str().unwrap();
    assert!(new != hook.secret && rotated["old_secret_until"].is_string(), "{rotated}");
    let tried = manage.post(&format!("{}/test", hook.path), &json!({})).1;
    assert_eq!((&tried["delivered"], &tried["status"]), (&json!(true), &json!(200)), "{tried}");
    let request = arrived(&receiver, 2).remove(1);
    assert_eq!((&event(&request)["type"], &event(&request)["id"]), (&json!("webhook.test"), &tried["event_id"]));
    assert!(is_taken(&request, new, seconds_now()) && is_taken(&request, &hook.secret, seconds_now()));
    let rotated = manage.post(&format!("{}/rotate_secret", hook.path), &json!({ "overlap_hours": 0 })).1;
    manage.post(&format!("{}/test", hook.path), &json!({}));
    let request = arrived(&receiver, 3).remove(2);
    assert!(is_taken(&request, rotated["secret"].as_str().unwrap(), seconds_now()));
    assert!(!is_taken(&request, new, seconds_now()));
    let shown = manage.get(&hook.path).1;
    assert!(shown["secret"].is_null() && !shown.to_string().contains("whsec_"), "{shown}");
    assert_eq!(receiver.faults(), [""; 0]);
}

#[test]
fn what_failed_is_sent_again_with_the_same_id_and_another_moment() {
    let world = World::start();
    let (manage, receiver) = (world.manage(), Upstream::start());
    let hook = hook(&manage, &receiver, &["project.create"]);
    receiver.script_once([Step::ReadBody, Step::Send(FAILED.to_vec())]);
    world.project();
    arrived(&receiver, 1);
    let deliveries = format!("{}/deliveries", hook.path);
    eventually("it is noted", || manage.get(&deliveries).1["items"][0]["attempts"] == 1);
    let waits = manage.get(&format!("{deliveries}?state=pending")).1["items"][0].clone();
    assert_eq!((&waits["status"], &waits["error"]), (&json!(500), &json!("it answered 500")), "{waits}");
    assert!(manage.get(&hook.path).1["failing_since"].is_string());
    let both = arrived(&receiver, 2);
    assert_eq!(field(&both[0], "webhook-id"), field(&both[1], "webhook-id"));
    let moments: Vec<i64> = both.iter().map(|one| field(one, "webhook-timestamp").parse().unwrap()).collect();
    assert!(moments[1] >= moments[0] + 3, "{moments:?}");
    assert!(both.iter().all(|one| is_taken(one, &hook.secret, seconds_now())));
    eventually("it is noted", || manage.get(&format!("{deliveries}?state=delivered")).1["items"][0]["attempts"] == 2);
    assert!(manage.get(&hook.path).1["failing_since"].is_null());
    let metrics = manage.request("GET", "/metrics", &[], b"").text();
    for line in [
        "keystile_webhook_attempts_total{result=\"delivered\"} 1",
        "keystile_webhook_attempts_total{result=\"retried\"} 1",
        "keystile_webhook_attempts_total{result=\"failed\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

#[test]
fn what_was_sent_is_sent_anew_when_somebody_asks() {
    let world = World::start();
    let (manage, receiver) = (world.manage(), Upstream::start());
    let before = world.project();
    let hook = hook(&manage, &receiver, &["project.*"]);
    let after = world.project();
    let first = event(&arrived(&receiver, 1)[0])["id"].as_str().unwrap().to_owned();
    eventually("it is noted", || {
        manage.get(&format!("{}/deliveries", hook.path)).1["items"][0]["state"] == "delivered"
    });
    let (status, again) = manage.post(&format!("{}/deliveries/{first}/replay", hook.path), &json!({}));
    assert_eq!((status, &again["event_id"]), (200, &json!(first)), "{again}");
    assert_eq!(event(&arrived(&receiver, 2)[1])["id"], first);
    let events = manage.get("/v1/events?type=project.create&limit=2").1;
    assert_eq!(events["items"][1]["subject_id"], before, "{events}");
    let old = events["items"][1]["id"].as_str().unwrap();
    assert_eq!(manage.post(&format!("{}/deliveries/{old}/replay", hook.path), &json!({})).0, 404, "it was never sent");
    let writer = world.manage_as(&world.management_key_for(&["webhooks.write"]));
    let (status, refused) = writer.post(&format!("{}/replay", hook.path), &json!({ "since": old }));
    assert_eq!((status, &refused["code"]), (403, &json!("permission_missing")), "it would read the past: {refused}");
    let (status, replayed) = manage.post(&format!("{}/replay", hook.path), &json!({ "since": old }));
    assert_eq!((status, &replayed["replayed"]), (200, &json!(2)), "{replayed}");
    let subjects: Vec<Value> = arrived(&receiver, 4)[2..].iter().map(|one| event(one)["subject_id"].clone()).collect();
    assert!(subjects.contains(&json!(before)) && subjects.contains(&json!(after)), "{subjects:?}");
    let since = json!({ "since": "2999-01-01T00:00:00Z" });
    assert_eq!(manage.post(&format!("{}/replay", hook.path), &since).1["replayed"], 0);
    assert_eq!(manage.post(&format!("{}/replay", hook.path), &json!({ "since": "lately" })).0, 400);
    // The list of events goes on page by page, and holds what it is asked for.
    let page = manage.get("/v1/events?type=project.create&limit=1").1;
    let next = page["next_cursor"].as_str().unwrap();
    let second = manage.get(&format!("/v1/events?type=project.create&limit=1&cursor={next}")).1;
    assert_eq!((&page["items"][0]["subject_id"], &second["items"][0]["id"]), (&json!(after), &json!(old)));
    let about = manage.get(&format!("/v1/events?subject_id={after}")).1;
    assert_eq!(about["items"].as_array().unwrap().len(), 1, "{about}");
}

#[test]
fn a_receiver_that_hangs_keeps_nobody_waiting_and_one_that_is_gone_is_left_alone() {
    let world = World::start();
    let (manage, slow, fast, gone) = (world.manage(), Upstream::start(), Upstream::start(), Upstream::start());
    slow.script([Step::ReadBody, Step::UntilClosed]);
    gone.answer_with(GONE);
    hook(&manage, &slow, &[]);
    hook(&manage, &fast, &["project.create"]);
    let left = hook(&manage, &gone, &["project.create"]);
    for _ in 0..12 {
        world.project();
    }
    arrived(&fast, 12);
    assert!(slow.requests().len() <= 4, "a few at once: {}", slow.requests().len());
    eventually("it is disabled", || manage.get(&left.path).1["active"] == false);
    let disabled = manage.get(&left.path).1;
    assert!(disabled["disabled_reason"].as_str().unwrap().contains("410"), "{disabled}");
    let told = manage.get("/v1/events?type=webhook.disable").1;
    assert_eq!(told["items"][0]["actor"], "system:webhooks", "{told}");
    let tries = gone.requests().len();
    world.project();
    arrived(&fast, 13);
    assert_eq!(gone.requests().len(), tries);
    gone.answer_with("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(manage.patch(&left.path, &json!({ "active": true })).1["active"], true);
    arrived(&gone, tries + 1);
}

#[test]
fn o04_redirects_lead_nowhere_and_answers_are_not_read_for_long() {
    let world = World::start();
    let (manage, receiver, inside) = (world.manage(), Upstream::start(), Upstream::start());
    let hook = hook(&manage, &receiver, &["never.happens"]);
    let redirect =
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {}/\r\ncontent-length: 0\r\n\r\n", inside.url());
    receiver.answer_with(redirect);
    let tried = manage.post(&format!("{}/test", hook.path), &json!({})).1;
    assert_eq!((&tried["delivered"], &tried["status"]), (&json!(false), &json!(307)), "{tried}");
    assert!(tried["error"].as_str().unwrap().contains("not followed"), "{tried}");
    assert_eq!(inside.connections(), 0);
    // An endless body: it was taken, and nobody listens on.
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
    let mut steps = vec![Step::ReadBody, Step::Send(head.into_bytes())];
    steps.extend((0..200).map(|_| Step::Send(chunk.clone().into_bytes())));
    receiver.script(steps);
    let tried = manage.post(&format!("{}/test", hook.path), &json!({})).1;
    assert_eq!(tried["delivered"], true, "{tried}");
    receiver.wait_until_left();
}

#[test]
fn o04_where_a_webhook_must_not_lead_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(settings(folder.path(), "")).unwrap();
    let running = Installation::serve(BINARY, &text, folder.path());
    let manage = running.api();
    for url in [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://localhost:8443/a",
        "https://0.0.0.0/",
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://[::1]/",
        "https://[::]/",
        "https://[fe80::1]/",
        "https://[fd00:ec2::254]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:a9fe:a9fe]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "http://127.0.0.1/",
        "http://8.8.8.8/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://localhost./",
        "https://user:password@8.8.8.8/",
        "ftp://8.8.8.8/",
        "file:///etc/passwd",
        "https://a-name-that-nobody-has.invalid/",
    ] {
        let (status, answer) = manage.post("/v1/webhooks", &json!({ "url": url }));
        assert_eq!((status, &answer["code"]), (400, &json!("invalid")), "{url}: {answer}");
    }
    let made = manage.create("/v1/webhooks", &json!({ "url": "https://8.8.8.8:1/", "events": ["never.happens"] }));
    let path = format!("/v1/webhooks/{}", id(&made));
    let (status, answer) = manage.patch(&path, &json!({ "url": "https://[::1]/" }));
    assert!(status == 400 && answer["detail"].as_str().unwrap().contains("[webhooks]"), "{answer}");
}

#[test]
fn o04_where_it_leads_is_judged_anew_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(settings(folder.path(), "")).unwrap();
    let receiver = Upstream::start();
    // A name that was allowed, and leads inside once its network is not allowed any more.
    let allowed = format!("{text}[webhooks]\nnetworks = [\"127.0.0.0/8\", \"::1\"]\n");
    let mut running = Installation::serve(BINARY, &allowed, folder.path());
    let key = running.management_key.clone().unwrap();
    let manage = Api::new(running.admin, &key);
    let url = format!("http://localhost:{}/", receiver.address().port());
    let made = manage.create("/v1/webhooks", &json!({ "url": url }));
    let path = format!("/v1/webhooks/{}", id(&made));
    assert_eq!(manage.post(&format!("{path}/test"), &json!({})).1["delivered"], true);
    assert_eq!(receiver.take_requests().len(), 1);
    assert!(running.terminate().0.success());
    let running = Installation::serve(BINARY, &text, folder.path());
    let manage = Api::new(running.admin, &key);
    let tried = manage.post(&format!("{path}/test"), &json!({})).1;
    assert_eq!(tried["delivered"], false, "{tried}");
    assert!(tried["error"].as_str().unwrap().contains("public internet"), "{tried}");
    manage.create("/v1/projects", &json!({ "name": "told" }));
    eventually("it is tried", || manage.get(&format!("{path}/deliveries")).1["items"][0]["attempts"] == 1);
    assert_eq!(receiver.requests().len(), 0);
}

#[test]
fn no_secret_is_told() {
    let world = World::start();
    let (manage, receiver) = (world.manage(), Upstream::start());
    let hook = hook(&manage, &receiver, &[]);
    let caller = world.caller(&json!({}));
    let other = hook_secret(&manage, &receiver);
    let upstream_secret = "Bearer canary-of-an-upstream";
    let path = format!("/v1/apis/{}/secrets/header:x-own", caller.api);
    let value = json!({ "value": upstream_secret }).to_string();
    let json_type = [("content-type", "application/json")];
    assert_eq!(manage.request("PUT", &path, &json_type, value.as_bytes()).status, 204);
    let rotated =
        manage.post(&format!("{}/rotate_secret", hook.path), &json!({})).1["secret"].as_str().unwrap().to_owned();
    assert_eq!(manage.post(&format!("/v1/keys/{}/revoke", caller.id), &json!({})).0, 200);
    let imported = "an-imported-key-of-somebody-7Gh2Kq";
    let lines = format!("{{\"key\":\"{imported}\",\"name\":\"n\"}}\n");
    let import = format!("/v1/keys/import?project_id={}", caller.project);
    let taken = manage.request("POST", &import, &[("content-type", "application/x-ndjson")], lines.as_bytes());
    assert_eq!(taken.json()["imported"], 1, "{}", taken.text());
    let has_come = |kind: &str| receiver.requests().iter().any(|one| one.complete && event(one)["type"] == kind);
    for kind in ["key.create", "key.revoke", "key.import", "api.secret.set", "webhook.create", "webhook.rotate_secret"]
    {
        eventually(kind, || has_come(kind));
    }
    let all: String = receiver.requests().iter().map(Recorded::text).collect();
    for secret in [
        &*caller.key,
        &caller.key[caller.key.len() - 20..],
        world.management_key(),
        &hook.secret,
        &other,
        &rotated,
        upstream_secret,
        imported,
        &sha256(&caller.key),
        &sha256(imported),
        "digest",
        "whsec_",
        "/hook?t=1\"",
    ] {
        assert!(!all.contains(secret), "{secret}");
    }
}

fn hook_secret(manage: &Api, receiver: &Upstream) -> String {
    hook(manage, receiver, &["never.happens"]).secret
}

fn sha256(text: &str) -> String {
    let mut command = Command::new("sha256sum");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    out.split(' ').next().unwrap().to_owned()
}

/// How often the server is killed.
const CRASHES: u64 = 8;

#[test]
fn r01_every_event_arrives_over_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = ["--data", data.to_str().unwrap()];
    let receiver = Upstream::start();
    let mut running = Installation::start(BINARY, &arguments);
    let owner = running.management_key.clone().unwrap();
    let made = hook(&Api::new(running.admin, &owner), &receiver, &["project.create"]);
    let mut acknowledged: Vec<String> = Vec::new();
    for crash in 0..CRASHES {
        // Some are killed while attempts are under way.
        let pause = Duration::from_millis(if crash % 2 == 0 { 0 } else { 40 });
        receiver.script([
            Step::ReadBody,
            Step::Pause(pause),
            Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()),
        ]);
        acknowledged.extend(write_until_killed(&mut running, &owner, Duration::from_millis(200 + 57 * crash)));
        running = Installation::start(BINARY, &arguments);
    }
    receiver.answer_with("HTTP/1.1 204 No Content\r\n\r\n");
    assert!(acknowledged.len() > 20, "only {} were acknowledged", acknowledged.len());
    let manage = Api::new(running.admin, &owner);
    let pending = format!("{}/deliveries?state=pending&limit=1", made.path);
    eventually("nothing waits", || manage.get(&pending).1["items"].as_array().unwrap().is_empty());
    let complete: Vec<Recorded> = receiver.requests().into_iter().filter(|request| request.complete).collect();
    let told: std::collections::HashSet<String> =
        complete.iter().map(|request| event(request)["subject_id"].as_str().unwrap().to_owned()).collect();
    let lost: Vec<&String> = acknowledged.iter().filter(|project| !told.contains(*project)).collect();
    assert!(lost.is_empty(), "{} of {} are lost", lost.len(), acknowledged.len());
    let ids: std::collections::HashSet<&str> = complete.iter().map(|request| field(request, "webhook-id")).collect();
    println!(
        "{CRASHES} crashes, {} changes acknowledged, {} events, {} deliveries",
        acknowledged.len(),
        ids.len(),
        complete.len()
    );
}

/// Makes projects until the server is killed; the ids of those that were acknowledged.
fn write_until_killed(running: &mut Installation, owner: &str, time: Duration) -> Vec<String> {
    let (base, stop) = (format!("http://{}/v1/projects", running.admin), AtomicBool::new(false));
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(keystile_testkit::PATIENCE));
    let client: Agent = config.build().into();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut made = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let request = client.post(&base).header("authorization", format!("Bearer {owner}"));
                let Ok(mut answer) = request.send_json(json!({ "name": name("crash") })) else { break };
                let Ok(project) = answer.body_mut().read_json::<Value>() else { break };
                made.push(id(&project));
            }
            made
        });
        std::thread::sleep(time);
        running.kill();
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    })
}

#[test]
fn webhooks_live_from_the_command_line() {
    let world = World::start();
    let receiver = Upstream::start();
    let ask = |code: i32, args: &[&str]| {
        let mut command = keystile(args);
        command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
        let ended = run(&mut command);
        assert_eq!(ended.code, code, "{args:?}: {}{}", ended.out, ended.err);
        ended
    };
    let url = receiver.url();
    let made = ask(0, &["webhook", "create", "--url", &url, "--event", "project.*", "--description", "ours"]);
    assert!(made.out.starts_with("whsec_") && made.out.lines().count() == 1, "the secret alone: {}", made.out);
    let id =
        made.err.split_whitespace().find(|word| word.starts_with("whk_")).unwrap().trim_end_matches(';').to_owned();
    assert_eq!(ask(0, &["webhook", "list", "--quiet"]).out.trim(), id);
    assert!(ask(0, &["webhook", "list"]).out.contains("project.*"));
    let shown = ask(0, &["webhook", "show", &id]).out;
    assert!(shown.contains("ours") && !shown.contains("whsec_"), "{shown}");
    assert!(ask(0, &["webhook", "test", &id]).out.contains("delivered"));
    let project = world.project();
    arrived(&receiver, 2);
    eventually("it is noted", || ask(0, &["webhook", "deliveries", &id]).out.contains("delivered"));
    let event = event(&receiver.requests()[1])["id"].as_str().unwrap().to_owned();
    ask(0, &["webhook", "replay", &id, "--event", &event]);
    arrived(&receiver, 3);
    assert!(ask(0, &["webhook", "replay", &id, "--since", &event]).err.contains("1 events"));
    arrived(&receiver, 4);
    assert!(ask(0, &["webhook", "rotate-secret", &id, "--overlap-hours", "1"]).out.starts_with("whsec_"));
    assert!(ask(0, &["webhook", "update", &id, "--disable", "--all-events"]).out.contains("no"));
    let events = ask(0, &["event", "list", "--type", "project.*", "--subject", &project]).out;
    assert!(events.contains("project.create") && events.contains(&event), "{events}");
    receiver.answer_with(FAILED);
    assert!(ask(3, &["webhook", "test", &id]).out.contains("500"));
    ask(2, &["webhook", "replay", &id]);
    ask(2, &["webhook", "create", "--url", "https://127.1/"]);
    ask(2, &["webhook", "create", "--url", "https://10.0.0.1/"]);
    ask(0, &["webhook", "delete", &id, "--yes"]);
    ask(5, &["webhook", "show", &id]);
}
