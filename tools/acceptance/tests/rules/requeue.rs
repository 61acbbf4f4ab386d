//! FAILED targets get new attempts by an operator's word: exactly those that were meant, and nobody is paid twice.

use acceptance::{Build, Campaign, Plan, World, until};
use serde_json::Value;

use crate::LONG;

/// Some customers are refused with one code, others with another.
fn refusing() -> Build {
    World::build()
        .money(&["--refuse", "0.3", "--refuse-code", "LIMIT", "--refuse-code", "CLOSED"])
        .set("PAYOUT_MONEY_FINAL_ERROR_CODES", "LIMIT,CLOSED")
}

fn json(world: &World, args: &[&str]) -> (i32, Value) {
    let mut args = args.to_vec();
    args.extend(["-o", "json"]);
    let finished = world.promoctl(&args);
    let code = finished.status.code().expect("an exit code");
    let value = serde_json::from_str(&finished.stdout).unwrap_or(Value::Null);
    assert!(code == 2 || value != Value::Null, "{args:?}: {}{}", finished.stdout, finished.stderr);
    (code, value)
}

fn plan(world: &World, campaign: &Campaign, more: &[&str]) -> Value {
    let id = campaign.id.to_string();
    let mut args = vec!["retry", "plan", "--promotion", &id];
    args.extend(more);
    let (code, plan) = json(world, &args);
    assert_eq!(code, 0);
    plan
}

fn apply(world: &World, plan: &Value, more: &[&str]) -> (i32, Value) {
    let id = plan["plan_id"].to_string();
    let mut args = vec!["retry", "apply", &id, "--reason", "the limit was raised", "--yes"];
    args.extend(more);
    json(world, &args)
}

fn audited(world: &World, campaign: &Campaign) {
    let (id, url) = (campaign.id.to_string(), world.money.url());
    world.promoctl(&["audit", &id, "--ledger", &url]).ok().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn only_what_failed_with_the_named_code_is_paid_again_under_its_next_key() {
    let world = refusing().start();
    let campaign = world.write(&Plan::points("SPRING", 600));
    let _stages = world.run(2);
    world.completed(&campaign, LONG);
    let before = world.books(&campaign);
    let of = |code: &str| before.rows.iter().filter(|row| row.error_code.as_deref() == Some(code)).count();
    let (limit, closed) = (of("LIMIT"), of("CLOSED"));
    assert!(limit > 20 && closed > 20, "{:?}", before.overview());
    world.money.heal();

    let plan = plan(&world, &campaign, &["--error-code", "LIMIT"]);
    assert_eq!(plan["targets"], limit);
    let (code, done) = apply(&world, &plan, &[]);
    assert_eq!((code, &done["next_key"], &done["reopened"]), (0, &Value::from(limit), &Value::from(true)), "{done}");
    world.completed(&campaign, LONG);

    // The ledger first: exactly those are paid now, under their second key.
    let after = world.books(&campaign);
    for row in &before.rows {
        let (first, second) = (campaign.key(row.customer, 1), campaign.key(row.customer, 2));
        let expected = match (row.status.as_deref(), row.error_code.as_deref()) {
            (Some("SUCCESS"), _) => (1, 0),
            (_, Some("LIMIT")) => (0, 1),
            (_, _) => (0, 0),
        };
        let paid = (after.ledger.paid(&first).len(), after.ledger.paid(&second).len());
        assert_eq!(paid, expected, "{row:?}");
    }
    // Summary, public hash and rows agree, and say how they came to it.
    after.assert_closed();
    let (counts, again) = (after.counts(), before.counts().retry_success + limit as i64);
    assert_eq!((counts.fail, counts.retry_success), (closed as i64, again), "{:?}", after.overview());
    audited(&world, &campaign);
}

#[test]
fn a_requeue_leaves_the_entries_of_others_where_they_are() {
    let world = refusing().start();
    let campaign = world.write(&Plan::points("SPRING", 600));
    let stages = world.run(1);
    world.completed(&campaign, LONG);
    drop(stages);
    world.money.heal();
    let apply_all = |code: &str| {
        let plan = plan(&world, &campaign, &["--error-code", code]);
        // Slices of 20: each finds those before it undelivered, and whoever works on them goes on.
        let (code, done) = apply(&world, &plan, &["--rate", "20"]);
        assert_eq!(
            (code, &done["requeued"], &done["partitions_left_to_the_sweep"]),
            (0, &plan["targets"], &Value::from(0)),
            "{done}"
        );
        plan["targets"].as_u64().expect("a number")
    };
    let first = apply_all("LIMIT");
    let before = world.cache.entries(&campaign);
    let second = apply_all("CLOSED");
    let after = world.cache.entries(&campaign);
    assert_eq!((before.len() as u64, after.len() as u64), (first, first + second));
    assert!(before.iter().all(|entry| after.contains(entry)), "{before:?} {after:?}");
    let _stages = world.run(1);
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
    audited(&world, &campaign);
}

#[test]
fn a_running_promotion_is_requeued_while_it_is_paid() {
    let world = refusing().money(&["--latency-ms", "20"]).set("PAYOUT_MONEY_CONCURRENCY", "4").start();
    let campaign = world.write(&Plan::vouchers("SPRING", 1500));
    let _stages = world.run(1);
    world.paid(200, LONG);
    world.money.faults(serde_json::json!({ "latency_ms": 20 }));
    let plan = plan(&world, &campaign, &[]);
    let (code, done) = apply(&world, &plan, &[]);
    assert_eq!((code, &done["reopened"]), (0, &Value::from(false)), "{done}");
    assert!(done["requeued"].as_u64() > Some(20), "{done}");
    let id = campaign.id.to_string();
    until("all is paid but what failed behind the plan", LONG, || {
        (world.status(&campaign)? == "COMPLETED").then_some(())
    });
    // What failed since is another plan's.
    json(&world, &["dead", "requeue", "--promotion", &id, "--reason", "the rest", "--yes"]);
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
    audited(&world, &campaign);
}

#[test]
fn what_never_reached_execution_is_paid_under_its_own_key() {
    let world = World::build()
        .money(&["--too-many", "1", "--no-cancel"])
        .set("PAYOUT_MONEY_CANCEL", "false")
        .unhurried()
        .set("PAYOUT_BREAKER_MIN_REQUESTS", "1000000")
        .set("PAYOUT_RETRY_MAX_ATTEMPTS", "2")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 200));
    let _stages = world.run(1);
    world.completed(&campaign, LONG);
    assert_eq!(world.books(&campaign).with(Some("FAILED")).len(), 200);
    world.money.heal();
    let plan = plan(&world, &campaign, &[]);
    let (code, done) = apply(&world, &plan, &[]);
    assert_eq!((code, &done["same_key"], &done["next_key"]), (0, &Value::from(200), &Value::from(0)), "{done}");
    world.completed(&campaign, LONG);
    let books = world.books(&campaign);
    books.assert_paid_and_closed();
    assert!(books.rows.iter().all(|row| books.ledger.paid(&campaign.key(row.customer, 1)).len() == 1));
    audited(&world, &campaign);
}

