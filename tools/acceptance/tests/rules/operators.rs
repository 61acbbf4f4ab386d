//! What people do to a running campaign.

use std::time::{SystemTime, UNIX_EPOCH};

use acceptance::{Campaign, Plan, Stage, World, millis, secs, until};

use crate::LONG;

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Charges that arrived later than a second after the stop, while it lasted.
fn charges_after(world: &World, stopped_us: u64) -> Vec<u64> {
    let late = stopped_us + 1_000_000;
    let charges = world.money.journal().into_iter().filter(|visit| visit.kind != "lookup" && visit.at_us > late);
    charges.map(|visit| visit.at_us - stopped_us).collect()
}

/// As another system, or an administrator, would do it by hand.
fn move_by_sql(world: &World, campaign: &Campaign, from: &str, to: &str) {
    let moved = world.sql.execute(&format!(
        "UPDATE campaign_promotions SET promotion_status = '{to}', updated_at = NOW() \
         WHERE promotion_id = {} AND promotion_status = '{from}'",
        campaign.id
    ));
    assert_eq!(moved, 1);
}

#[test]
fn nothing_is_sent_a_second_after_a_stop_and_a_resume_goes_on() {
    let world = World::build()
        .money(&["--latency-ms", "40", "--fail-before", "0.1", "--lose", "0.02"])
        .set("PAYOUT_MONEY_CONCURRENCY", "8")
        .set("PAYOUT_DISPATCHER_WINDOW", "500")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 2000));
    let _stages = world.run(2);
    let id = campaign.id.to_string();
    for (at, by_sql) in [(300, true), (900, false)] {
        world.paid(at, LONG);
        if by_sql {
            move_by_sql(&world, &campaign, "IN_PROGRESS", "STOPPED");
        } else {
            world.promoctl(&["promotion", "stop", &id, "--memo", "a wrong amount", "--yes"]).ok().unwrap();
            assert_eq!(world.memo(&campaign), "a wrong amount");
        }
        let stopped = now_us();
        // That nothing happens shows only in time passing: longer than any backoff, timeout or sweep.
        std::thread::sleep(secs(4) + millis(500));
        assert_eq!(world.status(&campaign).as_deref(), Some("STOPPED"));
        let late = charges_after(&world, stopped);
        assert!(late.is_empty(), "charges so many µs after the stop: {late:?}");
        assert!(world.money.paid() < 2000, "all was paid before the stop");
        let books = world.books(&campaign);
        books.assert_exactly_once();
        books.assert_streams_agree();
        if by_sql {
            move_by_sql(&world, &campaign, "STOPPED", "IN_PROGRESS");
        } else {
            world.promoctl(&["promotion", "resume", &id, "--reason", "it was right", "--yes"]).ok().unwrap();
        }
    }
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn what_was_in_flight_at_a_stop_is_in_the_summary_without_a_resume() {
    let world = World::build().money(&["--latency-ms", "300"]).set("PAYOUT_MONEY_CONCURRENCY", "64").start();
    let campaign = world.write(&Plan::points("SPRING", 2000));
    let stages = world.run(1);
    world.paid(200, LONG);
    // Nobody sums up before the last request has been answered.
    stages.summarizer.kill();
    world.promoctl(&["promotion", "stop", &campaign.id.to_string(), "--memo", "a look", "--yes"]).ok().unwrap();
    let paid = || world.books(&campaign).counts();
    until("the payer has drained", LONG, || {
        // It sees the stop within a second, and what it has sent is answered and recorded before the retrier is idle.
        std::thread::sleep(secs(1));
        let busy = |stage: &Stage| stage.metric("payout_stage_items_in_flight", "");
        (busy(&stages.payers[0]) + busy(&stages.retrier) == 0.0).then_some(())
    });
    let _again = world.stage("summarizer", "summarizer");
    let paid = paid();
    assert!(paid.success < 2000, "all was paid before the stop");
    until("the summary says what the rows say", LONG, || {
        let (success, hash): (i64, _) = (
            world.sql.number(&format!(
                "SELECT success_count FROM campaign_promotion_summary WHERE promotion_id = {}",
                campaign.id
            )),
            world.cache.public(world.summary_id(&campaign)?),
        );
        (success == paid.success && hash.get("success_count") == Some(&paid.success.to_string())).then_some(())
    });
    assert_eq!(world.status(&campaign).as_deref(), Some("STOPPED"));
}

#[test]
fn a_promotion_stopped_before_its_start_goes_back_to_the_queue() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 300));
    let id = campaign.id.to_string();
    world.promoctl(&["promotion", "stop", &id, "--memo", "not yet", "--yes"]).ok().unwrap();
    let _stages = world.run(1).ready();
    assert_eq!(world.status(&campaign).as_deref(), Some("STOPPED"));
    world.promoctl(&["promotion", "resume", &id, "--reason", "now", "--yes"]).ok().unwrap();
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn two_dispatchers_at_once_publish_every_target_once() {
    let world = World::build().set("PAYOUT_DISPATCHER_WINDOW", "200").set("PAYOUT_DISPATCHER_PAGE", "100").start();
    let campaign = world.write(&Plan::points("SPRING", 3000));
    let _second = world.stage("dispatcher", "dispatcher-2");
    let _stages = world.run(2);
    world.completed(&campaign, LONG);
    let books = world.books(&campaign);
    books.assert_paid_and_closed();
    // With a money that makes no mistakes, an entry that was published twice would show as a second request.
    assert_eq!(world.money.stat("/charge/total"), 3000);
    assert_eq!(books.counts().success, 3000);
}

