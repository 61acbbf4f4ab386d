//! What a good file becomes.

use std::os::unix::fs::symlink;

use crate::world::{World, json, points, refusal};

#[test]
fn a_file_becomes_a_promotion_that_is_ready_with_its_totals() {
    let world = World::new();
    let text = "amount,customer_uid,reason,expired_at,merchant_code,merchant_brand_code\r\n\
                10000.50,7,\"second week, \"\"spring\"\"\",2027-12-31,M1,B1\r\n,9,,,,\r\n5,8,봄 이벤트,,,\r\n";
    world.file("a.csv", text);
    let more = [
        "--partitions",
        "3",
        "--reservation-at",
        "2026-12-24 09:00:00",
        "--priority",
        "-2",
        "--default-amount",
        "0.25",
    ];
    let more =
        [&more[..], &["--default-reason", "why", "--default-expiry-at", "2027-01-31T23:59:59", "--created-by", "me"]]
            .concat();
    let result = json(&world.points("a.csv", &more));
    assert_eq!(result["loaded"], 3);
    assert_eq!(result["rejected"], 0);
    assert_eq!(result["total_amount"], "10005.75");
    assert_eq!(result["already_loaded"], false);

    let promotion = "SELECT CONCAT_WS('|', promotion_id, campaign_code, LENGTH(external_id), promotion_type, promotion_status, \
        total_count, total_amount, partition_count, reservation_at, reservation_priority, default_amount, default_reason, \
        default_expiry_at, created_by) v FROM campaign_promotions";
    let expected = format!(
        "{}|C|36|POINT|READY|3|10005.75|3|2026-12-24 09:00:00|-2|0.25|why|2027-01-31 23:59:59|me",
        result["promotion_id"]
    );
    assert_eq!(world.value(promotion), expected);
    let targets = "SELECT CONCAT_WS('|', customer_uid, COALESCE(amount, '-'), COALESCE(reason, '-'), COALESCE(expired_at, '-'), \
        COALESCE(merchant_code, '-'), COALESCE(merchant_brand_code, '-'), publish_status, created_at IS NOT NULL) v \
        FROM campaign_promotion_point_targets ORDER BY point_target_id";
    assert_eq!(
        world.rows(targets),
        [
            "7|10000.50|second week, \"spring\"|2027-12-31|M1|B1|PENDING|1",
            "9|-|-|-|-|-|PENDING|1",
            "8|5.00|봄 이벤트|-|-|-|PENDING|1",
        ]
    );
}

#[test]
fn vouchers_carry_their_number_and_flag() {
    let world = World::new();
    world.file("v.csv", "customer_uid,amount,voucher_number,is_withdrawal\n1,10,V1,true\n2,20,V2,\n");
    let args = ["--type", "VOUCHER", "--campaign-code", "V", "--yes", "-o", "json", "v.csv"];
    assert_eq!(json(&world.run(&args))["total_amount"], "30.00");
    let targets = "SELECT CONCAT_WS('|', customer_uid, amount, voucher_number, is_withdrawal) v \
        FROM campaign_promotion_voucher_targets ORDER BY voucher_target_id";
    assert_eq!(world.rows(targets), ["1|10.00|V1|1", "2|20.00|V2|0"]);
}

#[test]
fn the_servers_crc32_gives_the_same_partition_as_ours() {
    let world = World::new();
    world.file("a.csv", points(5_000));
    json(&world.points("a.csv", &["--partitions", "7"]));
    let differ = "SELECT COUNT(*) v FROM campaign_promotion_point_targets \
        WHERE partition_key <> MOD(CRC32(CONCAT(promotion_id, customer_uid)), 7)";
    assert_eq!(world.value(differ), "0");
    let used = "SELECT COUNT(DISTINCT partition_key) v FROM campaign_promotion_point_targets";
    assert_eq!(world.value(used), "7");
}

