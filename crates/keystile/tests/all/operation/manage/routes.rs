//! The routes of the management API, as its own document lists them.

use std::sync::Mutex;

use keystile_testkit::raw::Answer;
use keystile_testkit::{Api, Authenticator};
use serde_json::{Value, json};

use super::super::people::{PASSWORD, Person};
use super::super::world::{Caller, World, id, name};

/// The methods that a document can list.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// A route of the document.
pub(in super::super) struct Route {
    /// `GET`
    pub(in super::super) method: String,
    /// `/v1/keys/{id}`
    pub(in super::super) template: String,
    /// What the document says of it.
    pub(in super::super) operation: Value,
}

/// One thing of each kind, for the ids in paths.
pub(in super::super) struct Things {
    api: String,
    pub(in super::super) project: String,
    activation: String,
    key: String,
    role: String,
    pattern: String,
    plan: String,
    credits: String,
    /// A call in the request log.
    request: String,
    webhook: String,
    member: String,
    member_role: String,
    invitation: String,
    /// Another session of `person`.
    session: String,
    /// A passkey of `person`.
    passkey: String,
    /// The device that has it.
    device: Mutex<Authenticator>,
    /// One of `member`.
    their_session: String,
    organization: String,
    /// Somebody who is logged in.
    pub(in super::super) person: Person,
}

/// Who may use a route.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Access {
    /// Whoever has this right.
    Right(String),
    /// Whoever is known.
    Anybody,
    /// Whoever is logged in.
    Person,
    /// Everybody: what is sent is the proof.
    Open,
}

/// The document.
pub(in super::super) fn document(world: &World) -> Value {
    let (status, document) = world.manage().get("/openapi.json");
    assert_eq!(status, 200);
    document
}

/// Every route of the document.
pub(in super::super) fn routes(document: &Value) -> Vec<Route> {
    let paths = document["paths"].as_object().expect("a document has paths");
    let route = |template: &String, method: &str, operation: &Value| Route {
        method: method.to_uppercase(),
        template: template.clone(),
        operation: operation.clone(),
    };
    let routes: Vec<Route> = paths
        .iter()
        .flat_map(|(template, item)| METHODS.iter().map(move |method| (template, *method, &item[*method])))
        .filter(|(_, _, operation)| operation.is_object())
        .map(|(template, method, operation)| route(template, method, operation))
        .collect();
    assert!(routes.len() >= 29, "the document lists only {} routes", routes.len());
    routes
}

/// A pattern that allows reading.
fn reading() -> Value {
    json!({ "name": name("pattern"), "allow": [{ "methods": ["GET"] }] })
}

/// A webhook that has nothing to tell.
fn quiet_webhook(world: &World) -> Value {
    json!({ "url": world.echo, "events": ["never.happens"] })
}

impl Things {
    /// New ones, with names that say nothing.
    pub(in super::super) fn of(world: &World) -> Self {
        let caller = world.caller(&json!({}));
        // With a former version.
        assert_eq!(world.manage().post(&format!("/v1/keys/{}/rotate", caller.id), &json!({})).0, 200);
        let webhook = id(&world.manage().create("/v1/webhooks", &quiet_webhook(world)));
        let role = id(&world.manage().create("/v1/roles", &json!({ "name": name("role") })));
        let pattern = id(&world.manage().create("/v1/patterns", &reading()));
        let plan = json!({ "api_id": caller.api, "name": name("plan") });
        let plan = id(&world.manage().create("/v1/plans", &plan));
        let credits = json!({ "project_id": caller.project, "amount": 5 });
        let credits = id(&world.manage().create("/v1/credits", &credits));
        let manage = world.manage();
        let member_role = id(&manage.create("/v1/member_roles", &json!({ "name": name("member-role") })));
        let invitation = id(&manage.create("/v1/invitations", &json!({ "role": member_role })));
        let organization = id(&manage.create("/v1/organizations", &json!({ "name": name("organization") })));
        // Of a member with a role that grants nothing, everybody who may do anything to members may do it.
        let (person, other) = (world.person("owner"), world.person(&member_role));
        let session = world.log_in(&person.email).0;
        let (device, passkey) = world.passkey_of(&world.as_person(&person));
        let request = world.logged(&world.call(&caller.key, "GET", &caller.path));
        let Caller { api, project, activation, id: key, .. } = caller;
        let (member, their_session) = (other.member, other.session);
        Self {
            api,
            project,
            activation,
            key,
            role,
            pattern,
            plan,
            credits,
            request,
            webhook,
            member,
            member_role,
            invitation,
            session,
            passkey,
            device: Mutex::new(device),
            their_session,
            organization,
            person,
        }
    }

    /// All that they are known by.
    pub(in super::super) fn ids(&self) -> Vec<String> {
        let person = [&self.person.account, &self.person.member, &self.person.session, &self.person.email];
        let things = [&self.api, &self.project, &self.activation, &self.key, &self.role, &self.pattern, &self.webhook];
        let things = things.into_iter().chain([&self.plan, &self.credits, &self.request]);
        let people =
            [&self.member, &self.member_role, &self.invitation, &self.session, &self.their_session, &self.organization];
        person.into_iter().chain(things).chain(people).cloned().collect()
    }

