//! A `keystile serve` on a folder of its own, with an open door for `slowhttptest` and a key for everybody else.

use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// A running server; killed when this is dropped.
pub(super) struct Server {
    pub(super) gateway: SocketAddr,
    pub(super) key: String,
    admin: String,
    management_key: String,
    project: String,
    agent: ureq::Agent,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts it with these lines of the settings' `[gateway]`, and an API in front of `upstream`.
    pub(super) fn start(binary: &Path, gateway: &str, upstream: &str) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("keystile.toml");
        let listen = "listen = \"127.0.0.1:0\"\n";
        let data = folder.path().join("data");
        let text = format!(
            "data = {data:?}\n[gateway]\n{listen}{gateway}\n[admin]\n{listen}[check]\n{listen}[log]\nlevel = \"error\"\n"
        );
        std::fs::write(&file, text)?;
        let mut child = Command::new(binary)
            .args(["serve", "--json", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let said: Value = serde_json::from_str(&line).map_err(io::Error::other)?;
        let text = |name: &str| {
            said[name]
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| io::Error::other(format!("it does not say its {name}")))
        };
        let gateway = text("gateway")?.trim_start_matches("http://").parse().map_err(io::Error::other)?;
        let agent = ureq::Agent::config_builder().proxy(None).build().new_agent();
        let (admin, management_key) = (text("admin")?, text("management_key")?);
        let (key, project) = (String::new(), String::new());
        let mut server = Self { gateway, key, admin, management_key, project, agent, child, _folder: folder };
        let api = server.make("/v1/apis", &json!({ "name": "api", "upstream": upstream }))?;
        let open = json!({ "name": "slow", "upstream": upstream, "path_prefix": "/slow", "access": "open" });
        server.make("/v1/apis", &open)?;
        let project = server.make("/v1/projects", &json!({ "name": "project" }))?;
        let link = json!({ "project_id": project["id"], "api_id": api["id"] });
        server.make("/v1/activations", &link)?;
        server.project = text_of(&project, "id")?;
        server.key = text_of(&server.make_key()?, "key")?;
        Ok(server)
    }

    pub(super) fn make_and_revoke_a_key(&self) -> io::Result<()> {
        let id = text_of(&self.make_key()?, "id")?;
        self.make(&format!("/v1/keys/{id}/revoke"), &json!({})).map(|_| ())
    }

    fn make_key(&self) -> io::Result<Value> {
        self.make("/v1/keys", &json!({ "project_id": self.project, "name": "key" }))
    }

    fn make(&self, path: &str, body: &Value) -> io::Result<Value> {
        let request = self.agent.post(format!("{}{path}", self.admin));
        let request = request.header("authorization", format!("Bearer {}", self.management_key));
        let mut answer = request.send_json(body).map_err(io::Error::other)?;
        answer.body_mut().read_json().map_err(io::Error::other)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text_of(object: &Value, field: &str) -> io::Result<String> {
    object[field].as_str().map(str::to_owned).ok_or_else(|| io::Error::other(format!("no {field} in {object}")))
}
