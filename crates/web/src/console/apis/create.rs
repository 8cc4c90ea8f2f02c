//! Publishing an API, and editing what it is: from the address behind it, or from its OpenAPI document.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::at;
use crate::console::Shown;
use crate::console::model::{Api, List};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::{Fields, Object};
use crate::ui::html::{AsCode, Html, shell};

/// The form.
#[derive(Template)]
#[template(path = "console/apis/new.html")]
struct Form {
    fault: Option<String>,
    action: String,
    is_new: bool,
    name: String,
    upstream: String,
    document: String,
    path_prefix: String,
    strip_prefix: bool,
    hosts: String,
    permissions: String,
    found: Html,
    code: AsCode,
}

/// What a document says, before anything is made of it.
#[derive(Template)]
#[template(path = "console/apis/found.html")]
struct Found {
    fault: Option<String>,
    title: String,
    operations: Vec<(String, String)>,
    more: usize,
    server: String,
    code: AsCode,
}

/// Operations that are shown of a document.
const SHOWN: usize = 12;

/// Ways in which a document says what a key must be allowed.
const ASKS: [&str; 4] = ["off", "tags", "security", "extension"];

pub(super) async fn form(visit: Visit) -> Shown {
    Ok(shown(&visit, None, &visit.query, None))
}

pub(super) async fn edit_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let api: Api = visit.get(&at(&id)).await?;
    let text = format!(
        "name={}&upstream={}&hosts={}&path_prefix={}&permissions={}{}",
        crate::ui::form::segment(&api.name),
        crate::ui::form::segment(&api.upstream),
        crate::ui::form::segment(&api.hosts.join(", ")),
        crate::ui::form::segment(&api.path_prefix),
        crate::ui::form::segment(&api.operation_permissions),
        if api.strip_prefix { "&strip_prefix=on" } else { "" },
    );
    Ok(shown(&visit, Some(&api.id), &Fields::read(text.as_bytes()), None))
}

fn shown(visit: &Visit, id: Option<&str>, fields: &Fields, fault: Option<String>) -> Response {
    let prefix = fields.one("path_prefix");
    let content = Form {
        fault,
        action: id.map_or_else(|| "/apis".to_owned(), |id| format!("/apis/{id}/edit")),
        is_new: id.is_none(),
        name: fields.one("name").into(),
        upstream: fields.one("upstream").into(),
        document: fields.exact("openapi").into(),
        path_prefix: if prefix.is_empty() { "/".into() } else { prefix.into() },
        strip_prefix: fields.has("strip_prefix"),
        hosts: fields.one("hosts").into(),
        permissions: asks(fields).into(),
        found: Html::of(&found(visit, fields)),
        code: as_code(visit, id, fields),
    };
    let title = if id.is_some() { "Edit API" } else { "Add API" };
    visit.sheet(Place::Apis, title, &content)
}

fn asks(fields: &Fields) -> &str {
    let said = fields.one("permissions");
    if ASKS.contains(&said) { said } else { "off" }
}

/// The request that the form makes.
fn request(fields: &Fields) -> Value {
    let document = fields.exact("openapi").trim();
    let mut object = Object::default().text("name", fields.one("name")).text("upstream", fields.one("upstream"));
    if !document.is_empty() {
        object = object.with("openapi", document);
    }
    let prefix = fields.one("path_prefix");
    object = object.with("hosts", fields.words("hosts"));
    if !prefix.is_empty() {
        object = object.with("path_prefix", prefix);
    }
    object = object.with("strip_prefix", fields.has("strip_prefix"));
    let asks = asks(fields);
    object = object.with("operation_permissions", asks);
    if asks != "off" {
        // What is not documented asks for no permission, so it can't be let through.
        object = object.with("unknown_operations", "refuse");
    }
    object.into()
}

fn as_code(visit: &Visit, id: Option<&str>, fields: &Fields) -> AsCode {
    let mut body = request(fields);
    let mut command = match id {
        Some(id) => format!("keystile api update {}", shell(id)),
        None => "keystile api create".to_owned(),
    };
    for (option, text) in [("--name", fields.one("name")), ("--upstream", fields.one("upstream"))] {
        if !text.is_empty() {
            command.push_str(&format!(" {option} {}", shell(text)));
        }
    }
    for host in fields.words("hosts") {
        command.push_str(&format!(" --host {}", shell(&host)));
    }
    if !["", "/"].contains(&fields.one("path_prefix")) {
        command.push_str(&format!(" --path-prefix {}", shell(fields.one("path_prefix"))));
    }
    if !fields.exact("openapi").trim().is_empty() {
        command.push_str(" --openapi FILE");
        body["openapi"] = json!("…");
    }
    let (method, path) = id.map_or(("POST", "/v1/apis".to_owned()), |id| ("PATCH", format!("/v1/apis/{id}")));
    AsCode::new(command, &visit.origin, method, &path, Some(&body))
}

