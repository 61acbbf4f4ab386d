//! Records: which bytes of the file are one row, and which of those are one field.
//!
//! RFC 4180, read strictly, in memory that does not depend on the file: a record is handed out from one buffer.
//! Delimiters, quotes and line ends are bytes that occur in no multi-byte character of UTF-8 or CP949, so records are
//! found before anything is decoded. A reader also knows where it is, on which line, and the SHA-256 of everything
//! before: with these two passes over a file are compared step by step, and a load goes on in the middle.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Longest record in bytes. The longest that the columns can hold is 2.5 KB in UTF-8, with every character quoted 5.
pub const MAX_RECORD: usize = 64 * 1024;
/// Fields whose place is remembered. Further ones are only counted: there are eight columns.
pub const MAX_FIELDS: usize = 64;

const BUFFER: usize = 256 * 1024;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Why a pass over a file cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error("cannot read the file: {0}")]
    Io(#[from] io::Error),
    /// A quote that opens a field and is never closed, or not within [`MAX_RECORD`] bytes: where the next row begins
    /// cannot be told.
    #[error("line {line}, column {column}: a quote that is opened here is never closed")]
    QuoteNeverClosed {
        /// Line of the quote.
        line: u64,
        /// Column, counted from 1.
        column: usize,
    },
}

/// What is wrong with a record as such.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordFault {
    /// More than [`MAX_RECORD`] bytes; its fields are not known.
    TooLong,
    /// A quote in an unquoted field, or text behind a closing quote, in this field (counted from 0).
    StrayQuote(usize),
}

/// Where a field lies in its record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// First byte, behind the opening quote.
    pub begin: usize,
    /// Behind the last byte, before the closing quote.
    pub end: usize,
    /// Whether it stands in quotes.
    pub quoted: bool,
    /// Whether a quote in it is written as two.
    pub escaped: bool,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its bytes without the line end; empty when it is too long.
    pub bytes: &'a [u8],
    /// Its first [`MAX_FIELDS`] fields; none when it is too long.
    pub fields: &'a [Field],
    /// How many fields it has.
    pub field_count: usize,
    /// Where in the file it begins.
    pub offset: u64,
    /// Where in the file its content ends; the line end follows.
    pub end: u64,
    /// The line on which it begins, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub fault: Option<RecordFault>,
}

/// Reads records.
pub struct RecordReader<R> {
    source: R,
    buffer: Box<[u8]>,
    /// Offset in the file of the buffer's first byte.
    base: u64,
    filled: usize,
    /// Where the record begins that is being read.
    start: usize,
    at: usize,
    hashed: usize,
    hasher: Sha256,
    line: u64,
    scan: Scan,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    QuoteInQuoted,
    /// A carriage return behind a closing quote.
    QuotedThenReturn,
    /// Behind a fault: only a delimiter or a line end still means something.
    Astray,
}

/// What is known of the record that is being read.
struct Scan {
    state: State,
    field: Field,
    fields: Vec<Field>,
    field_count: usize,
    fault: Option<RecordFault>,
    quote_offset: u64,
    quote_line: u64,
}

impl Scan {
    fn begin(&mut self) {
        self.state = State::FieldStart;
        self.fields.clear();
        self.field_count = 0;
        self.fault = None;
    }

    fn stray_quote(&mut self) {
        self.fault = self.fault.or(Some(RecordFault::StrayQuote(self.field_count)));
        self.state = State::Astray;
    }

    fn push(&mut self, end: usize) {
        if self.fields.len() < MAX_FIELDS {
            self.fields.push(Field { end, ..self.field });
        }
        self.field_count += 1;
        self.state = State::FieldStart;
    }
}

