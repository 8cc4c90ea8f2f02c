//! `keystile api …`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use keystile_core::api::{
    CheckPath, CostHeader, Host, KeyLocation, NamedOperation, OperationCost, PathPrefix, PublishableOperation, Target,
    UpgradeProtocol, UpstreamUrl,
};
use keystile_core::key::{Environment, Prefix};
use keystile_core::limit::LimitRule;
use serde_json::{Value, json};

use super::fault::{Exit, Fault};
use super::session::{API, Fields, Session};
use super::table::{Column, away, field};
use super::values::{operation_cost, rate_limit};
use super::{api_operations, api_secret};

/// What to do with APIs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the APIs, newest first.
    List,
    /// Publish an API.
    Create(Create),
    /// Show one API.
    Show {
        /// Its id or name.
        api: String,
    },
    /// Change an API.
    Update(Update),
    /// Delete an API, with its activations.
    Delete {
        /// Its id or name.
        api: String,
    },
    /// Show the machines that take an API's calls, and how they are.
    Targets {
        /// Its id or name.
        api: String,
    },
    /// List the operations of an API's OpenAPI document, and the permission that each asks of a key.
    Operations {
        /// Its id or name.
        api: String,
    },
    /// List what was called and is not in an API's OpenAPI document.
    UnknownOperations(api_operations::Ask),
    /// What an API has for its upstream: headers that calls get, a client certificate.
    Secret {
        #[command(subcommand)]
        verb: api_secret::Verb,
    },
    /// Switch an API off: every call is refused.
    Disable {
        /// Its id or name.
        api: String,
    },
    /// Switch an API on again.
    Enable {
        /// Its id or name.
        api: String,
    },
}

/// A new API.
#[derive(Debug, Args)]
pub struct Create {
    /// What people call it.
    #[arg(long)]
    name: String,
    /// Where its calls go, such as http://127.0.0.1:9000.
    #[arg(long, value_name = "URL")]
    upstream: UpstreamUrl,
    #[command(flatten)]
    settings: Box<Settings>,
}

/// Changes of an API.
#[derive(Debug, Args)]
pub struct Update {
    /// Its id or name.
    api: String,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    /// Where its calls go.
    #[arg(long, value_name = "URL")]
    upstream: Option<UpstreamUrl>,
    #[command(flatten)]
    settings: Box<Settings>,
    /// Answer to every host again.
    #[arg(long, conflicts_with = "hosts")]
    any_host: bool,
    /// Send calls to the upstream's own host and port again.
    #[arg(long, conflicts_with = "targets")]
    no_targets: bool,
    /// Open no single operations any more.
    #[arg(long, conflicts_with = "open_operations")]
    no_open_operations: bool,
    /// Open no operation to publishable keys.
    #[arg(long, conflicts_with = "publishable_operations")]
    no_publishable_operations: bool,
    /// Let all operations cost 1 again.
    #[arg(long, conflicts_with = "operation_costs")]
    no_operation_costs: bool,
    /// Heed nothing any more that the upstream says of the cost of a call.
    #[arg(long, conflicts_with = "cost_header")]
    no_cost_header: bool,
    /// Bound no calls of the API any more but by what keys allow.
    #[arg(long, conflicts_with = "rate_limits")]
    no_rate_limits: bool,
    /// Let everybody without a key call as often as they like, where calls need none.
    #[arg(long, conflicts_with = "anonymous_rate_limits")]
    no_anonymous_rate_limits: bool,
    /// Stop asking targets whether they are well.
    #[arg(long, conflicts_with_all = ["health_check_path", "health_check_seconds"])]
    no_health_check: bool,
    /// Take bodies of every type again.
    #[arg(long, conflicts_with = "request_types")]
    any_request_type: bool,
    /// Give answers of every type again.
    #[arg(long, conflicts_with = "response_types")]
    any_response_type: bool,
    /// Leave the word to the upstream which pages may call.
    #[arg(long, conflicts_with = "cors_origins")]
    no_cors: bool,
    /// Remove the OpenAPI document.
    #[arg(long, conflicts_with = "openapi")]
    no_openapi: bool,
}