/// What a document says, for the form that it stands in.
pub(super) async fn look(visit: Visit) -> Shown {
    let mut found = found(&visit, &visit.form);
    if !visit.form.exact("openapi").trim().is_empty() && visit.may("apis.write") {
        // The API judges it; nothing is made.
        let mut body = request(&visit.form);
        body["upstream"] = json!("http://127.0.0.1:9");
        body["name"] = json!("trial");
        if let Err(refusal) = visit.send(Method::POST, "/v1/apis?dry_run=true", Some(&body)).await
            && refusal.detail.starts_with("openapi")
        {
            found.fault = Some(refusal.detail);
        }
    }
    Ok(visit.part(&found))
}

#[derive(Deserialize, Default)]
struct Document {
    #[serde(default)]
    info: Info,
    #[serde(default)]
    servers: Vec<Server>,
    #[serde(default)]
    paths: serde_json::Map<String, Value>,
}

#[derive(Deserialize, Default)]
struct Info {
    #[serde(default)]
    title: String,
}

#[derive(Deserialize)]
struct Server {
    #[serde(default)]
    url: String,
}

/// Methods that are operations of a path.
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

fn found(visit: &Visit, fields: &Fields) -> Found {
    let text = fields.exact("openapi").trim();
    let code = as_code(visit, None, fields);
    // YAML is JSON with less; a document that is neither is the API's to refuse.
    let document: Document = serde_saphyr::from_str(text).unwrap_or_default();
    let operations = document.paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten().filter(|(method, _)| METHODS.contains(&method.as_str()));
        methods.map(|(method, _)| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    });
    let mut operations: Vec<(String, String)> = operations.collect();
    let more = operations.len().saturating_sub(SHOWN);
    operations.truncate(SHOWN);
    let server = document.servers.first().map(|server| server.url.clone()).unwrap_or_default();
    let server = if server.starts_with("http") { server } else { String::new() };
    Found { fault: None, title: document.info.title, operations, more, server, code }
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

pub(super) async fn create(visit: Visit) -> Shown {
    let mut fields = visit.form.as_ref().clone();
    let found = found(&visit, &fields);
    if fields.one("upstream").is_empty() && !found.server.is_empty() {
        fields = with(&fields, "upstream", &found.server);
    }
    if fields.one("name").is_empty() && !found.title.is_empty() {
        fields = with(&fields, "name", &found.title);
    }
    if fields.one("upstream").is_empty() {
        let fault = "Say where the API is: the address that calls go on to, such as https://api.internal.example.";
        return Ok(shown(&visit, None, &fields, Some(fault.into())));
    }
    match visit.send(Method::POST, "/v1/apis", Some(&request(&fields))).await {
        Ok(answer) => {
            let made: Id = answer.read()?;
            link_projects(&visit, &made.id).await;
            Ok(visit.go_saying(&format!("/apis/{}", made.id), "The API is published. It answers calls with a key."))
        }
        Err(refusal) => Ok(shown(&visit, None, &fields, Some(refusal.above_form()?))),
    }
}

/// The first API may be called by the projects that are there already: whoever made one meant it for this.
async fn link_projects(visit: &Visit, api: &str) {
    let apis: List<Api> = visit.aside("/v1/apis?limit=2").await;
    if apis.items.len() > 1 {
        return;
    }
    let projects = super::super::keys::projects(visit).await;
    for project in projects.iter().filter(|project| project.name != "Management").take(10) {
        let body = json!({"project_id": project.id, "api_id": api});
        // Whoever may not link them does so by hand, or asks.
        let _ = visit.send(Method::POST, "/v1/activations", Some(&body)).await;
    }
}

fn with(fields: &Fields, name: &str, text: &str) -> Fields {
    let rest = fields.query_without(&[name]);
    Fields::read(format!("{name}={}&{rest}", crate::ui::form::segment(text)).as_bytes())
}

pub(super) async fn edit(visit: Visit, Path(id): Path<String>) -> Shown {
    let fields = visit.form.as_ref();
    match visit.send(Method::PATCH, &at(&id), Some(&request(fields))).await {
        Ok(_) => {
            Ok(visit.go_saying(&format!("/apis/{}", crate::ui::form::segment(&id)), "Saved. The next call sees it."))
        }
        Err(refusal) => Ok(shown(&visit, Some(&id), fields, Some(refusal.above_form()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_one_request() {
        let form = Fields::read(b"name=Weather&upstream=https%3A%2F%2Fup.example&hosts=a.example+b.example&path_prefix=%2Fv1&permissions=tags");
        assert_eq!(
            request(&form),
            json!({
                "name": "Weather", "upstream": "https://up.example", "hosts": ["a.example", "b.example"], "path_prefix": "/v1",
                "strip_prefix": false, "operation_permissions": "tags", "unknown_operations": "refuse",
            })
        );
        let plain = request(&Fields::read(
            b"upstream=http%3A%2F%2Fa&openapi=openapi%3A+3.1.0&strip_prefix=on&permissions=none",
        ));
        assert_eq!(plain["openapi"], "openapi: 3.1.0");
        assert_eq!((&plain["strip_prefix"], &plain["operation_permissions"]), (&json!(true), &json!("off")));
    }
}
