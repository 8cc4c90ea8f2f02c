//! Logging in (A rows) and sessions (S rows), at the running product.

use std::time::Duration;

use keystile_testkit::Installation;
use keystile_testkit::raw::Answer;
use serde_json::{Value, json};

use super::form::problem;
use super::manage::routes::{Access, Things, document, routes};
use super::people::{PASSWORD, Person};
use super::world::{BINARY, World, name, shared};

fn login(world: &World, email: &str, password: &str) -> Answer {
    world.anonymously("/v1/login", &json!({ "email": email, "password": password }))
}

fn is_in(world: &World, token: &str) -> bool {
    let (status, answer) = world.manage_as(token).get("/v1/whoami");
    assert!(status == 200 || (status == 401 && answer["code"] == "session_ended"), "{answer}");
    status == 200
}

/// An answer without what is new in each.
fn told(answer: &Answer) -> (u16, Value) {
    let mut body = answer.json();
    body["request_id"] = Value::Null;
    (answer.status, body)
}

/// A world of its own with these settings.
pub(super) fn served(settings: &str) -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "data = \"{}/data\"\n{settings}\n[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [check]\nlisten = \"127.0.0.1:0\"\n",
        folder.path().display()
    );
    let installation = Installation::serve(BINARY, &text, folder.path());
    (folder, World::bare(installation))
}

#[test]
fn a05_there_is_no_account_until_somebody_claims_the_installation_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let token =
        |world: &World| world.installation.claim.as_deref().map(|path| path.split_once('#').unwrap().1.to_owned());
    let world = World::of(Installation::start(BINARY, &["--data", &data]), None);
    let key = world.management_key().to_owned();
    assert_eq!(world.manage().get("/v1/members").1["items"], json!([]), "nobody is there by default");
    for (email, password) in [("admin@example.com", "admin"), ("admin@localhost", "changeme"), ("root@localhost", "")] {
        assert_eq!(login(&world, email, password).status, 401);
    }
    let first = token(&world).expect("nobody can log in yet");
    assert!(first.len() > 40 && first.contains("KSTL"), "190 random bits, with the mark of all secrets");
    drop(world);

    let world = World::of(Installation::start(BINARY, &["--data", &data]), Some(&key));
    let second = token(&world).expect("nobody came");
    assert_ne!(first, second);
    let claim = |token: &str, email: &str| {
        world.anonymously("/v1/invitations/accept", &json!({ "token": token, "email": email, "password": PASSWORD }))
    };
    problem(&claim(&first, "eve@example.com"), 404, "not_found");
    problem(&claim(&second.replace('K', "k"), "eve@example.com"), 404, "not_found");
    let made = claim(&second, "ada@example.com");
    assert_eq!((made.status, &made.json()["role"]), (201, &json!("owner")), "{}", made.text());
    problem(&claim(&second, "eve@example.com"), 404, "not_found");
    assert_eq!(login(&world, "Ada@Example.COM", PASSWORD).status, 200);
    drop(world);
    let world = World::of(Installation::start(BINARY, &["--data", &data]), Some(&key));
    assert_eq!(token(&world), None, "whoever is first is first for good");
    assert_eq!(login(&world, "ada@example.com", PASSWORD).status, 200);
}

#[test]
fn a01_a02_a_password_that_others_would_try_is_refused_and_the_invitation_stays() {
    let world = shared();
    let token = world.invitation(&world.manage(), &json!({ "role": "auditor" }));
    let email = format!("{}@example.com", name("picky"));
    let accept = |password: &str| {
        let wish = json!({ "token": token, "email": email, "name": "Maximiliane Mustermann", "password": password });
        world.anonymously("/v1/invitations/accept", &wish)
    };
    for (password, said) in [
        ("", "15 characters"),
        ("tq9-VFx3pLw2mZ", "15 characters"),
        ("passwordpassword", "others would try"),
        ("aaaaaaaaaaaaaaaaaaaa", "others would try"),
        ("maximilianemustermann", "others would try"),
        (&"x".repeat(1_025), "1024 characters"),
    ] {
        let detail = problem(&accept(password), 400, "invalid");
        assert!(detail.contains(said), "{password}: {detail}");
    }
    // Long, of any letters, kept as it is to its last character.
    let long = format!("{} \u{1f511} ünïcödé", "seven purple lemons dance ".repeat(30));
    assert_eq!(accept(&long).status, 201);
    assert_eq!(login(world, &email, &long).status, 200);
    assert_eq!(login(world, &email, &long[..long.len() - 2]).status, 401, "no part of it will do");
}