#[test]
fn ids_ascend_in_the_order_of_the_file_and_the_load_remembers_the_first_and_the_last() {
    let world = World::new();
    world.file("a.csv", points(20_001));
    json(&world.points("a.csv", &[]));
    // The reason carries the row's number.
    let order = "SELECT COUNT(*) v FROM (SELECT CAST(SUBSTRING(reason, 8) AS SIGNED) n, \
        ROW_NUMBER() OVER (ORDER BY point_target_id) - 1 AS place FROM campaign_promotion_point_targets) o WHERE n <> place";
    assert_eq!(world.value(order), "0");
    let bounds = "SELECT COUNT(*) v FROM campaign_promotion_loads l JOIN (SELECT MIN(point_target_id) a, MAX(point_target_id) b \
        FROM campaign_promotion_point_targets) t ON l.first_target_id = t.a AND l.last_target_id = t.b WHERE l.sealed_at IS NOT NULL";
    assert_eq!(world.value(bounds), "1");
}

#[test]
fn a_dry_run_says_what_would_be_loaded_and_writes_nothing() {
    let world = World::new();
    world.file("a.csv", points(100));
    let finished = world.points("a.csv", &["--dry-run"]);
    let result = json(&finished);
    assert_eq!((&result["loaded"], &result["dry_run"]), (&100.into(), &true.into()));
    assert_eq!(result["promotion_id"], serde_json::Value::Null);
    assert!(finished.stderr.contains("targets    100"), "{}", finished.stderr);
    assert_eq!(world.promotions(), "0");
}

#[test]
fn an_expectation_that_is_not_met_refuses() {
    let world = World::new();
    world.file("a.csv", "customer_uid,amount\n1,10\n2,20.5\n");
    assert!(refusal(&world.points("a.csv", &["--expect-count", "3"])).contains("--expect-count is 3, the file has 2"));
    assert!(
        refusal(&world.points("a.csv", &["--expect-total", "30"]))
            .contains("--expect-total is 30.00, the targets add up to 30.50")
    );
    assert_eq!(world.promotions(), "0");
    json(&world.points("a.csv", &["--expect-count", "2", "--expect-total", "30.5"]));
    assert_eq!(world.status(), "READY");
}

#[test]
fn without_a_terminal_yes_is_required() {
    let world = World::new();
    world.file("a.csv", points(3));
    let finished = world.run(&["--type", "POINT", "--campaign-code", "C", "a.csv"]);
    assert!(refusal(&finished).contains("without a terminal --yes is required"));
    assert_eq!(world.promotions(), "0");
}

#[test]
fn misuse_ends_with_2_and_a_faulty_configuration_with_64() {
    let world = World::new();
    world.file("a.csv", points(3));
    symlink("a.csv", world.dir.path().join("b.csv")).unwrap();
    for (args, expected) in [
        (
            &["--type", "COUPON", "--campaign-code", "C", "--yes", "a.csv"][..],
            "there is no type \"COUPON\"; known are POINT, VOUCHER",
        ),
        (&["--type", "POINT", "--campaign-code", "a.b", "--yes", "a.csv"], "[A-Za-z0-9_-]{1,50}"),
        (&["--type", "POINT", "--campaign-code", "C", "--partitions", "65", "a.csv"], "1..=64"),
        (&["--type", "POINT", "--campaign-code", "C", "--default-amount", "-5", "a.csv"], "above zero"),
        (&["--type", "POINT", "--campaign-code", "C"], "TARGETS.CSV"),
        (
            &["--type", "POINT", "--campaign-code", "C", "--rejected", "./a.csv", "a.csv"],
            "--rejected names the file itself",
        ),
        (
            &["--type", "POINT", "--campaign-code", "C", "--rejected", "b.csv", "a.csv"],
            "--rejected names the file itself",
        ),
    ] {
        let told = refusal(&world.run(args));
        assert!(told.contains(expected), "{told}");
    }
    let args = ["--type", "POINT", "--campaign-code", "C", "--yes", "a.csv"];
    let finished = world.loader(&args).env("DATABASE_URL", "").run(crate::world::BOUND).unwrap();
    assert_eq!(finished.status.code(), Some(64), "{}", finished.stderr);
    assert_eq!(world.run(&["--check"]).status.code(), Some(0));
    let dump = world.run(&["--dump-config"]);
    assert!(dump.status.success() && !dump.stdout.contains("payout-local"), "{}", dump.stdout);
}
