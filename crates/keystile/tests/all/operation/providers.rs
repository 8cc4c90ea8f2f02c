//! Logging in at an identity provider, by one that can be told to do wrong.

use keystile_testkit::raw::{Answer, Client};
use keystile_testkit::{Api, Provider, Signed, strange_key};
use serde_json::{Value, json};

use super::form::problem;
use super::login::served;
use super::people::{PASSWORD, Person};
use super::world::{World, name};

struct Place {
    _folder: tempfile::TempDir,
    secret: tempfile::NamedTempFile,
    provider: Provider,
    world: World,
}

/// An installation with a provider.
fn place(login: &str) -> Place {
    let provider = Provider::start();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "its secret\n").unwrap();
    let (folder, world) = served(&format!(
        "[login]\norigin = \"http://localhost:4401\"\n{login}\n[oidc]\nissuer = \"{}\"\nclient_id = \"keystile\"\n\
         client_secret_file = \"{}\"\nname = \"Example\"",
        provider.issuer,
        secret.path().display()
    ));
    Place { _folder: folder, secret, provider, world }
}

/// What a browser keeps: cookies by their names.
#[derive(Default, Clone)]
struct Browser(Vec<(String, String)>);

impl Browser {
    fn take(&mut self, answer: &Answer) {
        for line in answer.all("set-cookie") {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            for needed in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
                assert!(line.contains(needed), "{line}");
            }
            self.0.retain(|(other, _)| other != name);
            if !value.is_empty() {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn cookies(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn send(&mut self, world: &World, method: &str, path: &str, body: &str) -> Answer {
        let admin = world.installation.admin;
        let cookie = if self.0.is_empty() { String::new() } else { format!("cookie: {}\r\n", self.cookies()) };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\nsec-fetch-site: same-origin\r\n{cookie}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut client = Client::connect(admin);
        client.write(head).unwrap();
        let answer = client.answer_to(method).unwrap();
        self.take(&answer);
        answer
    }

    /// Where it is sent to by this.
    fn departs(&mut self, world: &World, path: &str, body: &Value) -> String {
        let answer = self.send(world, "POST", path, &body.to_string());
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(self.cookies().contains("__Host-keystile_journey="));
        answer.json()["url"].as_str().unwrap().to_owned()
    }

    /// Where it goes on after it came back with this.
    fn comes_back(&mut self, world: &World, (code, state): &(String, String)) -> String {
        let answer = self.send(world, "GET", &format!("/login/oidc/callback?code={code}&state={state}"), "");
        assert_eq!(answer.status, 303, "{}", answer.text());
        let to = answer.field("location").unwrap().to_owned();
        let keeps = self.cookies().contains("__Host-keystile_journey=");
        assert!(!keeps || to.ends_with("#ended"), "what it kept is of no more use");
        to
    }

    fn me(&mut self, world: &World) -> Answer {
        self.send(world, "GET", "/v1/whoami", "")
    }

    fn log_in(person: &Person, world: &World) -> Self {
        let mut browser = Self::default();
        let wish = json!({ "email": person.email, "password": PASSWORD, "deliver": "cookie" });
        assert_eq!(browser.send(world, "POST", "/v1/login", &wish.to_string()).status, 200);
        browser
    }
}

const LOG_IN: &str = "/v1/login/provider/begin";

/// Somebody who is known at the provider by this.
fn connected(place: &Place, subject: &str) -> (Person, Browser) {
    let Place { world, provider, .. } = place;
    let person = world.person("auditor");
    let mut browser = Browser::log_in(&person, world);
    let url = browser.departs(world, "/v1/account/identities/begin", &json!({}));
    assert!(url.contains("prompt=login") && url.contains("max_age=0"), "proof is given now: {url}");
    let back = provider.log_in(&url, subject, Signed::Rightly, |_, _| {});
    assert_eq!(browser.comes_back(world, &back), "/account");
    (person, browser)
}

fn newest(world: &World, action: &str) -> Value {
    world.manage().get(&format!("/v1/audit?type={action}&limit=1")).1["items"][0].clone()
}

#[test]
fn a13_who_is_connected_logs_in_at_the_provider_and_proves_who_they_are_there() {
    let place = place("step_up_seconds = 60");
    let Place { world, provider, .. } = &place;
    let (person, mut browser) = connected(&place, "ada");
    let listed = browser.send(world, "GET", "/v1/account/identities", "").json()["items"][0].clone();
    assert_eq!((&listed["issuer"], &listed["subject"]), (&json!(provider.issuer), &json!("ada")));
    let made = newest(world, "identity.create");
    assert_eq!((&made["subject_id"], &made["after"]["issuer"]), (&listed["id"], &json!(provider.issuer)));
    assert!(made["after"].get("subject").is_none(), "the audit does not learn who somebody is there");

    let ways = world.manage().get("/v1/login/ways").1;
    assert_eq!((&ways["passkeys"], &ways["provider"]), (&json!(true), &json!("Example")));
    let mut browser = Browser::default();
    let url = browser.departs(world, LOG_IN, &json!({ "page": "device" }));
    // Somebody who logged in at the provider an hour ago.
    let back = provider.log_in(&url, "ada", Signed::Rightly, |claims, _| {
        claims["auth_time"] = json!(claims["auth_time"].as_u64().unwrap() - 3_600);
    });
    assert_eq!(browser.comes_back(world, &back), "/device");
    let me = browser.me(world);
    assert_eq!((me.status, &me.json()["account"]["id"]), (200, &json!(person.account)));
    assert_eq!(newest(world, "session.create")["after"]["factor"], json!("identity"));

    // So what is dangerous wants proof that is given now.
    let refused = browser.send(world, "POST", "/v1/account/passkeys/begin", "{}");
    problem(&refused, 403, "step_up_required");
    let before = browser.cookies();
    let url = browser.departs(world, "/v1/account/prove/provider/begin", &json!({}));
    assert!(url.contains("prompt=login") && url.contains("max_age=0"), "{url}");
    let back = provider.log_in(&url, "ada", Signed::Rightly, |_, _| {});
    assert_eq!(browser.comes_back(world, &back), "/account");
    assert!(before != browser.cookies(), "S-1: another token");
    assert_eq!(browser.send(world, "POST", "/v1/account/passkeys/begin", "{}").status, 200);
    // Somebody else there proves nothing.
    // Nor does one who does not say when.
    for alter in [
        (|claims, _| drop(claims.as_object_mut().unwrap().remove("auth_time"))) as fn(&mut Value, &mut Value),
        |claims, _| claims["auth_time"] = json!(claims["iat"].as_u64().unwrap() - 61),
    ] {
        let url = browser.departs(world, "/v1/account/prove/provider/begin", &json!({}));
        let back = provider.log_in(&url, "ada", Signed::Rightly, alter);
        assert_eq!(browser.comes_back(world, &back), "/account#stale");
    }
    assert_eq!(browser.send(world, "POST", "/v1/account/passkeys/begin", "{}").status, 200, "what was proven stays so");
    let url = browser.departs(world, "/v1/account/prove/provider/begin", &json!({}));
    let back = provider.log_in(&url, "eve", Signed::Rightly, |_, _| {});
    assert_eq!(browser.comes_back(world, &back), "/account#unknown");

    let id = listed["id"].as_str().unwrap();
    assert_eq!(browser.send(world, "DELETE", &format!("/v1/account/identities/{id}"), "").status, 204);
    let mut browser = Browser::default();
    let url = browser.departs(world, LOG_IN, &json!({}));
    let back = provider.log_in(&url, "ada", Signed::Rightly, |_, _| {});
    assert_eq!(browser.comes_back(world, &back), "/account#unknown");
    assert_eq!(newest(world, "login.fail")["after"]["factor"], json!("identity"), "E-7");
    assert_eq!(provider.faults(), Vec::<String>::new());
    drop(place.secret);
}

#[test]
fn a13_an_answer_is_good_once_in_the_browser_that_asked() {
    let place = place("");
    let Place { world, provider, .. } = &place;
    connected(&place, "ada");
    let begin = || {
        let mut browser = Browser::default();
        let url = browser.departs(world, LOG_IN, &json!({}));
        (browser, url)
    };
    let honest = |url: &str| provider.log_in(url, "ada", Signed::Rightly, |_, _| {});
    // Somebody sends another browser back with an answer of theirs (RFC 9700 §4.7): it never asked, or asked something else.
    let (mut mine, url) = begin();
    let back = honest(&url);
    assert_eq!(Browser::default().comes_back(world, &back), "/account#ended");
    let (mut other, _) = begin();
    assert_eq!(other.comes_back(world, &back), "/account#ended");
    assert_eq!(other.me(world).status, 401);
    let kept = mine.clone();
    assert_eq!(mine.comes_back(world, &back), "/account");
    assert_eq!(mine.me(world).status, 200);
    // The same once more, even if the provider took its code twice.
    let again = honest(&url);
    let mut replayed = kept.clone();
    assert_eq!(replayed.comes_back(world, &again), "/account#unknown");
    assert_eq!(replayed.me(world).status, 401);
    // What it kept is altered, or the provider says no, or another one answers (RFC 9207).
    let (mut altered, url) = begin();
    let kept = &mut altered.0[0].1;
    let other = if &kept[60..61] == "A" { "B" } else { "A" };
    kept.replace_range(60..61, other);
    assert_eq!(altered.comes_back(world, &honest(&url)), "/account#ended");
    let (mut refused, _) = begin();
    let answer = refused.send(world, "GET", "/login/oidc/callback?error=access_denied&state=x", "");
    assert_eq!(answer.field("location"), Some("/account#ended"), "somebody else says so");
    assert!(refused.cookies().contains("__Host-keystile_journey="), "and takes nothing away");
    let url = refused.departs(world, LOG_IN, &json!({}));
    let state = honest(&url).1;
    let answer = refused.send(world, "GET", &format!("/login/oidc/callback?error=access_denied&state={state}"), "");
    assert_eq!(answer.field("location"), Some("/account#refused"));
    let (mut mixed, url) = begin();
    let (code, state) = honest(&url);
    let path = format!("/login/oidc/callback?code={code}&state={state}&iss=https://evil.example.com");
    assert_eq!(mixed.send(world, "GET", &path, "").field("location"), Some("/account#failed"));
    // A connection is asked for by a session that is still there, and that is the same person's.
    let (ada, mut hers) = connected(&place, "grace");
    let url = hers.departs(world, "/v1/account/identities/begin", &json!({}));
    let back = provider.log_in(&url, "mallory", Signed::Rightly, |_, _| {});
    let eve = world.person("auditor");
    let mut swapped = Browser::log_in(&eve, world);
    swapped.0.extend(hers.0.iter().filter(|(name, _)| name.ends_with("journey")).cloned());
    assert_eq!(swapped.comes_back(world, &back), "/account#session");
    // What is connected with one account is not with another.
    let mut second = Browser::log_in(&ada, world);
    let url = second.departs(world, "/v1/account/identities/begin", &json!({}));
    assert_eq!(second.comes_back(world, &honest(&url)), "/account#taken");
}

#[test]
fn a13_a_token_that_is_not_sound_lets_nobody_in() {
    let place = place("");
    let Place { world, provider, .. } = &place;
    connected(&place, "ada");
    type Alter = fn(&mut Value, &mut Value);
    let tokens: [(&str, Signed, Alter); 18] = [
        ("of last year", Signed::Rightly, |claims, _| {
            claims["auth_time"] = json!(claims["iat"].as_u64().unwrap() - 31_536_000)
        }),
        ("another issuer", Signed::Rightly, |claims, _| claims["iss"] = json!("https://evil.example.com")),
        ("another audience", Signed::Rightly, |claims, _| claims["aud"] = json!("another")),
        ("several audiences", Signed::Rightly, |claims, _| claims["aud"] = json!(["keystile", "another"])),
        ("no audience", Signed::Rightly, |claims, _| drop(claims.as_object_mut().unwrap().remove("aud"))),
        ("ended", Signed::Rightly, |claims, _| claims["exp"] = json!(claims["iat"].as_u64().unwrap() - 60)),
        ("no end", Signed::Rightly, |claims, _| drop(claims.as_object_mut().unwrap().remove("exp"))),
        ("another nonce", Signed::Rightly, |claims, _| claims["nonce"] = json!("another")),
        ("no nonce", Signed::Rightly, |claims, _| drop(claims.as_object_mut().unwrap().remove("nonce"))),
        ("no subject", Signed::Rightly, |claims, _| drop(claims.as_object_mut().unwrap().remove("sub"))),
        ("another key", Signed::ByAnother, |_, _| {}),
        ("no signature", Signed::Not, |_, _| {}),
        ("alg none", Signed::Not, |_, header| header["alg"] = json!("none")),
        ("alg none, and no key", Signed::Not, |_, header| *header = json!({ "alg": "none" })),
        ("a symmetric one", Signed::ByAnother, |_, header| header["alg"] = json!("HS256")),
        ("its own key", Signed::ByAnother, |_, header| header["jwk"] = strange_key()),
        ("its own list of keys", Signed::ByAnother, |_, header| header["jku"] = json!("http://127.0.0.1:9/keys")),
        ("its own certificate", Signed::ByAnother, |_, header| header["x5u"] = json!("http://127.0.0.1:9/cert")),
    ];
    for (why, signed, alter) in tokens {
        let mut browser = Browser::default();
        let url = browser.departs(world, LOG_IN, &json!({}));
        let back = provider.log_in(&url, "ada", signed, alter);
        assert_eq!(browser.comes_back(world, &back), "/account#failed", "{why}");
        assert_eq!(browser.me(world).status, 401, "{why}");
    }
    // What the provider says of itself is not asked for anew because of that.
    let asked = provider.asked().iter().filter(|path| path.ends_with("configuration")).count();
    assert_eq!(asked, 1, "{:?}", provider.asked());
    let mut browser = Browser::default();
    let url = browser.departs(world, LOG_IN, &json!({}));
    let back = provider.log_in(&url, "ada", Signed::Rightly, |_, _| {});
    assert_eq!(browser.comes_back(world, &back), "/account", "a sound one does");
    assert!(!world.installation.log().contains("its secret"), "K-4: no secret is in the log");
}

#[test]
fn somebody_joins_by_the_provider_with_the_address_that_it_knows() {
    let place = place("");
    let Place { world, provider, .. } = &place;
    let join = |wish: &Value, subject: &str, alter: fn(&mut Value, &mut Value)| {
        let token = world.invitation(&world.manage(), wish);
        let mut browser = Browser::default();
        let url = browser.departs(world, "/v1/invitations/provider/begin", &json!({ "token": token }));
        let back = provider.log_in(&url, subject, Signed::Rightly, alter);
        browser.comes_back(world, &back)
    };
    let subject = name("joins");
    let open = json!({ "role": "developer" });
    let named = json!({ "role": "developer", "email": format!("{subject}@example.com") });
    let other = json!({ "role": "developer", "email": "somebody-else@example.com" });
    assert_eq!(join(&other, &subject, |_, _| {}), "/account#address");
    assert_eq!(join(&open, &subject, |claims, _| claims["email_verified"] = json!(false)), "/account#address");
    assert_eq!(
        join(&open, &subject, |claims, _| drop(claims.as_object_mut().unwrap().remove("email"))),
        "/account#address"
    );
    let silent = json!({ "role": "developer", "email": format!("{}@example.com", name("silent")) });
    let no_time = |claims: &mut Value, _: &mut Value| drop(claims.as_object_mut().unwrap().remove("auth_time"));
    assert_eq!(
        join(&silent, "silent", |claims, header| {
            claims["email_verified"] = json!(false);
            let _ = header;
        }),
        "/account#joined",
        "the invitation names the address"
    );
    assert_eq!(join(&open, "timeless", no_time), "/account#stale", "nobody joins who could never prove anything");
    // An account that is there is nobody's to take by an address that a provider knows.
    let there = world.person("auditor");
    let taken: &'static str = Box::leak(there.email.clone().into_boxed_str());
    TAKEN.set(taken).unwrap();
    assert_eq!(join(&open, &subject, |claims, _| claims["email"] = json!(TAKEN.get().unwrap())), "/account#there");

    assert_eq!(join(&named, &subject, |_, _| {}), "/account#joined");
    let mut browser = Browser::default();
    let url = browser.departs(world, LOG_IN, &json!({}));
    let back = provider.log_in(&url, &subject, Signed::Rightly, |_, _| {});
    assert_eq!(browser.comes_back(world, &back), "/account");
    let me = browser.me(world).json();
    assert_eq!((&me["role"], &me["account"]["has_password"]), (&json!("developer"), &json!(false)));
    assert_eq!(me["account"]["email"], json!(format!("{subject}@example.com")));
    // Whoever is known joins another organization as the same account.
    let organization =
        super::world::id(&world.manage().create("/v1/organizations", &json!({ "name": name("second") })));
    assert_eq!(
        join(&json!({ "role": "consumer_admin", "organization_id": organization }), &subject, |_, _| {}),
        "/account#joined"
    );
    assert_eq!(browser.me(world).json()["account"]["organizations"].as_array().unwrap().len(), 2);
    assert_eq!(world.anonymously("/v1/invitations/provider/begin", &json!({ "token": "x" })).status, 404);
}

static TAKEN: std::sync::OnceLock<&str> = std::sync::OnceLock::new();

#[test]
fn another_key_of_the_provider_is_taken_up_and_one_that_is_away_is_told() {
    let place = place("");
    let Place { world, provider, .. } = &place;
    connected(&place, "ada");
    let log_in = || {
        let mut browser = Browser::default();
        let url = browser.departs(world, LOG_IN, &json!({}));
        browser.comes_back(world, &provider.log_in(&url, "ada", Signed::Rightly, |_, _| {}))
    };
    assert_eq!(log_in(), "/account");
    provider.change_key();
    assert_eq!(log_in(), "/account#failed", "within a minute it is not asked again");
    let provider = Provider::start();
    let issuer = provider.issuer.replace("127.0.0.1", "localhost");
    let (_folder, other) =
        served(&format!("[login]\norigin = \"http://localhost:4401\"\n[oidc]\nissuer = \"{issuer}\""));
    // Its issuer is another than it says itself.
    let answer = other.anonymously(LOG_IN, &json!({}));
    problem(&answer, 503, "overloaded");
    let (_folder, none) = served("");
    problem(&none.anonymously(LOG_IN, &json!({})), 409, "provider_unavailable");
    let api: Api = none.manage();
    assert_eq!(api.get("/v1/login/ways").1["provider"], Value::Null);
}
