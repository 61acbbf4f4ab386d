//! `promotion export`.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use pipeline::domain::TargetId;
use pipeline::domain::outcome::Pin;
use pipeline::store::PinCipher;
use serde_json::Value;

use crate::field::{CUSTOMER, Field, Shape};

const KEY: &str = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";
const PIN: &str = "4711-0815";
const BOUND: Duration = Duration::from_secs(60);
const DAY: &str = "'2026-11-25 10:00:00'";

/// Four vouchers: one paid with a PIN, one failed, one of unknown outcome, one not begun.
async fn vouchers(field: &Field) -> i64 {
    let sql = "INSERT INTO campaign_promotions (campaign_code, external_id, promotion_type, promotion_status, total_count, \
         total_amount, partition_count, default_amount) VALUES ('SPRING', UUID(), 'VOUCHER', 'IN_PROGRESS', 4, 30000.50, 1, 5000)";
    let id = sqlx::query(sql).execute(&field.pool).await.unwrap().last_insert_id();
    for (target, rest) in [
        (11, "'V-1', 'M1', NULL, 10000, '2026-12-31', '=cmd()'"),
        (12, "'V-2', 'M1', 'B1', 10000.50, NULL, '커피, \"큰\" 것'"),
        (13, "'000123456789', 'M1', NULL, NULL, NULL, NULL"),
        (14, "'V-4', NULL, NULL, NULL, NULL, NULL"),
    ] {
        field
            .sql(&format!(
                "INSERT INTO campaign_promotion_voucher_targets (voucher_target_id, promotion_id, customer_uid, voucher_number, \
                 merchant_code, merchant_brand_code, amount, expired_at, reason, is_withdrawal, partition_key) \
                 VALUES ({target}, {id}, {CUSTOMER} + {target}, {rest}, 0, 0)"
            ))
            .await;
    }
    field
        .sql(&format!(
            "INSERT INTO campaign_promotion_voucher_results (voucher_target_id, promotion_id, process_status, transaction_key, \
             voucher_code, voucher_expiry_at, error_code, error_message, retry_count, waits_for, first_sent_at, updated_at) VALUES \
             (11, {id}, 'SUCCESS', 'mk11', '1234567890123', '2027-01-01 00:00:00', NULL, NULL, 1, NULL, {DAY}, {DAY}), \
             (12, {id}, 'FAILED', NULL, NULL, NULL, 'LIMIT', '+1 too many\\r\\nsorry', 0, NULL, {DAY}, {DAY}), \
             (13, {id}, 'PENDING', NULL, NULL, NULL, 'TIMEOUT', NULL, 4, 'UNKNOWN_OUTCOME', {DAY}, {DAY})"
        ))
        .await;
    let sealed = PinCipher::from_hex(KEY).unwrap().seal(TargetId(11), &Pin(PIN.to_owned()));
    sqlx::query("UPDATE campaign_promotion_voucher_results SET voucher_pin = ? WHERE voucher_target_id = 11")
        .bind(sealed)
        .execute(&field.pool)
        .await
        .unwrap();
    i64::try_from(id).unwrap()
}

