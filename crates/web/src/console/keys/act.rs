//! What can be done to a key: editing, rotating, disabling, revoking. Each says first what it will do, in numbers.

use askama::Template;
use axum::extract::Path;
use http::Method;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use serde_json::{Value, json};

use super::made::made;
use super::permissions::chosen;
use crate::api::Refusal;
use crate::console::Shown;
use crate::console::model::{Key, Usage};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::{Object, query, segment};
use crate::ui::html::{AsCode, shell};
use crate::ui::number::{exact, of};
use crate::ui::time::{Moment, before, iso};

/// Why a key is revoked, as forms offer it.
const REASONS: [&str; 4] = ["Leaked or exposed", "No longer needed", "Owner left", "Other"];

async fn key(visit: &Visit, id: &str) -> Result<Key, Refusal> {
    visit.get(&format!("/v1/keys/{}", segment(id))).await
}

/// What a key was used for in the last hour.
struct Use {
    calls: u64,
    addresses: usize,
    last: Option<Timestamp>,
}

#[derive(Deserialize, Default)]
struct Activity {
    #[serde(default)]
    addresses: Vec<Value>,
}

async fn last_hour(visit: &Visit, key: &Key) -> Use {
    let since = iso(before(visit.now, 1.hours()));
    let usage: Usage = visit.aside(&format!("/v1/usage?{}", query(&[("key_id", &key.id), ("from", &since)]))).await;
    let activity: Activity =
        visit.aside(&format!("/v1/keys/{}/activity?{}", key.id, query(&[("since", &since)]))).await;
    Use {
        calls: usage.items.iter().map(|item| item.calls).sum(),
        addresses: activity.addresses.len(),
        last: key.last_used_at,
    }
}

/// Editing.
#[derive(Template)]
#[template(path = "console/keys/edit.html")]
struct Edit {
    fault: Option<String>,
    id: String,
    name: String,
    permissions: String,
    networks: String,
    limit: String,
    has_other_limits: bool,
    labels: String,
    expires: String,
}

pub(super) async fn edit_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let key = key(&visit, &id).await?;
    Ok(edit_shown(&visit, &key, None))
}

fn edit_shown(visit: &Visit, key: &Key, fault: Option<String>) -> axum::response::Response {
    let (simple, others): (Vec<_>, Vec<_>) = key.rate_limits.iter().partition(|limit| is_per_minute(limit));
    let networks = key.restrictions.pointer("/networks/allow").and_then(Value::as_array);
    let networks: Vec<&str> = networks.into_iter().flatten().filter_map(Value::as_str).collect();
    let is_sent = fault.is_some();
    let typed = |name: &str, kept: String| if is_sent { visit.form.one(name).to_owned() } else { kept };
    let content = Edit {
        id: key.id.clone(),
        name: typed("name", key.name.clone()),
        permissions: typed("permissions", key.permissions.join(", ")),
        networks: typed("networks", networks.join(", ")),
        limit: typed("limit", simple.first().map(|limit| limit.limit.to_string()).unwrap_or_default()),
        has_other_limits: !others.is_empty(),
        labels: typed("labels", key.labels.join(", ")),
        expires: typed("expires", key.expires_at.map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default()),
        fault,
    };
    visit.sheet(Place::Keys, &format!("Edit {}", key.name), &content)
}

fn is_per_minute(limit: &crate::console::model::RateLimit) -> bool {
    limit.window_seconds == Some(60) && limit.name == "per-minute"
}

pub(super) async fn edit(visit: Visit, Path(id): Path<String>) -> Shown {
    let key = key(&visit, &id).await?;
    let form = &visit.form;
    let mut body = Object::default().with("name", form.one("name")).with("labels", form.words("labels"));
    let permissions: Vec<String> = chosen(form).into_iter().collect();
    if permissions != key.permissions {
        body = body.with("permissions", permissions);
    }
    let limit = match form.number("limit", "Rate limit") {
        Ok(limit) => limit,
        Err(fault) => return Ok(edit_shown(&visit, &key, Some(fault))),
    };
    let was = key.rate_limits.iter().find(|limit| is_per_minute(limit)).map(|limit| limit.limit);
    let has_others = key.rate_limits.iter().any(|limit| !is_per_minute(limit));
    if limit != was && !has_others {
        let limits =
            limit.map_or(json!([]), |limit| json!([{"name": "per-minute", "limit": limit, "window_seconds": 60}]));
        body = body.with("rate_limits", limits);
    }
    let mut restrictions = key.restrictions.clone();
    let networks = form.words("networks");
    if let Some(rules) = restrictions.as_object_mut() {
        let mut rule = rules.get("networks").filter(|rule| rule.is_object()).cloned().unwrap_or_else(|| json!({}));
        rule["allow"] = if networks.is_empty() { Value::Null } else { networks.into() };
        let is_empty = rule["allow"].is_null() && rule.get("deny").is_none_or(Value::is_null);
        rules.insert("networks".into(), if is_empty { Value::Null } else { rule });
    }
    if restrictions != key.restrictions {
        body = body.with("restrictions", restrictions);
    }
    let day = key.expires_at.map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
    match form.one("expires") {
        same if same == day => {}
        "" => body = body.with("expires_at", Value::Null),
        other => body = body.with("expires_at", format!("{other}T23:59:59Z")),
    }
    let body = body.into();
    match visit.send(Method::PATCH, &format!("/v1/keys/{}", key.id), Some(&body)).await {
        Ok(_) => Ok(visit.go_saying(&format!("/keys/{}", key.id), "Saved. The next call sees it.")),
        Err(refusal) => Ok(edit_shown(&visit, &key, Some(refusal.above_form()?))),
    }
}

