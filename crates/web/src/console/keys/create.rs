//! Making a key: the form, what it would be as code, and the making.

use std::collections::BTreeSet;

use askama::Template;
use http::Method;
use jiff::ToSpan;
use serde::Deserialize;
use serde_json::{Value, json};

use super::made::{Made, made};
use super::permissions::{Offer, chosen, offer};
use super::projects;
use crate::api::{Asked, Refusal};
use crate::console::Shown;
use crate::console::model::{Api, List, Project};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::{Fields, Object};
use crate::ui::html::{AsCode, shell};
use crate::ui::time::Moment;

/// How long a key lives unless somebody says otherwise.
const DAYS: &str = "90";

/// The form.
#[derive(Template)]
#[template(path = "console/keys/new.html")]
struct Form {
    fault: Option<String>,
    name: String,
    projects: Vec<(Project, bool)>,
    wants_project: bool,
    project_name: String,
    days: String,
    date: String,
    ends: Option<Moment>,
    kind: String,
    offer: Offer,
    typed: String,
    networks: String,
    limit: String,
    labels: String,
    hand_over: String,
    is_open: bool,
    code: AsCode,
}

/// The preview alone.
#[derive(Template)]
#[template(path = "console/keys/code.html")]
struct Code {
    code: AsCode,
    ends: Option<Moment>,
    permissions: usize,
    days: String,
}

pub(super) async fn form(visit: Visit) -> Shown {
    shown(&visit, &visit.query, None).await
}

async fn shown(visit: &Visit, fields: &Fields, fault: Option<String>) -> Shown {
    let projects = projects(visit).await;
    let picked = fields.one("project_id");
    let picked = if picked.is_empty() {
        projects.first().map(|project| project.id.clone()).unwrap_or_default()
    } else {
        picked.to_owned()
    };
    let all = chosen(fields);
    let offer = offer(visit, &all).await;
    let offered: BTreeSet<String> = offer
        .rows
        .iter()
        .flat_map(|row| [format!("{}.read", row.name), format!("{}.write", row.name)])
        .chain(offer.single.iter().map(|single| single.name.clone()))
        .collect();
    let typed: Vec<&str> = all.iter().filter(|name| !offered.contains(*name)).map(String::as_str).collect();
    let days = days(fields).to_owned();
    let content = Form {
        fault,
        name: fields.one("name").into(),
        wants_project: projects.is_empty() || picked == "new",
        projects: projects
            .into_iter()
            .map(|project| (project.id == picked, project))
            .map(|(is, project)| (project, is))
            .collect(),
        project_name: fields.one("project_name").into(),
        ends: ends(visit, &days),
        days,
        date: fields.one("date").into(),
        kind: if fields.one("kind").is_empty() { "secret".into() } else { fields.one("kind").into() },
        typed: typed.join(", "),
        offer,
        networks: fields.one("networks").into(),
        limit: fields.one("limit").into(),
        labels: fields.one("labels").into(),
        hand_over: fields.one("hand_over_hours").into(),
        is_open: !fields.one("networks").is_empty()
            || !fields.one("limit").is_empty()
            || !fields.one("labels").is_empty(),
        code: as_code(visit, fields, &picked),
    };
    Ok(visit.sheet(Place::Keys, "Create API key", &content))
}

/// The days that a form says: a number, `date` or `never`.
fn days(fields: &Fields) -> &str {
    match fields.one("days") {
        "" => DAYS,
        said => said,
    }
}

fn ends(visit: &Visit, days: &str) -> Option<Moment> {
    let days: i64 = days.parse().ok()?;
    visit.now.checked_add((days * 24).hours()).ok().map(|at| visit.zone.minute(at))
}

/// The request that the form makes.
///
/// # Errors
/// A sentence about the field that says nothing that can be sent.
fn request(fields: &Fields, project: &str) -> Result<Value, String> {
    let days = days(fields);
    let object = Object::default()
        .with("project_id", project)
        .with("name", fields.one("name"))
        .text("kind", if fields.one("kind") == "secret" { "" } else { fields.one("kind") });
    let object = match days {
        "never" => object.with("expires_at", Value::Null),
        "date" if fields.one("date").is_empty() => return Err("Pick the day on which the key ends.".into()),
        // The whole day is still good.
        "date" => object.with("expires_at", format!("{}T23:59:59Z", fields.one("date"))),
        days => object.with("expires_in_days", days.parse::<u32>().map_err(|_| "Choose when the key ends.")?),
    };
    let networks = fields.words("networks");
    let restrictions = (!networks.is_empty()).then(|| json!({"networks": {"allow": networks}}));
    let limit = fields.number("limit", "Rate limit")?;
    let limits = limit.map(|limit| json!([{"name": "per-minute", "limit": limit, "window_seconds": 60}]));
    let hours = fields.number("hand_over_hours", "Hours of the link")?;
    let object = object
        .list("permissions", chosen(fields).into_iter().collect())
        .some("restrictions", restrictions)
        .some("rate_limits", limits)
        .list("labels", fields.words("labels"))
        .some("hand_over_hours", hours);
    Ok(object.into())
}

