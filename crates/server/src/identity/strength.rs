//! Whether others would soon try a password: those that many people have, words and patterns of keyboards, what the holder is
//! known by (zxcvbn, Wheeler, USENIX Security 2016), and those that were found in breaches, if somebody brought a file of them.
//! Nothing is asked of what it is made of, and nothing leaves the machine.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use data_encoding::HEXUPPER;
use sha1::{Digest, Sha1};
use zxcvbn::{Score, zxcvbn};

/// Why a password is refused, as its holder is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weak(pub(super) &'static str);

impl Weak {
    pub(super) const GUESSED: Self = Self(
        "this password is among the first that others would try; take a few words that have nothing to do with each other \
         or with you",
    );
    pub(super) const BREACHED: Self =
        Self("this password was found in a breach of another service, so others will try it; take another one");
}

/// Judges a password by itself, in some milliseconds.
pub(super) fn judge(password: &str, known: &[String]) -> Result<(), Weak> {
    let known: Vec<&str> = known.iter().flat_map(|text| words(text)).collect();
    if zxcvbn(password, &known).score() < Score::Three { Err(Weak::GUESSED) } else { Ok(()) }
}

/// What somebody is known by, and its parts.
fn words(text: &str) -> impl Iterator<Item = &str> {
    std::iter::once(text).chain(text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2))
}

/// Bytes that hold a line of the file: the hash, a colon, a number of twenty digits, its end.
const MAX_LINE: usize = 64;
/// Hexadecimal digits of a SHA-1.
const DIGITS: usize = 40;

/// A file of SHA-1 hashes of passwords in hexadecimal, one a line and in their order, each perhaps with `:` and how often it was
/// found: as Have I Been Pwned gives them out. It can be larger than the memory.
#[derive(Debug, Clone)]
pub struct BreachedFile(PathBuf);

impl BreachedFile {
    /// A file at this place; it is opened when it is asked.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Whether it holds a password: some thirty reads in a file of 40 GB.
    ///
    /// # Errors
    /// If it can't be read, or is no such file.
    pub fn holds(&self, password: &str) -> io::Result<bool> {
        let wanted = HEXUPPER.encode(&Sha1::digest(password.as_bytes()));
        let mut file = File::open(&self.0)?;
        let (mut low, mut high) = (0, file.seek(SeekFrom::End(0))?);
        // The line sought begins at `low` or later, and before `high`.
        while low < high {
            let middle = low + (high - low) / 2;
            let Some((start, hash)) = line_after(&mut file, middle)?.filter(|(start, _)| *start < high) else {
                high = middle;
                continue;
            };
            match hash.cmp(&wanted) {
                std::cmp::Ordering::Equal => return Ok(true),
                std::cmp::Ordering::Less => low = start + DIGITS as u64,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(false)
    }
}

/// The first line that begins at this place or after it: where it begins, and its hash.
fn line_after(file: &mut File, place: u64) -> io::Result<Option<(u64, String)>> {
    // One byte before, which is a line's end if a line begins just here.
    let from = place.saturating_sub(1);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::with_capacity(2 * MAX_LINE);
    file.take(2 * MAX_LINE as u64).read_to_end(&mut bytes)?;
    let begins = if place == 0 {
        0
    } else {
        match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None => return Ok(None),
        }
    };
    let Some(digits) = bytes.get(begins..begins + DIGITS) else { return Ok(None) };
    let hash = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
    let hash = hash.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its lines are no SHA-1 hashes"))?;
    Ok(Some((from + begins as u64, hash.to_ascii_uppercase())))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a02_passwords_that_many_have_are_refused_however_long_they_are() {
        for weak in [
            "password",
            "12345678",
            "qwertyuiop",
            "iloveyou",
            "passwordpassword",
            "aaaaaaaaaaaaaaaa",
            "123456789012345",
            "qwertyuiopasdfgh",
            "letmeinletmein12",
            "ada@example.com",
            "adalovelace",
        ] {
            let known = ["ada@example.com".to_owned(), "Ada Lovelace".to_owned()];
            assert_eq!(judge(weak, &known), Err(Weak::GUESSED), "{weak}");
        }
        for good in
            ["correct horse battery staple", "Zwölf Boxkämpfer jagen", "tq9-VFx3pLw2mZ", "ぬりかべはどこにいるのか今夜"]
        {
            assert_eq!(judge(good, &[]), Ok(()), "{good}");
        }
    }

    #[test]
    fn a02_passwords_of_breaches_are_found_in_a_file_of_any_size() {
        for ends in ["\n", "\r\n"] {
            for count in [0_u32, 1, 2, 3, 10, 1_000] {
                let password = |n: u32| format!("breached {n}");
                let mut lines: Vec<String> =
                    (0..count).map(|n| HEXUPPER.encode(&Sha1::digest(password(n).as_bytes()))).collect();
                lines.sort();
                let mut file = tempfile::NamedTempFile::new().unwrap();
                for (n, line) in lines.iter().enumerate() {
                    write!(file, "{line}:{}{ends}", 10_u64.pow(n as u32 % 12)).unwrap();
                }
                let held = BreachedFile::new(file.path().to_owned());
                for n in 0..count {
                    assert!(held.holds(&password(n)).unwrap(), "{n} of {count}");
                }
                for n in count..count + 50 {
                    assert!(!held.holds(&password(n)).unwrap(), "{n} of {count}");
                }
            }
        }
        let mut other = tempfile::NamedTempFile::new().unwrap();
        other.write_all(&[b'x'; 500]).unwrap();
        assert!(BreachedFile::new(other.path().to_owned()).holds("x").is_err(), "what is no such file is said so");
        assert!(BreachedFile::new("/nowhere".into()).holds("x").is_err());
    }
}
