//! `keystile end-user …`: what is kept about those who use the programs that call.

use clap::Subcommand;

use super::csv::{Format, write_all};
use super::fault::{Exit, Fault};
use super::session::Session;

const PATH: &str = "/v1/privacy/end-users";

/// What to do about an end user.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write all that is kept about one, as lines of JSON.
    Export {
        /// The name, as verifications say it.
        name: String,
    },
    /// Erase for ever that calls were theirs; how often there were calls stays.
    Erase {
        /// The name, as verifications say it.
        name: String,
    },
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::Export { name } => {
            write_all("export the end user", PATH, &[("end_user", &name)], (Format::Ndjson, &[]), session)?;
            Ok(Exit::Ok)
        }
        Verb::Erase { name } => session.erase_at(PATH, &[("end_user", &name)], &name, "whose their calls were"),
    }
}