/// A file with a key, as `PAYOUT_PIN_KEY_FILE` names it.
fn key_file(field: &Field, key: &str) -> String {
    let path = field.path("pin.key");
    fs::write(&path, key).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

fn totals(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// As anybody would compute it.
fn sha256(path: &Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

const GOLDEN: &str = "\u{feff}target_id,customer_uid,amount,reason,expired_at,merchant_code,merchant_brand_code,voucher_number,\
is_withdrawal,voucher_code,voucher_expiry_at,process_status,transaction_key,error_code,error_message,attempts,requeues,waits_for,\
first_sent_at,updated_at\r\n\
11,7000011,10000.00,'=cmd(),2026-12-31,M1,,V-1,0,'1234567890123,2027-01-01 00:00:00,SUCCESS,mk11,,,2,0,,2026-11-25 10:00:00,2026-11-25 10:00:00\r\n\
12,7000012,10000.50,\"커피, \"\"큰\"\" 것\",,M1,B1,V-2,0,,,FAILED,,LIMIT,\"'+1 too many\r\nsorry\",1,0,,2026-11-25 10:00:00,2026-11-25 10:00:00\r\n\
13,7000013,5000.00,,,M1,,'000123456789,0,,,PENDING,,TIMEOUT,,5,0,UNKNOWN_OUTCOME,2026-11-25 10:00:00,2026-11-25 10:00:00\r\n\
14,7000014,5000.00,,,,,V-4,0,,,NOT_BEGUN,,,,,,,,\r\n";

#[tokio::test]
async fn the_file_is_what_spreadsheets_and_programs_both_read() {
    let field = Field::new().await;
    let id = vouchers(&field).await.to_string();
    let file = field.path("spring.csv");
    let name = file.display().to_string();
    field.ctl(&["promotion", "export", &id, &name, "--show-pii"]).ok().unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), GOLDEN);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let totals = totals(&field.path("spring.csv.totals.json"));
    assert_eq!(totals["sha256"], sha256(&file));
    assert_eq!((totals["kind"].as_str(), totals["rows"].as_u64()), (Some("interim"), Some(4)));
    assert_eq!((totals["amount"].as_str(), totals["sealed_amount"].as_str()), (Some("30000.50"), Some("30000.50")));
    assert_eq!(totals["bytes"].as_u64(), Some(GOLDEN.len() as u64));
    let of = |status: &str| {
        let found = totals["by_status"].as_array().unwrap().iter().find(|total| total["status"] == status).unwrap();
        (found["rows"].as_u64().unwrap(), found["amount"].as_str().unwrap().to_owned())
    };
    assert_eq!(of("SUCCESS"), (1, "10000.00".to_owned()));
    assert_eq!(of("NOT_BEGUN"), (1, "5000.00".to_owned()));
    assert_eq!(of("RETRYING"), (0, "0.00".to_owned()));
    // To a pipe, without a mark and masked.
    let piped = field.ctl(&["promotion", "export", &id, "-", "--no-bom", "--only", "failed"]).ok().unwrap();
    let lines: Vec<&str> = piped.lines().collect();
    assert!(lines[0].starts_with("target_id,customer_uid"), "{piped}");
    assert!(lines[1].starts_with("12,*****12,10000.50,"), "{piped}");
    assert!(!piped.contains("V-2") && !piped.contains("7000012") && !piped.contains("커피"), "{piped}");
}

#[tokio::test]
async fn a_file_is_never_overwritten_unasked_and_never_half_there() {
    let field = Field::new().await;
    let id = vouchers(&field).await.to_string();
    let file = field.path("out.csv");
    let name = file.display().to_string();
    fs::write(&file, "mine").unwrap();
    assert_eq!(field.code(&["promotion", "export", &id, &name]), 2);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    // A PIN that does not open ends it half-way.
    let other = key_file(&field, &"f0".repeat(32));
    let args = ["promotion", "export", &id, &name, "--force", "--reveal-pins", "--reason", "print them", "--yes"];
    let failed = field.launch(&args).env("PAYOUT_PIN_KEY_FILE", &other).run(BOUND).unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(failed.stderr.contains("target 11") && failed.stderr.contains("another key"), "{}", failed.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let left: Vec<_> = fs::read_dir(field.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".part")), "{left:?}");
    field.ctl(&["promotion", "export", &id, &name, "--force"]).ok().unwrap();
    assert!(fs::read_to_string(&file).unwrap().contains("NOT_BEGUN"));
    field.sql("UPDATE campaign_promotions SET promotion_status = 'LOADING'").await;
    assert_eq!(field.code(&["promotion", "export", &id, &name, "--force"]), 2);
}

#[tokio::test]
async fn pins_leave_only_when_asked_for_with_a_key_a_reason_and_an_entry_in_the_audit_trail() {
    let field = Field::new().await;
    let id = vouchers(&field).await.to_string();
    let key = key_file(&field, KEY);
    let name = field.path("pins.csv").display().to_string();
    let base = ["promotion", "export", &id, &name];
    let run = |more: &[&str], key: Option<&str>| {
        let args: Vec<&str> = base.iter().chain(more).copied().collect();
        let launch = field.launch(&args);
        let launch = match key {
            Some(key) => launch.env("PAYOUT_PIN_KEY_FILE", key),
            None => launch,
        };
        launch.run(BOUND).unwrap()
    };
    let reveal = ["--reveal-pins", "--reason", "reprint", "--yes"];
    for (why, more, key) in [
        ("no reason", &["--reveal-pins", "--yes"][..], Some(key.as_str())),
        ("no consent", &reveal[..3], Some(&key)),
        ("no key", &reveal, None),
    ] {
        assert_eq!(run(more, key).status.code(), Some(2), "{why}");
        assert!(!field.path("pins.csv").exists(), "{why}");
    }
    assert!(field.acts("promotion export --reveal-pins").await.is_empty());
    // With the key at hand and everything else shown, still no PIN, open or sealed.
    run(&["--show-pii"], Some(&key)).ok().unwrap();
    let sealed: String = sqlx::query_scalar(
        "SELECT HEX(voucher_pin) FROM campaign_promotion_voucher_results WHERE voucher_target_id = 11",
    )
    .fetch_one(&field.pool)
    .await
    .unwrap();
    let plain = fs::read_to_string(field.path("pins.csv")).unwrap();
    assert!(!plain.contains("voucher_pin") && !plain.contains(PIN), "{plain}");
    assert!(!plain.to_uppercase().contains(&sealed[sealed.len() - 16..]), "{plain}");
    let shown = run(&[&reveal[..], &["--force"]].concat(), Some(&key));
    assert!(!shown.stdout.contains(PIN) && !shown.stderr.contains(PIN));
    shown.ok().unwrap();
    let pins = fs::read_to_string(field.path("pins.csv")).unwrap();
    assert!(pins.contains(&format!(",'{PIN},SUCCESS")), "{pins}");
    let acts = field.acts("promotion export --reveal-pins").await;
    assert_eq!(acts, [("tester".to_owned(), "reprint".to_owned(), 4, "30000.50".to_owned())]);
}

