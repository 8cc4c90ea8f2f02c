//! Making and editing a webhook: one form, and what it would be as code.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::events::{GROUPS, is_offered};
use super::{Webhook, webhook};
use crate::api::{Answer, Asked};
use crate::console::Shown;
use crate::console::once::Once;
use crate::console::preview::preview;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::{Fields, Object};
use crate::ui::html::{AsCode, shell};

/// The form.
#[derive(Template)]
#[template(path = "console/webhooks/form.html")]
struct Form {
    fault: Option<String>,
    id: Option<String>,
    path: String,
    back: String,
    url: String,
    description: String,
    is_all: bool,
    groups: Vec<Group>,
    others: String,
    code: AsCode,
}

/// Boxes that belong together: the pattern, what is said of it, and whether it is ticked.
struct Group {
    name: &'static str,
    boxes: Vec<(&'static str, &'static str, bool)>,
}

/// Of which events a form says that it tells.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// All changes.
    All,
    /// These.
    Some(Vec<String>),
}

impl Told {
    /// What the API takes: there, an empty list is all changes.
    fn list(&self) -> &[String] {
        match self {
            Self::All => &[],
            Self::Some(list) => list,
        }
    }
}

/// Reads boxes and what was typed beside them.
///
/// # Errors
/// If only some are meant, and none is.
fn told(fields: &Fields) -> Result<Told, String> {
    if fields.one("which") != "some" {
        return Ok(Told::All);
    }
    let mut list: Vec<String> = fields.all("event").map(str::to_owned).collect();
    for other in fields.words("events") {
        if !list.contains(&other) {
            list.push(other);
        }
    }
    if list.is_empty() {
        Err("Tick the events that it tells of, or choose all changes.".into())
    } else {
        Ok(Told::Some(list))
    }
}

pub(super) async fn new(visit: Visit) -> Shown {
    Ok(shown(&visit, &visit.query, None, None))
}

fn shown(visit: &Visit, fields: &Fields, was: Option<&Webhook>, fault: Option<String>) -> Response {
    let ticked: Vec<&str> = fields.all("event").collect();
    // An address that names events means these.
    let is_some = fields.one("which") == "some" || (fields.one("which").is_empty() && !ticked.is_empty());
    let group = |(name, offers): &(&'static str, &[super::events::Offer])| Group {
        name,
        boxes: offers.iter().map(|(pattern, about)| (*pattern, *about, ticked.contains(pattern))).collect(),
    };
    let content = Form {
        fault,
        id: was.map(|webhook| webhook.id.clone()),
        path: was.map_or_else(|| "/webhooks".to_owned(), |webhook| format!("/webhooks/{}/edit", webhook.id)),
        back: was.map_or_else(|| "/webhooks".to_owned(), |webhook| format!("/webhooks/{}", webhook.id)),
        url: fields.one("url").into(),
        description: fields.one("description").into(),
        is_all: !is_some,
        groups: GROUPS.iter().map(group).collect(),
        others: fields.one("events").into(),
        code: as_code(visit, fields, was),
    };
    let title = if was.is_some() { "Edit webhook" } else { "Add webhook" };
    visit.sheet(Place::Webhooks, title, &content)
}

/// The fields of the form as the webhook has them.
fn kept(webhook: &Webhook) -> Fields {
    let (boxes, others): (Vec<&str>, Vec<&str>) =
        webhook.events.iter().map(String::as_str).partition(|pattern| is_offered(pattern));
    let others = others.join(", ");
    let mut pairs = vec![
        ("url", webhook.url.as_str()),
        ("description", &webhook.description),
        ("which", if webhook.events.is_empty() { "all" } else { "some" }),
        ("events", &others),
    ];
    pairs.extend(boxes.into_iter().map(|pattern| ("event", pattern)));
    Fields::read(crate::ui::form::query(&pairs).as_bytes())
}

/// The request that the form makes: of a new webhook, or what is another thing than before.
///
/// # Errors
/// A sentence about the field that says nothing that can be sent.
fn request(fields: &Fields, was: Option<&Webhook>) -> Result<Value, String> {
    let told = told(fields)?;
    let Some(webhook) = was else {
        let object = Object::default()
            .with("url", fields.one("url"))
            .text("description", fields.one("description"))
            .list("events", told.list().to_vec());
        return Ok(object.into());
    };
    let mut object = Object::default();
    for (name, kept) in [("url", &webhook.url), ("description", &webhook.description)] {
        if fields.one(name) != kept {
            object = object.with(name, fields.one(name));
        }
    }
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    if sorted(told.list()) != sorted(&webhook.events) {
        object = object.with("events", told.list().to_vec());
    }
    Ok(object.into())
}

/// The options of the command that say the same as a request.
fn options(body: &Value) -> String {
    let mut text = String::new();
    for name in ["url", "description"] {
        if let Some(said) = body.get(name).and_then(Value::as_str) {
            text.push_str(&format!(" --{name} {}", shell(said)));
        }
    }
    if let Some(events) = body.get("events").and_then(Value::as_array) {
        if events.is_empty() {
            text.push_str(" --all-events");
        }
        for event in events.iter().filter_map(Value::as_str) {
            text.push_str(&format!(" --event {}", shell(event)));
        }
    }
    text
}