#[test]
fn a02_passwords_of_breaches_are_refused_by_a_file_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("breached.txt");
    let (_folder, world) = served(&format!("[login]\nbreached_passwords = \"{}\"", file.display()));
    let token = world.invitation(&world.manage(), &json!({ "role": "auditor" }));
    let accept = |password: &str| {
        let wish = json!({ "token": token, "email": "ada@example.com", "password": password });
        world.anonymously("/v1/invitations/accept", &wish)
    };
    let sha1 = |text: &str| {
        use sha1::Digest;
        data_encoding::HEXUPPER.encode(&sha1::Sha1::digest(text))
    };
    let mut lines = [sha1(PASSWORD), sha1("another one of them"), sha1("and one more")];
    lines.sort();
    std::fs::write(&file, lines.join(":1\r\n")).unwrap();
    let detail = problem(&accept(PASSWORD), 400, "invalid");
    assert!(detail.contains("breach"), "{detail}");
    assert_eq!(accept("eleven green pianos whisper").status, 201);
}

#[test]
fn a04_a09_who_is_wrong_too_often_waits_whether_the_account_is_there_or_not() {
    let world = shared();
    let person = world.person("auditor");
    let nobody = format!("{}@example.com", name("nobody"));
    let mut answers = Vec::new();
    for _ in 0..5 {
        let both = [&person.email, &nobody].map(|email| told(&login(world, email, "eleven green pianos whisper")));
        assert_eq!(both[0], both[1], "nothing tells whether there is an account");
        assert_eq!(both[0].0, 401);
        answers.push(both);
    }
    for email in [&person.email, &nobody] {
        let locked = login(world, email, PASSWORD);
        problem(&locked, 429, "login_locked");
        let seconds: i64 = locked.field("retry-after").unwrap().parse().unwrap();
        assert!((890..=900).contains(&seconds), "{seconds}");
    }
    assert_eq!(
        told(&login(world, &person.email, PASSWORD)),
        told(&login(world, &nobody, PASSWORD)),
        "nor does the lock"
    );
    assert!(is_in(world, &person.token), "whoever is in already stays in");
    let (_, events) = world.manage().get(&format!("/v1/audit?subject_id={}", person.account));
    let kinds: Vec<&str> =
        events["items"].as_array().unwrap().iter().map(|one| one["vocabulary"].as_str().unwrap()).collect();
    assert_eq!(kinds[..2], ["authn_login_lock", "authn_login_fail"], "E-7: both stand in the audit");
    // A new password opens it again.
    let path = format!("/v1/members/{}/reset_password", person.member);
    let link = world.manage().post(&path, &json!({})).1;
    let token = link["path"].as_str().unwrap().split_once('#').unwrap().1;
    let wish = json!({ "token": token, "password": PASSWORD });
    assert_eq!(world.anonymously("/v1/password/reset", &wish).status, 204);
    assert_eq!(login(world, &person.email, PASSWORD).status, 200);
}

#[test]
fn a04_of_many_wrong_passwords_at_once_no_more_are_looked_at_than_of_few() {
    let world = shared();
    let person = world.person("auditor");
    let nobody = format!("{}@example.com", name("nobody"));
    for email in [&person.email, &nobody] {
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..30)
                .map(|n| {
                    // The right one is among them, too late.
                    let password = if n == 29 { PASSWORD } else { "eleven green pianos whisper" };
                    scope.spawn(move || {
                        std::thread::sleep(Duration::from_millis(if n == 29 { 300 } else { 0 }));
                        login(world, email, password).status
                    })
                })
                .collect();
            tries.into_iter().map(|tried| tried.join().unwrap()).collect()
        });
        let wrong = statuses.iter().filter(|status| **status == 401).count();
        assert_eq!((wrong, statuses.iter().filter(|status| **status == 429).count()), (5, 25), "{statuses:?}");
        assert_eq!(login(world, email, PASSWORD).status, 429);
    }
}

