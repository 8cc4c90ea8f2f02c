//! Reads the fields of an API that a request may say, for making and for changing one alike.

use keystile_core::api::ApiSettings;
use keystile_store::records::Document;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::manage::keys::policy::RateLimitShape;
use crate::manage::problem::{internal, invalid};
use crate::manage::projects::checked_name;
use crate::openapi::ApiDocument;
use crate::problem::Problem;

/// The fields of an API that may be said. Only `name` and `upstream` are needed for a new one.
#[derive(Deserialize, ToSchema)]
#[schema(as = ApiInput)]
#[allow(dead_code, reason = "this is the shape in the OpenAPI document; the fields are read by the core's own type")]
pub(super) struct ApiInput {
    /// Its name.
    name: Option<String>,
    /// Where its calls go.
    #[schema(example = "http://127.0.0.1:9000")]
    upstream: Option<String>,
    /// The machines that take its calls, in place of the host and port of `upstream`: the one with the fewest calls for
    /// its weight takes the next. Empty for none but that one.
    targets: Option<Vec<TargetShape>>,
    /// `http1`, or `http2` (with TLS by ALPN, in clear by prior knowledge), as gRPC needs it.
    upstream_protocol: Option<String>,
    /// Protocols that calls may switch to with `Upgrade`, such as `tcp` or `SPDY/3.1`, over HTTP/1.1 on both sides; at most
    /// 8. `["websocket"]` unless said otherwise; empty for none. What HTTP is spoken in (`h2c`, `HTTP/…`, `TLS/…`) is
    /// refused.
    upgrades: Option<Vec<String>>,
    /// How targets are asked whether they are well; `null` asks nothing.
    health_check: Option<HealthCheckShape>,
    /// Failures in a row after which a target gets no calls for a second, then two, at most 30; 0 for never, 5 unless
    /// said otherwise.
    breaker_failures: Option<u32>,
    /// Hosts it answers to; any, when empty.
    hosts: Option<Vec<String>>,
    /// What its paths begin with; `/` unless said otherwise.
    path_prefix: Option<String>,
    /// Whether the prefix is taken off before a call goes on.
    strip_prefix: Option<bool>,
    /// `key`, or `open` if calls need none.
    access: Option<String>,
    /// The environments whose keys it takes, some of `live` and `test`; both unless said otherwise. Others are refused with
    /// `environment_forbidden`.
    environments: Option<Vec<String>>,
    /// What becomes of projects of other organizations that ask for access: `manual` (unless said otherwise) leaves them to
    /// you, `automatic` approves them at once.
    approval: Option<String>,
    /// Operations that need no key all the same, such as `GET /pets/{id}`; the path is below the prefix if that is taken
    /// off.
    open_operations: Option<Vec<String>>,
    /// Operations that publishable keys may call, such as `GET /pets/{id}` or `GET /catalog/**`; the path is below the prefix
    /// if that is taken off.
    publishable_operations: Option<Vec<String>>,
    /// Operations whose calls cost something else than 1, for limits and in usage; at most 1,000.
    operation_costs: Option<Vec<OperationCostShape>>,
    /// The header field (`X-…`) in which the upstream says in its answers what a call cost, a whole number; it is taken out of the
    /// answer, and limits are put right by the difference. `null` if it says nothing.
    #[schema(example = "X-Usage-Cost")]
    cost_header: Option<String>,
    /// How often it may be called, besides what its keys allow: together, or counted apart by what each limit says. All of
    /// them and those of the key have room, or none counts the call.
    rate_limits: Option<Vec<RateLimitShape>>,
    /// How often one address may call without a key; without limits as often as it likes.
    anonymous_rate_limits: Option<Vec<RateLimitShape>>,
    /// `pass`, or `refuse` calls that the API's document does not have.
    unknown_operations: Option<String>,
    /// What a key must be allowed for each operation: `off` asks nothing, `extension` goes by `x-keystile-permission` in the
    /// document, `security` by its scopes, `tags` by its tags (`TAG.read`, `TAG.write`). Needs `unknown_operations` to be
    /// `refuse`.
    operation_permissions: Option<String>,
    /// Whether shared caches may keep answers to calls with a key, if the upstream says so; `false` unless said otherwise:
    /// answers then are `private`, and name the key in `Vary`.
    shared_caching: Option<bool>,
    /// What is kept of the addresses that calls come from: `whole` (if nothing is said), `truncated` (the first 24 bits of
    /// IPv4, 48 of IPv6) or `none`.
    client_addresses: Option<String>,
    /// Whether calls must be encrypted: a key that comes in clear is refused and marked as exposed.
    require_tls: Option<bool>,
    /// Whether calls must come with a client certificate that the server accepts.
    require_client_certificate: Option<bool>,
    /// Which pages in browsers may call (CORS); `null` leaves the word to the upstream.
    cors: Option<CorsShape>,
    /// Where the key stands: `bearer`, `header:NAME`, `query:NAME`.
    key_locations: Option<Vec<String>>,
    /// What the text of its keys begins with; `ks` unless said otherwise.
    key_prefix: Option<String>,
    /// Days until a new key expires; 90 unless said otherwise.
    key_days: Option<u32>,
    /// The most days that a key may live from when it is made or rotated; `null` for as many as its maker says.
    max_key_days: Option<u32>,
    /// Days after which a key's version is to be rotated, of which events remind; `null` for no reminders.
    rotate_key_days: Option<u32>,
    /// Days without a call after which a key counts as unused; `null` for never.
    unused_key_days: Option<u32>,
    /// What becomes of unused keys: `report` (if nothing is said) says so in an event, `disable` disables them as well,
    /// `delete` also deletes them when they were not used for as long again.
    unused_keys: Option<String>,
    /// Whether texts of keys of its projects may be kept, encrypted, so that they can be had back; `false` unless said
    /// otherwise. Every copy of the data together with the root key then holds keys that open the API.
    recoverable_keys: Option<bool>,
    /// Longest request body; 10 MiB unless said otherwise.
    body_limit_bytes: Option<u64>,
    /// Most bytes of the header fields of a call, each counted as its name, its value and 4 more, 1 to 32768; longer ones
    /// are refused as `headers_too_large`. `null` for what the server takes.
    max_header_bytes: Option<u32>,
    /// Most header fields of a call, 1 to 100; of more the call is refused as `headers_too_large`. `null` for what the
    /// server takes.
    max_header_fields: Option<u32>,
    /// Types of request bodies that it takes, such as `application/json`, `application/*`, `application/*+json` or `*/*`;
    /// one of another type is answered with 415. A body that says nothing of its type is `application/octet-stream`.
    /// `null` for all.
    request_types: Option<Vec<String>>,
    /// Types of answers that it gives; one of another type does not reach the client. Answers without content always do.
    /// `null` for all.
    response_types: Option<Vec<String>>,
    /// Calls that are answered at once; further ones are refused as `overloaded`. `null` for as many as come.
    max_concurrent_calls: Option<u32>,
    /// How long the upstream has to begin its answer; 60 unless said otherwise.
    upstream_timeout_seconds: Option<u32>,
    /// How long a target may take to accept a connection; `null` for what the server's settings say.
    connect_timeout_seconds: Option<u32>,
    /// How long the upstream may pause within its answer; 300 unless said otherwise.
    idle_timeout_seconds: Option<u32>,
    /// How long a call may take from its head to the end of its answer; `null` for as long as it takes.
    total_timeout_seconds: Option<u32>,
    /// An OpenAPI 3.0 or 3.1 document, as an object or as text in JSON or YAML; `null` takes it away.
    #[schema(value_type = Option<Object>)]
    openapi: Option<Value>,
}

