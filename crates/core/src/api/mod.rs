//! How an API is published: where its calls come in, where they go, and where the key stands in them.
//!
//! Every value is checked when it is read; what is held can be served.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cors::Cors;
use crate::key::{DEFAULT_KEY_DAYS, Prefix};
use crate::limit::{LimitRule, Scope};
use crate::media::MediaTypes;
use crate::target::CanonicalTarget;

mod cost;
mod environments;
mod key_location;
mod key_rules;
mod open;
mod privacy;
mod publishable;
mod route;
mod secret;
mod target;
mod upgrade;
mod upstream;

pub use cost::{CostHeader, Costs, OperationCost};
pub use environments::{Approval, Environments};
pub use key_location::KeyLocation;
pub use key_rules::{KeyRules, UnusedKeys};
pub use open::{NamedOperation, OperationPermissions, UnknownOperations, open_table};
pub use privacy::ClientAddresses;
pub use publishable::{PublishableOperation, is_publishable};
pub use route::{Host, PathPrefix};
pub use secret::{MAX_SECRET_BYTES, MAX_SECRETS, SecretName};
pub use target::{CheckPath, HealthCheck, MAX_TARGETS, Target, TargetAddress};
pub use upgrade::{MAX_UPGRADES, UpgradeProtocol};
pub(crate) use upstream::split_port;
pub use upstream::{UpstreamProtocol, UpstreamUrl, is_host};

/// Most hosts of one API.
pub const MAX_HOSTS: usize = 64;
/// Most places where one API looks for the key.
pub const MAX_KEY_LOCATIONS: usize = 4;
/// Longest life that an owner can give keys by default: ten years.
pub const MAX_KEY_DAYS: u32 = 3_650;
/// Request bodies are at most this long unless the owner says otherwise: 10 MiB.
pub const DEFAULT_BODY_LIMIT_BYTES: u64 = 10 << 20;
/// The most that an owner can allow: 64 GiB, beyond which a length is a mistake.
pub const MAX_BODY_LIMIT_BYTES: u64 = 64 << 30;
/// The most bytes of header fields that any API takes: enough for every ordinary client.
pub const MAX_HEADER_BYTES: u32 = 32 * 1024;
/// The most header fields that any API takes.
pub const MAX_HEADER_FIELDS: u32 = 100;
/// The most calls at once that an owner can speak of.
pub const MAX_CONCURRENT_CALLS: u32 = 1_000_000;
/// Seconds an upstream has to begin its answer unless the owner says otherwise.
pub const DEFAULT_UPSTREAM_TIMEOUT_SECONDS: u32 = 60;
/// The longest that an owner can give it: an hour.
pub const MAX_UPSTREAM_TIMEOUT_SECONDS: u32 = 3_600;
/// Seconds an upstream may pause within its answer unless the owner says otherwise.
pub const DEFAULT_IDLE_TIMEOUT_SECONDS: u32 = 300;
/// The longest pause, and the longest time for a whole call, that an owner can allow: a day.
pub const MAX_CALL_SECONDS: u32 = 86_400;
/// Failures in a row after which a target gets rest unless the owner says otherwise.
pub const DEFAULT_BREAKER_FAILURES: u32 = 5;
/// The most failures that an owner can bear.
pub const MAX_BREAKER_FAILURES: u32 = 1_000;

/// A setting makes no sense; the text says what would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError(String);

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingError {}

fn wrong<T>(text: impl Into<String>) -> Result<T, SettingError> {
    Err(SettingError(text.into()))
}
/// Implements the text form on the wire for a type that reads and prints itself.
macro_rules! as_text {
    ($name:ty) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
use as_text;

fn is_plain_path(path: &str) -> bool {
    CanonicalTarget::parse(path).is_ok_and(|target| target.path() == path && target.query().is_none())
}

/// Whether calls need a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// They do.
    #[default]
    Key,
    /// The owner opened the API on purpose; calls are counted, nobody is identified.
    Open,
}