#[test]
fn what_was_cancelled_is_paid_under_its_next_key() {
    let world = World::build()
        .money(&["--fail-before", "1"])
        .set("PAYOUT_BREAKER_MIN_REQUESTS", "1000000")
        .set("PAYOUT_RETRY_MAX_ATTEMPTS", "2")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 200));
    let _stages = world.run(1);
    world.completed(&campaign, LONG);
    world.money.heal();
    let plan = plan(&world, &campaign, &[]);
    let (code, done) = apply(&world, &plan, &[]);
    assert_eq!((code, &done["next_key"]), (0, &Value::from(200)), "{done}");
    world.completed(&campaign, LONG);
    let books = world.books(&campaign);
    books.assert_paid_and_closed();
    assert!(books.rows.iter().all(|row| books.ledger.paid(&campaign.key(row.customer, 2)).len() == 1));
}

#[test]
fn an_unknown_outcome_is_never_requeued() {
    let world = World::build()
        .money(&["--fail-before", "1", "--no-cancel"])
        .set("PAYOUT_MONEY_CANCEL", "false")
        .set("PAYOUT_BREAKER_MIN_REQUESTS", "1000000")
        .set("PAYOUT_RETRY_MAX_ATTEMPTS", "2")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 100));
    let _stages = world.run(1);
    until("all entries are held for a person", LONG, || {
        (world.cache.held(&campaign).get("held") == Some(&100)).then_some(())
    });
    let plan = plan(&world, &campaign, &[]);
    assert_eq!(plan["targets"], 0, "{plan}");
    assert_eq!(plan["not_eligible"][0]["reason"], "WAITS_FOR_A_PERSON");
    assert_eq!(plan["not_eligible"][0]["targets"], 100);
    assert_eq!(apply(&world, &plan, &[]).0, 2);
    let books = world.books(&campaign);
    books.assert_exactly_once();
    assert!(books.rows.iter().all(|row| row.requeues == Some(0)));
}