fn as_code(visit: &Visit, fields: &Fields, project: &str) -> AsCode {
    let project = if project.is_empty() || project == "new" { "PROJECT" } else { project };
    let body = request(fields, project).unwrap_or(Value::Null);
    let name = if fields.one("name").is_empty() { "NAME" } else { fields.one("name") };
    let mut command = format!("keystile key create --project {} --name {}", shell(project), shell(name));
    match days(fields) {
        "never" => command.push_str(" --never-expires"),
        "date" => command.push_str(&format!(" --expires-at {}T23:59:59Z", shell(fields.one("date")))),
        days => command.push_str(&format!(" --expires-in-days {}", shell(days))),
    }
    if !["", "secret"].contains(&fields.one("kind")) {
        command.push_str(&format!(" --kind {}", shell(fields.one("kind"))));
    }
    for permission in chosen(fields) {
        command.push_str(&format!(" \\\n  --permission {}", shell(&permission)));
    }
    for network in fields.words("networks") {
        command.push_str(&format!(" \\\n  --network {}", shell(&network)));
    }
    if let Ok(Some(limit)) = fields.number("limit", "") {
        command.push_str(&format!(" \\\n  --rate-limit per-minute={limit}/min"));
    }
    for label in fields.words("labels") {
        command.push_str(&format!(" --label {}", shell(&label)));
    }
    AsCode::new(command, &visit.origin, "POST", "/v1/keys", Some(&body))
}

/// What the form would be as code, as it is filled in.
pub(super) async fn code(visit: Visit) -> Shown {
    let fields = &visit.form;
    let days = days(fields).to_owned();
    let code = as_code(&visit, fields, fields.one("project_id"));
    Ok(visit.part(&Code { code, ends: ends(&visit, &days), permissions: chosen(fields).len(), days }))
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

/// Makes the key, and the project that it is to be in if there is none yet.
pub(super) async fn create(visit: Visit) -> Shown {
    let fields = visit.form.clone();
    if fields.one("name").is_empty() {
        return shown(&visit, &fields, Some("Give the key a name: that of the workload that will hold it.".into()))
            .await;
    }
    // Looked at before a project is made for it.
    if let Err(fault) = request(&fields, "") {
        return shown(&visit, &fields, Some(fault)).await;
    }
    match make(&visit, &fields).await {
        Ok(made) => Ok(visit.secret(Place::Keys, "Save your new key", &made)),
        Err(refusal) => shown(&visit, &fields, Some(refusal.above_form()?)).await,
    }
}

async fn make(visit: &Visit, fields: &Fields) -> Asked<Made> {
    let project = match fields.one("project_id") {
        "" | "new" => new_project(visit, fields).await?,
        id => id.to_owned(),
    };
    let body = request(fields, &project).map_err(|fault| Refusal::own(400, "Not sent", &fault))?;
    let answer = visit.send(Method::POST, "/v1/keys", Some(&body)).await?;
    made(visit, &answer, "created").await
}

/// A project that may call every API that is published: whoever makes their first key means to call one.
async fn new_project(visit: &Visit, fields: &Fields) -> Asked<String> {
    let name = if fields.one("project_name").is_empty() { "Default" } else { fields.one("project_name") };
    let body = Object::default().with("name", name).text("environment", fields.one("environment")).into();
    let project: Id = visit.send(Method::POST, "/v1/projects", Some(&body)).await?.read()?;
    let apis: List<Api> = visit.aside("/v1/apis?limit=200").await;
    for api in apis.items.iter().filter(|api| api.active) {
        let body = json!({"project_id": project.id, "api_id": api.id});
        visit.send(Method::POST, "/v1/activations", Some(&body)).await?;
    }
    Ok(project.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_one_request_that_says_no_more_than_was_typed() {
        let form = Fields::read(
            b"name=worker&days=30&kind=secret&level.forecast=read&networks=10.0.0.0%2F8+%3A%3A1&limit=600&labels=a,b",
        );
        assert_eq!(
            request(&form, "prj_1").unwrap(),
            json!({
                "project_id": "prj_1", "name": "worker", "expires_in_days": 30, "permissions": ["forecast.read"],
                "restrictions": {"networks": {"allow": ["10.0.0.0/8", "::1"]}},
                "rate_limits": [{"name": "per-minute", "limit": 600, "window_seconds": 60}], "labels": ["a", "b"],
            })
        );
        assert_eq!(
            request(&Fields::read(b"name=a"), "p").unwrap(),
            json!({"project_id": "p", "name": "a", "expires_in_days": 90})
        );
        assert_eq!(request(&Fields::read(b"name=a&days=never"), "p").unwrap()["expires_at"], Value::Null);
        assert_eq!(
            request(&Fields::read(b"name=a&days=date&date=2027-01-31"), "p").unwrap()["expires_at"],
            "2027-01-31T23:59:59Z"
        );
        assert!(request(&Fields::read(b"name=a&days=date"), "p").is_err());
        assert!(request(&Fields::read(b"name=a&limit=many"), "p").is_err());
    }
}