/// How an API is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiSettings {
    /// Where its calls go.
    pub upstream: UpstreamUrl,
    /// The machines that take them, in place of the host and port of the URL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Target>,
    /// What is spoken to the upstream.
    #[serde(default)]
    pub upstream_protocol: UpstreamProtocol,
    /// What calls may switch to; nothing, when empty.
    #[serde(default = "upgrade::default", skip_serializing_if = "upgrade::is_default")]
    pub upgrades: Vec<UpgradeProtocol>,
    /// How targets are asked whether they are well; `None` asks nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Failures in a row after which a target gets rest; 0 for never.
    #[serde(default = "default_breaker_failures")]
    pub breaker_failures: u32,
    /// Hosts it answers to; any, when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<Host>,
    /// What its paths begin with.
    #[serde(default)]
    pub path_prefix: PathPrefix,
    /// Whether the prefix is taken off before the call goes on.
    #[serde(default)]
    pub strip_prefix: bool,
    /// Whether calls need a key.
    #[serde(default)]
    pub access: Access,
    /// The environments whose keys it takes.
    #[serde(default, skip_serializing_if = "Environments::is_default")]
    pub environments: Environments,
    /// What becomes of requests for access.
    #[serde(default)]
    pub approval: Approval,
    /// Operations that need no key, where others do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_operations: Vec<NamedOperation>,
    /// Operations that publishable keys may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publishable_operations: Vec<PublishableOperation>,
    /// Operations whose calls cost something else than 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operation_costs: Vec<OperationCost>,
    /// The header field in which the upstream says what a call cost; `None` if it doesn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_header: Option<CostHeader>,
    /// How often it may be called, with a key or without: together, or counted apart by what each limit says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<LimitRule>,
    /// How often one address may call without a key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anonymous_rate_limits: Vec<LimitRule>,
    /// What becomes of calls that the document does not have.
    #[serde(default)]
    pub unknown_operations: UnknownOperations,
    /// Where the document says what a key must be allowed for each operation.
    #[serde(default)]
    pub operation_permissions: OperationPermissions,
    /// Whether answers to calls with a key may be kept by caches for others.
    #[serde(default)]
    pub shared_caching: bool,
    /// What is kept of the addresses that calls come from.
    #[serde(default)]
    pub client_addresses: ClientAddresses,
    /// Whether calls must be encrypted.
    #[serde(default)]
    pub require_tls: bool,
    /// Whether calls must come with a client certificate.
    #[serde(default)]
    pub require_client_certificate: bool,
    /// Which pages in browsers may call; `None` leaves the word to the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// Where the key stands.
    #[serde(default = "default_key_locations")]
    pub key_locations: Vec<KeyLocation>,
    /// What the text of its keys begins with.
    #[serde(default)]
    pub key_prefix: Prefix,
    /// Days until a new key expires.
    #[serde(default = "default_key_days")]
    pub key_days: u32,
    /// The most days that a key may live; `None` for as many as its maker says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_key_days: Option<u32>,
    /// Days after which the version of a key is to be rotated; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_key_days: Option<u32>,
    /// Days without a call after which a key counts as unused; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_key_days: Option<u32>,
    /// What becomes of those.
    #[serde(default)]
    pub unused_keys: UnusedKeys,
    /// Whether texts of keys that call it may be kept, so that they can be had back.
    #[serde(default)]
    pub recoverable_keys: bool,
    /// Longest request body.
    #[serde(default = "default_body_limit_bytes")]
    pub body_limit_bytes: u64,
    /// Most bytes of the header fields of a call; `None` for what the server takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_header_bytes: Option<u32>,
    /// Most header fields of a call; `None` for what the server takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_header_fields: Option<u32>,
    /// Types of bodies that it takes; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_types: Option<MediaTypes>,
    /// Types of answers that it gives; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_types: Option<MediaTypes>,
    /// Calls that are answered at once; `None` for as many as come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent_calls: Option<u32>,
    /// How long the upstream has to begin its answer.
    #[serde(default = "default_upstream_timeout_seconds")]
    pub upstream_timeout_seconds: u32,
    /// How long it may take to accept a connection; `None` for what the server's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout_seconds: Option<u32>,
    /// How long it may pause within its answer.
    #[serde(default = "default_idle_timeout_seconds")]
    pub idle_timeout_seconds: u32,
    /// How long a call may take from its head to the end of its answer; `None` for as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_timeout_seconds: Option<u32>,
}

