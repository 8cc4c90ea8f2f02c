//! What a key may do, as options: `--permission`, `--network`, `--method`, `--path`, `--certificate`,
//! `--request-type`, `--response-type`, `--max-body-bytes`, `--rate-limit`.

use clap::Args;
use keystile_core::limit::LimitRule;
use keystile_core::policy::Policy;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::values::rate_limit;

/// What a key may do.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What the key may do")]
pub(super) struct PolicyArgs {
    /// A right it has, such as pets.read or pets.*; repeat for several.
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    /// A network it may be used from, such as 10.0.0.0/8 or one address; repeat for several.
    #[arg(long = "network", value_name = "CIDR")]
    networks: Vec<String>,
    /// A network it may not be used from; repeat for several.
    #[arg(long = "deny-network", value_name = "CIDR")]
    deny_networks: Vec<String>,
    /// A method it may call; repeat for several.
    #[arg(long = "method", value_name = "METHOD")]
    methods: Vec<String>,
    /// A path it may call, such as /pets/{id}, /pets/* or /pets/**; repeat for several.
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    /// A client certificate it must come with, by its SHA-256 in hexadecimal; repeat for several.
    #[arg(long = "certificate", value_name = "SHA256")]
    certificates: Vec<String>,
    /// A type of body it may send, such as application/json, application/*, application/*+json or */*; repeat for several.
    #[arg(long = "request-type", value_name = "TYPE")]
    request_types: Vec<String>,
    /// A type of answer it may receive; repeat for several.
    #[arg(long = "response-type", value_name = "TYPE")]
    response_types: Vec<String>,
    /// Longest request body it may send, if its API allows no less.
    #[arg(long, value_name = "N")]
    max_body_bytes: Option<u64>,
    /// How often: 100/min, name=100/60s, or bucket:name=100/60s,burst=20; repeat for several.
    #[arg(long = "rate-limit", value_name = "LIMIT", value_parser = rate_limit)]
    rate_limits: Vec<LimitRule>,
}

impl PolicyArgs {
    /// The fields of a request, checked here so that a typing error costs no journey.
    pub(super) fn fields(self) -> Result<Map<String, Value>, Fault> {
        let mut restrictions = Map::new();
        let mut networks = Map::new();
        if !self.networks.is_empty() {
            networks.insert("allow".to_owned(), json!(self.networks));
        }
        if !self.deny_networks.is_empty() {
            networks.insert("deny".to_owned(), json!(self.deny_networks));
        }
        if !networks.is_empty() {
            restrictions.insert("networks".to_owned(), networks.into());
        }
        if !self.methods.is_empty() {
            let methods: Vec<String> = self.methods.iter().map(|method| method.to_uppercase()).collect();
            restrictions.insert("methods".to_owned(), json!(methods));
        }
        if !self.paths.is_empty() {
            restrictions.insert("paths".to_owned(), json!(self.paths));
        }
        if !self.certificates.is_empty() {
            restrictions.insert("certificates".to_owned(), json!(self.certificates));
        }
        let mut formats = Map::new();
        if !self.request_types.is_empty() {
            formats.insert("request_types".to_owned(), json!(self.request_types));
        }
        if !self.response_types.is_empty() {
            formats.insert("response_types".to_owned(), json!(self.response_types));
        }
        formats.extend(self.max_body_bytes.map(|most| ("max_body_bytes".to_owned(), most.into())));
        if !formats.is_empty() {
            restrictions.insert("formats".to_owned(), formats.into());
        }
        let mut fields = Map::new();
        if !self.permissions.is_empty() {
            fields.insert("permissions".to_owned(), json!(self.permissions));
        }
        if !restrictions.is_empty() {
            fields.insert("restrictions".to_owned(), restrictions.into());
        }
        if !self.rate_limits.is_empty() {
            fields.insert("rate_limits".to_owned(), json!(self.rate_limits));
        }
        let wrong = |why: String| Fault::usage("the key can't be allowed that", why, "correct the option; see --help");
        let policy: Policy =
            serde_json::from_value(Value::Object(fields.clone())).map_err(|error| wrong(error.to_string()))?;
        policy.checked().map_err(|error| wrong(error.to_string()))?;
        Ok(fields)
    }
}
