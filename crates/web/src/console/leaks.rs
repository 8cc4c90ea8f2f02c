//! `/leaks`: keys that others may know. A key that was found is looked up by what may be shown of it, and ended.
//!
//! The text that somebody found never goes into an address, a page or the log: it is compared with what the API shows of each key.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use http::Method;
use jiff::{Timestamp, ToSpan};
use keystile_core::key::{NotAKey, Presented};
use serde::Deserialize;
use serde_json::{Value, json};

use super::keys::status;
use super::model::{Key, List, Usage};
use super::once::Once;
use super::shell::Place;
use super::visit::Visit;
use super::{Console, Shown};
use crate::api::Asked;
use crate::ui::form::{query, segment};
use crate::ui::html::{AsCode, Badge, shell};
use crate::ui::number::of;
use crate::ui::time::{Moment, before, iso};

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/leaks", get(show).post(find)).route("/leaks/{id}/report", get(report_form).post(report))
}

/// Pages of 200 keys that are looked through.
const PAGES: usize = 25;
/// Keys that are shown of those that fit.
const SHOWN: usize = 20;

/// The page.
#[derive(Template, Default)]
#[template(path = "console/leaks/show.html")]
struct Leaks {
    found: Option<Vec<Row>>,
    is_part: bool,
    fault: Option<String>,
    exposed: Vec<Row>,
    reported: Vec<Report>,
    may_write: bool,
}

/// A key that others may know.
struct Row {
    id: String,
    name: String,
    hint: String,
    badge: Badge,
    exposed: Option<Moment>,
    last_used: Option<Moment>,
    is_revoked: bool,
}

/// A key that was ended because others knew it.
struct Report {
    key: String,
    at: Moment,
    actor: String,
}

fn row(visit: &Visit, key: Key) -> Row {
    Row {
        badge: status(&key, visit.now),
        exposed: key.exposed_at.map(|at| visit.zone.ago(at)),
        last_used: key.last_used_at.map(|at| visit.zone.ago(at)),
        is_revoked: key.state == "revoked",
        id: key.id,
        name: key.name,
        hint: key.hint,
    }
}

async fn show(visit: Visit) -> Shown {
    shown(&visit, Leaks::default()).await
}

async fn shown(visit: &Visit, content: Leaks) -> Shown {
    let keys: List<Key> = visit.aside("/v1/keys?limit=200").await;
    let exposed = keys.items.into_iter().filter(|key| key.exposed_at.is_some() && key.state != "revoked");
    let content = Leaks {
        exposed: exposed.map(|key| row(visit, key)).collect(),
        reported: reported(visit).await,
        may_write: visit.may("keys.write"),
        ..content
    };
    Ok(visit.page(Place::Leaks, "Leaks", &content))
}

#[derive(Deserialize)]
struct Event {
    subject_id: String,
    actor: String,
    created_at: Timestamp,
}

/// The last keys that were ended because others knew them.
async fn reported(visit: &Visit) -> Vec<Report> {
    if !visit.may("events.read") {
        return Vec::new();
    }
    let events: List<Event> = visit.aside("/v1/events?type=key.compromise&limit=10").await;
    let told = events.items.into_iter().map(|event| Report {
        key: event.subject_id,
        at: visit.zone.ago(event.created_at),
        actor: event.actor,
    });
    told.collect()
}

/// What was typed. It may be a secret, so that nothing but a test prints it.
#[derive(PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
enum Found {
    /// The id of a key.
    Id(String),
    /// What may be shown of one.
    Hint(String),
    /// A text that could be one.
    Text(String),
    /// One of ours, but for a letter.
    Mistyped,
    /// Nothing that says which key it is.
    Nothing,
}

/// Letters of a key's id.
const ID_LETTERS: usize = 26;

