//! Credits of whoever has access: what was granted, what is left of it, granting more, and taking it back.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::show::line_of;
use super::{Activation, activation};
use crate::api::Asked;
use crate::console::Shown;
use crate::console::confirm::Confirm;
use crate::console::model::List;
use crate::console::preview::preview;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::{Fields, Object, query, segment};
use crate::ui::html::{AsCode, Badge, Html, shell};
use crate::ui::number::{exact, of};
use crate::ui::time::Moment;

#[derive(Deserialize)]
struct Grant {
    id: String,
    kind: String,
    amount: u64,
    used: u64,
    remaining: u64,
    state: String,
    note: String,
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
    project_id: Option<String>,
}

/// The tab.
#[derive(Template)]
#[template(path = "console/access/credits.html")]
struct Credits {
    id: String,
    project_id: String,
    rows: Vec<Row>,
    has_more: bool,
    may_write: bool,
}

struct Row {
    id: String,
    kind: String,
    whose: &'static str,
    note: String,
    amount: String,
    used: String,
    remaining: String,
    starts: Moment,
    ends: Option<Moment>,
    badge: Badge,
    is_open: bool,
}

fn badge(state: &str) -> Badge {
    match state {
        "active" => Badge::new("ok", "Active"),
        "scheduled" => Badge::new("warn", "Later"),
        "used" => Badge::new("off", "Used up"),
        "ended" => Badge::new("off", "Lapsed"),
        "revoked" => Badge::new("off", "Taken back"),
        other => Badge::new("off", other),
    }
}

/// The organization whose project it is, as far as it can be told.
async fn organization(visit: &Visit, link: &Activation) -> Option<String> {
    Some(line_of(visit, link).await?.project_organization_id)
}

pub(super) async fn credits(visit: &Visit, link: &Activation, may_write: bool) -> Asked<Html> {
    let own = query(&[("project_id", &link.project_id), ("limit", "100")]);
    let mut list: List<Grant> = visit.get(&format!("/v1/credits?{own}")).await?;
    let mut has_more = list.next_cursor.is_some();
    if let Some(id) = organization(visit, link).await {
        let shared = query(&[("organization_id", &id), ("limit", "100")]);
        let shared: List<Grant> = visit.aside(&format!("/v1/credits?{shared}")).await;
        has_more |= shared.next_cursor.is_some();
        list.items.extend(shared.items);
    }
    let rows = list.items.into_iter().map(|grant| Row {
        badge: badge(&grant.state),
        is_open: ["active", "scheduled"].contains(&grant.state.as_str()),
        whose: if grant.project_id.is_some() { "the project's" } else { "its organization's" },
        amount: exact(grant.amount),
        used: exact(grant.used),
        remaining: exact(grant.remaining),
        starts: visit.zone.day(grant.starts_at),
        ends: grant.ends_at.map(|at| visit.zone.day(at)),
        id: grant.id,
        kind: grant.kind,
        note: grant.note,
    });
    let (id, project_id) = (link.id.clone(), link.project_id.clone());
    Ok(Html::of(&Credits { id, project_id, rows: rows.collect(), has_more, may_write }))
}

/// Granting.
#[derive(Template)]
#[template(path = "console/access/grant.html")]
struct Form {
    fault: Option<String>,
    id: String,
    is_shared: bool,
    amount: String,
    kind: String,
    ends: String,
    note: String,
    code: AsCode,
}

/// The request that the form makes.
///
/// # Errors
/// A sentence about the field that says nothing that can be sent.
fn request(fields: &Fields, project: &str, organization: Option<&str>) -> Result<Value, String> {
    let amount = fields.number("amount", "The amount")?.ok_or("Say how many credits.")?;
    let object = match (fields.one("holder"), organization) {
        ("organization", Some(id)) => Object::default().with("organization_id", id),
        ("organization", None) => return Err("It can't be told whose project it is; grant them to the project.".into()),
        _ => Object::default().with("project_id", project),
    };
    let kind = if fields.one("kind") == "paid" { "" } else { fields.one("kind") };
    let ends = match fields.one("ends") {
        "" => String::new(),
        // The whole day is still good.
        day => format!("{day}T23:59:59Z"),
    };
    Ok(object.with("amount", amount).text("kind", kind).text("ends_at", &ends).text("note", fields.one("note")).into())
}

fn command(body: &Value) -> String {
    let mut text = "keystile credit grant".to_owned();
    for (name, option) in [
        ("project_id", "project"),
        ("organization_id", "organization"),
        ("amount", "amount"),
        ("kind", "kind"),
        ("note", "note"),
        ("ends_at", "ends"),
    ] {
        match body.get(name) {
            Some(Value::String(said)) => text.push_str(&format!(" --{option} {}", shell(said))),
            Some(other) => text.push_str(&format!(" --{option} {other}")),
            None => {}
        }
    }
    text
}