#[test]
fn a_money_that_does_not_take_the_operators_token_is_asked_no_more_and_the_plan_goes_on_later() {
    // What `prove` has under way at most.
    const AT_ONCE: usize = 32;
    let world = refusing().start();
    let campaign = world.write(&Plan::points("SPRING", 600));
    let _stages = world.run(1);
    world.completed(&campaign, LONG);
    let plan = plan(&world, &campaign, &[]);
    let targets = plan["targets"].as_u64().expect("a count");
    assert!(targets > 3 * AT_ONCE as u64, "{targets} targets do not show that the rest is not asked about");
    world.money.faults(serde_json::json!({"unauthorized": true}));
    let asked = || world.money.journal().iter().filter(|visit| visit.kind != "charge").count();
    let before = asked();
    let (code, done) = apply(&world, &plan, &[]);
    assert_eq!((code, &done["requeued"]), (3, &Value::from(0)), "{done}");
    assert_eq!(done["unproved"]["MONEY_FAULT"]["targets"], targets, "{done}");
    assert!(done["ended"].as_str().is_some_and(|why| why.contains("MONEY_TOKEN")), "{done}");
    let more = asked() - before;
    assert!((1..=AT_ONCE).contains(&more), "{more} questions");
    world.money.heal();
    let (code, done) = apply(&world, &plan, &[]);
    assert_eq!((code, &done["next_key"]), (0, &Value::from(targets)), "{done}");
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn what_money_calls_paid_is_looked_up_and_never_paid_again() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 50));
    let _stages = world.run(1);
    world.completed(&campaign, LONG);
    // A person has closed it as not paid, wrongly; and it is asked about, as a refusal would be.
    let (first, charges) = (world.books(&campaign).rows[0].id, world.money.stat("/charge/total"));
    let altered = world.sql.execute(&format!(
        "UPDATE campaign_promotion_point_results SET process_status = 'FAILED', transaction_key = NULL, \
         error_code = 'CUSTOMER_NOT_ELIGIBLE' WHERE point_target_id = {first}"
    ));
    assert_eq!(altered, 1);
    let plan = plan(&world, &campaign, &[]);
    let (code, done) = apply(&world, &plan, &[]);
    assert_eq!((code, &done["paid"]["for_example"][0]), (3, &Value::from(first)), "{done}");
    world.completed(&campaign, LONG);
    let books = world.books(&campaign);
    books.assert_paid_and_closed();
    assert_eq!((books.rows[0].requeues, books.rows[0].generation), (Some(1), Some(1)));
    assert_eq!(world.money.stat("/charge/total"), charges, "somebody was charged again");
    audited(&world, &campaign);
}

#[test]
fn two_operators_with_overlapping_plans_requeue_each_target_once() {
    let world = refusing().start();
    let campaign = world.write(&Plan::points("SPRING", 600));
    let _stages = world.run(1);
    world.completed(&campaign, LONG);
    let failed = world.books(&campaign).with(Some("FAILED")).len() as u64;
    world.money.heal();
    let plans = [plan(&world, &campaign, &[]), plan(&world, &campaign, &[])];
    // Slices of 20, so that they come between each other.
    let done: Vec<(i32, Value)> = std::thread::scope(|scope| {
        let world = &world;
        let threads = plans.each_ref().map(|plan| scope.spawn(move || apply(world, plan, &["--rate", "200"])));
        threads.into_iter().map(|thread| thread.join().expect("it ends")).collect()
    });
    let requeued: u64 = done.iter().filter_map(|(_, done)| done["requeued"].as_u64()).sum();
    assert_eq!(requeued, failed, "{done:?}");
    world.completed(&campaign, LONG);
    let books = world.books(&campaign);
    books.assert_paid_and_closed();
    assert!(books.rows.iter().all(|row| row.requeues <= Some(1)), "{:?}", books.overview());
    audited(&world, &campaign);
}

#[test]
fn a_plan_whose_targets_have_changed_is_refused_and_nothing_is_written() {
    let world = refusing().start();
    let campaign = world.write(&Plan::points("SPRING", 300));
    let _stages = world.run(1);
    world.completed(&campaign, LONG);
    let plans = [plan(&world, &campaign, &[]), plan(&world, &campaign, &["--error-code", "LIMIT"])];
    assert_eq!(apply(&world, &plans[1], &[]).0, 0);
    world.completed(&campaign, LONG);
    let before = world.books(&campaign).overview();
    assert_eq!(apply(&world, &plans[0], &[]).0, 2);
    assert_eq!(apply(&world, &plans[1], &[]).0, 2, "applied twice");
    assert_eq!(world.books(&campaign).overview(), before);
    assert_eq!(world.status(&campaign).as_deref(), Some("COMPLETED"));
}
