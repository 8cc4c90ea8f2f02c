//! The page of a key, a tab at a time.

use askama::Template;
use axum::extract::Path;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::status::status;
use crate::api::{Asked, Refusal};
use crate::console::Shown;
use crate::console::history::history;
use crate::console::model::{Key, List, RateLimit};
use crate::console::requests::rows;
use crate::console::shell::Place;
use crate::console::traffic::{Range, traffic};
use crate::console::visit::Visit;
use crate::ui::form::{query, segment};
use crate::ui::html::{Badge, Html};
use crate::ui::number::{exact, percent};
use crate::ui::time::{Moment, iso, length, thirty_days_before};

/// The tabs: the word of the address, and what it is called.
const TABS: [(&str, &str); 6] = [
    ("", "Overview"),
    ("requests", "Requests"),
    ("permissions", "Permissions"),
    ("network", "Network"),
    ("secrets", "Secrets"),
    ("history", "History"),
];

/// The frame of all tabs.
#[derive(Template)]
#[template(path = "console/keys/show.html")]
struct Show {
    id: String,
    name: String,
    about: String,
    badge: Badge,
    tabs: Vec<(String, &'static str, bool)>,
    content: Html,
    may_write: bool,
    is_active: bool,
    is_disabled: bool,
    is_revoked: bool,
}

pub(super) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    let id = segment(&id);
    let key: Key = visit.get(&format!("/v1/keys/{id}")).await?;
    let project: Asked<Named> = visit.get(&format!("/v1/projects/{}", key.project_id)).await;
    let project = project.map_or_else(|_| key.project_id.clone(), |project| project.name);
    let tab = visit.query.one("tab");
    let content = match tab {
        "" => overview(&visit, &key, &project).await?,
        "requests" => requests(&visit, &key).await?,
        "permissions" => permissions(&visit, &key).await?,
        "network" => network(&visit, &key).await?,
        "secrets" => secrets(&visit, &key).await?,
        "history" => history(&visit, &key.id).await?,
        _ => return Err(Refusal::own(404, "No such tab", "A key has no page of this name.")),
    };
    let path = |word: &str| if word.is_empty() { format!("/keys/{id}") } else { format!("/keys/{id}?tab={word}") };
    let content = Show {
        name: key.name.clone(),
        about: format!("{project} · {} · {}", key.kind, key.environment),
        badge: status(&key, visit.now),
        tabs: TABS.iter().map(|(word, text)| (path(word), *text, *word == tab)).collect(),
        content,
        may_write: visit.may("keys.write"),
        is_active: key.state == "active",
        is_disabled: key.state == "disabled",
        is_revoked: key.state == "revoked",
        id: key.id.clone(),
    };
    Ok(visit.page(Place::Keys, &key.name, &content))
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// A limit in words: `600 per minute`.
pub(in crate::console) fn limit_text(limit: &RateLimit) -> String {
    let many = exact(limit.limit);
    match limit.window_seconds {
        None => format!("{many} at once"),
        Some(1) => format!("{many} per second"),
        Some(60) => format!("{many} per minute"),
        Some(3_600) => format!("{many} per hour"),
        Some(86_400) => format!("{many} per day"),
        Some(seconds) => format!("{many} in {}", length(i64::try_from(seconds).unwrap_or(i64::MAX))),
    }
}

/// The first tab.
#[derive(Template)]
#[template(path = "console/keys/overview.html")]
struct Overview {
    traffic: Option<Html>,
    id: String,
    hint: String,
    project: (String, String),
    created: Moment,
    last_used: Option<Moment>,
    expires: Option<Moment>,
    rotated: Option<Moment>,
    labels: Vec<String>,
    permissions: Vec<String>,
    limits: Vec<String>,
    restrictions: Vec<(String, String)>,
}

async fn overview(visit: &Visit, key: &Key, project: &str) -> Asked<Html> {
    let calls = match visit.may("usage.read") {
        true => Some(traffic(visit, Range::read(visit.query.one("range")), &[("key_id", &key.id)]).await?),
        false => None,
    };
    Ok(Html::of(&Overview {
        traffic: calls.filter(|calls| !calls.is_empty).map(|calls| Html::of(&calls)),
        id: key.id.clone(),
        hint: key.hint.clone(),
        project: (project.to_owned(), key.project_id.clone()),
        created: visit.zone.minute(key.created_at),
        last_used: key.last_used_at.map(|at| visit.zone.ago(at)),
        expires: key.expires_at.map(|at| visit.zone.minute(at)),
        rotated: key.rotated_at.filter(|_| key.version > 1).map(|at| visit.zone.minute(at)),
        labels: key.labels.clone(),
        permissions: key.permissions.clone(),
        limits: key.rate_limits.iter().map(limit_text).collect(),
        restrictions: restrictions(&key.restrictions),
    }))
}

/// What a key is held to, a rule a line.
fn restrictions(all: &Value) -> Vec<(String, String)> {
    let rules = all.as_object().into_iter().flatten();
    rules
        .filter(|(_, rule)| !rule.is_null() && *rule != &Value::Array(Vec::new()))
        .map(|(name, rule)| (name.replace('_', " "), plain(rule)))
        .collect()
}

/// JSON as people read it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let said = fields.iter().filter(|(_, value)| !value.is_null() && **value != Value::Array(Vec::new()));
            said.map(|(name, value)| format!("{}: {}", name.replace('_', " "), plain(value)))
                .collect::<Vec<_>>()
                .join("; ")
        }
        other => other.to_string(),
    }
}

