//! What a simulation came to: a table and remarks for people, everything as JSON for programs.

use std::cmp::Reverse;

use keystile_core::limit::Counted;
use keystile_core::plan::{
    Currency, Exhausted, Item, OfLimit, OfQuota, OfSubject, PlanTerms, Simulated, Statement, Sums,
};
use serde_json::{Value, json};

use super::super::Global;
use super::super::quotas;
use super::super::screen::{Screen, harmless};
use super::super::table::Table;
use super::super::values::{thousands, written};
use super::calls::{Calls, Left};

/// Rows of the table unless somebody says how many.
const ROWS: usize = 20;

/// All that it came to.
struct Sum {
    sums: Sums,
    overage: u64,
    /// A decimal number; nothing if the plan costs nothing.
    amount: Option<String>,
}

pub(super) fn tell(terms: &PlanTerms, calls: &Calls, mut found: Simulated, global: &Global, screen: &mut Screen) {
    found.subjects.sort_by_key(|subject| Reverse(subject.sums.calls()));
    let count = found.subjects.len();
    let sum = sum(&found);
    if global.json {
        let shown = global.limit.map_or(count, |limit| limit as usize);
        screen.out(&format!("{}\n", all(terms, calls, &found, &sum, shown)));
        warn(calls, &found, screen);
        return;
    }
    let shown = global.limit.map_or(ROWS, |limit| limit as usize);
    let who = calls.by().as_str();
    let titles = [(who.to_uppercase(), false)].into_iter().chain(
        ["CALLS", "LET THROUGH", "LIMITED", "EXHAUSTED", "UNITS", "OVERAGE", "AMOUNT"]
            .map(|title| (title.to_owned(), true)),
    );
    let rows: Vec<Vec<String>> = found.subjects.iter().take(shown).map(|subject| row(subject, &found)).collect();
    Table::new(titles).rows(screen, &rows);
    if count > shown {
        screen.note(&format!("… and {} more; --limit {count} shows all", thousands((count - shown) as u64)));
    }
    totals(calls, (who, count), &sum, &found, screen);
    for of in &found.limits {
        screen.note(&limit_said(of));
    }
    for of in &found.quotas {
        screen.note(&quota_said(of));
    }
    warn(calls, &found, screen);
    skipped(calls, screen);
    if calls.replaced > 0 {
        let calls = several(calls.replaced, "line");
        screen.note(&format!("costs: what the plan says of an operation took the place of what was said of {calls}"));
    }
    if calls.late > 0 {
        screen.note(&format!("put in order of time: {} stood behind later ones", several(calls.late, "call")));
    }
    if calls.is_without_date {
        screen.note("the log has no date, so it is taken to begin with 1970; --start says when it did");
    }
}

/// Says which lines are no part of it.
pub(super) fn skipped(calls: &Calls, screen: &mut Screen) {
    for (why, left) in calls.left() {
        let (lines, first) = (several(left.lines, "line"), named(left, calls));
        screen.note(&format!("left out: {lines}: {} ({first})", why.why()));
    }
}

/// The first lines that were left out, and the log where there are several.
fn named(left: &Left, calls: &Calls) -> String {
    let one = |(log, line): &(usize, u64)| match calls.logs.as_slice() {
        [_] => format!("line {line}"),
        logs => format!("{}, line {line}", logs[*log]),
    };
    let mut text = left.first.iter().map(one).collect::<Vec<_>>().join("; ");
    if left.lines > left.first.len() as u64 {
        text.push_str("; …");
    }
    text
}

/// What must be known: not all of the plan was tried out, or on too much.
fn warn(calls: &Calls, found: &Simulated, screen: &mut Screen) {
    if calls.is_of_several_apis {
        screen
            .complain("warning: calls of several APIs count together here, and a plan is of one; --api says of which");
    }
    for (rule, why) in &found.left_out {
        screen.complain(&format!("warning: the limit {} is left out: {why}", harmless(&written(rule))));
    }
}

fn totals(calls: &Calls, (who, count): (&str, usize), sum: &Sum, found: &Simulated, screen: &mut Screen) {
    let Sum { sums, overage, amount } = sum;
    let mut text = format!(
        "{} of {}: {} let through, {} limited, {} exhausted; {}",
        several(sums.calls(), "call"),
        several(count as u64, who),
        thousands(sums.let_through),
        thousands(sums.limited),
        thousands(sums.exhausted),
        several(sums.units, "unit"),
    );
    if let (Some(amount), Some(price)) = (amount, &found.price) {
        let overage = thousands(*overage);
        text.push_str(&format!(", {overage} of them beyond what fees include; {}", money(amount, price.currency)));
    }
    screen.note(&text);
    if let Some((from, until)) = calls.ends() {
        screen.note(&format!("from {from} until {until}"));
    }
}

/// So many of something.
fn several(number: u64, what: &str) -> String {
    format!("{} {what}{}", thousands(number), if number == 1 { "" } else { "s" })
}

