//! Where a test plays: an API, a project and a key of its own on one shared server, and an upstream of its own behind
//! it. Tests run at once without seeing each other, because each API answers to a host name of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use keystile_testkit::raw::{Answer, Client};
use keystile_testkit::tls::Identity;
use keystile_testkit::{Api, Installation, Upstream, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_keystile");

/// One server for all tests that need no settings of their own.
pub(super) fn shared() -> &'static Installation {
    static SHARED: OnceLock<Installation> = OnceLock::new();
    SHARED.get_or_init(|| Installation::start(BINARY, &["--upstream", "http://127.0.0.1:9"]))
}

/// A server with settings of its own, all listeners on free ports.
pub(super) struct Served {
    pub(super) installation: Installation,
    pub(super) data: PathBuf,
    config: String,
    folder: TempDir,
}

impl Served {
    /// Its settings file.
    pub(super) fn settings(&self) -> PathBuf {
        self.folder.path().join("keystile.toml")
    }

    /// Starts the server anew, with the same settings and data.
    pub(super) fn again(&self) -> Installation {
        Installation::serve(BINARY, &self.config, self.folder.path())
    }
}

/// `gateway` holds the lines of that section, `rest` further sections.
pub(super) fn serve(gateway: &str, rest: &str) -> Served {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let data = folder.path().join("data");
    let config = format!(
        "data = {:?}\n[gateway]\nlisten = \"127.0.0.1:0\"\n{gateway}\n[admin]\nlisten = \"127.0.0.1:0\"\n[check]\nlisten = \"127.0.0.1:0\"\n{rest}\n",
        data.display().to_string()
    );
    Served { installation: Installation::serve(BINARY, &config, folder.path()), data, config, folder }
}

/// An API with an upstream, and a project with a key to it.
pub(super) struct Stage {
    pub(super) gateway: SocketAddr,
    pub(super) manage: Api,
    pub(super) upstream: Upstream,
    pub(super) host: String,
    pub(super) api_id: String,
    pub(super) project_id: String,
    pub(super) project_name: String,
    pub(super) key_id: String,
    pub(super) key: String,
}

impl Stage {
    /// With nothing special.
    pub(super) fn new() -> Self {
        Self::with(json!({}), json!({}))
    }

    /// With settings of the API and of the key.
    pub(super) fn with(api: Value, key: Value) -> Self {
        Self::on(shared(), api, key)
    }

    /// On a server of one's own.
    pub(super) fn on(installation: &Installation, api: Value, key: Value) -> Self {
        static STAGES: AtomicU32 = AtomicU32::new(0);
        let number = STAGES.fetch_add(1, Ordering::Relaxed);
        let upstream = Upstream::start();
        let manage = installation.api();
        let host = format!("stage-{number}.test");
        let settings = json!({ "name": format!("Stage {number}"), "upstream": upstream.url(), "hosts": [host] });
        let api = manage.create("/v1/apis", &merged(settings, api));
        let project_name = format!("Project {number}");
        let project = manage.create("/v1/projects", &json!({ "name": project_name }));
        manage.create("/v1/activations", &json!({ "project_id": project["id"], "api_id": api["id"] }));
        let wish = json!({ "project_id": project["id"], "name": "main" });
        let key = manage.create("/v1/keys", &merged(wish, key));
        Self {
            gateway: installation.gateway,
            manage,
            upstream,
            host,
            api_id: text(&api["id"]),
            project_id: text(&project["id"]),
            project_name,
            key_id: text(&key["id"]),
            key: text(&key["key"]),
        }
    }

    /// A further key of the same project.
    pub(super) fn another_key(&self, wish: Value) -> (String, String) {
        let all = merged(json!({ "project_id": self.project_id, "name": "another" }), wish);
        let key = self.manage.create("/v1/keys", &all);
        (text(&key["id"]), text(&key["key"]))
    }