/// A machine that takes calls of an API.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = Target)]
#[allow(dead_code, reason = "the core's own type reads and writes it; this is its shape in the OpenAPI document")]
pub(super) struct TargetShape {
    /// `host:port`.
    #[schema(example = "10.0.0.5:9000")]
    address: String,
    /// Its share; 1 unless said otherwise.
    weight: Option<u32>,
}

/// What one operation costs.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = OperationCost)]
#[allow(dead_code, reason = "the core's own type reads and writes it; this is its shape in the OpenAPI document")]
pub(in crate::manage) struct OperationCostShape {
    /// Which operation; the path is below the prefix if that is taken off.
    #[schema(example = "POST /images/{id}")]
    operation: String,
    /// What a call of it costs; 0 for nothing.
    #[schema(example = 10)]
    cost: u32,
}

/// How targets are asked whether they are well.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = HealthCheck)]
#[allow(dead_code, reason = "the core's own type reads and writes it; this is its shape in the OpenAPI document")]
pub(super) struct HealthCheckShape {
    /// What is asked for with `GET`; an answer of 200 to 399 is good. Without it a connection is enough.
    #[schema(example = "/healthz")]
    path: Option<String>,
    /// From one check to the next; 10 unless said otherwise.
    interval_seconds: Option<u32>,
    /// How long a check may take; 2 unless said otherwise.
    timeout_seconds: Option<u32>,
    /// Good checks in a row after which a target gets calls again; 2 unless said otherwise.
    healthy_after: Option<u32>,
    /// Bad checks in a row after which it gets none; 3 unless said otherwise.
    unhealthy_after: Option<u32>,
}

