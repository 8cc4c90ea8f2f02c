//! `keystile audit`: who did what, when, from where; and whether anything of that was altered.

use clap::{Args, Subcommand};
use keystile_core::id::RequestId;
use keystile_core::webhook::EventPattern;
use serde_json::Value;

use super::csv::{Format, write_all};
use super::fault::{Exit, Fault};
use super::session::Session;
use super::table::{Column, away, field, number};
use super::values::{When, when};

const PATH: &str = "/v1/audit";

/// What to do with the audit.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List what was done, newest first.
    List(Which),
    /// Write all entries out, oldest first.
    Export(Export),
    /// Say whether any entry was altered, moved or taken out; the first of them is named.
    Verify,
}

/// Which entries.
#[derive(Debug, Args)]
pub struct Which {
    /// Only those of this type, such as key.revoke or 'key.*'.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<EventPattern>,
    /// Only those about the thing of this id.
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Only what this actor did: a management key's id, or system:…
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// Only what was done from this address.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<std::net::IpAddr>,
    /// Only what was done by this request.
    #[arg(long, value_name = "REQUEST")]
    request: Option<RequestId>,
    /// Only what was done from then on: 7d, 24h, 30m, 2027-01-31 or 2027-01-31T12:00:00Z.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<When>,
    /// Only what was done before.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<When>,
}

/// What is written out, and how.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    which: Which,
    /// Only entries after this place in the chain: the `sequence` of the last one that you have.
    #[arg(long, value_name = "SEQUENCE")]
    after: Option<u64>,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
}

impl Which {
    fn query(&self, session: &Session<'_>) -> Vec<(&'static str, String)> {
        let moment = |when: Option<When>| when.map(|when| when.seen_from(session.now()).to_string());
        let all = [
            ("type", self.kind.as_ref().map(|kind| kind.as_str().to_owned())),
            ("subject_id", self.subject.clone()),
            ("actor", self.actor.clone()),
            ("address", self.address.map(|address| address.to_string())),
            ("request_id", self.request.map(|request| request.to_string())),
            ("from", moment(self.since)),
            ("until", moment(self.until)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn borrowed<'a>(query: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    query.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

pub(super) fn run(verb: &Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List(which) => {
            let query = which.query(session);
            session.list_at("entries of the audit", PATH, &borrowed(&query), &COLUMNS)
        }
        Verb::Export(ask) => {
            let mut query = ask.which.query(session);
            query.extend(ask.after.map(|after| ("after", after.to_string())));
            let path = format!("{PATH}/export");
            write_all("export the audit", &path, &borrowed(&query), (ask.format, &CSV), session)?;
            Ok(Exit::Ok)
        }
        Verb::Verify => verify(session),
    }
}

fn verify(session: &mut Session<'_>) -> Result<Exit, Fault> {
    let verdict = session.server.get("verify the audit", &format!("{PATH}/verify"), &[])?;
    let is_intact = verdict.get("intact") == Some(&Value::Bool(true));
    if session.global.json {
        session.screen.out(&format!("{verdict}\n"));
    } else if is_intact {
        session.screen.out(&format!("intact: {} entries\n", number(&verdict, "entries")));
    } else {
        session.screen.out(&format!(
            "broken: entry {} of {} was altered, moved or taken out; what comes after it proves nothing\n",
            number(&verdict, "broken_at"),
            number(&verdict, "entries")
        ));
    }
    Ok(if is_intact { Exit::Ok } else { Exit::Findings })
}

/// The columns of CSV, by the names that they have in JSON.
const CSV: [&str; 12] = [
    "sequence",
    "id",
    "created_at",
    "type",
    "vocabulary",
    "actor",
    "address",
    "request_id",
    "subject_id",
    "before",
    "after",
    "is_erased",
];

const COLUMNS: [Column; 6] = [
    Column { title: "NO", right: true, cell: |entry, _| field(entry, "sequence") },
    Column::left("WHEN", |entry, now| away(entry, "created_at", now)),
    Column::left("TYPE", |entry, _| field(entry, "type")),
    Column::left("SUBJECT", |entry, _| field(entry, "subject_id")),
    Column::left("BY", |entry, _| field(entry, "actor")),
    Column::left("FROM", |entry, _| field(entry, "address")),
];
