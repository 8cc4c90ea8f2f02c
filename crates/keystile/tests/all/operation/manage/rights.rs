//! Rights (Z-1, Z-2, K-14): every route of the document against everybody who may not use it.

use keystile_testkit::Api;
use serde_json::{Value, json};

use super::super::form::problem;
use super::super::world::{id, mistyped, name, shared};
use super::routes::{Access, Things, document, routes};

/// What is answered to anybody. Nothing else is.
const OPEN: [&str; 19] = [
    "/login",
    "/page.css",
    "/hand-over",
    "/hand-over.js",
    "/join",
    "/join.js",
    "/password",
    "/password.js",
    "/enter",
    "/enter.js",
    "/device",
    "/device.js",
    "/account",
    "/account.js",
    "/server.js",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
];
/// Every right there is.
const RIGHTS: [&str; 33] = [
    "apis.read",
    "apis.write",
    "projects.read",
    "projects.write",
    "activations.read",
    "activations.write",
    "access.read",
    "keys.read",
    "keys.write",
    "keys.reveal",
    "roles.read",
    "roles.write",
    "plans.read",
    "plans.write",
    "credits.read",
    "credits.write",
    "patterns.read",
    "patterns.write",
    "usage.read",
    "usage.write",
    "requests.read",
    "webhooks.read",
    "webhooks.write",
    "events.read",
    "audit.read",
    "members.read",
    "members.write",
    "organizations.read",
    "organizations.write",
    "encryption.read",
    "encryption.write",
    "privacy.read",
    "privacy.write",
];

#[test]
fn z02_no_route_answers_without_a_management_key_that_is_in_force() {
    let world = shared();
    let things = Things::of(world);
    let secret = world.caller(&json!({})).key;
    let ended = |action: &str| {
        let fields = json!({ "kind": "management", "permissions": ["*"] });
        let (id, text) = world.key(&world.installation.project_id, &fields);
        assert_eq!(world.manage().post(&format!("/v1/keys/{id}/{action}"), &json!({})).0, 200);
        text
    };
    let (revoked, disabled) = (ended("revoke"), ended("disable"));
    let elsewhere = json!({ "kind": "management", "permissions": ["*"], "restrictions": { "networks": { "allow": ["10.0.0.0/8"] } } });
    let elsewhere = world.key(&world.installation.project_id, &elsewhere).1;
    let broken = mistyped(world.management_key());
    let unknown = "an-unknown-key-of-another-format-123456";
    let everybody: [(&str, &str, u16, &str); 8] = [
        ("no key", "Basic eDp5", 401, "key_missing"),
        ("an empty key", "Bearer ", 401, "key_missing|key_malformed"),
        ("a secret key", &format!("Bearer {secret}"), 403, "key_kind_forbidden"),
        ("a revoked key", &format!("Bearer {revoked}"), 401, "key_revoked"),
        ("a disabled key", &format!("Bearer {disabled}"), 401, "key_disabled"),
        ("a key used elsewhere", &format!("Bearer {elsewhere}"), 403, "network_forbidden"),
        ("a broken key", &format!("Bearer {broken}"), 401, "key_malformed"),
        ("an unknown key", &format!("Bearer {unknown}"), 401, "key_unknown"),
    ];
    for route in routes(&document(world)).into_iter().filter(|route| route.access() != Access::Open) {
        let path = route.path(&things);
        for (who, authorization, status, code) in everybody {
            let answer = world.manage().request(&route.method, &path, &[("authorization", authorization)], b"");
            let code = code.split('|').find(|code| *code == answer.code()).unwrap_or(code);
            assert_eq!((answer.status, answer.code().as_str()), (status, code), "{} with {who}", route.title());
            problem(&answer, status, code);
        }
        let anonymous = format!("{} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", route.method);
        let mut client = keystile_testkit::raw::Client::connect(world.installation.admin);
        client.write(anonymous).unwrap();
        problem(&client.answer_to(&route.method).unwrap(), 401, "key_missing");
    }
    for thing in ["apis", "projects", "keys", "activations"] {
        assert_eq!(world.manage().get(&format!("/v1/{thing}?limit=1")).0, 200, "the owner's key is in force");
    }
}

