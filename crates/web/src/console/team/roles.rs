//! Roles that the organization makes for its members: making, changing and deleting them.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::Path;
use http::Method;
use serde_json::Value;

use super::MemberRole;
use crate::api::Asked;
use crate::console::Shown;
use crate::console::confirm::Confirm;
use crate::console::preview::preview;
use crate::console::rights::{Offered, Rights, ticked};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::{Fields, Object, segment};
use crate::ui::html::{AsCode, shell};

/// The form, of a new role or of one that there is.
#[derive(Template)]
#[template(path = "console/team/role_form.html")]
struct Form {
    fault: Option<String>,
    id: String,
    path: String,
    name: String,
    description: String,
    offered: Vec<Offered>,
    typed: String,
    code: AsCode,
}

async fn role(visit: &Visit, id: &str) -> Asked<MemberRole> {
    visit.get(&format!("/v1/member_roles/{}", segment(id))).await
}

async fn shown(visit: &Visit, id: &str, of: (&str, &str, BTreeSet<String>), fault: Option<String>) -> Shown {
    let (name, description, chosen) = of;
    let (offered, typed) = Rights::of(visit).await?.offer(&chosen);
    let content = Form {
        fault,
        id: id.to_owned(),
        path: if id.is_empty() { "/team/roles/new".into() } else { format!("/team/roles/{id}/edit") },
        name: name.to_owned(),
        description: description.to_owned(),
        offered,
        typed,
        code: as_code(visit, id, (name, description, &chosen)),
    };
    let title = if id.is_empty() { "New role" } else { "Edit role" };
    Ok(visit.sheet(Place::Team, title, &content))
}

fn request((name, description, chosen): (&str, &str, &BTreeSet<String>)) -> Value {
    let object = Object::default().with("name", name).with("description", description);
    object.with("permissions", chosen.iter().cloned().collect::<Vec<_>>()).into()
}

fn as_code(visit: &Visit, id: &str, of: (&str, &str, &BTreeSet<String>)) -> AsCode {
    let (name, description, chosen) = of;
    let shown = if name.is_empty() { "NAME" } else { name };
    let mut command = match id {
        "" => format!("keystile member-role create --name {}", shell(shown)),
        id => format!("keystile member-role update {id} --name {}", shell(shown)),
    };
    if !description.is_empty() {
        command.push_str(&format!(" --description {}", shell(description)));
    }
    for right in chosen {
        command.push_str(&format!(" \\\n  --permission {}", shell(right)));
    }
    if chosen.is_empty() && !id.is_empty() {
        command.push_str(" --no-permissions");
    }
    let (method, path) = match id {
        "" => ("POST", "/v1/member_roles".to_owned()),
        id => ("PATCH", format!("/v1/member_roles/{id}")),
    };
    AsCode::new(command, &visit.origin, method, &path, Some(&request((shown, description, chosen))))
}

/// What the form says.
fn typed(form: &Fields) -> (&str, &str, BTreeSet<String>) {
    (form.one("name"), form.one("description"), ticked(form))
}

pub(super) async fn new_form(visit: Visit) -> Shown {
    shown(&visit, "", ("", "", BTreeSet::new()), None).await
}

/// The request as the form is filled in.
pub(super) async fn code(visit: Visit) -> Shown {
    let (name, description, chosen) = typed(&visit.form);
    let code = as_code(&visit, visit.form.one("id"), (name, description, &chosen));
    Ok(preview(&visit, code))
}

pub(super) async fn create(visit: Visit) -> Shown {
    save(&visit, "", Method::POST, "/v1/member_roles").await
}

pub(super) async fn edit_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let role = role(&visit, &id).await?;
    let chosen = role.permissions.iter().cloned().collect();
    shown(&visit, &role.id, (&role.name, &role.description, chosen), None).await
}

pub(super) async fn edit(visit: Visit, Path(id): Path<String>) -> Shown {
    let id = role(&visit, &id).await?.id;
    save(&visit, &id, Method::PATCH, &format!("/v1/member_roles/{id}")).await
}

async fn save(visit: &Visit, id: &str, method: Method, path: &str) -> Shown {
    let form = visit.form.clone();
    let (name, description, chosen) = typed(&form);
    let body = request((name, description, &chosen));
    match visit.send(method, path, Some(&body)).await {
        Ok(_) if id.is_empty() => {
            Ok(visit.go_saying("/team", &format!("The role {name} is made. Give it to members.")))
        }
        Ok(_) => {
            Ok(visit.go_saying("/team", &format!("Saved. Members that are {name} see it with their next request.")))
        }
        Err(refusal) => shown(visit, id, (name, description, chosen), Some(refusal.above_form()?)).await,
    }
}

fn asked(visit: &Visit, role: &MemberRole) -> Confirm {
    Confirm {
        title: format!("Delete the role {}?", role.name),
        about: "This can't be undone. It is refused while a member has it or an open invitation promises it.".into(),
        path: format!("/team/roles/{}/delete", role.id),
        back: "/team".into(),
        name: Some(role.name.clone()),
        button: "Delete role",
        is_danger: true,
        code: Some(AsCode::new(
            format!("keystile member-role delete {}", shell(&role.name)),
            &visit.origin,
            "DELETE",
            &format!("/v1/member_roles/{}", role.id),
            None,
        )),
        ..Confirm::default()
    }
}

pub(super) async fn delete_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let role = role(&visit, &id).await?;
    Ok(visit.modal(Place::Team, "Delete role", &asked(&visit, &role)))
}

pub(super) async fn delete(visit: Visit, Path(id): Path<String>) -> Shown {
    let role = role(&visit, &id).await?;
    let ask = asked(&visit, &role);
    if !ask.is_confirmed(&visit) {
        let fault = "Type the name of the role, so that it is the one you mean.";
        return Ok(visit.modal(Place::Team, "Delete role", &ask.with_fault(fault)));
    }
    match visit.send(Method::DELETE, &format!("/v1/member_roles/{}", role.id), None).await {
        Ok(_) => Ok(visit.go_saying("/team", &format!("The role {} is deleted.", role.name))),
        Err(refusal) => Ok(visit.modal(Place::Team, "Delete role", &ask.with_fault(refusal.above_form()?))),
    }
}
