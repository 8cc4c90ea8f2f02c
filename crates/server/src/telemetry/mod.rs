//! What an operator sees of a running process.
//!
//! [`metrics`] are figures in the Prometheus and OpenMetrics text formats: families that are declared in one line
//! where they belong, and the figures of calls, added up from the same events that usage is counted by. [`pulse`]
//! looks whether the process can do its work, and [`health`] is what it saw, check by check. [`journal`] writes down
//! single calls, if the settings ask for it: the access log. [`request_log`] keeps them to be searched and followed.
//! [`trace`] says to which trace a call belongs.
//!
//! Nothing here is on the way of a call but what it takes to remember one that is written down.
//!
//! Not here: what was called by whom (`usage`), the listener that answers (`manage/page`), the process's own log.

pub mod health;
pub mod journal;
pub mod metrics;
pub mod pulse;
pub mod request_log;
pub mod trace;
