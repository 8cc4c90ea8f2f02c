//! `keystile login`, `join` and `logout`: a person in place of a management key. Passwords and tokens come from the terminal or from
//! standard input, a line each, never from an argument.

use std::io::Read;

use clap::Args;
use keystile_core::id::OrganizationId;
use serde_json::{Value, json};
use ureq::http::Method;

use super::fault::{Exit, Fault};
use super::kept::Kept;
use super::prompt;
use super::screen::Screen;
use super::server::{Payload, Server};
use super::session::Fields;
use super::table::field;
use super::{DEFAULT_SERVER, Global};

/// Who logs in.
#[derive(Debug, Args)]
pub struct Login {
    /// The e-mail address of the account; else it is asked for.
    #[arg(long)]
    email: Option<String>,
    /// Log in by a browser, here or elsewhere, in which you are logged in or log in: no password is typed here.
    #[arg(long, conflicts_with_all = ["email", "organization"])]
    device: bool,
    /// The organization to work in; else the one that the account joined first.
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
}

/// Who joins.
#[derive(Debug, Args)]
pub struct Join {
    /// The e-mail address to log in with; not needed where the invitation names one.
    #[arg(long)]
    email: Option<String>,
    /// What you are called.
    #[arg(long)]
    name: Option<String>,
}

/// What these commands work with.
pub(super) struct Door<'a> {
    pub(super) global: &'a Global,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    pub(super) input: Box<dyn Read + Send>,
    pub(super) screen: &'a mut Screen,
}

