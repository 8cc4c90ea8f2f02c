//! `Idempotency-Key`: a request that is sent again makes nothing twice.

use keystile_testkit::raw::Answer;
use serde_json::{Value, json};

use super::super::form::problem;
use super::super::world::{World, id, name, shared};

#[test]
fn a_request_sent_again_makes_one_thing_and_shows_no_key_again() {
    let world = shared();
    let (api, _) = world.api();
    let (project, other) = (world.project(), world.project());
    for (path, body) in [
        ("/v1/projects", json!({ "name": name("once") })),
        ("/v1/apis", json!({ "name": name("once"), "upstream": world.echo, "path_prefix": "/once" })),
        ("/v1/activations", json!({ "project_id": project, "api_id": api })),
        ("/v1/keys", json!({ "project_id": other, "name": name("once") })),
    ] {
        let key = name("request");
        let (first, second) = (send(world, path, &key, &body), send(world, path, &key, &body));
        assert_eq!((first.status, second.status), (201, 201), "{path}: {} {}", first.text(), second.text());
        assert_eq!(id(&first.json()), id(&second.json()), "{path}");
        assert_eq!(count(world, path, &body), 1, "{path}");
        assert_eq!(first.json().get("key").is_some(), path == "/v1/keys", "{path}");
        assert!(second.json().get("key").is_none(), "{path}");
        let mut another = body.clone();
        another["name"] = "another".into();
        if path != "/v1/activations" {
            problem(&send(world, path, &key, &another), 409, "conflict");
        }
        problem(&send(world, "/v1/projects", &key, &json!({ "name": "elsewhere" })), 409, "conflict");
        assert_eq!(count(world, path, &body), 1, "{path}");
    }
}

#[test]
fn requests_at_the_same_moment_make_one_thing() {
    let world = shared();
    let project = world.project();
    let (key, body) = (name("race"), json!({ "project_id": project, "name": "race" }));
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..8).map(|_| scope.spawn(|| send(world, "/v1/keys", &key, &body))).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    let first = id(&answers[0].json());
    assert!(answers.iter().all(|answer| answer.status == 201 && id(&answer.json()) == first));
    assert_eq!(answers.iter().filter(|answer| answer.json().get("key").is_some()).count(), 1, "one shows the text");
    let listed = world.manage().get(&format!("/v1/keys?project_id={project}")).1;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[test]
fn what_was_refused_may_be_tried_again_under_the_same_key() {
    let world = shared();
    let key = name("again");
    problem(&send(world, "/v1/projects", &key, &json!({ "name": "" })), 400, "invalid");
    let made = send(world, "/v1/projects", &key, &json!({ "name": name("again") }));
    assert_eq!(made.status, 201, "{}", made.text());
    for wrong in ["", &"x".repeat(256)] {
        problem(&send(world, "/v1/projects", wrong, &json!({ "name": name("again") })), 400, "invalid");
    }
    let longest = format!("{}{}", name("long"), "x".repeat(200));
    assert_eq!(send(world, "/v1/projects", &longest, &json!({ "name": name("again") })).status, 201);
}

fn send(world: &World, path: &str, key: &str, body: &Value) -> Answer {
    let fields = [("content-type", "application/json"), ("idempotency-key", key)];
    world.manage().request("POST", path, &fields, body.to_string().as_bytes())
}

/// How many there are of those that this test makes: others make things meanwhile.
fn count(world: &World, path: &str, ours: &Value) -> usize {
    let query = if path == "/v1/activations" {
        format!("?project_id={}", ours["project_id"].as_str().unwrap())
    } else {
        "?limit=200".to_owned()
    };
    let page = world.manage().get(&format!("{path}{query}")).1;
    page["items"].as_array().unwrap().iter().filter(|item| item.get("name") == ours.get("name")).count()
}