fn as_code(visit: &Visit, fields: &Fields, link: &Activation, organization: Option<&str>) -> AsCode {
    let body = request(fields, &link.project_id, organization).unwrap_or_else(|_| serde_json::json!({}));
    AsCode::new(command(&body), &visit.origin, "POST", "/v1/credits", Some(&body))
}

fn shown(visit: &Visit, link: &Activation, fields: &Fields, code: AsCode, fault: Option<String>) -> Response {
    let content = Form {
        fault,
        id: link.id.clone(),
        is_shared: fields.one("holder") == "organization",
        amount: fields.one("amount").into(),
        kind: fields.one("kind").into(),
        ends: fields.one("ends").into(),
        note: fields.one("note").into(),
        code,
    };
    visit.modal(Place::Access, "Grant credits", &content)
}

pub(super) async fn grant_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let link = activation(&visit, &id).await?;
    let code = as_code(&visit, &Fields::default(), &link, None);
    Ok(shown(&visit, &link, &Fields::default(), code, None))
}

/// What the form would be as code, as it is filled in.
pub(super) async fn code(visit: Visit, Path(id): Path<String>) -> Shown {
    let link = activation(&visit, &id).await?;
    let organization = organization(&visit, &link).await;
    Ok(preview(&visit, as_code(&visit, &visit.form, &link, organization.as_deref())))
}

pub(super) async fn grant(visit: Visit, Path(id): Path<String>) -> Shown {
    let link = activation(&visit, &id).await?;
    let organization = organization(&visit, &link).await;
    let again = |fault: String| {
        let code = as_code(&visit, &visit.form, &link, organization.as_deref());
        shown(&visit, &link, &visit.form, code, Some(fault))
    };
    let body = match request(&visit.form, &link.project_id, organization.as_deref()) {
        Ok(body) => body,
        Err(fault) => return Ok(again(fault)),
    };
    match visit.send(Method::POST, "/v1/credits", Some(&body)).await {
        Ok(_) => {
            Ok(visit.go_saying(&format!("/access/{}?tab=credits", link.id), "Granted. The next call can spend them."))
        }
        Err(refusal) => Ok(again(refusal.above_form()?)),
    }
}

async fn taking_back(visit: &Visit, id: &str, grant: &str, fault: Option<String>) -> Shown {
    let told: Grant = visit.get(&format!("/v1/credits/{}", segment(grant))).await?;
    let content = Confirm {
        fault,
        title: "Take back what is left?".into(),
        about: "What was spent stays spent. Calls that nothing pays for any more are refused as credits_exhausted."
            .into(),
        numbers: Some(format!("{} left of {}.", of(told.remaining, "credit is", "credits are"), exact(told.amount))),
        reason: Some(("takes the place of the note", visit.form.one("reason").into())),
        path: format!("/access/{}/credits/{}/revoke", segment(id), told.id),
        back: format!("/access/{}?tab=credits", segment(id)),
        button: "Take back",
        is_danger: true,
        code: Some(AsCode::new(
            format!("keystile credit revoke {}", shell(&told.id)),
            &visit.origin,
            "POST",
            &format!("/v1/credits/{}/revoke", told.id),
            Some(&serde_json::json!({})),
        )),
        ..Confirm::default()
    };
    Ok(content.shown(visit, Place::Access))
}

pub(super) async fn revoke_form(visit: Visit, Path((id, grant)): Path<(String, String)>) -> Shown {
    taking_back(&visit, &id, &grant, None).await
}

pub(super) async fn revoke(visit: Visit, Path((id, grant)): Path<(String, String)>) -> Shown {
    let body = Object::default().text("reason", visit.form.one("reason")).into();
    match visit.send(Method::POST, &format!("/v1/credits/{}/revoke", segment(&grant)), Some(&body)).await {
        Ok(_) => Ok(visit.go_saying(&format!("/access/{}?tab=credits", segment(&id)), "Taken back.")),
        Err(refusal) => taking_back(&visit, &id, &grant, Some(refusal.above_form()?)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn credits_are_granted_to_the_project_or_to_all_of_its_organization() {
        let told = |form: &[u8], organization| request(&Fields::read(form), "prj_1", organization);
        let body = told(b"holder=project&amount=10%2C000&kind=paid&ends=2027-12-31&note=Invoice+7", None).unwrap();
        assert_eq!(
            body,
            json!({"project_id": "prj_1", "amount": 10_000, "ends_at": "2027-12-31T23:59:59Z", "note": "Invoice 7"})
        );
        assert_eq!(
            command(&body),
            "keystile credit grant --project prj_1 --amount 10000 --note 'Invoice 7' --ends 2027-12-31T23:59:59Z"
        );
        let body = told(b"holder=organization&amount=5&kind=bonus", Some("org_2")).unwrap();
        assert_eq!(body, json!({"organization_id": "org_2", "amount": 5, "kind": "bonus"}));
        assert!(told(b"amount=", None).is_err() && told(b"holder=organization&amount=5", None).is_err());
    }
}
