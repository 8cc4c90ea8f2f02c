//! A case: the bytes of one connection, and in which pieces they are sent.

use std::fs;
use std::io;
use std::path::Path;

use super::chance::Chance;
use super::mutate::mutate;
use super::requests::{HOST, KEY, requests};

/// The bytes of one connection, with stand-ins for host and key.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// How it is called: `#17`, or the file of a kept one.
    pub name: String,
    template: Vec<u8>,
    /// Where one piece ends and the next begins, in order.
    pub cuts: Vec<usize>,
    /// Whether the pieces go out some time apart, so that they surely come one by one.
    pub slowly: bool,
}

/// The cases of a run: those that are kept, then new ones.
pub(super) struct Cases {
    kept: Vec<Case>,
    seed: u64,
    first: u64,
    count: u64,
}

impl Cases {
    /// The kept ones in this folder, by name, and so many new ones.
    ///
    /// # Errors
    /// If a file of the folder is no case.
    pub(super) fn all(folder: &Path, seed: u64, count: u64) -> io::Result<Self> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            kept.push(Case::read(&name, &fs::read_to_string(&path)?).map_err(io::Error::other)?);
        }
        kept.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { kept, seed, first: 0, count })
    }

    /// A single one.
    pub(super) fn one(seed: u64, number: u64) -> Self {
        Self { kept: Vec::new(), seed, first: number, count: 1 }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.kept.len() as u64 + self.count
    }

    /// One of them.
    pub(super) fn get(&self, index: u64) -> Case {
        let kept = usize::try_from(index).ok().and_then(|index| self.kept.get(index));
        kept.cloned().unwrap_or_else(|| Case::made(self.seed, self.first + index - self.kept.len() as u64))
    }
}

impl Case {
    /// The case of this number.
    fn made(seed: u64, number: u64) -> Self {
        let mut chance = Chance::of_case(seed, number);
        let mut template = requests(&mut chance, number);
        mutate(&mut chance, &mut template);
        let pieces = if chance.one_in(3) { 1 + chance.below(4) } else { 0 };
        let mut cuts: Vec<usize> = (0..pieces).map(|_| chance.below(template.len())).collect();
        cuts.sort_unstable();
        Self { name: format!("#{number}"), template, cuts, slowly: chance.one_in(4) }
    }

    /// A kept case, as [`kept`](Self::kept) wrote it: what needs it is escaped as in Rust, line ends of the text are left
    /// out, and so are the lines that begin it with `# `, which say why it is kept.
    ///
    /// # Errors
    /// If an escape is none.
    fn read(name: &str, text: &str) -> Result<Self, String> {
        let mut template = Vec::new();
        let text: String = text.lines().skip_while(|line| line.starts_with("# ")).collect();
        let mut rest = text.as_bytes();
        while let [byte, after @ ..] = rest {
            rest = after;
            if *byte != b'\\' {
                template.push(*byte);
                continue;
            }
            let (escaped, length) = match rest {
                [b'r', ..] => (b'\r', 1),
                [b'n', ..] => (b'\n', 1),
                [b't', ..] => (b'\t', 1),
                [same @ (b'\\' | b'\'' | b'"'), ..] => (*same, 1),
                [b'x', digits @ ..] => {
                    let digits = digits.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                    let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                    (byte.ok_or(format!("{name}: \\x without two digits"))?, 3)
                }
                _ => return Err(format!("{name}: a \\ that escapes nothing")),
            };
            template.push(escaped);
            rest = &rest[length..];
        }
        Ok(Self { name: name.to_owned(), template, cuts: Vec::new(), slowly: false })
    }

    /// The text by which it can be kept: a line for each line.
    pub(super) fn kept(&self) -> String {
        let text = self.template.escape_ascii().to_string().replace("\\n", "\\n\n");
        if let Some(rest) = text.strip_prefix('#') { format!("\\x23{rest}") } else { text }
    }

    /// What is sent to the API of this host with this key. A host is the same in every spelling of its letters.
    pub(super) fn bytes_for(&self, host: &str, key: &str) -> Vec<u8> {
        let mut bytes = self.template.clone();
        put(&mut bytes, HOST, host, <[u8]>::eq_ignore_ascii_case);
        put(&mut bytes, KEY, key, |here, stand_in| here == stand_in);
        bytes
    }
}

/// Puts a text where another one of its length stands; what they have in common stays as it is.
fn put(bytes: &mut [u8], from: &str, to: &str, is_same: fn(&[u8], &[u8]) -> bool) {
    for at in 0..(bytes.len() + 1).saturating_sub(from.len()) {
        let here = &mut bytes[at..at + from.len()];
        if is_same(here, from.as_bytes()) {
            for (byte, (from, to)) in here.iter_mut().zip(from.bytes().zip(to.bytes())) {
                *byte = if from == to { *byte } else { to };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_the_same_each_time_and_can_be_kept() {
        for number in 0..2_000 {
            let case = Case::made(7, number);
            assert_eq!(case.template, Case::made(7, number).template);
            let again = Case::read("again", &case.kept()).expect("its own text");
            assert_eq!(again.template, case.template, "{}", case.kept());
        }
    }

    #[test]
    fn host_and_key_are_put_where_they_are_whole() {
        let case = Case::read("x", &format!("# why\nHost: {HOST}\\r\\n\nX: {KEY}{KEY}\\r\\n\nstandsin.hostil"))
            .expect("a case");
        let bytes = case.bytes_for("node0000.hostile.test", &"k".repeat(KEY.len()));
        let expected = format!("Host: node0000.hostile.test\r\nX: {}\r\nstandsin.hostil", "k".repeat(2 * KEY.len()));
        assert_eq!(bytes, expected.as_bytes());
    }
}
