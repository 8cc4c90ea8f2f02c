//! The organization: its name.

use askama::Template;
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::api::Asked;
use crate::console::Shown;
use crate::console::preview::preview;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::html::{AsCode, shell};

/// An organization.
#[derive(Debug, Deserialize)]
pub(super) struct Organization {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) created_at: Timestamp,
}

impl Organization {
    /// The visitor's.
    pub(super) async fn of(visit: &Visit) -> Asked<Self> {
        visit.get(&path(visit)).await
    }
}

fn path(visit: &Visit) -> String {
    format!("/v1/organizations/{}", visit.who.organization_id)
}

/// The form.
#[derive(Template)]
#[template(path = "console/settings/organization.html")]
struct Form {
    fault: Option<String>,
    name: String,
    code: AsCode,
}

fn as_code(visit: &Visit, name: &str) -> AsCode {
    let id = &visit.who.organization_id;
    let command = format!("keystile organization update {id} --name {}", shell(name));
    AsCode::new(command, &visit.origin, "PATCH", &path(visit), Some(&json!({"name": name})))
}

fn shown(visit: &Visit, name: &str, fault: Option<String>) -> Shown {
    let content = Form { fault, name: name.to_owned(), code: as_code(visit, name) };
    Ok(visit.modal(Place::Settings, "Rename the organization", &content))
}

pub(super) async fn form(visit: Visit) -> Shown {
    let name = Organization::of(&visit).await?.name;
    shown(&visit, &name, None)
}

/// The request as the form is filled in.
pub(super) async fn code(visit: Visit) -> Shown {
    Ok(preview(&visit, as_code(&visit, visit.form.one("name"))))
}

pub(super) async fn rename(visit: Visit) -> Shown {
    let name = visit.form.one("name");
    match visit.send(Method::PATCH, &path(&visit), Some(&json!({"name": name}))).await {
        Ok(_) => Ok(visit.go_saying("/settings", &format!("The organization is called {name} now."))),
        Err(refusal) => shown(&visit, name, Some(refusal.above_form()?)),
    }
}
