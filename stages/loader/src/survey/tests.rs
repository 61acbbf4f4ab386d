use std::io::Write;
use std::time::Duration;

use pipeline::health::Health;
use pipeline::shutdown::Shutdown;

use super::*;

fn survey(bytes: &[u8]) -> Result<Survey, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let source = Source::open(file.path()).unwrap();
    let terms = Terms { shape: Shape::Point, default_amount: None };
    let health = Health::new(Duration::from_secs(60), Shutdown::never());
    Survey::of(&source, terms, &Progress::begin("test", 0, &health)).map_err(|ending| match ending {
        Ending::Refused(refusal) => refusal.to_string(),
        Ending::Failed(error) => format!("failed: {error:#}"),
    })
}

#[test]
fn a_later_row_of_a_customer_is_a_duplicate_that_names_the_first_line() {
    let found = survey(b"customer_uid,amount\n7,1\n8,1\n7,2\n9,x\n9,1\n8,1\n").unwrap();
    let lines: Vec<String> = found.bad.listed.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "line 4, column customer_uid: DUPLICATE: this customer stands in line 2 already",
            "line 5, column amount: BAD_AMOUNT: expected a plain decimal number such as 10000 or 10000.50; found \"x\"",
            // Which of the two rows was meant, nobody can tell: neither is paid.
            "line 6, column customer_uid: DUPLICATE: this customer stands in line 5 already",
            "line 7, column customer_uid: DUPLICATE: this customer stands in line 3 already",
        ]
    );
    assert_eq!((found.whole.loaded, found.whole.rejected, found.whole.amount.to_plain()), (2, 4, "2".to_owned()));
    assert_eq!(found.duplicates.len(), 3);
}

#[test]
fn all_bad_rows_are_counted_and_a_hundred_are_listed() {
    let text = format!("customer_uid,amount\n{}", "1,0\n".repeat(250));
    let found = survey(text.as_bytes()).unwrap();
    assert_eq!((found.bad.count, found.bad.listed.len()), (250, 100));
    assert!(found.bad.lines().ends_with("\n… and 150 more"));
}

#[test]
fn a_file_that_is_not_utf8_is_read_as_cp949_or_refused_with_both_places() {
    let found = survey(b"customer_uid,amount,reason\n1,1,\xba\xbd\n").unwrap();
    assert_eq!(found.rules.encoding, Encoding::Cp949);
    let found = survey("customer_uid,amount,reason\n1,1,봄\n".as_bytes()).unwrap();
    assert_eq!(found.rules.encoding, Encoding::Utf8);
    let neither =
        "customer_uid,amount,reason\n1,1,봄\n2,1,".as_bytes().iter().chain(b"\xff\xff\n").copied().collect::<Vec<_>>();
    assert_eq!(
        survey(&neither).unwrap_err(),
        "the row in line 3 (at byte 35) is not UTF-8, and the row in line 2 (at byte 27) is not CP949; save the file as \"CSV UTF-8\""
    );
    assert!(
        survey(b"\xef\xbb\xbfcustomer_uid,amount,reason\n1,1,\xba\xbd\n")
            .unwrap_err()
            .contains("begins with its byte order mark")
    );
}

#[test]
fn a_file_that_is_no_csv_is_refused_with_what_to_do() {
    let utf16: Vec<u8> = "\u{feff}customer_uid,amount".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let table: [(&[u8], &str); 7] = [
        (&utf16, "UTF-16"),
        (&utf16[2..], "UTF-16"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PK\x03\x04", "workbook"),
        (b"", "no row to load"),
        (b"customer_uid\n1\n", "no column amount"),
        (b"customer_uid,amount\n1,1\n2,\"1\n3,1\n", "line 3, column 2: a quote that is opened here is never closed"),
    ];
    for (bytes, expected) in table {
        let error = survey(bytes).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn checkpoints_end_with_the_hash_of_the_file() {
    let text: String = (1..=20_000).map(|n| format!("{n},1\n")).collect();
    let text = format!("customer_uid,amount\n{text}\n\n");
    let found = survey(text.as_bytes()).unwrap();
    assert_eq!(found.checkpoints.len(), 3);
    let end = found.checkpoints.last().unwrap();
    assert_eq!(end.offset, text.len() as u64);
    assert_eq!(found.hash(), hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&text)));
}

#[test]
fn a_total_that_no_promotion_can_hold_is_refused() {
    assert_eq!(MAX_TOTAL.to_string(), "9999999999999999.99");
    let text: String = (1..=1_001).map(|n| format!("{n},9999999999999\n")).collect();
    let error = survey(format!("customer_uid,amount\n{text}").as_bytes()).unwrap_err();
    assert!(error.contains("altogether, which is more than a promotion can hold"), "{error}");
}