#[test]
fn two_of_every_stage_at_once_pay_what_one_of_each_would() {
    let world = World::build()
        .money(&["--fail-before", "0.05", "--lose", "0.05", "--refuse", "0.02"])
        .set("PAYOUT_DISPATCHER_WINDOW", "300")
        .start();
    let campaign = world.write(&Plan::vouchers("SPRING", 2000));
    let _others = ["dispatcher", "retrier", "summarizer"].map(|stage| world.stage(stage, &format!("{stage}-b")));
    let _stages = world.run(3);
    world.completed(&campaign, LONG);
    let books = world.books(&campaign);
    books.assert_closed();
    assert_eq!(books.with(Some("FAILED")).len(), books.ledger.count("declined"), "{:?}", books.overview());
}

#[test]
fn the_products_own_audit_agrees_with_the_judge() {
    let world = World::build().money(&["--fail-before", "0.05", "--lose", "0.05", "--refuse", "0.02"]).start();
    let campaign = world.write(&Plan::points("SPRING", 1000));
    let _stages = world.run(2);
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_closed();
    let (id, url) = (campaign.id.to_string(), world.money.url());
    world.promoctl(&["audit", &id, "--ledger", &url]).ok().unwrap();
}

#[test]
fn an_entry_in_a_long_backoff_is_looked_up_and_paid_at_once_after_retry_now() {
    let world = World::build()
        .money(&["--fail-before", "1"])
        .set("PAYOUT_BREAKER_MIN_REQUESTS", "1000000")
        .set("PAYOUT_RETRY_BACKOFF_BASE", "1h")
        .set("PAYOUT_RETRY_BACKOFF_CAP", "1h")
        .unhurried()
        .start();
    let campaign = world.write(&Plan::points("SPRING", 200));
    let _stages = world.run(1);
    until("everything is parked", LONG, || (world.cache.held(&campaign).get("retry") == Some(&200)).then_some(()));
    world.money.heal();
    world.money.reset_stats();
    let id = campaign.id.to_string();
    let args = ["pending", "retry-now", "--promotion", &id, "--reason", "money is back", "--yes"];
    world.promoctl(&args).ok().unwrap();
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
    assert_eq!((world.money.stat("/lookup/total"), world.money.stat("/charge/total")), (200, 200));
}

#[test]
fn a_shown_target_says_what_money_knows_of_it() {
    let world = World::plain();
    let paid = world.write(&Plan::points("SPRING", 50));
    let stages = world.run(1);
    world.completed(&paid, LONG);
    drop(stages);
    let waits = world.write(&Plan::points("AUTUMN", 1));
    let looked_up = world.money.stat("/lookup/total");
    for (campaign, verdict) in [(&paid, "paid"), (&waits, "not seen yet, which proves nothing")] {
        let target: i64 = world.sql.number(&format!(
            "SELECT MIN(point_target_id) FROM campaign_promotion_point_targets WHERE promotion_id = {}",
            campaign.id
        ));
        let args = ["targets", "show", &target.to_string(), "--promotion", &campaign.id.to_string(), "-o", "json"];
        let shown: serde_json::Value = serde_json::from_str(&world.promoctl(&args).ok().unwrap()).unwrap();
        assert_eq!(shown["ledger"][0]["verdict"], verdict, "{shown}");
        assert_eq!(shown["ledger"][0]["money_key"], shown["result"]["transaction_key"], "{shown}");
    }
    assert_eq!(world.money.stat("/lookup/total") - looked_up, 2);
}

#[test]
fn the_doctor_sees_every_replica_and_the_key_in_which_one_differs() {
    let world = World::plain();
    let _stages = world.run(2).ready();
    let replicas = |report: &serde_json::Value| -> Vec<String> {
        let lines = report["replicas"].as_array().unwrap().iter();
        lines.map(|line| format!("{} {}", line["stage"].as_str().unwrap(), line["name"].as_str().unwrap())).collect()
    };
    let doctor =
        || -> serde_json::Value { serde_json::from_str(&world.promoctl(&["doctor", "-o", "json"]).stdout).unwrap() };
    let all = ["dispatcher dispatcher", "payer payer-1", "payer payer-2", "retrier retrier-1", "summarizer summarizer"];
    until("all have announced themselves", LONG, || (replicas(&doctor()) == all).then_some(()));
    let differs = |report: &serde_json::Value| -> Vec<String> {
        let findings = report["findings"].as_array().unwrap().iter();
        let findings = findings.filter(|finding| finding["check"] == "replica configuration");
        findings.map(|finding| finding["where"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(differs(&doctor()), [] as [&str; 0]);
    let odd = world.launch("payer", "payer-3").env("PAYOUT_RETRY_MAX_ATTEMPTS", "7").start().unwrap();
    until("the third payer announces itself", LONG, || (replicas(&doctor()).len() == 6).then_some(()));
    assert_eq!(differs(&doctor()), ["retry.max_attempts"]);
    drop(odd);
}
