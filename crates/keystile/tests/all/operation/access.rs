//! Who may call what: activations and projects in every state, environments, what was granted, how many keys there may
//! be, and the overview of all that (K4, K5, K12, K13, K32, K43).

use keystile_testkit::Installation;
use serde_json::{Value, json};

use super::form::{moment, problem};
use super::process::{keystile, run};
use super::world::{BINARY, Caller, World, id, shared};

/// What both doors say to a call: a code, the same one.
#[track_caller]
fn both(world: &World, caller: &Caller) -> String {
    let called = world.call(&caller.key, "GET", &caller.path);
    let gateway = if called.status == 200 { "allowed".to_owned() } else { called.code() };
    let path = &caller.path;
    let question = json!({ "key": caller.key, "api": caller.api, "operation": { "method": "GET", "path": path } });
    let verified = world.verify(&question);
    assert_eq!(verified.code(), gateway, "{}", verified.text());
    if gateway != "allowed" {
        assert!(called.status == 403 && !problem(&called, 403, &gateway).is_empty(), "{}", called.text());
    }
    gateway
}

#[track_caller]
fn act(world: &World, path: &str, body: &Value) -> Value {
    let (status, done) = world.manage().post(path, body);
    assert_eq!(status, 200, "{path}: {done}");
    done
}

#[test]
fn every_state_is_answered_at_once_and_alike_by_gateway_and_verification() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let link = format!("/v1/activations/{}", caller.activation);
    let (api, project) = (format!("/v1/apis/{}", caller.api), format!("/v1/projects/{}", caller.project));
    for (path, code) in [
        (format!("{link}/suspend"), "suspended"),
        (format!("{link}/refuse"), "not_activated"),
        (format!("{link}/request"), "not_activated"),
        (format!("{link}/approve"), "allowed"),
        (format!("{api}/disable"), "api_inactive"),
        // Who is suspended hears that, whatever else is so.
        (format!("{project}/suspend"), "suspended"),
        (format!("{api}/enable"), "suspended"),
        (format!("{link}/suspend"), "suspended"),
        (format!("{project}/resume"), "suspended"),
        (format!("{project}/resume"), "suspended"),
        (format!("{link}/approve"), "allowed"),
    ] {
        act(world, &path, &json!({}));
        assert_eq!(both(world, &caller), code, "{path}");
    }
    assert_eq!(world.manage().delete(&link).0, 204);
    assert_eq!(both(world, &caller), "not_activated");
}

#[test]
fn a_suspended_project_is_refused_at_every_api_and_alone() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let (other, path) = world.api();
    let link = json!({ "project_id": caller.project, "api_id": other });
    world.manage().create("/v1/activations", &link);
    let elsewhere = Caller { api: other, path, ..world.caller(&json!({})) };
    let elsewhere = Caller { key: caller.key.clone(), ..elsewhere };
    assert_eq!([both(world, &caller), both(world, &elsewhere)], ["allowed"; 2]);
    let project = format!("/v1/projects/{}", caller.project);
    let told = act(world, &format!("{project}/suspend"), &json!({ "reason": "not paid" }));
    assert_eq!((&told["state"], &told["suspended_reason"]), (&json!("suspended"), &json!("not paid")));
    moment(told["suspended_at"].as_str().unwrap());
    assert_eq!([both(world, &caller), both(world, &elsewhere)], ["suspended"; 2]);
    assert_eq!(world.verify(&json!({ "key": caller.key })).code(), "suspended");
    let told = act(world, &format!("{project}/resume"), &json!({}));
    assert_eq!((&told["state"], &told["suspended_at"]), (&json!("active"), &Value::Null));
    assert_eq!([both(world, &caller), both(world, &elsewhere)], ["allowed"; 2]);

    // A management key is refused like every other, and nobody locks out himself.
    let (holder, _) = world.key(&caller.project, &json!({ "kind": "management", "permissions": ["*"] }));
    let (_, text) = world.key(&caller.project, &json!({ "kind": "management", "permissions": ["*"] }));
    assert!(holder.starts_with("key_"));
    let of_project = world.manage_as(&text);
    let (status, told) = of_project.post(&format!("{project}/suspend"), &json!({}));
    assert_eq!(status, 409, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("use one of another project"), "{told}");
    act(world, &format!("{project}/suspend"), &json!({}));
    problem(&of_project.request("GET", "/v1/projects", &[], b""), 403, "suspended");
    for wrong in [json!({ "reason": "x".repeat(501) }), json!({ "reason": "a\nb" }), json!({ "why": "" })] {
        assert_eq!(world.manage().post(&format!("{project}/suspend"), &wrong).0, 400, "{wrong}");
    }
}

