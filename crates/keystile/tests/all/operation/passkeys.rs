//! Passkeys at the running product, by an authenticator that is not its own: what lets somebody in, and what does not.

use keystile_testkit::raw::Answer;
use keystile_testkit::{Api, Authenticator};
use serde_json::{Value, json};

use super::form::problem;
use super::login::served;
use super::people::{PASSWORD, Person};
use super::world::{World, shared};

const HERE: &str = "http://localhost:4401";

fn log_in(world: &World, answer: &Value) -> Answer {
    world.anonymously("/v1/login/passkey", answer)
}

/// The newest entry of the audit of this action.
fn newest(world: &World, action: &str) -> Value {
    let (status, list) = world.manage().get(&format!("/v1/audit?type={action}&limit=1"));
    assert_eq!(status, 200, "{list}");
    list["items"][0].clone()
}

fn with_passkey(world: &World, role: &str) -> (Person, Api, Authenticator, String) {
    let person = world.person(role);
    let api = world.as_person(&person);
    let (device, id) = world.passkey_of(&api);
    (person, api, device, id)
}

#[test]
fn a06_a_passkey_lets_its_holder_in_and_proves_who_they_are() {
    let world = shared();
    let (person, api, mut device, id) = with_passkey(world, "developer");
    let listed = api.get("/v1/account/passkeys").1["items"][0].clone();
    assert_eq!((&listed["id"], &listed["name"], &listed["used_at"]), (&json!(id), &json!("Laptop"), &Value::Null));
    let me = api.get("/v1/whoami").1["account"].clone();
    assert_eq!((&me["passkeys"], &me["has_password"]), (&json!(1), &json!(true)));
    assert_eq!(newest(world, "passkey.create")["subject_id"], json!(id));

    let entered = log_in(world, &world.answer_of(&mut device));
    assert_eq!(entered.status, 200, "{}", entered.text());
    let entered = entered.json();
    assert_eq!((&entered["account_id"], &entered["role"]), (&json!(person.account), &json!("developer")));
    let inside = world.manage_as(entered["token"].as_str().unwrap());
    assert!(inside.get("/v1/account/passkeys").1["items"][0]["used_at"].is_string());
    let told = newest(world, "session.create");
    assert_eq!((&told["subject_id"], &told["after"]["factor"]), (&entered["session_id"], &json!("passkey")));

    let mut kept = world.answer_of(&mut device);
    kept["deliver"] = "cookie".into();
    let answer = log_in(world, &kept);
    assert!(answer.json().get("token").is_none() && answer.field("set-cookie").unwrap().starts_with("__Host-keystile"));
    let (status, proven) = inside.post("/v1/account/prove/passkey", &world.answer_of(&mut device));
    assert_eq!(status, 200, "{proven}");
    let renewed = world.manage_as(proven["token"].as_str().unwrap());
    assert_eq!((inside.get("/v1/whoami").0, renewed.get("/v1/whoami").0), (401, 200), "S-1: another token");

    let (status, named) = renewed.patch(&format!("/v1/account/passkeys/{id}"), &json!({ "name": "Phone" }));
    assert_eq!((status, &named["name"]), (200, &json!("Phone")));
    assert_eq!(renewed.delete(&format!("/v1/account/passkeys/{id}")).0, 204);
    problem(&log_in(world, &world.answer_of(&mut device)), 401, "login_failed");
}

