//! The routes of the management API, as its own document lists them.

use keystile_testkit::Api;
use keystile_testkit::raw::Answer;
use serde_json::{Value, json};

use super::super::world::{Caller, World, id, name};

/// The methods that a document can list.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// A route of the document.
pub(super) struct Route {
    /// `GET`
    pub(super) method: String,
    /// `/v1/keys/{id}`
    pub(super) template: String,
    /// What the document says of it.
    pub(super) operation: Value,
}

/// One thing of each kind, for the ids in paths.
pub(super) struct Things {
    api: String,
    pub(super) project: String,
    activation: String,
    key: String,
    role: String,
    pattern: String,
    webhook: String,
}

/// The document.
pub(super) fn document(world: &World) -> Value {
    let (status, document) = world.manage().get("/openapi.json");
    assert_eq!(status, 200);
    document
}

/// Every route of the document.
pub(super) fn routes(document: &Value) -> Vec<Route> {
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
    pub(super) fn of(world: &World) -> Self {
        let caller = world.caller(&json!({}));
        // With a former version.
        assert_eq!(world.manage().post(&format!("/v1/keys/{}/rotate", caller.id), &json!({})).0, 200);
        let webhook = id(&world.manage().create("/v1/webhooks", &quiet_webhook(world)));
        let role = id(&world.manage().create("/v1/roles", &json!({ "name": name("role") })));
        let pattern = id(&world.manage().create("/v1/patterns", &reading()));
        let Caller { api, project, activation, id: key, .. } = caller;
        Self { api, project, activation, key, role, pattern, webhook }
    }

    /// The id that belongs into a path, or one of another kind.
    fn id(&self, template: &str, of_its_kind: bool) -> &str {
        match (template.split('/').nth(2), of_its_kind) {
            (Some("apis"), true) | (Some("projects"), false) => &self.api,
            (Some("projects"), true) | (Some("activations"), false) => &self.project,
            (Some("activations"), true) | (Some("keys"), false) => &self.activation,
            (Some("keys"), true) | (Some("apis" | "roles" | "patterns" | "webhooks"), false) => &self.key,
            (Some("roles"), true) => &self.role,
            (Some("patterns"), true) => &self.pattern,
            (Some("webhooks"), true) => &self.webhook,
            (other, _) => panic!("no things of {other:?}; name them here"),
        }
    }
}

impl Route {
    /// The path with an id in it.
    pub(super) fn path(&self, things: &Things) -> String {
        if self.has_id() { self.at(things.id(&self.template, true)) } else { self.at("") }
    }

    /// The path with the id of something else in it.
    pub(super) fn strange_path(&self, things: &Things) -> String {
        self.at(things.id(&self.template, false))
    }

    /// The path with this in place of an id.
    pub(super) fn at(&self, id: &str) -> String {
        let event = "evt_0000000000000000000000";
        let path = self.template.replace("{id}", id).replace("{name}", "header:x-own").replace("{version}", "1");
        path.replace("{delivery}", event)
    }

    pub(super) fn has_id(&self) -> bool {
        self.template.contains("{id}")
    }

    /// The permission that the route needs: what it is about, and whether it only looks.
    pub(super) fn permission(&self) -> String {
        let noun = match self.template.split('/').next_back() {
            // It tells what was called.
            Some("unknown_operations") => "usage",
            _ => self.template.split('/').nth(2).expect("routes begin with /v1/…"),
        };
        if self.template.ends_with("/reveal") {
            return "keys.reveal".to_owned();
        }
        let looks = self.method == "GET" || self.template.ends_with("/explain");
        format!("{noun}.{}", if looks { "read" } else { "write" })
    }

    /// Whether the document says that it takes JSON.
    pub(super) fn takes_json(&self) -> bool {
        self.operation["requestBody"]["content"]["application/json"].is_object()
    }

    /// The request without a body.
    pub(super) fn ask(&self, api: &Api, things: &Things) -> Answer {
        api.request(&self.method, &self.path(things), &[], b"")
    }

    /// A body that the route accepts.
    pub(super) fn sound_body(&self, world: &World, things: &Things) -> Value {
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
            ("POST", "/v1/roles") => json!({ "name": name("sound") }),
            ("POST", "/v1/webhooks") => quiet_webhook(world),
            ("POST", "/v1/webhooks/{id}/replay") => json!({ "since": "2027-01-31T12:00:00Z" }),
            ("PUT", "/v1/apis/{id}/secrets/{name}") => json!({ "value": "sound" }),
            _ => json!({}),
        }
    }

    /// What to call it in messages.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.method, self.template)
    }
}
