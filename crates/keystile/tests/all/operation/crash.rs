//! The crash loop: `kill -9` at a random moment, again and again on the same folder, while several writers create
//! and revoke keys through the management API. What was acknowledged is there after every start.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keystile_testkit::{Api, Installation, PATIENCE, now};
use serde_json::{Value, json};
use ureq::Agent;

use super::world::BINARY;

/// How often the server is killed; `KEYSTILE_TEST_CRASHES` says another number.
const CRASHES: u64 = 50;
/// Writers at once.
const WRITERS: usize = 4;
/// The shortest time of writing before a kill, and how much longer it may be.
const WRITING_MS: (u64, u64) = (500, 300);
/// The goal for a start is 2 s; this is where something is wrong even on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A key whose creation was acknowledged.
#[derive(Debug, Clone)]
struct Known {
    id: String,
    key: String,
    /// Whether its end was acknowledged; if it was asked for and not acknowledged, either may be.
    revoked: Revoked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Revoked {
    No,
    Asked,
    Yes,
}

#[test]
fn r01_no_acknowledged_key_and_no_acknowledged_revoke_is_lost_by_kill_9() {
    let crashes = std::env::var("KEYSTILE_TEST_CRASHES").ok().and_then(|text| text.parse().ok()).unwrap_or(CRASHES);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = ["--data", data.to_str().unwrap()];
    let mut running = Installation::start(BINARY, &arguments);
    let owner = running.management_key.clone().unwrap();
    let project = running.project_id.clone();
    let mut known: Vec<Known> = Vec::new();
    let mut starts: Vec<Duration> = Vec::new();
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    for crash in 1..=crashes {
        // A fixed seed: xorshift, so that a failure can be had again.
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let time = Duration::from_millis(WRITING_MS.0 + dice % WRITING_MS.1);
        let written = write_until_killed(&mut running, &owner, &project, time);
        assert!(!written.is_empty(), "crash {crash}: nothing was acknowledged within {time:?}");
        let began = now();
        running = Installation::start(BINARY, &arguments);
        starts.push(began.elapsed());
        check(&running, &owner, &written, crash);
        known.extend(written);
        // Some of the old ones each time: whatever was true must stay so.
        let old: Vec<Known> = known.iter().rev().step_by(known.len().div_ceil(20)).cloned().collect();
        check(&running, &owner, &old, crash);
    }
    check_all(&running, &owner, &project, &known);
    starts.sort_unstable();
    let revoked = known.iter().filter(|known| known.revoked == Revoked::Yes).count();
    println!(
        "{crashes} crashes: {} keys and {revoked} revokes acknowledged, all there; starts: median {:?}, longest {:?} (goal 2 s)",
        known.len(),
        starts[starts.len() / 2],
        starts[starts.len() - 1],
    );
    assert!(starts[starts.len() - 1] < START_LIMIT);
}

/// Lets writers write, kills the server under their hands, and gives what it had acknowledged.
fn write_until_killed(running: &mut Installation, owner: &str, project: &str, time: Duration) -> Vec<Known> {
    let (base, stop) = (format!("http://{}/v1/keys", running.admin), AtomicBool::new(false));
    // Not the client of the test kit, which fails the test where no answer comes: here that is the point.
    let config = Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(PATIENCE));
    let client: Agent = config.build().into();
    let journal: Mutex<Vec<Known>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (journal, stop, base, client) = (&journal, &stop, &base, &client);
            scope.spawn(move || {
                let mut turn = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    turn += 1;
                    let body = json!({ "project_id": project, "name": format!("w{writer}-{turn}") });
                    let Some((201, made)) = ask(client, base, owner, &body) else { return };
                    let text = |field: &str| made[field].as_str().unwrap_or_default().to_owned();
                    let known = Known { id: text("id"), key: text("key"), revoked: Revoked::No };
                    let place = {
                        let mut journal = journal.lock().unwrap();
                        journal.push(known.clone());
                        journal.len() - 1
                    };
                    if turn.is_multiple_of(2) {
                        journal.lock().unwrap()[place].revoked = Revoked::Asked;
                        let Some((200, _)) = ask(client, &format!("{base}/{}/revoke", known.id), owner, &json!({}))
                        else {
                            return;
                        };
                        journal.lock().unwrap()[place].revoked = Revoked::Yes;
                    }
                }
            });
        }
        std::thread::sleep(time);
        running.kill();
        stop.store(true, Ordering::Relaxed);
    });
    journal.into_inner().unwrap()
}

/// A request to a server that may die under it; `None` if no whole answer came.
fn ask(client: &Agent, url: &str, owner: &str, body: &Value) -> Option<(u16, Value)> {
    let request = client.post(url).header("authorization", format!("Bearer {owner}"));
    let mut answer = request.send_json(body).ok()?;
    let json = answer.body_mut().read_json().ok()?;
    Some((answer.status().as_u16(), json))
}

/// Every one of these keys is there in its acknowledged state, and the gateway knows it.
fn check(running: &Installation, owner: &str, known: &[Known], crash: u64) {
    let manage = Api::new(running.admin, owner);
    for key in known {
        let (status, found) = manage.get(&format!("/v1/keys/{}", key.id));
        assert_eq!(status, 200, "crash {crash}: an acknowledged key is gone: {}", key.id);
        let answer = Api::new(running.gateway, &key.key).request("GET", "/", &[], b"");
        let state = found["state"].as_str().unwrap();
        let fits = match key.revoked {
            Revoked::No => state == "active",
            Revoked::Yes => state == "revoked",
            Revoked::Asked => matches!(state, "active" | "revoked"),
        };
        assert!(fits, "crash {crash}: {key:?} is {state}");
        let expected = if state == "active" { (200, "") } else { (401, "key_revoked") };
        assert_eq!((answer.status, answer.code().as_str()), expected, "crash {crash}: {} at the gateway", key.id);
    }
}

/// At the end the list holds every acknowledged key, in its state, once.
fn check_all(running: &Installation, owner: &str, project: &str, known: &[Known]) {
    let manage = Api::new(running.admin, owner);
    let (mut listed, mut next) = (std::collections::HashMap::new(), format!("/v1/keys?project_id={project}&limit=200"));
    loop {
        let page = manage.get(&next).1;
        for key in page["items"].as_array().unwrap() {
            let (id, state) = (key["id"].as_str().unwrap().to_owned(), key["state"].as_str().unwrap().to_owned());
            assert!(listed.insert(id, state).is_none(), "a key is listed twice");
        }
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("/v1/keys?project_id={project}&limit=200&cursor={cursor}");
    }
    for key in known {
        let state = listed.get(&key.id).unwrap_or_else(|| panic!("{} is not listed", key.id));
        assert!(
            key.revoked == Revoked::Asked || (key.revoked == Revoked::Yes) == (state == "revoked"),
            "{key:?}: {state}"
        );
    }
}
