//! What a replay sets up in a gateway: an API to call, a project with a key for each client; and what it asks for at
//! the end, the usage.

use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde::Deserialize;
use serde_json::json;

use super::count::{Counted, Counts};
use crate::gateway::{Gateway, SETUP_THREADS, text_of};

/// The rows of a page of usage.
const USAGE_PAGE: usize = 10_000;

/// A gateway, and the API in it that the calls go to.
pub(super) struct Stage {
    gateway: Gateway,
    api_id: String,
}

/// A caller of the log as the gateway knows it.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Its project.
    pub project_id: String,
    /// The text of its key.
    pub key: String,
}

impl Deref for Stage {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        &self.gateway
    }
}

impl Stage {
    /// Starts `keystile dev` on a folder of its own.
    ///
    /// # Errors
    /// If it can't be started or does not say where it listens.
    pub(super) fn start(binary: &Path, openapi: Option<&Path>) -> io::Result<Self> {
        let (gateway, api_id) = Gateway::start(binary, openapi)?;
        Ok(Self { gateway, api_id })
    }

    /// Uses a gateway that runs already, with an API that is there.
    ///
    /// # Errors
    /// If the address is not one.
    pub(super) fn running(url: &str, admin: String, management_key: String, api_id: String) -> io::Result<Self> {
        Ok(Self { gateway: Gateway::running(url, admin, management_key)?, api_id })
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
        let gateway = Gateway::running(url, admin, management_key)?;
        let mut body = json!({ "name": format!("replay {}", std::process::id()), "upstream": upstream });
        if let Some(openapi) = openapi {
            body["openapi"] = std::fs::read_to_string(openapi)?.into();
        }
        let api_id = text_of(&gateway.post("/v1/apis", &body)?, "id")?;
        Ok(Self { gateway, api_id })
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
        self.activate(&project_id, &self.api_id)?;
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
            let page: UsagePage = serde_json::from_value(self.get(&path)?).map_err(io::Error::other)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_escaped_for_the_query() {
        assert_eq!(escaped("a+b/c=~"), "a%2Bb%2Fc%3D~");
    }
}