#[derive(Debug, Args)]
struct Settings {
    /// A machine that takes its calls, HOST:PORT or HOST:PORT=WEIGHT, in place of the upstream's own host and port; repeat
    /// for several.
    #[arg(long = "target", value_name = "TARGET")]
    targets: Vec<Target>,
    /// What is spoken to the upstream; gRPC needs http2.
    #[arg(long, value_name = "PROTOCOL", value_parser = ["http1", "http2"])]
    upstream_protocol: Option<String>,
    /// A protocol that calls may switch to, such as tcp or SPDY/3.1; repeat for several. WebSocket alone unless given: name
    /// it too to keep it.
    #[arg(long = "upgrade", value_name = "PROTOCOL")]
    upgrades: Vec<UpgradeProtocol>,
    /// Let calls switch to no other protocol, nor to WebSocket.
    #[arg(long, conflicts_with = "upgrades")]
    no_upgrades: bool,
    /// What targets are asked for to see whether they are well, such as /healthz.
    #[arg(long, value_name = "PATH")]
    health_check_path: Option<CheckPath>,
    /// Seconds from one health check to the next; without a path it looks for no more than a connection.
    #[arg(long, value_name = "N")]
    health_check_seconds: Option<u32>,
    /// Failures in a row after which a target gets no calls for a while. 0 for never.
    #[arg(long, value_name = "N")]
    breaker_failures: Option<u32>,
    /// A host it answers to; repeat for several. Any host unless given.
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<Host>,
    /// What the paths of its calls begin with.
    #[arg(long, value_name = "PATH")]
    path_prefix: Option<PathPrefix>,
    /// Whether the prefix is taken off before the call goes on.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    strip_prefix: Option<bool>,
    /// Whether calls need a key.
    #[arg(long, value_name = "ACCESS", value_parser = ["key", "open"])]
    access: Option<String>,
    /// An environment whose keys it takes, live or test; repeat for both. Both unless given.
    #[arg(long = "environment", value_name = "live|test")]
    environments: Vec<Environment>,
    /// What becomes of projects of other organizations that ask for access: manual leaves them to you, automatic lets them
    /// in at once.
    #[arg(long, value_name = "APPROVAL", value_parser = ["manual", "automatic"])]
    approval: Option<String>,
    /// An operation that needs no key all the same, such as "GET /pets/{id}"; repeat for several.
    #[arg(long = "open-operation", value_name = "OPERATION")]
    open_operations: Vec<NamedOperation>,
    /// An operation that publishable keys may call, such as "GET /pets/{id}" or "GET /catalog/**"; repeat for several.
    #[arg(long = "publishable-operation", value_name = "OPERATION")]
    publishable_operations: Vec<PublishableOperation>,
    /// An operation whose calls cost something else than 1, such as "POST /images/{id}=10"; repeat for several.
    #[arg(long = "operation-cost", value_name = "OPERATION=COST", value_parser = operation_cost)]
    operation_costs: Vec<OperationCost>,
    /// The header field in which the upstream says what a call cost, such as X-Usage-Cost; it is taken out of the answer.
    #[arg(long, value_name = "NAME")]
    cost_header: Option<CostHeader>,
    /// How often it may be called, such as 1000/min or each=100/min,by=project or flight:calls=5,by=client_address; repeat
    /// for several.
    #[arg(long = "rate-limit", value_name = "LIMIT", value_parser = rate_limit)]
    rate_limits: Vec<LimitRule>,
    /// How often one address may call without a key, such as 100/min; repeat for several.
    #[arg(long = "anonymous-rate-limit", value_name = "LIMIT", value_parser = rate_limit)]
    anonymous_rate_limits: Vec<LimitRule>,
    /// What becomes of calls that the OpenAPI document does not have.
    #[arg(long, value_name = "WHAT", value_parser = ["pass", "refuse"])]
    unknown_operations: Option<String>,
    /// Where the OpenAPI document says what a key must be allowed for each operation; needs --unknown-operations refuse.
    #[arg(long, value_name = "WHERE", value_parser = ["off", "extension", "security", "tags"])]
    operation_permissions: Option<String>,
    /// Whether shared caches may keep answers to calls with a key.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    shared_caching: Option<bool>,
    /// What is kept of the addresses that calls come from.
    #[arg(long, value_name = "whole|truncated|none", value_parser = ["whole", "truncated", "none"])]
    client_addresses: Option<String>,
    /// Whether calls must be encrypted; a key that comes in clear is refused and marked as exposed.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    require_tls: Option<bool>,
    /// Whether calls must come with a client certificate.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    require_client_certificate: Option<bool>,
    /// An origin whose pages may call from browsers, such as https://app.example.com, https://*.example.com or *;
    /// repeat for several.
    #[arg(long = "cors-origin", value_name = "ORIGIN")]
    cors_origins: Vec<String>,
    /// Whether cookies go along with calls of pages.
    #[arg(long, requires = "cors_origins")]
    cors_credentials: bool,
    /// Where the key stands: bearer, header:NAME or query:NAME; repeat for several.
    #[arg(long = "key-location", value_name = "PLACE")]
    key_locations: Vec<KeyLocation>,
    /// What the text of its keys begins with.
    #[arg(long, value_name = "PREFIX")]
    key_prefix: Option<Prefix>,
    /// Days until a new key expires, unless its maker says otherwise.
    #[arg(long, value_name = "N")]
    key_days: Option<u32>,
    /// The most days that a key may live. 0 for as many as its maker says.
    #[arg(long, value_name = "N")]
    max_key_days: Option<u32>,
    /// Days after which a key's version is to be rotated; events remind of it. 0 for no reminders.
    #[arg(long, value_name = "N")]
    rotate_key_days: Option<u32>,
    /// Days without a call after which a key counts as unused. 0 for never.
    #[arg(long, value_name = "N")]
    unused_key_days: Option<u32>,
    /// What becomes of unused keys.
    #[arg(long, value_name = "WHAT", value_parser = ["report", "disable", "delete"])]
    unused_keys: Option<String>,
    /// Whether texts of keys of its projects may be kept, encrypted, so that they can be had back.
    #[arg(long, value_name = "true|false")]
    recoverable_keys: Option<bool>,
    /// Longest request body.
    #[arg(long, value_name = "N")]
    body_limit_bytes: Option<u64>,
    /// Most bytes of the header fields of a call, each counted as its name, its value and 4 more. 0 for what the server
    /// takes.
    #[arg(long, value_name = "N")]
    max_header_bytes: Option<u32>,
    /// Most header fields of a call. 0 for what the server takes.
    #[arg(long, value_name = "N")]
    max_header_fields: Option<u32>,
    /// A type of request body it takes, such as application/json, application/*, application/*+json or */*; repeat for
    /// several. Every type unless given.
    #[arg(long = "request-type", value_name = "TYPE")]
    request_types: Vec<String>,
    /// A type of answer it gives; an answer of another type does not reach the client. Repeat for several.
    #[arg(long = "response-type", value_name = "TYPE")]
    response_types: Vec<String>,
    /// Calls that are answered at once; further ones are refused. 0 for as many as come.
    #[arg(long, value_name = "N")]
    max_concurrent_calls: Option<u32>,
    /// Seconds the upstream has to begin its answer.
    #[arg(long, value_name = "N")]
    upstream_timeout_seconds: Option<u32>,
    /// Seconds a target may take to accept a connection. 0 for what the server's settings say.
    #[arg(long, value_name = "N")]
    connect_timeout_seconds: Option<u32>,
    /// Seconds the upstream may pause within its answer.
    #[arg(long, value_name = "N")]
    idle_timeout_seconds: Option<u32>,
    /// Seconds a call may take to the end of its answer. 0 for as long as it takes.
    #[arg(long, value_name = "N")]
    total_timeout_seconds: Option<u32>,
    /// An OpenAPI document, JSON or YAML: its operations are what calls are counted by.
    #[arg(long, value_name = "FILE")]
    openapi: Option<PathBuf>,
}

