//! The installation that most tests share, and the things that they make in it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use keystile_testkit::raw::Answer;
use keystile_testkit::{Api, Installation, eventually};
use serde_json::{Value, json};

use super::schema::fits;

/// The binary under test.
pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_keystile");

/// A running `keystile dev`.
pub(super) struct World {
    pub(super) installation: Installation,
    management_key: String,
    /// The built-in upstream.
    pub(super) echo: String,
}

/// A key that calls an API of its own.
pub(super) struct Caller {
    /// The API.
    pub(super) api: String,
    /// What the paths of the API begin with.
    pub(super) path: String,
    /// The project.
    pub(super) project: String,
    /// The activation.
    pub(super) activation: String,
    /// The id of the key.
    pub(super) id: String,
    /// The text of the key.
    pub(super) key: String,
}

/// The installation that tests share. It ends with the test process.
pub(super) fn shared() -> &'static World {
    static SHARED: OnceLock<World> = OnceLock::new();
    SHARED.get_or_init(World::start)
}

/// A name that no other test has.
pub(super) fn name(stem: &str) -> String {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    format!("{stem}-{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

impl World {
    /// An installation of its own.
    pub(super) fn start() -> Self {
        Self::of(Installation::start(BINARY, &[]), None)
    }

    /// The world of a running `dev`. On a later start it does not show its management key.
    pub(super) fn of(installation: Installation, management_key: Option<&str>) -> Self {
        let management_key = management_key
            .or(installation.management_key.as_deref())
            .expect("only a first start shows its management key")
            .to_owned();
        let manage = Api::new(installation.admin, &management_key);
        let (_, api) = manage.get(&format!("/v1/apis/{}", installation.api_id));
        let echo = api["upstream"].as_str().expect("the first API has an upstream").to_owned();
        Self { installation, management_key, echo }
    }

    /// The world of a running `serve`, in which there is nothing yet.
    pub(super) fn bare(installation: Installation) -> Self {
        let management_key = installation.management_key.clone().expect("only a first start shows its management key");
        Self { installation, management_key, echo: String::new() }
    }

    /// The world of any running server, whose APIs lead nowhere: for what verification answers.
    pub(super) fn without_upstream(installation: Installation, management_key: &str) -> Self {
        let (management_key, echo) = (management_key.to_owned(), "http://127.0.0.1:1".to_owned());
        Self { installation, management_key, echo }
    }

    /// The owner of everything.
    pub(super) fn manage(&self) -> Api {
        self.manage_as(&self.management_key)
    }

    /// The text of the owner's key.
    pub(super) fn management_key(&self) -> &str {
        &self.management_key
    }

    /// The holder of another key, at the management API.
    pub(super) fn manage_as(&self, key: &str) -> Api {
        Api::new(self.installation.admin, key)
    }

    /// The URL of the management API.
    pub(super) fn admin_url(&self) -> String {
        format!("http://{}", self.installation.admin)
    }

    /// A call through the gateway.
    pub(super) fn call(&self, key: &str, method: &str, path: &str) -> Answer {
        Api::new(self.installation.gateway, key).request(method, path, &[], b"")
    }

    /// The id of a call, once it is in the request log.
    pub(super) fn logged(&self, answer: &Answer) -> String {
        let id = answer.field("x-request-id").expect("every answer has an id").to_owned();
        let path = format!("/v1/requests/{id}");
        eventually("a call is in the request log", || self.manage().get(&path).0 == 200);
        id
    }

    /// A question about a key to verification.
    pub(super) fn verify(&self, question: &Value) -> Answer {
        self.ask("/v1/verify", question)
    }

    /// A question to verification. The answer is one that its document describes; if it is none, but a refusal, so is that.
    pub(super) fn ask(&self, path: &str, question: &Value) -> Answer {
        static DOCUMENT: OnceLock<Value> = OnceLock::new();
        let document = DOCUMENT.get_or_init(|| self.verification());
        let fields = [("content-type", "application/json"), ("authorization", "none")];
        let body = question.to_string();
        let answer = Api::new(self.installation.check, "").request("POST", path, &fields, body.as_bytes());
        let operation = &document["paths"][path]["post"];
        let told = &operation["responses"][answer.status.to_string()]["content"];
        let kind = answer.field("content-type").unwrap_or_default();
        fits(document, &told[kind]["schema"], &answer.json(), path);
        assert!(told[kind].is_object(), "{path} is not to answer {} with {kind}", answer.status);
        if answer.status == 200 {
            fits(document, &operation["requestBody"]["content"]["application/json"]["schema"], question, path);
        }
        answer
    }

    /// The document of verification.
    pub(super) fn verification(&self) -> Value {
        let (status, document) = Api::new(self.installation.check, "").get("/openapi.json");
        assert_eq!(status, 200);
        document
    }

    /// A new project.
    pub(super) fn project(&self) -> String {
        id(&self.manage().create("/v1/projects", &json!({ "name": name("project") })))
    }

    /// A new API in front of the built-in upstream, and what its paths begin with.
    pub(super) fn api(&self) -> (String, String) {
        let name = name("api");
        let path = format!("/{name}");
        let api = json!({ "name": name, "upstream": self.echo, "path_prefix": path });
        (id(&self.manage().create("/v1/apis", &api)), path)
    }

    /// A new key with these fields besides its project and its name.
    pub(super) fn key(&self, project: &str, fields: &Value) -> (String, String) {
        let mut body = json!({ "project_id": project, "name": name("key") });
        for (name, value) in fields.as_object().expect("fields") {
            body[name] = value.clone();
        }
        let made = self.manage().create("/v1/keys", &body);
        (id(&made), made["key"].as_str().expect("a new key shows its text").to_owned())
    }

    /// A new management key that may do this and nothing else.
    pub(super) fn management_key_for(&self, permissions: &[&str]) -> String {
        let fields = json!({ "kind": "management", "permissions": permissions });
        self.key(&self.installation.project_id, &fields).1
    }

    /// A new API, and a project with a key for it.
    pub(super) fn caller(&self, fields: &Value) -> Caller {
        let (api, path) = self.api();
        let project = self.project();
        let link = self.manage().create("/v1/activations", &json!({ "project_id": project, "api_id": api }));
        let (id, key) = self.key(&project, fields);
        Caller { api, path, project, activation: self::id(&link), id, key }
    }
}

/// The id of an object.
pub(super) fn id(object: &Value) -> String {
    object["id"].as_str().unwrap_or_else(|| panic!("no id in {object}")).to_owned()
}

/// A key with another last character.
pub(super) fn mistyped(key: &str) -> String {
    let (rest, last) = key.split_at(key.len() - 1);
    format!("{rest}{}", if last == "x" { "y" } else { "x" })
}
