//! What is refused before anything is done: fields that nobody knows, texts that are no JSON, bodies too large.

use keystile_testkit::raw::Answer;
use serde_json::{Value, json};

use super::super::form::problem;
use super::super::world::{World, name, shared};
use super::routes::{Route, Things, document, routes};

/// The longest body of an ordinary request is below this.
const TOO_LARGE: usize = (1 << 20) + 1;
const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn z03_an_unknown_field_is_refused_by_every_route_that_writes() {
    let world = shared();
    let things = Things::of(world);
    let mut silent = Vec::new();
    for route in writing(world) {
        let mut body = route.sound_body(world, &things);
        body["surprise"] = json!(1);
        let answer = send(world, &route, &things, &body);
        if answer.status != 400 {
            silent.push(route.title());
            continue;
        }
        let detail = problem(&answer, 400, "invalid");
        assert!(detail.contains("surprise"), "{}: {detail}", route.title());
        // Which code fits, an app alone knows, and what a passkey answers, its device; recovery codes are for whoever has an app.
        let is_of_an_app = [
            "/v1/account/totp/confirm",
            "/v1/account/recovery_codes",
            "/v1/account/passkeys",
            "/v1/account/prove/passkey",
            // There is no identity provider.
            "/v1/login/provider/begin",
            "/v1/invitations/provider/begin",
            "/v1/account/identities/begin",
            "/v1/account/prove/provider/begin",
        ]
        .contains(&&*route.template);
        if !route.has_id() && !is_of_an_app {
            let sound = route.sound_body(world, &things);
            assert!(
                matches!(send(world, &route, &things, &sound).status, 200 | 201 | 202 | 204),
                "{} {sound}",
                route.title()
            );
        }
    }
    assert_eq!(silent, Vec::<String>::new(), "these took a field that nobody knows");
}

#[test]
fn z03_nobody_writes_what_is_the_servers_own() {
    let world = shared();
    let things = Things::of(world);
    for field in
        ["id", "created_at", "updated_at", "organization_id", "state", "hint", "digest", "active", "key", "revision"]
    {
        for route in writing(world).iter().filter(|route| route.takes_json()) {
            let mut body = route.sound_body(world, &things);
            body[field] = json!("x");
            assert_eq!(send(world, route, &things, &body).status, 400, "{field} at {}", route.title());
        }
    }
    let kept = routes(&document(world)).into_iter().find(|route| route.title() == "PATCH /v1/keys/{id}").unwrap();
    for fixed in ["project_id", "kind", "environment"] {
        assert_eq!(send(world, &kept, &things, &json!({ fixed: "x" })).status, 400, "{fixed}");
    }
}

#[test]
fn z03_an_unknown_field_is_refused_at_any_depth() {
    let world = shared();
    let manage = world.manage();
    let project = &world.installation.project_id;
    for inner in [
        json!({ "restrictions": { "surprise": 1 } }),
        json!({ "restrictions": { "networks": { "allow": ["::/0"], "surprise": 1 } } }),
        json!({ "rate_limits": [{ "name": "a", "limit": 1, "window_seconds": 1, "algorithm": "sliding_window", "surprise": 1 }] }),
    ] {
        let mut made = json!({ "project_id": project, "name": "x" });
        for (name, value) in inner.as_object().unwrap() {
            made[name] = value.clone();
        }
        assert_eq!(manage.post("/v1/keys", &made).0, 400, "{made}");
        let (id, _) = world.key(project, &json!({}));
        assert_eq!(manage.patch(&format!("/v1/keys/{id}"), &inner).0, 400, "{inner}");
        let policy = percent(&inner.to_string());
        let import = format!("/v1/keys/import?project_id={project}&policy={policy}");
        let answer = manage.request("POST", &import, &[("content-type", "application/x-ndjson")], b"");
        problem(&answer, 400, "invalid");
    }
}