impl Settings {
    fn fields(self) -> Result<Fields, Fault> {
        let document = self.openapi.as_deref().map(document).transpose()?;
        let cors = (!self.cors_origins.is_empty())
            .then(|| json!({ "origins": self.cors_origins, "credentials": self.cors_credentials }));
        let health_check = (self.health_check_path.is_some() || self.health_check_seconds.is_some()).then(|| {
            Fields::default()
                .with("path", self.health_check_path.map(|path| path.to_string()))
                .with("interval_seconds", self.health_check_seconds)
                .0
        });
        let costs = (!self.operation_costs.is_empty()).then(|| json!(self.operation_costs));
        let limits = (!self.rate_limits.is_empty()).then(|| json!(self.rate_limits));
        let anonymous = (!self.anonymous_rate_limits.is_empty()).then(|| json!(self.anonymous_rate_limits));
        let environments = (!self.environments.is_empty()).then(|| json!(self.environments));
        let targets = (!self.targets.is_empty()).then(|| json!(self.targets));
        Ok(Fields::default()
            .with("targets", targets)
            .with("upstream_protocol", self.upstream_protocol)
            .with_list("upgrades", &self.upgrades)
            .with("upgrades", self.no_upgrades.then(|| Value::Array(Vec::new())))
            .with("health_check", health_check)
            .with("breaker_failures", self.breaker_failures)
            .with_list("hosts", &self.hosts)
            .with("path_prefix", self.path_prefix.map(|prefix| prefix.to_string()))
            .with("strip_prefix", self.strip_prefix)
            .with("access", self.access)
            .with("environments", environments)
            .with("approval", self.approval)
            .with_list("open_operations", &self.open_operations)
            .with_list("publishable_operations", &self.publishable_operations)
            .with("operation_costs", costs)
            .with("cost_header", self.cost_header.map(|name| name.to_string()))
            .with("rate_limits", limits)
            .with("anonymous_rate_limits", anonymous)
            .with("unknown_operations", self.unknown_operations)
            .with("operation_permissions", self.operation_permissions)
            .with("shared_caching", self.shared_caching)
            .with("client_addresses", self.client_addresses)
            .with("require_tls", self.require_tls)
            .with("cors", cors)
            .with("require_client_certificate", self.require_client_certificate)
            .with_list("key_locations", &self.key_locations)
            .with("key_prefix", self.key_prefix.map(|prefix| prefix.as_str().to_owned()))
            .with("key_days", self.key_days)
            .with("max_key_days", self.max_key_days.map(or_none))
            .with("rotate_key_days", self.rotate_key_days.map(or_none))
            .with("unused_key_days", self.unused_key_days.map(or_none))
            .with("unused_keys", self.unused_keys)
            .with("recoverable_keys", self.recoverable_keys)
            .with("body_limit_bytes", self.body_limit_bytes)
            .with("max_header_bytes", self.max_header_bytes.map(or_none))
            .with("max_header_fields", self.max_header_fields.map(or_none))
            .with_list("request_types", &self.request_types)
            .with_list("response_types", &self.response_types)
            .with("max_concurrent_calls", self.max_concurrent_calls.map(or_none))
            .with("upstream_timeout_seconds", self.upstream_timeout_seconds)
            .with("connect_timeout_seconds", self.connect_timeout_seconds.map(or_none))
            .with("idle_timeout_seconds", self.idle_timeout_seconds)
            .with("total_timeout_seconds", self.total_timeout_seconds.map(or_none))
            .with("openapi", document))
    }
}

