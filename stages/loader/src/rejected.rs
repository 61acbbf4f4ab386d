//! The rejected file: the rows that are not loaded, byte for byte, each with what is wrong with it.
//!
//! Written whole before anything is loaded, so that a load which is killed has it already, and one that goes on
//! writes the same again. Mended, and without the added columns, it can be loaded under another campaign code.

use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;

use crate::csv::cell::BadRow;
use crate::csv::encoding::Encoding;
use crate::csv::record::{Record, RecordReader};
use crate::csv::row::RowError;
use crate::csv::source::Source;
use crate::ending::Ending;
use crate::refusal::Refusal;
use crate::survey::Survey;

const ADDED: &str = ",error_line,error_column,error_code,error_message";
/// Bytes of a row that is too long to be held which are copied at a time.
const COPY: usize = 64 * 1024;

/// Writes the file beside its name and renames it; only its owner may read it, for it names customers.
pub fn write(path: &Path, source: &Source, survey: &Survey) -> Result<(), Ending> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = || format!("cannot write the rejected file {}", path.display());
    let file = tempfile::NamedTempFile::new_in(dir).with_context(cannot)?;
    let mut out = BufWriter::new(file);
    rows(&mut out, source, survey)?;
    let file = out.into_inner().map_err(|error| error.into_error()).with_context(cannot)?;
    file.as_file().sync_all().with_context(cannot)?;
    file.persist(path).map_err(|error| error.error).with_context(cannot)?;
    Ok(())
}

fn rows(out: &mut impl Write, source: &Source, survey: &Survey) -> Result<(), Ending> {
    let cannot = "cannot write the rejected file";
    let mut reader = RecordReader::new(source.reader())?;
    if reader.has_bom() {
        out.write_all(b"\xef\xbb\xbf").context(cannot)?;
    }
    let Some(header) = reader.next_record()? else { return Err(Refusal::Changed.into()) };
    let line_end = line_end(source, &header);
    out.write_all(header.bytes).context(cannot)?;
    out.write_all(ADDED.as_bytes()).context(cannot)?;
    out.write_all(line_end).context(cannot)?;
    let mut duplicates = survey.duplicates.as_slice();
    let mut listed = survey.bad.listed.as_slice();
    while let Some(record) = reader.next_record()? {
        let row = match survey.judge(&record, &mut duplicates) {
            Ok(_) => continue,
            Err(RowError::NotText) => return Err(Refusal::Changed.into()),
            Err(RowError::Bad(row)) => row,
        };
        // The listed ones say more: a duplicate's first line.
        let row = match listed {
            [first, rest @ ..] if first.line == row.line => {
                listed = rest;
                first
            }
            _ => &row,
        };
        copy(out, source, &record)?;
        out.write_all(&survey.rules.encoding.encode(&added(row))).context(cannot)?;
        out.write_all(line_end).context(cannot)?;
    }
    out.flush().context(cannot)?;
    Ok(())
}

fn added(row: &BadRow) -> String {
    let BadRow { line, column, code, reason, customer: _ } = row;
    format!(",{line},{column},{},\"{}\"", code.name(), reason.replace('"', "\"\""))
}

/// The row's own bytes; one that was too long to be held is read again.
fn copy(out: &mut impl Write, source: &Source, record: &Record<'_>) -> Result<(), Ending> {
    let cannot = "cannot copy a row to the rejected file";
    if !record.bytes.is_empty() {
        out.write_all(record.bytes).context(cannot)?;
        return Ok(());
    }
    let mut buffer = vec![0; COPY];
    let mut offset = record.offset;
    while offset < record.end {
        let part = usize::try_from(record.end - offset).unwrap_or(COPY).min(COPY);
        source.read_range(offset, &mut buffer[..part]).context(cannot)?;
        out.write_all(&buffer[..part]).context(cannot)?;
        offset += part as u64;
    }
    Ok(())
}

fn line_end(source: &Source, header: &Record<'_>) -> &'static [u8] {
    let mut first = [0];
    match source.read_range(header.end, &mut first) {
        Ok(()) if first == *b"\r" => b"\r\n",
        _ => b"\n",
    }
}

impl Encoding {
    /// Encodes a message; characters that the encoding lacks are written as their numbers.
    fn encode(self, text: &str) -> std::borrow::Cow<'_, [u8]> {
        match self {
            Self::Utf8 => text.as_bytes().into(),
            Self::Cp949 => encoding_rs::EUC_KR.encode(text).0,
        }
    }
}
