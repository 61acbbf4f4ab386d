//! Promotions that another system wrote, in whatever state it left them.

use acceptance::{Campaign, Plan, World, until};

use crate::LONG;

fn quickly() -> World {
    World::build().set("PAYOUT_DISPATCHER_SETTLE_CHECK", "1s").start()
}

fn set(world: &World, campaign: &Campaign, what: &str) {
    world.sql.execute(&format!("UPDATE campaign_promotions SET {what} WHERE promotion_id = {}", campaign.id));
}

#[test]
fn a_promotion_that_does_not_add_up_fails_and_says_what_differs() {
    let world = quickly();
    let [more, amount, partition] = ["MORE", "AMOUNT", "PARTITION"].map(|code| {
        let plan = Plan::points(code, 300);
        world.write(&if code == "MORE" { plan.claims_more(3) } else { plan })
    });
    set(&world, &amount, "total_amount = total_amount + 0.01");
    world.sql.execute(&format!(
        "UPDATE {} SET partition_key = 4 WHERE promotion_id = {} LIMIT 2",
        partition.targets_table(),
        partition.id
    ));
    let _stages = world.run(1);
    for (campaign, says) in [
        (&more, "total_count is 303, targets are 300"),
        (&amount, "total_amount is "),
        (&partition, "2 targets have a partition_key outside 0..4"),
    ] {
        world.reaches(campaign, "FAILED", LONG);
        let memo = world.memo(campaign);
        assert!(memo.contains(says), "{memo}");
        world.books(campaign).assert_exactly_once();
    }
    assert_eq!(world.money.stat("/charge/total"), 0);

    // Put right and resumed, it is paid.
    set(&world, &more, "total_count = 300");
    let id = more.id.to_string();
    world.promoctl(&["promotion", "resume", &id, "--reason", "the count was wrong", "--yes"]).ok().unwrap();
    world.completed(&more, LONG);
    world.books(&more).assert_paid_and_closed();
}

#[test]
fn targets_that_cannot_be_paid_are_never_called_and_counted_like_any_other() {
    let world = World::build().unhurried().start();
    let campaign = world.write(&Plan::points("SPRING", 1000).without_default());
    let _stages = world.run(2);
    world.completed(&campaign, LONG);
    let books = world.books(&campaign);
    books.assert_closed();
    assert_eq!(world.money.stat("/charge/total"), 900, "somebody without an amount was called");
    assert_eq!(world.money.stat("/cancel/total") + world.money.stat("/lookup/total"), 0);
    for row in &books.rows {
        let (status, published) = if row.amount.is_some() { ("SUCCESS", "PUBLISHED") } else { ("FAILED", "FAILED") };
        assert_eq!((row.status.as_deref(), row.publish_status.as_str()), (Some(status), published), "{row:?}");
    }
    let letters: i64 = (0..campaign.partitions)
        .map(|partition| world.cache.run::<i64>(&["XLEN", &acceptance::Cache::dead(&campaign, partition)]))
        .sum();
    assert_eq!(letters, 100, "one dead letter for each");
}

#[test]
fn promotions_run_one_after_another_by_reservation_and_then_by_priority() {
    let world = World::plain();
    let later = world.write(&Plan::points("LATER", 400).due("NOW() - INTERVAL 1 HOUR", 1));
    let second = world.write(&Plan::points("SECOND", 400).due("NOW() - INTERVAL 2 HOUR", 9));
    let first = world.write(&Plan::vouchers("FIRST", 400).due("NOW() - INTERVAL 2 HOUR", 2));
    let future = world.write(&Plan::points("FUTURE", 300).due("NOW() + INTERVAL 1 HOUR", 0));
    let _stages = world.run(2);
    let mut ended = 0;
    for campaign in [&first, &second, &later] {
        world.completed(campaign, LONG);
        let books = world.books(campaign);
        books.assert_paid_and_closed();
        let times: Vec<u64> = books.ledger.payments().map(|payment| payment.at_us).collect();
        assert!(times.iter().min() > Some(&ended), "{} began before the one before it had ended", campaign.code);
        ended = times.into_iter().max().unwrap();
    }
    assert_eq!(world.status(&future).as_deref(), Some("READY"));
    assert_eq!(world.books(&future).ledger.payments().count(), 0);
}

