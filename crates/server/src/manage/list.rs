//! Lists: `{"items": […], "next_cursor"?}`, newest first. A cursor names the last row that was given, so that rows
//! which come or go meanwhile are neither given twice nor left out.

use data_encoding::BASE64URL_NOPAD;
use keystile_core::metadata::Label;
use keystile_store::records::Page;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::invalid;
use crate::problem::Problem;

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct List<T> {
    /// The rows, newest first.
    pub(super) items: Vec<T>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<String>,
}

/// Which page of things that have names.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Named {
    /// Rows of the page, 1 to 200; 50 unless said otherwise.
    pub(super) limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
    /// Only those of exactly this name.
    pub(super) name: Option<String>,
}

/// The page that a request asks for: one row more than it shows, to know whether there is another.
pub(super) fn page(limit: Option<u32>, cursor: Option<&str>) -> Result<Page, Problem> {
    let limit = self::limit(limit)?;
    let before = match cursor {
        None => None,
        Some(text) => Some(
            BASE64URL_NOPAD
                .decode(text.as_bytes())
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .map(u32::from_be_bytes)
                .ok_or_else(|| invalid("cursor is no next_cursor of this list; leave it out to begin anew."))?,
        ),
    };
    Ok(Page { before, limit: limit + 1 })
}

/// How many rows a page shows.
pub(super) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    let limit = asked.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) { Ok(limit) } else { Err(invalid(format!("limit is 1 to {MAX_LIMIT}."))) }
}

/// The labels that rows must have, separated by commas.
pub(super) fn labels(asked: Option<&str>) -> Result<Vec<Label>, Problem> {
    let labels = asked.into_iter().flat_map(|text| text.split(',')).map(str::parse::<Label>);
    labels.collect::<Result<Vec<_>, _>>().map_err(|error| invalid(format!("label: {error}.")))
}

/// The rows of a page as they are shown.
pub(super) fn list<R, T>(mut rows: Vec<R>, page: Page, number: impl Fn(&R) -> u32, show: impl Fn(R) -> T) -> List<T> {
    let shown = page.limit as usize - 1;
    let more = rows.len() > shown;
    rows.truncate(shown);
    let last = rows.last().map(number);
    let next_cursor = last.filter(|_| more).map(|number| BASE64URL_NOPAD.encode(&number.to_be_bytes()));
    List { items: rows.into_iter().map(show).collect(), next_cursor }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_a_gap() {
        let all: Vec<u32> = (1..=120).rev().collect();
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = page(Some(50), cursor.as_deref()).unwrap();
            let rows = all.iter().copied().filter(|n| page.before.is_none_or(|b| *n < b)).take(page.limit as usize);
            let list = list(rows.collect(), page, |n| *n, |n| n);
            seen.extend(list.items);
            cursor = list.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
        assert!(page(Some(0), None).is_err() && page(Some(201), None).is_err() && page(None, Some("x")).is_err());
    }
}