fn limit_said(of: &OfLimit) -> String {
    let verb = if of.rule.shadow { "would have refused" } else { "refused" };
    format!("limit {}: {verb} {}", harmless(&written(&of.rule)), several(of.refused, "call"))
}

fn quota_said(of: &OfQuota) -> String {
    let quota = quotas::written(&of.quota);
    match of.quota.on_exhausted {
        Exhausted::Refuse => format!("quota {quota}: refused {}", several(of.refused, "call")),
        Exhausted::Allow => {
            let what = if of.quota.counts == Counted::Calls { "call" } else { "unit" };
            format!("quota {quota}: let {} through beyond it", several(of.beyond, what))
        }
    }
}

fn row(subject: &OfSubject, found: &Simulated) -> Vec<String> {
    let OfSubject { who, sums, statements, total } = subject;
    let numbers = [sums.calls(), sums.let_through, sums.limited, sums.exhausted, sums.units].map(thousands);
    let (overage, amount) = match &found.price {
        Some(price) => (thousands(statements.iter().map(overage).sum()), money(&total.to_string(), price.currency)),
        None => ("-".to_owned(), "-".to_owned()),
    };
    [who.clone()].into_iter().chain(numbers).chain([overage, amount]).collect()
}

fn money(amount: &str, currency: Currency) -> String {
    format!("{amount} {}", currency.as_str())
}

/// Units of a statement that are beyond its fee.
fn overage(statement: &Statement) -> u64 {
    statement.lines.iter().filter(|line| line.item == Item::Overage).map(|line| line.units).sum()
}

fn sum(found: &Simulated) -> Sum {
    let subjects = || found.subjects.iter();
    Sum {
        sums: subjects().fold(Sums::default(), |sum, subject| sum.and(subject.sums)),
        overage: subjects().flat_map(|subject| &subject.statements).map(overage).sum(),
        amount: found.price.as_ref().map(|_| found.total.to_string()),
    }
}

/// Everything.
fn all(terms: &PlanTerms, calls: &Calls, found: &Simulated, sum: &Sum, shown: usize) -> Value {
    let limit = |of: &OfLimit| json!({ "name": of.rule.name, "shadow": of.rule.shadow, "refused": of.refused });
    let quota = |of: &OfQuota| json!({ "name": of.quota.name, "refused": of.refused, "beyond": of.beyond });
    let (from, until) = calls.ends().unzip();
    let left = |left: &Left| -> Vec<Value> {
        left.first.iter().map(|(log, line)| json!({ "log": calls.logs[*log], "line": line })).collect()
    };
    json!({
        "plan": terms,
        "by": calls.by().as_str(),
        "from": from,
        "until": until,
        "lines": calls.lines,
        "skipped": calls.left().map(|(why, lines)| json!({
            "reason": why.as_str(), "lines": lines.lines, "first": left(lines),
        })).collect::<Vec<_>>(),
        "out_of_order": calls.late,
        "costs_replaced": calls.replaced,
        "without_date": calls.is_without_date,
        "totals": figures(sum.sums, sum.overage, sum.amount.clone())
            .as_object()
            .cloned()
            .map(|mut figures| {
                figures.insert("subjects".to_owned(), found.subjects.len().into());
                figures
            }),
        "rate_limits": found.limits.iter().map(limit).collect::<Vec<_>>(),
        "quotas": found.quotas.iter().map(quota).collect::<Vec<_>>(),
        "left_out": found.left_out.iter().map(|(rule, why)| json!({
            "name": rule.name, "why": why.to_string(),
        })).collect::<Vec<_>>(),
        "currency": found.price.as_ref().map(|price| price.currency),
        "items": found.subjects.iter().take(shown).map(|subject| item(subject, found)).collect::<Vec<_>>(),
    })
}

fn figures(sums: Sums, overage: u64, amount: Option<String>) -> Value {
    json!({
        "calls": sums.calls(),
        "let_through": sums.let_through,
        "limited": sums.limited,
        "exhausted": sums.exhausted,
        "units": sums.units,
        "overage": overage,
        "amount": amount,
    })
}

fn item(subject: &OfSubject, found: &Simulated) -> Value {
    let amount = found.price.as_ref().map(|_| subject.total.to_string());
    let mut item = figures(subject.sums, subject.statements.iter().map(overage).sum(), amount);
    item["who"] = subject.who.clone().into();
    item["statements"] = subject.statements.iter().map(statement).collect();
    item
}

/// As the statements of a server are written.
fn statement(statement: &Statement) -> Value {
    let Statement { part, sums, included, lines, total } = statement;
    json!({
        "starts_at": part.span.start,
        "ends_at": part.span.end,
        "calls": sums.let_through,
        "refused": sums.limited + sums.exhausted,
        "units": sums.units,
        "included": included,
        "overage": overage(statement),
        "lines": lines.iter().map(|line| json!({
            "item": line.item, "units": line.units, "amount": line.amount.to_string(),
        })).collect::<Vec<_>>(),
        "total": total.to_string(),
    })
}
