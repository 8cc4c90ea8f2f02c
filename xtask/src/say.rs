//! How the tasks speak: results on standard output, what is being done on standard error.

use std::fmt::Display;
use std::io::Write as _;

/// A line of the result. A closed pipe (`| head`) is no reason to fail.
pub(crate) fn result(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A line about what is going on.
pub(crate) fn note(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
