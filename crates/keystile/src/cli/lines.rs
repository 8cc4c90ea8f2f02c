//! Lines of a file: counted, and bounded in length.

use std::io::{self, BufRead, BufReader, Read};

use zeroize::Zeroizing;

/// How much is read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// The lines of a file. Line ends may be those of Windows; a byte order mark at the beginning is not part of a line.
pub(super) struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
    /// Bytes of the longest line that is looked at.
    longest: usize,
    /// There may be keys in it.
    line: Zeroizing<Vec<u8>>,
    number: u64,
    bytes: u64,
}

/// What the next line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// One to be looked at.
    Line,
    /// One that is longer than any sensible line; its content is gone.
    TooLong,
    /// There is none.
    End,
}

impl Lines {
    /// Those that are not longer than so many bytes.
    pub(super) fn new(reader: Box<dyn Read + Send>, longest: usize) -> Self {
        let line = Zeroizing::new(Vec::with_capacity(longest + 2));
        Self { reader: BufReader::with_capacity(BUFFER_BYTES, reader), longest, line, number: 0, bytes: 0 }
    }

    /// Goes to the next line.
    pub(super) fn advance(&mut self) -> io::Result<Next> {
        self.line.clear();
        let limit = self.longest as u64 + 2;
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut self.line)?;
        self.bytes += read as u64;
        if read == 0 {
            return Ok(Next::End);
        }
        self.number += 1;
        let mut too_long = false;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if read as u64 == limit {
            too_long = true;
            self.bytes += skip_line(&mut self.reader)?;
        }
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        if self.number == 1 && self.line.starts_with(b"\xef\xbb\xbf") {
            self.line.drain(..3);
        }
        if too_long || self.line.len() > self.longest {
            self.line.clear();
            return Ok(Next::TooLong);
        }
        Ok(Next::Line)
    }

    /// The line without its end.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Its number in the file, counted from 1.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Bytes read so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        let newline = buffer.iter().position(|byte| *byte == b'\n');
        let step = newline.map_or(buffer.len(), |at| at + 1);
        reader.consume(step);
        skipped += step as u64;
        if newline.is_some() || step == 0 {
            return Ok(skipped);
        }
    }
}
