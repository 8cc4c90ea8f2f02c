//! Roles: what they grant is granted at once at both doors, to no management key, and is lost with them (issue 4).

use keystile_testkit::{Api, Installation};
use serde_json::{Value, json};

use super::form::problem;
use super::process::{end, keystile, run};
use super::world::{BINARY, Caller, World, id, name, shared};

/// A role that grants this.
fn role(world: &World, permissions: &[&str]) -> (String, String) {
    let made = world.manage().create("/v1/roles", &json!({ "name": name("role"), "permissions": permissions }));
    (id(&made), made["name"].as_str().unwrap().to_owned())
}

/// A caller of an API whose operations need `pets.read` and `pets.write`.
fn caller(world: &World, fields: &Value) -> Caller {
    let caller = world.caller(fields);
    let needs = |permission: &str| json!({ "x-keystile-permission": permission });
    let paths = json!({ "/pets": { "get": needs("pets.read"), "post": needs("pets.write") }, "/free": { "get": {} } });
    let document = json!({ "openapi": "3.1.0", "info": { "title": "Pets", "version": "1" }, "paths": paths });
    let changes = json!({
        "openapi": document, "operation_permissions": "extension", "unknown_operations": "refuse",
        "strip_prefix": true,
    });
    let (status, changed) = world.manage().patch(&format!("/v1/apis/{}", caller.api), &changes);
    assert_eq!(status, 200, "{changed}");
    caller
}

/// Whether both doors let a read and a write through, which they must agree in.
#[track_caller]
fn may(world: &World, caller: &Caller) -> [bool; 2] {
    ["GET", "POST"].map(|method| {
        let path = format!("{}/pets", caller.path);
        let called = world.call(&caller.key, method, &path);
        let operation = json!({ "method": method, "path": "/pets" });
        let verified = world.verify(&json!({ "key": caller.key, "api": caller.api, "operation": operation })).json();
        assert_eq!(verified["allowed"], called.status == 200, "{verified} and {}", called.text());
        assert!(called.status == 200 || called.code() == "permission_missing", "{}", called.text());
        called.status == 200
    })
}

fn change(manage: &Api, path: &str, body: &Value) -> Value {
    let (status, changed) = manage.patch(path, body);
    assert_eq!(status, 200, "{path} {body}: {changed}");
    changed
}

