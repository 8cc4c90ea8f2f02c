//! Organizations, members, roles and invitations: who may do what, and what other organizations see (nothing).

use serde_json::{Value, json};

use super::form::problem;
use super::manage::routes::{Access, Route, Things, document, routes};
use super::world::{World, id, name, shared};

#[test]
fn a_member_does_what_the_role_says_and_nothing_else() {
    let world = shared();
    let things = Things::of(world);
    let (_, all) = world.manage().get("/v1/permissions");
    let covers = |granted: &Value, needed: &str| {
        granted.as_array().unwrap().iter().any(|one| {
            let one = one.as_str().unwrap();
            one == needed || one.strip_suffix('*').is_some_and(|stem| needed.starts_with(stem))
        })
    };
    for role in ["admin", "developer", "support", "auditor"] {
        let person = world.as_person(&world.person(role));
        let told = all["built_in_roles"].as_array().unwrap().iter().find(|one| one["name"] == role).unwrap();
        assert_eq!(person.get("/v1/whoami").1["permissions"], told["permissions"], "{role}");
        for route in routes(&document(world)) {
            let Access::Right(needed) = route.access() else { continue };
            let may = covers(&told["permissions"], &needed);
            if may && route.method != "GET" {
                continue;
            }
            let answer = route.ask(&person, &things);
            let refused = (answer.status, answer.code().as_str()) == (403, "permission_missing");
            assert_eq!(refused, !may, "{role} at {}: {}", route.title(), answer.text());
        }
    }
}

#[test]
fn k14_nobody_gives_more_than_they_have_nor_lays_hands_on_who_has_more() {
    let world = shared();
    let (owner, admin) = (world.person("owner"), world.person("admin"));
    let auditor = world.person("auditor");
    let api = world.as_person(&admin);
    let refused = |(status, answer): (u16, Value)| {
        assert_eq!((status, &answer["code"]), (403, &json!("permission_missing")), "{answer}");
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains("you lack") || detail.contains("yours"), "{answer}");
    };
    refused(api.post("/v1/invitations", &json!({ "role": "owner" })));
    refused(api.patch(&format!("/v1/members/{}", admin.member), &json!({ "role": "owner" })));
    refused(api.patch(&format!("/v1/members/{}", owner.member), &json!({ "role": "auditor" })));
    refused(api.delete(&format!("/v1/members/{}", owner.member)));
    refused(api.post(&format!("/v1/members/{}/reset_password", owner.member), &json!({})));
    for beyond in ["*", "encryption.write", "encryption.*", "organizations.write"] {
        refused(api.post("/v1/member_roles", &json!({ "name": name("role"), "permissions": [beyond] })));
    }
    let own = api.create("/v1/member_roles", &json!({ "name": name("role"), "permissions": ["keys.*", "audit.read"] }));
    let path = format!("/v1/member_roles/{}", id(&own));
    refused(api.patch(&path, &json!({ "permissions": ["keys.*", "encryption.write"] })));
    // What somebody else put beyond them is out of their reach.
    assert_eq!(world.manage().patch(&path, &json!({ "permissions": ["encryption.write"] })).0, 200);
    refused(api.patch(&path, &json!({ "permissions": [] })));
    refused(api.patch(&format!("/v1/members/{}", auditor.member), &json!({ "role": own["name"] })));
    refused(api.post("/v1/invitations", &json!({ "role": own["id"] })));
    // Nor do management keys get more than the person who makes them.
    let key = json!({ "project_id": world.installation.project_id, "name": name("key"), "kind": "management" });
    let mut beyond = key.clone();
    beyond["permissions"] = json!(["encryption.write"]);
    assert_eq!(api.post("/v1/keys", &beyond).0, 403);
    let mut within = key;
    within["permissions"] = json!(["members.read"]);
    assert_eq!(api.post("/v1/keys", &within).0, 201);
    let (session, _) = world.log_in(&owner.email);
    refused(api.delete(&format!("/v1/sessions/{session}")));
    // A key that ends, or holds in places, makes nobody who does not.
    for bound in [
        json!({ "expires_in_days": 1 }),
        json!({ "restrictions": { "networks": { "allow": ["127.0.0.1"] } }, "expires_at": null }),
    ] {
        let mut fields = json!({ "kind": "management", "permissions": ["*"] });
        for (name, value) in bound.as_object().unwrap() {
            fields[name] = value.clone();
        }
        let bounded = world.manage_as(&world.key(&world.installation.project_id, &fields).1);
        refused(bounded.post("/v1/invitations", &json!({ "role": "auditor" })));
        refused(bounded.post(&format!("/v1/members/{}/reset_password", auditor.member), &json!({})));
        assert_eq!(bounded.get(&format!("/v1/members/{}", auditor.member)).0, 200);
    }
    // What is within their own they do.
    assert_eq!(api.patch(&format!("/v1/members/{}", auditor.member), &json!({ "role": "support" })).0, 200);
    assert_eq!(api.delete(&format!("/v1/members/{}", auditor.member)).0, 204);
}

