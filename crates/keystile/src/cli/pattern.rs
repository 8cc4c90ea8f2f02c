//! `keystile pattern …`: filters under a name, for keys and projects.

use clap::{Args, Subcommand};
use keystile_core::pattern::PatternName;
use serde_json::Value;
use ureq::http::Method;

use super::conditions::{conditions, shown};
use super::fault::{Exit, Fault};
use super::server::Payload;
use super::session::{Fields, PATTERN, Session};
use super::table::{Column, field};

/// What to do with patterns.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the patterns, newest first.
    List,
    /// Make a pattern.
    Create(Create),
    /// Show one pattern.
    Show {
        /// Its id or name.
        pattern: String,
    },
    /// Change a pattern, for all keys and projects that have it.
    Update(Update),
    /// Delete a pattern that nothing has.
    Delete {
        /// Its id or name.
        pattern: String,
        /// Take it from the keys and projects that have it, too.
        #[arg(long)]
        unassign: bool,
    },
}

/// A new pattern.
#[derive(Debug, Args)]
pub struct Create {
    /// Its name, a word such as office.
    #[arg(long)]
    name: PatternName,
    #[command(flatten)]
    about: About,
    /// Only try it out: it refuses nothing, and it is told what it would refuse.
    #[arg(long)]
    shadow: bool,
}

/// Changes of a pattern. What is given replaces what was there; the rest stays.
#[derive(Debug, Args)]
pub struct Update {
    /// Its id or name.
    pattern: String,
    /// Its name.
    #[arg(long)]
    name: Option<PatternName>,
    #[command(flatten)]
    about: About,
    /// Let it allow all that it does not deny.
    #[arg(long, conflicts_with = "allow")]
    no_allow: bool,
    /// Let it deny nothing of what it allows.
    #[arg(long, conflicts_with = "deny")]
    no_deny: bool,
    /// Whether it is only tried out.
    #[arg(long, value_name = "true|false")]
    shadow: Option<bool>,
}

#[derive(Debug, Args)]
struct About {
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Calls that pass, such as "method=GET; path=/pets/**; country=DE,AT"; all conditions of it together. Repeat for calls
    /// that pass otherwise.
    #[arg(long, value_name = "CONDITIONS", value_parser = conditions)]
    allow: Vec<Value>,
    /// Calls that do not pass, written in the same way; repeat for others.
    #[arg(long, value_name = "CONDITIONS", value_parser = conditions)]
    deny: Vec<Value>,
}

impl About {
    fn fields(self) -> Fields {
        let list = |values: Vec<Value>| (!values.is_empty()).then_some(Value::Array(values));
        Fields::default()
            .with("description", self.description)
            .with("allow", list(self.allow))
            .with("deny", list(self.deny))
    }
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List => session.list(PATTERN, &[], &COLUMNS),
        Verb::Create(ask) => {
            let fields = ask.about.fields().with("name", Some(ask.name.as_str()));
            session.create(PATTERN, fields.with("shadow", ask.shadow.then_some(true)).0)
        }
        Verb::Show { pattern } => {
            let id = session.pattern(&pattern)?;
            session.show(PATTERN, &id)
        }
        Verb::Update(ask) => {
            let id = session.pattern(&ask.pattern)?;
            let none = |is_so: bool| is_so.then(|| Value::Array(Vec::new()));
            let fields = ask.about.fields().with("name", ask.name.as_ref().map(PatternName::as_str));
            let fields = fields.with("allow", none(ask.no_allow)).with("deny", none(ask.no_deny));
            session.update(PATTERN, &id, fields.with("shadow", ask.shadow).0)
        }
        Verb::Delete { pattern, unassign } => {
            let id = session.pattern(&pattern)?;
            if !unassign {
                return session.delete(PATTERN, &id, "");
            }
            session.confirm(&format!(
                "Delete the pattern {id}, so that calls of the keys and projects that have it need not pass it?"
            ))?;
            let path = format!("{}/{id}", PATTERN.path);
            let query = [("unassign", "true")];
            session.server.send(
                &format!("delete the pattern {id}"),
                Method::DELETE,
                &path,
                &query,
                &Payload::Nothing,
            )?;
            session.screen.note(&format!("deleted {id}"));
            Ok(Exit::Ok)
        }
    }
}

fn alternatives(pattern: &Value, list: &str) -> String {
    let all = pattern.get(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if all.is_empty() { "-".to_owned() } else { all.iter().map(shown).collect::<Vec<_>>().join(" | ") }
}

const COLUMNS: [Column; 6] = [
    Column::left("ID", |pattern, _| field(pattern, "id")),
    Column::left("NAME", |pattern, _| field(pattern, "name")),
    Column::left("STATE", |pattern, _| {
        if pattern.get("shadow") == Some(&Value::Bool(true)) { "in shadow".to_owned() } else { "in force".to_owned() }
    }),
    Column::left("ALLOWS", |pattern, _| alternatives(pattern, "allow")),
    Column::left("DENIES", |pattern, _| alternatives(pattern, "deny")),
    Column::left("DESCRIPTION", |pattern, _| field(pattern, "description")),
];