#[test]
fn z08_no_route_of_the_management_api_is_at_a_listener_that_consumers_reach() {
    let world = shared();
    let things = Things::of(world);
    let authorization = format!("Bearer {}", world.management_key());
    let body = b"{}";
    for listener in [world.installation.gateway, world.installation.check] {
        let there = Api::new(listener, world.management_key());
        // A call to an API with a key that is not for calls, or a path that leads nowhere.
        let is_no_route = |answer: &keystile_testkit::raw::Answer| {
            matches!(answer.status, 404 | 405) || answer.code() == "key_kind_forbidden"
        };
        for route in routes(&document(world)) {
            let answer = there.request(&route.method, &route.path(&things), &[("authorization", &authorization)], body);
            assert!(is_no_route(&answer), "{} at {listener}: {}", route.title(), answer.text());
        }
        for page in ["/account", "/device", "/join", "/openapi.json", "/metrics"] {
            let answer = there.request("GET", page, &[("authorization", &authorization)], b"");
            // Verification has a document of its own.
            let is_own = (listener, page) == (world.installation.check, "/openapi.json");
            assert!(is_own || is_no_route(&answer), "{page} at {listener}: {}", answer.text());
        }
    }
    let of_management = document(world);
    for path in world.verification()["paths"].as_object().unwrap().keys() {
        assert_eq!(of_management["paths"][path], json!(null), "{path} is described at both");
    }
}

#[test]
fn z06_ids_tell_nothing_of_each_other_and_are_no_proof() {
    let world = shared();
    let project = world.project();
    let ids: Vec<String> = (0..200).map(|_| world.key(&project, &json!({})).0).collect();
    let ends: std::collections::HashSet<&str> = ids.iter().map(|id| &id[id.len() - 6..]).collect();
    let beginnings: std::collections::HashSet<&str> = ids.iter().map(|id| &id[4..10]).collect();
    assert!(ends.len() == ids.len() && beginnings.len() == ids.len(), "made of chance alone, at both ends");
    // Whoever knows an id has nothing by it.
    let nobody = Api::new(world.installation.admin, &ids[0]);
    assert_eq!(nobody.get(&format!("/v1/keys/{}", ids[0])).0, 401);
    assert_ne!(world.verify(&json!({ "key": ids[0] })).code(), "allowed");
}

#[test]
fn k13_two_keys_in_one_request_are_refused_whichever_is_good() {
    let world = shared();
    let (good, other) = (world.management_key().to_owned(), world.management_key_for(&["*"]));
    let bearer = |text: &str| ("authorization", format!("Bearer {text}"));
    for fields in [
        vec![bearer(&good), bearer(&good)],
        vec![bearer(&good), bearer(&other)],
        vec![bearer(&good), ("authorization", "Basic eDp5".to_owned())],
        vec![bearer(&format!("{good}, Bearer {other}"))],
        vec![bearer(&format!("{good},{other}"))],
        vec![bearer(&format!("{good} {other}"))],
    ] {
        let shown: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = world.manage().request("GET", "/v1/keys", &shown, b"");
        assert_eq!((answer.status, answer.code().as_str()), (400, "credentials_ambiguous"), "{} fields", fields.len());
    }
}