#[test]
fn z07_another_role_holds_for_the_next_request() {
    let world = shared();
    let person = world.person("auditor");
    let api = world.as_person(&person);
    let role =
        world.manage().create("/v1/member_roles", &json!({ "name": name("shift"), "permissions": ["usage.read"] }));
    let (member, own) = (format!("/v1/members/{}", person.member), format!("/v1/member_roles/{}", id(&role)));
    for _ in 0..5 {
        assert_eq!(world.manage().patch(&member, &json!({ "role": role["name"] })).0, 200);
        assert_eq!((api.get("/v1/usage?limit=1").0, api.get("/v1/keys?limit=1").0), (200, 403));
        assert_eq!(world.manage().patch(&own, &json!({ "permissions": ["keys.read"] })).0, 200);
        assert_eq!((api.get("/v1/usage?limit=1").0, api.get("/v1/keys?limit=1").0), (403, 200));
        assert_eq!(world.manage().patch(&own, &json!({ "permissions": ["usage.read"] })).0, 200);
        assert_eq!(world.manage().patch(&member, &json!({ "role": "auditor" })).0, 200);
        assert_eq!((api.get("/v1/usage?limit=1").0, api.get("/v1/keys?limit=1").0), (200, 200));
    }
    let held = world.manage().patch(&member, &json!({ "role": role["name"] }));
    assert_eq!(held.0, 200);
    let answer = world.manage().request("DELETE", &own, &[], b"");
    assert!(problem(&answer, 409, "conflict").contains("members that have this role: 1"));
}

#[test]
fn an_organization_that_calls_apis_publishes_none_by_any_way() {
    let world = shared();
    let (organization, first) = world.tenant("consumer");
    let api = world.as_person(&first);
    assert_eq!(api.get("/v1/whoami").1["role"], "consumer_admin");
    let publish = json!({ "name": "x", "upstream": world.echo, "path_prefix": format!("/{}", name("stolen")) });
    assert_eq!(api.post("/v1/apis", &publish).0, 403);
    let role =
        |permissions: Value| api.post("/v1/member_roles", &json!({ "name": name("r"), "permissions": permissions }));
    assert_eq!(role(json!(["apis.write"])).0, 403);
    assert_eq!(role(json!(["*"])).0, 403);
    assert_eq!(role(json!(["keys.*", "projects.read"])).0, 201);
    for word in ["owner", "admin", "developer"] {
        let (status, answer) = api.post("/v1/invitations", &json!({ "role": word }));
        assert!(matches!(status, 403 | 409), "{word}: {answer}");
        let (status, answer) =
            world.manage().post("/v1/invitations", &json!({ "role": word, "organization_id": organization }));
        assert_eq!((status, &answer["code"]), (409, &json!("conflict")), "{answer}");
    }
    let (status, project) = api.post("/v1/projects", &json!({ "name": "own" }));
    assert_eq!(status, 201, "{project}");
    let key = |permissions: Value| {
        let wish =
            json!({ "project_id": project["id"], "name": "m", "kind": "management", "permissions": permissions });
        api.post("/v1/keys", &wish)
    };
    assert_eq!(key(json!(["*"])).0, 403);
    assert_eq!(key(json!(["apis.write"])).0, 403);
    let (status, made) = key(json!(["keys.*"]));
    assert_eq!(status, 201, "{made}");
    let program = world.manage_as(made["key"].as_str().unwrap());
    assert_eq!((program.get("/v1/keys").0, program.get("/v1/apis").0), (200, 403));
    // A colleague comes in, by the word of their own organization.
    let colleague = world.person_by(&api, &json!({ "role": "consumer_developer" }));
    assert_eq!(world.as_person(&colleague).get("/v1/projects").1["items"].as_array().unwrap().len(), 1);
    assert_eq!(world.as_person(&colleague).post("/v1/invitations", &json!({ "role": "consumer_developer" })).0, 403);
    assert_eq!(api.delete(&format!("/v1/members/{}", first.member)).0, 409, "nobody could let others in any more");
}