#[test]
fn a10_a_link_to_a_new_password_works_once_and_nobody_else_learns_the_password() {
    let world = shared();
    let person = world.person("auditor");
    let path = format!("/v1/members/{}/reset_password", person.member);
    let offer = || {
        let (status, link) = world.manage().post(&path, &json!({}));
        assert_eq!(status, 200, "{link}");
        link["path"].as_str().unwrap().split_once('#').unwrap().1.to_owned()
    };
    let reset = |token: &str, password: &str| {
        world.anonymously("/v1/password/reset", &json!({ "token": token, "password": password }))
    };
    let (former, token) = (offer(), offer());
    problem(&reset(&former, "eleven green pianos whisper"), 404, "not_found");
    problem(&reset(&token, "short"), 400, "invalid");
    assert!(is_in(world, &person.token));
    assert_eq!(reset(&token, "eleven green pianos whisper").status, 204);
    assert!(!is_in(world, &person.token), "S-5: sessions end with the password");
    problem(&reset(&token, PASSWORD), 404, "not_found");
    assert_eq!(login(world, &person.email, PASSWORD).status, 401);
    assert_eq!(login(world, &person.email, "eleven green pianos whisper").status, 200);
}

#[test]
fn a11_what_is_dangerous_wants_proof_from_a_person_who_gave_it_a_while_ago() {
    let (_folder, world) = served("[login]\nstep_up_seconds = 2");
    let owner = world.person("owner");
    let other = world.person("auditor");
    let api =
        id_of(&world, "/v1/apis", &json!({ "name": "a", "upstream": "http://127.0.0.1:9", "recoverable_keys": true }));
    let project = id_of(&world, "/v1/projects", &json!({ "name": "p" }));
    world.manage().create("/v1/activations", &json!({ "project_id": project, "api_id": api }));
    let key = id_of(&world, "/v1/keys", &json!({ "project_id": project, "name": "k", "recoverable": true }));
    let manager = json!({ "project_id": project, "name": "manager", "kind": "management", "permissions": ["*"] });
    let manager = id_of(&world, "/v1/keys", &manager);
    let device = world.anonymously("/v1/device/authorize", &json!({})).json();
    let dangerous = [
        ("POST", format!("/v1/keys/{key}/reveal"), Value::Null),
        ("POST", "/v1/encryption/rotate".to_owned(), json!({})),
        ("POST", "/v1/encryption/peppers".to_owned(), Value::Null),
        (
            "POST",
            "/v1/keys".to_owned(),
            json!({ "project_id": project, "name": "m", "kind": "management", "permissions": ["*"] }),
        ),
        ("POST", format!("/v1/keys/{manager}/rotate"), json!({})),
        ("PATCH", format!("/v1/keys/{manager}"), json!({ "permissions": ["keys.*"] })),
        ("POST", format!("/v1/keys/{manager}/compromised"), json!({})),
        ("POST", "/v1/member_roles".to_owned(), json!({ "name": "all", "permissions": ["*"] })),
        ("POST", "/v1/invitations".to_owned(), json!({ "role": "developer" })),
        ("GET", "/v1/keys/export".to_owned(), Value::Null),
        ("GET", "/v1/audit/export".to_owned(), Value::Null),
        ("POST", "/v1/invitations".to_owned(), json!({ "role": "owner" })),
        ("POST", format!("/v1/members/{}/reset_password", other.member), Value::Null),
        ("POST", "/v1/account/totp".to_owned(), Value::Null),
        ("POST", "/v1/account/device".to_owned(), json!({ "user_code": device["user_code"], "approve": true })),
        ("PATCH", format!("/v1/members/{}", other.member), json!({ "role": "owner" })),
        ("DELETE", format!("/v1/members/{}", other.member), Value::Null),
    ];
    std::thread::sleep(Duration::from_millis(2_100));
    let send = |token: &str, (method, path, body): &(&str, String, Value)| {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let fields: &[(&str, &str)] = if body.is_null() { &[] } else { &[("content-type", "application/json")] };
        world.manage_as(token).request(method, path, fields, text.as_bytes())
    };
    let mut token = owner.token.clone();
    for (place, act) in dangerous.iter().enumerate() {
        // The last one takes an owner away, which the one before made.
        problem(&send(&token, act), 403, "step_up_required");
        if place + 1 == dangerous.len() {
            break;
        }
        let proven = world.manage_as(&token).post("/v1/account/prove", &json!({ "password": PASSWORD }));
        assert_eq!(proven.0, 200, "{}", proven.1);
        let fresh = proven.1["token"].as_str().unwrap().to_owned();
        assert!(!is_in(&world, &token), "S-1: another token");
        token = fresh;
        let done = send(&token, act);
        assert!((200..300).contains(&done.status), "{} {}: {}", act.0, act.1, done.text());
        std::thread::sleep(Duration::from_millis(2_100));
    }
    let wrong = world.manage_as(&token).request(
        "POST",
        "/v1/account/prove",
        &[("content-type", "application/json")],
        json!({ "password": "eleven green pianos whisper" }).to_string().as_bytes(),
    );
    problem(&wrong, 401, "login_failed");
    for (path, status) in [("/v1/keys?limit=1", 200), ("/v1/members", 200)] {
        assert_eq!(world.manage_as(&token).get(path).0, status, "what is not dangerous goes on: {path}");
    }
    let secret = json!({ "project_id": project, "name": "secret" });
    assert_eq!(
        world.manage_as(&token).post("/v1/keys", &secret).0,
        201,
        "keys that call APIs are no proof of anything"
    );
    for act in &dangerous[..3] {
        assert_eq!(send(world.management_key(), act).status, 200, "a program proves itself with each request");
    }
}