#[test]
fn keys_of_another_environment_are_refused() {
    let world = shared();
    let manage = world.manage();
    let (api, path) = world.api();
    let of = |environment: &str| {
        let project = id(&manage.create("/v1/projects", &json!({ "name": environment, "environment": environment })));
        let link = manage.create("/v1/activations", &json!({ "project_id": project, "api_id": api }));
        let (key_id, key) = world.key(&project, &json!({}));
        assert!(key.starts_with(&format!("ks_{environment}_")));
        Caller { api: api.clone(), path: path.clone(), project, activation: id(&link), id: key_id, key }
    };
    let callers = [of("live"), of("test")];
    let change =
        |environments: Value| manage.patch(&format!("/v1/apis/{api}"), &json!({ "environments": environments }));
    for (environments, expected) in [
        (json!(["live", "test"]), ["allowed", "allowed"]),
        (json!(["live"]), ["allowed", "environment_forbidden"]),
        (json!(["test"]), ["environment_forbidden", "allowed"]),
        (json!(["test", "live"]), ["allowed", "allowed"]),
    ] {
        assert_eq!(change(environments.clone()).0, 200);
        assert_eq!(callers.each_ref().map(|caller| both(world, caller)), expected, "{environments}");
    }
    for wrong in [json!([]), json!(["prod"]), json!("live"), Value::Null] {
        let (status, told) = change(wrong.clone());
        assert_eq!(status, 400, "{wrong}: {told}");
    }
    // The upstream learns which it is, and from nobody else.
    for (caller, environment) in callers.iter().zip(["live", "test"]) {
        let fields = [("x-consumer-environment", "forged"), ("authorization", &*format!("Bearer {}", caller.key))];
        let gateway = keystile_testkit::Api::new(world.installation.gateway, &caller.key);
        let seen = gateway.request("GET", &caller.path, &fields, b"").json();
        assert_eq!(seen["headers"]["x-consumer-environment"], environment, "{seen}");
    }
    // What could let nobody through is not made; nor approved again.
    assert_eq!(change(json!(["live"])).0, 200);
    let project = id(&manage.create("/v1/projects", &json!({ "name": "trials", "environment": "test" })));
    let (status, told) = manage.post("/v1/activations", &json!({ "project_id": project, "api_id": api }));
    assert_eq!(status, 409, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("use a live project, or have test added"), "{told}");
    assert_eq!(manage.post(&format!("/v1/activations/{}/approve", callers[1].activation), &json!({})).0, 409);
}