#[test]
fn a06_an_answer_is_taken_once_from_its_own_page_of_somebody_who_is_known_there() {
    let world = shared();
    let (_, api, mut device, _) = with_passkey(world, "auditor");
    let refused = |device: &mut Authenticator, why: &str| {
        let answer = log_in(world, &world.answer_of(device));
        assert_eq!(answer.status, 401, "{why}: {}", answer.text());
        problem(&answer, 401, "login_failed")
    };
    let mut details = Vec::new();
    device.origin = "http://localhost.example.com:4401".to_owned();
    details.push(refused(&mut device, "another site's page"));
    device.origin = "https://localhost".to_owned();
    details.push(refused(&mut device, "another scheme"));
    device.origin = HERE.to_owned();
    device.site = "example.com".to_owned();
    details.push(refused(&mut device, "signed for another site"));
    device.site = "localhost".to_owned();
    device.verifies = false;
    details.push(refused(&mut device, "nobody knows who was there"));
    device.verifies = true;
    let whose = std::mem::replace(&mut device.user, vec![7; 16]);
    details.push(refused(&mut device, "somebody else's"));
    device.user = whose;
    let mut stranger = Authenticator::new(HERE);
    stranger.user = device.user.clone();
    details.push(refused(&mut stranger, "nobody added it"));
    stranger.credential_id = device.credential_id.clone();
    details.push(refused(&mut stranger, "another key"));
    // nobody learns from the answer which passkeys there are.
    details.dedup();
    assert_eq!(details.len(), 1, "{details:?}");

    // What was asked otherwise, or by somebody else, or is altered.
    let asked = world.anonymously("/v1/login/passkey/begin", &json!({})).json();
    let other = world.anonymously("/v1/login/passkey/begin", &json!({})).json();
    let credential = device.answer(&asked["public_key"]);
    problem(&log_in(world, &json!({ "ceremony": other["ceremony"], "credential": credential })), 401, "login_failed");
    let adding = api.post("/v1/account/passkeys/begin", &json!({})).1;
    let credential = device.answer(&adding["public_key"]);
    problem(&log_in(world, &json!({ "ceremony": adding["ceremony"], "credential": credential })), 400, "invalid");
    problem(&log_in(world, &json!({ "ceremony": "AAAA", "credential": credential })), 400, "invalid");
    problem(&log_in(world, &json!({ "ceremony": asked["ceremony"], "credential": { "id": 7 } })), 400, "invalid");

    // Once, and of two at the same moment one.
    let answer = world.answer_of(&mut device);
    assert_eq!(log_in(world, &answer).status, 200);
    problem(&log_in(world, &answer), 401, "login_failed");
    let answer = world.answer_of(&mut device);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..4).map(|_| scope.spawn(|| log_in(world, &answer).status)).collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    // Not even where there is no counter, as none is in what password managers keep.
    let (_, _, mut uncounted, _) = with_passkey(world, "auditor");
    uncounted.counts = false;
    let answer = world.answer_of(&mut uncounted);
    assert_eq!(log_in(world, &answer).status, 200);
    problem(&log_in(world, &answer), 401, "login_failed");
}

#[test]
fn a06_a_new_passkey_is_of_this_page_and_of_whoever_began() {
    let world = shared();
    let (person, other) = (world.person("auditor"), world.person("auditor"));
    let (api, others) = (world.as_person(&person), world.as_person(&other));
    let add = |api: &Api, asked: &Value, credential: Value| {
        api.post(
            "/v1/account/passkeys",
            &json!({ "name": "x", "ceremony": asked["ceremony"], "credential": credential }),
        )
    };
    let begin = |api: &Api| api.post("/v1/account/passkeys/begin", &json!({})).1;
    let asked = begin(&api);
    assert_eq!(asked["public_key"]["authenticatorSelection"]["residentKey"], json!("required"));
    assert_eq!(asked["public_key"]["authenticatorSelection"]["userVerification"], json!("required"));
    let mut device = Authenticator::new("https://localhost.example.com");
    assert_eq!(add(&api, &asked, device.create(&asked["public_key"])).0, 400, "another site's page");
    let mut device = Authenticator::new(HERE);
    device.verifies = false;
    assert_eq!(add(&api, &asked, device.create(&asked["public_key"])).0, 400, "nobody knows who was there");
    device.verifies = true;
    assert_eq!(add(&others, &asked, device.create(&asked["public_key"])).0, 400, "somebody else began");
    let credential = device.create(&asked["public_key"]);
    assert_eq!(add(&api, &asked, credential.clone()).0, 201);
    assert_eq!(add(&api, &asked, credential.clone()).0, 400, "it was taken");
    // The same passkey is nobody else's.
    let asked = begin(&others);
    device.user = Vec::new();
    let (status, said) = add(&others, &asked, device.create(&asked["public_key"]));
    assert_eq!((status, &said["code"]), (409, &json!("conflict")), "{said}");
    let known = begin(&api)["public_key"]["excludeCredentials"].as_array().unwrap().len();
    assert_eq!((known, begin(&others)["public_key"]["excludeCredentials"].as_array().unwrap().len()), (1, 0));
}

#[test]
fn a06_a_counter_that_goes_back_lets_nobody_in_and_stands_in_the_audit() {
    let world = shared();
    let (person, _, mut device, _) = with_passkey(world, "auditor");
    device.counter = 10;
    assert_eq!(log_in(world, &world.answer_of(&mut device)).status, 200);
    for counter in [10, 3] {
        device.counter = counter - 1;
        problem(&log_in(world, &world.answer_of(&mut device)), 401, "login_failed");
        let told = newest(world, "passkey.counter_went_back");
        assert_eq!(told["subject_id"], json!(person.account));
    }
    device.counter = 11;
    assert_eq!(log_in(world, &world.answer_of(&mut device)).status, 200, "the true one still lets in");
}

#[test]
fn a04_wrong_passwords_lock_nobody_out_who_has_a_passkey() {
    let world = shared();
    let (person, _, mut device, _) = with_passkey(world, "auditor");
    for _ in 0..5 {
        let wrong = json!({ "email": person.email, "password": "not the password at all" });
        assert_eq!(world.anonymously("/v1/login", &wrong).status, 401);
    }
    let right = json!({ "email": person.email, "password": PASSWORD });
    problem(&world.anonymously("/v1/login", &right), 429, "login_locked");
    assert_eq!(log_in(world, &world.answer_of(&mut device)).status, 200);
}

