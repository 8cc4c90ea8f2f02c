//! Usage by webhook (PRODUCT.md K28), from the receiver's side: what was recorded in an hour arrives, whatever happens on the way, at
//! whoever named it and at nobody else.

use std::process::Command;

use keystile_testkit::{Installation, Step, Upstream, eventually};
use serde_json::{Value, json};

use super::form::moment;
use super::process::{keystile, run};
use super::webhooks::{FAILED, arrived, event, field, hook, is_taken, seconds_now};
use super::world::{BINARY, World, id};

/// Two hours: what was recorded so long ago is in an hour that is over.
const AGO: i64 = 7_200;

#[test]
fn k28_an_hour_of_usage_arrives_over_failures_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = ["--data", data.to_str().unwrap()];
    let (receiver, other) = (Upstream::start(), Upstream::start());
    let mut world = World::of(Installation::start(BINARY, &arguments), None);
    let owner = world.management_key().to_owned();
    let made = hook(&world.manage(), &receiver, &["usage.hour"]);
    hook(&world.manage(), &other, &[]);
    let shown = world.manage().get(&made.path).1;
    let began = moment(shown["usage"]["sent_until"].as_str().unwrap());
    assert!((0..3_700).contains(&(moment(shown["created_at"].as_str().unwrap()).as_secs() - began.as_secs())));
    assert_eq!((&shown["usage"]["attempts"], &shown["usage"]["part"]), (&json!(0), &json!(1)), "{shown}");
    let caller = world.caller(&json!({}));
    for _ in 0..3 {
        assert_eq!(world.call(&caller.key, "GET", &caller.path).status, 200);
    }
    let back = json!([{ "id": "back", "activation_id": caller.activation, "units": -5, "note": "told to nobody" }]);
    let (status, recorded) = world.manage().post("/v1/usage/record", &json!({ "usage": back }));
    assert_eq!(status, 200, "{recorded}");
    eventually("the calls are on disk", || {
        let metrics = world.manage().request("GET", "/metrics", &[], b"").text();
        metrics.lines().any(|line| line.strip_prefix("keystile_usage_events_total ").is_some_and(|count| count != "0"))
            && metrics.lines().any(|line| line == "keystile_usage_events_waiting 0")
    });
    world.installation.kill();
    // No test waits for an hour: all of it was recorded in one that is over.
    let since = began.plus_secs(-AGO);
    let then = since.plus_secs(60).as_micros();
    let change = format!(
        "UPDATE batches SET recorded_at = {then}; SELECT changes(); \
         UPDATE recorded_usage SET recorded_at = {then}; SELECT changes();"
    );
    let changed = Command::new("sqlite3").arg(data.join("usage.db")).arg(change).output().unwrap();
    let rows: Vec<u32> = String::from_utf8(changed.stdout).unwrap().lines().map(|row| row.parse().unwrap()).collect();
    assert!(rows.len() == 2 && rows[0] > 0 && rows[1] == 1, "{rows:?}");

    let mut world = World::of(Installation::start(BINARY, &arguments), Some(&owner));
    receiver.script_once([Step::ReadBody, Step::Send(FAILED.to_vec())]);
    let since = since.to_string();
    let (status, replayed) = world.manage().post(&format!("{}/replay", made.path), &json!({ "since": since }));
    assert_eq!((status, &replayed["usage_since"]), (200, &json!(since)), "{replayed}");
    let told = |world: &World| world.manage().get(&made.path).1["usage"].clone();
    eventually("it is noted", || told(&world)["attempts"] == 1);
    let waits = told(&world);
    assert_eq!((&waits["status"], &waits["error"]), (&json!(500), &json!("it answered 500")), "{waits}");
    assert_eq!(waits["sent_until"], json!(since));
    world.installation.kill();
    let world = World::of(Installation::start(BINARY, &arguments), Some(&owner));
    let both = arrived(&receiver, 2);
    assert!(both.iter().all(|one| is_taken(one, &made.secret, seconds_now())));
    assert_eq!(field(&both[0], "webhook-id"), field(&both[1], "webhook-id"));
    assert_eq!(both[0].body, both[1].body);
    let hour = event(&both[1]);
    assert_eq!((&hour["id"], &hour["type"]), (&json!(field(&both[1], "webhook-id")), &json!("usage.hour")));
    let data = &hour["data"];
    assert_eq!((&data["starts_at"], &data["part"], &data["parts"]), (&json!(since), &json!(1), &json!(1)), "{hour}");
    let mine = |row: &&Value| row["project_id"] == caller.project.as_str();
    let rows: Vec<&Value> = data["usage"].as_array().unwrap().iter().filter(mine).collect();
    let sum = |of: &str| rows.iter().map(|row| row[of].as_i64().unwrap()).sum::<i64>();
    assert_eq!((rows.len(), sum("calls"), sum("units")), (2, 3, 3 - 5), "{hour}");
    let calls = rows.iter().find(|row| row["key_id"] == caller.id.as_str()).unwrap();
    assert_eq!(
        (&calls["api_id"], &calls["code"], &calls["status"]),
        (&json!(caller.api), &json!("allowed"), &json!(200))
    );
    assert!(calls["organization_id"].is_string() && !hour.to_string().contains("told to nobody"), "{hour}");
    // All hours that are over are through, and nothing is sent twice.
    eventually("it has all", || told(&world)["attempts"] == 0 && told(&world)["sent_until"] != json!(since));
    assert_eq!(receiver.requests().len(), 2);
    let metrics = world.manage().request("GET", "/metrics", &[], b"").text();
    assert!(metrics.contains("keystile_webhook_usage_attempts_total{result=\"delivered\"} 1"), "{metrics}");
    let others = arrived(&other, 1);
    assert!(others.iter().all(|one| event(one)["type"] != "usage.hour"), "whoever wants all names none");
    let webhook = made.path.rsplit('/').next().unwrap();
    let mut command = keystile(&["webhook", "show", webhook]);
    command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", &owner);
    let card = run(&mut command);
    assert!(
        card.code == 0 && card.out.contains("sent_until") && card.out.contains("usage.hour"),
        "{}{}",
        card.out,
        card.err
    );
}