fn read(text: &str) -> Found {
    let text = text.trim().trim_start_matches("Bearer ").trim_matches(['"', '\'', ' ']);
    if text.starts_with("key_") && text.len() == ID_LETTERS {
        return Found::Id(text.to_owned());
    }
    if text.contains('•') {
        return Found::Hint(text.to_owned());
    }
    match Presented::parse(text) {
        Ok(_) => Found::Text(text.to_owned()),
        Err(NotAKey::Checksum) => Found::Mistyped,
        Err(NotAKey::Shape) => Found::Nothing,
    }
}

/// Whether this may be shown of the text: it begins and ends as the text does.
fn fits(hint: &str, text: &str) -> bool {
    let Some((beginning, end)) = hint.split_once("••••") else { return false };
    let says_something = !(beginning.is_empty() && end.is_empty());
    says_something && text.starts_with(beginning) && text.ends_with(end)
}

async fn find(visit: Visit) -> Shown {
    let fault = match read(visit.form.one("found")) {
        Found::Id(id) => {
            let rows = match visit.get::<Key>(&format!("/v1/keys/{}", segment(&id))).await {
                Ok(key) => vec![row(&visit, key)],
                Err(refusal) if refusal.status == 404 => Vec::new(),
                Err(refusal) => return Err(refusal),
            };
            return shown(&visit, Leaks { found: Some(rows), ..Leaks::default() }).await;
        }
        Found::Hint(hint) => return looked_up(&visit, |key| key.hint == hint).await,
        Found::Text(text) => return looked_up(&visit, |key| fits(&key.hint, &text)).await,
        Found::Mistyped => {
            "It looks like one of our keys, but its checksum does not hold: a letter is missing or wrong."
        }
        Found::Nothing => "This is neither the id of a key, nor a text that could be one. Paste all of it.",
    };
    shown(&visit, Leaks { fault: Some(fault.into()), ..Leaks::default() }).await
}

/// The page with the keys that fit.
async fn looked_up(visit: &Visit, fits: impl Fn(&Key) -> bool) -> Shown {
    let (rows, is_part) = matching(visit, fits).await?;
    shown(visit, Leaks { found: Some(rows), is_part, ..Leaks::default() }).await
}

/// Keys that fit; and whether there are more than were looked through.
async fn matching(visit: &Visit, fits: impl Fn(&Key) -> bool) -> Asked<(Vec<Row>, bool)> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    for _ in 0..PAGES {
        let asked = query(&[("limit", "200"), ("cursor", &cursor)]);
        let page: List<Key> = visit.get(&format!("/v1/keys?{asked}")).await?;
        rows.extend(page.items.into_iter().filter(&fits).map(|key| row(visit, key)));
        if rows.len() >= SHOWN {
            rows.truncate(SHOWN);
            return Ok((rows, true));
        }
        match page.next_cursor {
            Some(next) => cursor = next,
            None => return Ok((rows, false)),
        }
    }
    Ok((rows, true))
}

/// The question before a key is ended because others know it.
#[derive(Template)]
#[template(path = "console/leaks/report.html")]
struct Question {
    fault: Option<String>,
    id: String,
    name: String,
    calls: Option<String>,
    reason: String,
    wants_none: bool,
    code: AsCode,
}

async fn key(visit: &Visit, id: &str) -> Asked<Key> {
    visit.get(&format!("/v1/keys/{}", segment(id))).await
}

async fn report_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let key = key(&visit, &id).await?;
    question(&visit, &key, None).await
}

async fn question(visit: &Visit, key: &Key, fault: Option<String>) -> Shown {
    let since = iso(before(visit.now, 1.hours()));
    let asked = query(&[("key_id", &key.id), ("from", &since)]);
    let usage = visit.get::<Usage>(&format!("/v1/usage?{asked}")).await.ok();
    let calls = usage.map(|usage| usage.items.iter().map(|item| item.calls).sum());
    let reason = visit.form.one("reason");
    let content = Question {
        fault,
        id: key.id.clone(),
        name: key.name.clone(),
        calls: calls.map(|calls| of(calls, "request", "requests")),
        reason: reason.into(),
        wants_none: visit.form.one("replace") == "no",
        code: AsCode::new(
            format!("keystile key compromised {} --reason 'found in a public repository'", shell(&key.id)),
            &visit.origin,
            "POST",
            &format!("/v1/keys/{}/compromised", key.id),
            Some(&json!({"reason": "found in a public repository"})),
        ),
    };
    Ok(visit.modal(Place::Leaks, &format!("Report {}", key.name), &content))
}

