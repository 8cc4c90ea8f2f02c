//! What the OpenAPI documents of the management API and of verification have in common: how one begins, how rules of a JSON
//! file get into the schemas that follow from types, and how refusals look.
//!
//! A file of rules has a list `fields`, for a name wherever an object has it, and a list `schemas`, for one object. Each is merged
//! into what the types say (RFC 7396). `schemas.json` has those of both documents; each has a file of its own besides.
//!
//! Not here: what one of the two documents says alone (`manage/describe`, `verify/describe`).

use serde_json::{Map, Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, Server};

/// An id: a number below 2^128 in 22 digits of base 62, of which the first five are not just any: those of 2^128 are 7n42D.
const ID_DIGITS: &str = "(?:[0-6][0-9A-Za-z]{4}|7[0-9A-Za-m][0-9A-Za-z]{3}|7n[0-3][0-9A-Za-z]{2}|7n4[01][0-9A-Za-z]|7n42[0-9A-D])[0-9A-Za-z]{17}";

/// What values must look like wherever they stand.
const SCHEMAS: &str = include_str!("schemas.json");

/// A document without operations. `key` says how a management key is shown.
pub(crate) fn begun(title: &str, about: &str, key: &str) -> OpenApi {
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(key)).build();
    let components = ComponentsBuilder::new().security_scheme("management_key", SecurityScheme::Http(key)).build();
    let info = InfoBuilder::new()
        .title(title)
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(about))
        .license(Some(License::new("Apache-2.0 OR MIT")))
        .build();
    OpenApiBuilder::new().info(info).servers(Some([Server::new("/")])).components(Some(components)).build()
}

/// Merges rules into schemas, a document's own after those of both, says what ids look like, and adds the schema of problems.
pub(crate) fn refine(schemas: &mut Map<String, Value>, own: &Value) {
    let shared: Value = serde_json::from_str(SCHEMAS).unwrap_or_default();
    for (name, schema) in schemas.iter_mut() {
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (field, property) in properties.into_iter().flatten() {
            merge(property, &shared["fields"][field]);
            merge(property, &own["fields"][field]);
            if let Some(prefix) = id_prefix(name, field) {
                property["pattern"] = id_pattern(prefix).into();
            }
        }
        merge(schema, &shared["schemas"][name]);
        merge(schema, &own["schemas"][name]);
    }
    schemas.insert("Problem".to_owned(), shared["schemas"]["Problem"].clone());
}

/// What every answer that is a problem has in its body.
pub(crate) fn problem_content() -> Value {
    json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } })
}

/// The names that `rules` has a rule for and `document` no schema or no field: there should be none.
#[cfg(test)]
pub(crate) fn without_use(rules: &str, document: &Value) -> Vec<String> {
    let rules: Value = serde_json::from_str(rules).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let names = |list: &str| rules[list].as_object().into_iter().flat_map(Map::keys).cloned().collect::<Vec<_>>();
    let has = |field: &String| schemas.values().any(|schema| schema["properties"][field].is_object());
    let unused = names("schemas").into_iter().filter(|name| !schemas.contains_key(name));
    unused.chain(names("fields").into_iter().filter(|field| !has(field))).collect()
}

/// The header fields that answers of a status have at every door.
pub(crate) fn headers_of(status: &str) -> Value {
    match status {
        "401" => json!({ "WWW-Authenticate":
            { "description": "How to authenticate.", "schema": { "type": "string" } } }),
        "503" | "507" => json!({ "Retry-After":
            { "description": "Seconds after which it is worth trying again.", "schema": { "type": "integer" } } }),
        _ => json!({}),
    }
}

/// The pattern of ids with this prefix.
pub(crate) fn id_pattern(prefix: &str) -> String {
    format!("^{prefix}{ID_DIGITS}$")
}

fn id_prefix(schema: &str, field: &str) -> Option<&'static str> {
    match (field, schema) {
        ("api_id", _) | ("id", "Api") => Some("api_"),
        ("project_id", _) | ("id", "Project") => Some("prj_"),
        ("key_id", _) | ("id", "Key") => Some("key_"),
        ("id", "Activation" | "Access") => Some("act_"),
        ("plan_id" | "requested_plan_id", _) | ("id", "Plan") => Some("pln_"),
        ("id", "CreditGrant") => Some("crg_"),
        ("activation_id", _) => Some("act_"),
        ("id", "Webhook") => Some("whk_"),
        ("organization_id" | "granted_by", _) | ("id", "Organization") => Some("org_"),
        ("account_id", _) | ("id", "Account") => Some("acc_"),
        ("session_id", _) | ("id", "Session") => Some("ses_"),
        ("id", "Passkey") => Some("psk_"),
        ("id", "Identity") => Some("idn_"),
        ("id", "Member") => Some("mbr_"),
        ("id", "MemberRole") => Some("mrl_"),
        ("id", "Invitation") => Some("inv_"),
        _ => None,
    }
}

/// Merges a patch (RFC 7396): `null` takes a member away.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(target) = target.as_object_mut() else { return };
    for (name, value) in patch {
        match value {
            Value::Null => drop(target.remove(name)),
            Value::Object(_) => merge(target.entry(name.as_str()).or_insert(Value::Null), value),
            value => drop(target.insert(name.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_both_documents_is_about_something_in_both() {
        for document in [crate::manage::document(), crate::verify::document()] {
            assert_eq!(without_use(SCHEMAS, &document), Vec::<String>::new(), "{}", document["info"]["title"]);
        }
    }
}