fn id_of(world: &World, path: &str, body: &Value) -> String {
    super::world::id(&world.manage().create(path, body))
}

#[test]
fn s01_each_login_has_another_token_and_ends_the_session_of_its_browser() {
    let world = shared();
    let person = world.person("auditor");
    let wish = json!({ "email": person.email, "password": PASSWORD, "deliver": "cookie" });
    let first = world.anonymously("/v1/login", &wish);
    let cookie = |answer: &Answer| answer.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let token = |answer: &Answer| cookie(answer).split_once('=').unwrap().1.to_owned();
    assert!(first.json().get("token").is_none() && !first.text().contains("session_live_"), "{}", first.text());
    let second = world.anonymously_with("/v1/login", &[("cookie", &cookie(&first))], &wish);
    assert_ne!(token(&first), token(&second));
    assert!(!is_in(world, &token(&first)) && is_in(world, &token(&second)) && is_in(world, &person.token));
    // On a computer that others use, the one before is logged out, whoever it was.
    let other = world.person("auditor");
    let wish = json!({ "email": other.email, "password": PASSWORD });
    assert_eq!(world.anonymously_with("/v1/login", &[("cookie", &cookie(&second))], &wish).status, 200);
    assert!(!is_in(world, &token(&second)));
}

#[test]
fn s02_k04_no_token_and_no_password_is_in_any_file() {
    let (folder, world) = served("");
    let person = world.person("owner");
    let invitation = world.invitation(&world.manage(), &json!({ "role": "auditor" }));
    let link = world.manage().post(&format!("/v1/members/{}/reset_password", person.member), &json!({})).1;
    let link = link["path"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
    login(&world, &person.email, "wrong-password-canary-7261");
    login(&world, "wrong-address-canary-7261@example.com", PASSWORD);
    let log = world.installation.log();
    let claim = world.installation.claim.as_deref().unwrap().split_once('#').unwrap().1.to_owned();
    drop(world);
    let secrets = [&person.token, &invitation, &link, &claim, PASSWORD, "canary-7261"];
    let mut files = 0;
    for file in walk(folder.path()) {
        let bytes = std::fs::read(&file).unwrap();
        files += 1;
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds {secret}", file.display());
        }
    }
    assert!(files >= 4, "only {files}");
    for secret in secrets {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path))
        } else if path.is_file() {
            files.push(path)
        }
    }
    files
}

#[test]
fn s03_the_cookie_is_bound_to_this_host_and_hidden_from_scripts() {
    let world = shared();
    let person = world.person("auditor");
    let wish = json!({ "email": person.email, "password": PASSWORD, "deliver": "cookie" });
    let answer = world.anonymously("/v1/login", &wish);
    let value = answer.field("set-cookie").unwrap();
    let (pair, attributes) = value.split_once("; ").unwrap();
    assert!(pair.starts_with("__Host-keystile_session=session_live_"), "{pair}");
    let mut attributes: Vec<&str> = attributes.split("; ").collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]);
    let own = [("cookie", pair), ("sec-fetch-site", "same-origin")];
    let out = world.anonymously_with("/v1/logout", &own, &json!({}));
    assert_eq!(out.status, 204);
    assert!(
        out.field("set-cookie").unwrap().starts_with("__Host-keystile_session=; ")
            && out.field("set-cookie").unwrap().contains("Max-Age=0")
    );
}

