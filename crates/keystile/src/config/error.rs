//! What is wrong with the settings, each with its place, what is allowed there, and what was probably meant.

use std::fmt;
use std::path::{Path, PathBuf};

use super::given::Entry;

/// Most errors that are shown; whoever has more is looking at the wrong file.
const MAX_SHOWN: usize = 20;

/// Where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole.
    WholeFile,
    /// A place in the file.
    File {
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
    },
    /// An environment variable.
    Variable(String),
}

impl Place {
    /// The place of a byte of the text.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self::File { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where.
    pub place: Place,
    /// What.
    pub what: String,
    /// What is allowed, and what was probably meant.
    pub hints: Vec<String>,
}

impl ConfigError {
    /// A known setting with a value that does not fit.
    pub(super) fn value(place: Place, entry: &Entry, what: &str) -> Self {
        Self {
            place,
            what: format!("{}: {what}", entry.full_name()),
            hints: vec![format!("allowed: {}", entry.allowed)],
        }
    }
}

/// Everything that is wrong with the settings; the server does not start with any of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The settings file, if one was read or asked for.
    pub file: Option<PathBuf>,
    /// In the order of their places; at least one.
    pub errors: Vec<ConfigError>,
}

impl ConfigErrors {
    pub(super) fn whole_file(file: &Path, what: String, hint: &str) -> Self {
        let error = ConfigError { place: Place::WholeFile, what, hints: vec![hint.to_owned()] };
        Self { file: Some(file.to_owned()), errors: vec![error] }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref().map_or("settings".into(), Path::to_string_lossy);
        for (n, error) in self.errors.iter().take(MAX_SHOWN).enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            match &error.place {
                Place::WholeFile => write!(f, "{file}: {}", error.what)?,
                Place::File { line, column } => write!(f, "{file}:{line}:{column}: {}", error.what)?,
                Place::Variable(name) => write!(f, "environment variable {name}: {}", error.what)?,
            }
            for hint in &error.hints {
                write!(f, "\n    {hint}")?;
            }
        }
        match self.errors.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for ConfigErrors {}
