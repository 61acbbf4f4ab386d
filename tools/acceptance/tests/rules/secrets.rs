//! A voucher's PIN is nowhere but encrypted in its column.

use std::fs;
use std::path::{Path, PathBuf};

use acceptance::{Plan, World, open_pin, secs, until};
use servers::RedisOptions;

use crate::LONG;

/// Every PIN begins with it.
const CANARY: &str = "Kanarienvogel";

#[test]
fn a_pin_is_in_no_log_stream_append_only_file_metric_or_export() {
    let world = World::build()
        .own_redis(RedisOptions::default())
        .own_mysql()
        .money(&["--pin-prefix", CANARY, "--lose", "0.05", "--garbage", "0.02", "--truncate", "0.03"])
        .money(&["--oversize", "0.01", "--fail-after", "0.02", "--refuse", "0.02"])
        .set("PAYOUT_LOG_FILTER", "debug")
        .set("PAYOUT_LOG_FORMAT", "json")
        .start();
    let campaign = world.write(&Plan::vouchers("SPRING", 800));
    let stages = world.run(2);
    world.paid(300, LONG);
    let id = campaign.id.to_string();
    let mut shown = vec![
        world.promoctl(&["promotion", "show", &id, "-o", "json", "--show-pii"]),
        world.promoctl(&["pending", "list", "--promotion", &id, "--show-pii"]),
    ];
    world.completed(&campaign, LONG);
    let books = world.books(&campaign);
    books.assert_closed();
    shown.push(world.promoctl(&["promotion", "show", &id, "--show-pii"]));
    let url = world.money.url();
    shown.push(world.promoctl(&["audit", &id, "--ledger", &url, "-o", "json", "--show-pii"]));
    for finished in shown {
        assert!(!(finished.stdout + &finished.stderr).contains(CANARY), "{}", finished.name);
    }
    for stage in stages.all() {
        assert!(!stage.metrics().contains(CANARY), "{}", stage.name());
    }
    for (name, log) in world.logs() {
        assert!(!log.contains(CANARY), "{name}: {:?}", log.lines().find(|line| line.contains(CANARY)));
        // Neither does a log name a person: the key ends with a customer.
        assert!(!log.contains("SPRING_7"), "{name}: {:?}", log.lines().find(|line| line.contains("SPRING_7")));
    }
    every_pin_opens(&world);
    // Written out, the servers' own files hold it no more than anything else.
    world.mysql().stop().unwrap();
    world.redis().stop().unwrap();
    for folder in [world.redis().dir(), world.mysql().dir(), world.dir()] {
        let found = holding(folder, CANARY.as_bytes());
        assert!(found.is_empty(), "{found:?}");
    }
}

/// Each PIN in its column is the one that the answer carried, and opens in its own row alone.
fn every_pin_opens(world: &World) {
    let rows: Vec<(i64, Vec<u8>, String)> = world.sql.rows(
        "SELECT voucher_target_id, voucher_pin, CAST(voucher_code AS CHAR) FROM campaign_promotion_voucher_results \
         WHERE process_status = 'SUCCESS'",
    );
    assert!(rows.len() > 700);
    for (target, column, _) in &rows {
        let pin = open_pin(*target, column).expect("it opens in its own row");
        assert!(pin.starts_with(CANARY) && pin.len() == CANARY.len() + 12, "{target}");
    }
    assert_eq!(open_pin(rows[0].0, &rows[1].1), None, "a PIN that was moved to another row opens");
}

/// Files below a folder that hold these bytes.
fn holding(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, bytes));
        } else if path.is_file() && fs::read(&path).expect("a file").windows(bytes.len()).any(|window| window == bytes)
        {
            found.push(path);
        }
    }
    found
}

#[test]
fn without_a_key_for_pins_the_voucher_type_is_refused_before_anything_is_paid() {
    let world = World::plain();
    let campaign = world.write(&Plan::vouchers("SPRING", 300));
    let _stages = world.run(0);
    let payer = world.launch("payer", "payer-1").env("PAYOUT_PIN_KEY_FILE", "").start().unwrap();
    until("the payer says what it lacks", LONG, || payer.log().contains("PIN_KEY_FILE").then_some(()));
    // That nobody is paid, whose PIN would be lost, shows only in time passing.
    std::thread::sleep(secs(3));
    world.books(&campaign).assert_exactly_once();
    assert_eq!(world.money.paid(), 0, "{}", payer.log());
}
