//! The gateway under a task: started for the purpose, or one that runs already; and the way to its management API.
//! What a task sets up there is its own business.

use std::io::{self, BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::clock;

/// How many calls of the management API are in flight. It writes one at a time, so more would only queue.
pub(crate) const SETUP_THREADS: usize = 8;

/// A gateway that has stopped serving ends within 5 s; then it is ended.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// A running gateway and the way to its management API.
pub(crate) struct Gateway {
    /// Where calls go.
    pub address: SocketAddr,
    /// What they say in `Host`.
    pub host: String,
    admin: String,
    management_key: String,
    agent: ureq::Agent,
    process: Option<Process>,
}

/// What `keystile dev --json` says.
#[derive(Deserialize)]
struct Started {
    gateway: String,
    admin: String,
    management_key: String,
    api_id: String,
}

impl Gateway {
    /// Starts `keystile dev` on a folder of its own. Returns the id of the API that it begins with, too.
    ///
    /// # Errors
    /// If it can't be started or does not say where it listens.
    pub(crate) fn start(binary: &Path, openapi: Option<&Path>) -> io::Result<(Self, String)> {
        let data = tempfile::tempdir()?;
        let mut command = Command::new(binary);
        command.args(["dev", "--unclaimed", "--json", "--data"]).arg(data.path());
        command.args(["--port-base", &free_ports()?.to_string()]);
        if let Some(openapi) = openapi {
            command.arg("--openapi").arg(openapi);
        }
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| {
                io::Error::new(error.kind(), format!("{} can't be started: {error}", binary.display()))
            })?;
        let stdout = child.stdout.take();
        let process = Process { child, _data: data };
        let mut line = String::new();
        if let Some(stdout) = stdout {
            let mut reader = BufReader::new(stdout);
            reader.read_line(&mut line)?;
            // Whatever else it says is read, so that a full pipe never holds it up.
            thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
        }
        let started: Started = serde_json::from_str(&line).map_err(|error| {
            io::Error::other(format!("the first line of `keystile dev --json` is not its own: {error}"))
        })?;
        let mut gateway = Self::running(&started.gateway, started.admin, started.management_key)?;
        gateway.process = Some(process);
        Ok((gateway, started.api_id))
    }

    /// Uses a gateway that runs already.
    ///
    /// # Errors
    /// If the address is not one.
    pub(crate) fn running(url: &str, admin: String, management_key: String) -> io::Result<Self> {
        let host = url.strip_prefix("http://").ok_or(io::Error::other(format!("not an http:// address: {url}")))?;
        let host = host.trim_end_matches('/').to_owned();
        let with_port = if host.contains(':') { host.clone() } else { format!("{host}:80") };
        let address = with_port.to_socket_addrs()?.next().ok_or(io::Error::other(format!("no address: {url}")))?;
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(120)))
            .max_idle_connections_per_host(SETUP_THREADS)
            .build();
        let admin = admin.trim_end_matches('/').to_owned();
        let agent = config.new_agent();
        Ok(Self { address, host, admin, management_key, agent, process: None })
    }

    /// Asks the management API.
    ///
    /// # Errors
    /// If there is no answer, or it is not a success.
    pub(crate) fn get(&self, path: &str) -> io::Result<Value> {
        let request = self.agent.get(self.url(path)).header("Authorization", self.authorization());
        self.read(request.call(), path)
    }

    /// Tells the management API.
    ///
    /// # Errors
    /// If there is no answer, or it is not a success.
    pub(crate) fn post(&self, path: &str, body: &Value) -> io::Result<Value> {
        let request = self.agent.post(self.url(path)).header("Authorization", self.authorization());
        self.read(request.send_json(body), path)
    }

    /// Lets a project call an API.
    ///
    /// # Errors
    /// If the management API refuses.
    pub(crate) fn activate(&self, project_id: &str, api_id: &str) -> io::Result<()> {
        let wish = serde_json::json!({ "project_id": project_id, "api_id": api_id });
        let activation = self.post("/v1/activations", &wish)?;
        if activation["state"] == "requested" {
            let id = text_of(&activation, "id")?;
            self.post(&format!("/v1/activations/{id}/approve"), &serde_json::json!({}))?;
        }
        Ok(())
    }

    /// Where the management API is.
    pub(crate) fn admin(&self) -> &str {
        &self.admin
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.admin)
    }

    /// What its requests say in `Authorization`.
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.management_key)
    }

    fn read(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>, path: &str) -> io::Result<Value> {
        let failed = |what: String| io::Error::other(format!("{}: {what}", self.url(path)));
        let mut answer = answer.map_err(|error| failed(error.to_string()))?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(64 << 20).read_to_string();
        let body = body.map_err(|error| failed(error.to_string()))?;
        if !status.is_success() {
            return Err(failed(format!("{status}: {}", body.chars().take(400).collect::<String>())));
        }
        serde_json::from_str(&body).map_err(|error| failed(error.to_string()))
    }
}

/// A text of an answer of the management API.
///
/// # Errors
/// If it is not there.
pub(crate) fn text_of(object: &Value, field: &str) -> io::Result<String> {
    let text = object[field].as_str().map(str::to_owned);
    text.ok_or_else(|| io::Error::other(format!("an answer of the management API has no `{field}`")))
}

/// The first of five ports in a row that nobody listens on. They are sought below those that the system takes for
/// connections (32768 and up), of which thousands may still be waiting after a run.
fn free_ports() -> io::Result<u16> {
    const FIRST: u16 = 10_000;
    const FIVES: u16 = 4_000;
    // Two tasks at once begin at different ones.
    let begin = (std::process::id() % u32::from(FIVES)) as u16;
    for step in 0..FIVES {
        let base = FIRST + (begin + step) % FIVES * 5;
        if (base..base + 5).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return Ok(base);
        }
    }
    Err(io::Error::other("no five free ports in a row"))
}

/// The gateway's process, ended with this value: politely, then not. Its folder goes after it.
struct Process {
    child: Child,
    _data: tempfile::TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let asked = clock::now();
        while asked.elapsed() < STOP_WITHIN {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds the gateway and returns where it is.
///
/// # Errors
/// If it does not build.
pub(crate) fn build() -> io::Result<PathBuf> {
    let status = Command::new(crate::cargo())
        .args(["build", "--release", "--package", "keystile", "--bin", "keystile"])
        .current_dir(crate::root())
        .status()?;
    if !status.success() {
        return Err(io::Error::other("the gateway does not build"));
    }
    Ok(crate::target_folder()?.join("release/keystile"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_free_ports_are_found() {
        assert!(free_ports().expect("ports") >= 1_024);
    }
}