#[test]
fn z01_every_route_needs_its_own_right_and_no_other() {
    let world = shared();
    let things = Things::of(world);
    let nothing = world.manage_as(&world.management_key_for(&["other.thing"]));
    let only: Vec<(&str, Api)> =
        RIGHTS.iter().map(|right| (*right, world.manage_as(&world.management_key_for(&[right])))).collect();
    let rest: Vec<(&str, Api)> = RIGHTS
        .iter()
        .map(|right| {
            let others: Vec<&str> = RIGHTS.iter().copied().filter(|other| other != right).collect();
            (*right, world.manage_as(&world.management_key_for(&others)))
        })
        .collect();
    let mut seen: Vec<String> = Vec::new();
    for route in routes(&document(world)) {
        let Access::Right(needed) = route.access() else { continue };
        let of = |keys: &'_ [(&str, Api)]| {
            keys.iter()
                .find(|(right, _)| *right == needed)
                .map(|(_, api)| api.clone())
                .unwrap_or_else(|| panic!("{needed} is a new right"))
        };
        for (who, api) in [("no right", nothing.clone()), ("every other right", of(&rest))] {
            let answer = route.ask(&api, &things);
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (403, "permission_missing"),
                "{} with {who}",
                route.title()
            );
            let detail = problem(&answer, 403, "permission_missing");
            assert!(detail.contains(&format!(" {needed};")), "{}: {detail}", route.title());
        }
        let answer = route.ask(&of(&only), &things);
        assert!(!matches!(answer.status, 401 | 403 | 500..), "{} with {needed}: {}", route.title(), answer.text());
        seen.push(needed);
    }
    for right in RIGHTS {
        assert!(seen.iter().any(|needed| needed == right), "{right} is needed for nothing");
    }
}

#[test]
fn z01_only_what_says_nothing_of_the_installation_is_open() {
    let world = shared();
    let secrets = [&world.installation.project_id, &world.installation.key_id, &world.installation.api_id];
    let anonymous = |method: &str, path: &str| world.manage().request(method, path, &[("authorization", "none")], b"");
    for path in OPEN {
        let answer = anonymous("GET", path);
        // Whether it is ready at this moment is another test's business.
        assert!(answer.status == 200 || (path == "/readyz" && answer.status == 503), "{path}: {}", answer.text());
        assert!(secrets.iter().all(|id| !answer.text().contains(id.as_str())), "{path}");
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{path}");
    }
    for path in ["/v1", "/v1/", "/v1/tenants", "/v1/keys/", "/v1/keys//", "/v2/keys", "/metrics/", "/admin", "/V1/keys"]
    {
        problem(&anonymous("GET", path), 404, "not_found");
    }
    for path in ["/metrics", "/openapi.json", "/v1/keys"] {
        problem(&anonymous("PUT", path), 405, "method_not_allowed");
    }
}

#[test]
fn k14_a_management_key_grants_nothing_that_it_does_not_have() {
    let world = shared();
    let project = &world.installation.project_id;
    let narrow = world.manage_as(&world.management_key_for(&["keys.*", "projects.read"]));
    let ask = |permissions: &[&str]| {
        narrow.post(
            "/v1/keys",
            &json!({ "project_id": project, "name": name("child"), "kind": "management", "permissions": permissions }),
        )
    };
    for granted in [&["keys.write"][..], &["keys.*"], &["keys.read", "projects.read"], &["keys.verify"], &[]] {
        assert_eq!(ask(granted).0, 201, "{granted:?}");
    }
    for beyond in
        [&["*"][..], &["apis.read"], &["keys.read", "projects.write"], &["projects.*"], &["keys"], &["keysx.read"]]
    {
        let (status, answer) = ask(beyond);
        assert_eq!((status, &answer["code"]), (403, &"permission_missing".into()), "{beyond:?}");
        assert!(answer["detail"].as_str().unwrap().contains(beyond.last().unwrap()), "{answer}");
    }
    let child = id(&ask(&["keys.read"]).1);
    for (permissions, status) in
        [(json!(["keys.write"]), 200), (json!(["*"]), 403), (json!(["keys.write", "usage.read"]), 403)]
    {
        assert_eq!(
            narrow.patch(&format!("/v1/keys/{child}"), &json!({ "permissions": permissions })).0,
            status,
            "{permissions}"
        );
    }
    // With nothing said of its end a key ends with the one that made it, however soon that is.
    let fields = json!({ "kind": "management", "permissions": ["keys.*"], "expires_in_days": 1 });
    let short = world.manage_as(&world.key(project, &fields).1);
    let wish =
        json!({ "project_id": project, "name": name("child"), "kind": "management", "permissions": ["keys.read"] });
    let (status, child) = short.post("/v1/keys", &wish);
    assert_eq!(status, 201, "{child}");
    let mut longer = wish;
    longer["expires_in_days"] = 2.into();
    assert_eq!(short.post("/v1/keys", &longer).0, 403);
    // What a secret key may do is the business of the APIs that it calls.
    let secret = json!({ "project_id": project, "name": name("secret"), "permissions": ["*"] });
    assert_eq!(narrow.post("/v1/keys", &secret).0, 201);
}