/// A number, where 0 means that there is none.
fn or_none(number: u32) -> Value {
    if number == 0 { Value::Null } else { number.into() }
}

fn document(file: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(file).map_err(|error| {
        Fault::usage("the OpenAPI document can't be read", format!("{}: {error}", file.display()), "check --openapi")
    })
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List => session.list(API, &[], &COLUMNS),
        Verb::Create(ask) => {
            let fields =
                ask.settings.fields()?.with("name", Some(ask.name)).with("upstream", Some(ask.upstream.to_string()));
            session.create(API, fields.0)
        }
        Verb::Show { api } => {
            let id = session.api(&api)?;
            session.show(API, &id)
        }
        Verb::Update(ask) => {
            let fields = ask
                .settings
                .fields()?
                .with("name", ask.name)
                .with("upstream", ask.upstream.map(|url| url.to_string()))
                .with("hosts", ask.any_host.then(|| Value::Array(Vec::new())))
                .with("targets", ask.no_targets.then(|| Value::Array(Vec::new())))
                .with("open_operations", ask.no_open_operations.then(|| Value::Array(Vec::new())))
                .with("publishable_operations", ask.no_publishable_operations.then(|| Value::Array(Vec::new())))
                .with("operation_costs", ask.no_operation_costs.then(|| Value::Array(Vec::new())))
                .with("cost_header", ask.no_cost_header.then_some(Value::Null))
                .with("rate_limits", ask.no_rate_limits.then(|| Value::Array(Vec::new())))
                .with("anonymous_rate_limits", ask.no_anonymous_rate_limits.then(|| Value::Array(Vec::new())))
                .with("request_types", ask.any_request_type.then_some(Value::Null))
                .with("response_types", ask.any_response_type.then_some(Value::Null))
                .with("health_check", ask.no_health_check.then_some(Value::Null))
                .with("cors", ask.no_cors.then_some(Value::Null))
                .with("openapi", ask.no_openapi.then_some(Value::Null));
            let id = session.api(&ask.api)?;
            session.update(API, &id, fields.0)
        }
        Verb::Operations { api } => api_operations::documented(&api, session),
        Verb::UnknownOperations(ask) => api_operations::run(&ask, session),
        Verb::Secret { verb } => api_secret::run(verb, session),
        Verb::Targets { api } => {
            let id = session.api(&api)?;
            session.list_at("targets", &format!("{}/{id}/targets", API.path), &[], &TARGET_COLUMNS)
        }
        Verb::Delete { api } => {
            let id = session.api(&api)?;
            session.delete(API, &id, " and every project's access to it")
        }
        Verb::Disable { api } => {
            let id = session.api(&api)?;
            session.act(API, &id, "disable", None)
        }
        Verb::Enable { api } => {
            let id = session.api(&api)?;
            session.act(API, &id, "enable", None)
        }
    }
}

