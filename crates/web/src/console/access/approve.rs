//! Approving a link: by which plan, and with which permissions.

use askama::Template;
use axum::extract::Path;
use http::Method;
use serde_json::Value;

use super::show::line_of;
use super::{Activation, activation, listed};
use crate::api::Asked;
use crate::console::Shown;
use crate::console::model::List;
use crate::console::plans::{Plan, summary};
use crate::console::preview::preview;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::{Fields, Object, query, segment};
use crate::ui::html::{AsCode, shell};
use crate::ui::number::of;

/// The form.
#[derive(Template)]
#[template(path = "console/access/approve.html")]
struct Form {
    fault: Option<String>,
    id: String,
    project: String,
    api: String,
    note: String,
    numbers: Option<String>,
    plans: Vec<Choice>,
    asked: String,
    kept: &'static str,
    rights: String,
    permissions: String,
    reason: String,
    code: AsCode,
}

/// A plan that can be given.
pub(super) struct Choice {
    /// What the form sends.
    pub(super) value: String,
    /// Its name and what it says.
    pub(super) text: String,
    /// Whether it is chosen.
    pub(super) is_chosen: bool,
}

/// Plans that a form offers: those of the API, and none of them. `chosen` is an id or `none`.
pub(super) async fn choices(visit: &Visit, api: &str, chosen: &str) -> Vec<Choice> {
    let asked = query(&[("api_id", api), ("limit", "200")]);
    let plans: List<Plan> = visit.aside(&format!("/v1/plans?{asked}")).await;
    let told = plans.items.iter().map(|plan| {
        let words = summary(plan);
        let standard = if plan.standard { " (standard)" } else { "" };
        let words = if words.is_empty() { String::new() } else { format!(": {words}") };
        Choice { value: plan.id.clone(), text: format!("{}{standard}{words}", plan.name), is_chosen: plan.id == chosen }
    });
    let none = Choice { value: "none".into(), text: "No plan: nothing limits it".into(), is_chosen: chosen == "none" };
    told.chain(std::iter::once(none)).collect()
}

pub(super) async fn form(visit: Visit, Path(id): Path<String>) -> Shown {
    let link = activation(&visit, &id).await?;
    shown(&visit, &link, &Fields::default(), None).await
}

async fn shown(visit: &Visit, link: &Activation, fields: &Fields, fault: Option<String>) -> Shown {
    let line = line_of(visit, link).await;
    let mut plans = choices(visit, &link.api_id, fields.one("plan")).await;
    let text = match (&link.plan, &link.requested_plan_id) {
        (Some(name), _) if link.is_granted() => format!("As before: {name}"),
        (_, Some(id)) => {
            let named = plans.iter().find(|plan| plan.value == *id).map_or(id.as_str(), |plan| &plan.text);
            format!("What it asks for: {named}")
        }
        _ => "The standard plan, if the API has one".to_owned(),
    };
    plans.insert(0, Choice { value: String::new(), text, is_chosen: fields.one("plan").is_empty() });
    let content = Form {
        fault,
        id: link.id.clone(),
        project: line.as_ref().map_or_else(|| link.project_id.clone(), |line| line.project_name.clone()),
        api: line.as_ref().map_or_else(|| link.api_id.clone(), |line| line.api_name.clone()),
        note: link.note.clone(),
        numbers: line.as_ref().map(|line| {
            let organization = &line.project_organization_name;
            format!("{organization}, {}", of(line.active_keys, "active key", "active keys"))
        }),
        plans,
        asked: listed(if link.is_granted() {
            link.granted_permissions.as_deref()
        } else {
            link.requested_permissions.as_deref()
        }),
        kept: if link.is_granted() { "As before" } else { "What it asks for" },
        rights: fields.one("rights").into(),
        permissions: fields.one("permissions").into(),
        reason: fields.one("reason").into(),
        code: as_code(visit, &link.id, fields),
    };
    Ok(visit.modal(Place::Access, &format!("Approve {}", content.project), &content))
}

/// The request that the form makes: what is not chosen is left to the API, which takes what was asked for.
///
/// # Errors
/// A sentence about permissions that are to be bounded, and are not said.
fn request(fields: &Fields) -> Result<Value, String> {
    let mut object = match fields.one("plan") {
        "" => Object::default(),
        "none" => Object::default().with("plan_id", Value::Null),
        id => Object::default().with("plan_id", id),
    };
    object = match fields.one("rights") {
        "any" => object.with("permissions", Value::Null),
        "only" => match fields.words("permissions") {
            none if none.is_empty() => {
                return Err("Say which permissions it gets, or choose another answer above them.".into());
            }
            list => object.with("permissions", list),
        },
        _ => object,
    };
    Ok(object.text("reason", fields.one("reason")).into())
}

fn as_code(visit: &Visit, id: &str, fields: &Fields) -> AsCode {
    let body = request(fields).unwrap_or_else(|_| Value::Object(serde_json::Map::new()));
    let command = command(id, &body);
    AsCode::new(command, &visit.origin, "POST", &format!("/v1/activations/{id}/approve"), Some(&body))
}

fn command(id: &str, body: &Value) -> String {
    let mut text = format!("keystile activation approve {}", shell(id));
    match body.get("plan_id") {
        None => {}
        Some(Value::String(plan)) => text.push_str(&format!(" --plan {}", shell(plan))),
        Some(_) => text.push_str(" --no-plan"),
    }
    match body.get("permissions") {
        None => {}
        Some(Value::Array(list)) => {
            for permission in list.iter().filter_map(Value::as_str) {
                text.push_str(&format!(" --permission {}", shell(permission)));
            }
        }
        Some(_) => text.push_str(" --any-permission"),
    }
    if let Some(reason) = body.get("reason").and_then(Value::as_str) {
        text.push_str(&format!(" --reason {}", shell(reason)));
    }
    text
}

/// What the form would be as code, as it is filled in.
pub(super) async fn code(visit: Visit, Path(id): Path<String>) -> Shown {
    let code = as_code(&visit, &segment(&id), &visit.form);
    Ok(preview(&visit, code))
}

pub(super) async fn approve(visit: Visit, Path(id): Path<String>) -> Shown {
    let link = activation(&visit, &id).await?;
    let fields = visit.form.clone();
    let body = match request(&fields) {
        Ok(body) => body,
        Err(fault) => return shown(&visit, &link, &fields, Some(fault)).await,
    };
    let sent: Asked<_> = visit.send(Method::POST, &format!("/v1/activations/{}/approve", link.id), Some(&body)).await;
    match sent {
        Ok(_) => Ok(visit.go_saying(&format!("/access/{}", link.id), "Approved. Its next call is let through.")),
        Err(refusal) => shown(&visit, &link, &fields, Some(refusal.above_form()?)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_chosen_is_left_to_the_api() {
        let told = |form: &[u8]| request(&Fields::read(form));
        assert_eq!(told(b"plan=&rights=&reason=").unwrap(), json!({}));
        assert_eq!(told(b"plan=none&rights=any").unwrap(), json!({"plan_id": null, "permissions": null}));
        let body = told(b"plan=pln_1&rights=only&permissions=a.read%2C+b&reason=welcome").unwrap();
        assert_eq!(body, json!({"plan_id": "pln_1", "permissions": ["a.read", "b"], "reason": "welcome"}));
        assert_eq!(
            command("act_1", &body),
            "keystile activation approve act_1 --plan pln_1 --permission a.read --permission b --reason welcome"
        );
        assert!(told(b"rights=only&permissions=+").is_err(), "an empty list would be no permission at all");
    }
}
