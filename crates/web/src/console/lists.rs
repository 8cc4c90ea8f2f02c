//! Lists: where their next page is.

use crate::ui::form::{Fields, query};

/// The page after this one, with the same filters.
pub(super) fn next_page(path: &str, asked: &Fields, cursor: &str) -> String {
    let (rest, cursor) = (asked.query_without(&["cursor"]), query(&[("cursor", cursor)]));
    if rest.is_empty() { format!("{path}?{cursor}") } else { format!("{path}?{rest}&{cursor}") }
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