#[test]
fn a_role_that_changes_changes_what_its_keys_may_do_from_the_next_call_on() {
    let world = shared();
    let manage = world.manage();
    let ((reader, reader_name), (writer, writer_name)) = (role(world, &["pets.read"]), role(world, &[]));
    let caller = caller(world, &json!({ "roles": [reader_name, writer], "permissions": ["own"] }));
    let shown = manage.get(&format!("/v1/keys/{}", caller.id)).1;
    let mut ids = [reader.clone(), writer.clone()];
    ids.sort_unstable();
    let mut held: Vec<&str> = shown["roles"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    held.sort_unstable();
    assert_eq!((held, &shown["permissions"]), (ids.iter().map(String::as_str).collect(), &json!(["own"])), "{shown}");
    assert_eq!(may(world, &caller), [true, false]);

    for (granted, expected) in [(&["pets.*"][..], [true, true]), (&["pets.write"], [true, true]), (&[], [true, false])]
    {
        change(&manage, &format!("/v1/roles/{writer}"), &json!({ "permissions": granted }));
        assert_eq!(may(world, &caller), expected, "{granted:?}");
    }
    for _ in 0..20 {
        for (granted, expected) in [(json!([]), [false, false]), (json!(["*"]), [true, true])] {
            change(&manage, &format!("/v1/roles/{reader}"), &json!({ "permissions": granted }));
            assert_eq!(may(world, &caller), expected, "{granted}");
        }
    }
    change(&manage, &format!("/v1/roles/{reader}"), &json!({ "permissions": ["pets.read", "pets.read", "a"] }));
    let verified = world.verify(&json!({ "key": caller.key })).json();
    assert_eq!(verified["permissions"], json!(["a", "own", "pets.read"]), "what the key and its roles grant");
    let mut names = [reader_name, writer_name];
    names.sort_unstable();
    assert_eq!(verified["roles"], json!(names));

    // A key loses a role as it got it, and what was not said of stays.
    change(&manage, &format!("/v1/keys/{}", caller.id), &json!({ "name": "renamed" }));
    assert_eq!(may(world, &caller), [true, false]);
    change(&manage, &format!("/v1/keys/{}", caller.id), &json!({ "roles": [writer] }));
    assert_eq!(may(world, &caller), [false, false]);
    assert_eq!(world.verify(&json!({ "key": "an-unknown-key-of-another-format-123456" })).json()["roles"], json!([]));
}

#[test]
fn what_a_project_was_granted_bounds_what_roles_grant() {
    let world = shared();
    let (all, _) = role(world, &["*"]);
    let caller = caller(world, &json!({ "roles": [all] }));
    assert_eq!(may(world, &caller), [true, true]);
    let (status, granted) = world
        .manage()
        .post(&format!("/v1/activations/{}/approve", caller.activation), &json!({ "permissions": ["pets.read"] }));
    assert_eq!(status, 200, "{granted}");
    assert_eq!(may(world, &caller), [true, false]);
}

#[test]
fn a_role_in_use_is_deleted_only_where_its_keys_are_to_lose_it() {
    let world = shared();
    let manage = world.manage();
    let (reader, reader_name) = role(world, &["pets.read"]);
    let caller = caller(world, &json!({ "roles": [reader_name] }));
    let path = format!("/v1/roles/{reader}");
    let refused = manage.request("DELETE", &path, &[], b"");
    let detail = problem(&refused, 409, "conflict");
    assert!(detail.contains("1 key has this role;") && detail.contains("from_keys=true"), "{detail}");
    assert_eq!(may(world, &caller), [true, false]);
    assert_eq!(manage.delete(&format!("{path}?from_keys=true")).0, 204);
    assert_eq!(may(world, &caller), [false, false]);
    assert_eq!(manage.get(&path).0, 404);
    assert_eq!(manage.get(&format!("/v1/keys/{}", caller.id)).1["roles"], json!([]));
    let (unused, _) = role(world, &["pets.read"]);
    assert_eq!(manage.delete(&format!("/v1/roles/{unused}")).0, 204);
}

#[test]
fn k14_a_management_key_takes_no_role() {
    let world = shared();
    let manage = world.manage();
    let (everything, _) = role(world, &["*"]);
    let project = &world.installation.project_id;
    let wish = json!({ "project_id": project, "name": name("m"), "kind": "management", "roles": [everything] });
    let (status, refused) = manage.post("/v1/keys", &wish);
    assert_eq!((status, &refused["code"]), (400, &json!("invalid")), "{refused}");
    assert!(refused["detail"].as_str().unwrap().starts_with("A management key takes no roles"), "{refused}");
    let (own, text) = world.key(project, &json!({ "kind": "management", "permissions": ["roles.*", "keys.*"] }));
    let narrow = world.manage_as(&text);
    assert_eq!(narrow.patch(&format!("/v1/keys/{own}"), &json!({ "roles": [everything] })).0, 400);
    assert_eq!(narrow.get("/v1/apis").0, 403);
}

#[test]
fn names_are_words_that_only_one_role_has() {
    let world = shared();
    let manage = world.manage();
    let (reader, reader_name) = role(world, &["pets.read"]);
    for (body, status) in [
        (json!({ "name": reader_name }), 409),
        (json!({ "name": "two words" }), 400),
        (json!({ "name": reader }), 400),
        (json!({ "name": name("r"), "permissions": ["pets read"] }), 400),
        (json!({ "name": name("r"), "permissions": (0..257).map(|n| format!("p{n}")).collect::<Vec<_>>() }), 400),
        (json!({}), 400),
    ] {
        let (answered, told) = manage.post("/v1/roles", &body);
        assert_eq!(answered, status, "{body}: {told}");
    }
    let found = manage.get(&format!("/v1/roles?name={reader_name}")).1;
    assert_eq!(found["items"][0]["id"], json!(reader));
    let project = world.project();
    for (roles, status) in [
        (json!(["never-made"]), 404),
        (json!(["rol_2Zk9mQ4tR7vX1bN6cL8dF3"]), 404),
        (json!(["two words"]), 400),
        (json!("reader"), 400),
        (json!([reader_name, reader]), 201),
    ] {
        let (answered, told) = manage.post("/v1/keys", &json!({ "project_id": project, "name": "k", "roles": roles }));
        assert_eq!(answered, status, "{roles}: {told}");
        assert!(status != 404 || told["detail"].as_str().unwrap().contains("GET /v1/roles lists them"), "{told}");
    }
    let many: Vec<String> = (0..17).map(|_| role(world, &[]).0).collect();
    let (status, told) = manage.post("/v1/keys", &json!({ "project_id": project, "name": "k", "roles": many }));
    assert!(status == 400 && told["detail"].as_str().unwrap().contains("at most 16 roles"), "{told}");
}

#[test]
fn roles_outlive_a_restart_and_come_with_imported_keys() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let start = || Installation::start(BINARY, &["--data", data.to_str().unwrap()]);
    let mut world = World::of(start(), None);
    let (_, reader_name) = role(&world, &["pets.read"]);
    let project = world.project();
    let policy = format!("%7B%22roles%22:[%22{reader_name}%22]%7D");
    let path = format!("/v1/keys/import?project_id={project}&policy={policy}");
    let line = br#"{"key":"brought-along-7f3Kq9LmZx2Vb8Rt","name":"brought"}"#;
    let imported = world.manage().request("POST", &path, &[("content-type", "application/x-ndjson")], line);
    assert_eq!(imported.json()["imported"], 1, "{}", imported.text());
    let question = json!({ "key": "brought-along-7f3Kq9LmZx2Vb8Rt", "permissions": "pets.read" });
    assert_eq!(world.verify(&question).code(), "allowed");
    let management_key = world.management_key().to_owned();
    assert!(end(&mut world.installation).0.success());
    let world = World::of(start(), Some(&management_key));
    let verified = world.verify(&question).json();
    assert_eq!((&verified["code"], &verified["roles"]), (&json!("allowed"), &json!([reader_name])));
}

