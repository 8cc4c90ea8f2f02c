//! What people see in their browsers: the console, for whoever owns APIs. Pages are rendered here, in HTML that works without
//! script; what script adds (dialogs, live rows, the palette) is in `assets/`.
//!
//! The console has no private API: [`Api`](api::Api) asks the management API inside the process, as the visitor's browser
//! could, with the visitor's own cookie. So rights, conditions, audit and wording of refusals are that API's, and every form can
//! show the request that it makes.
//!
//! Begin at [`console`]; what a page is made of is in `ui/`, the pages themselves in `console/`, a room a noun. Not here: anything
//! that decides or keeps something.

mod api;
mod assets;
pub mod console;
mod ui;

pub use console::{Calls, Site, console};