fn as_code(visit: &Visit, fields: &Fields, was: Option<&Webhook>) -> AsCode {
    let body = request(fields, was).unwrap_or_else(|_| Value::Object(Map::new()));
    match was {
        None => AsCode::new(
            format!("keystile webhook create{}", options(&body)),
            &visit.origin,
            "POST",
            "/v1/webhooks",
            Some(&body),
        ),
        Some(webhook) => AsCode::new(
            format!("keystile webhook update {}{}", shell(&webhook.id), options(&body)),
            &visit.origin,
            "PATCH",
            &format!("/v1/webhooks/{}", webhook.id),
            Some(&body),
        ),
    }
}

/// What the form would be as code, as it is filled in.
pub(super) async fn code(visit: Visit) -> Shown {
    let id = visit.form.one("id");
    let was = if id.is_empty() { None } else { Some(webhook(&visit, id).await?) };
    Ok(preview(&visit, as_code(&visit, &visit.form, was.as_ref())))
}

#[derive(Deserialize)]
struct Made {
    id: String,
    url: String,
    #[serde(default)]
    secret: Option<String>,
}

/// The secret of a webhook that was made or rotated.
pub(super) fn once(answer: &Answer, title: &'static str) -> Asked<Once> {
    let made: Made = answer.read()?;
    Ok(Once {
        title: title.into(),
        about: made.url,
        label: "Signing secret",
        secret: made.secret,
        hint: "Deliveries are signed with it after Standard Webhooks: webhook-id, webhook-timestamp and webhook-signature.".into(),
        snippet: Some(format!("keystile webhook test {}", made.id)),
        facts: vec![("Webhook ID", made.id.clone())],
        then: format!("/webhooks/{}", made.id),
        ..Once::default()
    })
}

pub(super) async fn create(visit: Visit) -> Shown {
    let fields = &visit.form;
    let body = match request(fields, None) {
        Ok(body) => body,
        Err(fault) => return Ok(shown(&visit, fields, None, Some(fault))),
    };
    match visit.send(Method::POST, "/v1/webhooks", Some(&body)).await {
        Ok(answer) => {
            Ok(visit.secret(Place::Webhooks, "Save the secret", &once(&answer, "Save the secret of your webhook")?))
        }
        Err(refusal) => Ok(shown(&visit, fields, None, Some(refusal.above_form()?))),
    }
}

pub(super) async fn edit(visit: Visit, Path(id): Path<String>) -> Shown {
    let webhook = webhook(&visit, &id).await?;
    Ok(shown(&visit, &kept(&webhook), Some(&webhook), None))
}

pub(super) async fn save(visit: Visit, Path(id): Path<String>) -> Shown {
    let webhook = webhook(&visit, &id).await?;
    let fields = &visit.form;
    let body = match request(fields, Some(&webhook)) {
        Ok(body) if body == json!({}) => return Ok(visit.go(&format!("/webhooks/{}", webhook.id))),
        Ok(body) => body,
        Err(fault) => return Ok(shown(&visit, fields, Some(&webhook), Some(fault))),
    };
    match visit.send(Method::PATCH, &format!("/v1/webhooks/{}", webhook.id), Some(&body)).await {
        Ok(_) => Ok(visit.go_saying(&format!("/webhooks/{}", webhook.id), "Saved.")),
        Err(refusal) => Ok(shown(&visit, fields, Some(&webhook), Some(refusal.above_form()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_box_is_not_all_events() {
        assert_eq!(told(&Fields::read(b"which=all&event=key.*")), Ok(Told::All));
        assert!(told(&Fields::read(b"which=some&events=")).is_err());
        let list = vec!["key.*".to_owned(), "api.update".to_owned()];
        assert_eq!(told(&Fields::read(b"which=some&event=key.*&events=api.update%2C+key.*")), Ok(Told::Some(list)));
    }

    #[test]
    fn a_form_is_one_request_and_one_command() {
        let body =
            request(&Fields::read(b"url=https%3A%2F%2Fa.example&which=some&event=key.*&description="), None).unwrap();
        assert_eq!(body, json!({"url": "https://a.example", "events": ["key.*"]}));
        assert_eq!(options(&body), " --url https://a.example --event 'key.*'");
        let all = request(&Fields::read(b"url=https%3A%2F%2Fa.example&which=all"), None).unwrap();
        assert_eq!(all, json!({"url": "https://a.example"}));
    }

    #[test]
    fn an_edit_says_what_is_new_and_nothing_else() {
        let webhook: Webhook = serde_json::from_value(json!({
            "id": "whk_1", "url": "https://a.example", "description": "x", "events": ["key.*", "key.tidy"], "active": true,
            "created_at": "2026-11-01T00:00:00Z",
        }))
        .unwrap();
        assert_eq!(request(&kept(&webhook), Some(&webhook)).unwrap(), json!({}));
        let form = Fields::read(b"url=https%3A%2F%2Fa.example&description=x&which=all");
        let body = request(&form, Some(&webhook)).unwrap();
        assert_eq!((body.clone(), options(&body).as_str()), (json!({"events": []}), " --all-events"));
    }
}
