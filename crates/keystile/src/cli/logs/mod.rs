//! `keystile logs`: the request log, searched (`query`), followed (`tail`), or one call of it.

mod query;
mod tail;

use clap::{Args, Subcommand};
use keystile_core::id::RequestId;
use keystile_core::method::Method;

use super::fault::{Exit, Fault};
use super::session::{Noun, Session};

/// The calls of the log.
const REQUEST: Noun = Noun { one: "request", many: "requests", path: "/v1/requests" };

/// What to do with the request log.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List calls, newest first.
    Query(query::Query),
    /// Show a call, by the id that its answer carried in X-Request-Id.
    Show {
        /// Its id.
        id: RequestId,
    },
    /// Follow calls as they are answered, until Ctrl-C.
    Tail(Which),
}

/// Which calls.
#[derive(Debug, Args)]
pub struct Which {
    /// Only calls of this API, by id or name.
    #[arg(long)]
    api: Option<String>,
    /// Only calls of this project, by id or name.
    #[arg(long)]
    project: Option<String>,
    /// Only calls with this key, by id or name.
    #[arg(long)]
    key: Option<String>,
    /// Only calls that ended with this code, such as rate_limited.
    #[arg(long)]
    code: Option<String>,
    /// Only calls with this status, such as 404, or of this class, such as 4xx.
    #[arg(long)]
    status: Option<String>,
    /// Only calls with this method.
    #[arg(long)]
    method: Option<Method>,
    /// Only calls whose path begins so.
    #[arg(long)]
    path: Option<String>,
    /// Only calls of this operation, such as 'GET /pets/{id}'.
    #[arg(long)]
    operation: Option<String>,
    /// Only calls from this address, or from this network, such as 192.0.2.0/24.
    #[arg(long)]
    address: Option<String>,
    /// Only calls through the gateway, or only those of which verification was asked.
    #[arg(long, value_parser = ["gateway", "verification"])]
    door: Option<String>,
}

impl Which {
    /// What is asked of the server.
    fn query(self, session: &Session<'_>) -> Result<Vec<(&'static str, String)>, Fault> {
        let api = self.api.map(|text| session.api(&text)).transpose()?;
        let project = self.project.map(|text| session.project(&text)).transpose()?;
        let key = self.key.map(|text| session.key(&text, project)).transpose()?;
        let all = [
            ("api_id", api.map(|id| id.to_string())),
            ("project_id", project.map(|id| id.to_string())),
            ("key_id", key.map(|id| id.to_string())),
            ("code", self.code),
            ("status", self.status),
            ("method", self.method.map(|method| method.to_string())),
            ("path", self.path),
            ("operation", self.operation),
            ("address", self.address),
            ("door", self.door),
        ];
        Ok(all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::Query(ask) => query::run(ask, session),
        Verb::Show { id } => session.show(REQUEST, &id),
        Verb::Tail(which) => tail::run(which, session),
    }
}

/// What is asked, as the server takes it.
fn borrowed<'a>(query: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    query.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