    /// The id that belongs into a path, or one of another kind.
    fn id(&self, template: &str, of_its_kind: bool) -> &str {
        match (template.split('/').nth(2), of_its_kind) {
            (Some("apis"), true) | (Some("projects"), false) => &self.api,
            (Some("projects"), true) | (Some("activations"), false) => &self.project,
            (Some("activations"), true) | (Some("keys"), false) => &self.activation,
            (Some("privacy"), true) if template.contains("/members/") => &self.member,
            (Some("privacy"), true) => &self.project,
            (Some("members"), true) => &self.member,
            (Some("member_roles"), true) => &self.member_role,
            (Some("invitations"), true) => &self.invitation,
            (Some("account"), true) if template.starts_with("/v1/account/passkeys") => &self.passkey,
            // Nobody has one: there is no identity provider.
            (Some("account"), true) if template.starts_with("/v1/account/identities") => "idn_0000000000000000000000",
            (Some("account"), true) => &self.session,
            (Some("sessions"), true) => &self.their_session,
            (Some("organizations"), true) => &self.organization,
            (Some("keys"), true) | (Some(_), false) => &self.key,
            (Some("roles"), true) => &self.role,
            (Some("patterns"), true) => &self.pattern,
            (Some("plans"), true) => &self.plan,
            (Some("credits"), true) => &self.credits,
            (Some("requests"), true) => &self.request,
            (Some("webhooks"), true) => &self.webhook,
            (other, _) => panic!("no things of {other:?}; name them here"),
        }
    }
}

/// Whether a parameter has to be in the query.
fn is_asked_for(parameter: &Value) -> bool {
    parameter["in"] == "query" && parameter["required"] == true
}

impl Route {
    /// The path with an id in it.
    pub(in super::super) fn path(&self, things: &Things) -> String {
        if self.has_id() { self.at(things.id(&self.template, true)) } else { self.at("") }
    }

    /// The path with the id of something else in it.
    pub(in super::super) fn strange_path(&self, things: &Things) -> String {
        self.at(things.id(&self.template, false))
    }

    /// The path with this in place of an id.
    pub(in super::super) fn at(&self, id: &str) -> String {
        let event = "evt_0000000000000000000000";
        let path = self.template.replace("{id}", id).replace("{name}", "header:x-own").replace("{version}", "1");
        let path = path.replace("{delivery}", event);
        match self.operation["parameters"].as_array().and_then(|all| all.iter().find(|one| is_asked_for(one))) {
            Some(parameter) => format!("{path}?{}=x", parameter["name"].as_str().expect("a name")),
            None => path,
        }
    }

    pub(in super::super) fn has_id(&self) -> bool {
        self.template.contains("{id}")
    }

    /// Who may use it.
    pub(in super::super) fn access(&self) -> Access {
        match self.template.as_str() {
            "/v1/login" | "/v1/invitations/look" | "/v1/invitations/accept" | "/v1/password/reset" => Access::Open,
            "/v1/login/ways" | "/v1/login/provider/begin" | "/v1/invitations/provider/begin" => Access::Open,
            "/v1/device/authorize" | "/v1/device/token" | "/v1/login/passkey" | "/v1/login/passkey/begin" => {
                Access::Open
            }
            "/v1/login/link" | "/v1/login/link/begin" => Access::Open,
            "/v1/whoami" | "/v1/permissions" => Access::Anybody,
            "/v1/logout" => Access::Person,
            template if template.starts_with("/v1/account") => Access::Person,
            _ => Access::Right(self.permission()),
        }
    }

    /// Somebody who may use it. What ends a session, or gives it another token, is asked by somebody who is there for that alone.
    pub(in super::super) fn holder(&self, world: &World, things: &Things) -> Api {
        match self.access() {
            Access::Person if self.has_id() || self.method == "GET" => world.as_person(&things.person),
            Access::Person => world.as_person(&world.person("owner")),
            Access::Right(_) | Access::Anybody | Access::Open => world.manage(),
        }
    }

    /// The permission that the route needs: what it is about, and whether it only looks.
    fn permission(&self) -> String {
        let noun = match self.template.split('/').next_back() {
            // It tells what was called.
            Some("unknown_operations" | "statements") => "usage",
            _ if self.is_about_members() => "members",
            _ => self.template.split('/').nth(2).expect("routes begin with /v1/…"),
        };
        if self.template.ends_with("/reveal") {
            return "keys.reveal".to_owned();
        }
        let looks = self.method == "GET" || self.template.ends_with("/explain");
        format!("{noun}.{}", if looks { "read" } else { "write" })
    }

    fn is_about_members(&self) -> bool {
        let about = self.template.split('/').nth(2);
        matches!(about, Some("members" | "member_roles" | "invitations" | "sessions"))
    }

    /// Whether the document says that it takes JSON.
    pub(in super::super) fn takes_json(&self) -> bool {
        self.operation["requestBody"]["content"]["application/json"].is_object()
    }

    /// The request without a body.
    pub(in super::super) fn ask(&self, api: &Api, things: &Things) -> Answer {
        api.request(&self.method, &self.path(things), &[], b"")
    }