impl Door<'_> {
    fn server(&mut self) -> Result<Server, Fault> {
        let url = server_url(self.global, self.env);
        let server = Server::at(&url, None)?;
        if server.is_exposed() {
            self.screen
                .note("warning: the password crosses the network unencrypted; use https:// to reach another machine");
        }
        Ok(server)
    }

    /// Logs in and keeps the session for the commands that follow.
    pub(super) fn login(mut self, ask: Login) -> Result<Exit, Fault> {
        let server = self.server()?;
        let kept = Kept::new(self.env)?;
        if ask.device {
            return self.login_by_browser(&server, &kept);
        }
        let email = match ask.email {
            Some(email) => email,
            None => prompt::line(self.screen, &mut self.input, "E-mail address")?.trim().to_owned(),
        };
        let password = prompt::hidden(self.screen, &mut self.input, "Password")?;
        self.enter(&server, &kept, &email, &password, ask.organization)
    }

    /// Logs in with a password.
    fn enter(
        &mut self,
        server: &Server,
        kept: &Kept,
        email: &str,
        password: &str,
        organization: Option<OrganizationId>,
    ) -> Result<Exit, Fault> {
        let fields = Fields::default()
            .with("email", Some(email))
            .with("password", Some(password))
            .with("organization_id", organization.map(|id| id.to_string()));
        let mut body = Value::Object(fields.0);
        let send = |body: &Value| server.send("log in", Method::POST, "/v1/login", &[], &Payload::Json(body));
        let answer = with_factor(self.screen, &mut self.input, &mut body, send)?;
        self.entered(server, kept, answer)
    }

    /// Shows a code, and waits until somebody has typed it in a browser (RFC 8628).
    fn login_by_browser(&mut self, server: &Server, kept: &Kept) -> Result<Exit, Fault> {
        let path = "/v1/device/authorize";
        let waiting = server.send("begin to log in", Method::POST, path, &[], &Payload::Nothing)?;
        let (code, page) = (field(&waiting, "user_code"), field(&waiting, "verification_path_complete"));
        self.screen.complain(&format!("Open {}{page} and let this device in. It shows {code}.", server.base()));
        let body = json!({ "device_code": waiting["device_code"] });
        let mut pause = waiting["interval"].as_u64().unwrap_or(5).max(1);
        loop {
            std::thread::sleep(std::time::Duration::from_secs(pause));
            match server.send("log in", Method::POST, "/v1/device/token", &[], &Payload::Json(&body)) {
                Ok(answer) => return self.entered(server, kept, answer),
                Err(fault) if fault.is("authorization_pending") => {}
                Err(fault) if fault.is("slow_down") => pause += 5,
                Err(fault) => return Err(fault),
            }
        }
    }

    fn entered(&mut self, server: &Server, kept: &Kept, mut answer: Value) -> Result<Exit, Fault> {
        let token = answer.get_mut("token").map(Value::take);
        let Some(token) = token.as_ref().and_then(Value::as_str) else {
            return Err(Fault::new(
                Exit::Failure,
                "could not log in",
                "the answer has no token",
                "check that the URL is that of a Keystile management API",
            ));
        };
        kept.keep(server.base(), token)?;
        if self.global.json {
            if let Some(fields) = answer.as_object_mut() {
                fields.remove("token");
            }
            self.screen.out(&format!("{answer}\n"));
        } else if self.global.quiet {
            self.screen.out(&format!("{}\n", field(&answer, "account_id")));
        } else {
            let (name, role) = (field(&answer, "organization_name"), field(&answer, "role"));
            self.screen.out(&format!("logged in at {} as {role} of {name}\n", server.base()));
        }
        Ok(Exit::Ok)
    }

    /// Accepts an invitation, and logs in.
    pub(super) fn join(mut self, ask: Join) -> Result<Exit, Fault> {
        let server = self.server()?;
        let kept = Kept::new(self.env)?;
        let pasted = prompt::hidden(self.screen, &mut self.input, "Invitation (its link, or what follows the #)")?;
        let token = pasted.trim();
        let token = token.rsplit_once('#').map_or(token, |(_, token)| token);
        let password = prompt::new_password(self.screen, &mut self.input)?;
        let fields = Fields::default()
            .with("token", Some(token))
            .with("password", Some(password.as_str()))
            .with("email", ask.email)
            .with("name", ask.name);
        let path = "/v1/invitations/accept";
        let body = Value::Object(fields.0);
        let member = server.send("accept the invitation", Method::POST, path, &[], &Payload::Json(&body))?;
        self.enter(&server, &kept, &field(&member, "email"), &password, None)
    }

    /// Ends the session that is kept for the server.
    pub(super) fn logout(mut self) -> Result<Exit, Fault> {
        let url = server_url(self.global, self.env);
        let kept = Kept::new(self.env)?;
        let base = self.server()?.base().to_owned();
        let Some(token) = kept.token(&base)? else {
            self.screen.note(&format!("nobody is logged in at {base}"));
            return Ok(Exit::Ok);
        };
        let server = Server::at(&url, Some(token))?;
        let ended = server.send("log out", Method::POST, "/v1/logout", &[], &Payload::Json(&json!({})));
        match ended {
            // It is over in any case.
            Ok(_) | Err(Fault { exit: Exit::Authentication, .. }) => {
                kept.forget(&base)?;
                self.screen.note(&format!("logged out at {base}"));
                Ok(Exit::Ok)
            }
            Err(fault) => Err(fault),
        }
    }
}

/// Sends what proves who somebody is; where a second factor is asked for, that is asked for here and sent too.
pub(super) fn with_factor(
    screen: &mut Screen,
    input: &mut dyn Read,
    body: &mut Value,
    send: impl Fn(&Value) -> Result<Value, Fault>,
) -> Result<Value, Fault> {
    match send(body) {
        Err(fault) if fault.is("second_factor_required") => {
            let code = prompt::hidden(screen, input, "Code of your app, or a recovery code")?;
            body["code"] = code.as_str().into();
            send(body)
        }
        sent => sent,
    }
}

/// Where the server is.
pub(super) fn server_url(global: &Global, env: &dyn Fn(&str) -> Option<String>) -> String {
    global.server.clone().or_else(|| env("KEYSTILE_URL")).unwrap_or_else(|| DEFAULT_SERVER.to_owned())
}
