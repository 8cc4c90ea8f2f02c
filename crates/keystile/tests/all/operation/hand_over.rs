//! Links that hand the text of a key over: once, to whoever opens them first, and to nobody who only has the data (K40).

use keystile_testkit::raw::Answer;
use serde_json::{Value, json};

use super::disk::{contains, contents};
use super::form::problem;
use super::process::run;
use super::world::{World, name, shared};

fn open(world: &World, token: &str) -> Answer {
    let fields = [("content-type", "application/json"), ("authorization", "none")];
    let body = json!({ "token": token }).to_string();
    keystile_testkit::Api::new(world.installation.admin, "").request("POST", "/hand-over", &fields, body.as_bytes())
}

fn token(made: &Value) -> String {
    assert!(made.get("key").is_none(), "the text is not in the answer");
    made["hand_over"]["path"].as_str().unwrap().strip_prefix("/hand-over#").unwrap().to_owned()
}

#[test]
fn k40_a_link_gives_the_text_once_to_whoever_opens_it_first() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let body = json!({ "project_id": caller.project, "name": name("handed"), "hand_over_hours": 24 });
    let made = world.manage().create("/v1/keys", &body);
    let token = token(&made);
    // A page that is looked at opens nothing.
    let page = keystile_testkit::Api::new(world.installation.admin, "").request("GET", "/hand-over", &[], b"");
    assert_eq!(page.status, 200);
    assert!(page.field("content-security-policy").unwrap().contains("default-src 'none'"), "{:?}", page.text());
    let opened: Vec<Answer> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| open(world, &token))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let given: Vec<&Answer> = opened.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(given.len(), 1, "one of eight at once");
    let given = given[0].json();
    assert_eq!((&given["key_id"], &given["name"]), (&made["id"], &made["name"]));
    let text = given["key"].as_str().unwrap();
    assert_eq!(world.call(text, "GET", &format!("{}/x", caller.path)).status, 200);
    problem(&open(world, &token), 404, "not_found");
    for wrong in ["", "x", &"A".repeat(43), &"ä".repeat(10)] {
        problem(&open(world, wrong), 404, "not_found");
    }
    let events = world.manage().get("/v1/events?limit=50").1;
    let kinds: Vec<&str> =
        events["items"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"key.hand_over") && kinds.contains(&"key.handed_over"), "{kinds:?}");
    assert!(!events.to_string().contains(text) && !events.to_string().contains(&token));
}

#[test]
fn a_rotation_and_a_replacement_are_handed_over_too_and_a_deleted_key_is_not() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let path = format!("/v1/keys/{}", caller.id);
    let rotated = world.manage().post(&format!("{path}/rotate"), &json!({ "hand_over_hours": 1 })).1;
    let text = open(world, &token(&rotated)).json()["key"].as_str().unwrap().to_owned();
    assert_eq!(world.call(&text, "GET", &format!("{}/x", caller.path)).status, 200);
    let done = world.manage().post(&format!("{path}/compromised"), &json!({ "hand_over_hours": 168 })).1;
    let token = token(&done["replacement"]);
    let other = done["replacement"]["id"].as_str().unwrap();
    assert_eq!(world.manage().delete(&format!("/v1/keys/{other}")).0, 204);
    problem(&open(world, &token), 404, "not_found");
    for hours in [0, 169] {
        let body = json!({ "project_id": caller.project, "name": "x", "hand_over_hours": hours }).to_string();
        let refused =
            world.manage().request("POST", "/v1/keys", &[("content-type", "application/json")], body.as_bytes());
        problem(&refused, 400, "invalid");
    }
}

#[test]
fn k04_neither_text_nor_token_stands_in_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let installation = keystile_testkit::Installation::start(super::world::BINARY, &["--data", data.to_str().unwrap()]);
    let world = World::of(installation, None);
    let project = world.project();
    let mut secrets = Vec::new();
    for is_opened in [false, true] {
        let body = json!({ "project_id": project, "name": name("handed"), "hand_over_hours": 24 });
        let token = token(&world.manage().create("/v1/keys", &body));
        if is_opened {
            secrets.push(open(&world, &token).json()["key"].as_str().unwrap().to_owned());
        }
        secrets.push(token);
    }
    for (file, bytes) in contents(folder.path()) {
        for secret in &secrets {
            assert!(!contains(&bytes, secret.as_bytes()), "{}", file.display());
        }
    }
}

#[test]
fn the_command_prints_the_link_alone() {
    let world = shared();
    let project = world.project();
    let mut command = super::process::keystile(&[
        "key",
        "create",
        "--project",
        &project,
        "--name",
        "handed",
        "--hand-over-hours",
        "2",
        "--server",
        &world.admin_url(),
    ]);
    let ended = run(command.env("KEYSTILE_MANAGEMENT_KEY", world.management_key()));
    assert_eq!(ended.code, 0, "{}", ended.err);
    let link = ended.out.strip_suffix('\n').unwrap();
    let token = link.strip_prefix(&format!("{}/hand-over#", world.admin_url())).expect("a link to this server");
    assert!(ended.err.contains("opens once") && !ended.err.contains(token), "{}", ended.err);
    assert_eq!(open(world, token).status, 200);
}
