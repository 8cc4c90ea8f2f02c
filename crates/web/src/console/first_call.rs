//! `/first-call`: the end of the beginning. A key is made at once, and its first call is watched as it arrives; who has no terminal at
//! hand lets the server make it.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::routing::{get, post};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::keys::{call_url, projects};
use super::model::{Api, List};
use super::shell::Place;
use super::visit::Visit;
use super::{Console, Shown};
use crate::api::Asked;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/first-call", get(show).post(make)).route("/first-call/send", post(send))
}

/// Days that a first key lives: long enough to try things out.
const DAYS: u32 = 30;

/// The page.
#[derive(Template)]
#[template(path = "console/first_call/show.html")]
struct FirstCall {
    api: Option<(String, String)>,
    key: Option<Made>,
    url: String,
}

/// The key that is called with.
struct Made {
    id: String,
    secret: String,
}

/// What a call that the server made was answered.
#[derive(Template)]
#[template(path = "console/first_call/sent.html")]
struct Sent {
    outcome: Result<(u16, String), String>,
}

async fn api(visit: &Visit) -> Option<Api> {
    let apis: List<Api> = visit.aside("/v1/apis?limit=200").await;
    apis.items.into_iter().find(|api| api.active)
}

async fn show(visit: Visit) -> Shown {
    Ok(page(&visit, api(&visit).await.as_ref(), None))
}

fn page(visit: &Visit, api: Option<&Api>, key: Option<Made>) -> axum::response::Response {
    let content = FirstCall {
        url: api.map_or_else(String::new, |api| call_url(visit, api)),
        api: api.map(|api| (api.id.clone(), api.name.clone())),
        key,
    };
    visit.page(Place::None, "First call", &content)
}

#[derive(Deserialize)]
struct NewKey {
    id: String,
    #[serde(default)]
    key: Option<String>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct Link {
    project_id: String,
    state: String,
}

/// Makes a key that may call the API, with the project that it is to be in.
async fn make(visit: Visit) -> Shown {
    let Some(api) = api(&visit).await else { return Ok(visit.go("/apis/new")) };
    let project = project(&visit, &api).await?;
    let body = json!({"project_id": project, "name": "first", "expires_in_days": DAYS});
    let made: NewKey = visit.send(Method::POST, "/v1/keys", Some(&body)).await?.read()?;
    let key = made.key.map(|secret| Made { id: made.id, secret });
    Ok(page(&visit, Some(&api), key))
}

async fn project(visit: &Visit, api: &Api) -> Asked<String> {
    let links: List<Link> = visit.aside(&format!("/v1/activations?api_id={}&limit=200", api.id)).await;
    if let Some(link) = links.items.into_iter().find(|link| link.state == "approved") {
        return Ok(link.project_id);
    }
    let project = match projects(visit).await.into_iter().find(|project| project.name == "Default") {
        Some(project) => project.id,
        None => visit.send(Method::POST, "/v1/projects", Some(&json!({"name": "Default"}))).await?.read::<Id>()?.id,
    };
    let body = json!({"project_id": project, "api_id": api.id});
    visit.send(Method::POST, "/v1/activations", Some(&body)).await?;
    Ok(project)
}

/// Lets the server call its own gateway with a key, as a client would.
async fn send(visit: Visit) -> Shown {
    let Some(api) = api(&visit).await else { return Ok(visit.go("/apis/new")) };
    let key = if visit.form.has("wrong") { "not_a_key" } else { visit.form.one("key") };
    let outcome = visit.call(&call_url(&visit, &api), key).await;
    Ok(visit.part(&Sent { outcome }))
}
