//! Lists: where their next page is, and all of them as files for spreadsheets.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use crate::ui::csv::cell;
use crate::ui::form::{Fields, query};

/// The page after this one, with the same filters.
pub(super) fn next_page(path: &str, asked: &Fields, cursor: &str) -> String {
    let (rest, cursor) = (asked.query_without(&["cursor"]), query(&[("cursor", cursor)]));
    if rest.is_empty() { format!("{path}?{cursor}") } else { format!("{path}?{rest}&{cursor}") }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_has_the_same_filters() {
        assert_eq!(next_page("/a", &Fields::default(), "x"), "/a?cursor=x");
        assert_eq!(next_page("/a", &Fields::read(b"state=b&cursor=x&none="), "y"), "/a?state=b&cursor=y");
    }
}
