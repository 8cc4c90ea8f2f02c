//! What an operator sees of a running process.
//!
//! [`metrics`] are figures in the Prometheus and OpenMetrics text formats: families that are declared in one line
//! where they belong, and the figures of calls, added up from the same events that usage is counted by. [`pulse`]
//! looks whether the process can do its work, and [`health`] is what it saw, check by check.
//!
//! Nothing here is on the way of a call.
//!
//! Not here: what was called by whom (`usage`), the listener that answers (`manage/page`), log lines.

pub mod health;
pub mod metrics;
pub mod pulse;