#[test]
fn what_is_asked_for_is_shown_and_what_is_granted_bounds_every_key() {
    let world = shared();
    let manage = world.manage();
    let (api, path) = world.api();
    let document = json!({
        "openapi": "3.1.0", "info": { "title": "Pets", "version": "1" },
        "paths": {
            format!("{path}/pets"): {
                "get": { "x-keystile-permission": "pets.read" },
                "post": { "x-keystile-permission": "pets.write AND (admin OR shop)" }
            },
        }
    });
    let wish = json!({ "openapi": document, "unknown_operations": "refuse", "operation_permissions": "extension" });
    assert_eq!(manage.patch(&format!("/v1/apis/{api}"), &wish).0, 200);
    let project = world.project();
    let wish = json!({ "project_id": project, "api_id": api, "permissions": ["pets.read", "pets.read"], "note": "Read\nonly" });
    let link = manage.create("/v1/activations", &wish);
    assert_eq!((&link["requested_permissions"], &link["note"]), (&json!(["pets.read"]), &json!("Read\nonly")));
    assert_eq!(link["granted_permissions"], json!(["pets.read"]), "it is the caller's own API");
    let link = format!("/v1/activations/{}", id(&link));
    let (_, key) = world.key(&project, &json!({ "permissions": ["pets.*", "shop"] }));
    let ask = |method: &str| {
        let operation = json!({ "method": method, "path": format!("{path}/pets") });
        let verified = world.verify(&json!({ "key": key, "api": api, "operation": operation })).json();
        let called = world.call(&key, method, &format!("{path}/pets"));
        let code = if called.status == 200 { "allowed".to_owned() } else { called.code() };
        assert_eq!(verified["code"], code, "{verified}");
        (verified["permissions"].clone(), verified["missing_permissions"].clone(), called.json()["detail"].clone())
    };
    let granted = |detail: &str| {
        json!(format!("The project was not granted the permission {detail} at this API. Ask the API's owner."))
    };
    assert_eq!(ask("GET"), (json!(["pets.read"]), Value::Null, Value::Null));
    let missing = "pets.write AND (admin OR shop)";
    assert_eq!(ask("POST"), (json!(["pets.read"]), json!(missing), granted(missing)));
    assert_eq!(
        world.verify(&json!({ "key": key })).json()["permissions"],
        json!(["pets.*", "shop"]),
        "elsewhere it has all"
    );
    let question = json!({ "key": key, "api": api, "permissions": "pets.read AND pets.write" });
    assert_eq!(world.verify(&question).json()["missing_permissions"], "pets.write");

    // Half of it does not answer the question: shop alone is not pets.write, nor pets.* either of the two others.
    let approve = |body: Value| act(world, &format!("{link}/approve"), &body);
    approve(json!({ "permissions": ["pets.*", "admin"] }));
    assert_eq!(ask("POST"), (json!(["pets.*"]), json!("admin OR shop"), granted("admin OR shop")));
    let told = approve(json!({ "permissions": ["*"], "reason": "trusted" }));
    assert_eq!((&told["granted_permissions"], &told["reason"]), (&json!(["*"]), &json!("trusted")));
    assert_eq!(ask("POST"), (json!(["pets.*", "shop"]), Value::Null, Value::Null));
    // Kept while it is suspended; nothing that is not granted is what the key has.
    assert_eq!(approve(json!({ "permissions": [] }))["granted_permissions"], json!([]));
    assert_eq!(ask("GET"), (json!([]), json!("pets.read"), granted("pets.read")));
    act(world, &format!("{link}/suspend"), &json!({}));
    assert_eq!(approve(json!({}))["granted_permissions"], json!([]));
    assert_eq!(approve(json!({ "permissions": null }))["granted_permissions"], Value::Null);
    assert_eq!(ask("POST").0, json!(["pets.*", "shop"]));

    // Refused, asked for once more with a narrower wish, and granted as it was asked.
    act(world, &format!("{link}/refuse"), &json!({ "reason": "too much" }));
    for wrong in
        [json!({ "permissions": ["a b"] }), json!({ "permissions": "a" }), json!({ "note": "x".repeat(2_001) })]
    {
        let (status, told) = manage.post(&format!("{link}/request"), &wrong);
        assert_eq!(status, 400, "{wrong}: {told}");
    }
    let told = act(world, &format!("{link}/request"), &json!({ "permissions": ["pets.list", "pets.read"] }));
    assert_eq!((&told["state"], &told["note"]), (&json!("requested"), &json!("Read\nonly")));
    assert_eq!((&told["reason"], &told["granted_permissions"]), (&json!("too much"), &Value::Null));
    let (status, again) = manage.post(&format!("{link}/request"), &json!({}));
    assert!(status == 409 && again["detail"].as_str().unwrap().contains("this is requested"), "{again}");
    assert_eq!(approve(json!({}))["granted_permissions"], json!(["pets.list", "pets.read"]));
    assert_eq!(ask("GET").0, json!(["pets.list", "pets.read"]));
}

