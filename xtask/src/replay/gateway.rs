//! The gateway under replay: started for the purpose, or one that runs already; and what is asked of its
//! management API: an API to call, a project with a key for each client, and the usage at the end.

use std::io::{self, BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::count::{Counted, Counts};
use crate::clock;

/// How many set-up calls are in flight. The management API writes one at a time, so more would only queue.
const SETUP_THREADS: usize = 8;

/// A gateway that has stopped serving ends within 5 s; then it is ended.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// The rows of a page of usage.
const USAGE_PAGE: usize = 10_000;

/// A running gateway, the way to its management API, and the API that the calls go to.
pub(super) struct Gateway {
    /// Where calls go.
    pub address: SocketAddr,
    /// What they say in `Host`.
    pub host: String,
    admin: String,
    management_key: String,
    api_id: String,
    agent: ureq::Agent,
    process: Option<Process>,
}

/// A caller of the log as the gateway knows it.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Its project.
    pub project_id: String,
    /// The text of its key.
    pub key: String,
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
    /// Starts `keystile dev` on a folder of its own.
    ///
    /// # Errors
    /// If it can't be started or does not say where it listens.
    pub(super) fn start(binary: &Path, openapi: Option<&Path>) -> io::Result<Self> {
        let data = tempfile::tempdir()?;
        let mut command = Command::new(binary);
        command.args(["dev", "--json", "--data"]).arg(data.path());
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
        let mut gateway = Self::at(&started.gateway, started.admin, started.management_key)?;
        gateway.api_id = started.api_id;
        gateway.process = Some(process);
        Ok(gateway)
    }

    /// Uses a gateway that runs already, with an API that is there.
    ///
    /// # Errors
    /// If the address is not one.
    pub(super) fn running(url: &str, admin: String, management_key: String, api_id: String) -> io::Result<Self> {
        let mut gateway = Self::at(url, admin, management_key)?;
        gateway.api_id = api_id;
        Ok(gateway)
    }

    /// Uses a gateway that runs already, and makes an API there.
    ///
    /// # Errors
    /// If the address is not one or the API is refused.
    pub(super) fn running_with_own_api(
        url: &str,
        admin: String,
        management_key: String,
        upstream: &str,
        openapi: Option<&Path>,
    ) -> io::Result<Self> {
        let mut gateway = Self::at(url, admin, management_key)?;
        let mut body = json!({ "name": format!("replay {}", std::process::id()), "upstream": upstream });
        if let Some(openapi) = openapi {
            body["openapi"] = std::fs::read_to_string(openapi)?.into();
        }
        gateway.api_id = text_of(&gateway.post("/v1/apis", &body)?, "id")?;
        Ok(gateway)
    }

    fn at(url: &str, admin: String, management_key: String) -> io::Result<Self> {
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
        Ok(Self { address, host, admin, management_key, api_id: String::new(), agent, process: None })
    }

    /// Makes a project with a key and access to the API for each client, several at once.
    ///
    /// # Errors
    /// If the management API refuses one.
    pub(super) fn set_up(&self, clients: &[String], made: impl Fn() + Sync) -> io::Result<Vec<Caller>> {
        let next = AtomicUsize::new(0);
        let work = || -> io::Result<Vec<(usize, Caller)>> {
            let mut callers = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(client) = clients.get(index) else { return Ok(callers) };
                callers.push((index, self.caller(client)?));
                made();
            }
        };
        let parts: Vec<io::Result<Vec<(usize, Caller)>>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..SETUP_THREADS).map(|_| scope.spawn(work)).collect();
            let lost = |_| Err(io::Error::other("a thread of the set-up panicked"));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(lost)).collect()
        });
        let mut callers = Vec::with_capacity(clients.len());
        for part in parts {
            callers.extend(part?);
        }
        callers.sort_by_key(|(index, _)| *index);
        Ok(callers.into_iter().map(|(_, caller)| caller).collect())
    }

    fn caller(&self, client: &str) -> io::Result<Caller> {
        let project = self.post("/v1/projects", &json!({ "name": format!("replay {client}") }))?;
        let project_id = text_of(&project, "id")?;
        let activation = self.post("/v1/activations", &json!({ "project_id": project_id, "api_id": self.api_id }))?;
        if activation["state"] == "requested" {
            let id = text_of(&activation, "id")?;
            self.post(&format!("/v1/activations/{id}/approve"), &json!({}))?;
        }
        let key = self.post("/v1/keys", &json!({ "project_id": project_id, "name": client }))?;
        Ok(Caller { key: text_of(&key, "key")?, project_id })
    }

    /// The usage of all projects, by project, operation, code and status.
    ///
    /// # Errors
    /// If the management API does not give it.
    pub(super) fn usage(&self) -> io::Result<Counts> {
        let mut counts = Counts::default();
        let mut cursor: Option<String> = None;
        loop {
            let mut path = format!("/v1/usage?group_by=project,operation,code,status&limit={USAGE_PAGE}");
            if let Some(cursor) = &cursor {
                path.push_str("&cursor=");
                path.push_str(&escaped(cursor));
            }
            let page: UsagePage = serde_json::from_value(
                self.ask(self.agent.get(self.url(&path)).header("Authorization", self.authorization()).call(), &path)?,
            )
            .map_err(io::Error::other)?;
            for row in page.items {
                let counted = Counted {
                    project_id: row.project_id.unwrap_or_default(),
                    operation: row.operation.unwrap_or_default(),
                    code: row.code.unwrap_or_default(),
                    status: row.status.unwrap_or_default(),
                };
                counts.add(counted, row.calls);
            }
            match page.next_cursor {
                None => return Ok(counts),
                next => cursor = next,
            }
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.admin)
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.management_key)
    }

    fn post(&self, path: &str, body: &Value) -> io::Result<Value> {
        let request = self.agent.post(self.url(path)).header("Authorization", self.authorization());
        self.ask(request.send_json(body), path)
    }

    fn ask(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>, path: &str) -> io::Result<Value> {
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

#[derive(Deserialize)]
struct UsagePage {
    items: Vec<UsageRow>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct UsageRow {
    #[serde(default)]
    project_id: Option<String>,
    #[serde(default)]
    operation: Option<String>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    status: Option<u16>,
    calls: u64,
}

fn text_of(object: &Value, field: &str) -> io::Result<String> {
    let text = object[field].as_str().map(str::to_owned);
    text.ok_or_else(|| io::Error::other(format!("an answer of the management API has no `{field}`")))
}

/// A text as it may stand in a query.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The first of five ports in a row that nobody listens on.
fn free_ports() -> io::Result<u16> {
    for _ in 0..100 {
        let base = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let all_free =
            base < u16::MAX - 5 && (base..base + 5).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        if all_free {
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
    fn a_cursor_is_escaped_for_the_query() {
        assert_eq!(escaped("a+b/c=~"), "a%2Bb%2Fc%3D~");
    }

    #[test]
    fn five_free_ports_are_found() {
        assert!(free_ports().expect("ports") >= 1_024);
    }
}