impl<R: Read> RecordReader<R> {
    /// Begins at the file's first byte; a byte order mark is passed over.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn new(source: R) -> Result<Self, RecordError> {
        let scan = Scan {
            state: State::FieldStart,
            field: Field { begin: 0, end: 0, quoted: false, escaped: false },
            fields: Vec::with_capacity(MAX_FIELDS),
            field_count: 0,
            fault: None,
            quote_offset: 0,
            quote_line: 0,
        };
        let buffer = vec![0; BUFFER].into_boxed_slice();
        let hasher = Sha256::new();
        let mut reader = Self { source, buffer, base: 0, filled: 0, start: 0, at: 0, hashed: 0, hasher, line: 1, scan };
        while reader.filled < BOM.len() && reader.refill()? {}
        if reader.has_bom() {
            reader.at = BOM.len();
        }
        Ok(reader)
    }

    /// Whether the file begins with the byte order mark of UTF-8. Asked before the first record.
    pub fn has_bom(&self) -> bool {
        self.base == 0 && self.buffer[..self.filled].starts_with(BOM)
    }

    /// The file's first bytes, at most so many. Asked before the first record.
    pub fn peek(&self, count: usize) -> &[u8] {
        &self.buffer[..self.filled.min(count)]
    }

    /// Everything before this offset has been read.
    pub fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// The line on which the next record begins, counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// SHA-256 of everything before [`Self::offset`].
    pub fn digest(&mut self) -> [u8; 32] {
        self.hash_to(self.at);
        self.hasher.clone().finalize().into()
    }

    /// Goes to where an earlier pass stood. `false` when the file ends before.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn skip_to(&mut self, offset: u64, line: u64) -> Result<bool, RecordError> {
        while self.base + (self.filled as u64) < offset {
            self.at = self.filled;
            self.start = self.at;
            if !self.refill()? {
                return Ok(false);
            }
        }
        let Ok(at) = usize::try_from(offset - self.base) else { return Ok(false) };
        self.at = at;
        self.line = line;
        Ok(true)
    }

    /// The next record; empty lines are passed over.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, RecordError> {
        loop {
            self.start = self.at;
            self.scan.begin();
            let (offset, line) = (self.offset(), self.line);
            let Some(end) = self.read_record()? else { return Ok(None) };
            if end == offset {
                continue;
            }
            if self.at - self.start > MAX_RECORD || self.offset() - offset > MAX_RECORD as u64 {
                self.scan.fault = Some(RecordFault::TooLong);
            }
            let too_long = self.scan.fault == Some(RecordFault::TooLong);
            let bytes = if too_long { &[][..] } else { &self.buffer[self.start..self.start + (end - offset) as usize] };
            let fields = if too_long { &[][..] } else { &self.scan.fields[..] };
            let field_count = self.scan.field_count;
            return Ok(Some(Record { bytes, fields, field_count, offset, end, line, fault: self.scan.fault }));
        }
    }

    /// Reads up to behind the line end. Where the record's content ends; nothing at the end of the file.
    fn read_record(&mut self) -> Result<Option<u64>, RecordError> {
        loop {
            if self.at == self.filled && !self.refill()? {
                return self.end_of_file();
            }
            if self.scan.state == State::Plain {
                // Most bytes of a file pass here.
                let rest = &self.buffer[self.at..self.filled];
                let stop = rest.iter().position(|byte| matches!(byte, b',' | b'\n' | b'"'));
                self.at += stop.unwrap_or(rest.len());
                if stop.is_none() {
                    continue;
                }
            }
            let byte = self.buffer[self.at];
            let here = self.at - self.start;
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
            }
            if let Some(end) = self.take(byte, here)? {
                return Ok(Some(self.base + (self.start + end) as u64));
            }
        }
    }

    /// Takes one byte, at this place in the record. Where the content ends, when the record does.
    fn take(&mut self, byte: u8, here: usize) -> Result<Option<usize>, RecordError> {
        let scan = &mut self.scan;
        match (scan.state, byte) {
            (State::FieldStart, b'"') => {
                scan.field = Field { begin: here + 1, end: 0, quoted: true, escaped: false };
                scan.state = State::Quoted;
                scan.quote_offset = self.base + (self.start + here) as u64;
                scan.quote_line = self.line;
            }
            (State::FieldStart, _) => {
                scan.field = Field { begin: here, end: 0, quoted: false, escaped: false };
                scan.state = State::Plain;
                return self.take(byte, here);
            }
            (State::Plain | State::Astray, b',') => scan.push(here),
            (State::Plain | State::Astray, b'\n') => return Ok(Some(self.end_of_line(here))),
            (State::Plain, b'"') => scan.stray_quote(),
            (State::Plain | State::Astray, _) => {}
            (State::Quoted, b'"') => {
                scan.state = State::QuoteInQuoted;
                // Judged by its length alone, not by how the buffer happened to be filled: every pass finds the same.
                if self.base + (self.start + here) as u64 - scan.quote_offset > MAX_RECORD as u64 {
                    return Err(self.never_closed());
                }
            }
            (State::Quoted, _) => {}
            (State::QuoteInQuoted, b'"') => {
                scan.field.escaped = true;
                scan.state = State::Quoted;
            }
            (State::QuoteInQuoted, b',') => scan.push(here - 1),
            (State::QuoteInQuoted, b'\n') => {
                scan.push(here - 1);
                return Ok(Some(here));
            }
            (State::QuoteInQuoted, b'\r') => scan.state = State::QuotedThenReturn,
            (State::QuotedThenReturn, b'\n') => {
                scan.push(here - 2);
                return Ok(Some(here - 1));
            }
            (State::QuotedThenReturn, b',') => {
                scan.stray_quote();
                scan.push(here);
            }
            (State::QuoteInQuoted | State::QuotedThenReturn, _) => scan.stray_quote(),
        }
        Ok(None)
    }

    /// A line end at this place ends an unquoted field. Where the content ends.
    fn end_of_line(&mut self, here: usize) -> usize {
        let returned = here > 0 && self.buffer[self.start + here - 1] == b'\r';
        let end = if returned && here > self.scan.field.begin { here - 1 } else { here };
        self.scan.push(end);
        end
    }

    fn end_of_file(&mut self) -> Result<Option<u64>, RecordError> {
        let here = self.at - self.start;
        match self.scan.state {
            State::Quoted => return Err(self.never_closed()),
            State::FieldStart if self.scan.field_count == 0 && here == 0 => return Ok(None),
            State::FieldStart => {
                self.scan.field = Field { begin: here, end: here, quoted: false, escaped: false };
                self.scan.push(here);
            }
            State::Plain | State::Astray => self.scan.push(here),
            State::QuoteInQuoted => self.scan.push(here - 1),
            State::QuotedThenReturn => {
                self.scan.stray_quote();
                self.scan.push(here);
            }
        }
        Ok(Some(self.offset()))
    }

    fn never_closed(&self) -> RecordError {
        RecordError::QuoteNeverClosed { line: self.scan.quote_line, column: self.scan.field_count + 1 }
    }

    /// Reads more behind what the buffer holds; makes room by dropping what is done. `false` at the file's end.
    fn refill(&mut self) -> Result<bool, RecordError> {
        if self.at - self.start > MAX_RECORD {
            // Too long to keep: its length still counts, its fields do not.
            let quote_open = matches!(self.scan.state, State::Quoted);
            if quote_open && self.offset() - self.scan.quote_offset > MAX_RECORD as u64 {
                return Err(self.never_closed());
            }
            self.forget_begin();
        }
        self.hash_to(self.start);
        self.buffer.copy_within(self.start..self.filled, 0);
        self.base += self.start as u64;
        self.filled -= self.start;
        self.at -= self.start;
        self.hashed -= self.start;
        self.start = 0;
        let read = loop {
            match self.source.read(&mut self.buffer[self.filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.filled += read;
        Ok(read > 0)
    }

    /// Lets go of the beginning of a record that is too long, but for the last two bytes, which tell how a line ends.
    fn forget_begin(&mut self) {
        self.scan.fault = Some(RecordFault::TooLong);
        self.start = self.at - 2;
        self.scan.field.begin = 0;
    }

    fn hash_to(&mut self, to: usize) {
        if self.hashed < to {
            self.hasher.update(&self.buffer[self.hashed..to]);
            self.hashed = to;
        }
    }
}

#[cfg(test)]
mod tests;
