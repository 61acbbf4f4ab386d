use proptest::prelude::*;

use super::*;

/// Hands out a few bytes at a time, so that every place of a file is once the end of what was read.
struct Drip<'a> {
    bytes: &'a [u8],
    step: usize,
}

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.step.min(self.bytes.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes = &self.bytes[count..];
        Ok(count)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Seen {
    line: u64,
    cells: Vec<Vec<u8>>,
    fault: Option<RecordFault>,
}

fn read(bytes: &[u8], step: usize) -> Result<Vec<Seen>, String> {
    let mut reader = RecordReader::new(Drip { bytes, step }).unwrap();
    let mut rows = Vec::new();
    while let Some(record) = reader.next_record().map_err(|error| error.to_string())? {
        let cell = |field: &Field| {
            let text = record.bytes[field.begin..field.end].to_vec();
            if !field.escaped {
                return text;
            }
            String::from_utf8_lossy(&text).replace("\"\"", "\"").into_bytes()
        };
        let place = record.offset as usize..record.end as usize;
        if record.fault != Some(RecordFault::TooLong) {
            assert_eq!(record.bytes, &bytes[place]);
        }
        rows.push(Seen { line: record.line, cells: record.fields.iter().map(cell).collect(), fault: record.fault });
    }
    assert_eq!(reader.offset(), bytes.len() as u64);
    assert_eq!(reader.digest(), <[u8; 32]>::from(Sha256::digest(bytes)));
    Ok(rows)
}

fn cells(text: &str) -> Vec<Vec<String>> {
    let rows = read(text.as_bytes(), usize::MAX).unwrap();
    let text = |cell: Vec<u8>| String::from_utf8(cell).unwrap();
    rows.into_iter().map(|row| row.cells.into_iter().map(text).collect()).collect()
}

#[test]
fn rows_and_cells_are_found_by_the_rules_of_rfc_4180() {
    let table: &[(&str, &[&[&str]])] = &[
        ("", &[]),
        ("\n\r\n", &[]),
        ("a", &[&["a"]]),
        ("a,b\n", &[&["a", "b"]]),
        ("a,b\r\nc,d", &[&["a", "b"], &["c", "d"]]),
        ("a,\n,b\n,", &[&["a", ""], &["", "b"], &["", ""]]),
        ("\u{feff}a\nb\n", &[&["a"], &["b"]]),
        ("\"a,b\",\"c\nd\"\r\n\"\"\n", &[&["a,b", "c\nd"], &[""]]),
        ("\"say \"\"hi\"\"\",x\r\n", &[&["say \"hi\"", "x"]]),
        ("\"a\"", &[&["a"]]),
        ("a\rb\n", &[&["a\rb"]]),
    ];
    for (text, expected) in table {
        assert_eq!(cells(text), *expected, "{text:?}");
    }
}

#[test]
fn a_fault_is_told_and_the_next_row_is_read_all_the_same() {
    for (text, place) in [("a,b\"c\nx,y\n", 1), ("\"a\"b,c\nx,y\n", 0), ("\"a\"\r,c\nx,y\n", 0)] {
        let rows = read(text.as_bytes(), 1).unwrap();
        assert_eq!(rows[0].fault, Some(RecordFault::StrayQuote(place)), "{text:?}");
        assert_eq!(rows[1], Seen { line: 2, cells: vec![b"x".to_vec(), b"y".to_vec()], fault: None }, "{text:?}");
    }
}

#[test]
fn a_quote_that_is_never_closed_ends_the_reading_with_its_place() {
    let far = format!("a\nb,\"c\n{}\"\n", "d\n".repeat(MAX_RECORD));
    for text in ["a\nb,\"c\nd\n", &far] {
        let error = read(text.as_bytes(), usize::MAX).unwrap_err();
        assert_eq!(error, "line 2, column 2: a quote that is opened here is never closed");
    }
}

#[test]
fn a_line_of_ten_million_columns_is_one_bad_row_in_bounded_memory() {
    let text = format!("a\n{}\nb\n", ",".repeat(10_000_000));
    let rows = read(text.as_bytes(), usize::MAX).unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[1].fault, Some(RecordFault::TooLong));
    assert_eq!((rows[2].line, &rows[2].cells), (3, &vec![b"b".to_vec()]));
}

#[test]
fn reading_goes_on_in_the_middle_with_the_hash_of_the_whole() {
    let text = (0..50_000).map(|n| format!("{n},\"x\ny\"\r\n")).collect::<String>();
    let mut whole = RecordReader::new(text.as_bytes()).unwrap();
    for _ in 0..31_234 {
        whole.next_record().unwrap().unwrap();
    }
    let mut later = RecordReader::new(text.as_bytes()).unwrap();
    assert!(later.skip_to(whole.offset(), whole.line()).unwrap());
    assert_eq!(later.digest(), whole.digest());
    let (a, b) = (whole.next_record().unwrap().unwrap(), later.next_record().unwrap().unwrap());
    assert_eq!((a.bytes, a.line, a.offset), (b.bytes, b.line, b.offset));
    assert!(!RecordReader::new(&b"short"[..]).unwrap().skip_to(6, 1).unwrap());
}

proptest! {
    /// What a careful writer writes is read back, whatever the cells hold and however the bytes arrive.
    #[test]
    fn what_another_csv_writer_wrote_is_read_back(
        rows in proptest::collection::vec(proptest::collection::vec("[a\",\r\n 한é]{0,6}", 2..4), 1..8),
        step in 1..9_usize,
        crlf in any::<bool>(),
    ) {
        let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().flexible(true).terminator(terminator).from_writer(Vec::new());
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let found = read(&bytes, step).unwrap();
        let expected: Vec<Vec<Vec<u8>>> =
            rows.into_iter().map(|row| row.into_iter().map(String::into_bytes).collect()).collect();
        prop_assert!(found.iter().all(|row| row.fault.is_none()));
        prop_assert_eq!(found.into_iter().map(|row| row.cells).collect::<Vec<_>>(), expected);
    }

    /// No bytes make it panic or hang, and how they arrive changes nothing.
    #[test]
    fn any_bytes_are_read_to_their_end_the_same_way_however_they_arrive(
        bytes in proptest::collection::vec(prop_oneof![3 => proptest::sample::select(b"\",\n\ra".to_vec()), 1 => any::<u8>()], 0..200),
        step in 1..9_usize,
    ) {
        prop_assert_eq!(read(&bytes, step), read(&bytes, usize::MAX));
    }
}
