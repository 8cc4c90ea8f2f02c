//! What a key may do, as options: `--permission`, `--role`, `--pattern`, `--network`, `--country`, `--hours`, `--origin`, `--referrer`,
//! `--ios-app`, `--android-app`, `--method`, `--path`, `--certificate`, `--request-type`, `--response-type`, `--max-body-bytes`, `--shadow`,
//! `--rate-limit`.

use clap::Args;
use keystile_core::country::Country;
use keystile_core::limit::LimitRule;
use keystile_core::pattern::PatternRef;
use keystile_core::policy::Policy;
use keystile_core::restrict::Rule;
use keystile_core::role::RoleRef;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::hours::hours;
use super::values::rate_limit;

/// What a key may do.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What the key may do")]
pub(super) struct PolicyArgs {
    /// A right it has, such as pets.read or pets.*; repeat for several.
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    /// A role whose rights it has as well, by id or name; repeat for several.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<RoleRef>,
    /// A pattern that its calls must pass, by id or name; repeat for several.
    #[arg(long = "pattern", value_name = "PATTERN")]
    patterns: Vec<PatternRef>,
    /// A network it may be used from, such as 10.0.0.0/8 or one address; repeat for several.
    #[arg(long = "network", value_name = "CIDR")]
    networks: Vec<String>,
    /// A network it may not be used from; repeat for several.
    #[arg(long = "deny-network", value_name = "CIDR")]
    deny_networks: Vec<String>,
    /// A country it may be used from, by its code of two letters; repeat for several.
    #[arg(long = "country", value_name = "COUNTRY")]
    countries: Vec<Country>,
    /// A country it may not be used from; repeat for several.
    #[arg(long = "deny-country", value_name = "COUNTRY")]
    deny_countries: Vec<Country>,
    /// Hours in which it may be used, such as "mon-fri 08:00-18:00" or 22:00-06:00; repeat for several.
    #[arg(long = "hours", value_name = "HOURS", value_parser = hours, requires = "time_zone")]
    hours: Vec<Value>,
    /// The time zone of these hours, such as Europe/Berlin, or UTC.
    #[arg(long, value_name = "ZONE", requires = "hours")]
    time_zone: Option<String>,
    /// A web origin that may use it, such as https://app.example.com or https://*.example.com; repeat for several.
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// Pages that may use it, such as https://app.example.com/shop/*; repeat for several.
    #[arg(long = "referrer", value_name = "PAGES")]
    referrers: Vec<String>,
    /// An iOS app that may use it, by its bundle identifier; repeat for several.
    #[arg(long = "ios-app", value_name = "BUNDLE")]
    ios_apps: Vec<String>,
    /// An Android app that may use it, by its package and the SHA-1 of the certificate that it is signed with, such as
    /// com.example.app=da39a3ee…; repeat for several.
    #[arg(long = "android-app", value_name = "PACKAGE=SHA1", value_parser = android_app)]
    android_apps: Vec<Value>,
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
    /// A restriction that is only tried out, by its name, such as countries: it refuses nothing, and it is told what it
    /// would refuse; repeat for several.
    #[arg(long = "shadow", value_name = "RESTRICTION")]
    shadow: Vec<Rule>,
    /// How often: 100/min, name=100/60s, bucket:name=100/60s,burst=20, fixed:day=1000/day or flight:calls=5 (calls that are
    /// being answered); with ,by=end_user+operation counted apart, with ,shadow only tried out; repeat for several.
    #[arg(long = "rate-limit", value_name = "LIMIT", value_parser = rate_limit)]
    rate_limits: Vec<LimitRule>,
}

fn android_app(text: &str) -> Result<Value, String> {
    let (package, certificate) = text.split_once('=').ok_or("write PACKAGE=SHA1, such as com.example.app=da39a3ee…")?;
    Ok(json!({ "package": package, "certificate": certificate }))
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
        let mut countries = Map::new();
        for (name, list) in [("allow", &self.countries), ("deny", &self.deny_countries)] {
            if !list.is_empty() {
                countries.insert(name.to_owned(), json!(list));
            }
        }
        if !countries.is_empty() {
            restrictions.insert("countries".to_owned(), countries.into());
        }
        if let Some(zone) = self.time_zone {
            restrictions.insert("times".to_owned(), json!({ "time_zone": zone, "windows": self.hours }));
        }
        if !self.origins.is_empty() {
            restrictions.insert("origins".to_owned(), json!(self.origins));
        }
        if !self.referrers.is_empty() {
            restrictions.insert("referrers".to_owned(), json!(self.referrers));
        }
        let mut apps = Map::new();
        if !self.android_apps.is_empty() {
            apps.insert("android".to_owned(), json!(self.android_apps));
        }
        if !self.ios_apps.is_empty() {
            apps.insert("ios".to_owned(), json!(self.ios_apps));
        }
        if !apps.is_empty() {
            restrictions.insert("apps".to_owned(), apps.into());
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
        // Put in last: what is in shadow may be there already, which the server knows.
        if !self.shadow.is_empty() {
            let restrictions = fields.entry("restrictions").or_insert_with(|| json!({}));
            restrictions["shadow"] = json!(self.shadow);
        }
        // Those too: only the server knows which roles their names stand for.
        if !self.roles.is_empty() {
            let names: Vec<String> = self.roles.iter().map(RoleRef::to_string).collect();
            fields.insert("roles".to_owned(), json!(names));
        }
        if !self.patterns.is_empty() {
            let names: Vec<String> = self.patterns.iter().map(PatternRef::to_string).collect();
            fields.insert("patterns".to_owned(), json!(names));
        }
        Ok(fields)
    }
}
