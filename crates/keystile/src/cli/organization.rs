//! `keystile organization …`: tenants.

use clap::Subcommand;
use keystile_core::id::OrganizationId;
use keystile_core::member::OrganizationKind;
use serde_json::json;

use super::fault::{Exit, Fault};
use super::session::{Fields, ORGANIZATION, Session};
use super::table::{Column, away, field};

/// What to do with organizations.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the organizations, newest first.
    List,
    /// Make an organization; for whoever runs the installation.
    Create {
        /// Its name.
        #[arg(long)]
        name: String,
        /// What it is there for: consumer calls APIs, owner publishes them.
        #[arg(long, default_value = "consumer")]
        kind: OrganizationKind,
    },
    /// Show one organization.
    Show {
        /// Its id.
        id: OrganizationId,
    },
    /// Give an organization another name.
    Update {
        /// Its id.
        id: OrganizationId,
        /// Its name.
        #[arg(long)]
        name: String,
    },
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List => session.list(ORGANIZATION, &[], &ORGANIZATIONS),
        Verb::Create { name, kind } => {
            let fields = json!({ "name": name, "kind": kind });
            session.create(ORGANIZATION, fields.as_object().cloned().unwrap_or_default())
        }
        Verb::Show { id } => session.show(ORGANIZATION, &id),
        Verb::Update { id, name } => session.update(ORGANIZATION, &id, Fields::default().with("name", Some(name)).0),
    }
}

const ORGANIZATIONS: [Column; 4] = [
    Column::left("ID", |one, _| field(one, "id")),
    Column::left("NAME", |one, _| field(one, "name")),
    Column::left("KIND", |one, _| field(one, "kind")),
    Column::left("MADE", |one, now| away(one, "created_at", now)),
];
