//! `keystile account …`: one's own account, for whoever is logged in; and `keystile whoami`.

use clap::Subcommand;
use keystile_core::id::{OrganizationId, SessionId};
use serde_json::{Value, json};
use ureq::http::Method;

use super::fault::{Exit, Fault};
use super::prompt;
use super::server::Payload;
use super::session::Session;
use super::table::{Column, away, field};

/// What to do with one's own account.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Prove once more who you are, before something dangerous.
    Prove,
    /// Choose another password. All other sessions end.
    Password,
    /// Say what you are called.
    Rename {
        /// Your name.
        name: String,
    },
    /// Go on in another organization that you are a member of.
    Switch {
        /// Its id; `keystile whoami` lists yours.
        organization: OrganizationId,
    },
    /// Become a member of another organization, by an invitation.
    Join,
    /// List your sessions.
    Sessions,
    /// End one of your sessions.
    EndSession {
        /// Its id.
        id: SessionId,
    },
    /// End all your sessions but this one.
    EndOthers,
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::Prove => {
            let password = prompt::hidden(session.screen, &mut session.input, "Password")?;
            let body = json!({ "password": *password });
            renewed(session, "prove who you are", "/v1/account/prove", &body)
        }
        Verb::Password => {
            let current = prompt::hidden(session.screen, &mut session.input, "Present password")?;
            let fresh = prompt::new_password(session.screen, &mut session.input)?;
            let body = json!({ "current": *current, "password": *fresh });
            renewed(session, "change the password", "/v1/account/password", &body)
        }
        Verb::Switch { organization } => {
            let body = json!({ "organization_id": organization });
            renewed(session, "switch to that organization", "/v1/account/switch", &body)
        }
        Verb::Rename { name } => {
            let body = json!({ "name": name });
            let what = "change your name";
            let me = session.server.send(what, Method::PATCH, "/v1/account", &[], &Payload::Json(&body))?;
            session.print(&told(me));
            Ok(Exit::Ok)
        }
        Verb::Join => {
            let pasted = prompt::hidden(session.screen, &mut session.input, "Invitation")?;
            let token = pasted.trim();
            let token = token.rsplit_once('#').map_or(token, |(_, token)| token);
            let body = json!({ "token": token });
            let what = "accept the invitation";
            let member = session.server.send(what, Method::POST, "/v1/account/join", &[], &Payload::Json(&body))?;
            session.print(&member);
            Ok(Exit::Ok)
        }
        Verb::Sessions => session.list_at("sessions", "/v1/account/sessions", &[], &SESSIONS),
        Verb::EndSession { id } => {
            let path = format!("/v1/account/sessions/{id}");
            session.server.send("end the session", Method::DELETE, &path, &[], &Payload::Nothing)?;
            session.screen.note(&format!("ended {id}"));
            Ok(Exit::Ok)
        }
        Verb::EndOthers => {
            let path = "/v1/account/sessions/end_others";
            session.server.send("end your other sessions", Method::POST, path, &[], &Payload::Nothing)?;
            session.screen.note("your other sessions have ended");
            Ok(Exit::Ok)
        }
    }
}

/// Does something by which the session gets another token, and keeps that.
fn renewed(session: &mut Session<'_>, what: &str, path: &str, body: &Value) -> Result<Exit, Fault> {
    let mut answer = session.server.send(what, Method::POST, path, &[], &Payload::Json(body))?;
    let token = answer.as_object_mut().and_then(|fields| fields.remove("token"));
    if let (Some(kept), Some(token)) = (&session.kept, token.as_ref().and_then(Value::as_str)) {
        kept.keep(session.server.base(), token)?;
    }
    if session.global.json {
        session.screen.out(&format!("{answer}\n"));
    } else {
        let until = field(&answer, "until");
        session.screen.note(&if until == "-" { "done".to_owned() } else { format!("done; proven until {until}") });
    }
    Ok(Exit::Ok)
}

pub(super) fn whoami(session: &mut Session<'_>) -> Result<Exit, Fault> {
    let me = session.server.get("ask who you are", "/v1/whoami", &[])?;
    session.print(&told(me));
    Ok(Exit::Ok)
}

/// Who somebody is, with what is inside of it beside the rest for people to read.
fn told(mut me: Value) -> Value {
    let Some(fields) = me.as_object_mut() else { return me };
    if let Some(id) = fields.get("key_id").filter(|id| !id.is_null()).cloned() {
        fields.insert("id".to_owned(), id);
    }
    let account = fields.get("account").cloned().unwrap_or_default();
    if let Some(account) = account.as_object() {
        for (name, value) in [("id", "id"), ("email", "email"), ("name", "name")] {
            fields.insert(name.to_owned(), account.get(value).cloned().unwrap_or_default());
        }
    }
    me
}

/// Columns of a list of sessions.
pub(super) const SESSIONS: [Column; 6] = [
    Column::left("ID", |session, _| field(session, "id")),
    Column::left("ACCOUNT", |session, _| field(session, "account_id")),
    Column::left("FROM", |session, _| field(session, "address")),
    Column::left("PROGRAM", |session, _| field(session, "agent")),
    Column::left("SEEN", |session, now| away(session, "seen_at", now)),
    Column::left("ENDS", |session, now| away(session, "ends_at", now)),
];
