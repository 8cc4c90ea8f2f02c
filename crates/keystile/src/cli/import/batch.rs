//! Batches: lines of the file as the NDJSON that the server takes, made ahead of the sending.

use std::io::{self, Read};

use zeroize::Zeroizing;

use super::super::fault::Fault;
use super::super::lines::{Lines, Next};
use super::Format;
use super::lines::{Columns, Held, MAX_LINE_BYTES, Record, text};
use keystile_core::key::TextHash;

/// Most keys of one request, by the contract of the API.
const MAX_LINES: usize = 100_000;
/// The server lists at most so many refusals of one request; smaller batches can't have more.
const MAX_LISTED: usize = 1_000;
/// Longest body of one request: a quarter of what the server takes, so that memory stays small.
const MAX_BYTES: usize = 16 << 20;
/// The server keeps at most so many texts of one request under a slow hash.
const MAX_STRETCHED: usize = 200;
/// What the longest line can become: each byte an escape of six, and the names of four fields.
const MAX_LINE_AS_JSON: usize = 6 * MAX_LINE_BYTES + 96;

/// How large a batch may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) lines: usize,
    pub(super) bytes: usize,
}

impl Size {
    /// As large as the server takes; or so small that the server can list every refusal.
    pub(super) const fn of(complete_list: bool) -> Self {
        Self { lines: if complete_list { MAX_LISTED } else { MAX_LINES }, bytes: MAX_BYTES }
    }

    /// So small that the server can keep every text of it under a slow hash.
    pub(super) const fn stretched() -> Self {
        Self { lines: MAX_STRETCHED, bytes: MAX_BYTES }
    }
}

/// A line that is refused, by the server or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) line: u64,
    pub(super) reason: String,
    pub(super) detail: String,
}

/// Keys on their way to the server. It does not print itself: the body is full of secrets.
#[derive(Default)]
pub(super) struct Batch {
    body: Zeroizing<Vec<u8>>,
    /// The line in the file of each line of the body.
    lines: Vec<u64>,
    refused: Vec<Refusal>,
    read_bytes: u64,
}

impl Batch {
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) const fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// Lines that never left.
    pub(super) fn refused(&self) -> &[Refusal] {
        &self.refused
    }

    /// Keys of the body.
    pub(super) fn sent(&self) -> usize {
        self.lines.len()
    }

    /// The line in the file of this line of the body, counted from 1.
    pub(super) fn line_in_file(&self, line: u64) -> Option<u64> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        self.lines.get(index).copied()
    }

    /// The first line of the file that this batch sends.
    pub(super) fn first_line(&self) -> u64 {
        self.lines.first().copied().unwrap_or(0)
    }

    fn last_line(&self) -> u64 {
        self.lines.last().copied().unwrap_or(0).max(self.refused.last().map_or(0, |refusal| refusal.line))
    }

    /// The last line of the file that this batch speaks of.
    pub(super) fn end(&self) -> u64 {
        self.last_line()
    }

    fn refuse(&mut self, line: u64, detail: &str) {
        self.refused.push(Refusal { line, reason: "malformed".to_owned(), detail: detail.to_owned() });
    }
}

/// How the lines of this file are read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reading {
    Text,
    Csv(Columns),
    Ndjson,
}

/// Makes batches out of a file.
pub(super) struct Preparer {
    lines: Lines,
    reading: Reading,
    held: Held,
    size: Size,
    /// The first line was read to learn the format, and is still to be taken.
    pending: Option<Next>,
    bytes_told: u64,
}

impl Preparer {
    /// Looks at the beginning of a file.
    ///
    /// # Errors
    /// If it is not written in the format that was named, or in none that can be told.
    pub(super) fn open(input: Box<dyn Read + Send>, format: Format, sha256: bool, size: Size) -> Result<Self, Fault> {
        let mut lines = Lines::new(input, MAX_LINE_BYTES);
        let first = loop {
            let next = lines
                .advance()
                .map_err(|error| Fault::usage("the file of keys can't be read", error.to_string(), "check the file"))?;
            if next != Next::Line || !lines.line().trim_ascii().is_empty() {
                break next;
            }
        };
        let (reading, is_header) = detect(lines.line(), format)?;
        let held = match &reading {
            Reading::Ndjson if sha256 => {
                return Err(Fault::usage(
                    "--sha256 does not fit NDJSON",
                    "each object says itself whether it holds a key or its SHA-256",
                    "write {\"sha256\":\"…\"} in the file and leave --sha256 out",
                ));
            }
            Reading::Csv(columns) if columns.held != Held::Key => columns.held,
            _ if sha256 => Held::Sha256,
            _ => Held::Key,
        };
        let pending = (!is_header).then_some(first);
        Ok(Self { lines, reading, held, size, pending, bytes_told: 0 })
    }

    /// How the file is read, for people.
    pub(super) fn describe(&self) -> String {
        let what = match &self.reading {
            Reading::Text => "text, a key a line".to_owned(),
            Reading::Csv(columns) if columns.ignored.is_empty() => "CSV".to_owned(),
            Reading::Csv(columns) => format!("CSV, leaving out the columns {}", columns.ignored.join(", ")),
            Reading::Ndjson => "NDJSON".to_owned(),
        };
        match self.held {
            Held::Key => what,
            Held::Sha256 => what + ", as SHA-256",
            Held::Hash => what + ", as slow hashes",
            Held::Tokens => what + ", as short tokens and SHA-256 of long ones",
        }
    }

    /// Leaves out the lines up to this one.
    ///
    /// # Errors
    /// If the file can't be read.
    pub(super) fn skip_to(&mut self, line: u64) -> io::Result<()> {
        if self.lines.number() <= line {
            self.pending = None;
            while self.lines.number() < line && self.lines.advance()? != Next::End {}
        }
        Ok(())
    }

