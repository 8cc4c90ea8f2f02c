//! The OpenAPI document, finished: what all routes have in common is said here once, and what a value must look like in
//! `schemas.json`, so that what the document allows is what the API takes.
//!
//! Beside `fields` and `schemas` (see [`crate::describe`]) `schemas.json` has `query` for a name wherever a query has it, and
//! `operations` for those of one operation.

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use crate::describe::{headers_of, id_pattern, merge, problem_content, refine};

/// What values must look like.
const SCHEMAS: &str = include_str!("schemas.json");

/// Requests that do something elsewhere or nothing at all: they can't be tried, and leave their thing as it is.
const NO_CHANGE: [&str; 43] = [
    "beginLinkLogin",
    "logInByLink",
    "recordUsage",
    "eraseProject",
    "eraseMember",
    "beginProviderLogin",
    "beginProviderJoin",
    "beginIdentity",
    "beginProviderProof",
    "removeIdentity",
    "beginPasskeyLogin",
    "logInByPasskey",
    "beginPasskey",
    "addPasskey",
    "renamePasskey",
    "removePasskey",
    "proveByPasskey",
    "removePassword",
    "authorizeDevice",
    "deviceToken",
    "lookAtDevice",
    "judgeDevice",
    "offerTotp",
    "confirmTotp",
    "removeTotp",
    "renewRecoveryCodes",
    "removeMemberFactors",
    "lookAtInvitation",
    "revealKey",
    "explainKey",
    "testWebhook",
    "replayDelivery",
    "replayEvents",
    "login",
    "acceptInvitation",
    "resetPassword",
    "updateAccount",
    "joinOrganization",
    "changePassword",
    "proveAccount",
    "switchOrganization",
    "logout",
    "resetMemberPassword",
];
/// What never changes once it is there, and so has no state that could be asked about.
const STATELESS: [&str; 1] = ["getRequest"];
/// Requests that need nobody to be known: what they carry is the proof.
const OPEN: [&str; 13] = [
    "beginLinkLogin",
    "logInByLink",
    "loginWays",
    "beginProviderLogin",
    "beginProviderJoin",
    "login",
    "beginPasskeyLogin",
    "logInByPasskey",
    "lookAtInvitation",
    "acceptInvitation",
    "resetPassword",
    "authorizeDevice",
    "deviceToken",
];
/// Requests that can be sent again.
const REPEATABLE: [&str; 16] = [
    "createOrganization",
    "createMemberRole",
    "createInvitation",
    "createApi",
    "createProject",
    "createActivation",
    "createKey",
    "createRole",
    "createPattern",
    "createPlan",
    "grantCredits",
    "createWebhook",
    "rotateWebhookSecret",
    "rotateKey",
    "compromisedKey",
    "requestActivation",
];

/// What a change can take away with `null`.
const NULLABLE: [&str; 2] = ["expires_at", "max_keys"];

/// Entity tags in a list (RFC 9110 §13.1.1).
const TAGS: &str = r#"^(?:W/)?"[!#-~]+"(?:, ?(?:W/)?"[!#-~]+")*$"#;

/// Finishes what was generated from the handlers.
pub(super) fn finished(document: &OpenApi) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let rules: Value = serde_json::from_str(SCHEMAS).unwrap_or_default();
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            finish_operation(path, method, operation, &rules);
        }
    }
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        finish_schemas(schemas, &rules);
    }
    document
}

