//! The outside is told what happened to a promotion: once for each change, signed, and whatever dies in between.

use std::time::Duration;

use acceptance::{Build, Message, Plan, Receiver, WEBHOOK_SECRET, World, until};
use serde_json::json;

use crate::LONG;

fn told_to(receiver: &Receiver) -> Build {
    World::build()
        .set("PAYOUT_WEBHOOK_URL", &receiver.url())
        .set("PAYOUT_WEBHOOK_SECRET", WEBHOOK_SECRET)
        .set("PAYOUT_WEBHOOK_TIMEOUT", "500ms")
        .set("PAYOUT_WEBHOOK_BACKOFF_BASE", "50ms")
        .set("PAYOUT_WEBHOOK_BACKOFF_CAP", "200ms")
}

/// Waits until every message that stands in the database is in this state; gives how many.
fn all(world: &World, state: &str, bound: Duration) -> i64 {
    until(&format!("every message is {state}"), bound, || {
        let sql =
            format!("SELECT COUNT(*), CAST(COALESCE(SUM(state = '{state}'), 0) AS SIGNED) FROM payout_notifications");
        let (messages, so): (i64, i64) = world.sql.row(&sql);
        (messages > 0 && messages == so).then_some(messages)
    })
}

fn types(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.body()["type"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn an_end_is_told_signed_until_it_is_taken_and_names_nobody() {
    let receiver = Receiver::start();
    // Fails, sends elsewhere, hangs; then takes it.
    receiver.answer(&[500, 307, 0]);
    let world = told_to(&receiver).start();
    let campaign = world.write(&Plan::points("SPRING", 200));
    let stages = world.run(1);
    world.completed(&campaign, LONG);
    assert_eq!(all(&world, "DELIVERED", LONG), 1);
    let messages = receiver.messages();
    assert_eq!(messages.iter().map(|message| message.answered).collect::<Vec<_>>(), [500, 307, 0, 200]);
    assert!(messages.iter().all(|message| message.signed && message.id == messages[0].id), "{messages:#?}");
    let body = messages[3].body();
    assert_eq!(body["type"], "promotion.completed");
    let data = &body["data"];
    assert_eq!(
        (data["campaign_code"].as_str(), data["promotion_status"].as_str()),
        (Some("SPRING"), Some("COMPLETED"))
    );
    assert_eq!((data["counts"]["total"].as_u64(), data["counts"]["success"].as_u64()), (Some(200), Some(200)));
    assert_eq!(data["amounts"]["success"], data["amounts"]["planned"]);
    assert!(data["amounts"]["planned"].is_string());
    for row in &world.books(&campaign).rows {
        assert!(!messages[3].text.contains(&row.customer.to_string()), "{}", messages[3].text);
    }
    let counted =
        |result: &str| stages.summarizer.metric("payout_webhook_attempts_total", &format!("result=\"{result}\""));
    assert_eq!((counted("delivered"), counted("refused"), counted("no_answer")), (1.0, 2.0, 1.0));
}

#[test]
fn a_summarizer_that_dies_behind_the_end_tells_it_all_the_same() {
    let receiver = Receiver::start();
    let world = told_to(&receiver).start();
    let campaign = world.write(&Plan::points("SPRING", 50));
    let launch = world.launch("summarizer", "summarizer").env("PAYOUT_CRASH_POINT", "summarizer.completed:1");
    let armed = launch.start().unwrap();
    let _others =
        [world.stage("dispatcher", "dispatcher"), world.stage("payer", "payer-1"), world.stage("retrier", "r")];
    until("the summarizer dies", LONG, || (!armed.is_running()).then_some(()));
    assert_eq!(world.status(&campaign).as_deref(), Some("COMPLETED"));
    let _again = world.stage("summarizer", "summarizer");
    assert_eq!(all(&world, "DELIVERED", LONG), 1);
    assert_eq!(types(&receiver.messages()), ["promotion.completed"]);
}

#[test]
fn a_failure_is_told_and_two_replicas_send_each_message_once() {
    let receiver = Receiver::start();
    let world = told_to(&receiver).start();
    world.money.faults(json!({"unauthorized": true}));
    let campaign = world.write(&Plan::points("SPRING", 50));
    let _stages = world.run(2);
    let _second = world.stage("summarizer", "summarizer-2");
    world.reaches(&campaign, "FAILED", LONG);
    assert_eq!(all(&world, "DELIVERED", LONG), 1);
    world.money.heal();
    let id = campaign.id.to_string();
    world.promoctl(&["promotion", "resume", &id, "--reason", "a new token", "--yes"]).ok().unwrap();
    world.completed(&campaign, LONG);
    assert_eq!(all(&world, "DELIVERED", LONG), 2);
    assert_eq!(types(&receiver.messages()), ["promotion.failed", "promotion.completed"]);
}

#[test]
fn what_is_not_taken_is_given_up_visibly_and_sent_again_by_an_operator() {
    let receiver = Receiver::start();
    receiver.always(Some(503));
    let world = told_to(&receiver).set("PAYOUT_WEBHOOK_MAX_ATTEMPTS", "3").start();
    let campaign = world.write(&Plan::points("SPRING", 20));
    let stages = world.run(1);
    world.completed(&campaign, LONG);
    assert_eq!(all(&world, "GIVEN_UP", LONG), 1);
    assert_eq!(receiver.messages().len(), 3);
    until("the metric shows it", LONG, || {
        (stages.summarizer.metric("payout_webhook_given_up_items", "") == 1.0).then_some(())
    });
    let listed = world.promoctl(&["notifications", "list", "--state", "given_up"]).ok().unwrap();
    assert!(listed.contains("HTTP 503"), "{listed}");
    let doctor = world.promoctl(&["doctor"]).stdout;
    assert!(doctor.contains("1 messages were given up"), "{doctor}");
    receiver.always(None);
    let number = world.sql.number("SELECT notification_id FROM payout_notifications").to_string();
    world.promoctl(&["notifications", "resend", &number, "--reason", "it is back", "--yes"]).ok().unwrap();
    assert_eq!(all(&world, "DELIVERED", LONG), 1);
    let messages = receiver.messages();
    assert_eq!(messages.len(), 4);
    assert!(messages.iter().all(|message| message.id == messages[0].id));
}

#[test]
fn a_person_is_called_once_while_payouts_wait() {
    let receiver = Receiver::start();
    let world = told_to(&receiver)
        .money(&["--fail-before", "1", "--no-cancel"])
        .set("PAYOUT_MONEY_CANCEL", "false")
        .set("PAYOUT_RETRY_MAX_ATTEMPTS", "2")
        .set("PAYOUT_BREAKER_MIN_REQUESTS", "1000000")
        .set("PAYOUT_WEBHOOK_EVENTS", "needs_person")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 30));
    let stages = world.run(1);
    assert_eq!(all(&world, "DELIVERED", LONG), 1);
    // Others begin to wait, and a replica that starts anew looks for itself.
    until("all wait", LONG, || (world.cache.held(&campaign).get("held") == Some(&30)).then_some(()));
    stages.summarizer.kill_and_restart();
    let id = campaign.id.to_string();
    world.money.heal();
    for row in &world.books(&campaign).rows {
        let target = row.id.to_string();
        let args = ["resolve", &target, "--promotion", &id, "--not-paid", "--reason", "asked the bank", "--yes"];
        world.promoctl(&args);
    }
    world.completed(&campaign, LONG);
    until("the end is put aside", LONG, || {
        let sql = "SELECT COUNT(*) FROM payout_notifications WHERE state = 'SKIPPED' AND event = 'promotion.completed'";
        (world.sql.number(sql) == 1).then_some(())
    });
    assert_eq!(types(&receiver.messages()), ["promotion.needs_person"]);
}

#[test]
fn without_a_webhook_nothing_piles_up() {
    let world = World::plain();
    let campaign = world.write(&Plan::points("SPRING", 20));
    let _stages = world.run(1);
    world.completed(&campaign, LONG);
    assert_eq!(all(&world, "SKIPPED", LONG), 1);
}