#[test]
fn s04_a_session_ends_when_nobody_uses_it_and_in_any_case() {
    let (_folder, world) = served("[login]\nsession_idle_seconds = 10\nsession_seconds = 20");
    let (idle, busy) = (world.person("auditor"), world.person("auditor"));
    let until = |token: &str| {
        let (_, me) = world.manage_as(token).get("/v1/whoami");
        me["expires_at"].as_str().unwrap().to_owned()
    };
    let first = until(&busy.token);
    for _ in 0..10 {
        std::thread::sleep(Duration::from_secs(1));
        assert!(is_in(&world, &busy.token));
    }
    assert!(until(&busy.token) > first, "use prolongs it");
    std::thread::sleep(Duration::from_millis(1_200));
    assert!(!is_in(&world, &idle.token));
    let mut alive = 0;
    while is_in(&world, &busy.token) {
        std::thread::sleep(Duration::from_millis(500));
        alive += 1;
        assert!(alive < 60, "however busy, it ends");
    }
}

#[test]
fn s05_a_session_that_was_ended_is_refused_with_its_next_request() {
    let world = shared();
    let end = |how: &dyn Fn(&Person)| {
        let person = world.person("auditor");
        assert!(is_in(world, &person.token));
        how(&person);
        assert!(!is_in(world, &person.token));
    };
    end(&|person| assert_eq!(world.as_person(person).post("/v1/logout", &json!({})).0, 204));
    end(&|person| assert_eq!(world.manage().delete(&format!("/v1/sessions/{}", person.session)).0, 204));
    end(&|person| {
        let (session, token) = world.log_in(&person.email);
        let path = format!("/v1/account/sessions/{}", person.session);
        assert_eq!(world.manage_as(&token).delete(&path).0, 204);
        assert_eq!(world.manage_as(&token).delete(&path).0, 404);
        let own = world.manage_as(&token).get("/v1/account/sessions").1;
        assert_eq!((own["items"].as_array().unwrap().len(), &own["items"][0]["id"]), (1, &json!(session)));
    });
    end(&|person| {
        let (_, token) = world.log_in(&person.email);
        assert_eq!(world.manage_as(&token).post("/v1/account/sessions/end_others", &json!({})).0, 204);
        assert!(is_in(world, &token));
    });
    end(&|person| {
        let (_, token) = world.log_in(&person.email);
        let wish = json!({ "current": PASSWORD, "password": "eleven green pianos whisper" });
        let (status, changed) = world.manage_as(&token).post("/v1/account/password", &wish);
        assert_eq!(status, 200, "{changed}");
        assert!(is_in(world, changed["token"].as_str().unwrap()), "the one that changed it goes on");
    });
    end(&|person| assert_eq!(world.manage().delete(&format!("/v1/members/{}", person.member)).0, 204));
}

#[test]
fn s06_a_browser_changes_nothing_from_another_sites_page() {
    let world = shared();
    let person = world.person("owner");
    let wish = json!({ "email": person.email, "password": PASSWORD, "deliver": "cookie" });
    let cookie = world.anonymously("/v1/login", &wish);
    let cookie = cookie.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let host = world.installation.admin.to_string();
    let origin = format!("http://{host}");
    let make = |fields: &[(&str, &str)]| {
        let fields = [&[("cookie", cookie.as_str())][..], fields].concat();
        world.anonymously_with("/v1/projects", &fields, &json!({ "name": name("by-browser") }))
    };
    for own in [&[("sec-fetch-site", "same-origin")][..], &[("origin", &origin)]] {
        assert_eq!(make(own).status, 201, "{own:?}");
    }
    for others in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site"), ("origin", &origin)],
    ] {
        problem(&make(others), 403, "cross_site");
    }
    // Nobody is logged in by another's page, nor are two credentials sorted out.
    let answer = world.anonymously_with("/v1/login", &[("sec-fetch-site", "cross-site")], &wish);
    problem(&answer, 403, "cross_site");
    let key = format!("Bearer {}", world.management_key());
    let both = [("authorization", key.as_str()), ("sec-fetch-site", "same-origin")];
    problem(&make(&both), 400, "credentials_ambiguous");
    let read =
        world.manage().request("GET", "/v1/projects?limit=1", &[("cookie", &cookie), ("authorization", "")], b"");
    assert_eq!(read.status, 400);
}