#[test]
fn values_that_mean_nothing_are_refused_and_named() {
    let world = shared();
    let manage = world.manage();
    let project = &world.installation.project_id;
    let limit = json!({ "name": "a", "limit": 1, "window_seconds": 1 });
    let with = |field: &str, value: Value| {
        let mut limit = limit.clone();
        limit[field] = value;
        json!([limit])
    };
    for (field, value) in [
        ("name", json!("")),
        ("name", json!(" x")),
        ("name", json!("a\nb")),
        ("name", json!("x".repeat(121))),
        ("name", json!(7)),
        ("kind", json!("root")),
        ("prefix", json!("Ks")),
        ("permissions", json!(["pets read"])),
        ("name", json!("sdrawkcab\u{202e}")),
        ("name", json!("twin\u{200b}")),
        ("permissions", json!("pets.read")),
        ("restrictions", json!({ "methods": [] })),
        ("restrictions", json!({ "methods": ["BREW"] })),
        ("restrictions", json!({ "paths": [] })),
        ("restrictions", json!({ "networks": {} })),
        ("restrictions", json!({ "networks": { "allow": [] } })),
        ("restrictions", json!({ "networks": { "allow": ["10.0.0.0/33"] } })),
        ("restrictions", json!({ "formats": {} })),
        ("restrictions", json!({ "formats": { "request_types": [] } })),
        ("restrictions", json!({ "formats": { "response_types": ["json"] } })),
        ("restrictions", json!({ "formats": { "request_types": "application/json" } })),
        ("restrictions", json!({ "formats": { "max_body_bytes": -1 } })),
        ("restrictions", json!({ "formats": { "max_body_bytes": 68_719_476_737_u64 } })),
        ("restrictions", json!({ "formats": { "max_body_bytes": 1, "surprise": 1 } })),
        ("rate_limits", with("limit", json!(0))),
        ("rate_limits", with("limit", json!(-1))),
        ("rate_limits", with("window_seconds", json!(0))),
        ("rate_limits", with("algorithm", json!("leaky"))),
        ("rate_limits", with("burst", json!(2))),
        ("rate_limits", with("name", json!("a b"))),
        ("rate_limits", json!([limit, limit])),
        ("expires_in_days", json!(-1)),
        ("expires_in_days", json!(4_000_000_000_u64)),
    ] {
        let mut body = json!({ "project_id": project, "name": "x" });
        body[field] = value.clone();
        let (status, answer) = manage.post("/v1/keys", &body);
        assert_eq!((status, &answer["code"]), (400, &"invalid".into()), "{field}: {value}");
    }
    for (field, value) in [
        ("upstream", json!("https://")),
        ("upstream", json!("ftp://x")),
        ("upstream", json!("http://u:p@x")),
        ("path_prefix", json!("x")),
        ("path_prefix", json!("/a/../b")),
        ("hosts", json!(["a b"])),
        ("access", json!("all")),
        ("key_locations", json!([])),
        ("key_locations", json!(["body"])),
        ("key_days", json!(0)),
        ("upstream_timeout_seconds", json!(0)),
        ("body_limit_bytes", json!(-1)),
        ("request_types", json!([])),
        ("request_types", json!(["application/json; charset=utf-8"])),
        ("response_types", json!(["*/json"])),
        ("response_types", json!(vec!["a/b"; 65])),
        ("upgrades", json!("tcp")),
        ("upgrades", json!(["h2c"])),
        ("upgrades", json!(["tcp, websocket"])),
        ("upgrades", json!(["tcp", "TCP"])),
        ("upgrades", json!((0..9).map(|n| format!("x{n}")).collect::<Vec<_>>())),
        ("openapi", json!(7)),
        ("openapi", json!({ "swagger": "2.0" })),
        ("name", json!(null)),
    ] {
        let mut body = json!({ "name": "x", "upstream": "http://127.0.0.1:9" });
        body[field] = value.clone();
        let (status, answer) = manage.post("/v1/apis", &body);
        assert_eq!((status, &answer["code"]), (400, &"invalid".into()), "{field}: {value}");
    }
    for missing in [json!({}), json!({ "name": "x" }), json!({ "upstream": "http://127.0.0.1:9" })] {
        assert_eq!(manage.post("/v1/apis", &missing).0, 400, "{missing}");
    }
}

#[test]
fn a_body_that_is_not_the_routes_is_refused_by_its_kind() {
    let world = shared();
    let things = Things::of(world);
    let manage = world.manage();
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(TOO_LARGE));
    for route in writing(world).iter().filter(|route| route.takes_json()) {
        let path = route.path(&things);
        let ask = |fields: &[(&str, &str)], body: &[u8]| manage.request(&route.method, &path, fields, body);
        for text in
            ["{", "{}{}", "null", "\"x\"", "{\"name\":\"\\ud800\"}", "{\"name\":1e999}", "{\"a\":1,}", "\u{feff}{}"]
        {
            problem(&ask(&[JSON], text.as_bytes()), 400, "invalid");
        }
        problem(&ask(&[JSON], b"{\"name\":\"\xff\"}"), 400, "invalid");
        problem(&ask(&[JSON], "[".repeat(100_000).as_bytes()), 400, "invalid");
        problem(&ask(&[], b"{}"), 415, "unsupported_media_type");
        for media_type in
            ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/x-ndjson"]
        {
            problem(&ask(&[("content-type", media_type)], b"{}"), 415, "unsupported_media_type");
        }
        // APIs come with their documents, which are longer.
        if !route.template.starts_with("/v1/apis") {
            problem(&ask(&[JSON], large.as_bytes()), 413, "content_too_large");
        }
    }
    let import = format!("/v1/keys/import?project_id={}", things.project);
    problem(&manage.request("POST", &import, &[JSON], b"{}"), 415, "unsupported_media_type");
    let lines = "\n".repeat(100_001);
    problem(
        &manage.request("POST", &import, &[("content-type", "application/x-ndjson")], lines.as_bytes()),
        400,
        "invalid",
    );
    let accepted = manage.request(
        "POST",
        "/v1/projects",
        &[("content-type", "Application/JSON; charset=utf-8")],
        json!({ "name": name("accepted") }).to_string().as_bytes(),
    );
    assert_eq!(accepted.status, 201, "{}", accepted.text());
}

