//! A log as it is opened: a file or standard input, compressed or not.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::super::fault::{Exit, Fault};
use super::super::lines::Lines;
use super::super::screen::harmless;

/// Longest line: a request line, a referrer and a user agent of 8 KiB each, half of them escaped.
const MAX_LINE_BYTES: usize = 64 << 10;
/// What a file begins with that is compressed with gzip (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The lines of a log. `input` is standard input, which is read once.
pub(super) fn open(log: &Path, input: &mut Box<dyn Read + Send>) -> Result<Lines, Fault> {
    let failed = |why: &str| {
        let why = format!("{}: {why}", log.display());
        Fault::usage("the log can't be read", why, "check the file's name")
    };
    let reader: Box<dyn Read + Send> = if log == Path::new("-") {
        std::mem::replace(input, Box::new(std::io::empty()))
    } else {
        let file = File::open(log).map_err(|error| failed(&error.to_string()))?;
        if file.metadata().is_ok_and(|about| about.is_dir()) {
            return Err(failed("it is a folder"));
        }
        Box::new(file)
    };
    let mut reader = BufReader::new(reader);
    let begins = reader.fill_buf().map_err(|error| failed(&error.to_string()))?;
    let reader: Box<dyn Read + Send> =
        if begins.starts_with(&GZIP) { Box::new(MultiGzDecoder::new(reader)) } else { Box::new(reader) };
    Ok(Lines::new(reader, MAX_LINE_BYTES))
}

/// The lines of what comes from elsewhere.
pub(super) fn of(reader: Box<dyn Read + Send>) -> Lines {
    Lines::new(reader, MAX_LINE_BYTES)
}

/// Reading stopped within a log.
pub(super) fn broken(name: &str, line: u64, error: &std::io::Error) -> Fault {
    Fault::new(
        Exit::Failure,
        "the log can't be read to its end",
        format!("{}, after line {line}: {error}", harmless(name)),
        "check the file",
    )
}
