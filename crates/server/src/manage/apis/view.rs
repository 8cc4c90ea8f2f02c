//! An API as it is shown.

use keystile_core::api::{
    Access, Approval, ClientAddresses, CostHeader, Environments, HealthCheck, Host, KeyLocation, NamedOperation,
    OperationCost, OperationPermissions, PathPrefix, PublishableOperation, Target, UnknownOperations, UnusedKeys,
    UpgradeProtocol, UpstreamProtocol, UpstreamUrl,
};
use keystile_core::cors::Cors;
use keystile_core::id::ApiId;
use keystile_core::key::Prefix;
use keystile_core::limit::LimitRule;
use keystile_core::media::MediaTypes;
use keystile_core::time::Timestamp;
use keystile_store::records::Api;
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::keys::policy::RateLimitShape;

use super::settings::{CorsShape, HealthCheckShape, OperationCostShape, TargetShape};

/// An API.
#[derive(Serialize, ToSchema)]
#[schema(as = Api)]
pub(in crate::manage) struct ApiView {
    /// Its id, `api_…`.
    #[schema(value_type = String, example = "api_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: ApiId,
    /// Its name.
    name: String,
    /// Whether calls get through.
    active: bool,
    /// Where its calls go.
    #[schema(value_type = String, example = "http://127.0.0.1:9000")]
    upstream: UpstreamUrl,
    /// The machines that take its calls; empty for the one of `upstream`.
    #[schema(value_type = Vec<TargetShape>)]
    targets: Vec<Target>,
    /// `http1` or `http2`.
    #[schema(value_type = String, example = "http1")]
    upstream_protocol: UpstreamProtocol,
    /// Protocols that calls may switch to (`Upgrade`); none, when empty.
    #[schema(value_type = Vec<String>, example = json!(["websocket"]))]
    upgrades: Vec<UpgradeProtocol>,
    /// How targets are asked whether they are well; absent if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<HealthCheckShape>)]
    health_check: Option<HealthCheck>,
    /// Failures in a row after which a target gets rest; 0 for never.
    breaker_failures: u32,
    /// Hosts it answers to; any, when empty.
    #[schema(value_type = Vec<String>)]
    hosts: Vec<Host>,
    /// What its paths begin with.
    #[schema(value_type = String, example = "/")]
    path_prefix: PathPrefix,
    /// Whether the prefix is taken off before a call goes on.
    strip_prefix: bool,
    /// `key`, or `open` if calls need none.
    #[schema(value_type = String, example = "key")]
    access: Access,
    /// The environments whose keys it takes.
    #[schema(value_type = Vec<String>, example = json!(["live", "test"]))]
    environments: Environments,
    /// `manual`, or `automatic` if projects of other organizations are let in at once.
    #[schema(value_type = String, example = "manual")]
    approval: Approval,
    /// Operations that need no key.
    #[schema(value_type = Vec<String>)]
    open_operations: Vec<NamedOperation>,
    /// Operations that publishable keys may call.
    #[schema(value_type = Vec<String>)]
    publishable_operations: Vec<PublishableOperation>,
    /// Operations whose calls cost something else than 1.
    #[schema(value_type = Vec<OperationCostShape>)]
    operation_costs: Vec<OperationCost>,
    /// Where the upstream says what a call cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    cost_header: Option<CostHeader>,
    /// How often it may be called.
    #[schema(value_type = Vec<RateLimitShape>)]
    rate_limits: Vec<LimitRule>,
    /// How often one address may call without a key.
    #[schema(value_type = Vec<RateLimitShape>)]
    anonymous_rate_limits: Vec<LimitRule>,
    /// `pass` or `refuse`.
    #[schema(value_type = String, example = "pass")]
    unknown_operations: UnknownOperations,
    /// What a key must be allowed for each operation: `off`, `extension`, `security` or `tags`.
    #[schema(value_type = String)]
    operation_permissions: OperationPermissions,
    /// Whether shared caches may keep answers to calls with a key.
    shared_caching: bool,
    /// What is kept of the addresses that calls come from: `whole`, `truncated` or `none`.
    #[schema(value_type = String, example = "whole")]
    client_addresses: ClientAddresses,
    /// Whether calls must be encrypted.
    require_tls: bool,
    /// Whether calls must come with a client certificate.
    require_client_certificate: bool,
    /// Which pages in browsers may call; absent where the upstream says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<CorsShape>)]
    cors: Option<Cors>,
    /// Where the key stands: `bearer`, `header:NAME`, `query:NAME`.
    #[schema(value_type = Vec<String>)]
    key_locations: Vec<KeyLocation>,
    /// What the text of its keys begins with.
    #[schema(value_type = String, example = "ks")]
    key_prefix: Prefix,
    /// Days until a new key expires.
    key_days: u32,
    /// The most days that a key may live; absent for no such rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_key_days: Option<u32>,
    /// Days after which a key's version is to be rotated; absent for no such rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    rotate_key_days: Option<u32>,
    /// Days without a call after which a key counts as unused; absent for no such rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    unused_key_days: Option<u32>,
    /// What becomes of unused keys: `report`, `disable` or `delete`.
    #[schema(value_type = String, example = "report")]
    unused_keys: UnusedKeys,
    /// Whether texts of keys of its projects may be kept, encrypted, so that they can be had back.
    recoverable_keys: bool,
    /// Longest request body.
    body_limit_bytes: u64,
    /// Most bytes of the header fields of a call; absent for what the server takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_header_bytes: Option<u32>,
    /// Most header fields of a call; absent for what the server takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_header_fields: Option<u32>,
    /// Types of request bodies that it takes; absent for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    request_types: Option<MediaTypes>,
    /// Types of answers that it gives; absent for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    response_types: Option<MediaTypes>,
    /// Calls that are answered at once; absent for as many as come.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_concurrent_calls: Option<u32>,
    /// How long the upstream has to begin its answer.
    upstream_timeout_seconds: u32,
    /// How long a target may take to accept a connection; absent for what the server's settings say.
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_timeout_seconds: Option<u32>,
    /// How long the upstream may pause within its answer.
    idle_timeout_seconds: u32,
    /// How long a call may take; absent for as long as it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_timeout_seconds: Option<u32>,
    /// Its OpenAPI document.
    document: Option<DocumentView>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// What is known of an OpenAPI document.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiDocument)]
struct DocumentView {
    /// Its title.
    title: String,
    /// Its version.
    version: String,
    /// Operations that calls are matched with.
    operations: u32,
    /// Operations that were left out, because no call can reach them.
    skipped: u32,
}

impl From<Api> for ApiView {
    fn from(api: Api) -> Self {
        let settings = api.settings;
        let document = api.document.map(|info| DocumentView {
            title: info.title,
            version: info.version,
            operations: info.operations,
            skipped: info.skipped,
        });
        Self {
            id: api.id,
            name: api.name,
            active: api.active,
            upstream: settings.upstream,
            targets: settings.targets,
            upstream_protocol: settings.upstream_protocol,
            upgrades: settings.upgrades,
            health_check: settings.health_check,
            breaker_failures: settings.breaker_failures,
            hosts: settings.hosts,
            path_prefix: settings.path_prefix,
            strip_prefix: settings.strip_prefix,
            access: settings.access,
            environments: settings.environments,
            approval: settings.approval,
            open_operations: settings.open_operations,
            publishable_operations: settings.publishable_operations,
            operation_costs: settings.operation_costs,
            cost_header: settings.cost_header,
            rate_limits: settings.rate_limits,
            anonymous_rate_limits: settings.anonymous_rate_limits,
            unknown_operations: settings.unknown_operations,
            operation_permissions: settings.operation_permissions,
            shared_caching: settings.shared_caching,
            client_addresses: settings.client_addresses,
            require_tls: settings.require_tls,
            cors: settings.cors,
            require_client_certificate: settings.require_client_certificate,
            key_locations: settings.key_locations,
            key_prefix: settings.key_prefix,
            key_days: settings.key_days,
            max_key_days: settings.max_key_days,
            rotate_key_days: settings.rotate_key_days,
            unused_key_days: settings.unused_key_days,
            unused_keys: settings.unused_keys,
            recoverable_keys: settings.recoverable_keys,
            body_limit_bytes: settings.body_limit_bytes,
            max_header_bytes: settings.max_header_bytes,
            max_header_fields: settings.max_header_fields,
            request_types: settings.request_types,
            response_types: settings.response_types,
            max_concurrent_calls: settings.max_concurrent_calls,
            upstream_timeout_seconds: settings.upstream_timeout_seconds,
            connect_timeout_seconds: settings.connect_timeout_seconds,
            idle_timeout_seconds: settings.idle_timeout_seconds,
            total_timeout_seconds: settings.total_timeout_seconds,
            document,
            created_at: api.created_at,
            updated_at: api.updated_at,
        }
    }
}
