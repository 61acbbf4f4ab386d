//! The judge itself: it must see what it is there to see.

use std::panic::{AssertUnwindSafe, catch_unwind};

use acceptance::{Campaign, Plan, World};

use crate::LONG;

/// What is altered, how, and how it is put back.
struct Breach {
    sql: Option<(String, String)>,
    cache: Option<(Vec<String>, Vec<String>)>,
    says: &'static str,
}

fn rows(altered: String, back: String, says: &'static str) -> Breach {
    Breach { sql: Some((altered, back)), cache: None, says }
}

fn keys(altered: &[&str], back: &[&str], says: &'static str) -> Breach {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Breach { sql: None, cache: Some((owned(altered), owned(back))), says }
}

fn breaches(world: &World, campaign: &Campaign) -> Vec<Breach> {
    let (promotion, first) = (campaign.id, world.books(campaign).rows[0].id);
    let result =
        |set: &str| format!("UPDATE campaign_promotion_point_results SET {set} WHERE point_target_id = {first}");
    let target =
        |set: &str| format!("UPDATE campaign_promotion_point_targets SET {set} WHERE point_target_id = {first}");
    let summary = |set: &str| format!("UPDATE campaign_promotion_summary SET {set} WHERE promotion_id = {promotion}");
    let hash = format!("campaign_promotion_summary:{}", world.summary_id(campaign).expect("a summary"));
    let stream = format!("promo:{{{promotion}:0}}:targets");
    let status = |status: &str| result(&format!("process_status = '{status}'"));
    vec![
        rows(status("FAILED"), status("SUCCESS"), "is FAILED with 1 payments"),
        rows(status("RETRYING"), status("SUCCESS"), "is RETRYING with 1 payments"),
        rows(status("PENDING"), status("SUCCESS"), "in a completed promotion"),
        rows(
            result("transaction_key = CONCAT(transaction_key, 'x')"),
            result("transaction_key = TRIM(TRAILING 'x' FROM transaction_key)"),
            "for mk",
        ),
        rows(result("waits_for = 'POISON'"), result("waits_for = NULL"), "waits for"),
        rows(target("amount = amount + 0.01"), target("amount = amount - 0.01"), "should get"),
        rows(target("customer_uid = 1"), target("customer_uid = 7000001"), "with 0 payments"),
        rows(target("publish_status = 'PENDING'"), target("publish_status = 'PUBLISHED'"), "not marked as published"),
        rows(result("first_sent_at = NULL"), result("first_sent_at = NOW()"), "without an intent"),
        rows(summary("success_count = 299"), summary("success_count = 300"), "the summary says"),
        rows(summary("completed_at = NULL"), summary("completed_at = NOW()"), "no start or no end"),
        keys(&["HINCRBY", &hash, "fail_count", "1"], &["HINCRBY", &hash, "fail_count", "-1"], "the public hash says"),
        keys(&["PERSIST", &hash], &["EXPIRE", &hash, "1000"], "has the lifetime -1"),
        keys(&["XADD", &stream, "1-0", "d", "x"], &["DEL", &stream], "is still there"),
    ]
}

#[test]
fn the_judge_sees_every_breach() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 300));
    let stages = world.run(1);
    world.completed(&campaign, LONG);
    drop(stages);
    world.books(&campaign).assert_paid_and_closed();
    for Breach { sql, cache, says } in breaches(&world, &campaign) {
        let alter = |back: bool| {
            if let Some((there, home)) = &sql {
                assert_eq!(world.sql.execute(if back { home } else { there }), 1, "{says}");
            }
            if let Some((there, home)) = &cache {
                let words: Vec<&str> = if back { home } else { there }.iter().map(String::as_str).collect();
                world.cache.run::<redis::Value>(&words);
            }
        };
        alter(false);
        let seen = catch_unwind(AssertUnwindSafe(|| world.books(&campaign).assert_paid_and_closed()));
        alter(true);
        let message = seen.expect_err(says);
        let message = message.downcast_ref::<String>().expect("a message");
        assert!(message.contains(says), "instead of {says:?}: {message}");
    }
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn the_judge_sees_a_double_payment() {
    // A money that forgets its keys at once pays what is sent again a second time.
    let world = World::build()
        .money(&["--ignore-idempotency-key", "--lose", "0.3", "--no-lookup"])
        .set("PAYOUT_MONEY_LOOKUP", "false")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 300));
    let _stages = world.run(1);
    world.reaches(&campaign, "COMPLETED", LONG);
    let books = world.books(&campaign);
    let seen = catch_unwind(AssertUnwindSafe(|| books.assert_exactly_once())).expect_err("seen");
    assert!(seen.downcast_ref::<String>().unwrap().contains("was paid 2 times"));
}