#[test]
fn the_command_line_makes_gives_and_takes_roles() {
    let world = shared();
    let project = world.project();
    let does = |args: &[&str]| {
        let mut command = keystile(args);
        command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
        run(&mut command)
    };
    let reader = name("reader");
    let made = does(&["role", "create", "--name", &reader, "--permission", "pets.read", "--description", "reads"]);
    assert_eq!(made.code, 0, "{made:?}");
    let key = does(&["key", "create", "--project", &project, "--name", "roled", "--role", &reader]);
    assert_eq!(key.code, 0, "{key:?}");
    let asked = |permission: &str| world.verify(&json!({ "key": key.out.trim(), "permissions": permission })).code();
    assert_eq!(asked("pets.read"), "allowed");
    let updated = does(&["role", "update", &reader, "--permission", "pets.write"]);
    assert_eq!(
        (updated.code, asked("pets.read").as_str(), asked("pets.write").as_str()),
        (0, "permission_missing", "allowed")
    );
    let listed = does(&["role", "list"]);
    assert!(listed.out.contains(&reader) && listed.out.contains("pets.write"), "{listed:?}");
    let refused = does(&["role", "delete", &reader, "--yes"]);
    assert!(refused.code != 0 && refused.err.contains("1 key has this role"), "{refused:?}");
    let taken = does(&["key", "update", "roled", "--project", &project, "--no-roles"]);
    assert_eq!((taken.code, asked("pets.write").as_str()), (0, "permission_missing"), "{taken:?}");
    assert_eq!(does(&["key", "update", "roled", "--project", &project, "--role", &reader]).code, 0);
    assert_eq!(does(&["role", "delete", &reader, "--from-keys", "--yes"]).code, 0);
    assert_eq!(asked("pets.write"), "permission_missing");
    assert_eq!(does(&["role", "show", &reader]).code, 5, "it is gone");
}

