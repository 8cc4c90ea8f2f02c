//! Making a plan, and giving it a new version: one form, and what it would be as code.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::credits::CreditFields;
use super::quota::{PERIODS, QuotaField, quota_fields};
use super::rate::{LimitField, WINDOWS, limit_fields};
use super::terms::{LIMITS, PRESETS, QUOTAS, has_others, kept, options, preset, request};
use super::{Plan, holders, plan};
use crate::console::Shown;
use crate::console::model::{Api, List};
use crate::console::preview::preview;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::Fields;
use crate::ui::html::{AsCode, shell};
use crate::ui::number::of;

/// The form.
#[derive(Template)]
#[template(path = "console/plans/form.html")]
struct Form {
    fault: Option<String>,
    id: Option<String>,
    path: String,
    back: String,
    apis: Vec<(String, String, bool)>,
    presets: Vec<(String, &'static str, &'static str)>,
    name: String,
    description: String,
    is_standard: bool,
    limits: Vec<LimitField>,
    windows: [(&'static str, &'static str, &'static str); 4],
    has_other_limits: bool,
    quotas: Vec<QuotaField>,
    periods: [(&'static str, &'static str); 4],
    has_other_quotas: bool,
    base_fee: String,
    currency: String,
    included: String,
    unit_price: String,
    per_units: String,
    is_by_billing: bool,
    has_price: bool,
    costs: String,
    credits: CreditFields,
    from: String,
    holders: Option<String>,
    code: AsCode,
}

pub(super) async fn new(visit: Visit) -> Shown {
    new_shown(&visit, &preset(&visit.query), None).await
}

fn filled(visit: &Visit, fields: &Fields, was: Option<&Plan>, fault: Option<String>) -> Form {
    let (has_other_limits, has_other_quotas) = has_others(was.and_then(Plan::in_force));
    let price = ["base_fee", "currency", "included", "unit_price", "per_units"];
    Form {
        fault,
        id: was.map(|plan| plan.id.clone()),
        path: was.map_or_else(|| "/plans".to_owned(), |plan| format!("/plans/{}/edit", plan.id)),
        back: was.map_or_else(|| "/plans".to_owned(), |plan| format!("/plans/{}", plan.id)),
        apis: Vec::new(),
        presets: Vec::new(),
        name: fields.one("name").into(),
        description: fields.one("description").into(),
        is_standard: fields.has("standard"),
        limits: limit_fields(fields, LIMITS),
        windows: WINDOWS,
        has_other_limits,
        quotas: quota_fields(None, fields, QUOTAS),
        periods: PERIODS,
        has_other_quotas,
        base_fee: fields.one("base_fee").into(),
        currency: fields.one("currency").into(),
        included: fields.one("included").into(),
        unit_price: fields.one("unit_price").into(),
        per_units: fields.one("per_units").into(),
        is_by_billing: fields.one("price_period") == "billing_period",
        has_price: price.iter().any(|name| !fields.one(name).is_empty()) || !fields.one("operation_costs").is_empty(),
        costs: fields.exact("operation_costs").trim().into(),
        credits: CreditFields::of(fields),
        from: fields.one("from").into(),
        holders: None,
        code: as_code(visit, fields, was),
    }
}

async fn new_shown(visit: &Visit, fields: &Fields, fault: Option<String>) -> Shown {
    let apis: List<Api> = visit.aside("/v1/apis?limit=200").await;
    let picked = fields.one("api_id");
    let api = if picked.is_empty() { String::new() } else { format!("&api_id={}", crate::ui::form::segment(picked)) };
    let link = |word: &str| format!("/plans/new?preset={word}{api}");
    let content = Form {
        apis: apis
            .items
            .into_iter()
            .map(|one| (one.id == picked, one))
            .map(|(is, one)| (one.id, one.name, is))
            .collect(),
        presets: PRESETS.iter().map(|(word, name, _, _, about)| (link(word), *name, *about)).collect(),
        ..filled(visit, fields, None, fault)
    };
    Ok(visit.sheet(Place::Plans, "New plan", &content))
}

pub(super) async fn edit(visit: Visit, Path(id): Path<String>) -> Shown {
    let plan = plan(&visit, &id).await?;
    let fields = kept(&plan);
    Ok(edit_shown(&visit, &plan, &fields, None).await)
}

async fn edit_shown(visit: &Visit, plan: &Plan, fields: &Fields, fault: Option<String>) -> Response {
    let (counts, is_part) = holders(visit, &format!("&api_id={}", plan.api_id)).await;
    let count = counts.get(&plan.id).copied().unwrap_or(0);
    let more = if is_part { "At least " } else { "" };
    let content = Form {
        holders: Some(format!("{more}{}", of(count, "project has it", "projects have it"))),
        ..filled(visit, fields, Some(plan), fault)
    };
    visit.sheet(Place::Plans, &format!("Change {}", plan.name), &content)
}

fn as_code(visit: &Visit, fields: &Fields, was: Option<&Plan>) -> AsCode {
    let body = request(fields, was).unwrap_or_else(|_| Value::Object(serde_json::Map::new()));
    let (command, method, path) = match was {
        None => ("keystile plan create".to_owned(), "POST", "/v1/plans".to_owned()),
        Some(plan) => (format!("keystile plan update {}", shell(&plan.id)), "PATCH", format!("/v1/plans/{}", plan.id)),
    };
    let command = format!("{command}{}", options(&body, was.is_none()));
    AsCode::new(command, &visit.origin, method, &path, Some(&body))
}

/// What the form would be as code, as it is filled in.
pub(super) async fn code(visit: Visit) -> Shown {
    let id = visit.form.one("id");
    let was = if id.is_empty() { None } else { Some(plan(&visit, id).await?) };
    Ok(preview(&visit, as_code(&visit, &visit.form, was.as_ref())))
}

/// A sentence about what has to be said, and is not.
fn missing(fields: &Fields, is_new: bool) -> Option<&'static str> {
    match (fields.one("name"), fields.one("api_id")) {
        ("", _) => Some("Give the plan a name, such as Free."),
        (_, "") if is_new => Some("Say of which API the plan is."),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Made {
    id: String,
}

pub(super) async fn create(visit: Visit) -> Shown {
    let fields = visit.form.clone();
    let body = match (missing(&fields, true), request(&fields, None)) {
        (Some(fault), _) => return new_shown(&visit, &fields, Some(fault.into())).await,
        (None, Err(fault)) => return new_shown(&visit, &fields, Some(fault)).await,
        (None, Ok(body)) => body,
    };
    match visit.send(Method::POST, "/v1/plans", Some(&body)).await {
        Ok(answer) => {
            let made: Made = answer.read()?;
            Ok(visit.go_saying(&format!("/plans/{}", made.id), &format!("{} is there.", fields.one("name"))))
        }
        Err(refusal) => new_shown(&visit, &fields, Some(refusal.above_form()?)).await,
    }
}

pub(super) async fn save(visit: Visit, Path(id): Path<String>) -> Shown {
    let plan = plan(&visit, &id).await?;
    let fields = &visit.form;
    let body = match (missing(fields, false), request(fields, Some(&plan))) {
        (Some(fault), _) => return Ok(edit_shown(&visit, &plan, fields, Some(fault.into())).await),
        (None, Err(fault)) => return Ok(edit_shown(&visit, &plan, fields, Some(fault)).await),
        (None, Ok(body)) if body.as_object().is_none_or(serde_json::Map::is_empty) => {
            let fault = "Nothing is another thing than before.";
            return Ok(edit_shown(&visit, &plan, fields, Some(fault.into())).await);
        }
        (None, Ok(body)) => body,
    };
    match visit.send(Method::PATCH, &format!("/v1/plans/{}", plan.id), Some(&body)).await {
        Ok(_) => Ok(visit.go_saying(&format!("/plans/{}", plan.id), "Saved.")),
        Err(refusal) => Ok(edit_shown(&visit, &plan, fields, Some(refusal.above_form()?)).await),
    }
}