fn default_key_locations() -> Vec<KeyLocation> {
    vec![KeyLocation::Bearer, KeyLocation::Header("x-api-key".to_owned())]
}

const fn default_key_days() -> u32 {
    DEFAULT_KEY_DAYS
}

const fn default_body_limit_bytes() -> u64 {
    DEFAULT_BODY_LIMIT_BYTES
}

const fn default_upstream_timeout_seconds() -> u32 {
    DEFAULT_UPSTREAM_TIMEOUT_SECONDS
}

const fn default_breaker_failures() -> u32 {
    DEFAULT_BREAKER_FAILURES
}

const fn default_idle_timeout_seconds() -> u32 {
    DEFAULT_IDLE_TIMEOUT_SECONDS
}

impl ApiSettings {
    /// The defaults for an upstream.
    pub fn new(upstream: UpstreamUrl) -> Self {
        Self {
            upstream,
            targets: Vec::new(),
            upstream_protocol: UpstreamProtocol::default(),
            upgrades: upgrade::default(),
            health_check: None,
            breaker_failures: DEFAULT_BREAKER_FAILURES,
            hosts: Vec::new(),
            path_prefix: PathPrefix::default(),
            strip_prefix: false,
            access: Access::Key,
            environments: Environments::BOTH,
            approval: Approval::default(),
            open_operations: Vec::new(),
            publishable_operations: Vec::new(),
            operation_costs: Vec::new(),
            cost_header: None,
            rate_limits: Vec::new(),
            anonymous_rate_limits: Vec::new(),
            unknown_operations: UnknownOperations::default(),
            operation_permissions: OperationPermissions::default(),
            shared_caching: false,
            client_addresses: ClientAddresses::default(),
            require_tls: false,
            require_client_certificate: false,
            cors: None,
            key_locations: default_key_locations(),
            key_prefix: Prefix::default(),
            key_days: DEFAULT_KEY_DAYS,
            max_key_days: None,
            rotate_key_days: None,
            unused_key_days: None,
            unused_keys: UnusedKeys::default(),
            recoverable_keys: false,
            body_limit_bytes: DEFAULT_BODY_LIMIT_BYTES,
            max_header_bytes: None,
            max_header_fields: None,
            request_types: None,
            response_types: None,
            max_concurrent_calls: None,
            upstream_timeout_seconds: DEFAULT_UPSTREAM_TIMEOUT_SECONDS,
            connect_timeout_seconds: None,
            idle_timeout_seconds: DEFAULT_IDLE_TIMEOUT_SECONDS,
            total_timeout_seconds: None,
        }
    }

    /// Whether a call could be meant for either: the same prefix, and a host in common or any host for both.
    pub fn shares_route(&self, other: &Self) -> bool {
        let shares_host = if self.hosts.is_empty() {
            other.hosts.is_empty()
        } else {
            self.hosts.iter().any(|host| other.hosts.contains(host))
        };
        shares_host && self.path_prefix == other.path_prefix
    }