#[tokio::test]
async fn what_has_no_pins_reveals_none() {
    let field = Field::new().await;
    let id = field.promotion(Shape { targets: 1, partitions: 1, status: "READY", started: false }).await.to_string();
    let args = ["promotion", "export", &id, "-", "--reveal-pins", "--reason", "x", "--yes"];
    let refused = field.launch(&args).env("PAYOUT_PIN_KEY_FILE", key_file(&field, KEY)).run(BOUND).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stderr.contains("POINT"), "{}", refused.stderr);
}

#[tokio::test]
async fn whatever_stands_in_the_tables_nothing_in_the_file_runs() {
    let field = Field::new().await;
    let id = field.promotion(Shape { targets: 8, partitions: 1, status: "COMPLETED", started: true }).await;
    let corpus = ["=1+1", "+1", "-x", "@x", "\t=1", "\r=1", "＝1", " =1"];
    for (target, text) in (1001..).zip(corpus) {
        field.result(id, target, "FAILED").await;
        for (table, columns) in [
            ("targets", &["reason", "merchant_code", "merchant_brand_code", "expired_at"][..]),
            ("results", &["error_code", "error_message", "transaction_key", "waits_for"]),
        ] {
            let set: Vec<String> = columns.iter().map(|column| format!("{column} = ?")).collect();
            let sql = format!(
                "UPDATE campaign_promotion_point_{table} SET {} WHERE point_target_id = {target}",
                set.join(", ")
            );
            columns.iter().fold(sqlx::query(&sql), |query, _| query.bind(text)).execute(&field.pool).await.unwrap();
        }
    }
    let name = field.path("evil.csv").display().to_string();
    field.ctl(&["promotion", "export", &id.to_string(), &name, "--show-pii"]).ok().unwrap();
    assert_eq!(totals(&field.path("evil.csv.totals.json"))["kind"], "final");
    let mut reader = csv::Reader::from_path(&name).unwrap();
    let mut rows = 0;
    for (record, text) in reader.records().zip(corpus) {
        let record = record.unwrap();
        let written = record.iter().filter(|cell| cell.ends_with(text)).collect::<Vec<_>>();
        assert_eq!(written, [format!("'{text}").as_str(); 8], "{text:?}");
        rows += 1;
    }
    assert_eq!(rows, 8);
}

#[tokio::test]
async fn an_added_type_is_exported_like_points() {
    let field = Field::new().await;
    let add =
        ["type", "add", "COUPON", "--charge-path", "/internal/v1/campaigns/coupon/charge", "--reason", "r", "--yes"];
    field.ctl(&add).ok().unwrap();
    field
        .sql(
            "INSERT INTO campaign_promotions (promotion_id, campaign_code, external_id, promotion_type, promotion_status, total_count, \
             total_amount, partition_count) VALUES (5, 'C', UUID(), 'COUPON', 'COMPLETED', 1, 7, 1)",
        )
        .await;
    field
        .sql(
            "INSERT INTO campaign_promotion_coupon_targets (coupon_target_id, promotion_id, customer_uid, amount, partition_key) \
             VALUES (1, 5, 123456789012, 7, 0)",
        )
        .await;
    let csv = field.ctl(&["promotion", "export", "5", "-", "--no-bom", "--show-pii"]).ok().unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[1].starts_with("1,'123456789012,7.00,,,,,NOT_BEGUN"), "{csv}");
    assert_eq!(lines.len(), 2);
}

/// VmHWM of a process: the most memory that it ever held, in KiB.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Measured: 14 MiB in a debug build. The file has 17, so that even its bytes alone would not fit.
const PEAK_KIB: u64 = 24 * 1024;

#[tokio::test]
async fn two_hundred_thousand_rows_take_no_more_memory_than_a_page_does() {
    let (field, id) = crate::audit_scale::paid(200_000).await;
    let mut child = field.piped(&["promotion", "export", &id.to_string(), "-"]);
    let (mut out, mut file, mut peak) = (child.stdout.take().unwrap(), Vec::new(), 0);
    let mut chunk = vec![0; 1 << 20];
    loop {
        // While it waits for us to read on, it still lives.
        peak = peak_kib(child.id()).unwrap_or(peak);
        match out.read(&mut chunk).unwrap() {
            0 => break,
            read => file.extend_from_slice(&chunk[..read]),
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(file.iter().filter(|byte| **byte == b'\n').count(), 200_001);
    println!("{} bytes, peak {peak} KiB", file.len());
    assert!((1..PEAK_KIB).contains(&peak), "{peak} KiB");
}