const TARGET_COLUMNS: [Column; 5] = [
    Column::left("TARGET", |target, _| field(target, "address")),
    Column::left("WEIGHT", |target, _| field(target, "weight")),
    Column::left("STATE", |target, _| {
        let also = if target.get("healthy") == Some(&Value::Bool(false)) { "; unhealthy" } else { "" };
        match field(target, "rests_for_seconds") {
            none if none == "-" => field(target, "state"),
            seconds if seconds == "0" => format!("resting, the next call tries it{also}"),
            seconds => format!("resting, {seconds} s{also}"),
        }
    }),
    Column::left("CALLS", |target, _| field(target, "calls_in_flight")),
    Column::left("ADDRESSES", |target, _| field(target, "addresses")),
];

const COLUMNS: [Column; 7] = [
    Column::left("ID", |api, _| field(api, "id")),
    Column::left("NAME", |api, _| field(api, "name")),
    Column::left("STATE", |api, _| {
        if api.get("active") == Some(&Value::Bool(false)) { "disabled" } else { "active" }.to_owned()
    }),
    Column::left("HOSTS", |api, _| match field(api, "hosts") {
        none if none == "-" => "any".to_owned(),
        hosts => hosts,
    }),
    Column::left("PATH", |api, _| field(api, "path_prefix")),
    Column::left("UPSTREAM", |api, _| field(api, "upstream")),
    Column::left("CREATED", |api, now| away(api, "created_at", now)),
];