#[test]
fn k28_only_whoever_may_read_usage_has_it_sent() {
    let world = World::start();
    let receiver = Upstream::start();
    let writer = world.manage_as(&world.management_key_for(&["webhooks.write", "webhooks.read", "events.read"]));
    let (url, elsewhere) = (receiver.url(), format!("{}/elsewhere", receiver.url()));
    let refused = |answer: (u16, Value)| {
        assert_eq!((answer.0, &answer.1["code"]), (403, &json!("permission_missing")), "{}", answer.1);
        assert!(answer.1.to_string().contains("usage.read"), "{}", answer.1);
    };
    for events in [json!(["usage.hour"]), json!(["key.*", "usage.hour"])] {
        refused(writer.post("/v1/webhooks", &json!({ "url": url, "events": events })));
    }
    let own = hook(&writer, &receiver, &["key.*"]).path;
    assert!(writer.get(&own).1["usage"].is_null());
    refused(writer.patch(&own, &json!({ "events": ["usage.hour"] })));
    let named = hook(&world.manage(), &receiver, &["usage.hour"]).path;
    refused(writer.patch(&named, &json!({ "url": elsewhere })));
    refused(writer.post(&format!("{named}/rotate_secret"), &json!({})));
    refused(writer.post(&format!("{named}/replay"), &json!({ "since": "2026-01-01T00:00:00Z" })));
    // What sends it nowhere else is not about usage.
    assert_eq!(writer.patch(&named, &json!({ "description": "theirs" })).0, 200);
    assert_eq!(id(&world.manage().get(&named).1), named.rsplit('/').next().unwrap());
}
