//! Links to sign in, which come by e-mail, at the running product.

use keystile_testkit::{Postbox, eventually};
use serde_json::{Value, json};

use super::factors::{code, enrolled};
use super::form::problem;
use super::login::served;
use super::world::{World, shared};

/// A world that writes to this postbox.
fn place() -> (tempfile::TempDir, World, Postbox) {
    let postbox = Postbox::start();
    let mail = format!("[mail]\nserver = \"smtp://{}\"\nfrom = \"Keys <keys@example.com>\"", postbox.address);
    let (folder, world) = served(&mail);
    (folder, world, postbox)
}

fn ask(world: &World, email: &str) -> (u16, String) {
    let answer = world.anonymously("/v1/login/link/begin", &json!({ "email": email }));
    (answer.status, answer.text())
}

/// The token of the newest of so many letters to somebody.
fn token(postbox: &Postbox, email: &str, count: usize) -> String {
    let link = postbox.letters(email, count).pop().unwrap().link().unwrap();
    let (page, token) = link.split_once('#').unwrap();
    assert!(page.starts_with("http://localhost:") && page.ends_with("/enter"), "{link}");
    token.to_owned()
}

fn enter(world: &World, token: &str, code: Option<&str>) -> keystile_testkit::raw::Answer {
    world.anonymously("/v1/login/link", &json!({ "token": token, "code": code }))
}

#[test]
fn a_link_that_comes_by_mail_lets_its_reader_in_once() {
    let (_folder, world, postbox) = place();
    let person = world.person("developer");
    assert_eq!(world.manage().get("/v1/login/ways").1["links"], true);
    assert_eq!(ask(&world, &person.email), (202, String::new()));
    let first = token(&postbox, &person.email, 1);
    let opened = enter(&world, &first, None);
    assert_eq!(opened.status, 200, "{}", opened.text());
    assert_eq!(opened.json()["account_id"], person.account.as_str());
    let session = opened.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(world.manage_as(&session).get("/v1/whoami").0, 200);
    problem(&enter(&world, &first, None), 401, "login_failed");
    let events = world.manage().get("/v1/events?limit=200").1;
    let of = |kind: &str| -> Vec<Value> {
        events["items"].as_array().unwrap().iter().filter(|event| event["type"] == kind).cloned().collect()
    };
    assert_eq!(of("account.offer_link")[0]["subject_id"], person.account.as_str());
    assert!(of("session.create").iter().any(|event| event["after"]["factor"] == "link"), "{events}");

    // In a browser the session is in a cookie, and takes the place of the one before.
    assert_eq!(ask(&world, &person.email).0, 202);
    let second = token(&postbox, &person.email, 2);
    let answer = world.anonymously("/v1/login/link", &json!({ "token": second, "deliver": "cookie" }));
    assert_eq!((answer.status, answer.json().get("token")), (200, None));
    assert!(answer.field("set-cookie").unwrap().starts_with("__Host-keystile_session=session_live_"));
    // Whoever ends all sessions ends what would open others.
    assert_eq!(ask(&world, &person.email).0, 202);
    let third = token(&postbox, &person.email, 3);
    let path = format!("/v1/members/{}/reset_password", person.member);
    let link = world.manage().post(&path, &json!({})).1["path"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
    let fresh = json!({ "token": link, "password": "eleven green pianos whisper" });
    assert_eq!(world.anonymously("/v1/password/reset", &fresh).status, 204);
    problem(&enter(&world, &third, None), 401, "login_failed");
    // A mailbox is not filled by whoever asks again and again.
    assert_eq!(ask(&world, &person.email).0, 202);
    assert_eq!(ask(&world, "nobody@example.com"), (202, String::new()));
    let other = world.person("auditor");
    assert_eq!(ask(&world, &other.email).0, 202);
    token(&postbox, &other.email, 1);
    assert_eq!(postbox.letters(&person.email, 3).len(), 3);
    assert_eq!(postbox.count(), 4, "nobody without an account is written to");
    let log = world.installation.log();
    assert!(!log.contains("signin_live_") && !log.contains(&person.email), "{log}");
}

#[test]
fn a09_whoever_asks_for_a_link_learns_nothing_of_accounts() {
    let (_folder, world, _postbox) = place();
    let person = world.person("developer");
    assert_eq!(ask(&world, &person.email), ask(&world, "nobody@example.com"));
    for wrong in ["", "ada", "ada@example.com\r\nBcc: eve@example.com"] {
        assert_eq!(ask(&world, wrong).0, 400, "{wrong:?}");
    }
}

#[test]
fn a04_a_link_is_not_all_where_there_is_a_second_factor_and_wrong_codes_count() {
    let (_folder, world, postbox) = place();
    let (person, secret, _) = enrolled(&world, "developer");
    assert_eq!(ask(&world, &person.email).0, 202);
    let link = token(&postbox, &person.email, 1);
    for _ in 0..2 {
        problem(&enter(&world, &link, None), 401, "second_factor_required");
    }
    problem(&enter(&world, &link, Some("000000")), 401, "login_failed");
    // It was not spent by any of that.
    let right = enter(&world, &link, Some(&code(&secret)));
    if right.status != 200 {
        // The code of this step was shown when it was confirmed; the next one will do.
        std::thread::sleep(std::time::Duration::from_secs(31));
        assert_eq!(enter(&world, &link, Some(&code(&secret))).status, 200);
    }
    problem(&enter(&world, &link, Some("000000")), 401, "login_failed");

    assert_eq!(ask(&world, &person.email).0, 202);
    let link = token(&postbox, &person.email, 2);
    for _ in 0..5 {
        problem(&enter(&world, &link, Some("000000")), 401, "login_failed");
    }
    problem(&enter(&world, &link, Some(&code(&secret))), 429, "login_locked");
}

#[test]
fn whoever_has_a_passkey_gets_no_link_and_is_told() {
    let (_folder, world, postbox) = place();
    let person = world.person("developer");
    world.passkey_of(&world.as_person(&person));
    assert_eq!(ask(&world, &person.email).0, 202);
    let letter = postbox.letters(&person.email, 1).remove(0);
    assert!(!letter.text.contains("/enter#") && letter.text.contains("passkey"), "{}", letter.text);
}

#[test]
fn without_a_mail_server_nothing_is_sent_and_the_log_has_no_link() {
    let (_folder, world) = served("");
    let person = world.person("developer");
    assert_eq!(world.manage().get("/v1/login/ways").1["links"], false);
    assert_eq!(ask(&world, &person.email).0, 202);
    eventually("it is said", || world.installation.log().contains("no mail server is set up"));
    assert!(!world.installation.log().contains("/enter#"));
    let metrics = world.manage().request("GET", "/metrics", &[], b"").text();
    assert!(metrics.contains("keystile_mail_letters_total{outcome=\"no_server\"} 1"), "{metrics}");
}

#[test]
fn in_a_trial_the_log_has_the_link() {
    let world = shared();
    let person = world.person("auditor");
    let link = world.link_of(&person.email);
    assert_eq!(enter(world, &link, None).json()["account_id"], person.account.as_str());
}
