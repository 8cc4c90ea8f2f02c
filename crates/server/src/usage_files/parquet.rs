//! Apache Parquet: the fields of `GET /v1/usage/export` as columns, moments as UTC timestamps in microseconds.

use std::fs::File;
use std::io;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::Sink;
use crate::manage::UsageLine;

/// The columns.
const SCHEMA: &str = "message usage {
    required binary id (STRING);
    required binary kind (STRING);
    required int64 at (TIMESTAMP(MICROS, true));
    required int64 recorded_at (TIMESTAMP(MICROS, true));
    optional binary api_id (STRING);
    optional binary project_id (STRING);
    optional binary key_id (STRING);
    optional binary operation (STRING);
    required binary code (STRING);
    required int32 status;
    required int64 calls;
    required int64 latency_us;
    required int64 bytes_in;
    required int64 bytes_out;
    required int64 units;
    optional binary record_id (STRING);
    optional binary corrects (STRING);
    optional binary note (STRING);
    optional binary recorded_by (STRING);
}";
/// Rows of a group: what is in memory at a time.
const ROWS: usize = 50_000;

/// A file of columns.
pub(super) struct Columns {
    file: SerializedFileWriter<File>,
    /// Those that are no group yet.
    rows: Vec<UsageLine>,
}

fn failed(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

impl Columns {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let schema = parse_message_type(SCHEMA).map_err(failed)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).map_err(failed)?;
        Ok(Self { file, rows: Vec::new() })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let rows = std::mem::take(&mut self.rows);
        let mut group = Group { of: self.file.next_row_group()?, rows: &rows };
        group.text(|row| row.id.clone())?;
        group.text(|row| row.kind.to_owned())?;
        group.number(|row| row.at.as_micros())?;
        group.number(|row| row.recorded_at.as_micros())?;
        group.text_if_any(|row| row.api_id.map(|id| id.to_string()))?;
        group.text_if_any(|row| row.project_id.map(|id| id.to_string()))?;
        group.text_if_any(|row| row.key_id.map(|id| id.to_string()))?;
        group.text_if_any(|row| row.operation.clone())?;
        group.text(|row| row.code.as_str().to_owned())?;
        group.small_number(|row| row.status.into())?;
        group.number(|row| whole(row.calls))?;
        group.number(|row| whole(row.latency_us))?;
        group.number(|row| whole(row.bytes_in))?;
        group.number(|row| whole(row.bytes_out))?;
        group.number(|row| row.units)?;
        group.text_if_any(|row| row.record_id.clone())?;
        group.text_if_any(|row| row.corrects.clone())?;
        group.text_if_any(|row| row.note.clone())?;
        group.text_if_any(|row| row.recorded_by.clone())?;
        group.of.close().map(drop)
    }
}

impl Sink for Columns {
    fn put(&mut self, rows: &[UsageLine]) -> io::Result<()> {
        self.rows.extend_from_slice(rows);
        if self.rows.len() >= ROWS { self.write_group().map_err(failed) } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> io::Result<File> {
        if !self.rows.is_empty() {
            self.write_group().map_err(failed)?;
        }
        self.file.into_inner().map_err(failed)
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The columns of some rows, written in their order.
struct Group<'a> {
    of: SerializedRowGroupWriter<'a, File>,
    rows: &'a [UsageLine],
}

impl Group<'_> {
    /// A text that every row has.
    fn text(&mut self, value: impl Fn(&UsageLine) -> String) -> Result<(), ParquetError> {
        self.texts(|row| Some(value(row)), false)
    }

    /// A text that not every row has.
    fn text_if_any(&mut self, value: impl Fn(&UsageLine) -> Option<String>) -> Result<(), ParquetError> {
        self.texts(value, true)
    }

    fn texts(&mut self, value: impl Fn(&UsageLine) -> Option<String>, is_optional: bool) -> Result<(), ParquetError> {
        let all: Vec<Option<String>> = self.rows.iter().map(value).collect();
        // 1 where there is one.
        let levels: Vec<i16> = all.iter().map(|text| i16::from(text.is_some())).collect();
        let texts: Vec<ByteArray> = all.into_iter().flatten().map(|text| ByteArray::from(text.into_bytes())).collect();
        let mut column = self.next()?;
        column.typed::<ByteArrayType>().write_batch(&texts, is_optional.then_some(&levels), None)?;
        column.close()
    }

    fn number(&mut self, value: impl Fn(&UsageLine) -> i64) -> Result<(), ParquetError> {
        let all: Vec<i64> = self.rows.iter().map(value).collect();
        let mut column = self.next()?;
        column.typed::<Int64Type>().write_batch(&all, None, None)?;
        column.close()
    }

    fn small_number(&mut self, value: impl Fn(&UsageLine) -> i32) -> Result<(), ParquetError> {
        let all: Vec<i32> = self.rows.iter().map(value).collect();
        let mut column = self.next()?;
        column.typed::<Int32Type>().write_batch(&all, None, None)?;
        column.close()
    }

    fn next(&mut self) -> Result<parquet::file::writer::SerializedColumnWriter<'_>, ParquetError> {
        self.of.next_column()?.ok_or_else(|| ParquetError::General("there is no such column".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use keystile_core::code::Code;
    use keystile_core::id::ProjectId;
    use keystile_core::time::Timestamp;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use super::*;

    fn row(number: u64) -> UsageLine {
        UsageLine {
            id: format!("event {number}"),
            kind: "call",
            at: Timestamp::from_micros(7),
            recorded_at: Timestamp::from_micros(8),
            api_id: None,
            project_id: number.is_multiple_of(2).then(|| ProjectId::from_entropy([3; 16])),
            key_id: None,
            operation: Some("GET /ö".to_owned()),
            code: Code::Allowed,
            status: 200,
            calls: number,
            latency_us: u64::MAX,
            bytes_in: 1,
            bytes_out: 2,
            units: -5,
            record_id: None,
            corrects: None,
            note: None,
            recorded_by: None,
        }
    }

    #[test]
    fn what_is_written_is_read_back_in_groups() {
        let file = tempfile::tempfile().unwrap();
        let mut columns = Box::new(Columns::new(file.try_clone().unwrap()).unwrap());
        let all: Vec<_> = (0..ROWS as u64 + 2_000).map(row).collect();
        all.chunks(999).for_each(|page| columns.put(page).unwrap());
        columns.finish().unwrap();
        let read = SerializedFileReader::new(file).unwrap();
        assert_eq!(read.metadata().num_row_groups(), 2);
        let mut count = 0;
        for (number, row) in read.into_iter().enumerate() {
            let row = row.unwrap();
            assert_eq!(row.get_string(0).unwrap(), &format!("event {number}"));
            assert_eq!(row.get_string(5).is_ok(), number % 2 == 0);
            assert_eq!((row.get_long(10).unwrap(), row.get_long(14).unwrap()), (number as i64, -5));
            assert_eq!((row.get_int(9).unwrap(), row.get_string(7).unwrap().as_str()), (200, "GET /ö"));
            count += 1;
        }
        assert_eq!(count, all.len());
    }
}
