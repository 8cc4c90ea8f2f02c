//! Second factors at the running product: one-time codes, recovery codes, and who may take them away.

use keystile_testkit::raw::Answer;
use serde_json::{Value, json};
use sha1::Sha1;

use super::form::problem;
use super::people::{PASSWORD, Person};
use super::world::{World, shared};

/// The code that an app shows now (RFC 6238), by the reader of a test and not by the product's library.
pub(super) fn code(secret: &str) -> String {
    code_in(secret, 0)
}

#[allow(clippy::disallowed_methods, reason = "the product's own clock is the machine's, and so is an app's")]
fn code_in(secret: &str, steps: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // Not near the end of a step: the request must arrive in the same one, however slow the machine is.
    if now % 30 >= 25 {
        std::thread::sleep(std::time::Duration::from_secs(30 - now % 30));
        return code_in(secret, steps);
    }
    let counter = ((now / 30) as i64 + steps).to_be_bytes();
    let key = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let digest = hmac_sha1(&key, &counter);
    let at = usize::from(digest[19] & 15);
    let number = u32::from_be_bytes(digest[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    use sha1::Digest;
    let padded = |with: u8| -> Vec<u8> { (0..64).map(|place| key.get(place).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha1::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha1::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

fn log_in(world: &World, person: &Person, password: &str, code: Option<&str>) -> Answer {
    let mut wish = json!({ "email": person.email, "password": password });
    if let Some(code) = code {
        wish["code"] = code.into();
    }
    world.anonymously("/v1/login", &wish)
}

/// Somebody with one-time codes: the secret and the recovery codes.
pub(super) fn enrolled(world: &World, role: &str) -> (Person, String, Vec<String>) {
    let person = world.person(role);
    let api = world.as_person(&person);
    let (status, offer) = api.post("/v1/account/totp", &json!({}));
    assert_eq!(status, 200, "{offer}");
    let secret = offer["secret"].as_str().unwrap().to_owned();
    assert!(offer["uri"].as_str().unwrap().starts_with("otpauth://totp/Keystile%20Owner:"), "{offer}");
    assert_eq!(log_in(world, &person, PASSWORD, None).status, 200, "nothing is asked for yet");
    let (status, confirmed) = api.post("/v1/account/totp/confirm", &json!({ "code": code(&secret) }));
    assert_eq!(status, 200, "{confirmed}");
    let codes: Vec<String> =
        confirmed["recovery_codes"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect();
    (person, secret, codes)
}

#[test]
fn a07_a_one_time_code_is_asked_for_and_taken_once() {
    let world = shared();
    let (person, secret, codes) = enrolled(world, "auditor");
    assert!(codes.len() == 10 && codes.iter().all(|one| one.len() == 19), "{codes:?}");
    problem(&log_in(world, &person, "eleven green pianos whisper", None), 401, "login_failed");
    problem(&log_in(world, &person, PASSWORD, None), 401, "second_factor_required");
    // The step that confirmed it is used up; so is each that lets somebody in.
    problem(&log_in(world, &person, PASSWORD, Some(&code(&secret))), 401, "login_failed");
    for wrong in ["000000", "12345", "", &code_in(&secret, 1), &code_in(&secret, -1)] {
        let answer = log_in(world, &person, PASSWORD, Some(wrong));
        assert!(matches!(answer.status, 401 | 429), "{wrong}: {}", answer.text());
    }
}

#[test]
fn a07_the_next_code_lets_in_and_proves() {
    let world = shared();
    let (person, secret, codes) = enrolled(world, "owner");
    let first = code(&secret);
    let next = loop {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let now = code(&secret);
        if now != first {
            break now;
        }
    };
    let answer = log_in(world, &person, PASSWORD, Some(&next));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let api = world.manage_as(answer.json()["token"].as_str().unwrap());
    let me = api.get("/v1/whoami").1;
    assert_eq!(
        (&me["account"]["has_second_factor"], &me["account"]["recovery_codes_left"]),
        (&json!(true), &json!(10))
    );
    let prove = |proof: Value| api.post("/v1/account/prove", &proof);
    assert_eq!(prove(json!({ "password": PASSWORD })).1["code"], "second_factor_required");
    assert_eq!(prove(json!({ "password": PASSWORD, "code": next })).1["code"], "login_failed", "it was taken");
    let (status, proven) = prove(json!({ "password": PASSWORD, "code": codes[3].to_uppercase() }));
    assert_eq!(status, 200, "{proven}");
    // A short password will do besides it, and then it can't go.
    let api = world.manage_as(proven["token"].as_str().unwrap());
    let change = |password: &str, code: &str| {
        api.post("/v1/account/password", &json!({ "current": PASSWORD, "code": code, "password": password }))
    };
    assert_eq!(change("tq9-VFx", &codes[4]).0, 400, "A-1: eight characters at least");
    let (status, changed) = change("tq9-VFx3p", &codes[4]);
    assert_eq!(status, 200, "{changed}");
    let api = world.manage_as(changed["token"].as_str().unwrap());
    let (status, refused) = api.delete("/v1/account/totp");
    assert_eq!((status, &refused["code"]), (409, &json!("conflict")), "{refused}");
}

#[test]
fn a08_a_recovery_code_works_once_and_others_take_the_place_of_all() {
    let world = shared();
    let (person, _, codes) = enrolled(world, "auditor");
    let written = codes[0].replace('-', " ").to_uppercase();
    let answer = log_in(world, &person, PASSWORD, Some(&written));
    assert_eq!(answer.status, 200, "however it is written: {}", answer.text());
    problem(&log_in(world, &person, PASSWORD, Some(&codes[0])), 401, "login_failed");
    let api = world.manage_as(answer.json()["token"].as_str().unwrap());
    assert_eq!(api.get("/v1/whoami").1["account"]["recovery_codes_left"], 9);
    let (status, fresh) = api.post("/v1/account/recovery_codes", &json!({}));
    assert_eq!(status, 200, "{fresh}");
    problem(&log_in(world, &person, PASSWORD, Some(&codes[1])), 401, "login_failed");
    let fresh = fresh["recovery_codes"][0].as_str().unwrap().to_owned();
    assert_eq!(log_in(world, &person, PASSWORD, Some(&fresh)).status, 200);
    // Somebody else's will not do.
    let (other, _, theirs) = enrolled(world, "auditor");
    problem(&log_in(world, &other, PASSWORD, Some(&codes[2])), 401, "login_failed");
    assert_eq!(log_in(world, &other, PASSWORD, Some(&theirs[0])).status, 200);
}

#[test]
fn a10_a_new_password_does_not_get_past_the_second_factor() {
    let world = shared();
    let (person, _, codes) = enrolled(world, "auditor");
    let path = format!("/v1/members/{}/reset_password", person.member);
    let link = world.manage().post(&path, &json!({})).1;
    let token = link["path"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
    let fresh = "eleven green pianos whisper";
    assert_eq!(world.anonymously("/v1/password/reset", &json!({ "token": token, "password": fresh })).status, 204);
    problem(&log_in(world, &person, fresh, None), 401, "second_factor_required");
    assert_eq!(log_in(world, &person, fresh, Some(&codes[0])).status, 200);
}

#[test]
fn a12_whoever_manages_takes_a_lost_factor_away_and_it_is_told() {
    let world = shared();
    let (person, _, _) = enrolled(world, "auditor");
    let shown = || world.manage().get(&format!("/v1/members/{}", person.member)).1;
    assert_eq!(shown()["has_second_factor"], true);
    let path = format!("/v1/members/{}/remove_factors", person.member);
    let auditor = world.person("auditor");
    assert_eq!(world.as_person(&auditor).post(&path, &json!({})).0, 403);
    assert_eq!(world.manage().post(&path, &json!({})).0, 204);
    assert_eq!(world.manage().post(&path, &json!({})).0, 404);
    assert_eq!(shown()["has_second_factor"], false);
    assert_eq!(log_in(world, &person, PASSWORD, None).status, 200);
    // Webhooks are told of each change of what somebody logs in with.
    let told = world.manage().get(&format!("/v1/events?subject_id={}", person.account)).1;
    let kinds: Vec<&str> = told["items"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["account.factors_remove", "account.totp_add", "account.totp_offer"], "{told}");
}

#[test]
fn s05_another_factor_ends_the_other_sessions() {
    let world = shared();
    let person = world.person("auditor");
    let (_, other) = world.log_in(&person.email);
    let api = world.as_person(&person);
    let secret = api.post("/v1/account/totp", &json!({})).1["secret"].as_str().unwrap().to_owned();
    assert_eq!(world.manage_as(&other).get("/v1/whoami").0, 200);
    let wrong = world.as_person(&person).post("/v1/account/totp/confirm", &json!({ "code": "000000" }));
    assert_eq!(wrong.0, 400, "{}", wrong.1);
    assert_eq!(api.post("/v1/account/totp/confirm", &json!({ "code": code(&secret) })).0, 200);
    assert_eq!((world.manage_as(&other).get("/v1/whoami").0, api.get("/v1/whoami").0), (401, 200));
    let (_, third) = {
        let codes = api.post("/v1/account/recovery_codes", &json!({})).1;
        let answer = log_in(world, &person, PASSWORD, codes["recovery_codes"][0].as_str());
        (answer.status, answer.json()["token"].as_str().unwrap().to_owned())
    };
    assert_eq!(api.delete("/v1/account/totp").0, 204);
    assert_eq!((world.manage_as(&third).get("/v1/whoami").0, api.get("/v1/whoami").0), (401, 200));
}
