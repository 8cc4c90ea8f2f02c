//! `keystile project …`

use clap::{Args, Subcommand};
use keystile_core::id::ProjectId;
use keystile_core::key::Environment;
use keystile_core::metadata::Label;
use keystile_core::pattern::PatternRef;
use serde_json::Value;

use super::csv::{Format, write_all};
use super::fault::{Exit, Fault};
use super::session::{Fields, PROJECT, Session};
use super::table::{Column, away, field};
use super::tags::TagArgs;

/// What to do with projects.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the projects, newest first.
    List {
        /// Only those with this label; repeat for those with all of them.
        #[arg(long = "label", value_name = "LABEL")]
        labels: Vec<Label>,
    },
    /// Make a project.
    Create(Create),
    /// Show one project.
    Show {
        /// Its id or name.
        project: String,
    },
    /// Change a project.
    Update(Update),
    /// Refuse every call of a project for now, at every API.
    Suspend {
        /// Its id or name.
        project: String,
        /// Why, for the project's people to read.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let a suspended project go on.
    Resume {
        /// Its id or name.
        project: String,
    },
    /// Write out all that is kept about a project, its keys and its activations, as NDJSON.
    Export {
        /// Its id or name.
        project: String,
    },
    /// Erase a project for ever, with all that was written about it, its keys and its activations.
    Erase {
        /// Its id, also of one that was deleted.
        project: ProjectId,
    },
    /// Delete a project, with its keys and activations.
    Delete {
        /// Its id or name.
        project: String,
    },
}

/// A new project.
#[derive(Debug, Args)]
pub struct Create {
    /// What people call it.
    #[arg(long)]
    name: String,
    /// `live` for real traffic, `test` for trials.
    #[arg(long, value_name = "live|test")]
    environment: Option<Environment>,
    #[command(flatten)]
    texts: Texts,
}

/// Changes of a project.
#[derive(Debug, Args)]
pub struct Update {
    /// Its id or name.
    project: String,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    texts: Texts,
    /// Take all labels off it.
    #[arg(long, conflicts_with = "labels")]
    no_labels: bool,
    /// Let its calls pass no patterns but their keys'.
    #[arg(long, conflicts_with = "patterns")]
    no_patterns: bool,
}

#[derive(Debug, Args)]
struct Texts {
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whom to ask about it.
    #[arg(long, value_name = "TEXT")]
    contact: Option<String>,
    /// How many keys it may have that are not revoked. 0 for as many as the server lets a project have.
    #[arg(long, value_name = "N")]
    max_keys: Option<u32>,
    /// A pattern that all its calls must pass, by id or name; repeat for several.
    #[arg(long = "pattern", value_name = "PATTERN")]
    patterns: Vec<PatternRef>,
    #[command(flatten)]
    tags: TagArgs,
}

impl Texts {
    fn fields(self) -> Fields {
        let fields = Fields::default()
            .with("description", self.description)
            .with("contact", self.contact)
            .with("max_keys", self.max_keys.map(|most| if most == 0 { Value::Null } else { most.into() }));
        let patterns: Vec<String> = self.patterns.iter().map(PatternRef::to_string).collect();
        let fields = fields.with_list("patterns", &patterns);
        self.tags.put(fields)
    }
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List { labels } => {
            let wanted = labels.iter().map(Label::as_str).collect::<Vec<_>>().join(",");
            let query = [("label", wanted.as_str())];
            session.list(PROJECT, if labels.is_empty() { &[] } else { &query }, &COLUMNS)
        }
        Verb::Create(ask) => {
            let environment = ask.environment.map(Environment::as_str);
            let fields = ask.texts.fields().with("name", Some(ask.name)).with("environment", environment);
            session.create(PROJECT, fields.0)
        }
        Verb::Show { project } => {
            let id = session.project(&project)?;
            session.show(PROJECT, &id)
        }
        Verb::Update(ask) => {
            let id = session.project(&ask.project)?;
            let no_labels = ask.no_labels.then(|| Value::Array(Vec::new()));
            let no_patterns = ask.no_patterns.then(|| Value::Array(Vec::new()));
            let fields = ask.texts.fields().with("labels", no_labels).with("patterns", no_patterns);
            session.update(PROJECT, &id, fields.with("name", ask.name).0)
        }
        Verb::Suspend { project, reason } => {
            let id = session.project(&project)?;
            session.act(PROJECT, &id, "suspend", Some(Fields::default().with("reason", reason).0.into()))
        }
        Verb::Resume { project } => {
            let id = session.project(&project)?;
            session.act(PROJECT, &id, "resume", None)
        }
        Verb::Export { project } => {
            let id = session.project(&project)?;
            let path = format!("/v1/privacy/projects/{id}");
            write_all("export the project", &path, &[], (Format::Ndjson, &[]), session)?;
            Ok(Exit::Ok)
        }
        Verb::Erase { project } => session.erase("projects", &project, "its keys, and all that was written about them"),
        Verb::Delete { project } => {
            let id = session.project(&project)?;
            session.delete(PROJECT, &id, " with all its keys and activations")
        }
    }
}

const COLUMNS: [Column; 7] = [
    Column::left("ID", |project, _| field(project, "id")),
    Column::left("NAME", |project, _| field(project, "name")),
    Column::left("ENVIRONMENT", |project, _| field(project, "environment")),
    Column::left("STATE", |project, _| field(project, "state")),
    Column::left("LABELS", |project, _| field(project, "labels")),
    Column::left("CONTACT", |project, _| field(project, "contact")),
    Column::left("CREATED", |project, now| away(project, "created_at", now)),
];
