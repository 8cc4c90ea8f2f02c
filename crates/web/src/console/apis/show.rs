//! The page of an API, a tab at a time, and switching it off.

use askama::Template;
use axum::extract::Path;
use http::Method;
use serde::Deserialize;

use super::operations::operations;
use super::policy::policy;
use super::{at, entrance};
use crate::api::{Asked, Refusal};
use crate::console::Shown;
use crate::console::keys::call_url;
use crate::console::model::{Api, List};
use crate::console::shell::Place;
use crate::console::traffic::{Range, traffic};
use crate::console::visit::Visit;
use crate::ui::form::query;
use crate::ui::html::{Badge, Html};
use crate::ui::number::{of, short};
use crate::ui::time::Moment;

/// The tabs: the word of the address, and what it is called.
const TABS: [(&str, &str); 3] = [("", "Overview"), ("operations", "Operations"), ("keys", "Key policy")];

/// The frame of all tabs.
#[derive(Template)]
#[template(path = "console/apis/show.html")]
pub(super) struct Show {
    id: String,
    name: String,
    upstream: String,
    badge: Badge,
    tabs: Vec<(String, &'static str, bool)>,
    content: Html,
    may_write: bool,
    is_active: bool,
}

pub(super) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    let api: Api = visit.get(&at(&id)).await?;
    let tab = visit.query.one("tab");
    let content = match tab {
        "" => overview(&visit, &api).await?,
        "operations" => operations(&visit, &api).await?,
        "keys" => policy(&visit, &api, None),
        _ => return Err(Refusal::own(404, "No such tab", "An API has no page of this name.")),
    };
    let content = framed(&visit, &api, tab, content);
    Ok(visit.page(Place::Apis, &api.name, &content))
}

/// A tab in its frame.
pub(super) fn framed(visit: &Visit, api: &Api, tab: &str, content: Html) -> Show {
    let path =
        |word: &str| if word.is_empty() { format!("/apis/{}", api.id) } else { format!("/apis/{}?tab={word}", api.id) };
    Show {
        id: api.id.clone(),
        name: api.name.clone(),
        upstream: api.upstream.clone(),
        badge: if api.active { Badge::new("ok", "Active") } else { Badge::new("off", "Switched off") },
        tabs: TABS.iter().map(|(word, text)| (path(word), *text, *word == tab)).collect(),
        content,
        may_write: visit.may("apis.write"),
        is_active: api.active,
    }
}

/// The first tab.
#[derive(Template)]
#[template(path = "console/apis/overview.html")]
struct Overview {
    traffic: Option<Html>,
    url: String,
    entrance: String,
    document: Option<String>,
    permissions: &'static str,
    created: Moment,
    targets: Vec<Target>,
    consumers: Vec<(String, String, String)>,
    id: String,
}

struct Target {
    address: String,
    badge: Badge,
    flight: String,
}

#[derive(Deserialize)]
struct TargetState {
    address: String,
    state: String,
    #[serde(default)]
    calls_in_flight: Option<u64>,
}

#[derive(Deserialize)]
struct Access {
    project_id: String,
    project_name: String,
    calls_30_days: u64,
}

async fn overview(visit: &Visit, api: &Api) -> Asked<Html> {
    let calls = match visit.may("usage.read") {
        true => Some(traffic(visit, Range::read(visit.query.one("range")), &[("api_id", &api.id)]).await?),
        false => None,
    };
    let targets: List<TargetState> = visit.aside(&format!("{}/targets", at(&api.id))).await;
    let access: List<Access> = visit
        .aside(&format!("/v1/access?{}", query(&[("api_id", &api.id), ("state", "approved"), ("limit", "10")])))
        .await;
    let mut consumers: Vec<Access> = access.items;
    consumers.sort_by_key(|one| std::cmp::Reverse(one.calls_30_days));
    Ok(Html::of(&Overview {
        traffic: calls.map(|calls| Html::of(&calls)),
        url: call_url(visit, api),
        entrance: entrance(api),
        document: api.document.as_ref().map(|document| {
            format!("{} {}, {}", document.title, document.version, of(document.operations, "operation", "operations"))
        }),
        permissions: match api.operation_permissions.as_str() {
            "tags" => "By the tags of its document",
            "security" => "By the scopes of its document",
            "extension" => "By x-keystile-permission in its document",
            _ => "None: every key of a project may call all of it",
        },
        created: visit.zone.minute(api.created_at),
        targets: targets.items.into_iter().map(target).collect(),
        consumers: consumers
            .into_iter()
            .map(|one| (one.project_id, one.project_name, short(one.calls_30_days)))
            .collect(),
        id: api.id.clone(),
    }))
}

fn target(target: TargetState) -> Target {
    let badge = match target.state.as_str() {
        "up" => Badge::new("ok", "Up"),
        "resting" => Badge::new("warn", "Resting after failures"),
        _ => Badge::new("bad", "Unhealthy"),
    };
    let flight = target.calls_in_flight.map(|calls| of(calls, "call in flight", "calls in flight")).unwrap_or_default();
    Target { address: target.address, badge, flight }
}

/// Switching off, and taking away.
#[derive(Template)]
#[template(path = "console/apis/end.html")]
struct End {
    fault: Option<String>,
    is_delete: bool,
    id: String,
    name: String,
    consumers: String,
    calls: String,
}

async fn end_shown(visit: &Visit, api: &Api, is_delete: bool, fault: Option<String>) -> Shown {
    let access: List<Access> = visit
        .aside(&format!("/v1/access?{}", query(&[("api_id", &api.id), ("state", "approved"), ("limit", "200")])))
        .await;
    let content = End {
        fault,
        is_delete,
        id: api.id.clone(),
        name: api.name.clone(),
        consumers: of(access.items.len() as u64, "project", "projects"),
        calls: of(access.items.iter().map(|one| one.calls_30_days).sum(), "call", "calls"),
    };
    let verb = if is_delete { "Delete" } else { "Switch off" };
    Ok(visit.modal(Place::Apis, &format!("{verb} {}", api.name), &content))
}

pub(super) async fn disable_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let api: Api = visit.get(&at(&id)).await?;
    end_shown(&visit, &api, false, None).await
}

pub(super) async fn disable(visit: Visit, Path(id): Path<String>) -> Shown {
    let api: Api = visit.send(Method::POST, &format!("{}/disable", at(&id)), None).await?.read()?;
    Ok(visit.go_saying(&format!("/apis/{}", api.id), "Switched off. Calls are refused until it is on again."))
}

pub(super) async fn enable(visit: Visit, Path(id): Path<String>) -> Shown {
    let api: Api = visit.send(Method::POST, &format!("{}/enable", at(&id)), None).await?.read()?;
    Ok(visit.go_saying(&format!("/apis/{}", api.id), "Switched on. Calls are let through again."))
}

pub(super) async fn delete_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let api: Api = visit.get(&at(&id)).await?;
    end_shown(&visit, &api, true, None).await
}

pub(super) async fn delete(visit: Visit, Path(id): Path<String>) -> Shown {
    let api: Api = visit.get(&at(&id)).await?;
    if visit.form.one("confirm") != api.name.trim() {
        return end_shown(&visit, &api, true, Some("Type the name of the API, so that it is the one you mean.".into()))
            .await;
    }
    match visit.send(Method::DELETE, &at(&id), None).await {
        Ok(_) => Ok(visit.go_saying("/apis", &format!("{} is gone.", api.name))),
        Err(refusal) => end_shown(&visit, &api, true, Some(refusal.above_form()?)).await,
    }
}
