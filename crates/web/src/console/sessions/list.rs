//! `/sessions`: the page.

use askama::Template;
use jiff::Timestamp;
use serde::Deserialize;

use super::agent::agent;
use super::failures::{Failures, failures};
use crate::console::Shown;
use crate::console::model::List;
use crate::console::people::People;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::query;
use crate::ui::html::AsCode;
use crate::ui::time::Moment;

/// Rows of a page.
const ROWS: &str = "50";

/// The page.
#[derive(Template)]
#[template(path = "console/sessions/list.html")]
struct Sessions {
    own: Vec<Row>,
    has_others: bool,
    rows: Vec<Row>,
    next: Option<String>,
    is_first: bool,
    failures: Option<Failures>,
    may_write: bool,
    code: AsCode,
}

struct Row {
    id: String,
    who: String,
    agent: String,
    said: String,
    address: String,
    seen: Moment,
    since: Moment,
    ends: Moment,
    is_current: bool,
}

/// A session.
#[derive(Debug, Deserialize)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) account_id: String,
    pub(super) agent: String,
    #[serde(default)]
    pub(super) address: Option<String>,
    created_at: Timestamp,
    seen_at: Timestamp,
    ends_at: Timestamp,
    is_current: bool,
}

pub(super) async fn list(visit: Visit) -> Shown {
    let asked = query(&[("limit", ROWS), ("cursor", visit.query.one("cursor"))]);
    let all: List<Session> = visit.get(&format!("/v1/sessions?{asked}")).await?;
    let own: List<Session> = visit.aside("/v1/account/sessions?limit=200").await;
    let people = People::of(&visit).await;
    let failed = match visit.may("audit.read") {
        true => Some(failures(&visit, &people).await?),
        false => None,
    };
    let row = |session: Session| Row {
        who: people.actor(&session.account_id),
        agent: agent(&session.agent),
        said: session.agent,
        address: session.address.unwrap_or_else(|| "not known".into()),
        seen: visit.zone.ago(session.seen_at),
        since: visit.zone.minute(session.created_at),
        ends: visit.zone.minute(session.ends_at),
        is_current: session.is_current,
        id: session.id,
    };
    let own: Vec<Row> = own.items.into_iter().map(row).collect();
    let content = Sessions {
        has_others: own.iter().any(|one| !one.is_current),
        own,
        rows: all.items.into_iter().map(row).collect(),
        next: all.next_cursor.map(|cursor| format!("/sessions?{}", query(&[("cursor", &cursor)]))),
        is_first: visit.query.one("cursor").is_empty(),
        failures: failed,
        may_write: visit.may("members.write"),
        code: AsCode::new("keystile member sessions".into(), &visit.origin, "GET", "/v1/sessions", None),
    };
    Ok(visit.page(Place::Sessions, "Sign-ins", &content))
}
