//! Lists as files for spreadsheets.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use crate::ui::csv::cell;

/// A file of lines of cells, under the names of its columns.
pub(super) struct Csv(String);

impl Csv {
    /// With these columns.
    pub(super) fn new(columns: &[&str]) -> Self {
        Self(columns.join(",") + "\r\n")
    }

    /// With one more line.
    pub(super) fn line(&mut self, cells: &[&str]) {
        let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
        self.0.push_str(&cells.join(","));
        self.0.push_str("\r\n");
    }

    /// To be kept under this name.
    pub(super) fn file(self, name: &str) -> Response {
        let head = [
            (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
            (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        ];
        (head, self.0).into_response()
    }
}