/// Rotating.
#[derive(Template)]
#[template(path = "console/keys/rotate.html")]
struct Rotate {
    fault: Option<String>,
    id: String,
    name: String,
    calls: String,
    per_minute: String,
    addresses: String,
    is_used: bool,
    until: Moment,
    code: AsCode,
}

pub(super) async fn rotate_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let key = key(&visit, &id).await?;
    rotate_shown(&visit, &key, None).await
}

async fn rotate_shown(visit: &Visit, key: &Key, fault: Option<String>) -> Shown {
    let used = last_hour(visit, key).await;
    let day = visit.now.checked_add(24.hours()).unwrap_or(visit.now);
    let content = Rotate {
        fault,
        id: key.id.clone(),
        name: key.name.clone(),
        calls: of(used.calls, "request", "requests"),
        per_minute: exact(used.calls.div_ceil(60)),
        addresses: of(used.addresses as u64, "address", "addresses"),
        is_used: used.calls > 0,
        until: visit.zone.minute(day),
        code: AsCode::new(
            format!("keystile key rotate {} --overlap 1d", shell(&key.id)),
            &visit.origin,
            "POST",
            &format!("/v1/keys/{}/rotate", key.id),
            Some(&json!({"overlap_seconds": 86_400})),
        ),
    };
    Ok(visit.modal(Place::Keys, &format!("Rotate {}", key.name), &content))
}

pub(super) async fn rotate(visit: Visit, Path(id): Path<String>) -> Shown {
    let key = key(&visit, &id).await?;
    let overlap: u32 = visit.form.one("overlap_seconds").parse().unwrap_or(86_400);
    let body = json!({"overlap_seconds": overlap});
    match visit.send(Method::POST, &format!("/v1/keys/{}/rotate", key.id), Some(&body)).await {
        Ok(answer) => Ok(visit.secret(Place::Keys, "Save the new secret", &made(&visit, &answer, "rotated").await?)),
        Err(refusal) => rotate_shown(&visit, &key, Some(refusal.above_form()?)).await,
    }
}

/// Disabling and revoking.
#[derive(Template)]
#[template(path = "console/keys/end.html")]
struct End {
    fault: Option<String>,
    is_revoke: bool,
    id: String,
    name: String,
    calls: String,
    is_used: bool,
    last: Option<Moment>,
    reasons: [&'static str; 4],
    is_disabled: bool,
}

async fn end_shown(visit: &Visit, key: &Key, is_revoke: bool, fault: Option<String>) -> Shown {
    let used = last_hour(visit, key).await;
    let content = End {
        fault,
        is_revoke,
        id: key.id.clone(),
        name: key.name.clone(),
        calls: of(used.calls, "request", "requests"),
        is_used: used.calls > 0,
        last: used.last.map(|at| visit.zone.ago(at)),
        reasons: REASONS,
        is_disabled: key.state == "disabled",
    };
    let verb = if is_revoke { "Revoke" } else { "Disable" };
    Ok(visit.modal(Place::Keys, &format!("{verb} {}", key.name), &content))
}

pub(super) async fn disable_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let key = key(&visit, &id).await?;
    end_shown(&visit, &key, false, None).await
}

pub(super) async fn disable(visit: Visit, Path(id): Path<String>) -> Shown {
    let key = key(&visit, &id).await?;
    visit.send(Method::POST, &format!("/v1/keys/{}/disable", key.id), None).await?;
    Ok(visit
        .go_saying(&back(&visit, &key), &format!("{} is disabled. Calls with it are refused from now on.", key.name)))
}

pub(super) async fn enable(visit: Visit, Path(id): Path<String>) -> Shown {
    let key = key(&visit, &id).await?;
    visit.send(Method::POST, &format!("/v1/keys/{}/enable", key.id), None).await?;
    Ok(visit.go_saying(&back(&visit, &key), &format!("{} works again.", key.name)))
}

pub(super) async fn revoke_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let key = key(&visit, &id).await?;
    end_shown(&visit, &key, true, None).await
}

pub(super) async fn revoke(visit: Visit, Path(id): Path<String>) -> Shown {
    let key = key(&visit, &id).await?;
    if visit.form.one("confirm") != key.name.trim() {
        return end_shown(&visit, &key, true, Some("Type the name of the key, so that it is the one you mean.".into()))
            .await;
    }
    let reason = Object::default().text("reason", visit.form.one("reason")).into();
    visit.send(Method::POST, &format!("/v1/keys/{}/revoke", key.id), Some(&reason)).await?;
    Ok(visit.go_saying(&back(&visit, &key), &format!("{} is revoked.", key.name)))
}

/// Ends the overlap of a version now.
pub(super) async fn end_version(visit: Visit, Path((id, version)): Path<(String, u32)>) -> Shown {
    let key = key(&visit, &id).await?;
    visit.send(Method::POST, &format!("/v1/keys/{}/versions/{version}/end", key.id), None).await?;
    Ok(visit.go_saying(&format!("/keys/{}?tab=secrets", key.id), &format!("Version {version} is good no more.")))
}

/// The page that it was asked from: the list, or the page of the key.
fn back(visit: &Visit, key: &Key) -> String {
    match visit.form.one("back") {
        "list" => "/keys".to_owned(),
        _ => format!("/keys/{}", key.id),
    }
}
