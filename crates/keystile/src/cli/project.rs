//! `keystile project …`

use clap::{Args, Subcommand};
use keystile_core::key::Environment;

use super::fault::{Exit, Fault};
use super::session::{Fields, PROJECT, Session};
use super::table::{Column, away, field};

/// What to do with projects.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the projects, newest first.
    List,
    /// Make a project.
    Create(Create),
    /// Show one project.
    Show {
        /// Its id or name.
        project: String,
    },
    /// Change a project.
    Update(Update),
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
}

#[derive(Debug, Args)]
struct Texts {
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whom to ask about it.
    #[arg(long, value_name = "TEXT")]
    contact: Option<String>,
}

impl Texts {
    fn fields(self) -> Fields {
        Fields::default().with("description", self.description).with("contact", self.contact)
    }
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List => session.list(PROJECT, &[], &COLUMNS),
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
            session.update(PROJECT, &id, ask.texts.fields().with("name", ask.name).0)
        }
        Verb::Delete { project } => {
            let id = session.project(&project)?;
            session.delete(PROJECT, &id, " with all its keys and activations")
        }
    }
}

const COLUMNS: [Column; 5] = [
    Column::left("ID", |project, _| field(project, "id")),
    Column::left("NAME", |project, _| field(project, "name")),
    Column::left("ENVIRONMENT", |project, _| field(project, "environment")),
    Column::left("CONTACT", |project, _| field(project, "contact")),
    Column::left("CREATED", |project, now| away(project, "created_at", now)),
];
