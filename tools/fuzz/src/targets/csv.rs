//! Files of targets: no row is lost or invented, each is told by its line, and an accepted amount is the one in the file.

use std::sync::LazyLock;
use std::time::Duration;

use loader::csv::encoding::Encoding;
use loader::csv::header::Column;
use loader::csv::record::{MAX_RECORD, RecordReader};
use loader::csv::row::RowError;
use loader::csv::source::Source;
use loader::ending::Ending;
use loader::progress::Progress;
use loader::survey::{Survey, Terms};
use pipeline::domain::{Amount, Shape};
use pipeline::health::Health;
use pipeline::shutdown::Shutdown;

use crate::input::Input;
use crate::scratch;

const HEADERS: [&str; 4] = [
    "",
    "customer_uid,amount\n",
    "amount,customer_uid,reason,expired_at\n",
    "customer_uid,voucher_number,amount,is_withdrawal,merchant_code\r\n",
];

static HEALTH: LazyLock<Health> = LazyLock::new(|| Health::new(Duration::from_secs(60), Shutdown::never()));

/// Surveys a file made of the bytes, and goes through its rows again.
///
/// # Panics
/// When a rule is broken.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let form = input.byte();
    let header = HEADERS[usize::from(form & 3)];
    let shape = if form & 3 == 3 || form & 4 != 0 { Shape::Voucher } else { Shape::Point };
    let default_amount = (form & 8 != 0).then(|| Amount::parse("5000.00").expect("an amount"));
    let file = [header.as_bytes(), input.rest()].concat();
    let terms = Terms { shape, default_amount };
    let survey = scratch::with_file(&file, |handle, _| {
        let source = Source::opened(handle.try_clone().expect("a handle")).expect("a file").expect("a regular file");
        Survey::of(&source, terms, &Progress::begin("fuzz", source.bytes(), &HEALTH))
    });
    if file.len() > MAX_RECORD {
        // Whether a row is too long, another reader would have to judge by the same measure.
        return;
    }
    let rows = rows_by_another_reader(&file);
    match survey {
        Ok(survey) => surveyed(&survey, &file, &rows.expect("a quote is open, and the file was read all the same")),
        Err(Ending::Refused(refusal)) => assert!(!refusal.to_string().is_empty()),
        Err(Ending::Failed(error)) => panic!("a file alone made the loader fail: {error:#}"),
    }
}

fn surveyed(survey: &Survey, file: &[u8], rows: &[Row]) {
    let (_header, rows) = rows.split_first().expect("a header");
    let counted = survey.whole.loaded + survey.whole.rejected;
    assert_eq!(counted, rows.len() as u64, "a row was lost or invented");
    assert_eq!((survey.whole.rejected, survey.whole.byte_offset), (survey.bad.count, file.len() as u64));
    assert!(survey.bad.listed.iter().all(|bad| rows.iter().any(|row| row.line == bad.line)));
    let mut reader = RecordReader::new(file).expect("bytes in memory");
    reader.next_record().expect("read before").expect("the header");
    let mut duplicates = survey.duplicates.as_slice();
    let (mut loaded, mut sum) = (0, 0);
    for row in rows {
        let record = reader.next_record().expect("read before").expect("one record for each row");
        assert_eq!((record.line, record.offset, record.end), (row.line, row.begin as u64, row.end as u64));
        match survey.judge(&record, &mut duplicates) {
            Ok(target) => {
                let place = survey.rules.header.place(Column::Amount);
                let text = place.map_or(&[][..], |place| &row.cells[place]);
                assert!(!row.is_stray && row.cells.len() == survey.rules.header.columns().len());
                assert_eq!(target.amount.is_none(), text.is_empty());
                let cents = target.amount.map_or(Some(500_000), |_| cents(text)).expect("an amount in the file");
                assert!(exact(survey.rules.amount(&target), cents), "{cents} cents became {:?}", target.amount);
                loaded += 1;
                sum += cents;
            }
            Err(RowError::Bad(bad)) => assert_eq!(bad.line, row.line),
            Err(RowError::NotText) => panic!("text at first, and none now ({})", Encoding::name(survey.rules.encoding)),
        }
    }
    assert!(reader.next_record().expect("read before").is_none() && duplicates.is_empty());
    assert_eq!(loaded, survey.whole.loaded);
    assert!(exact(survey.whole.amount, sum), "{sum} cents became {}", survey.whole.amount);
}

fn exact(amount: Amount, cents: u128) -> bool {
    let mut decimal = amount.decimal();
    decimal.rescale(2);
    decimal == amount.decimal() && decimal.mantissa() == cents.cast_signed()
}

/// `digits` or `digits.digits`, of which only the first two places may be other than 0.
fn cents(text: &[u8]) -> Option<u128> {
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let (whole, places) = (parts.next()?, parts.next().unwrap_or(b"0"));
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let is_cents = is_number(whole) && is_number(places) && places.iter().skip(2).all(|digit| *digit == b'0');
    let digits = whole.iter().chain(places.iter().chain(b"00").take(2));
    let value = |sum: u128, digit: &u8| sum.checked_mul(10)?.checked_add(u128::from(digit - b'0'));
    is_cents.then(|| digits.into_iter().try_fold(0, value)).flatten()
}

/// A row, by a reader that holds the whole file.
struct Row {
    line: u64,
    begin: usize,
    /// Where its content ends; the line end follows.
    end: usize,
    cells: Vec<Vec<u8>>,
    /// Whether a quote stands where none may.
    is_stray: bool,
}

/// All rows that are not empty; nothing where a quote is never closed.
fn rows_by_another_reader(file: &[u8]) -> Option<Vec<Row>> {
    let mut at = if file.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let (mut line, mut rows) = (1, Vec::new());
    while at < file.len() {
        let row = one_row(file, at, line)?;
        let next = row.end + file[row.end..].iter().position(|byte| *byte == b'\n').map_or(file.len(), |far| far + 1);
        at = next.min(file.len());
        line += file[row.begin..at].iter().filter(|byte| **byte == b'\n').count() as u64;
        if row.end > row.begin {
            rows.push(row);
        }
    }
    Some(rows)
}

fn one_row(file: &[u8], begin: usize, line: u64) -> Option<Row> {
    let mut row = Row { line, begin, end: begin, cells: Vec::new(), is_stray: false };
    let mut at = begin;
    loop {
        let mut cell = Vec::new();
        let is_quoted = file.get(at) == Some(&b'"');
        if is_quoted {
            at = quoted(file, at + 1, &mut cell)?;
        }
        let stop = at + file[at..].iter().position(|byte| b",\n".contains(byte)).unwrap_or(file.len() - at);
        let is_end_of_line = file.get(stop) == Some(&b'\n');
        let returned = is_end_of_line && stop > at && file[stop - 1] == b'\r';
        let end = if returned { stop - 1 } else { stop };
        if is_quoted {
            row.is_stray |= end > at;
        } else {
            row.is_stray |= file[at..end].contains(&b'"');
            cell.extend_from_slice(&file[at..end]);
        }
        row.cells.push(cell);
        row.end = end;
        if file.get(stop) != Some(&b',') {
            return Some(row);
        }
        at = stop + 1;
    }
}

/// Reads up to behind the closing quote.
fn quoted(file: &[u8], mut at: usize, cell: &mut Vec<u8>) -> Option<usize> {
    loop {
        let byte = *file.get(at)?;
        at += 1;
        if byte == b'"' {
            if file.get(at) != Some(&b'"') {
                return Some(at);
            }
            at += 1;
        }
        cell.push(byte);
    }
}
