//! How far an import has come: a small file beside the keys, so that one that broke off goes on where it was.
//!
//! It holds no key, and is gone when the import is complete.

use std::fs;
use std::path::{Path, PathBuf};

use keystile_core::id::RequestId;
use keystile_server::world::{SystemEntropy, random};
use serde::{Deserialize, Serialize};

use super::super::fault::{Exit, Fault};
use super::tally::Sum;

/// What the file's name ends with.
const ENDING: &str = "keystile-import";

/// How far an import has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// What its requests are told apart by from those of other imports.
    pub(super) run: String,
    /// What was asked for.
    asked: Vec<(String, String)>,
    /// Bytes of the file, by which another file of its name is noticed.
    bytes: u64,
    /// Lines of a request: those that were under way must come again as they were.
    pub(super) batch_lines: usize,
    /// The last line that is done.
    pub(super) done_line: u64,
    /// What became of those.
    pub(super) sum: Sum,
}

/// Where it is kept; nowhere for what comes from standard input, and for a trial.
pub(super) struct Keeper {
    path: Option<PathBuf>,
    pub(super) progress: Progress,
}

impl Keeper {
    /// Begins, or goes on where an import of this file broke off.
    ///
    /// # Errors
    /// If it is to go on and can't.
    pub(super) fn begin(
        file: Option<(&Path, u64)>,
        resume: bool,
        asked: &[(&str, &str)],
        batch_lines: usize,
    ) -> Result<Self, Fault> {
        let asked: Vec<_> = asked.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let bytes = file.map_or(0, |(_, bytes)| bytes);
        let path = file.map(|(file, _)| {
            let mut name = file.as_os_str().to_owned();
            name.push(format!(".{ENDING}"));
            PathBuf::from(name)
        });
        if resume {
            return Self::resume(path, asked, bytes);
        }
        let run: [u8; 16] = random(&SystemEntropy)
            .map_err(|error| Fault::new(Exit::Failure, "could not import the keys", error.to_string(), "try again"))?;
        let run = RequestId::from_entropy(run).to_string();
        Ok(Self { path, progress: Progress { run, asked, bytes, batch_lines, done_line: 0, sum: Sum::default() } })
    }

    fn resume(path: Option<PathBuf>, asked: Vec<(String, String)>, bytes: u64) -> Result<Self, Fault> {
        let cannot = |why: String, todo: &str| Fault::usage("the import can't go on where it broke off", why, todo);
        let anew =
            "leave --resume out to import the file from its beginning; keys that are in are refused as duplicates";
        let Some(path) = path else {
            return Err(cannot(
                "how far standard input has come is not kept".to_owned(),
                "name the file, or give --from-line",
            ));
        };
        let text = fs::read_to_string(&path).map_err(|error| cannot(format!("{}: {error}", path.display()), anew))?;
        let progress: Progress = serde_json::from_str(&text)
            .map_err(|error| cannot(format!("{} is not understood: {error}", path.display()), anew))?;
        if progress.bytes != bytes {
            return Err(cannot("the file of keys has another length than it had".to_owned(), anew));
        }
        if progress.asked != asked {
            return Err(cannot(
                "it was begun for another project or with other options".to_owned(),
                "give the same options as before",
            ));
        }
        Ok(Self { path: Some(path), progress })
    }

    /// The name of the request that begins with this line.
    pub(super) fn request(&self, first_line: u64) -> String {
        format!("import-{}-{first_line}", self.progress.run)
    }

    /// Notes that everything up to this line is done.
    ///
    /// # Errors
    /// If it can't be written down.
    pub(super) fn note(&mut self, line: u64, sum: &Sum) -> Result<(), Fault> {
        (self.progress.done_line, self.progress.sum) = (line, sum.clone());
        let Some(path) = &self.path else { return Ok(()) };
        let fresh = path.with_extension(format!("{ENDING}.new"));
        let written = serde_json::to_vec(&self.progress)
            .map_err(std::io::Error::other)
            .and_then(|text| fs::write(&fresh, text))
            .and_then(|()| fs::rename(&fresh, path));
        written.map_err(|error| {
            Fault::new(
                Exit::Failure,
                "how far the import has come can't be written down",
                format!("{}: {error}", path.display()),
                "make room or allow writing beside the file of keys, and import it again: keys that are in are refused as duplicates",
            )
        })
    }

    /// Everything is done.
    pub(super) fn end(&self) {
        if let Some(path) = &self.path {
            // One that stays is of no use and no harm.
            let _ = fs::remove_file(path);
        }
    }

    /// Whether it is known where to go on.
    pub(super) fn is_kept(&self) -> bool {
        self.path.is_some()
    }
}
