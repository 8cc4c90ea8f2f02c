//! The console as a client without script and without eyes: who gets in, what a form may change, what its answers say.

use keystile_testkit::raw::Answer;
use keystile_testkit::{Installation, Postbox};
use serde_json::json;

use super::login::served;
use super::people::{PASSWORD, Person};
use super::world::{BINARY, World, id, shared};

/// Its places, as the side lists them, and forms.
const PLACES: [&str; 24] = [
    "/",
    "/apis",
    "/apis/new",
    "/keys",
    "/keys/new",
    "/keys.csv",
    "/projects",
    "/access",
    "/plans",
    "/usage",
    "/requests",
    "/alerts",
    "/hygiene",
    "/anomalies",
    "/leaks",
    "/audit",
    "/sessions",
    "/portal",
    "/webhooks",
    "/tokens",
    "/team",
    "/settings",
    "/palette?q=a",
    "/ui/gallery",
];

fn cookie_of(world: &World, person: &Person) -> String {
    let wish = json!({ "email": person.email, "password": PASSWORD, "deliver": "cookie" });
    let answer = world.anonymously("/v1/login", &wish);
    answer.field("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

/// A request of a browser.
fn browser(world: &World, method: &str, path: &str, fields: &[(&str, &str)], form: &str) -> Answer {
    let own = [("authorization", ""), ("content-type", "application/x-www-form-urlencoded")];
    let all: Vec<(&str, &str)> = own.iter().chain(fields).copied().collect();
    world.manage().request(method, path, &all, form.as_bytes())
}

#[test]
fn z01_no_page_is_shown_to_whoever_is_not_logged_in() {
    let world = shared();
    for path in PLACES {
        for fields in [&[][..], &[("cookie", "__Host-keystile_session=session_live_nonsense")]] {
            let answer = browser(world, "GET", path, fields, "");
            assert_eq!(answer.status, 303, "{path}");
            assert!(answer.field("location").unwrap().starts_with("/login"), "{path}");
        }
        // For script, which would put the page of the login into the page that is there.
        let answer = browser(world, "GET", path, &[("hx-request", "true")], "");
        assert!(answer.field("hx-redirect").unwrap().starts_with("/login"), "{path}");
    }
    let answer = browser(world, "POST", "/keys", &[("sec-fetch-site", "same-origin")], "name=a&project_id=new&days=30");
    assert_eq!((answer.status, answer.field("location")), (303, Some("/login")));
}

#[test]
fn every_place_is_there_for_an_owner_and_says_what_it_may_do() {
    let world = shared();
    let cookie = cookie_of(world, &world.person("owner"));
    for path in PLACES {
        let answer = browser(world, "GET", path, &[("cookie", &cookie)], "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let policy = answer.field("content-security-policy").unwrap();
        assert!(policy.contains("script-src 'self'") && policy.contains("form-action 'self'"), "{path}: {policy}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{path}");
        let text = answer.text();
        for inline in ["<script>", " style=", " onclick=", "javascript:"] {
            assert!(!text.contains(inline), "{path} has `{inline}`");
        }
    }
}

#[test]
fn s06_a_form_changes_nothing_unless_a_page_of_this_server_sent_it() {
    let world = shared();
    let cookie = cookie_of(world, &world.person("owner"));
    let project = id(&world.manage().post("/v1/projects", &json!({ "name": "Forms" })).1);
    let form = format!("name=by-form&project_id={project}&days=30");
    let keys = || world.manage().get(&format!("/v1/keys?project_id={project}")).1["items"].as_array().unwrap().len();
    for site in ["cross-site", "same-site"] {
        let answer = browser(world, "POST", "/keys", &[("cookie", &cookie), ("sec-fetch-site", site)], &form);
        assert_eq!(answer.status, 403);
        assert!(answer.text().contains("another site"), "{site}: {}", answer.text());
    }
    let answer = browser(world, "POST", "/keys", &[("cookie", &cookie)], &form);
    assert!(answer.text().contains("another site"), "a browser that says nothing: {}", answer.text());
    assert_eq!(keys(), 0);
    let own = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin"), ("accept-encoding", "gzip")];
    let answer = browser(world, "POST", "/keys", &own, &form);
    assert_eq!((answer.status, keys()), (200, 1));
    // A secret is in no answer whose length tells of it.
    assert_eq!(answer.field("content-encoding"), None);
    assert!(answer.text().contains("_live_"), "{}", answer.text());
}

#[test]
fn a11_what_is_dangerous_asks_for_the_password_and_loses_nothing_meanwhile() {
    let (_folder, world) = served("[login]\nstep_up_seconds = 1");
    let person = world.person("owner");
    let cookie = cookie_of(&world, &person);
    let own = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
    let form = "email=&role=auditor&expires_in_hours=24";
    // As long as the login is proof enough, somebody is invited.
    let asked = loop {
        let answer = browser(&world, "POST", "/team/invite", &own, form);
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(asked.status, 403);
    let text = asked.text();
    assert!(text.contains("Confirm it is you") && text.contains("name=\"role\" value=\"auditor\""), "{text}");
    let wrong = browser(&world, "POST", "/team/invite", &own, &format!("{form}&proof_password=not+the+password"));
    assert!(wrong.text().contains("is wrong"), "{}", wrong.text());
    let password = PASSWORD.replace(' ', "+");
    let done = browser(&world, "POST", "/team/invite", &own, &format!("{form}&proof_password={password}"));
    assert_eq!(done.status, 200, "{}", done.text());
    assert!(done.text().contains("/join#"), "{}", done.text());
    assert!(done.field("set-cookie").unwrap().starts_with("__Host-keystile_session="), "the session goes on");
}

#[test]
fn what_pages_are_made_of_is_kept_by_browsers_for_good() {
    let world = shared();
    let login = browser(world, "GET", "/login", &[], "").text();
    let paths: Vec<&str> = login.split(['"', '#']).filter(|text| text.starts_with("/assets/")).collect();
    assert!(paths.len() >= 4, "{login}");
    for path in paths {
        let plain = browser(world, "GET", path, &[], "");
        assert_eq!(plain.status, 200, "{path}");
        assert!(plain.field("cache-control").unwrap().contains("immutable"), "{path}");
        let small = browser(world, "GET", path, &[("accept-encoding", "br, gzip")], "");
        let is_font = path.ends_with(".woff2");
        assert_eq!(small.field("content-encoding").is_some(), !is_font, "{path}");
    }
    assert_eq!(browser(world, "GET", "/assets/app.000000000000.css", &[], "").status, 404);
}

#[test]
fn examples_begin_with_the_address_that_the_settings_name() {
    let folder = tempfile::tempdir().unwrap();
    let settings = format!(
        "data = \"{}/data\"\n[gateway]\nlisten = \"127.0.0.1:0\"\nurl = \"https://api.example.com/\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n[check]\nlisten = \"127.0.0.1:0\"\n",
        folder.path().display()
    );
    let world = World::bare(Installation::serve(BINARY, &settings, folder.path()));
    let cookie = cookie_of(&world, &world.person("owner"));
    let page = browser(&world, "GET", "/apis", &[("cookie", &cookie)], "").text();
    assert!(page.contains("https://api.example.com</span>"), "{page}");
}

#[test]
fn whoever_is_sent_a_link_asks_for_it_where_they_log_in() {
    let postbox = Postbox::start();
    let mail = format!("[mail]\nserver = \"smtp://{}\"\nfrom = \"Keys <keys@example.com>\"", postbox.address);
    let (_folder, world) = served(&mail);
    let person = world.person("auditor");
    assert!(browser(&world, "GET", "/login", &[], "").text().contains("formaction=\"/login/link\""));
    let ask = |email: &str| {
        browser(&world, "POST", "/login/link", &[("sec-fetch-site", "same-origin")], &format!("email={email}"))
    };
    let known = ask(&person.email.replace('@', "%40"));
    let unknown = ask("nobody%40example.com");
    assert_eq!((known.status, unknown.status), (200, 200));
    assert!(known.text().contains("a letter with a link is on its way"), "{}", known.text());
    assert_eq!(
        known.text().replace(&person.email, "x"),
        unknown.text().replace("nobody@example.com", "x"),
        "nothing tells who has an account"
    );
    assert_eq!(postbox.letters(&person.email, 1).len(), 1);
    let poor = ask("no+address");
    assert_eq!(poor.status, 401);
    assert!(poor.text().contains("role=\"alert\""), "{}", poor.text());
}