/// Which pages in browsers may call an API.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = Cors)]
#[allow(dead_code, reason = "the core's own type reads and writes it; this is its shape in the OpenAPI document")]
pub(super) struct CorsShape {
    /// Origins such as `https://app.example.com` or `https://*.example.com`; `*` for all.
    origins: Vec<String>,
    /// Header fields that pages may send; whatever they ask for, when empty.
    headers: Option<Vec<String>>,
    /// Further header fields that pages may read.
    expose_headers: Option<Vec<String>>,
    /// Whether cookies go along; not with `*`.
    credentials: Option<bool>,
    /// How long browsers may remember it; 600 unless said otherwise.
    max_age_seconds: Option<u32>,
}

/// What a request says of an API.
pub(super) struct Said {
    pub(super) name: Option<String>,
    pub(super) settings: ApiSettings,
    /// `None` if nothing was said of it.
    pub(super) document: Option<Option<Document>>,
}

impl Said {
    /// Reads a body on top of what holds already.
    pub(super) fn read(mut body: Map<String, Value>, known: Option<&ApiSettings>) -> Result<Self, Problem> {
        let name = match body.remove("name") {
            None => None,
            Some(Value::String(name)) => Some(checked_name(name)?),
            Some(_) => return Err(invalid("name is a text.")),
        };
        let document = body.remove("openapi").map(read_document).transpose()?;
        let mut settings = match known {
            None => Map::new(),
            Some(known) => match serde_json::to_value(known) {
                Ok(Value::Object(settings)) => settings,
                Ok(_) | Err(_) => return Err(invalid("The settings of this API can't be changed.")),
            },
        };
        settings.extend(body);
        let settings: ApiSettings = serde_json::from_value(settings.into())
            .map_err(|error| invalid(format!("The body can't be used: {error}.")))?;
        let settings = settings.checked().map_err(|error| invalid(format!("{error}.")))?;
        Ok(Self { name, settings, document })
    }
}

fn read_document(value: Value) -> Result<Option<Document>, Problem> {
    let read = match &value {
        Value::Null => return Ok(None),
        Value::String(text) => ApiDocument::read(text),
        _ => ApiDocument::read_value(&value),
    };
    let document = read.map_err(|error| invalid(format!("openapi can't be used: {error}.")))?;
    document.kept().map(Some).map_err(|error| internal(&error))
}
