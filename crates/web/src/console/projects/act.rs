//! What can be done to a project: letting it call an API, suspending, resuming, deleting.

use axum::extract::Path;
use http::Method;
use jiff::ToSpan;
use serde_json::json;

use super::{Project, project};
use crate::api::Refusal;
use crate::console::Shown;
use crate::console::confirm::{Confirm, OTHER_NAME, count, is_other_name, listed};
use crate::console::model::Usage;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::{Object, query};
use crate::ui::html::{AsCode, shell};
use crate::ui::number::of;
use crate::ui::time::{before, iso};

/// Links the project to an API, or asks its owner for that.
pub(super) async fn link(visit: Visit, Path(id): Path<String>) -> Shown {
    let project = project(&visit, &id).await?;
    let api = visit.form.one("api_id");
    if api.is_empty() {
        return Err(Refusal::own(400, "No API was chosen", "Go back and choose the API that it is to call."));
    }
    let body = Object::default()
        .with("project_id", project.id.as_str())
        .with("api_id", api)
        .text("note", visit.form.one("note"))
        .into();
    visit.send(Method::POST, "/v1/activations", Some(&body)).await?;
    Ok(visit.go_saying(&format!("/projects/{}?tab=access", project.id), "It is linked. See below how it stands."))
}

/// What hangs on a project, as far as the visitor may know.
async fn numbers(visit: &Visit, project: &Project) -> Option<String> {
    let id = &project.id;
    let keys = count(visit, &format!("/v1/keys?project_id={id}&state=active"), "active key", "active keys").await;
    let apis = count(visit, &format!("/v1/activations?project_id={id}&state=approved"), "API", "APIs").await;
    let since = iso(before(visit.now, 1.hours()));
    let usage = visit.get::<Usage>(&format!("/v1/usage?{}", query(&[("project_id", id), ("from", &since)]))).await;
    let calls = usage.ok().map(|usage| usage.items.iter().map(|item| item.calls).sum());
    let calls = calls.map(|calls| format!("{} in the last hour", of(calls, "request", "requests")));
    listed([keys, apis.map(|apis| format!("access to {apis}")), calls])
}

async fn suspend_shown(visit: &Visit, project: &Project, fault: Option<String>) -> Shown {
    let reason = visit.form.one("reason").to_owned();
    let command = format!("keystile project suspend {} --reason 'under review'", shell(&project.id));
    let path = format!("/v1/projects/{}/suspend", project.id);
    let body = json!({"reason": "under review"});
    let content = Confirm {
        fault,
        title: format!("Suspend {}?", project.name),
        about: "Every call with one of its keys is refused as suspended, at every API, until you resume it.".into(),
        numbers: numbers(visit, project).await.map(|all| format!("This stops {all}.")),
        reason: Some(("its people read it", reason)),
        path: format!("/projects/{}/suspend", project.id),
        back: format!("/projects/{}", project.id),
        button: "Suspend consumer",
        is_danger: true,
        code: Some(AsCode::new(command, &visit.origin, "POST", &path, Some(&body))),
        ..Confirm::default()
    };
    Ok(content.shown(visit, Place::Consumers))
}

pub(super) async fn suspend_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let project = project(&visit, &id).await?;
    suspend_shown(&visit, &project, None).await
}

pub(super) async fn suspend(visit: Visit, Path(id): Path<String>) -> Shown {
    let project = project(&visit, &id).await?;
    let body = Object::default().text("reason", visit.form.one("reason")).into();
    match visit.send(Method::POST, &format!("/v1/projects/{}/suspend", project.id), Some(&body)).await {
        Ok(_) => Ok(visit.go_saying(&format!("/projects/{}", project.id), &format!("{} is suspended.", project.name))),
        Err(refusal) => suspend_shown(&visit, &project, Some(refusal.above_form()?)).await,
    }
}

pub(super) async fn resume(visit: Visit, Path(id): Path<String>) -> Shown {
    let project = project(&visit, &id).await?;
    visit.send(Method::POST, &format!("/v1/projects/{}/resume", project.id), None).await?;
    Ok(visit.go_saying(&format!("/projects/{}", project.id), &format!("{} may call again.", project.name)))
}

async fn delete_shown(visit: &Visit, project: &Project, fault: Option<String>) -> Shown {
    let path = format!("/v1/projects/{}", project.id);
    // What stands against it is said before a name is typed.
    let tried = visit.send(Method::DELETE, &format!("{path}?dry_run=true"), None).await;
    let fault = fault.or(match tried {
        Ok(_) => None,
        Err(refusal) if refusal.wants_proof() => None,
        Err(refusal) => Some(refusal.detail),
    });
    let content = Confirm {
        fault,
        title: format!("Delete {}?", project.name),
        about: "Its keys and activations are deleted with it. To stop it for now, suspend it: that can be undone."
            .into(),
        numbers: numbers(visit, project).await.map(|all| format!("This ends {all}.")),
        name: Some(project.name.clone()),
        path: format!("/projects/{}/delete", project.id),
        back: format!("/projects/{}", project.id),
        button: "Delete consumer",
        is_danger: true,
        code: Some(AsCode::new(
            format!("keystile project delete {}", shell(&project.id)),
            &visit.origin,
            "DELETE",
            &path,
            None,
        )),
        ..Confirm::default()
    };
    Ok(content.shown(visit, Place::Consumers))
}

pub(super) async fn delete_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let project = project(&visit, &id).await?;
    delete_shown(&visit, &project, None).await
}

pub(super) async fn delete(visit: Visit, Path(id): Path<String>) -> Shown {
    let project = project(&visit, &id).await?;
    if is_other_name(&visit, &project.name) {
        return delete_shown(&visit, &project, Some(OTHER_NAME.into())).await;
    }
    match visit.send(Method::DELETE, &format!("/v1/projects/{}", project.id), None).await {
        Ok(_) => Ok(visit.go_saying("/projects", &format!("{} is deleted, with its keys.", project.name))),
        Err(refusal) => delete_shown(&visit, &project, Some(refusal.above_form()?)).await,
    }
}
