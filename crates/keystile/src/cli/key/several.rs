//! `keystile key disable`, `enable`, `revoke` and `delete`: of one key or of several.

use clap::Args;
use keystile_core::id::KeyId;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::cli::fault::{Exit, Fault};
use crate::cli::server::Payload;
use crate::cli::session::{KEY, Session};
use crate::cli::table::field;

/// Keys, one or several.
#[derive(Debug, Args)]
pub struct Several {
    /// Their ids or names; at most 1,000.
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    /// Look for names in this project only.
    #[arg(long)]
    project: Option<String>,
    /// Only say what would be done, and what would be refused.
    #[arg(long)]
    dry_run: bool,
}

impl Several {
    fn find(&self, session: &Session<'_>) -> Result<Vec<KeyId>, Fault> {
        let project = self.project.as_deref().map(|text| session.project(text)).transpose()?;
        self.keys.iter().map(|text| session.key(text, project)).collect()
    }
}

/// Does something to them. `warning` is asked first where it ends something: what is done, and what follows.
pub(super) fn act(
    ask: &Several,
    verb: &str,
    warning: Option<(&str, &str)>,
    session: &mut Session<'_>,
) -> Result<Exit, Fault> {
    let ids = ask.find(session)?;
    if let Some((done, follows)) = warning.filter(|_| !ask.dry_run) {
        let which = match ids.as_slice() {
            [id] => format!("the key {id}? Its calls are"),
            several => format!("{} keys? Their calls are", several.len()),
        };
        session.confirm(&format!("{done} {which} {follows}"))?;
    }
    let query: &[(&str, &str)] = if ask.dry_run { &[("dry_run", "true")] } else { &[] };
    match ids.as_slice() {
        [id] if verb == "delete" => {
            let path = format!("{}/{id}", KEY.path);
            session.server.send(&format!("delete the key {id}"), Method::DELETE, &path, query, &Payload::Nothing)?;
            session.screen.note(&match ask.dry_run {
                true => format!("{id} would be deleted"),
                false => format!("deleted {id}; bring it back with `keystile key undelete {id}`"),
            });
            Ok(Exit::Ok)
        }
        [id] => {
            let path = format!("{}/{id}/{verb}", KEY.path);
            let what = format!("{verb} the key {id}");
            let object = session.server.send(&what, Method::POST, &path, query, &Payload::Nothing)?;
            session.print(&object);
            Ok(Exit::Ok)
        }
        several => {
            let body = json!({ "action": verb, "ids": several.iter().map(KeyId::to_string).collect::<Vec<_>>() });
            let path = format!("{}/bulk", KEY.path);
            let what = format!("{verb} the keys");
            let report = session.server.send(&what, Method::POST, &path, query, &Payload::Json(&body))?;
            Ok(tell(&report, session))
        }
    }
}

/// A line for each key; a refused one makes the whole a find, as a refused key does elsewhere.
fn tell(report: &Value, session: &mut Session<'_>) -> Exit {
    if session.global.json {
        session.screen.out(&format!("{report}\n"));
    } else {
        for item in report["items"].as_array().into_iter().flatten() {
            let id = field(item, "id");
            match (item.get("code").is_some(), session.global.quiet) {
                (false, _) => session.screen.out(&format!("{id}\n")),
                (true, _) => session.screen.note(&format!("{id}: {}: {}", field(item, "code"), field(item, "detail"))),
            }
        }
    }
    if report["refused"] == 0 { Exit::Ok } else { Exit::Findings }
}
