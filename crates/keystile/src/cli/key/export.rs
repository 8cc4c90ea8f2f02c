//! `keystile key export`: all keys, without their texts, as they come.

use clap::{Args, ValueEnum};
use keystile_core::key::KeyKind;
use serde_json::Value;

use super::{Exit, Fault, KEY, Session};

/// Which keys, and how they are written.
#[derive(Debug, Args)]
pub struct Ask {
    /// Only those of this project, by id or name.
    #[arg(long)]
    project: Option<String>,
    /// Only those in this state.
    #[arg(long, value_parser = ["active", "disabled", "revoked"])]
    state: Option<String>,
    /// Only those of this kind.
    #[arg(long, value_name = "secret|publishable|management|canary")]
    kind: Option<KeyKind>,
    /// Those that were deleted and can be brought back.
    #[arg(long)]
    deleted: bool,
    /// How they are written.
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
}

/// How keys are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A JSON object a line.
    Ndjson,
    /// A header, then a key a line; what is a list or an object in JSON stands as that in its column.
    Csv,
}

/// The columns of CSV, by the names that they have in JSON.
const COLUMNS: [&str; 24] = [
    "id",
    "project_id",
    "name",
    "kind",
    "environment",
    "hint",
    "state",
    "state_since",
    "exposed_at",
    "expires_at",
    "permissions",
    "roles",
    "patterns",
    "restrictions",
    "rate_limits",
    "labels",
    "metadata",
    "recoverable",
    "version",
    "rotated_at",
    "last_used_at",
    "created_at",
    "updated_at",
    "deleted_at",
];

pub(super) fn run(ask: &Ask, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let project = ask.project.as_deref().map(|text| session.project(text)).transpose()?.map(|id| id.to_string());
    let query = [
        ("project_id", project.as_deref()),
        ("state", ask.state.as_deref()),
        ("kind", ask.kind.map(KeyKind::as_str)),
        ("deleted", ask.deleted.then_some("true")),
    ];
    let query: Vec<(&str, &str)> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let Session { server, screen, .. } = session;
    let mut out = |text: &str| {
        screen.deliver(text).map_err(|error| {
            Fault::new(Exit::Failure, "could not export the keys", error.to_string(), "what was written is not all")
        })
    };
    if ask.format == Format::Csv {
        out(&format!("{}\n", COLUMNS.join(",")))?;
    }
    server.lines("export the keys", &format!("{}/export", KEY.path), &query, &mut |line| match ask.format {
        Format::Ndjson => out(&format!("{line}\n")),
        Format::Csv => out(&format!("{}\n", row(line)?)),
    })?;
    Ok(Exit::Ok)
}

/// A line of JSON as one of CSV (RFC 4180).
fn row(line: &str) -> Result<String, Fault> {
    let key: Value = serde_json::from_str(line).map_err(|error| {
        let todo = "check that the URL is that of the management API of a Keystile server";
        Fault::new(Exit::Failure, "could not export the keys", format!("a line is no JSON: {error}"), todo)
    })?;
    let cells = COLUMNS.iter().map(|column| match key.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => quoted(text),
        Some(Value::Array(items)) if items.is_empty() => String::new(),
        Some(Value::Object(fields)) if fields.is_empty() => String::new(),
        Some(other) => quoted(&other.to_string()),
    });
    Ok(cells.collect::<Vec<_>>().join(","))
}

/// A cell. What a spreadsheet would take for a formula gets an apostrophe before it: names are chosen by others.
fn quoted(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_line_of_cells_whatever_its_name_is() {
        let line = r#"{"id":"key_1","project_id":"prj_1","name":"=a, \"b\"","kind":"secret","hint":"••••abcd","expires_at":null,
            "permissions":["a.b","c"],"restrictions":{},"rate_limits":[],"version":2}"#;
        let row = row(line).unwrap();
        assert_eq!(
            row,
            "key_1,prj_1,\"'=a, \"\"b\"\"\",secret,,••••abcd,,,,,\"[\"\"a.b\"\",\"\"c\"\"]\",,,,,,,,2,,,,,"
        );
        assert_eq!(row.matches(',').count() - 2, COLUMNS.len() - 1, "two stand inside of cells");
        assert!(super::row("no json").is_err());
    }
}
