//! Secrets that pass through the command line. They never stand in an argument, where every user of the machine
//! could read them, and never in `Debug` or an error.

use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use super::fault::Fault;

/// Longest text that is read as a key; keys have at most 512 characters.
const MAX_BYTES: u64 = 4_096;

/// A key that hides itself and is wiped when dropped.
#[derive(Clone)]
pub(super) struct Secret(Zeroizing<String>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// The key of this text, without the line's end.
    ///
    /// # Errors
    /// If the text can't be a key; the text is not repeated.
    pub(super) fn new(text: String, whence: &str) -> Result<Self, Fault> {
        let text = Zeroizing::new(text);
        let trimmed = text.trim();
        if trimmed.is_empty() || !trimmed.bytes().all(|b| b.is_ascii_graphic()) {
            let why = if trimmed.is_empty() { "it is empty" } else { "it holds characters that no key has" };
            return Err(Fault::usage(format!("{whence} holds no key"), why, "put the key there, alone on one line"));
        }
        Ok(Self(Zeroizing::new(trimmed.to_owned())))
    }

    /// Reads a key from a file that holds nothing else.
    pub(super) fn from_file(file: &Path) -> Result<Self, Fault> {
        let whence = format!("the file {}", file.display());
        let opened = std::fs::File::open(file).map_err(|error| {
            Fault::usage("the key file can't be read", format!("{}: {error}", file.display()), "check --key-file")
        })?;
        Self::read(opened, &whence)
    }

    /// Reads a key.
    pub(super) fn read(source: impl Read, whence: &str) -> Result<Self, Fault> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize + 1));
        let failed =
            |why: &str| Fault::usage(format!("{whence} holds no key"), why, "put the key there, alone on one line");
        source.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| failed(&error.to_string()))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(failed("it is longer than any key"));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| failed("it is not text"))?;
        Self::new(text.to_owned(), whence)
    }

    /// The secret itself.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}
