//! CSV (RFC 4180) that spreadsheets take as text, and files of it.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

/// A text as a cell. What a spreadsheet would take for a formula gets an apostrophe in front.
pub(crate) fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// A line of these texts, with its end.
pub(crate) fn line(texts: &[&str]) -> String {
    let cells: Vec<String> = texts.iter().map(|text| cell(text)).collect();
    format!("{}\r\n", cells.join(","))
}

/// Lines as a file that is saved.
pub(crate) fn file(name: &str, text: String) -> Response {
    let head = [
        (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (head, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::{cell, line};

    #[test]
    fn a_line_has_its_cells_apart() {
        assert_eq!(line(&["a", "b,c", "=1"]), "a,\"b,c\",'=1\r\n");
    }

    #[test]
    fn a_cell_is_no_formula() {
        for (text, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=1+1", "'=1+1"),
            ("@cmd", "'@cmd"),
            ("-5", "-5"),
            ("-5+cmd|' /C calc'!A0", "'-5+cmd|' /C calc'!A0"),
        ] {
            assert_eq!(cell(text), written);
        }
    }
}