#[test]
fn an_invitation_is_for_whom_it_names_and_a_person_is_at_home_in_several_organizations() {
    let world = shared();
    let email = format!("{}@example.com", name("named"));
    let token = world.invitation(&world.manage(), &json!({ "role": "auditor", "email": email.to_uppercase() }));
    let accept = |email: Option<&str>| {
        let mut wish = json!({ "token": token, "password": super::people::PASSWORD });
        if let Some(email) = email {
            wish["email"] = email.into();
        }
        world.anonymously("/v1/invitations/accept", &wish)
    };
    problem(&accept(Some("somebody@else.example")), 409, "conflict");
    let made = accept(None);
    assert_eq!((made.status, &made.json()["email"]), (201, &json!(email)), "{}", made.text());
    let (_, token) = world.log_in(&email);
    let (organization, first) = world.tenant("owner");
    let invitation = world.invitation(&world.as_person(&first), &json!({ "role": "admin", "email": email }));
    // With an account nobody makes another one: its password is asked for.
    let wish = json!({ "token": invitation, "password": "eleven green pianos whisper" });
    problem(&world.anonymously("/v1/invitations/accept", &wish), 401, "login_failed");
    let api = world.manage_as(&token);
    assert_eq!(api.post("/v1/account/join", &json!({ "token": invitation })).0, 201);
    assert_eq!(api.post("/v1/account/join", &json!({ "token": invitation })).0, 404);
    assert_eq!(api.post("/v1/account/switch", &json!({ "organization_id": "org_2Zk9mQ4tR7vX1bN6cL8dF3" })).0, 404);
    let (status, moved) = api.post("/v1/account/switch", &json!({ "organization_id": organization }));
    assert_eq!(status, 200, "{moved}");
    let there = world.manage_as(moved["token"].as_str().unwrap());
    let me = there.get("/v1/whoami").1;
    assert_eq!((&me["organization_id"], &me["role"]), (&json!(organization), &json!("admin")));
    assert_eq!(me["account"]["organizations"].as_array().unwrap().len(), 2);
    assert_eq!(api.get("/v1/whoami").0, 401, "the token of before is no longer good");
    // Whoever manages one of them has no hold of somebody who is in others too.
    let member = there.get(&format!("/v1/members?email={email}")).1["items"][0]["id"].as_str().unwrap().to_owned();
    let (status, answer) = world.as_person(&first).post(&format!("/v1/members/{member}/reset_password"), &json!({}));
    assert_eq!(status, 409, "{answer}");
    let (status, renamed) = there.patch("/v1/account", &json!({ "name": "Grace" }));
    assert_eq!((status, &renamed["account"]["name"]), (200, &json!("Grace")));
}

#[test]
fn who_was_taken_away_comes_back_with_the_same_account() {
    let world = shared();
    let person = world.person("auditor");
    let admin = world.person("admin");
    let invited = world.invitation(&world.as_person(&admin), &json!({ "role": "auditor" }));
    let own = world.invitation(&world.manage(), &json!({ "role": "auditor", "email": person.email }));
    assert_eq!(world.manage().delete(&format!("/v1/members/{}", person.member)).0, 204);
    let login = json!({ "email": person.email, "password": super::people::PASSWORD });
    problem(&world.anonymously("/v1/login", &login), 401, "login_failed");
    let wish = json!({ "token": own, "password": super::people::PASSWORD });
    let back = world.anonymously("/v1/invitations/accept", &wish);
    assert_eq!((back.status, &back.json()["account_id"]), (201, &json!(person.account)), "{}", back.text());
    assert_eq!(world.anonymously("/v1/login", &login).status, 200);
    // What somebody made who is gone leads nowhere.
    assert_eq!(world.manage().delete(&format!("/v1/members/{}", admin.member)).0, 204);
    let wish = json!({ "token": invited, "email": "late@example.com", "password": super::people::PASSWORD });
    problem(&world.anonymously("/v1/invitations/accept", &wish), 404, "not_found");
}

