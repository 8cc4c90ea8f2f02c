//! A call as options describe it: `--ip`, `--origin`, `--content-type` and what else is judged.

use clap::Args;
use keystile_core::country::Country;
use serde_json::{Map, Value};

use super::session::Fields;

/// Who calls.
#[derive(Debug, Default, Args)]
pub(super) struct ClientArgs {
    /// The address that would call.
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<std::net::IpAddr>,
    /// The client certificate it would come with, by its SHA-256 in hexadecimal.
    #[arg(long, value_name = "SHA256")]
    certificate: Option<String>,
    /// The Origin that it would have, such as https://app.example.com.
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// The Referer that it would have.
    #[arg(long, value_name = "URL")]
    referrer: Option<String>,
    /// The country it would come from, such as DE; else that of the address.
    #[arg(long, value_name = "COUNTRY")]
    country: Option<Country>,
}

/// What it sends and takes.
#[derive(Debug, Default, Args)]
pub(super) struct ContentArgs {
    /// The Content-Type that the call would have.
    #[arg(long, value_name = "TYPE", requires = "path")]
    content_type: Option<String>,
    /// The length of the body that it would have; 0 for none.
    #[arg(long, value_name = "N", requires = "path")]
    body_bytes: Option<u64>,
    /// The Accept that it would have.
    #[arg(long, value_name = "TYPES", requires = "path")]
    accept: Option<String>,
    /// A header field that the call would have, which patterns and apps may ask for, such as "x-client: mobile/2"; repeat for
    /// several. Without any, nobody knows what they say.
    #[arg(long = "header", value_name = "FIELD", requires = "path", value_parser = header)]
    headers: Vec<(String, String)>,
}

/// `name: value`
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write a header field as \"x-client: mobile/2\"")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Fields as the API reads them.
fn headers(fields: &[(String, String)]) -> Option<Value> {
    let mut object = Map::new();
    for (name, value) in fields {
        let values = object.entry(name.to_ascii_lowercase()).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(values) = values {
            values.push(value.as_str().into());
        }
    }
    (!object.is_empty()).then_some(Value::Object(object))
}

/// Whom limits would count it for.
#[derive(Debug, Default, Args)]
pub(super) struct SubjectArgs {
    /// Who would use the program that calls, for limits that are counted by end user.
    #[arg(long, value_name = "NAME")]
    end_user: Option<String>,
    /// What else limits are counted by, such as region=eu; repeat for several.
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
}

/// `name=value`
fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write a tag as region=eu")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl SubjectArgs {
    /// The fields of a question with what is said of it.
    pub(super) fn put(self, fields: Fields) -> Fields {
        let tags: Map<String, Value> = self.tags.into_iter().map(|(name, value)| (name, value.into())).collect();
        fields.with("end_user", self.end_user).with("tags", (!tags.is_empty()).then_some(Value::Object(tags)))
    }
}

impl ClientArgs {
    /// The object `client` of a question, if anything is said of it.
    pub(super) fn object(self) -> Option<Value> {
        let fields = Fields::default()
            .with("ip", self.ip.map(|ip| ip.to_string()))
            .with("certificate", self.certificate)
            .with("origin", self.origin)
            .with("referrer", self.referrer)
            .with("country", self.country.map(|country| country.to_string()));
        (!fields.0.is_empty()).then_some(Value::Object(fields.0))
    }
}

impl ContentArgs {
    /// The object `operation` of a question.
    pub(super) fn operation(self, method: &str, path: String) -> Value {
        let fields: Map<String, Value> = Fields::default()
            .with("method", Some(method.to_uppercase()))
            .with("path", Some(path))
            .with("content_type", self.content_type)
            .with("body_bytes", self.body_bytes)
            .with("accept", self.accept)
            .with("headers", headers(&self.headers))
            .0;
        Value::Object(fields)
    }
}