#[test]
fn s07_s08_every_answer_says_what_browsers_may_do_with_it_and_is_for_no_other_site() {
    let world = shared();
    let things = Things::of(world);
    let mut paths: Vec<(String, String)> =
        routes(&document(world)).iter().map(|route| (route.method.clone(), route.path(&things))).collect();
    for path in [
        "/",
        "/login",
        "/keys",
        "/page.css",
        "/hand-over",
        "/hand-over.js",
        "/join",
        "/join.js",
        "/password",
        "/password.js",
        "/device",
        "/device.js",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/x",
    ] {
        paths.push(("GET".to_owned(), path.to_owned()));
    }
    for (method, path) in paths {
        for origin in ["http://evil.example", "null"] {
            let key = format!("Bearer {}", world.management_key());
            // As nobody, so that nothing is changed; a few as somebody, for what is answered then.
            let authorization = if method == "GET" { key.as_str() } else { "none" };
            let fields = [("origin", origin), ("authorization", authorization)];
            let answer = world.manage().request(&method, &path, &fields, b"");
            let field = |name: &str| answer.field(name).unwrap_or_default().to_owned();
            let policy = field("content-security-policy");
            assert!(
                policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
                "{path}: {policy}"
            );
            assert!(!policy.contains("unsafe") && !policy.contains('*'), "{path}: {policy}");
            assert_eq!(field("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(field("referrer-policy"), "no-referrer", "{path}");
            assert_eq!(field("cross-origin-opener-policy"), "same-origin", "{path}");
            assert_eq!(field("cache-control"), "no-store", "{path}");
            assert_eq!(answer.field("strict-transport-security"), None, "it came in clear");
            // What comes bit by bit is read up to its head.
            let is_stream = answer.field("content-type") == Some("text/event-stream");
            // Lines of which there is none are nothing.
            let is_lines = answer.field("content-type") == Some("application/x-ndjson");
            assert!(
                !answer.text().is_empty() || [204, 303].contains(&answer.status) || is_stream || is_lines,
                "{path}"
            );
            let allows = ["access-control-allow-origin", "access-control-allow-credentials"];
            assert!(allows.iter().all(|name| answer.field(name).is_none()), "{method} {path} is for other sites");
        }
    }
    let ask = [("origin", "http://evil.example"), ("access-control-request-method", "POST"), ("authorization", "none")];
    let answer = world.manage().request("OPTIONS", "/v1/keys", &ask, b"");
    assert_eq!((answer.status, answer.field("access-control-allow-methods")), (405, None));
}

#[test]
fn z02_a_session_that_has_ended_opens_no_route() {
    let world = shared();
    let things = Things::of(world);
    let person = world.person("owner");
    assert_eq!(world.as_person(&person).post("/v1/logout", &json!({})).0, 204);
    for route in routes(&document(world)).iter().filter(|route| route.access() != Access::Open) {
        let answer = route.ask(&world.as_person(&person), &things);
        problem(&answer, 401, "session_ended");
    }
}

#[test]
fn e07_a_management_key_that_is_refused_stands_in_the_audit() {
    let world = World::start();
    let person = world.person("auditor");
    let api = world.as_person(&person);
    let (mut device, passkey) = world.passkey_of(&api);
    assert_eq!(api.delete(&format!("/v1/account/passkeys/{passkey}")).0, 204);
    problem(&world.anonymously("/v1/login/passkey", &world.answer_of(&mut device)), 401, "login_failed");
    let noted = world.manage().get("/v1/audit?type=login.fail&limit=1").1["items"][0].clone();
    assert_eq!((&noted["after"]["factor"], &noted["subject_id"]), (&json!("passkey"), &json!("unknown")));
    let project = world.installation.project_id.clone();
    let (id, text) = world.key(&project, &json!({ "kind": "management", "permissions": ["*"] }));
    assert_eq!(world.manage_as(&text).get("/v1/whoami").0, 200);
    assert_eq!(world.manage().post(&format!("/v1/keys/{id}/revoke"), &json!({})).0, 200);
    for _ in 0..100 {
        assert_eq!(world.manage_as(&text).get("/v1/whoami").0, 401);
    }
    let noted = world.manage().get(&format!("/v1/audit?type=login.fail&subject_id={id}&limit=100")).1;
    let noted = noted["items"].as_array().unwrap();
    assert!((1..=30).contains(&noted.len()), "a sample: {}", noted.len());
    assert_eq!(
        (&noted[0]["after"]["code"], &noted[0]["vocabulary"]),
        (&json!("key_revoked"), &json!("authn_login_fail"))
    );
    assert_eq!(noted[0]["actor"], json!("system:login"));
    // What nobody knows fills nothing.
    let before = world.manage().get("/v1/audit?limit=1").1["items"][0]["sequence"].clone();
    assert_eq!(world.manage_as("ks_live_nobody_knows_this_one").get("/v1/whoami").0, 401);
    assert_eq!(world.manage().get("/v1/audit?limit=1").1["items"][0]["sequence"], before);
}
