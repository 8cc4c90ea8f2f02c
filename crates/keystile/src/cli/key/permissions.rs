//! `keystile key permissions`: what a key was granted, and what of it was used.

use clap::Args;
use serde_json::Value;

use super::{Exit, Fault, KEY, Session, Which, field};
use crate::cli::table::{Table, away};
use crate::cli::values::{When, when};

/// Operations that people are shown for a permission; `--json` has more.
const SHOWN: usize = 3;

/// What a key was granted and used.
#[derive(Debug, Args)]
pub struct Permissions {
    #[command(flatten)]
    which: Which,
    /// Since when: 7d, 24h, 2027-01-31; 30 days ago unless given.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<When>,
}

pub(super) fn permissions(ask: &Permissions, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let id = ask.which.find(session)?;
    let since = ask.since.map(|since| since.seen_from(session.now()).to_string());
    let query: Vec<(&str, &str)> = since.as_deref().map(|since| ("since", since)).into_iter().collect();
    let what = format!("read what {id} was granted");
    let told = session.server.get(&what, &format!("{}/{id}/permissions", KEY.path), &query)?;
    let items = |name: &str| told.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    if session.global.json {
        session.screen.out(&format!("{told}\n"));
        return Ok(Exit::Ok);
    }
    if session.global.quiet {
        // For scripts: what can be taken away.
        let unused = items("unused");
        session.screen.out(&unused.iter().filter_map(Value::as_str).map(|one| format!("{one}\n")).collect::<String>());
        return Ok(Exit::Ok);
    }
    let now = session.now();
    let columns = ["PERMISSION", "FROM", "USED", "LAST", "BY"].map(|title| (title.to_owned(), false));
    let mut table = Table::new(columns);
    let rows: Vec<Vec<String>> = items("permissions")
        .iter()
        .map(|one| {
            let last = away(one, "last_used_at", now);
            vec![field(one, "permission"), sources(one), used(one).to_owned(), last, operations(one)]
        })
        .collect();
    if rows.is_empty() {
        session.screen.note("the key was granted nothing");
    } else {
        table.rows(session.screen, &rows);
    }
    for unknown in items("unknown") {
        let place = unknown.get("api_id").and_then(Value::as_str).map(|api| format!("{api}: ")).unwrap_or_default();
        session.screen.note(&format!("not all is known: {place}{}", field(&unknown, "reason")));
    }
    Ok(Exit::Ok)
}

/// From where a key has a permission.
fn sources(granted: &Value) -> String {
    let own = (granted.get("own") == Some(&Value::Bool(true))).then(|| "the key".to_owned());
    let roles = granted.get("roles").and_then(Value::as_array).cloned().unwrap_or_default();
    let roles = roles.iter().map(|role| format!("role {}", field(role, "name")));
    own.into_iter().chain(roles).collect::<Vec<_>>().join(", ")
}

fn used(granted: &Value) -> &'static str {
    match granted.get("used").and_then(Value::as_bool) {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known",
    }
}

fn operations(granted: &Value) -> String {
    let all = granted.get("operations").and_then(Value::as_array).cloned().unwrap_or_default();
    let shown = all.iter().take(SHOWN).map(|one| field(one, "operation"));
    let more = all.len().checked_sub(SHOWN).filter(|more| *more > 0).map(|more| format!("{more} more"));
    let text = shown.chain(more).collect::<Vec<_>>().join(", ");
    if text.is_empty() { "-".to_owned() } else { text }
}