#[test]
fn k14_a_management_key_widens_neither_its_own_end_nor_its_own_networks() {
    let world = shared();
    let here = json!({ "networks": { "allow": ["127.0.0.0/8"] } });
    let soon = "2030-01-31T00:00:00Z";
    let bounds = [json!({ "restrictions": here, "expires_at": null }), json!({ "expires_at": soon })];
    let mut widened = Vec::new();
    for bound in bounds {
        let mut fields = json!({ "kind": "management", "permissions": ["keys.*"] });
        for (name, value) in bound.as_object().unwrap() {
            fields[name] = value.clone();
        }
        let (own, text) = world.key(&world.installation.project_id, &fields);
        let bounded = world.manage_as(&text);
        let wider =
            if bound["expires_at"].is_null() { json!({ "restrictions": {} }) } else { json!({ "expires_at": null }) };
        if bounded.patch(&format!("/v1/keys/{own}"), &wider).0 != 403 {
            widened.push(format!("PATCH of itself with {wider}"));
        }
        let mut child = json!({
            "project_id": world.installation.project_id, "name": name("child"), "kind": "management",
            "permissions": ["keys.*"], "expires_at": null,
        });
        if bound.get("restrictions").is_none() {
            child["restrictions"] = json!({});
        }
        if bounded.post("/v1/keys", &child).0 != 403 {
            widened.push(format!("a new management key beyond {bound}"));
        }
    }
    assert_eq!(widened, Vec::<String>::new());
}

