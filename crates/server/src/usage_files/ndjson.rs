//! Lines of JSON, compressed.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Sink;
use crate::manage::UsageLine;

/// A file of lines.
pub(super) struct Lines(GzEncoder<BufWriter<File>>);

impl Lines {
    pub(super) fn new(file: File) -> Self {
        Self(GzEncoder::new(BufWriter::new(file), Compression::default()))
    }
}

impl Sink for Lines {
    fn put(&mut self, rows: &[UsageLine]) -> io::Result<()> {
        for row in rows {
            serde_json::to_writer(&mut self.0, row)?;
            self.0.write_all(b"\n")?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<File> {
        self.0.finish()?.into_inner().map_err(io::IntoInnerError::into_error)
    }
}