    /// Gives the API a certificate to show to its upstream.
    pub(super) fn set_client_certificate(&self, identity: &Identity) {
        let body = json!({ "value": format!("{}{}", identity.chain, identity.key) }).to_string();
        let path = format!("/v1/apis/{}/secrets/client_certificate", self.api_id);
        let answer = self.manage.request("PUT", &path, &[("content-type", "application/json")], body.as_bytes());
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    /// A connection to the gateway.
    pub(super) fn client(&self) -> Client {
        Client::connect(self.gateway)
    }

    /// Bytes to send: `{host}` and `{key}` are filled in.
    pub(super) fn raw(&self, text: &str) -> Vec<u8> {
        text.replace("{host}", &self.host).replace("{key}", &self.key).into_bytes()
    }

    /// A sound request with the key; `line` is method and target.
    pub(super) fn request(&self, line: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let own = [("authorization", "Bearer {key}")];
        self.request_without_key(line, &[&own[..], fields].concat(), body)
    }

    /// A sound request with no key but what is in `fields`.
    pub(super) fn request_without_key(&self, line: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut head = format!("{line} HTTP/1.1\r\nHost: {{host}}\r\n");
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        [&*self.raw(&head), body].concat()
    }

    /// Sends a request on a connection of its own and reads the answer.
    pub(super) fn answer(&self, request: &[u8]) -> Answer {
        let line = String::from_utf8_lossy(request).into_owned();
        let method = line.split(' ').next().unwrap_or_default();
        let mut client = self.client();
        let _ = client.write(request);
        client.answer_to(method).unwrap_or_else(|error| panic!("{error}: {line:.300}"))
    }

    /// A sound call with the key.
    pub(super) fn call(&self, line: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        self.answer(&self.request(line, fields, body))
    }

    /// Sends something that must be refused: the client gets this problem and the end of the connection, the upstream
    /// gets nothing.
    pub(super) fn is_refused_and_closed(&self, request: &[u8], status: u16, code: &str) {
        let shown = String::from_utf8_lossy(request).into_owned();
        let mut client = self.client();
        let _ = client.write(request);
        let answer = client.answer().unwrap_or_else(|error| panic!("{error}: {shown:.300}"));
        self.check_problem(&answer, status, code, &shown);
        assert!(client.is_closed(), "the connection must be closed: {shown:.300}");
        self.saw_nothing(&shown);
    }

    /// The same, for what leaves the connection as it is.
    pub(super) fn is_refused(&self, request: &[u8], status: u16, code: &str) {
        let shown = String::from_utf8_lossy(request).into_owned();
        self.check_problem(&self.answer(request), status, code, &shown);
        self.saw_nothing(&shown);
    }

    /// An answer of the gateway itself is a problem with everything that a client needs, and without the key.
    pub(super) fn check_problem(&self, answer: &Answer, status: u16, code: &str, what: &str) {
        assert_eq!((answer.status, &*answer.code()), (status, code), "{what:.300}\n{}", answer.text());
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{what:.300}");
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{what:.300}");
        assert_eq!(problem["type"], "about:blank", "{what:.300}");
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{what:.300}");
        let id = problem["request_id"].as_str().expect("a problem names its request");
        assert_eq!(answer.all("x-request-id"), [id], "{what:.300}");
        assert!(id.starts_with("req_"), "{id}");
        let challenge = if status == 401 { vec!["Bearer realm=\"keystile\""] } else { vec![] };
        assert_eq!(answer.all("www-authenticate"), challenge, "{what:.300}");
        assert!(!answer.text().contains(&self.key), "the key comes back: {what:.300}");
    }

    /// Nothing has come to the upstream.
    pub(super) fn saw_nothing(&self, what: &str) {
        assert!(self.upstream.requests().is_empty(), "the upstream saw {:?} of {what:.300}", self.upstream.requests());
        assert_eq!(self.upstream.faults(), [] as [String; 0], "{what:.300}");
    }

    /// Calls of this API as counted, grouped.
    pub(super) fn usage(&self, group_by: &str) -> Vec<Value> {
        let (status, list) = self.manage.get(&format!("/v1/usage?api_id={}&group_by={group_by}", self.api_id));
        assert_eq!(status, 200, "{list}");
        list["items"].as_array().expect("a list has items").clone()
    }

    /// How many calls of this API were counted with this code and status.
    pub(super) fn counted(&self, code: &str, status: u16) -> u64 {
        let rows = self.usage("code,status");
        let own = rows.iter().filter(|row| row["code"] == code && row["status"] == status);
        own.filter_map(|row| row["calls"].as_u64()).sum()
    }

    /// So many calls of this API are counted, and none of them as allowed.
    pub(super) fn counts_only_refusals(&self, calls: usize) {
        let rows = self.usage("code");
        assert!(rows.iter().all(|row| row["code"] != "allowed"), "{rows:?}");
        assert_eq!(rows.iter().filter_map(|row| row["calls"].as_u64()).sum::<u64>(), calls as u64, "{rows:?}");
    }

    /// Waits until a call with this code and status is counted; all others are none.
    pub(super) fn counts_only(&self, code: &str, status: u16, calls: u64) {
        eventually(&format!("{calls} calls are counted as {code} {status}"), || self.counted(code, status) >= calls);
        let rows = self.usage("code,status");
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0]["calls"], calls, "{rows:?}");
    }
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn merged(mut base: Value, more: Value) -> Value {
    let base_fields = base.as_object_mut().expect("settings are an object");
    base_fields.extend(more.as_object().expect("settings are an object").clone());
    base
}
