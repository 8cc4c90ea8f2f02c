//! Lines of JSON as CSV (RFC 4180), for spreadsheets.

use clap::ValueEnum;
use serde_json::Value;

use super::fault::{Exit, Fault};
use super::session::Session;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A JSON object a line.
    Ndjson,
    /// A header, then a row a line; what is a list or an object in JSON stands as that in its column.
    Csv,
}

/// Writes all rows of an answer of many lines as they come. `what` is what is done, such as `export the keys`; `columns` are
/// those of CSV, by the names that they have in JSON.
pub(super) fn write_all(
    what: &str,
    path: &str,
    query: &[(&str, &str)],
    (format, columns): (Format, &[&str]),
    session: &mut Session<'_>,
) -> Result<(), Fault> {
    let Session { server, screen, global, .. } = session;
    let mut left = global.limit.map_or(u64::MAX, u64::from);
    let mut out = |text: &str| {
        screen.deliver(text).map_err(|error| {
            Fault::new(Exit::Failure, format!("could not {what}"), error.to_string(), "what was written is not all")
        })
    };
    if format == Format::Csv {
        out(&format!("{}\n", columns.join(",")))?;
    }
    server.lines(what, path, query, &mut |line| {
        if left == 0 {
            return Ok(false);
        }
        left -= 1;
        match format {
            Format::Ndjson => out(&format!("{line}\n"))?,
            Format::Csv => out(&format!("{}\n", row(what, line, columns)?))?,
        }
        Ok(left > 0)
    })
}

/// A line of JSON as one of CSV.
fn row(what: &str, line: &str, columns: &[&str]) -> Result<String, Fault> {
    let object: Value = serde_json::from_str(line).map_err(|error| {
        let todo = "check that the URL is that of the management API of a Keystile server";
        Fault::new(Exit::Failure, format!("could not {what}"), format!("a line is no JSON: {error}"), todo)
    })?;
    Ok(cells(&object, columns))
}

/// The cells of these columns of an object.
pub(super) fn cells(object: &Value, columns: &[&str]) -> String {
    let cells = columns.iter().map(|column| match object.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => quoted(text),
        Some(Value::Array(items)) if items.is_empty() => String::new(),
        Some(Value::Object(fields)) if fields.is_empty() => String::new(),
        Some(Value::Number(number)) => number.to_string(),
        Some(other) => quoted(&other.to_string()),
    });
    cells.collect::<Vec<_>>().join(",")
}

/// A cell. What a spreadsheet would take for a formula gets an apostrophe before it: names are chosen by others.
fn quoted(text: &str) -> String {
    if is_amount(text) {
        return text.to_owned();
    }
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// Whether it is a decimal number, which no spreadsheet takes for anything else: what is taken back is below 0.
fn is_amount(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let amount = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = amount.split_once('.').unwrap_or((amount, "0"));
    digits(whole) && digits(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o07_a_row_is_a_line_of_cells_whatever_its_name_is() {
        let line =
            r#"{"id":"key_1","name":"=a, \"b\"","expires_at":null,"permissions":["a.b","c"],"labels":[],"version":2}"#;
        let columns = ["id", "name", "expires_at", "permissions", "labels", "gone", "version"];
        let row = row("export", line, &columns).unwrap();
        assert_eq!(row, "key_1,\"'=a, \"\"b\"\"\",,\"[\"\"a.b\"\",\"\"c\"\"]\",,,2");
        assert!(super::row("export", "no json", &columns).is_err());
        let line = r#"{"units":-3,"amount":"-60.00","id":"-1+1","note":"--5","name":"-","other":"-5."}"#;
        let row = super::row("export", line, &["units", "amount", "id", "note", "name", "other"]).unwrap();
        assert_eq!(row, "-3,-60.00,'-1+1,'--5,'-,'-5.", "what is taken back is a number");
    }
}