#[test]
fn reports_by_the_earlier_names_find_the_earlier_codes() {
    let world = World::build().money(&["--refuse", "0.2"]).start();
    let points = world.write(&Plan::points("SPRING", 300));
    let vouchers = world.write(&Plan::vouchers("SUMMER", 300));
    let ready = world.write(&Plan::points("WINTER", 300).due("NOW() + INTERVAL 1 HOUR", 0));
    let loading = world.write(&Plan::points("AUTUMN", 300).status("LOADING"));
    let _stages = world.run(2);
    for campaign in [&points, &vouchers] {
        world.completed(campaign, LONG);
        world.books(campaign).assert_closed();
        let kind = campaign.kind.name();
        let differences = world.sql.number(&format!(
            "SELECT COUNT(*) FROM {results} r JOIN {targets} t ON t.{id} = r.{id} JOIN campaign_promotions p \
             ON p.promotion_id = r.promotion_id LEFT JOIN {kind}_results v ON v.id = r.{id} AND v.event_id = r.promotion_id \
             AND v.member_id = t.customer_uid AND v.amount = COALESCE(t.amount, p.default_amount) \
             AND v.money_tx_id <=> r.transaction_key AND v.retry_count = r.retry_count \
             AND v.status = IF(r.process_status = 'FAILED', 'PERMANENTLY_FAILED', r.process_status) \
             WHERE r.promotion_id = {promotion} AND v.id IS NULL",
            results = campaign.results_table(),
            targets = campaign.targets_table(),
            id = campaign.id_column(),
            promotion = campaign.id,
        ));
        assert_eq!(differences, 0, "{kind}");
        let counts = world.books(campaign).counts();
        let summary: (i32, i32, i32, i32) = world.sql.row(&format!(
            "SELECT published_count, success_count, retry_success_count, fail_count FROM campaign_event_summary \
             WHERE event_id = {}",
            campaign.id
        ));
        let (published, success, retry_success, fail) = summary;
        let figures = [published, success, retry_success, fail].map(i64::from);
        assert_eq!(figures, [counts.published, counts.success, counts.retry_success, counts.fail]);
    }
    assert_eq!(world.sql.number("SELECT COUNT(*) FROM voucher_results WHERE voucher_pin IS NOT NULL"), 0);
    let status = |campaign: &Campaign| {
        let id = campaign.id;
        world.sql.row::<(String,)>(&format!("SELECT CAST(event_status AS CHAR) FROM campaign_events WHERE id = {id}")).0
    };
    let moved = world.sql.execute(&format!(
        "UPDATE campaign_promotions SET promotion_status = 'IN_PROGRESS' WHERE promotion_id = {}",
        loading.id
    ));
    assert_eq!(moved, 1);
    let statuses = [&points, &ready, &loading].map(status);
    assert_eq!(statuses, ["COMPLETED", "PENDING", "RUNNING"]);
}

#[test]
fn a_file_is_loaded_and_paid_and_its_partitions_are_those_that_sql_computes() {
    let world = World::plain();
    let file = world.dir().join("targets.csv");
    let lines: String = (1..=1500).map(|n| format!("{},{}.5,M7\n", 7_100_000 + n * 13, 100 + n % 40)).collect();
    std::fs::write(&file, format!("customer_uid,amount,merchant_code\n{lines}")).unwrap();
    let load = || {
        let args = ["--type", "POINT", "--campaign-code", "FILE", "--partitions", "7", "--yes", "targets.csv"];
        world.launch("loader", "loader").args(args).run(LONG).unwrap()
    };
    load().ok().unwrap();
    let wrong = world.sql.number(
        "SELECT COUNT(*) FROM campaign_promotion_point_targets t \
         WHERE partition_key <> MOD(CRC32(CONCAT(promotion_id, customer_uid)), 7)",
    );
    assert_eq!(wrong, 0, "the loader's partitions are not SQL's");
    let campaign = world.find("FILE");
    assert_eq!((campaign.targets, campaign.partitions), (1500, 7));
    let _stages = world.run(2);
    until("it runs", LONG, || (world.money.paid() > 0).then_some(()));
    assert_eq!(load().status.code(), Some(0), "the same file again is no fault");
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}
