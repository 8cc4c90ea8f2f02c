//! `keystile credit …`: what is granted to those who call an organization's APIs, and what was spent of it.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use keystile_core::credit::CreditKind;
use keystile_core::id::{CreditGrantId, OrganizationId};
use keystile_core::plan::{CreditTerms, CreditsOf, Period, Refill, Trial, credits};
use keystile_core::time::Timestamp;
use serde_json::{Value, json};

use super::fault::{Exit, Fault};
use super::session::{CREDIT, Fields, Session};
use super::table::{Column, away, field, number};
use super::values::{moment, thousands};

/// What to do with credits.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List what was granted, newest first, with what is left of it.
    List {
        #[command(flatten)]
        whose: Whose,
        /// Only those of this kind.
        #[arg(long, value_parser = ["paid", "bonus", "trial", "refill"])]
        kind: Option<String>,
    },
    /// Grant credits to a project, or to an organization whose projects share them.
    Grant(Grant),
    /// Show one grant.
    Show {
        /// Its id.
        id: CreditGrantId,
    },
    /// Take back what is left of a grant.
    Revoke {
        /// Its id.
        id: CreditGrantId,
        /// Why; it takes the place of the grant's note.
        #[arg(long)]
        reason: Option<String>,
    },
    /// List what was charged and reserved by an id, newest first.
    Entries {
        #[command(flatten)]
        whose: Whose,
        /// At whose APIs; one's own unless given.
        #[arg(long, value_name = "ID")]
        granted_by: Option<OrganizationId>,
    },
}

/// Whose credits.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Whose {
    /// Those of this project, by id or name.
    #[arg(long)]
    project: Option<String>,
    /// Those that all projects of this organization share, by its id.
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
}

impl Whose {
    fn fields(self, session: &Session<'_>) -> Result<Vec<(&'static str, String)>, Fault> {
        let project = self.project.map(|text| session.project(&text)).transpose()?.map(|id| id.to_string());
        let organization = self.organization.map(|id| id.to_string());
        let all = [("project_id", project), ("organization_id", organization)];
        Ok(all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }
}

/// What can be granted by hand.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ByHand {
    Paid,
    Bonus,
    Trial,
}

/// What is granted.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("holder").args(["project", "organization"]).required(true)))]
pub struct Grant {
    #[command(flatten)]
    whose: Whose,
    /// How many, such as 10000.
    #[arg(long, value_parser = amount)]
    amount: u64,
    /// Why they are granted; paid unless given.
    #[arg(long, value_enum)]
    kind: Option<ByHand>,
    /// What people on both sides read, such as the number of an invoice.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// From when they can be spent; from now unless given.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    starts: Option<Timestamp>,
    /// When what is left of them lapses, such as 2027-12-31; never unless given.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    ends: Option<Timestamp>,
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List { whose, kind } => {
            let mut query = whose.fields(session)?;
            query.extend(kind.map(|kind| ("kind", kind)));
            session.list(CREDIT, &borrowed(&query), &COLUMNS)
        }
        Verb::Grant(ask) => {
            let kind = ask.kind.map(|kind| match kind {
                ByHand::Paid => CreditKind::Paid,
                ByHand::Bonus => CreditKind::Bonus,
                ByHand::Trial => CreditKind::Trial,
            });
            let fields = Fields::default().with("amount", Some(ask.amount)).with("note", ask.note);
            let fields = fields.with("kind", kind.map(CreditKind::as_str));
            let fields = fields.with("starts_at", ask.starts.map(|at| at.to_string()));
            let mut fields = fields.with("ends_at", ask.ends.map(|at| at.to_string()));
            for (name, value) in ask.whose.fields(session)? {
                fields = fields.with(name, Some(value));
            }
            session.create(CREDIT, fields.0)
        }
        Verb::Show { id } => session.show(CREDIT, &id),
        Verb::Revoke { id, reason } => {
            let reason = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
            session.act(CREDIT, &id, "revoke", Some(reason))
        }
        Verb::Entries { whose, granted_by } => {
            let mut query = whose.fields(session)?;
            query.extend(granted_by.map(|id| ("granted_by", id.to_string())));
            session.list_at("entries", "/v1/credits/entries", &borrowed(&query), &ENTRY_COLUMNS)
        }
    }
}

fn borrowed<'a>(query: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    query.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn amount(text: &str) -> Result<u64, String> {
    let number = text.replace('_', "").parse().map_err(|_| format!("`{text}` is no number of credits"))?;
    credits(number).map_err(|error| error.to_string())
}

const FORM: &str =
    "write credits as `project` or `organization`, with `,trial=1000/90d` and `,refill=5000/month` behind it";