/// The request that the form makes.
fn request(reason: &str, replace: &str) -> Value {
    let object = crate::ui::form::Object::default().text("reason", reason);
    if replace == "no" { object.with("replace", false).into() } else { object.into() }
}

#[derive(Deserialize)]
struct Ended {
    #[serde(default)]
    replacement: Option<Replacement>,
    #[serde(default)]
    activity: Option<Activity>,
}

#[derive(Deserialize)]
struct Replacement {
    id: String,
    name: String,
    #[serde(default)]
    key: Option<String>,
}

#[derive(Deserialize)]
struct Activity {
    allowed: u64,
    refused: u64,
    since: Timestamp,
}

async fn report(visit: Visit, Path(id): Path<String>) -> Shown {
    let key = key(&visit, &id).await?;
    let form = &visit.form;
    if form.one("confirm") != key.name.trim() {
        return question(&visit, &key, Some(super::confirm::OTHER_NAME.into())).await;
    }
    let body = request(form.one("reason"), form.one("replace"));
    let answer = match visit.send(Method::POST, &format!("/v1/keys/{}/compromised", key.id), Some(&body)).await {
        Ok(answer) => answer,
        Err(refusal) => return question(&visit, &key, Some(refusal.above_form()?)).await,
    };
    let ended: Ended = answer.read()?;
    let done = ended.activity.map(|done| {
        let since = done.since.strftime("%-d %b %Y");
        format!("{} let through and {} refused since {since}", of(done.allowed, "call was", "calls were"), done.refused)
    });
    let Some(replacement) = ended.replacement else {
        let done = done.map(|done| format!(" With it {done}.")).unwrap_or_default();
        return Ok(
            visit.go_saying(&format!("/keys/{}?tab=network", key.id), &format!("{} is revoked.{done}", key.name))
        );
    };
    let once = Once {
        title: "Save the key that takes its place".into(),
        about: format!("{} is revoked. This one has its name, project and rights.", replacement.name),
        label: "Secret key",
        secret: replacement.key,
        hint: "Put it where the old one was. Calls with the old one are refused already.".into(),
        snippet: None,
        facts: [("Key ID", Some(replacement.id.clone())), ("Done with the old one", done)]
            .into_iter()
            .filter_map(|(name, text)| Some((name, text?)))
            .collect(),
        then: format!("/keys/{}", replacement.id),
        ..Once::default()
    };
    Ok(visit.secret(Place::Leaks, "Save the new key", &once))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_read_as_an_id_or_as_what_may_be_shown_of_it() {
        let id = format!("key_{}", "0".repeat(22));
        assert_eq!(read(&format!(" {id} ")), Found::Id(id));
        assert_eq!(read("ks_live_Ab3d••••9f3a"), Found::Hint("ks_live_Ab3d••••9f3a".into()));
        let other = "sk_other_vendor_0123456789abcdef";
        assert_eq!(read(&format!("Bearer {other}")), Found::Text(other.into()));
        assert_eq!(read(""), Found::Nothing);
    }

    #[test]
    fn a_text_is_compared_with_its_first_and_last_letters() {
        let text = "ks_live_Ab3dxxxxxxxxxxxx9f3a";
        assert!(fits("ks_live_Ab3d••••9f3a", text) && fits("••••9f3a", text) && fits("ks_live_••••", text));
        assert!(!fits("ks_live_Ab3d••••9f3b", text) && !fits("••••", text) && !fits("ks_live_Ab3d", text));
    }

    #[test]
    fn another_key_takes_its_place_unless_somebody_says_no() {
        assert_eq!(request("", "yes"), json!({}));
        assert_eq!(request("in a gist", "no"), json!({"reason": "in a gist", "replace": false}));
    }
}
