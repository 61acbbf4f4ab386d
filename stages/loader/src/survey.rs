//! The first pass: reads the whole file and writes nothing.
//!
//! It finds every bad row, counts and adds up the good ones, and notes at regular places what the file's bytes were
//! up to there (SHA-256). The second pass stores a batch only where these agree, so that a file which changes in
//! between is noticed before anything of the change is stored.

use std::collections::HashMap;

use anyhow::Context as _;
use pipeline::domain::{Amount, CustomerUid, Shape};
use pipeline::store::{LoadProgress, NewTarget};
use rust_decimal::Decimal;

use crate::csv::cell::{BadRow, Code};
use crate::csv::encoding::{Encoding, not_a_csv};
use crate::csv::header::{Column, Header};
use crate::csv::record::{Record, RecordReader};
use crate::csv::row::{RowError, RowRules};
use crate::csv::source::{Source, SourceReader};
use crate::ending::Ending;
use crate::progress::Progress;
use crate::refusal::{BadRows, Refusal};
use crate::seen::SeenCustomers;

/// Rows between two checkpoints, and so of a batch, which is one transaction: some 100 ms of inserting, against one
/// for the commit and one for noting the progress.
const CHECKPOINT_ROWS: u64 = 8_000;
/// `campaign_promotions.total_amount` is a DECIMAL(18,2).
const MAX_TOTAL: Decimal = Decimal::from_parts(2_808_348_671, 232_830_643, 0, false, 2);

/// What the file's bytes are up to some offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Where.
    pub offset: u64,
    /// SHA-256 of everything before.
    pub digest: [u8; 32],
}

/// What the first pass found.
#[derive(Debug)]
pub struct Survey {
    /// How rows are read.
    pub rules: RowRules,
    /// Whether the file begins with a byte order mark.
    pub has_bom: bool,
    /// What the whole file gives: rows, money, length.
    pub whole: LoadProgress,
    /// Rows that are not loaded.
    pub bad: BadRows,
    /// Where the rows begin whose customer stands in an earlier row, ascending.
    pub duplicates: Vec<u64>,
    /// Ends of batches, ascending; the last is the end of the file.
    pub checkpoints: Vec<Checkpoint>,
}

/// What decides how a file is read, beside the file.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Which columns there may be.
    pub shape: Shape,
    /// What a row without an amount is worth.
    pub default_amount: Option<Amount>,
}

enum Attempt {
    Read(Box<Survey>),
    /// This row is not text of the encoding.
    NotText {
        line: u64,
        offset: u64,
    },
}

impl Survey {
    /// Reads the file: as UTF-8, and where that does not fit, as CP949.
    ///
    /// # Errors
    /// [`Refusal`] where the file cannot be read as a whole. Bad rows are no error here.
    pub fn of(source: &Source, terms: Terms, progress: &Progress) -> Result<Self, Ending> {
        let first = attempt(source, terms, Encoding::Utf8, progress)?;
        let (line, offset) = match first {
            Attempt::Read(survey) => return survey.naming_first_lines(source),
            Attempt::NotText { line, offset } => (line, offset),
        };
        let not_utf8 = format!("the row in line {line} (at byte {offset}) is not UTF-8");
        if RecordReader::new(source.reader())?.has_bom() {
            return Err(Refusal::File(format!("{not_utf8}, though the file begins with its byte order mark")).into());
        }
        match attempt(source, terms, Encoding::Cp949, progress)? {
            Attempt::Read(survey) => survey.naming_first_lines(source),
            Attempt::NotText { line, offset } => Err(Refusal::File(format!(
                "{not_utf8}, and the row in line {line} (at byte {offset}) is not CP949; save the file as \"CSV UTF-8\""
            ))
            .into()),
        }
    }

    /// SHA-256 of the file, in hex.
    pub fn hash(&self) -> String {
        self.checkpoints.last().map(|end| hex::encode(end.digest)).unwrap_or_default()
    }