    /// The next batch, in the memory of a used one if there is one; `None` at the end of the file.
    pub(super) fn next_batch(&mut self, used: Option<Batch>) -> io::Result<Option<Batch>> {
        let mut batch = used.unwrap_or_default();
        batch.body.clear();
        batch.lines.clear();
        batch.refused.clear();
        // Room for all of it at once: a vector that grows leaves copies of keys behind.
        let room = self.size.bytes.min(self.size.lines.saturating_mul(MAX_LINE_AS_JSON));
        batch.body.reserve_exact(room);
        let bytes = room.saturating_sub(MAX_LINE_AS_JSON);
        let mut store = Vec::new();
        while batch.lines.len() + batch.refused.len() < self.size.lines && batch.body.len() <= bytes {
            let next = match self.pending.take() {
                Some(next) => next,
                None => self.lines.advance()?,
            };
            match next {
                Next::Line => self.take_line(&mut batch, &mut store),
                Next::TooLong => batch.refuse(self.lines.number(), "the line is longer than 16 KiB"),
                Next::End => break,
            }
        }
        batch.read_bytes = self.lines.bytes() - self.bytes_told;
        self.bytes_told = self.lines.bytes();
        Ok(if batch.lines.is_empty() && batch.refused.is_empty() { None } else { Some(batch) })
    }

    fn take_line(&self, batch: &mut Batch, store: &mut Vec<String>) {
        let number = self.lines.number();
        let Ok(line) = std::str::from_utf8(self.lines.line()) else {
            return batch.refuse(number, "the line is not UTF-8 text");
        };
        if line.trim_ascii().is_empty() {
            return;
        }
        let record = match &self.reading {
            Reading::Ndjson => {
                let line = line.trim_ascii();
                if !(line.starts_with('{') && line.ends_with('}')) {
                    return batch.refuse(number, "the line is no JSON object");
                }
                batch.body.extend_from_slice(line.as_bytes());
                batch.body.push(b'\n');
                batch.lines.push(number);
                return;
            }
            Reading::Text => text(line),
            Reading::Csv(columns) => match columns.record(line, store) {
                Some(record) => record,
                None => return batch.refuse(number, "the line lacks the key's column, or a quote is not closed"),
            },
        };
        if record.key.is_empty() {
            return batch.refuse(number, "there is no key in the line");
        }
        if self.held == Held::Sha256 && TextHash::parse(record.key).is_none() {
            return batch.refuse(number, "a SHA-256 is 64 hexadecimal digits, or base64 of its 32 bytes");
        }
        write(&mut batch.body, &record, self.held);
        batch.lines.push(number);
    }
}

fn write(body: &mut Vec<u8>, record: &Record<'_>, held: Held) {
    body.extend_from_slice(b"{\"");
    body.extend_from_slice(held.name().as_bytes());
    body.extend_from_slice(b"\":");
    write_text(body, record.key);
    if let Some(finder) = held.finder().filter(|_| !record.finder.is_empty()) {
        body.extend_from_slice(b",\"");
        body.extend_from_slice(finder.as_bytes());
        body.extend_from_slice(b"\":");
        write_text(body, record.finder);
    }
    if !record.name.is_empty() {
        body.extend_from_slice(b",\"name\":");
        write_text(body, record.name);
    }
    if !record.expires_at.is_empty() {
        body.extend_from_slice(b",\"expires_at\":");
        write_text(body, record.expires_at);
    }
    body.extend_from_slice(b"}\n");
}

fn write_text(body: &mut Vec<u8>, text: &str) {
    // Nearly every text of such a file needs no escape, and asking is cheaper than escaping.
    if text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
        body.push(b'"');
        body.extend_from_slice(text.as_bytes());
        body.push(b'"');
    } else {
        // Writing to memory can't fail.
        let _ = serde_json::to_writer(body, text);
    }
}

/// How a file that begins with this line is read, and whether the line is its header.
fn detect(first: &[u8], format: Format) -> Result<(Reading, bool), Fault> {
    // Nothing of the line is repeated in a message: it most likely holds a key.
    let wrong = |why: &str, todo: &str| Err(Fault::usage("the file of keys is not understood", why, todo));
    if first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff") {
        return wrong("it is UTF-16", "convert it to UTF-8, for example with `iconv -f UTF-16 -t UTF-8`");
    }
    let line = String::from_utf8_lossy(first);
    let line = line.trim();
    let header = Columns::of_header(line);
    match format {
        Format::Text => Ok((Reading::Text, false)),
        Format::Ndjson => Ok((Reading::Ndjson, false)),
        Format::Csv => match header {
            Some(columns) => Ok((Reading::Csv(columns), true)),
            None => wrong(
                "its first line does not name one column `key`, `sha256`, `hash` or `long_token_hash`",
                "put a header such as `key,name,expires_at` at its beginning",
            ),
        },
        Format::Auto if line.starts_with('{') => Ok((Reading::Ndjson, false)),
        Format::Auto if line.starts_with('[') => {
            wrong("it is a JSON array", "write one object a line, for example with `jq -c '.[]'`")
        }
        Format::Auto => match header {
            Some(columns) => Ok((Reading::Csv(columns), true)),
            None if text(line).key.contains([',', ';']) => wrong(
                "it looks like CSV, but its first line does not name a column `key`, `sha256`, `hash` or `long_token_hash`",
                "put a header such as `key,name,expires_at` at its beginning, or give --format text if the keys have commas",
            ),
            None => Ok((Reading::Text, false)),
        },
    }
}
