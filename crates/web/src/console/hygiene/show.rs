//! `/hygiene`: the score, a bar for each rule, and the keys of one of them.

use std::collections::HashMap;

use askama::Template;

use super::keys;
use super::rules::{Rule, findings, is_examined, score};
use crate::console::Shown;
use crate::console::keys::{projects, status};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::csv::Csv;
use crate::ui::html::Badge;
use crate::ui::number::{of, percent};
use crate::ui::time::{Moment, iso};

/// Keys of a rule that are shown; the CSV has all of them.
const SHOWN: usize = 200;

/// The page.
#[derive(Template)]
#[template(path = "console/hygiene/show.html")]
struct Hygiene {
    score: u64,
    clean: String,
    all: String,
    has_keys: bool,
    has_more: bool,
    bars: Vec<Bar>,
    chosen: Option<Chosen>,
    may_write: bool,
}

struct Bar {
    called: &'static str,
    path: String,
    count: usize,
    part: String,
    width: String,
    is_chosen: bool,
}

/// A rule with its keys.
struct Chosen {
    rule: Rule,
    count: usize,
    more: usize,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    name: String,
    about: String,
    hint: String,
    last_used: Option<Moment>,
    expires: Option<Moment>,
    badge: Badge,
    others: usize,
}

pub(super) async fn show(visit: Visit) -> Shown {
    let (keys, has_more) = keys(&visit).await?;
    let examined: Vec<_> = keys.iter().filter(|key| is_examined(key, visit.now)).collect();
    let found: Vec<Vec<Rule>> = examined.iter().map(|key| findings(key, visit.now)).collect();
    let clean = found.iter().filter(|rules| rules.is_empty()).count();
    let chosen = Rule::read(visit.query.one("rule"));
    let bars = Rule::ALL.into_iter().map(|rule| {
        let count = found.iter().filter(|rules| rules.contains(&rule)).count();
        Bar {
            called: rule.called(),
            path: format!("/hygiene?rule={}#keys", rule.word()),
            count,
            part: percent(count as u64, examined.len() as u64),
            width: format!("{:.1}", count as f64 * 100.0 / examined.len().max(1) as f64),
            is_chosen: chosen == Some(rule),
        }
    });
    let bars = bars.collect();
    let chosen = match chosen {
        None => None,
        Some(rule) => {
            let known = projects(&visit).await;
            let names: HashMap<&str, &str> = known.iter().map(|one| (one.id.as_str(), one.name.as_str())).collect();
            let of_rule: Vec<_> = examined.iter().zip(&found).filter(|(_, rules)| rules.contains(&rule)).collect();
            let rows = of_rule.iter().take(SHOWN).map(|(key, rules)| Row {
                id: key.id.clone(),
                name: key.name.clone(),
                about: names.get(key.project_id.as_str()).copied().unwrap_or("Another project").to_owned(),
                hint: key.hint.clone(),
                last_used: key.last_used_at.map(|at| visit.zone.ago(at)),
                expires: key.expires_at.map(|at| visit.zone.day(at)),
                badge: status(key, visit.now),
                others: rules.len() - 1,
            });
            Some(Chosen { rule, count: of_rule.len(), more: of_rule.len().saturating_sub(SHOWN), rows: rows.collect() })
        }
    };
    let content = Hygiene {
        score: score(clean, examined.len()),
        clean: of(clean as u64, "key", "keys"),
        all: of(examined.len() as u64, "active key", "active keys"),
        has_keys: !examined.is_empty(),
        has_more,
        bars,
        chosen,
        may_write: visit.may("keys.write"),
    };
    Ok(visit.page(Place::Hygiene, "Key hygiene", &content))
}

/// Every key that a rule finds, or those of one rule, with the rules that find it.
pub(super) async fn export(visit: Visit) -> Shown {
    let chosen = Rule::read(visit.query.one("rule"));
    let mut file = Csv::new(&["id", "name", "project_id", "kind", "created_at", "last_used_at", "findings"]);
    for key in keys(&visit).await?.0.iter().filter(|key| is_examined(key, visit.now)) {
        let rules = findings(key, visit.now);
        if rules.is_empty() || chosen.is_some_and(|rule| !rules.contains(&rule)) {
            continue;
        }
        let words: Vec<&str> = rules.into_iter().map(Rule::word).collect();
        file.line(&[
            &key.id,
            &key.name,
            &key.project_id,
            &key.kind,
            &iso(key.created_at),
            &key.last_used_at.map(iso).unwrap_or_default(),
            &words.join(" "),
        ]);
    }
    Ok(file.file("key-hygiene.csv"))
}
