//! Devices without a browser (RFC 8628): let in by somebody who is logged in, once, and by nobody else.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use keystile_testkit::raw::Answer;
use serde_json::{Value, json};

use super::form::problem;
use super::process::keystile;
use super::world::{World, shared};

fn begin(world: &World) -> Value {
    let answer = world.anonymously("/v1/device/authorize", &json!({}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn poll(world: &World, device: &Value) -> Answer {
    world.anonymously("/v1/device/token", &json!({ "device_code": device["device_code"] }))
}

#[test]
fn a_device_that_was_let_in_is_logged_in_once_and_one_that_was_not_is_not() {
    let world = shared();
    let person = world.person("support");
    let api = world.as_person(&person);
    let (mine, other) = (begin(world), begin(world));
    let code = mine["user_code"].as_str().unwrap();
    assert!(code.len() == 9 && mine["verification_path_complete"] == format!("/device#{code}"), "{mine}");
    problem(&poll(world, &mine), 400, "authorization_pending");
    problem(&poll(world, &mine), 400, "slow_down");
    // What people type does not let the device in by itself, nor what it keeps for itself.
    for wrong in [
        json!(code),
        json!("device_live_"),
        mine["device_code"].as_str().map(|text| json!(text.replace('K', "k"))).unwrap(),
    ] {
        let answer = world.anonymously("/v1/device/token", &json!({ "device_code": wrong }));
        problem(&answer, 400, "expired_token");
    }
    let looked = api.post("/v1/account/device/look", &json!({ "user_code": code.to_lowercase().replace('-', " ") }));
    assert_eq!((looked.0, &looked.1["address"]), (200, &json!("127.0.0.1")), "{}", looked.1);
    for wrong in ["BBBB-BBBB", "", "x"] {
        assert_eq!(api.post("/v1/account/device", &json!({ "user_code": wrong, "approve": true })).0, 404, "{wrong}");
    }
    assert_eq!(world.manage().post("/v1/account/device", &json!({ "user_code": code, "approve": true })).0, 403);
    let judge = |device: &Value, approve: bool| {
        api.post("/v1/account/device", &json!({ "user_code": device["user_code"], "approve": approve })).0
    };
    assert_eq!((judge(&mine, true), judge(&other, false)), (204, 204));
    assert_eq!((judge(&mine, true), judge(&other, true)), (404, 404), "what was said is said");
    problem(&poll(world, &other), 400, "access_denied");
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let polls: Vec<_> = (0..4).map(|_| scope.spawn(|| poll(world, &mine))).collect();
        polls.into_iter().map(|poll| poll.join().unwrap()).collect()
    });
    let (inside, outside): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(inside.len(), 1, "of several that show the same code one gets a session");
    outside.into_iter().for_each(|answer| drop(problem(answer, 400, "expired_token")));
    let me = world.manage_as(inside[0].json()["token"].as_str().unwrap()).get("/v1/whoami").1;
    assert_eq!((&me["account"]["email"], &me["role"]), (&json!(person.email), &json!("support")));
    let told = world.manage().get(&format!("/v1/audit?actor={}", person.account)).1;
    let kinds: Vec<&str> = told["items"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..3], ["session.create", "device_login.deny", "device_login.approve"], "{kinds:?}");
}

#[test]
fn a_person_who_was_taken_away_meanwhile_lets_nobody_in() {
    let world = shared();
    let person = world.person("support");
    let device = begin(world);
    let wish = json!({ "user_code": device["user_code"], "approve": true });
    assert_eq!(world.as_person(&person).post("/v1/account/device", &wish).0, 204);
    assert_eq!(world.manage().delete(&format!("/v1/members/{}", person.member)).0, 204);
    problem(&poll(world, &device), 400, "access_denied");
}

#[test]
fn the_command_line_logs_in_by_a_browser() {
    let world = shared();
    let person = world.person("support");
    let folder = tempfile::tempdir().unwrap();
    let mut command = keystile(&["login", "--device"]);
    command.env("KEYSTILE_URL", world.admin_url()).env("HOME", folder.path()).env_remove("XDG_CONFIG_HOME");
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let code = line.trim().trim_end_matches('.').rsplit(' ').next().unwrap();
    assert!(line.contains(&format!("{}/device#{code}", world.admin_url())), "{line}");
    let wish = json!({ "user_code": code, "approve": true });
    assert_eq!(world.as_person(&person).post("/v1/account/device", &wish).0, 204, "{code}");
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success() && String::from_utf8_lossy(&ended.stdout).contains("as support of Owner"));
}