#[test]
fn a_project_gets_no_more_keys_than_it_may_have() {
    let world = shared();
    let manage = world.manage();
    let project = id(&manage.create("/v1/projects", &json!({ "name": "bounded", "max_keys": 2 })));
    let wish = json!({ "project_id": project, "name": "one" });
    let made = manage.create("/v1/keys", &wish);
    manage.create("/v1/keys", &wish);
    let full = |status: u16, told: Value| {
        assert_eq!((status, &told["code"]), (409, &json!("conflict")), "{told}");
        let detail = told["detail"].as_str().unwrap();
        assert!(detail.contains("may have 2 keys") && detail.contains("revoke or delete"), "{detail}");
    };
    let (status, told) = manage.post("/v1/keys", &wish);
    full(status, told);
    let import = format!("/v1/keys/import?project_id={project}");
    let line = b"{\"key\":\"9b2c41d07fe84a63b5d8e0f1a2c39d47\"}\n";
    let refused = manage.request("POST", &import, &[("content-type", "application/x-ndjson")], line);
    full(refused.status, refused.json());
    act(world, &format!("/v1/keys/{}/revoke", id(&made)), &json!({}));
    manage.create("/v1/keys", &wish);
    let (status, told) = manage.post("/v1/keys", &wish);
    full(status, told);
    assert_eq!(manage.patch(&format!("/v1/projects/{project}"), &json!({ "max_keys": null })).0, 200);
    manage.create("/v1/keys", &wish);
}

#[test]
fn a_server_bounds_the_keys_of_all_its_projects() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "data = {:?}\n[gateway]\nlisten = \"127.0.0.1:0\"\n[check]\nlisten = \"127.0.0.1:0\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\nmax_keys_per_project = 2\nmax_keys_per_organization = 4\n",
        folder.path().join("data").display().to_string()
    );
    // One of them is the first management key.
    let manage = Installation::serve(BINARY, &config, folder.path());
    let manage = manage.api();
    let make = |project: &str| manage.post("/v1/keys", &json!({ "project_id": project, "name": "one" }));
    let project = |most: Value| id(&manage.create("/v1/projects", &json!({ "name": "a", "max_keys": most })));
    let (first, second) = (project(json!(100)), project(Value::Null));
    assert_eq!([make(&first).0, make(&first).0, make(&first).0], [201, 201, 409]);
    assert_eq!(make(&second).0, 201);
    let (status, told) = make(&second);
    assert_eq!(status, 409, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("the organization may have 4 keys"), "{told}");
}

#[test]
fn the_overview_says_who_may_call_what_since_when_and_when_they_last_did() {
    let world = shared();
    let manage = world.manage();
    let caller = world.caller(&json!({}));
    let line = |query: &str| {
        let (status, list) = manage.get(&format!("/v1/access?{query}"));
        assert_eq!(status, 200, "{list}");
        list["items"].as_array().unwrap().clone()
    };
    let own = format!("project_id={}", caller.project);
    let before = line(&own);
    assert_eq!((before.len(), &before[0]["last_used_at"], &before[0]["calls_30_days"]), (1, &Value::Null, &json!(0)));
    for _ in 0..3 {
        assert_eq!(world.call(&caller.key, "GET", &caller.path).status, 200);
    }
    world.key(&caller.project, &json!({}));
    let (revoked, _) = world.key(&caller.project, &json!({}));
    act(world, &format!("/v1/keys/{revoked}/revoke"), &json!({}));
    let (_, project) = manage.get(&format!("/v1/projects/{}", caller.project));
    let (_, api) = manage.get(&format!("/v1/apis/{}", caller.api));
    let (_, link) = manage.get(&format!("/v1/activations/{}", caller.activation));
    let lines = line(&own);
    let last = moment(lines[0]["last_used_at"].as_str().unwrap());
    let expected = json!({
        "id": caller.activation, "project_id": caller.project, "project_name": project["name"],
        "project_organization_id": project["organization_id"],
        "project_organization_name": lines[0]["project_organization_name"],
        "environment": "live", "project_suspended": false, "api_id": caller.api, "api_name": api["name"],
        "api_organization_id": project["organization_id"], "state": "approved", "since": link["judged_at"],
        "judged_by": link["judged_by"], "granted_permissions": null, "active_keys": 2,
        "last_used_at": lines[0]["last_used_at"], "calls_30_days": 3,
    });
    assert_eq!(lines, [expected]);
    let now = moment(link["judged_at"].as_str().unwrap());
    assert!((-1..=20).contains(&(last.as_secs() - now.as_secs())), "to the second: {last} {now}");
    assert_eq!(last.as_micros() % 1_000_000, 0, "{last}");
    // Refused calls are uses too.
    act(world, &format!("/v1/activations/{}/suspend", caller.activation), &json!({}));
    world.call(&caller.key, "GET", &caller.path);
    let suspended = line(&format!("api_id={}&state=suspended", caller.api));
    assert_eq!((suspended.len(), &suspended[0]["calls_30_days"]), (1, &json!(4)));
    assert_eq!(line(&format!("api_id={}&state=approved", caller.api)).len(), 0);
    for wrong in ["state=open", "project=x", "limit=0", "project_id=api_1"] {
        assert_eq!(manage.get(&format!("/v1/access?{wrong}")).0, 400, "{wrong}");
    }
}