    /// Judges a row in a later pass, as the first pass did. Rows come in the order of the file; `duplicates` is what
    /// is left of [`Self::duplicates`].
    ///
    /// # Errors
    /// What is wrong with the row.
    pub fn judge<'r>(&self, record: &Record<'r>, duplicates: &mut &[u64]) -> Result<NewTarget<'r>, RowError> {
        let target = self.rules.read(record)?;
        if let [next, rest @ ..] = *duplicates
            && *next == record.offset
        {
            *duplicates = rest;
            return Err(RowError::Bad(duplicate(record.line, target.customer, None)));
        }
        Ok(target)
    }

    /// Finds, for the duplicates that are listed, the line in which the customer stands first.
    fn naming_first_lines(mut self, source: &Source) -> Result<Self, Ending> {
        let listed = self.bad.listed.iter_mut().filter(|row| row.code == Code::Duplicate);
        let mut wanted: HashMap<i64, Option<u64>> =
            listed.filter_map(|row| row.customer).map(|customer| (customer.0, None)).collect();
        if wanted.is_empty() {
            return Ok(self);
        }
        let mut reader = RecordReader::new(source.reader())?;
        reader.next_record()?;
        let mut missing = wanted.len();
        while missing > 0 {
            let Some(record) = reader.next_record()? else { break };
            let customer = match self.rules.read(&record) {
                Ok(target) => Some(target.customer),
                Err(RowError::Bad(row)) => row.customer,
                Err(RowError::NotText) => None,
            };
            if let Some(line @ None) = customer.and_then(|customer| wanted.get_mut(&customer.0)) {
                *line = Some(record.line);
                missing -= 1;
            }
        }
        for row in self.bad.listed.iter_mut().filter(|row| row.code == Code::Duplicate) {
            if let Some(customer) = row.customer {
                *row = duplicate(row.line, customer, wanted.get(&customer.0).copied().flatten());
            }
        }
        Ok(self)
    }
}

fn duplicate(line: u64, customer: CustomerUid, first: Option<u64>) -> BadRow {
    let reason = match first {
        Some(first) => format!("this customer stands in line {first} already"),
        None => "this customer stands in an earlier row".to_owned(),
    };
    BadRow { line, column: Column::CustomerUid.name(), code: Code::Duplicate, reason, customer: Some(customer) }
}

fn attempt(source: &Source, terms: Terms, encoding: Encoding, progress: &Progress) -> Result<Attempt, Ending> {
    let mut reader = RecordReader::new(source.reader())?;
    if let Some(problem) = not_a_csv(reader.peek(4)) {
        return Err(Refusal::File(problem.to_owned()).into());
    }
    let has_bom = reader.has_bom();
    let Some(header) = reader.next_record()? else { return Err(Refusal::Empty.into()) };
    let header = Header::read(&header, encoding, terms.shape).map_err(Refusal::File)?;
    if !header.has(Column::Amount) && terms.default_amount.is_none() {
        let problem = "the file has no column amount, and there is no --default-amount: nothing could be paid";
        return Err(Refusal::File(problem.to_owned()).into());
    }
    let rules = RowRules { header, encoding, shape: terms.shape, default_amount: terms.default_amount };
    let mut survey = Survey {
        rules,
        has_bom,
        whole: LoadProgress::default(),
        bad: BadRows::default(),
        duplicates: Vec::new(),
        checkpoints: Vec::new(),
    };
    if let Some((line, offset)) = rows(&mut survey, &mut reader, progress)? {
        return Ok(Attempt::NotText { line, offset });
    }
    Ok(Attempt::Read(Box::new(survey)))
}

/// Reads the rows. Line and offset of the one that is not text, where there is one.
fn rows(
    survey: &mut Survey,
    reader: &mut RecordReader<SourceReader<'_>>,
    progress: &Progress,
) -> Result<Option<(u64, u64)>, Ending> {
    let mut seen = SeenCustomers::default();
    let mut rows = 0_u64;
    while let Some(record) = reader.next_record()? {
        match survey.rules.read(&record) {
            Err(RowError::NotText) => return Ok(Some((record.line, record.offset))),
            Err(RowError::Bad(row)) => {
                if let Some(customer) = row.customer {
                    seen.add(customer);
                }
                survey.bad.add(row);
            }
            Ok(target) if !seen.add(target.customer) => {
                survey.duplicates.push(record.offset);
                survey.bad.add(duplicate(record.line, target.customer, None));
            }
            Ok(target) => {
                survey.whole.loaded += 1;
                let amount = survey.rules.amount(&target);
                survey.whole.amount = survey.whole.amount.checked_add(amount).context("the sum is too large")?;
            }
        }
        rows += 1;
        if rows.is_multiple_of(CHECKPOINT_ROWS) {
            survey.checkpoints.push(Checkpoint { offset: reader.offset(), digest: reader.digest() });
            progress.reach(reader.offset());
        }
    }
    let end = Checkpoint { offset: reader.offset(), digest: reader.digest() };
    if survey.checkpoints.last() != Some(&end) {
        survey.checkpoints.push(end);
    }
    let whole = &mut survey.whole;
    whole.byte_offset = end.offset;
    whole.line_number = reader.line() - 1;
    whole.rejected = survey.bad.count;
    if whole.loaded + whole.rejected > i32::MAX.unsigned_abs().into() {
        return Err(Refusal::TooMuch(format!("{} rows", whole.loaded + whole.rejected)).into());
    }
    if whole.amount.decimal() > MAX_TOTAL {
        return Err(Refusal::TooMuch(format!("{} altogether", whole.amount)).into());
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