fn finish_operation(path: &str, method: &str, operation: &mut Value, rules: &Value) {
    let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
    let changes = method != "get";
    let is_change = changes && !NO_CHANGE.contains(&id.as_str());
    let of_one = path.contains("{id}");
    let has_state = !STATELESS.contains(&id.as_str());
    let has_body = operation["requestBody"].is_object();
    if !operation["parameters"].is_array() {
        operation["parameters"] = json!([]);
    }
    let parameters = operation["parameters"].as_array_mut().into_iter().flatten();
    for parameter in parameters {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        match parameter["in"].as_str() {
            Some("path") => merge(&mut parameter["schema"], &in_path(path, &name)),
            _ => {
                let schema = &mut parameter["schema"];
                // A query has no null: what is not said is not there.
                if let Some(kind) =
                    schema["type"].as_array().and_then(|kinds| kinds.iter().find(|kind| **kind != "null"))
                {
                    schema["type"] = kind.clone();
                }
                merge(schema, &rules["query"][&name]);
                merge(schema, &rules["operations"][&id][&name]);
            }
        }
    }
    if OPEN.contains(&id.as_str()) {
        operation["security"] = json!([]);
    }
    let mut more = Vec::new();
    if is_change {
        more.push(json!({ "name": "dry_run", "in": "query", "schema": { "type": "boolean" }, "description":
            "Whether it is only tried: all is checked and answered as it would be, and nothing is changed." }));
    }
    if is_change && of_one {
        more.push(json!({ "name": "If-Match", "in": "header", "schema": tags(), "description":
            "Only if it still is in the state of this ETag, or one of several; else the answer is 412." }));
    }
    if !changes && has_state && path.ends_with("/{id}") {
        more.push(json!({ "name": "If-None-Match", "in": "header", "schema": tags(),
            "description": "Only if it is no longer in the state of this ETag; else the answer is 304." }));
    }
    if REPEATABLE.contains(&id.as_str()) {
        more.push(json!({ "name": "Idempotency-Key", "in": "header",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~](?:[ -~]*[!-~])?$" }, "description":
            "A text of your choice: the same request with the same text is carried out once in a day, and answered again." }));
    }
    if let Some(parameters) = operation["parameters"].as_array_mut() {
        parameters.extend(more);
    }

    let Some(answers) = operation["responses"].as_object_mut() else { return };
    let is_open = OPEN.contains(&id.as_str());
    let always: &[&str] = if is_open { &["400", "403", "503"] } else { &["400", "401", "403", "503"] };
    let changing: &[&str] = if changes { &["409", "413", "507"] } else { &[] };
    let found: &[&str] = if of_one { &["404"] } else { &[] };
    let read: &[&str] = if has_body { &["415"] } else { &[] };
    let matched: &[&str] = if is_change { &["412"] } else { &[] };
    let unchanged: &[&str] = if !changes && has_state && path.ends_with("/{id}") { &["304"] } else { &[] };
    for status in [always, changing, found, read, matched, unchanged].concat() {
        answers.entry(status).or_insert_with(|| json!({ "description": "" }));
    }
    for (status, answer) in answers.iter_mut() {
        finish_answer(status, answer, of_one && has_state && path.matches('{').count() == 1);
    }
}

fn finish_answer(status: &str, answer: &mut Value, of_one: bool) {
    if answer["description"].as_str().is_none_or(str::is_empty) {
        answer["description"] = meaning(status).into();
    }
    let text = json!({ "type": "string" });
    let mut headers =
        json!({ "X-Request-Id": { "description": "The request's id, as it stands in logs.", "schema": text } });
    let is_thing = answer["content"]["application/json"]["schema"]["$ref"].is_string();
    if (status.starts_with('2') && is_thing && of_one) || matches!(status, "201" | "304") {
        headers["ETag"] =
            json!({ "description": "The state that it is in, for If-Match and If-None-Match.", "schema": text });
    }
    merge(&mut headers, &headers_of(status));
    if !status.starts_with('2') && status != "304" {
        answer["content"] = problem_content();
    }
    answer["headers"] = headers;
}

fn tags() -> Value {
    json!({ "anyOf": [{ "type": "string", "const": "*" }, { "type": "string", "pattern": TAGS }] })
}

