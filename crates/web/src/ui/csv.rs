//! CSV (RFC 4180) that spreadsheets take as text, and files of it.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

/// A file of lines of cells, under the names of its columns.
pub(crate) struct Csv(String);

impl Csv {
    /// With these columns.
    pub(crate) fn new(columns: &[&str]) -> Self {
        Self(columns.join(",") + "\r\n")
    }

    /// With one more line.
    pub(crate) fn line(&mut self, cells: &[&str]) {
        let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
        self.0.push_str(&cells.join(","));
        self.0.push_str("\r\n");
    }

    /// To be kept under this name.
    pub(crate) fn file(self, name: &str) -> Response {
        let head = [
            (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
            (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        ];
        (head, self.0).into_response()
    }
}

/// A text as a cell. What a spreadsheet would take for a formula gets an apostrophe in front.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::{Csv, cell};

    #[test]
    fn a_line_has_its_cells_apart() {
        let mut file = Csv::new(&["x", "y", "z"]);
        file.line(&["a", "b,c", "=1"]);
        assert_eq!(file.0, "x,y,z\r\na,\"b,c\",'=1\r\n");
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
