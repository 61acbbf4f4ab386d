use proptest::prelude::*;

use super::super::record::RecordReader;
use super::*;

fn rules(header: &str, shape: Shape, default_amount: Option<&str>) -> RowRules {
    let mut reader = RecordReader::new(header.as_bytes()).unwrap();
    let record = reader.next_record().unwrap().unwrap();
    let header = Header::read(&record, Encoding::Utf8, shape).unwrap();
    let default_amount = default_amount.map(|amount| Amount::parse(amount).unwrap());
    RowRules { header, encoding: Encoding::Utf8, shape, default_amount }
}

fn judge(rules: &RowRules, row: &[u8]) -> Result<String, String> {
    let mut reader = RecordReader::new(row).unwrap();
    let record = reader.next_record().unwrap().unwrap();
    match rules.read(&record) {
        Ok(target) => Ok(target.amount.map(Amount::to_plain).unwrap_or_default()),
        Err(RowError::NotText) => Err("NOT_TEXT".to_owned()),
        Err(RowError::Bad(row)) => Err(format!("{}:{}", row.column, row.code.name())),
    }
}

const POINT: &str = "customer_uid,amount,reason,expired_at,merchant_code,merchant_brand_code";
const VOUCHER: &str = "customer_uid,amount,voucher_number,is_withdrawal";

#[test]
fn a_bad_row_is_told_by_its_column_and_code() {
    let rules = rules(POINT, Shape::Point, None);
    let long = |count| "x".repeat(count);
    let reason = |text: &str| format!("1,10,{text},,,");
    let table: Vec<(String, Result<&str, &str>)> = vec![
        ("1,10,,,,".into(), Ok("10")),
        ("9223372036854775807,9999999999999.99,\"a,\n\"\"b\"\"\",2027-12-31,M1,B1".into(), Ok("9999999999999.99")),
        ("9223372036854775808,10,,,,".into(), Err("customer_uid:BAD_CUSTOMER")),
        (",10,,,,".into(), Err("customer_uid:NO_CUSTOMER")),
        ("0,10,,,,".into(), Err("customer_uid:BAD_CUSTOMER")),
        ("-1,10,,,,".into(), Err("customer_uid:BAD_CUSTOMER")),
        ("+1,10,,,,".into(), Err("customer_uid:BAD_CUSTOMER")),
        ("007,10,,,,".into(), Err("customer_uid:BAD_CUSTOMER")),
        ("1.23E+09,10,,,,".into(), Err("customer_uid:BAD_CUSTOMER")),
        (" 1,10,,,,".into(), Err("customer_uid:BAD_CUSTOMER")),
        ("1,,,,,".into(), Err("amount:NO_AMOUNT")),
        ("1,0,,,,".into(), Err("amount:BAD_AMOUNT")),
        ("1,-5,,,,".into(), Err("amount:BAD_AMOUNT")),
        ("1,1e3,,,,".into(), Err("amount:BAD_AMOUNT")),
        ("1,\"1,000\",,,,".into(), Err("amount:BAD_AMOUNT")),
        ("1,1.005,,,,".into(), Err("amount:BAD_AMOUNT")),
        ("1,10000000000000,,,,".into(), Err("amount:BAD_AMOUNT")),
        ("1,NaN,,,,".into(), Err("amount:BAD_AMOUNT")),
        ("1,\u{20a9}100,,,,".into(), Err("amount:BAD_AMOUNT")),
        (format!("1,{},,,,", "9".repeat(33)), Err("amount:TOO_LONG")),
        ("1,10,,2027-02-30,,".into(), Err("expired_at:BAD_EXPIRY")),
        ("1,10,,27-12-31,,".into(), Err("expired_at:BAD_EXPIRY")),
        ("1,10,,2027-1-1,,".into(), Err("expired_at:BAD_EXPIRY")),
        ("1,10,,2027/12/31,,".into(), Err("expired_at:BAD_EXPIRY")),
        ("1,10,,2027-12-31 00:00,,".into(), Err("expired_at:TOO_LONG")),
        (reason(&long(500)), Ok("10")),
        (reason(&"한".repeat(500)), Ok("10")),
        (reason(&long(501)), Err("reason:TOO_LONG")),
        (reason("a\0b"), Err("reason:NUL")),
        (reason("a\u{1b}b"), Err("reason:CONTROL_CHARACTER")),
        (reason("a\rb"), Err("reason:CONTROL_CHARACTER")),
        (reason("\"a\rb\""), Ok("10")),
        (format!("1,10,,,{},", long(31)), Err("merchant_code:TOO_LONG")),
        (format!("1,10,,,,{}", long(21)), Err("merchant_brand_code:TOO_LONG")),
        ("1,10,,,".into(), Err(":COLUMNS")),
        ("1,10,,,,,".into(), Err(":COLUMNS")),
        (",".repeat(70_000), Err(":LINE_TOO_LONG")),
        (",".repeat(1_000), Err(":COLUMNS")),
        ("1,10,a\"b,,,".into(), Err("reason:STRAY_QUOTE")),
        ("1,10,\"a\"b,,,".into(), Err("reason:STRAY_QUOTE")),
    ];
    for (row, expected) in table {
        let shown: String = row.chars().take(40).collect();
        assert_eq!(judge(&rules, row.as_bytes()), expected.map(str::to_owned).map_err(str::to_owned), "{shown:?}");
    }
    assert_eq!(judge(&rules, b"1,10,\xff,,,"), Err("NOT_TEXT".to_owned()));
}