#[test]
fn what_was_granted_is_told_with_what_of_it_was_used() {
    let world = shared();
    let manage = world.manage();
    let ((reader, reader_name), (owner, owner_name)) =
        (role(world, &["pets.read"]), role(world, &["pets.*", "shop.sell"]));
    let caller = caller(world, &json!({ "permissions": ["pets.write", "pets.read"], "roles": [reader, owner] }));
    let told = |query: &str| {
        let (status, told) = manage.get(&format!("/v1/keys/{}/permissions{query}", caller.id));
        assert_eq!(status, 200, "{told}");
        told
    };
    let of = |told: &Value, permission: &str| -> Value {
        let all = told["permissions"].as_array().unwrap();
        all.iter().find(|one| one["permission"] == permission).unwrap_or_else(|| panic!("{permission}: {told}")).clone()
    };
    let nothing = told("");
    assert_eq!((&nothing["complete"], &nothing["unknown"]), (&json!(true), &json!([])), "{nothing}");
    assert_eq!(nothing["unused"], json!(["pets.*", "pets.read", "pets.write", "shop.sell"]));

    // Two reads, one through verification; a write that is refused for another reason, and what needs nothing.
    assert_eq!(world.call(&caller.key, "GET", &format!("{}/pets", caller.path)).status, 200);
    let read = json!({ "method": "GET", "path": "/pets" });
    assert_eq!(world.verify(&json!({ "key": caller.key, "api": caller.api, "operation": read })).code(), "allowed");
    assert_eq!(world.call(&caller.key, "GET", &format!("{}/free", caller.path)).status, 200);
    let used = told("");
    let pets_read = of(&used, "pets.read");
    assert_eq!((&pets_read["used"], &pets_read["calls"], &pets_read["own"]), (&json!(true), &json!(2), &json!(true)));
    assert_eq!(pets_read["roles"], json!([{ "id": reader, "name": reader_name }]));
    assert_eq!(pets_read["operations"][0]["operation"], "GET /pets");
    assert_eq!(pets_read["operations"][0]["api_id"], json!(caller.api));
    super::form::moment(pets_read["last_used_at"].as_str().unwrap());
    let all_pets = of(&used, "pets.*");
    assert_eq!((&all_pets["used"], &all_pets["own"]), (&json!(true), &json!(false)));
    assert_eq!(all_pets["roles"], json!([{ "id": owner, "name": owner_name }]));
    assert_eq!(used["unused"], json!(["pets.write", "shop.sell"]));
    assert_eq!(of(&used, "pets.write")["used"], json!(false));
    assert_eq!(told("?since=2026-01-01T00:00:00Z")["unused"], used["unused"]);

    // Where somebody asks without naming the operation, nothing can be said to be unused.
    let question = json!({ "key": caller.key, "api": caller.api, "permissions": "shop.sell" });
    assert_eq!(world.verify(&question).code(), "allowed");
    let unnamed = told("");
    assert_eq!((&unnamed["complete"], &unnamed["unused"]), (&json!(false), &Value::Null), "{unnamed}");
    assert!(unnamed["unknown"][0]["reason"].as_str().unwrap().contains("named no operation"), "{unnamed}");
    assert_eq!((&of(&unnamed, "shop.sell")["used"], &of(&unnamed, "pets.read")["used"]), (&Value::Null, &json!(true)));
}

#[test]
fn where_no_document_says_what_operations_need_nothing_is_called_unused() {
    let world = shared();
    let silent = world.caller(&json!({ "permissions": ["pets.read"] }));
    assert_eq!(world.call(&silent.key, "GET", &silent.path).status, 200);
    let (_, told) = world.manage().get(&format!("/v1/keys/{}/permissions", silent.id));
    assert_eq!(
        (&told["complete"], &told["unused"], &told["permissions"][0]["used"]),
        (&json!(false), &Value::Null, &Value::Null)
    );
    assert_eq!(told["unknown"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!(told["unknown"][0]["api_id"], json!(silent.api));
    assert!(told["unknown"][0]["reason"].as_str().unwrap().contains("operation_permissions"), "{told}");
    let path = format!("/v1/keys/{}/permissions", silent.id);
    assert_eq!(world.manage().get(&format!("{path}?since=2999-01-01T00:00:00Z")).0, 400);
    let mut command = keystile(&["key", "permissions", &silent.id, "--since", "7d"]);
    command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
    let shown = run(&mut command);
    assert!(shown.code == 0 && shown.out.contains("not known") && shown.err.contains("not all is known"), "{shown:?}");
}
