//! How far a database had come, beside its file. SQLite takes a log of changes that is damaged in the middle for one that
//! ends there: what was acknowledged after it would be gone without a word, a revocation among it. So the number of the last
//! change is written into a file of its own after each commit, and looked at before the database is used again.
//!
//! The file is not synced: it survives the end of a process, whatever its cause, at no cost for a change. After a loss of
//! power it may say less than there was, never more.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

use crate::root::hex;

/// What is written: the number with leading zeros, a space, the beginning of its SHA-256, a line feed.
const DIGITS: usize = 20;
const CHECK_BYTES: usize = 4;

/// The file of a database.
pub(crate) struct Newest {
    file: File,
    path: PathBuf,
    has_failed: AtomicBool,
}

impl Newest {
    /// Opens the file, or makes it; and says what it says. `None` where there was none, or it is damaged.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Option<u64>)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut line = [0; DIGITS + 1 + 2 * CHECK_BYTES + 1];
        let said = match file.read_exact_at(&mut line, 0) {
            Ok(()) => said(&line),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        Ok((Self { file, path: path.to_owned(), has_failed: AtomicBool::new(false) }, said))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that this is durable. What can't be noted is only not known later on.
    pub(crate) fn note(&self, number: u64) {
        let written = self.file.write_all_at(&line(number), 0);
        if let Err(error) = written
            && !self.has_failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, path = %self.path.display(), "how far the store has come can't be written down");
        }
    }
}

fn line(number: u64) -> Vec<u8> {
    let digits = format!("{number:0DIGITS$}");
    let check = hex(&Sha256::digest(&digits)[..CHECK_BYTES]);
    format!("{digits} {check}\n").into_bytes()
}

fn said(line_found: &[u8]) -> Option<u64> {
    let number = std::str::from_utf8(line_found.get(..DIGITS)?).ok()?.parse().ok()?;
    (line(number) == line_found).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_noted_last_and_nothing_when_it_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("newest");
        let (newest, said) = Newest::open(&path).unwrap();
        assert_eq!(said, None);
        for number in [1, u64::MAX, 7] {
            newest.note(number);
            assert_eq!(Newest::open(&path).unwrap().1, Some(number));
        }
        let sound = std::fs::read(&path).unwrap();
        for place in 0..sound.len() {
            for bit in 0..8 {
                let mut altered = sound.clone();
                altered[place] ^= 1 << bit;
                std::fs::write(&path, &altered).unwrap();
                assert_eq!(Newest::open(&path).unwrap().1, None, "bit {bit} of byte {place}");
            }
        }
    }
}
