//! What rows of usage were in the time before.

use std::collections::{HashMap, HashSet};

use keystile_core::code::Code;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Counts, Latencies};
use keystile_store::{UsageQuery, UsageRow};

use crate::manage::app::App;
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;

/// Rows that are compared at most.
const MAX_ROWS: u32 = 200_000;

/// Rows of the time before.
pub(super) struct Before {
    /// By how much they are earlier, in seconds.
    earlier: i64,
    rows: Vec<UsageRow>,
    /// Which row is told apart by what.
    places: HashMap<Kind, usize>,
}

/// What a row is told apart by.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    start: Option<Timestamp>,
    numbers: [Option<u32>; 4],
    texts: [Option<String>; 2],
    code: Option<Code>,
    statuses: [Option<u16>; 2],
}

impl Kind {
    /// Of a row that is so many seconds earlier than this one.
    fn of(row: &UsageRow, earlier: i64) -> Self {
        Self {
            start: row.start.map(|start| start.plus_secs(-earlier)),
            numbers: [row.api, row.consumer, row.project, row.key],
            texts: [row.label.clone(), row.value.clone().flatten()],
            code: row.code,
            statuses: [row.class, row.status],
        }
    }
}

impl Before {
    /// What this row was.
    pub(super) fn of(&self, row: &UsageRow) -> (Counts, Option<&Latencies>) {
        match self.places.get(&Kind::of(row, self.earlier)).and_then(|place| self.rows.get(*place)) {
            Some(row) => (row.counts, row.latencies.as_ref()),
            None => (Counts::default(), None),
        }
    }

    /// Rows of which there is nothing among these, as they are now: with nothing in them.
    pub(super) fn gone(&self, now: &[UsageRow]) -> Vec<UsageRow> {
        let still: HashSet<Kind> = now.iter().map(|row| Kind::of(row, self.earlier)).collect();
        let gone = self.rows.iter().filter(|row| !still.contains(&Kind::of(row, 0)));
        let as_now = |row: &UsageRow| UsageRow {
            start: row.start.map(|start| start.plus_secs(self.earlier)),
            counts: Counts::default(),
            latencies: None,
            ..row.clone()
        };
        gone.map(as_now).collect()
    }
}

/// The rows of the time before the one that is asked about, which is as long.
pub(super) async fn before(app: &App, query: &UsageQuery) -> Result<Before, Problem> {
    let (from, until) = query.whole();
    let earlier = until.as_secs().saturating_sub(from.as_secs());
    let time = (from.plus_secs(-earlier), from);
    let all = UsageQuery { from: time.0, until: time.1, order: None, after: 0, limit: MAX_ROWS + 1, ..query.clone() };
    let rows = app.ledger.usage(&all).await.map_err(|error| internal(&error))?;
    if rows.len() > MAX_ROWS as usize {
        return Err(invalid(format!("There are more than {MAX_ROWS} rows to compare with; ask about a shorter time.")));
    }
    let places = rows.iter().enumerate().map(|(place, row)| (Kind::of(row, 0), place)).collect();
    Ok(Before { earlier, rows, places })
}