/// What a part of a path looks like.
fn in_path(path: &str, name: &str) -> Value {
    let prefix = match (name, path.split('/').nth(2)) {
        ("id", Some("privacy")) if path.contains("/members/") => "mbr_",
        ("id", Some("apis")) => "api_",
        ("id", Some("projects" | "privacy")) => "prj_",
        ("id", Some("activations")) => "act_",
        ("id", Some("keys")) => "key_",
        ("id", Some("webhooks")) => "whk_",
        ("id", Some("roles")) => "rol_",
        ("id", Some("patterns")) => "pat_",
        ("id", Some("plans")) => "pln_",
        ("id", Some("credits")) => "crg_",
        ("id", Some("members")) => "mbr_",
        ("id", Some("member_roles")) => "mrl_",
        ("id", Some("invitations")) => "inv_",
        ("id", Some("account")) if path.starts_with("/v1/account/passkeys") => "psk_",
        ("id", Some("account")) if path.starts_with("/v1/account/identities") => "idn_",
        ("id", Some("sessions" | "account")) => "ses_",
        ("id", Some("organizations")) => "org_",
        ("delivery", _) => "evt_",
        ("version", _) => return json!({ "pattern": "^[1-9][0-9]{0,3}$" }),
        ("name", _) => return json!({ "pattern": "^(?:header:x-[a-z][a-z0-9-]{0,30}|client_certificate)$" }),
        _ => return json!({}),
    };
    json!({ "pattern": id_pattern(prefix) })
}

fn finish_schemas(schemas: &mut Map<String, Value>, rules: &Value) {
    let names: Vec<String> = schemas.keys().cloned().collect();
    for (list, schema) in schemas.iter_mut() {
        // Of what is no object of ours, the list's own rows are.
        let row = list.strip_prefix("List_").filter(|row| names.iter().any(|name| name == row));
        if let (Some(row), Some(items)) = (row, schema.pointer_mut("/properties/items")) {
            items["items"] = json!({ "$ref": format!("#/components/schemas/{row}") });
        }
    }
    refine(schemas, rules);
    for (name, schema) in schemas.iter_mut() {
        if name.ends_with("Update") || name.starts_with("Encryption") {
            let properties = schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
            for (_, property) in properties.filter(|(field, _)| !NULLABLE.contains(&field.as_str())) {
                leave_out_null(property);
            }
        }
    }
}

/// What is left out of a change stays as it is, and `null` says nothing.
fn leave_out_null(schema: &mut Value) {
    let is_null = |value: &Value| value.is_null() || value == "null" || value["type"] == "null";
    for list in ["type", "oneOf", "enum"] {
        if let Some(values) = schema.get_mut(list).and_then(Value::as_array_mut) {
            values.retain(|value| !is_null(value));
        }
    }
    if let Some([kind]) = schema["type"].as_array().map(Vec::as_slice) {
        schema["type"] = kind.clone();
    }
    if let Some([one]) = schema["oneOf"].as_array().map(Vec::as_slice) {
        let one = one.clone();
        merge(schema, &one);
        merge(schema, &json!({ "oneOf": null }));
    }
}

fn meaning(status: &str) -> &'static str {
    match status {
        "200" => "Done; what holds now.",
        "201" => "Made.",
        "202" => "Taken; what there is to do is done aside.",
        "204" => "Done.",
        "304" => "It is still in that state.",
        "400" => "The request makes no sense; `detail` says what is wrong (problem details, RFC 9457).",
        "401" => "No management key, or one that is not in force.",
        "403" => "The management key may not do this.",
        "404" => "There is no such thing, or it is somebody else's.",
        "409" => "It can't be done in the state in which things are.",
        "412" => "It is not in the state that If-Match names.",
        "413" => "The body is too long.",
        "429" => "Too many passwords were wrong; try again when `Retry-After` says.",
        "415" => "The body is of another media type.",
        "503" => "The store can't be reached; try again when `Retry-After` says.",
        "507" => "The disk is full; try again when there is room.",
        _ => "See `code` and `detail`.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_about_something_that_there_is() {
        let document = super::super::document();
        assert_eq!(crate::describe::without_use(SCHEMAS, &document), Vec::<String>::new());
    }
}