#[test]
fn access_is_asked_for_granted_and_looked_over_from_the_command_line() {
    let world = shared();
    let manage = world.manage();
    let shell = |args: &[&str]| {
        let mut command = keystile(args);
        command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
        let ended = run(&mut command);
        assert_eq!(ended.code, 0, "{args:?}: {}{}", ended.out, ended.err);
        ended.out
    };
    let told = |args: &[&str]| serde_json::from_str::<Value>(&shell(&[args, &["--json"]].concat())).unwrap();
    let name = super::world::name("labelled");
    let label = format!("team:{name}");
    let project = told(&[
        "project",
        "create",
        "--name",
        &name,
        "--label",
        &label,
        "--label",
        "tier-1",
        "--max-keys",
        "9",
        "--metadata",
        "{\"plan\":\"gold\"}",
        "--environment",
        "test",
    ]);
    assert_eq!((&project["labels"], &project["max_keys"]), (&json!([label, "tier-1"]), &json!(9)));
    assert_eq!(project["metadata"], json!({ "plan": "gold" }));
    assert_eq!(shell(&["project", "list", "--label", &label, "--quiet"]), format!("{}\n", id(&project)));
    assert_eq!(shell(&["project", "list", "--label", &label, "--label", "none", "--quiet"]), "");
    let (api, _) = world.api();
    let narrowed = told(&["api", "update", &api, "--environment", "test", "--approval", "automatic"]);
    assert_eq!((&narrowed["environments"], &narrowed["approval"]), (&json!(["test"]), &json!("automatic")));
    let wish = ["--permission", "pets.*", "--permission", "pets.read", "--note", "For the shop"];
    let link = told(&[&["activation", "create", "--project", &name, "--api", &api][..], &wish].concat());
    let link = id(&link);
    told(&["activation", "refuse", &link, "--reason", "too much"]);
    told(&["activation", "request", &link, "--permission", "pets.read"]);
    let listed = shell(&["activation", "list", "--project", &name]);
    assert!(listed.contains("asks for pets.read") && listed.contains("too much"), "{listed}");
    let card = shell(&["activation", "show", &link]);
    assert!(card.contains("For the shop") && card.contains("requested permissions  pets.read"), "{card}");
    told(&["activation", "approve", &link, "--reason", "fine"]);
    world.key(&id(&project), &json!({}));
    let table = shell(&["access", "--project", &name, "--state", "approved"]);
    let columns =
        ["PROJECT", "ENVIRONMENT", "API", "STATE", "SINCE", "BY", "PERMISSIONS", "KEYS", "LAST USED", "CALLS, 30 DAYS"];
    let (titles, row) = table.split_once('\n').unwrap();
    assert!(columns.iter().all(|column| titles.contains(column)), "{titles}");
    let (_, kept) = manage.get(&format!("/v1/activations/{link}"));
    for word in [&*name, "test", "approved", "pets.read", "never", kept["judged_by"].as_str().unwrap()] {
        assert!(row.contains(word), "{word} in {table}");
    }
    assert_eq!(shell(&["access", "--api", &api, "--quiet"]), format!("{link}\n"));
    assert_eq!(told(&["project", "suspend", &name, "--reason", "not paid"])["state"], "suspended");
    assert!(shell(&["access", "--project", &name]).contains("approved; project suspended"));
    assert_eq!(told(&["project", "resume", &name])["state"], "active");
    assert_eq!(told(&["project", "update", &name, "--no-labels", "--max-keys", "0"])["max_keys"], Value::Null);
}