/// Reads what a plan says of credits: `project,trial=1000/90d,refill=5000/month`. Whose they are may be left out.
///
/// # Errors
/// What is wrong, and how it is written.
pub(super) fn credit_terms(text: &str) -> Result<CreditTerms, String> {
    let (mut terms, mut said) = (CreditTerms::default(), Vec::new());
    for (place, part) in text.split(',').map(str::trim).enumerate() {
        match part.split_once('=') {
            Some((name, _)) if said.contains(&name) => return Err(format!("{name} is there twice; {FORM}")),
            None if place == 0 => terms.of = part.parse::<CreditsOf>().map_err(|_| FORM.to_owned())?,
            Some(("trial", trial)) => {
                said.push("trial");
                let (count, days) = trial.split_once('/').unwrap_or((trial, "90d"));
                let days = days.trim_end_matches('d').parse::<u32>().map_err(|_| FORM.to_owned())?;
                let trial = json!({ "amount": amount(count)?, "days": days });
                terms.trial = Some(serde_json::from_value::<Wire<Trial>>(json!({ "it": trial })).map_err(told)?.it);
            }
            Some(("refill", refill)) => {
                said.push("refill");
                let (count, period) = refill.split_once('/').ok_or(FORM)?;
                let period: Period = period.trim().replace('-', "_").parse().map_err(|_| FORM.to_owned())?;
                let refill = json!({ "amount": amount(count)?, "period": period });
                terms.refill = Some(serde_json::from_value::<Wire<Refill>>(json!({ "it": refill })).map_err(told)?.it);
            }
            _ => return Err(FORM.to_owned()),
        }
    }
    Ok(terms)
}

#[derive(serde::Deserialize)]
struct Wire<T> {
    it: T,
}

fn told(error: serde_json::Error) -> String {
    error.to_string()
}

/// What a version of a plan says of credits, as it is typed.
pub(super) fn terms_of(version: &Value) -> Option<String> {
    let terms: CreditTerms = serde_json::from_value(version.get("credits")?.clone()).ok()?;
    let mut text = terms.of.as_str().to_owned();
    if let Some(Trial { amount, days }) = terms.trial {
        text.push_str(&format!(",trial={amount}/{days}d"));
    }
    if let Some(Refill { amount, period }) = terms.refill {
        text.push_str(&format!(",refill={amount}/{}", period.as_str().replace('_', "-")));
    }
    Some(text)
}

/// How many are left of how many: `8,123 of 10,000`.
fn left(grant: &Value) -> String {
    let number = |name: &str| grant.get(name).and_then(Value::as_u64).unwrap_or(0);
    format!("{} of {}", thousands(number("remaining")), thousands(number("amount")))
}

/// Whose they are.
fn holder(grant: &Value) -> String {
    match grant.get("project_id").and_then(Value::as_str) {
        Some(project) => project.to_owned(),
        None => field(grant, "organization_id"),
    }
}

const COLUMNS: [Column; 7] = [
    Column::left("ID", |grant, _| field(grant, "id")),
    Column::left("HOLDER", |grant, _| holder(grant)),
    Column::left("KIND", |grant, _| field(grant, "kind")),
    Column::left("LEFT", |grant, _| left(grant)),
    Column::left("STATE", |grant, _| field(grant, "state")),
    Column::left("ENDS", |grant, now| away(grant, "ends_at", now)),
    Column::left("NOTE", |grant, _| field(grant, "note")),
];

const ENTRY_COLUMNS: [Column; 6] = [
    Column::left("ID", |entry, _| field(entry, "id")),
    Column::left("PROJECT", |entry, _| field(entry, "project_id")),
    Column { right: true, ..Column::left("AMOUNT", |entry, _| number(entry, "amount")) },
    Column { right: true, ..Column::left("SPENT", |entry, _| number(entry, "spent")) },
    Column::left("STATE", |entry, _| field(entry, "state")),
    Column::left("MADE", |entry, now| away(entry, "created_at", now)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plan_says_of_credits_is_read_as_it_is_written() {
        for text in ["project", "organization,trial=1000/30d", "project,trial=5/90d,refill=5000/billing-period"] {
            let version = json!({ "credits": credit_terms(text).unwrap() });
            assert_eq!(terms_of(&version).as_deref(), Some(text));
        }
        assert_eq!(credit_terms("trial=1_000").unwrap(), credit_terms("project,trial=1000/90d").unwrap());
        for text in [
            "",
            "nobody",
            "project,trial=0",
            "project,trial=5/0d",
            "project,refill=5",
            "refill=5/day",
            "trial=5,trial=6",
        ] {
            assert!(credit_terms(text).is_err(), "{text}");
        }
        assert_eq!(terms_of(&json!({ "credits": null })), None);
    }
}
