//! Metrics. A family is declared by one line of [`Registry`], with a name, a sentence and how its value is read when
//! somebody asks; [`Page`] writes all of them. [`Calls`] are the families of calls, [`process`] those that every
//! process has.
//!
//! Names begin with `keystile_` and end with their unit. Labels are few and bounded: an API's id and name, a code of
//! the list, a class of statuses; never a key, a path, an address or anything else that a client chose (SECURITY.md
//! E-2).

mod calls;
mod page;
pub mod process;
mod registry;

pub use calls::Calls;
pub use page::{Format, Histogram, Kind, Page, Samples, Value};
pub use registry::Registry;