#[test]
fn a_voucher_needs_a_number_and_its_flag_is_true_or_false() {
    let rules = rules(VOUCHER, Shape::Voucher, None);
    let table = [
        ("1,10,V1,", Ok("10")),
        ("1,10,V1,TRUE", Ok("10")),
        ("1,10,V1,n", Ok("10")),
        ("1,10,,1", Err("voucher_number:NO_VOUCHER_NUMBER")),
        ("1,10,V1,2", Err("is_withdrawal:BAD_FLAG")),
        ("1,10,V1,maybe", Err("is_withdrawal:BAD_FLAG")),
    ];
    for (row, expected) in table {
        assert_eq!(judge(&rules, row.as_bytes()), expected.map(str::to_owned).map_err(str::to_owned), "{row:?}");
    }
}

#[test]
fn a_missing_amount_is_the_default_where_there_is_one() {
    let rules = rules(POINT, Shape::Point, Some("25"));
    assert_eq!(judge(&rules, b"1,,,,,"), Ok(String::new()));
    let mut reader = RecordReader::new(&b"1,,,,,\n"[..]).unwrap();
    let record = reader.next_record().unwrap().unwrap();
    assert_eq!(rules.amount(&rules.read(&record).unwrap()).to_plain(), "25");
}

#[test]
fn cp949_is_read_strictly() {
    let mut rules = rules(POINT, Shape::Point, None);
    rules.encoding = Encoding::Cp949;
    // 8C 63 is a syllable that only CP949 has.
    let mut reader = RecordReader::new(&b"1,10,\x8c\x63\xb9\xe6,,,\n"[..]).unwrap();
    let record = reader.next_record().unwrap().unwrap();
    assert_eq!(rules.read(&record).unwrap().reason.as_deref(), Some("똠방"));
    assert_eq!(judge(&rules, b"1,10,\xff\xff,,,"), Err("NOT_TEXT".to_owned()));
}

proptest! {
    /// Whatever the bytes are, a row is a target or told why not, and a target fits its table.
    #[test]
    fn no_bytes_make_a_row_panic(
        bytes in proptest::collection::vec(prop_oneof![4 => proptest::sample::select(b"\",\n\r019.-".to_vec()), 1 => any::<u8>()], 1..120),
        cp949 in any::<bool>(),
        voucher in any::<bool>(),
    ) {
        let mut rules = if voucher { rules(VOUCHER, Shape::Voucher, Some("1")) } else { rules(POINT, Shape::Point, None) };
        rules.encoding = if cp949 { Encoding::Cp949 } else { Encoding::Utf8 };
        let mut reader = RecordReader::new(bytes.as_slice()).unwrap();
        while let Ok(Some(record)) = reader.next_record() {
            if let Ok(target) = rules.read(&record) {
                prop_assert!(target.customer.0 > 0);
                prop_assert!(rules.amount(&target).is_payable());
                prop_assert!(target.reason.is_none_or(|reason| reason.chars().count() <= 500));
            }
        }
    }
}
