//! Disabling many keys at once: what would be done is asked of the API first and told in numbers.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::keys;
use super::rules::{Rule, findings, is_examined};
use crate::api::Asked;
use crate::console::Shown;
use crate::console::confirm::Confirm;
use crate::console::model::Usage;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::query;
use crate::ui::html::AsCode;
use crate::ui::number::of;
use crate::ui::time::{before, iso};

/// Keys of one request: as many as the API takes.
const MAX_KEYS: usize = 1_000;
/// Keys of which calls are counted for the question: their ids stand in an address.
const MAX_COUNTED: usize = 100;

/// What the API says of many.
#[derive(Debug, Deserialize)]
struct Report {
    done: u64,
    refused: u64,
    items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    #[serde(default)]
    detail: Option<String>,
}

impl Report {
    /// The first reason why one was refused.
    fn why(&self) -> String {
        self.items.iter().find_map(|item| item.detail.clone()).unwrap_or_default()
    }
}

/// Asks first; the form with the number of keys, typed, does it.
pub(super) async fn disable(visit: Visit) -> Shown {
    let form = visit.form.clone();
    let rule = Rule::read(form.one("rule"));
    let mut ids = if form.has("confirm") { form.words("ids") } else { wanted(&visit, rule).await? };
    let left_out = ids.len().saturating_sub(MAX_KEYS);
    ids.truncate(MAX_KEYS);
    let back = rule.map_or_else(|| "/hygiene".to_owned(), |rule| format!("/hygiene?rule={}", rule.word()));
    if ids.is_empty() {
        return Ok(visit.go_saying(&back, "No key was ticked, so nothing was done."));
    }
    let ask = asked(&visit, rule, &ids, left_out).await?;
    if !form.has("confirm") {
        return Ok(visit.modal(Place::Hygiene, "Disable keys", &ask));
    }
    if !ask.is_confirmed(&visit) {
        let ask = ask.with_fault("Type the number of keys, so that it is as many as you mean.");
        return Ok(visit.modal(Place::Hygiene, "Disable keys", &ask));
    }
    match bulk(&visit, &ids, false).await {
        Ok(report) => Ok(visit.go_saying(&back, &told(&report))),
        Err(refusal) => Ok(visit.modal(Place::Hygiene, "Disable keys", &ask.with_fault(refusal.above_form()?))),
    }
}

/// The keys that were ticked; all that the rule finds if the button says so.
async fn wanted(visit: &Visit, rule: Option<Rule>) -> Asked<Vec<String>> {
    let Some(rule) = rule.filter(|_| visit.form.one("which") == "all") else {
        return Ok(visit.form.all("id").map(str::to_owned).collect());
    };
    let (keys, _) = keys(visit).await?;
    let found = keys.into_iter().filter(|key| is_examined(key, visit.now) && findings(key, visit.now).contains(&rule));
    Ok(found.map(|key| key.id).collect())
}

async fn bulk(visit: &Visit, ids: &[String], is_dry: bool) -> Asked<Report> {
    let path = if is_dry { "/v1/keys/bulk?dry_run=true" } else { "/v1/keys/bulk" };
    visit.send(Method::POST, path, Some(&body(ids))).await?.read()
}

fn body(ids: &[String]) -> Value {
    json!({"action": "disable", "ids": ids})
}

async fn asked(visit: &Visit, rule: Option<Rule>, ids: &[String], left_out: usize) -> Asked<Confirm> {
    let report = bulk(visit, ids, true).await?;
    let mut notes = Vec::new();
    if visit.may("usage.read") && ids.len() <= MAX_COUNTED {
        let from = iso(before(visit.now, jiff::Span::new().hours(24)));
        let asked = query(&[("key_id", &ids.join(",")), ("from", &from)]);
        let usage: Usage = visit.aside(&format!("/v1/usage?{asked}")).await;
        let calls: u64 = usage.items.iter().map(|item| item.calls).sum();
        notes.push(match calls {
            0 => "None of them was used in the last 24 hours.".to_owned(),
            calls => format!("In the last 24 hours there were {} with them.", of(calls, "call", "calls")),
        });
    }
    if report.refused > 0 {
        notes.push(format!("{} would be refused: {}", of(report.refused, "key", "keys"), report.why()));
    }
    if left_out > 0 {
        notes.push(format!("These are the newest; {} more are left for the next time.", left_out));
    }
    Ok(Confirm {
        title: format!("Disable {}?", of(report.done, "key", "keys")),
        about: "Calls with them are refused as key_disabled until you enable them again.".into(),
        notes,
        path: "/hygiene/disable".into(),
        back: "/hygiene".into(),
        name: Some(ids.len().to_string()),
        hidden: vec![("rule", rule.map_or("", Rule::word).to_owned()), ("ids", ids.join(","))],
        button: "Disable keys",
        is_danger: true,
        code: Some(AsCode::new(
            format!("keystile key disable {}", ids.join(" ")),
            &visit.origin,
            "POST",
            "/v1/keys/bulk",
            Some(&body(ids)),
        )),
        ..Confirm::default()
    })
}

/// What was done, in a sentence.
fn told(report: &Report) -> String {
    let done = match report.done {
        1 => "1 key is disabled.".to_owned(),
        many => format!("{} are disabled.", of(many, "key", "keys")),
    };
    match report.refused {
        0 => done,
        refused => format!("{done} {} refused: {}", of(refused, "was", "were"), report.why()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_with_what_was_not() {
        for (report, sentence) in [
            (json!({"done": 1, "refused": 0, "items": []}), "1 key is disabled."),
            (json!({"done": 1_200, "refused": 0, "items": []}), "1,200 keys are disabled."),
            (
                json!({"done": 2, "refused": 1, "items": [{"id": "a", "status": 200}, {"id": "b", "status": 409, "detail": "It is revoked."}]}),
                "2 keys are disabled. 1 was refused: It is revoked.",
            ),
        ] {
            let report: Report = serde_json::from_value(report).unwrap();
            assert_eq!(told(&report), sentence);
        }
    }
}
