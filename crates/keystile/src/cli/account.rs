//! `keystile account …`: one's own account, for whoever is logged in; and `keystile whoami`.

use clap::Subcommand;
use keystile_core::id::{IdentityId, OrganizationId, PasskeyId, SessionId};
use serde_json::{Value, json};
use ureq::http::Method;

use super::fault::{Exit, Fault};
use super::login::with_factor;
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
    /// Ask for a one-time code of an app with the password from now on.
    AddTotp,
    /// Let the password be all again.
    RemoveTotp,
    /// Get other recovery codes in the place of those that are left.
    RecoveryCodes,
    /// List your passkeys, which a browser adds at /account.
    Passkeys,
    /// Give a passkey another name.
    RenamePasskey {
        /// Its id.
        id: PasskeyId,
        /// What you call it.
        name: String,
    },
    /// Take a passkey away. Other sessions end.
    RemovePasskey {
        /// Its id.
        id: PasskeyId,
    },
    /// List what you are known by at the identity provider, which a browser connects at /account.
    Identities,
    /// Be known by one of them no longer. Other sessions end.
    RemoveIdentity {
        /// Its id.
        id: IdentityId,
    },
    /// Give the password up: your passkeys alone let you in from now on. Other sessions end.
    RemovePassword,
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
    /// Print all that is kept about you.
    Export,
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
            if !has_password(session)? {
                let (what, why) = ("prove who you are here", "you have no password");
                return Err(Fault::usage(what, why, "run `keystile login --device`, and let it in with a passkey"));
            }
            let password = prompt::hidden(session.screen, &mut session.input, "Password")?;
            let body = json!({ "password": *password });
            renewed(session, "prove who you are", "/v1/account/prove", body)
        }
        Verb::Password => {
            let current = match has_password(session)? {
                true => Some(prompt::hidden(session.screen, &mut session.input, "Present password")?),
                false => None,
            };
            let fresh = prompt::new_password(session.screen, &mut session.input)?;
            let mut body = json!({ "password": *fresh });
            if let Some(current) = current {
                body["current"] = current.as_str().into();
            }
            renewed(session, "change the password", "/v1/account/password", body)
        }
        Verb::Switch { organization } => {
            let body = json!({ "organization_id": organization });
            renewed(session, "switch to that organization", "/v1/account/switch", body)
        }
        Verb::AddTotp => {
            let path = "/v1/account/totp";
            let offer = session.server.send("begin with one-time codes", Method::POST, path, &[], &Payload::Nothing)?;
            session.screen.note("Put this into an app that shows one-time codes (or the URI below it, as a picture):");
            session.screen.out(&format!("{}\n{}\n", field(&offer, "secret"), field(&offer, "uri")));
            let code = prompt::line(session.screen, &mut session.input, "The code that it shows")?;
            let body = json!({ "code": code.trim() });
            let path = "/v1/account/totp/confirm";
            let codes = session.server.send("confirm the code", Method::POST, path, &[], &Payload::Json(&body))?;
            tell_codes(session, &codes);
            Ok(Exit::Ok)
        }
        Verb::RemoveTotp => {
            session.confirm("Let the password be all that is asked for?")?;
            let path = "/v1/account/totp";
            session.server.send("remove the one-time codes", Method::DELETE, path, &[], &Payload::Nothing)?;
            session.screen.note("the password is all from now on; other sessions have ended");
            Ok(Exit::Ok)
        }
        Verb::RecoveryCodes => {
            let path = "/v1/account/recovery_codes";
            let codes = session.server.send("get recovery codes", Method::POST, path, &[], &Payload::Nothing)?;
            tell_codes(session, &codes);
            Ok(Exit::Ok)
        }
        Verb::Passkeys => session.list_at("passkeys", "/v1/account/passkeys", &[], &PASSKEYS),
        Verb::RenamePasskey { id, name } => {
            let path = format!("/v1/account/passkeys/{id}");
            let body = Payload::Json(&json!({ "name": name }));
            let passkey = session.server.send("rename the passkey", Method::PATCH, &path, &[], &body)?;
            session.print(&passkey);
            Ok(Exit::Ok)
        }
        Verb::RemovePasskey { id } => {
            session.confirm("Take this passkey away?")?;
            let path = format!("/v1/account/passkeys/{id}");
            session.server.send("take the passkey away", Method::DELETE, &path, &[], &Payload::Nothing)?;
            session.screen.note("it lets nobody in any more; other sessions have ended");
            Ok(Exit::Ok)
        }
        Verb::Identities => session.list_at("identities", "/v1/account/identities", &[], &IDENTITIES),
        Verb::RemoveIdentity { id } => {
            session.confirm("Be known by it no longer?")?;
            let path = format!("/v1/account/identities/{id}");
            session.server.send("take the identity away", Method::DELETE, &path, &[], &Payload::Nothing)?;
            session.screen.note("it lets nobody in any more; other sessions have ended");
            Ok(Exit::Ok)
        }
        Verb::RemovePassword => {
            session.confirm("Give the password up?")?;
            let path = "/v1/account/password";
            session.server.send("give the password up", Method::DELETE, path, &[], &Payload::Nothing)?;
            session.screen.note("your passkeys alone let you in from now on; other sessions have ended");
            Ok(Exit::Ok)
        }
        Verb::Rename { name } => {
            let body = json!({ "name": name });
            let what = "change your name";
            let me = session.server.send(what, Method::PATCH, "/v1/account", &[], &Payload::Json(&body))?;
            tell(session, me);
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
        Verb::Export => {
            let all = session.server.get("export your account", "/v1/account/export", &[])?;
            session.screen.out(&format!("{all}\n"));
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

/// Whether whoever is logged in has a password.
fn has_password(session: &mut Session<'_>) -> Result<bool, Fault> {
    let me = session.server.get("ask who you are", "/v1/whoami", &[])?;
    Ok(me["account"]["has_password"] != json!(false))
}

/// Does something by which the session gets another token, and keeps that.
fn renewed(session: &mut Session<'_>, what: &str, path: &str, mut body: Value) -> Result<Exit, Fault> {
    let server = &session.server;
    let send = |body: &Value| server.send(what, Method::POST, path, &[], &Payload::Json(body));
    let mut answer = with_factor(session.screen, &mut session.input, &mut body, send)?;
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

fn tell_codes(session: &mut Session<'_>, answer: &Value) {
    if session.global.json {
        session.screen.out(&format!("{answer}\n"));
        return;
    }
    session.screen.note("Recovery codes: each will do once in place of the app's. They are shown this one time.");
    for code in answer["recovery_codes"].as_array().into_iter().flatten() {
        session.screen.out(&format!("{}\n", code.as_str().unwrap_or_default()));
    }
}

pub(super) fn whoami(session: &mut Session<'_>) -> Result<Exit, Fault> {
    let me = session.server.get("ask who you are", "/v1/whoami", &[])?;
    tell(session, me);
    Ok(Exit::Ok)
}

/// Who somebody is: programs get the answer as it is, people and scripts what is inside of it beside the rest.
fn tell(session: &mut Session<'_>, mut me: Value) {
    if !session.global.json
        && let Some(fields) = me.as_object_mut()
    {
        let key = fields.get("key_id").cloned().unwrap_or_default();
        match fields.remove("account") {
            Some(Value::Object(mut account)) => {
                let all = account.remove("organizations").unwrap_or_default();
                let at = |one: &Value| format!("{} ({})", field(one, "name"), field(one, "role"));
                let all: Vec<String> = all.as_array().into_iter().flatten().map(at).collect();
                fields.extend(account);
                fields.insert("organizations".to_owned(), all.join(", ").into());
            }
            _ => drop(fields.insert("id".to_owned(), key)),
        }
        fields.retain(|_, value| !value.is_null());
    }
    session.print(&me);
}

/// Columns of a list of passkeys.
const PASSKEYS: [Column; 4] = [
    Column::left("ID", |passkey, _| field(passkey, "id")),
    Column::left("NAME", |passkey, _| field(passkey, "name")),
    Column::left("ADDED", |passkey, now| away(passkey, "created_at", now)),
    Column::left("USED", |passkey, now| away(passkey, "used_at", now)),
];

/// Columns of a list of identities.
const IDENTITIES: [Column; 4] = [
    Column::left("ID", |identity, _| field(identity, "id")),
    Column::left("PROVIDER", |identity, _| field(identity, "issuer")),
    Column::left("KNOWN AS", |identity, _| field(identity, "subject")),
    Column::left("USED", |identity, now| away(identity, "used_at", now)),
];

/// Columns of a list of sessions.
pub(super) const SESSIONS: [Column; 6] = [
    Column::left("ID", |session, _| field(session, "id")),
    Column::left("ACCOUNT", |session, _| field(session, "account_id")),
    Column::left("FROM", |session, _| field(session, "address")),
    Column::left("PROGRAM", |session, _| field(session, "agent")),
    Column::left("SEEN", |session, now| away(session, "seen_at", now)),
    Column::left("ENDS", |session, now| away(session, "ends_at", now)),
];
