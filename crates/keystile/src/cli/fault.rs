//! Failures of the command line: what, why, what to do, and the exit code that scripts rely on.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::screen::{Screen, harmless};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Not done, for a reason that no other code says.
    Failure = 1,
    /// The command was given wrongly.
    Usage = 2,
    /// Done, and something was found: a refused key, a failed check.
    Findings = 3,
    /// Who are you?
    Authentication = 4,
    /// No such thing.
    NotFound = 5,
    /// It does not fit with what is there.
    Conflict = 6,
    /// The server could not be reached or is not ready.
    Network = 7,
    /// You may not.
    Permission = 8,
    /// Not so fast.
    RateLimited = 9,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub(super) exit: Exit,
    pub(super) what: String,
    pub(super) why: String,
    pub(super) todo: String,
    /// The server's own words, for `--json`.
    pub(super) problem: Option<Value>,
}

impl Fault {
    pub(super) fn new(exit: Exit, what: impl Into<String>, why: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { exit, what: what.into(), why: why.into(), todo: todo.into(), problem: None }
    }

    /// The command was given wrongly.
    pub(super) fn usage(what: impl Into<String>, why: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what, why, todo)
    }

    /// Whether the server said no for this reason.
    pub(super) fn is(&self, code: &str) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem["code"] == code)
    }

    /// The server said no. `what` is the end of "could not …".
    pub(super) fn refused(what: &str, status: u16, problem: Option<Value>, retry_after: Option<&str>) -> Self {
        let field = |name: &str| problem.as_ref().and_then(|p| p.get(name)).and_then(Value::as_str).unwrap_or("");
        let (code, detail, request) = (field("code"), field("detail"), field("request_id"));
        let exit = match status {
            400 | 422 => Exit::Usage,
            401 => Exit::Authentication,
            403 => Exit::Permission,
            404 => Exit::NotFound,
            409 => Exit::Conflict,
            429 => Exit::RateLimited,
            502..=504 => Exit::Network,
            _ => Exit::Failure,
        };
        let todo = match exit {
            _ if code == "session_ended" => "log in again with `keystile login`".to_owned(),
            _ if matches!(code, "access_denied" | "expired_token") => {
                "begin again with `keystile login --device`".to_owned()
            }
            _ if code == "login_failed" => "check the address and the password".to_owned(),
            _ if code == "step_up_required" => "prove it with `keystile account prove`".to_owned(),
            _ if code == "session_required" => "log in with `keystile login`, and give no management key".to_owned(),
            Exit::Authentication => {
                "put a management key that is in force into KEYSTILE_MANAGEMENT_KEY, or its file into --key-file"
                    .to_owned()
            }
            Exit::Permission => "use a management key that may do this, or ask its owner".to_owned(),
            Exit::NotFound => "check the id, name or link; `list` of its noun says what there is".to_owned(),
            Exit::Conflict => "look at the present state (`show`, `status`), then decide".to_owned(),
            Exit::RateLimited => match retry_after {
                Some(seconds) => format!("try again in {} s", harmless(seconds)),
                None => "try again in a moment".to_owned(),
            },
            Exit::Network => "try again in a moment; if it stays so, look at the server's log".to_owned(),
            Exit::Usage => "correct the value and try again".to_owned(),
            Exit::Ok | Exit::Failure | Exit::Findings if problem.is_none() => {
                "check that the URL is that of a Keystile management API".to_owned()
            }
            Exit::Ok | Exit::Failure | Exit::Findings => {
                format!("look at the server's log{}", if request.is_empty() { "" } else { " for this request" })
            }
        };
        let mut why = match (code, detail) {
            ("", "") => format!("the server answered {status}"),
            (code, "") => format!("the server answered {status} ({code})"),
            ("", detail) => detail.to_owned(),
            (code, detail) => format!("{detail} ({code})"),
        };
        if !request.is_empty() {
            why.push_str(&format!(" [{request}]"));
        }
        Self { problem, ..Self::new(exit, format!("could not {what}"), why, todo) }
    }

    /// Three lines for people, or the problem for programs.
    pub(super) fn tell(&self, screen: &mut Screen, as_json: bool) {
        if as_json {
            let problem = self.problem.clone().unwrap_or_else(|| {
                json!({
                    "type": "about:blank",
                    "title": self.what,
                    "detail": format!("{}; {}", self.why, self.todo),
                    "code": self.code(),
                })
            });
            screen.complain(&problem.to_string());
        } else {
            let label = screen.red("error:");
            screen.complain(&format!(
                "{label} {}\n  why: {}\n  fix: {}",
                harmless(&self.what),
                harmless(&self.why),
                harmless(&self.todo)
            ));
        }
    }

    /// For failures of which the server knows nothing.
    const fn code(&self) -> &'static str {
        match self.exit {
            Exit::Ok | Exit::Failure => "failure",
            Exit::Usage => "usage",
            Exit::Findings => "findings",
            Exit::Authentication => "authentication_needed",
            Exit::NotFound => "not_found",
            Exit::Conflict => "conflict",
            Exit::Network => "unreachable",
            Exit::Permission => "permission_missing",
            Exit::RateLimited => "rate_limited",
        }
    }
}
