//! `/audit`: the list, each entry with what it changed, and the same as CSV.

use askama::Template;
use jiff::Timestamp;

use super::Entry;
use super::density::density;
use super::filter::{Pairs, borrowed, options, pairs};
use crate::api::Asked;
use crate::console::Shown;
use crate::console::lists::next_page;
use crate::console::model::List;
use crate::console::people::{People, page_of};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::chart::Bars;
use crate::ui::csv::Csv;
use crate::ui::diff::{Changed, changed};
use crate::ui::form::query;
use crate::ui::html::{AsCode, Html};
use crate::ui::time::{Moment, iso};

/// Rows of a page.
const ROWS: &str = "50";
/// Pages that are searched for the one entry that an address names: a thousand entries.
const SEARCHED_PAGES: usize = 5;
/// Entries in CSV: a table that people open. All of them are in the NDJSON.
const CSV_ROWS: usize = 10_000;
/// Types that the field suggests.
const TYPES: [&str; 14] = [
    "key.*",
    "key.create",
    "key.rotate",
    "key.revoke",
    "api.*",
    "project.*",
    "activation.*",
    "plan.*",
    "role.*",
    "member.*",
    "invitation.*",
    "login.*",
    "session.*",
    "webhook.*",
];

/// The page.
#[derive(Template)]
#[template(path = "console/audit/list.html")]
struct Audit {
    types: [&'static str; 14],
    kind: String,
    subject: String,
    actor: String,
    address: String,
    request: String,
    from: String,
    until: String,
    fault: Option<String>,
    is_filtered: bool,
    is_lost: bool,
    density: Option<(&'static str, Html)>,
    lines: Vec<Line>,
    next: Option<String>,
    is_first: bool,
    filter: String,
    export: String,
    code: AsCode,
}

/// An entry as it is shown.
struct Line {
    sequence: u64,
    at: Moment,
    kind: String,
    actor: String,
    actor_id: String,
    subject: String,
    page: Option<String>,
    address: Option<(String, String)>,
    request: Option<(String, String)>,
    is_open: bool,
    is_erased: bool,
    changes: Vec<Changed>,
    more: usize,
    of_subject: String,
    of_actor: String,
    of_kind: String,
}

pub(super) async fn list(visit: Visit) -> Shown {
    let asked = &visit.query;
    let pairs = pairs(asked, &visit.zone);
    let wanted = asked.one("entry");
    let found = match wanted {
        "" => page(&visit, &pairs, ROWS, asked.one("cursor")).await.map(|page| (page, false)),
        wanted => with_entry(&visit, &pairs, wanted).await,
    };
    // A filter that makes no sense is said so above the filters.
    let (page, is_lost, fault) = match found {
        Ok((page, is_lost)) => (page, is_lost, None),
        Err(refusal) if refusal.status == 400 => (List::default(), false, Some(refusal.detail)),
        Err(refusal) => return Err(refusal),
    };
    let people = People::of(&visit).await;
    let moments: Vec<Timestamp> = page.items.iter().map(|entry| entry.created_at).collect();
    let (called, bars) = density(&moments, &visit.zone);
    let rest = asked.query_without(&["cursor", "entry"]);
    let api = query(&borrowed(&pairs));
    let content = Audit {
        types: TYPES,
        kind: asked.one("type").into(),
        subject: asked.one("subject_id").into(),
        actor: asked.one("actor").into(),
        address: asked.one("address").into(),
        request: asked.one("request_id").into(),
        from: asked.one("from").into(),
        until: asked.one("until").into(),
        fault,
        is_filtered: !pairs.is_empty(),
        is_lost,
        density: (bars.len() > 1).then(|| (called, Html::of(&Bars::new(called, &["Entries"], bars)))),
        lines: page.items.into_iter().map(|entry| line(&visit, &people, entry, wanted)).collect(),
        next: page.next_cursor.map(|cursor| next_page("/audit", asked, &cursor)),
        is_first: asked.one("cursor").is_empty(),
        filter: rest,
        code: AsCode::new(
            format!("keystile audit list{}", options(&pairs)),
            &visit.origin,
            "GET",
            &format!("/v1/audit?{api}"),
            None,
        ),
        export: api,
    };
    Ok(visit.page(Place::Audit, "Audit log", &content))
}

async fn page(visit: &Visit, pairs: &Pairs, limit: &str, cursor: &str) -> Asked<List<Entry>> {
    let mut asked = borrowed(pairs);
    asked.extend([("limit", limit), ("cursor", cursor)]);
    visit.get(&format!("/v1/audit?{}", query(&asked))).await
}

/// The page on which an entry is, and whether it was not found among those that are searched.
async fn with_entry(visit: &Visit, pairs: &Pairs, wanted: &str) -> Asked<(List<Entry>, bool)> {
    let mut cursor = String::new();
    for _ in 0..SEARCHED_PAGES {
        let found = page(visit, pairs, "200", &cursor).await?;
        if found.items.iter().any(|entry| is(entry, wanted)) {
            return Ok((found, false));
        }
        match found.next_cursor {
            Some(next) => cursor = next,
            None => break,
        }
    }
    Ok((page(visit, pairs, ROWS, "").await?, true))
}

/// Whether it is the one of this id, or of this place in the chain.
fn is(entry: &Entry, wanted: &str) -> bool {
    entry.id == wanted || entry.sequence.to_string() == wanted
}

fn line(visit: &Visit, people: &People, entry: Entry, wanted: &str) -> Line {
    let (changes, more) = changed(entry.before.as_ref(), entry.after.as_ref());
    let only = |name: &str, text: &str| format!("/audit?{}", query(&[(name, text)]));
    Line {
        is_open: is(&entry, wanted),
        sequence: entry.sequence,
        at: visit.zone.minute(entry.created_at),
        of_kind: only("type", &entry.kind),
        kind: entry.kind,
        actor: people.actor(&entry.actor),
        of_actor: only("actor", &entry.actor),
        actor_id: entry.actor,
        page: page_of(&entry.subject_id),
        of_subject: only("subject_id", &entry.subject_id),
        subject: people.name(&entry.subject_id).map_or(entry.subject_id.clone(), str::to_owned),
        address: entry.address.map(|address| (only("address", &address), address)),
        request: entry.request_id.map(|request| (only("request_id", &request), request)),
        is_erased: entry.is_erased,
        changes,
        more,
    }
}

/// The newest entries of a filter, a line each.
pub(super) async fn export(visit: Visit) -> Shown {
    let pairs = pairs(&visit.query, &visit.zone);
    let mut file = Csv::new(&[
        "sequence",
        "id",
        "created_at",
        "type",
        "actor",
        "subject_id",
        "address",
        "request_id",
        "before",
        "after",
    ]);
    let (mut cursor, mut count) = (String::new(), 0);
    while count < CSV_ROWS {
        let page = page(&visit, &pairs, "200", &cursor).await?;
        count += page.items.len();
        for entry in &page.items {
            let json = |value: &Option<serde_json::Value>| value.as_ref().map(ToString::to_string).unwrap_or_default();
            file.line(&[
                &entry.sequence.to_string(),
                &entry.id,
                &iso(entry.created_at),
                &entry.kind,
                &entry.actor,
                &entry.subject_id,
                entry.address.as_deref().unwrap_or_default(),
                entry.request_id.as_deref().unwrap_or_default(),
                &json(&entry.before),
                &json(&entry.after),
            ]);
        }
        match page.next_cursor {
            Some(next) => cursor = next,
            None => break,
        }
    }
    Ok(file.file("audit.csv"))
}