#[test]
fn a_list_is_no_object() {
    let world = shared();
    let things = Things::of(world);
    let bodies = [json!([]), json!([world.installation.project_id, name("list")]), json!([name("list"), "", ""])];
    let mut taken = Vec::new();
    for route in writing(world).iter().filter(|route| route.takes_json()) {
        if let Some(body) = bodies.iter().find(|body| send(world, route, &things, body).status != 400) {
            taken.push(format!("{} took {body}", route.title()));
        }
    }
    assert_eq!(taken, Vec::<String>::new());
}

#[test]
fn a_field_said_twice_is_not_guessed_at() {
    let world = shared();
    let twice = [
        ("/v1/projects", r#"{"name":"a","name":"b"}"#.to_owned()),
        ("/v1/apis", r#"{"name":"a","upstream":"http://127.0.0.1:9","upstream":"http://127.0.0.1:10"}"#.to_owned()),
        ("/v1/keys", format!(r#"{{"name":"a","project_id":"{0}","project_id":"{0}"}}"#, world.installation.project_id)),
    ];
    let mut taken = Vec::new();
    for (path, body) in twice {
        if world.manage().request("POST", path, &[JSON], body.as_bytes()).status != 400 {
            taken.push(path);
        }
    }
    assert_eq!(taken, Vec::<&str>::new(), "these took one of two values");
}

#[test]
fn methods_and_routes_that_are_not_there_are_problems() {
    let world = shared();
    let manage = world.manage();
    for (method, path, status, code) in [
        ("PUT", "/v1/keys", 405, "method_not_allowed"),
        ("DELETE", "/v1/keys", 405, "method_not_allowed"),
        ("POST", "/v1/usage", 405, "method_not_allowed"),
        ("GET", "/v1/keys/import", 405, "method_not_allowed"),
        ("POST", "/openapi.json", 405, "method_not_allowed"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("POST", "/v1/keys/x/rotate", 404, "not_found"),
    ] {
        problem(&manage.request(method, path, &[], b""), status, code);
    }
}

fn writing(world: &World) -> Vec<Route> {
    let mut routes = routes(&document(world));
    // An import's body is lines and not an object; its lines are tested with imports.
    routes.retain(|route| {
        matches!(route.method.as_str(), "POST" | "PATCH" | "PUT") && route.template != "/v1/keys/import"
    });
    routes
}

fn send(world: &World, route: &Route, things: &Things, body: &Value) -> Answer {
    let holder = route.holder(world, things);
    holder.request(&route.method, &route.path(things), &[JSON], body.to_string().as_bytes())
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn a_type_that_is_none_is_named_with_what_would_be_one() {
    let world = shared();
    let manage = world.manage();
    let api = json!({ "name": "x", "upstream": "http://127.0.0.1:9", "request_types": ["a/b", "application/js*n"] });
    let restrictions = json!({ "formats": { "response_types": ["application/js*n"] } });
    let key = json!({ "project_id": world.project(), "name": "x", "restrictions": restrictions });
    for (path, body) in [("/v1/apis", api), ("/v1/keys", key)] {
        let (_, answer) = manage.post(path, &body);
        let detail = answer["detail"].as_str().unwrap();
        assert!(
            detail.contains("`application/js*n` is no media type; write application/json, application/*,"),
            "{detail}"
        );
    }
    let empty = json!({ "name": "x", "upstream": "http://127.0.0.1:9", "response_types": [] });
    let (_, answer) = manage.post("/v1/apis", &empty);
    assert!(answer["detail"].as_str().unwrap().contains("needs at least one entry; leave it out"), "{answer}");
}