#[test]
fn withdrawn_and_repeated_invitations() {
    let world = shared();
    let made = world.manage().create("/v1/invitations", &json!({ "role": "auditor", "expires_in_hours": 1 }));
    let path = format!("/v1/invitations/{}", id(&made));
    let token = made["path"].as_str().unwrap().split_once('#').unwrap().1;
    assert_eq!(world.manage().delete(&path).0, 204);
    let shown = world.manage().get(&path).1;
    assert_eq!((&shown["state"], shown.get("path")), (&json!("withdrawn"), None));
    let wish = json!({ "token": token, "email": "x@example.com", "password": super::people::PASSWORD });
    problem(&world.anonymously("/v1/invitations/accept", &wish), 404, "not_found");
    let once = [("content-type", "application/json"), ("idempotency-key", &*name("invite"))];
    let send = || world.manage().request("POST", "/v1/invitations", &once, br#"{"role":"support"}"#).json();
    let (first, second) = (send(), send());
    assert_eq!(first["id"], second["id"]);
    assert!(first["path"].is_string() && second.get("path").is_none(), "a token is shown once");
    for wish in [json!({ "role": "boss" }), json!({ "role": "mrl_2Zk9mQ4tR7vX1bN6cL8dF3" })] {
        assert_eq!(world.manage().post("/v1/invitations", &wish).0, 404, "{wish}");
    }
    for wish in
        [json!({}), json!({ "role": "auditor", "expires_in_hours": 0 }), json!({ "role": "auditor", "email": "x" })]
    {
        assert_eq!(world.manage().post("/v1/invitations", &wish).0, 400, "{wish}");
    }
    assert_eq!(world.manage().post("/v1/member_roles", &json!({ "name": "owner" })).0, 409, "that one is built in");
}

/// Everything that one organization has, as its owner sees it.
fn everything(world: &World, things: &Things) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for route in routes(&document(world)).iter().filter(|route| route.method == "GET" && route.has_id()) {
        let answer = route.ask(&route.holder(world, things), things);
        if answer.field("content-type") == Some("application/json") {
            let mut shown = answer.json();
            shown
                .as_object_mut()
                .unwrap()
                .retain(|field, _| !["seen_at", "last_used_at", "ends_at", "since", "until"].contains(&field.as_str()));
            all.push((route.path(things), shown));
        }
    }
    all
}

fn ask(route: &Route, world: &World, things: &Things, token: &str) -> keystile_testkit::raw::Answer {
    let body = route.sound_body(world, things);
    let takes = route.takes_json();
    if route.template == "/v1/keys/import" {
        let path = format!("/v1/keys/import?project_id={}", things.project);
        let line = format!("{{\"sha256\":\"{}\",\"name\":\"n\"}}\n", "ab".repeat(32));
        return world.manage_as(token).request(
            "POST",
            &path,
            &[("content-type", "application/x-ndjson")],
            line.as_bytes(),
        );
    }
    let fields: &[(&str, &str)] = if takes { &[("content-type", "application/json")] } else { &[] };
    let text = if takes { body.to_string() } else { String::new() };
    world.manage_as(token).request(&route.method, &route.path(things), fields, text.as_bytes())
}

#[test]
fn z02_z05_another_tenant_sees_and_changes_nothing_at_any_route() {
    let world = shared();
    let things = Things::of(world);
    let ids = things.ids();
    let (_, publisher) = world.tenant("owner");
    let (_, consumer) = world.tenant("consumer");
    let project = world.as_person(&publisher).create("/v1/projects", &json!({ "name": "own" }));
    let key = json!({ "project_id": id(&project), "name": "m", "kind": "management", "permissions": ["*"], "expires_at": null });
    let key = world.as_person(&publisher).create("/v1/keys", &key)["key"].as_str().unwrap().to_owned();
    let before = everything(world, &things);
    assert!(before.len() > 10);
    let mut asked = 0;
    for (who, token) in [("its owner", &publisher.token), ("its key", &key), ("a consumer", &consumer.token)] {
        for route in routes(&document(world)) {
            let Access::Right(needed) = route.access() else { continue };
            let answer = ask(&route, world, &things, token);
            let title = format!("{} as {who}: {} {}", route.title(), answer.status, answer.text());
            asked += 1;
            if answer.status == 403 {
                let beyond = needed.starts_with("encryption") || route.template == "/v1/organizations";
                assert!(beyond || who == "a consumer", "{title}");
                continue;
            }
            let refers = matches!(
                route.template.as_str(),
                "/v1/keys" | "/v1/keys/import" | "/v1/activations" | "/v1/plans" | "/v1/credits" | "/v1/usage/record"
            ) && route.method == "POST";
            let is_unknown = route.template == "/v1/privacy/end-users" && route.method == "DELETE";
            if route.has_id() || refers || is_unknown {
                assert_eq!(answer.status, 404, "{title}");
            } else {
                // Two tenants can't publish at one place; which of them has it is not said.
                assert!(answer.status < 300 || (answer.status == 409 && route.template == "/v1/apis"), "{title}");
            }
            for id in &ids {
                // A bulk request is answered with what was asked for, each as unknown.
                let is_echo = route.template == "/v1/keys/bulk";
                assert!(is_echo || !answer.text().contains(id.as_str()), "{id} in {title}");
            }
        }
    }
    assert!(asked > 250, "only {asked}");
    for (was, is) in before.iter().zip(everything(world, &things)) {
        assert_eq!(*was, is, "nothing was changed");
    }
}