#[test]
fn k14_a_restricted_management_key_makes_narrower_ones_and_no_wider_ones() {
    let world = shared();
    let project = &world.installation.project_id;
    let day = |from: &str, until: &str| json!({ "time_zone": "UTC", "windows": [{ "from": from, "until": until }] });
    let own = json!({
        "networks": { "allow": ["127.0.0.0/8", "10.0.0.0/8"] }, "times": day("00:00", "24:00"),
        "referrers": ["https://app.example.com"], "shadow": ["referrers"],
    });
    let fields = json!({ "kind": "management", "permissions": ["keys.*"], "restrictions": own });
    let bounded = world.manage_as(&world.key(project, &fields).1);
    let with = |changes: Value| {
        let mut restrictions = json!({ "networks": { "allow": ["127.0.0.1"] }, "times": day("08:00", "18:00") });
        for (name, value) in changes.as_object().unwrap() {
            restrictions[name] = value.clone();
        }
        let wish = json!({ "project_id": project, "name": name("child"), "kind": "management",
            "permissions": ["keys.read"], "restrictions": restrictions });
        bounded.post("/v1/keys", &wish)
    };
    for narrower in [
        json!({}),
        json!({ "countries": { "allow": ["DE"] } }),
        json!({ "networks": { "allow": ["127.0.0.0/8"], "deny": ["127.0.0.2"] } }),
    ] {
        let (status, made) = with(narrower.clone());
        assert_eq!(status, 201, "{narrower}: {made}");
    }
    for (wider, rule) in [
        (json!({ "networks": { "allow": ["127.0.0.1", "11.0.0.1"] } }), "networks"),
        (json!({ "networks": { "deny": ["11.0.0.1"] } }), "networks"),
        (json!({ "networks": null }), "networks"),
        (json!({ "shadow": ["networks"] }), "networks"),
        (json!({ "times": null }), "times"),
        (
            json!({ "times": { "time_zone": "Europe/Berlin", "windows": [{ "from": "08:00", "until": "18:00" }] } }),
            "times",
        ),
        (json!({ "shadow": ["times"] }), "times"),
    ] {
        let (status, problem) = with(wider.clone());
        assert_eq!((status, &problem["code"]), (403, &json!("permission_missing")), "{wider}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(rule), "{problem}");
    }
}

#[test]
fn a_management_key_takes_no_restriction_by_which_this_api_does_not_judge() {
    let world = shared();
    for (name, value) in [
        ("methods", json!(["GET"])),
        ("paths", json!(["/v1/**"])),
        ("formats", json!({ "max_body_bytes": 10 })),
        ("certificates", json!(["01".repeat(32)])),
    ] {
        let wish = json!({ "project_id": world.installation.project_id, "name": "m", "kind": "management",
            "restrictions": { name: value } });
        let (status, told) = world.manage().post("/v1/keys", &wish);
        assert!(status == 400 && told["detail"].as_str().unwrap().contains(&format!("restricted in {name}")), "{told}");
    }
}

#[test]
fn z07_a_change_of_rights_holds_for_the_next_request() {
    let world = shared();
    let (id, text) =
        world.key(&world.installation.project_id, &json!({ "kind": "management", "permissions": ["usage.read"] }));
    let holder = world.manage_as(&text);
    for _ in 0..20 {
        for (rights, status) in [(json!(["usage.read"]), 200), (json!([]), 403)] {
            assert_eq!(world.manage().patch(&format!("/v1/keys/{id}"), &json!({ "permissions": rights })).0, 200);
            assert_eq!(holder.get("/v1/usage?limit=1").0, status, "{rights}");
        }
    }
}

#[test]
fn an_id_of_another_kind_or_of_nothing_is_not_found() {
    let world = shared();
    let things = Things::of(world);
    let manage = world.manage();
    for route in routes(&document(world)).iter().filter(|route| route.has_id()) {
        let (prefix, _) = route
            .path(&things)
            .split_once('_')
            .map(|(a, b)| (a.rsplit('/').next().unwrap().to_owned(), b.to_owned()))
            .unwrap();
        let nothing = route.at(&format!("{prefix}_2Zk9mQ4tR7vX1bN6cL8dF3"));
        for path in
            [route.strange_path(&things), nothing, route.at("x"), route.at("%20"), route.at(&format!("{prefix}_"))]
        {
            let body: &[u8] = if route.takes_json() { b"{}" } else { b"" };
            let fields: &[(&str, &str)] = if body.is_empty() { &[] } else { &[("content-type", "application/json")] };
            let answer = route.holder(world, &things).request(&route.method, &path, fields, body);
            assert_eq!(answer.status, 404, "{} at {path}: {}", route.title(), answer.text());
            problem(&answer, 404, "not_found");
        }
    }
    let strange = [
        ("/v1/keys", json!({ "project_id": world.installation.api_id, "name": "x" }), 400),
        ("/v1/keys", json!({ "project_id": "prj_2Zk9mQ4tR7vX1bN6cL8dF3", "name": "x" }), 404),
        (
            "/v1/activations",
            json!({ "project_id": world.installation.project_id, "api_id": world.installation.key_id }),
            400,
        ),
        (
            "/v1/activations",
            json!({ "project_id": world.installation.project_id, "api_id": "api_2Zk9mQ4tR7vX1bN6cL8dF3" }),
            404,
        ),
    ];
    for (path, body, status) in strange {
        let (answered, problem): (u16, Value) = manage.post(path, &body);
        assert_eq!(answered, status, "{path} {body}: {problem}");
    }
}