    /// A body that the route accepts.
    pub(in super::super) fn sound_body(&self, world: &World, things: &Things) -> Value {
        match (self.method.as_str(), self.template.as_str()) {
            ("POST", "/v1/apis") => json!({ "name": name("sound"), "upstream": world.echo, "path_prefix": "/sound" }),
            ("POST", "/v1/projects") => json!({ "name": name("sound") }),
            ("POST", "/v1/keys") => json!({ "project_id": things.project, "name": name("sound") }),
            ("POST", "/v1/keys/bulk") => json!({ "action": "disable", "ids": [things.key] }),
            ("POST", "/v1/activations") => {
                let project = id(&world.manage().create("/v1/projects", &json!({ "name": name("sound") })));
                json!({ "project_id": project, "api_id": things.api })
            }
            ("POST", "/v1/patterns") => reading(),
            ("POST", "/v1/plans") => json!({ "api_id": things.api, "name": name("sound") }),
            ("POST", "/v1/usage/record") => {
                json!({ "usage": [{ "id": name("sound"), "activation_id": things.activation, "units": 5 }] })
            }
            ("POST", "/v1/credits") => json!({ "project_id": things.project, "amount": 5 }),
            ("POST", "/v1/activations/{id}/plan") => json!({ "plan_id": null }),
            ("PUT", "/v1/activations/{id}/ceilings") => json!({ "ceilings": [] }),
            ("POST", "/v1/roles" | "/v1/member_roles" | "/v1/organizations") => json!({ "name": name("sound") }),
            ("POST", "/v1/invitations") => json!({ "role": "auditor" }),
            ("POST", "/v1/account/passkeys") => {
                let asked = world.as_person(&things.person).post("/v1/account/passkeys/begin", &json!({})).1;
                let credential = Authenticator::new("http://localhost:4401").create(&asked["public_key"]);
                json!({ "name": name("sound"), "ceremony": asked["ceremony"], "credential": credential })
            }
            ("POST", "/v1/login/passkey" | "/v1/account/prove/passkey") => {
                world.answer_of(&mut things.device.lock().expect("nobody broke it"))
            }
            ("PATCH", "/v1/account/passkeys/{id}") => json!({ "name": name("sound") }),
            ("POST", "/v1/login") => json!({ "email": things.person.email, "password": PASSWORD }),
            ("POST", "/v1/login/link/begin") => json!({ "email": things.person.email }),
            ("POST", "/v1/login/link") => json!({ "token": world.link_of(&world.person("auditor").email) }),
            ("POST", "/v1/invitations/accept") => {
                let token = world.invitation(&world.manage(), &json!({ "role": "auditor" }));
                json!({ "token": token, "email": format!("{}@example.com", name("sound")), "password": PASSWORD })
            }
            ("POST", "/v1/invitations/look" | "/v1/invitations/provider/begin") => {
                json!({ "token": world.invitation(&world.manage(), &json!({ "role": "auditor" })) })
            }
            ("POST", "/v1/password/reset") => {
                let path = format!("/v1/members/{}/reset_password", world.person("auditor").member);
                let (_, link) = world.manage().post(&path, &json!({}));
                let token = link["path"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
                json!({ "token": token, "password": PASSWORD })
            }
            ("POST", "/v1/account/join") => {
                let wish = json!({ "role": "consumer_admin", "organization_id": things.organization });
                json!({ "token": world.invitation(&world.manage(), &wish) })
            }
            ("POST", "/v1/account/password") => {
                json!({ "current": PASSWORD, "password": "eleven green pianos whisper" })
            }
            ("POST", "/v1/account/prove") => json!({ "password": PASSWORD }),
            ("POST", "/v1/device/token") => {
                let waiting = world.anonymously("/v1/device/authorize", &json!({})).json();
                let code = json!({ "user_code": waiting["user_code"], "approve": true });
                assert_eq!(world.as_person(&things.person).post("/v1/account/device", &code).0, 204);
                json!({ "device_code": waiting["device_code"] })
            }
            ("POST", "/v1/account/device/look") => {
                json!({ "user_code": world.anonymously("/v1/device/authorize", &json!({})).json()["user_code"] })
            }
            ("POST", "/v1/account/device") => {
                let code = world.anonymously("/v1/device/authorize", &json!({})).json()["user_code"].clone();
                json!({ "user_code": code, "approve": false })
            }
            ("POST", "/v1/account/totp/confirm") => json!({ "code": "000000" }),
            ("POST", "/v1/account/switch") => {
                json!({ "organization_id": world.manage().get("/v1/whoami").1["organization_id"] })
            }
            ("POST", "/v1/webhooks") => quiet_webhook(world),
            ("POST", "/v1/webhooks/{id}/replay") => json!({ "since": "2027-01-31T12:00:00Z" }),
            ("PUT", "/v1/apis/{id}/secrets/{name}") => json!({ "value": "sound" }),
            _ => json!({}),
        }
    }

    /// What to call it in messages.
    pub(in super::super) fn title(&self) -> String {
        format!("{} {}", self.method, self.template)
    }
}