#[test]
fn a11_passkeys_are_changed_by_whoever_proved_just_now_who_they_are() {
    let (_folder, world) = served("[login]\nstep_up_seconds = 2");
    let (_, api, mut device, id) = with_passkey(&world, "auditor");
    let stranger = world.person("auditor");
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    for (method, path) in [
        ("POST", "/v1/account/passkeys/begin".to_owned()),
        ("DELETE", format!("/v1/account/passkeys/{id}")),
        ("DELETE", "/v1/account/password".to_owned()),
    ] {
        problem(&api.request(method, &path, &[], b""), 403, "step_up_required");
    }
    let theirs = world.as_person(&stranger);
    let (status, said) = theirs.post("/v1/account/prove/passkey", &world.answer_of(&mut device));
    assert_eq!((status, &said["code"]), (401, &json!("login_failed")), "somebody else's proves nothing");
    let (status, proven) = api.post("/v1/account/prove/passkey", &world.answer_of(&mut device));
    assert_eq!(status, 200, "{proven}");
    let fresh = world.manage_as(proven["token"].as_str().unwrap());
    assert_eq!(fresh.delete(&format!("/v1/account/passkeys/{id}")).0, 204);
}

#[test]
fn a10_without_a_password_passkeys_alone_let_in_and_nobody_makes_a_weaker_way() {
    let world = shared();
    let (person, api, mut device, id) = with_passkey(world, "auditor");
    let by_password = json!({ "email": person.email, "password": PASSWORD });
    assert_eq!(api.delete("/v1/account/password").0, 204);
    assert_eq!(api.delete("/v1/account/password").0, 404);
    let me = api.get("/v1/whoami").1["account"].clone();
    assert_eq!(me["has_password"], json!(false));
    let nobody = json!({ "email": "nobody@example.com", "password": PASSWORD });
    let (hers, none) = (world.anonymously("/v1/login", &by_password), world.anonymously("/v1/login", &nobody));
    assert_eq!(problem(&hers, 401, "login_failed"), problem(&none, 401, "login_failed"), "A-9");
    assert_eq!(api.delete(&format!("/v1/account/passkeys/{id}")).0, 409, "the last way in stays");
    let member = format!("/v1/members/{}", person.member);
    assert_eq!(world.manage().get(&member).1["has_second_factor"], json!(true));
    let (status, said) = world.manage().post(&format!("{member}/reset_password"), &json!({}));
    assert_eq!(status, 409, "{said}");
    assert_eq!(log_in(world, &world.answer_of(&mut device)).status, 200);

    let fresh = json!({ "password": "eleven green pianos whisper" });
    let (status, proven) = api.post("/v1/account/password", &fresh);
    assert_eq!(status, 200, "{proven}");
    let api = world.manage_as(proven["token"].as_str().unwrap());
    let (status, said) = api.post("/v1/account/password", &fresh);
    assert_eq!((status, &said["code"]), (400, &json!("invalid")), "now the one before is asked for: {said}");
    let by_password = json!({ "email": person.email, "password": "eleven green pianos whisper" });
    assert_eq!(world.anonymously("/v1/login", &by_password).status, 200);

    let (status, said) = world.manage().post(&format!("{member}/reset_password"), &json!({}));
    assert_eq!(status, 409, "a link would be a way in beside the passkey: {said}");

    // Whoever lost them is helped by those who manage members, who see what they do.
    assert_eq!(api.delete("/v1/account/password").0, 204);
    assert_eq!(world.manage().post(&format!("{member}/remove_factors"), &json!({})).0, 204);
    problem(&log_in(world, &world.answer_of(&mut device)), 401, "login_failed");
    assert_eq!(world.manage().post(&format!("{member}/reset_password"), &json!({})).0, 200);
}

#[test]
fn a06_passkeys_are_of_the_origin_that_the_settings_name() {
    let (_folder, world) = served("[login]\norigin = \"https://keys.example.com\"");
    let person = world.person("auditor");
    let api = world.as_person(&person);
    let asked = api.post("/v1/account/passkeys/begin", &json!({})).1;
    assert_eq!(asked["public_key"]["rp"]["id"], json!("keys.example.com"));
    for (origin, status) in [
        ("http://localhost:4401", 400),
        ("https://keys.example.com:444", 400),
        ("https://a.keys.example.com", 400),
        ("http://keys.example.com", 400),
        ("https://keys.example.com", 201),
    ] {
        let mut device = Authenticator::new(origin);
        device.site = "keys.example.com".to_owned();
        let credential = device.create(&asked["public_key"]);
        let wish = json!({ "name": "x", "ceremony": asked["ceremony"], "credential": credential });
        assert_eq!(api.post("/v1/account/passkeys", &wish).0, status, "{origin}");
    }
}
