//! `keystile activation …`

use clap::Subcommand;
use keystile_core::id::ActivationId;
use serde_json::{Value, json};

use super::fault::{Exit, Fault};
use super::session::{ACTIVATION, Fields, Session};
use super::table::{Column, away, field};

/// What to do with activations.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the activations, newest first.
    List {
        /// Only those of this project, by id or name.
        #[arg(long)]
        project: Option<String>,
        /// Only those of this API, by id or name.
        #[arg(long)]
        api: Option<String>,
        /// Only those in this state.
        #[arg(long, value_parser = ["requested", "approved", "suspended", "refused"])]
        state: Option<String>,
    },
    /// Let a project call an API, or ask its owner for that.
    Create {
        /// The project, by id or name.
        #[arg(long)]
        project: String,
        /// The API, by id or name.
        #[arg(long)]
        api: String,
    },
    /// Show one activation.
    Show {
        /// Its id.
        id: ActivationId,
    },
    /// Let the project call.
    Approve {
        /// Its id.
        id: ActivationId,
    },
    /// Stop the project for now.
    Suspend {
        /// Its id.
        id: ActivationId,
        /// Why, for the project to read.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Turn a request down.
    Refuse {
        /// Its id.
        id: ActivationId,
        /// Why, for the project to read.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Delete an activation; the project can't call the API any more.
    Delete {
        /// Its id.
        id: ActivationId,
    },
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List { project, api, state } => {
            let project = project.map(|text| session.project(&text)).transpose()?.map(|id| id.to_string());
            let api = api.map(|text| session.api(&text)).transpose()?.map(|id| id.to_string());
            let query = [("project_id", &project), ("api_id", &api), ("state", &state)];
            let query: Vec<(&str, &str)> =
                query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
            session.list(ACTIVATION, &query, &COLUMNS)
        }
        Verb::Create { project, api } => {
            let (project, api) = (session.project(&project)?, session.api(&api)?);
            let fields =
                Fields::default().with("project_id", Some(project.to_string())).with("api_id", Some(api.to_string()));
            session.create(ACTIVATION, fields.0)
        }
        Verb::Show { id } => session.show(ACTIVATION, &id),
        Verb::Approve { id } => session.act(ACTIVATION, &id, "approve", None),
        Verb::Suspend { id, reason } => session.act(ACTIVATION, &id, "suspend", Some(because(reason))),
        Verb::Refuse { id, reason } => session.act(ACTIVATION, &id, "refuse", Some(because(reason))),
        Verb::Delete { id } => session.delete(ACTIVATION, &id, ""),
    }
}

fn because(reason: Option<String>) -> Value {
    reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }))
}

const COLUMNS: [Column; 6] = [
    Column::left("ID", |activation, _| field(activation, "id")),
    Column::left("PROJECT", |activation, _| field(activation, "project_id")),
    Column::left("API", |activation, _| field(activation, "api_id")),
    Column::left("STATE", |activation, _| field(activation, "state")),
    Column::left("CHANGED", |activation, now| away(activation, "updated_at", now)),
    Column::left("REASON", |activation, _| field(activation, "reason")),
];
