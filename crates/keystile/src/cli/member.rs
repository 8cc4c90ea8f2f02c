//! `keystile member …`: the people of an organization.

use clap::Subcommand;
use keystile_core::id::{MemberId, SessionId};
use serde_json::Value;
use ureq::http::Method;

use super::account::SESSIONS;
use super::fault::{Exit, Fault};
use super::server::Payload;
use super::session::{Fields, MEMBER, Session};
use super::table::{Column, away, field};

/// What to do with members.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the members, newest first.
    List,
    /// Show one member.
    Show {
        /// Its id, or the e-mail address.
        member: String,
    },
    /// Give a member another role.
    Update {
        /// Its id, or the e-mail address.
        member: String,
        /// The role: owner, admin, developer, support, auditor, consumer_admin, consumer_developer, or one of your own.
        #[arg(long)]
        role: String,
    },
    /// Take a member away.
    Delete {
        /// Its id, or the e-mail address.
        member: String,
    },
    /// Print all that is kept here about a member.
    Export {
        /// Its id, or the e-mail address.
        member: String,
    },
    /// Take a member away and erase the account for ever.
    Erase {
        /// Its id, or the e-mail address.
        member: String,
    },
    /// Make a link by which a member chooses a new password.
    ResetPassword {
        /// Its id, or the e-mail address.
        member: String,
    },
    /// Take the second factor from a member who lost it.
    RemoveFactors {
        /// Its id, or the e-mail address.
        member: String,
    },
    /// List who is logged in.
    Sessions,
    /// End a session.
    EndSession {
        /// Its id.
        id: SessionId,
    },
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List => session.list(MEMBER, &[], &MEMBERS),
        Verb::Show { member } => {
            let id = find(session, &member)?;
            session.show(MEMBER, &id)
        }
        Verb::Update { member, role } => {
            let id = find(session, &member)?;
            session.update(MEMBER, &id, Fields::default().with("role", Some(role)).0)
        }
        Verb::Delete { member } => {
            let id = find(session, &member)?;
            session.delete(MEMBER, &id, ", whose sessions end")
        }
        Verb::Export { member } => {
            let id = find(session, &member)?;
            let all = session.server.get("export the member", &format!("/v1/privacy/members/{id}"), &[])?;
            session.screen.out(&format!("{all}\n"));
            Ok(Exit::Ok)
        }
        Verb::Erase { member } => {
            let id = find(session, &member)?;
            session.erase("members", &id, "the account, with address, name and all that lets it in")
        }
        Verb::ResetPassword { member } => {
            let id = find(session, &member)?;
            let path = format!("/v1/members/{id}/reset_password");
            let link = session.server.send("make a link", Method::POST, &path, &[], &Payload::Nothing)?;
            linked(session, &link);
            Ok(Exit::Ok)
        }
        Verb::RemoveFactors { member } => {
            let id = find(session, &member)?;
            session.confirm(&format!("Let the password of {member} be all that is asked for?"))?;
            let path = format!("/v1/members/{id}/remove_factors");
            session.server.send("remove the second factor", Method::POST, &path, &[], &Payload::Nothing)?;
            session.screen.note(&format!("removed; the sessions of {member} have ended"));
            Ok(Exit::Ok)
        }
        Verb::Sessions => session.list_at("sessions", "/v1/sessions", &[], &SESSIONS),
        Verb::EndSession { id } => {
            let path = format!("/v1/sessions/{id}");
            session.server.send("end the session", Method::DELETE, &path, &[], &Payload::Nothing)?;
            session.screen.note(&format!("ended {id}"));
            Ok(Exit::Ok)
        }
    }
}

/// The member of this id or address.
fn find(session: &Session<'_>, text: &str) -> Result<MemberId, Fault> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let what = format!("find the member `{text}`");
    let page = session.server.get(&what, MEMBER.path, &[("email", text)])?;
    let id = page["items"][0]["id"].as_str().and_then(|id| id.parse().ok());
    id.ok_or_else(|| {
        Fault::new(
            Exit::NotFound,
            format!("could not {what}"),
            "no member has this id or e-mail address",
            "look at `keystile member list`",
        )
    })
}

/// A link that was made: for people with the address of the server before it, for scripts alone.
pub(super) fn linked(session: &mut Session<'_>, made: &Value) {
    if session.global.json {
        session.screen.out(&format!("{made}\n"));
        return;
    }
    let path = field(made, "path");
    let base = session.server.base().to_owned();
    session.screen.out(&format!("{base}{path}\n"));
    session.screen.note(&format!(
        "Send that link only to whom it is for: it works once, until {}. It is shown this one time.",
        field(made, "expires_at")
    ));
}

const MEMBERS: [Column; 5] = [
    Column::left("ID", |member, _| field(member, "id")),
    Column::left("E-MAIL", |member, _| field(member, "email")),
    Column::left("NAME", |member, _| field(member, "name")),
    Column::left("ROLE", |member, _| field(member, "role")),
    Column::left("JOINED", |member, now| away(member, "created_at", now)),
];