    /// Checks what no single value can know.
    ///
    /// # Errors
    /// [`SettingError`] says which setting is out of bounds and what is allowed.
    pub fn checked(self) -> Result<Self, SettingError> {
        if self.hosts.len() > MAX_HOSTS {
            return wrong(format!("an API has at most {MAX_HOSTS} hosts"));
        }
        let exposed = self.cors.as_ref().map(Cors::expose_headers).unwrap_or_default();
        let holds_key =
            |name: &String| name == "authorization" || self.key_locations.contains(&KeyLocation::Header(name.clone()));
        if let Some(name) = exposed.iter().find(|name| holds_key(name)) {
            return wrong(format!("cors.expose_headers must not name {name}: keys are no page's to read (G-20)"));
        }
        if self.key_locations.is_empty() || self.key_locations.len() > MAX_KEY_LOCATIONS {
            return wrong(format!(
                "key_locations takes 1 to {MAX_KEY_LOCATIONS} places; to let calls in without a key set access to open"
            ));
        }
        if !(1..=MAX_KEY_DAYS).contains(&self.key_days) {
            return wrong(format!("key_days is 1 to {MAX_KEY_DAYS}"));
        }
        for (name, days) in [
            ("max_key_days", self.max_key_days),
            ("rotate_key_days", self.rotate_key_days),
            ("unused_key_days", self.unused_key_days),
        ] {
            if days.is_some_and(|days| !(1..=MAX_KEY_DAYS).contains(&days)) {
                return wrong(format!("{name} is 1 to {MAX_KEY_DAYS}, or null for no such rule"));
            }
        }
        if self.body_limit_bytes > MAX_BODY_LIMIT_BYTES {
            return wrong(format!("body_limit_bytes is at most {MAX_BODY_LIMIT_BYTES}"));
        }
        for (name, value, most) in [
            ("max_header_bytes", self.max_header_bytes, MAX_HEADER_BYTES),
            ("max_header_fields", self.max_header_fields, MAX_HEADER_FIELDS),
        ] {
            if value.is_some_and(|number| !(1..=most).contains(&number)) {
                return wrong(format!("{name} is 1 to {most}, which is what the server takes, or null for that"));
            }
        }
        if self.operation_permissions != OperationPermissions::Off
            && self.unknown_operations != UnknownOperations::Refuse
        {
            return wrong(
                "operation_permissions needs unknown_operations to be refuse: what the document does not have would need no permission",
            );
        }
        if self.operation_permissions != OperationPermissions::Off && self.access == Access::Open {
            return wrong("operation_permissions needs access to be key: nobody in particular has no permissions");
        }
        if self.max_concurrent_calls.is_some_and(|most| !(1..=MAX_CONCURRENT_CALLS).contains(&most)) {
            return wrong(format!("max_concurrent_calls is 1 to {MAX_CONCURRENT_CALLS}, or null for as many as come"));
        }
        target::checked(&self.targets)?;
        upgrade::checked(&self.upgrades)?;
        open_table(&self.open_operations)?;
        publishable::checked(&self.publishable_operations)?;
        Costs::new(&self.operation_costs)?;
        for (name, rules, scope) in [
            ("rate_limits", &self.rate_limits, Scope::Api),
            ("anonymous_rate_limits", &self.anonymous_rate_limits, Scope::Anonymous),
        ] {
            LimitRule::check_together(rules, scope).map_err(|error| SettingError(format!("{name}: {error}")))?;
        }
        self.health_check.as_ref().map_or(Ok(()), HealthCheck::checked)?;
        if self.breaker_failures > MAX_BREAKER_FAILURES {
            return wrong(format!("breaker_failures is at most {MAX_BREAKER_FAILURES}, or 0 to give targets no rest"));
        }
        for (name, value, most) in [
            ("upstream_timeout_seconds", Some(self.upstream_timeout_seconds), MAX_UPSTREAM_TIMEOUT_SECONDS),
            ("connect_timeout_seconds", self.connect_timeout_seconds, MAX_UPSTREAM_TIMEOUT_SECONDS),
            ("idle_timeout_seconds", Some(self.idle_timeout_seconds), MAX_CALL_SECONDS),
            ("total_timeout_seconds", self.total_timeout_seconds, MAX_CALL_SECONDS),
        ] {
            if value.is_some_and(|seconds| !(1..=most).contains(&seconds)) {
                return wrong(format!("{name} is 1 to {most}"));
            }
        }
        Ok(self)
    }
}
