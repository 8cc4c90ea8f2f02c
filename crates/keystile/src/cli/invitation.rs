//! `keystile invitation …`: how people become members.

use clap::{Args, Subcommand};
use keystile_core::id::{InvitationId, OrganizationId};
use serde_json::Value;
use ureq::http::Method;

use super::fault::{Exit, Fault};
use super::member::linked;
use super::server::Payload;
use super::session::{Fields, INVITATION, Session};
use super::table::{Column, away, field};

/// What to do with invitations.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List who was invited, newest first.
    List,
    /// Invite somebody; prints the link, this one time.
    Create(Invite),
    /// Show one invitation.
    Show {
        /// Its id.
        id: InvitationId,
    },
    /// Take an invitation back.
    Withdraw {
        /// Its id.
        id: InvitationId,
    },
}

/// Who is invited, and as what.
#[derive(Debug, Args)]
pub struct Invite {
    /// The role: owner, admin, developer, support, auditor, consumer_admin, consumer_developer, or one of your own.
    #[arg(long)]
    role: String,
    /// Only an account with this e-mail address can accept it.
    #[arg(long)]
    email: Option<String>,
    /// For how many hours it is good; a week unless something else is said.
    #[arg(long, value_name = "HOURS")]
    hours: Option<u32>,
    /// Invite the first member of another organization; for whoever runs the installation.
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List => session.list(INVITATION, &[], &INVITATIONS),
        Verb::Create(ask) => {
            let fields = Fields::default()
                .with("role", Some(ask.role))
                .with("email", ask.email)
                .with("expires_in_hours", ask.hours)
                .with("organization_id", ask.organization.map(|id| id.to_string()));
            let body = Value::Object(fields.0);
            let path = INVITATION.path;
            let made = session.server.send("invite somebody", Method::POST, path, &[], &Payload::Json(&body))?;
            linked(session, &made);
            Ok(Exit::Ok)
        }
        Verb::Show { id } => session.show(INVITATION, &id),
        Verb::Withdraw { id } => {
            let path = format!("{}/{id}", INVITATION.path);
            session.server.send("withdraw the invitation", Method::DELETE, &path, &[], &Payload::Nothing)?;
            session.screen.note(&format!("withdrawn {id}"));
            Ok(Exit::Ok)
        }
    }
}

const INVITATIONS: [Column; 5] = [
    Column::left("ID", |one, _| field(one, "id")),
    Column::left("E-MAIL", |one, _| field(one, "email")),
    Column::left("ROLE", |one, _| field(one, "role")),
    Column::left("STATE", |one, _| field(one, "state")),
    Column::left("EXPIRES", |one, now| away(one, "expires_at", now)),
];
