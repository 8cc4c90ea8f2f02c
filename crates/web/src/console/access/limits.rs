//! What a link is held to, once it stands: the plan that its API's owner gives, and the ceilings of the project's own people.

use askama::Template;
use axum::extract::Path;
use http::Method;
use serde_json::{Value, json};

use super::approve::{Choice, choices};
use super::show::line_of;
use super::{Activation, activation};
use crate::console::Shown;
use crate::console::plans::{PERIODS, QuotaField, quota_fields, quota_options, quotas};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::Fields;
use crate::ui::html::{AsCode, shell};

/// Rows of the form for ceilings.
const ROWS: usize = 3;

/// Another plan.
#[derive(Template)]
#[template(path = "console/access/plan.html")]
struct PlanForm {
    fault: Option<String>,
    id: String,
    project: String,
    plans: Vec<Choice>,
    code: AsCode,
}

async fn project_name(visit: &Visit, link: &Activation) -> String {
    line_of(visit, link).await.map_or_else(|| link.project_id.clone(), |line| line.project_name)
}

pub(super) async fn plan_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let link = activation(&visit, &id).await?;
    let chosen = link.plan_id.clone().unwrap_or_else(|| "none".into());
    plan_shown(&visit, &link, &chosen, None).await
}

async fn plan_shown(visit: &Visit, link: &Activation, chosen: &str, fault: Option<String>) -> Shown {
    let (option, plan) = match chosen {
        "none" => ("--none".to_owned(), Value::Null),
        id => (shell(id), id.into()),
    };
    let content = PlanForm {
        fault,
        id: link.id.clone(),
        project: project_name(visit, link).await,
        plans: choices(visit, &link.api_id, chosen).await,
        code: AsCode::new(
            format!("keystile activation plan {} {option}", shell(&link.id)),
            &visit.origin,
            "POST",
            &format!("/v1/activations/{}/plan", link.id),
            Some(&json!({"plan_id": plan})),
        ),
    };
    Ok(visit.modal(Place::Access, "Change plan", &content))
}

pub(super) async fn plan(visit: Visit, Path(id): Path<String>) -> Shown {
    let link = activation(&visit, &id).await?;
    let chosen = visit.form.one("plan");
    let plan = match chosen {
        "none" => Value::Null,
        "" => return plan_shown(&visit, &link, "", Some("Choose a plan, or none.".into())).await,
        id => id.into(),
    };
    let path = format!("/v1/activations/{}/plan", link.id);
    match visit.send(Method::POST, &path, Some(&json!({"plan_id": plan}))).await {
        Ok(_) => Ok(visit.go_saying(&format!("/access/{}", link.id), "It has another plan from now on.")),
        Err(refusal) => plan_shown(&visit, &link, chosen, Some(refusal.above_form()?)).await,
    }
}

/// The project's own ceilings.
#[derive(Template)]
#[template(path = "console/access/ceilings.html")]
struct CeilingsForm {
    fault: Option<String>,
    id: String,
    rows: Vec<QuotaField>,
    periods: [(&'static str, &'static str); 4],
    has_others: bool,
    code: AsCode,
}

pub(super) async fn ceilings_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let link = activation(&visit, &id).await?;
    let rows = quota_fields(Some(&link.ceilings), &Fields::default(), ROWS);
    let body = json!({"ceilings": quotas(&rows).unwrap_or_default()});
    Ok(ceilings_shown(&visit, &link, rows, &body, None))
}

fn ceilings_shown(
    visit: &Visit,
    link: &Activation,
    rows: Vec<QuotaField>,
    body: &Value,
    fault: Option<String>,
) -> axum::response::Response {
    let options = quota_options(&body["ceilings"]);
    let options = if options.is_empty() { " --none".to_owned() } else { options };
    let content = CeilingsForm {
        fault,
        id: link.id.clone(),
        rows,
        periods: PERIODS,
        has_others: has_others(link),
        code: AsCode::new(
            format!("keystile activation ceilings {}{options}", shell(&link.id)),
            &visit.origin,
            "PUT",
            &format!("/v1/activations/{}/ceilings", link.id),
            Some(body),
        ),
    };
    visit.modal(Place::Access, "Set ceilings", &content)
}

/// Whether the form could not say again what the ceilings say now.
fn has_others(link: &Activation) -> bool {
    link.ceilings.len() > ROWS || link.ceilings.iter().any(|ceiling| !ceiling.is_plain())
}

pub(super) async fn ceilings(visit: Visit, Path(id): Path<String>) -> Shown {
    let link = activation(&visit, &id).await?;
    let rows = quota_fields(None, &visit.form, ROWS);
    let body = match quotas(&rows) {
        _ if has_others(&link) => {
            let fault = "It has ceilings that this form can't say; use the command line, so that none of them is lost.";
            return Ok(ceilings_shown(&visit, &link, rows, &json!({"ceilings": []}), Some(fault.into())));
        }
        Ok(list) => json!({"ceilings": list}),
        Err(fault) => return Ok(ceilings_shown(&visit, &link, rows, &json!({"ceilings": []}), Some(fault))),
    };
    match visit.send(Method::PUT, &format!("/v1/activations/{}/ceilings", link.id), Some(&body)).await {
        Ok(_) => Ok(visit.go_saying(&format!("/access/{}", link.id), "Saved. The next call sees it.")),
        Err(refusal) => Ok(ceilings_shown(&visit, &link, rows, &body, Some(refusal.above_form()?))),
    }
}
