//! Files that are not what they should be.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::world::{World, json, refusal};

#[test]
fn a_file_with_bad_rows_is_refused_whole_and_leaves_no_promotion() {
    let world = World::new();
    world.file("a.csv", "customer_uid,amount\n1,10\n2,-5\n010-1234-5678,1\n1,7\n");
    let told = refusal(&world.points("a.csv", &[]));
    for line in [
        "3 bad rows; nothing was loaded",
        "line 3, column amount: BAD_AMOUNT: expected an amount above zero; found \"-5\"",
        "line 4, column customer_uid: BAD_CUSTOMER: expected a whole number from 1 to 9223372036854775807; found 13 characters ending in \"78\"",
        "line 5, column customer_uid: DUPLICATE: this customer stands in line 2 already",
    ] {
        assert!(told.contains(line), "{told}");
    }
    assert!(!told.contains("1234"), "a customer is shown: {told}");
    assert_eq!(world.promotions(), "0");
}

#[test]
fn skip_invalid_writes_the_bad_rows_to_the_rejected_file() {
    let world = World::new();
    let long = "9".repeat(70_000);
    let text = format!(
        "customer_uid,amount,reason\r\n1,10,a\r\n2,\"1,000\",\"b \"\"c\"\"\"\r\n3,5\r\n1,7,=d\r\n{long}\r\n4,1,e"
    );
    world.file("a.csv", &text);
    let result = json(&world.points("a.csv", &["--skip-invalid"]));
    assert_eq!((&result["loaded"], &result["rejected"]), (&2.into(), &4.into()));
    assert_eq!(result["total_amount"], "11.00");
    assert_eq!(world.value("SELECT rejected_count v FROM campaign_promotion_loads"), "4");
    let expected = format!(
        "customer_uid,amount,reason,error_line,error_column,error_code,error_message\r\n\
         2,\"1,000\",\"b \"\"c\"\"\",3,amount,BAD_AMOUNT,\"expected a plain decimal number such as 10000 or 10000.50; found \"\"1,000\"\"\"\r\n\
         3,5,4,,COLUMNS,\"expected 3 cells as in the header, found 2\"\r\n\
         1,7,=d,5,customer_uid,DUPLICATE,\"this customer stands in line 2 already\"\r\n\
         {long},6,,LINE_TOO_LONG,\"expected at most 65536 bytes\"\r\n"
    );
    assert_eq!(world.read("a.csv.rejected.csv"), expected);
    let mode = std::fs::metadata(world.dir.path().join("a.csv.rejected.csv")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_cp949_file_is_loaded_as_text_and_said_to_be_one() {
    let world = World::new();
    let bytes = [&b"customer_uid,amount,reason\n1,10,"[..], b"\xba\xbd \x8c\x63", b"\n2,x,\xba\xbd\n"].concat();
    world.file("a.csv", bytes);
    let finished = world.points("a.csv", &["--skip-invalid", "--rejected", "bad.csv"]);
    json(&finished);
    assert!(finished.stderr.contains("encoding   CP949"), "{}", finished.stderr);
    assert_eq!(world.value("SELECT reason v FROM campaign_promotion_point_targets"), "봄 똠");
    let rejected = std::fs::read(world.dir.path().join("bad.csv")).unwrap();
    assert!(rejected.windows(9).any(|part| part == b"2,x,\xba\xbd,3,"), "its bytes stay as they were");
}

#[test]
fn only_a_regular_file_is_read() {
    let world = World::new();
    let real = world.file("a.csv", "customer_uid,amount\n1,10\n");
    symlink(&real, world.dir.path().join("link.csv")).unwrap();
    let fifo = world.dir.path().join("fifo.csv");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (file, expected) in [
        ("link.csv", "is a symbolic link"),
        ("fifo.csv", "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        (".", "is not a regular file"),
        ("none.csv", "cannot open none.csv"),
    ] {
        let told = refusal(&world.points(file, &[]));
        assert!(told.contains(expected), "{file}: {told}");
    }
}

#[test]
fn statements_in_cells_are_text() {
    let world = World::new();
    let nasty = "'); DROP TABLE campaign_promotions; -- \\ \u{1f600} $[0] ${x} %s";
    world.file("a.csv", format!("customer_uid,amount,reason\n1,10,\"{nasty}\"\n2,10,\"\"\"],[\"\n"));
    json(&world.points("a.csv", &[]));
    let reasons = world.rows("SELECT reason v FROM campaign_promotion_point_targets ORDER BY point_target_id");
    assert_eq!(reasons, [nasty, "\"],["]);
}
