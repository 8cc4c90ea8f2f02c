//! Which time a question is about.

use keystile_core::time::Timestamp;

use crate::manage::problem::invalid;
use crate::problem::Problem;

/// The span that is asked about if nothing is said: a day.
const USUAL_SECS: i64 = 86_400;

/// From when until when: the last day, as far as nothing else is said. What is answered now belongs to it.
pub(super) fn span(
    now: Timestamp,
    (from, until): (Option<Timestamp>, Option<Timestamp>),
) -> Result<(Timestamp, Timestamp), Problem> {
    let until = until.unwrap_or_else(|| now.plus_secs(1));
    let from = from.unwrap_or_else(|| until.plus_secs(-USUAL_SECS));
    if from >= until {
        return Err(invalid("from is not before until."));
    }
    Ok((from, until))
}