/// Its last requests.
#[derive(Template)]
#[template(path = "console/keys/requests.html")]
struct Requests {
    rows: Html,
    is_empty: bool,
    id: String,
}

async fn requests(visit: &Visit, key: &Key) -> Asked<Html> {
    let rows = rows(visit, &[("key_id", &key.id), ("limit", "50")]).await?.0;
    Ok(Html::of(&Requests { is_empty: rows.is_empty(), rows: Html::of(&rows), id: key.id.clone() }))
}

/// Granted and used.
#[derive(Template)]
#[template(path = "console/keys/permissions.html")]
struct Permissions {
    rows: Vec<Granted>,
    since: Moment,
    is_complete: bool,
    unused: usize,
}

struct Granted {
    name: String,
    from: String,
    used: Option<bool>,
    calls: String,
    last: Option<Moment>,
    operations: Vec<String>,
}

#[derive(Deserialize)]
struct Compared {
    since: Timestamp,
    complete: bool,
    permissions: Vec<GrantedPermission>,
    #[serde(default)]
    unused: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct GrantedPermission {
    permission: String,
    own: bool,
    roles: Vec<Named>,
    #[serde(default)]
    used: Option<bool>,
    calls: u64,
    #[serde(default)]
    last_used_at: Option<Timestamp>,
    operations: Vec<UsedBy>,
}

#[derive(Deserialize)]
struct UsedBy {
    operation: String,
}

async fn permissions(visit: &Visit, key: &Key) -> Asked<Html> {
    let compared: Compared = visit.get(&format!("/v1/keys/{}/permissions", key.id)).await?;
    let rows = compared.permissions.into_iter().map(|one| Granted {
        from: match (one.own, one.roles.first()) {
            (true, _) => "The key".to_owned(),
            (false, Some(role)) => format!("Role {}", role.name),
            (false, None) => String::new(),
        },
        name: one.permission,
        used: one.used,
        calls: exact(one.calls),
        last: one.last_used_at.map(|at| visit.zone.ago(at)),
        operations: one.operations.into_iter().take(3).map(|used| used.operation).collect(),
    });
    Ok(Html::of(&Permissions {
        rows: rows.collect(),
        since: visit.zone.day(compared.since),
        is_complete: compared.complete,
        unused: compared.unused.map_or(0, |unused| unused.len()),
    }))
}

/// From where it was used.
#[derive(Template)]
#[template(path = "console/keys/network.html")]
struct Network {
    addresses: Vec<Address>,
    countries: Vec<(String, String)>,
    restrictions: Vec<(String, String)>,
}

struct Address {
    address: String,
    calls: String,
    refused: String,
    first: Moment,
    last: Moment,
}

#[derive(Deserialize, Default)]
struct Activity {
    #[serde(default)]
    addresses: Vec<AddressCount>,
}

#[derive(Deserialize)]
struct AddressCount {
    #[serde(default)]
    address: Option<String>,
    calls: u64,
    refused: u64,
    first_at: Timestamp,
    last_at: Timestamp,
}

async fn network(visit: &Visit, key: &Key) -> Asked<Html> {
    let since = iso(thirty_days_before(visit.now));
    let activity: Activity =
        visit.get(&format!("/v1/keys/{}/activity?{}", key.id, query(&[("since", &since)]))).await?;
    let asked = query(&[
        ("key_id", &key.id),
        ("from", &since),
        ("group_by", "country"),
        ("order_by", "calls"),
        ("limit", "20"),
    ]);
    let usage: crate::console::model::Usage = visit.aside(&format!("/v1/usage?{asked}")).await;
    let all: u64 = usage.items.iter().map(|item| item.calls).sum();
    let countries = usage.items.into_iter().filter(|item| item.calls > 0);
    let addresses = activity.addresses.into_iter().map(|one| Address {
        address: one.address.unwrap_or_else(|| "not kept".into()),
        calls: exact(one.calls),
        refused: percent(one.refused, one.calls),
        first: visit.zone.minute(one.first_at),
        last: visit.zone.ago(one.last_at),
    });
    Ok(Html::of(&Network {
        addresses: addresses.collect(),
        countries: countries
            .map(|item| (item.value.unwrap_or_else(|| "Unknown".into()), percent(item.calls, all)))
            .collect(),
        restrictions: restrictions(&key.restrictions),
    }))
}

/// Its texts.
#[derive(Template)]
#[template(path = "console/keys/secrets.html")]
struct Secrets {
    id: String,
    versions: Vec<Version>,
    may_write: bool,
}

struct Version {
    number: u32,
    hint: String,
    badge: Badge,
    created: Moment,
    ends: Option<Moment>,
    last: Option<Moment>,
    calls: String,
    is_overlapping: bool,
}

#[derive(Deserialize)]
struct KeyVersion {
    version: u32,
    hint: String,
    state: String,
    created_at: Timestamp,
    #[serde(default)]
    ends_at: Option<Timestamp>,
    #[serde(default)]
    superseded_at: Option<Timestamp>,
    #[serde(default)]
    last_used_at: Option<Timestamp>,
    calls: u64,
}

async fn secrets(visit: &Visit, key: &Key) -> Asked<Html> {
    let list: List<KeyVersion> = visit.get(&format!("/v1/keys/{}/versions", key.id)).await?;
    let versions = list.items.into_iter().map(|version| {
        let is_old = version.superseded_at.is_some();
        let is_over = version.ends_at.is_some_and(|end| end <= visit.now);
        let badge = match (is_over, is_old) {
            (true, _) => Badge::new("off", "Ended"),
            (false, true) => Badge::new("warn", "Overlap"),
            (false, false) => Badge::new("ok", version.state.clone()),
        };
        Version {
            number: version.version,
            hint: version.hint,
            badge,
            created: visit.zone.minute(version.created_at),
            ends: version.ends_at.map(|at| visit.zone.minute(at)),
            last: version.last_used_at.map(|at| visit.zone.ago(at)),
            calls: exact(version.calls),
            is_overlapping: is_old && !is_over,
        }
    });
    Ok(Html::of(&Secrets { id: key.id.clone(), versions: versions.collect(), may_write: visit.may("keys.write") }))
}
