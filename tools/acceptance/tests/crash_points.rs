//! A stage is killed at every place between two effects. Each place must be reached, the stage is started again,
//! and the ledger judges.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use acceptance::{Campaign, Plan, World, secs, until};

/// Places, and which stage is killed there. `charging` is the code that payer and retrier share.
const PLACES: &[(&str, &str)] = &[
    ("dispatcher", "dispatcher.started"),
    ("dispatcher", "dispatcher.streams_made"),
    ("dispatcher", "dispatcher.page_read"),
    ("dispatcher", "dispatcher.published"),
    ("dispatcher", "dispatcher.marked"),
    ("payer", "paying.name_taken"),
    ("payer", "charging.delivered"),
    ("payer", "charging.intent_recorded"),
    ("payer", "charging.before_charge"),
    ("payer", "charging.after_charge:40"),
    ("payer", "charging.before_record"),
    ("payer", "charging.paid_recorded"),
    ("payer", "charging.recorded"),
    ("payer", "charging.settled"),
    ("payer", "charging.parked"),
    ("retrier", "retrier.listed"),
    ("retrier", "retrier.taken"),
    ("retrier", "charging.intent_recorded"),
    ("retrier", "charging.before_look_up"),
    ("retrier", "charging.after_look_up"),
    ("retrier", "charging.before_charge"),
    ("retrier", "charging.after_charge"),
    ("retrier", "charging.before_cancel"),
    ("retrier", "charging.after_cancel"),
    ("retrier", "charging.recorded"),
    ("retrier", "charging.settled"),
    ("retrier", "charging.parked"),
    ("summarizer", "summarizer.counted"),
    ("summarizer", "summarizer.row_flushed"),
    ("summarizer", "summarizer.hash_written"),
    ("summarizer", "summarizer.completed"),
    ("summarizer", "summarizer.ended_hash_written"),
    ("summarizer", "summarizer.keys_removed"),
    ("summarizer", "summarizer.differs"),
    ("summarizer", "rebuild.snapshot_read"),
    ("summarizer", "summarizer.rebuilt"),
];

/// Worlds that work side by side.
const LANES: usize = 3;
const TARGETS: u32 = 300;

#[test]
fn a_stage_killed_between_any_two_effects_loses_nobody_and_pays_nobody_twice() {
    let places = Mutex::new(PLACES.iter().copied().collect::<VecDeque<_>>());
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let world = World::build()
                    .money(&["--too-many", "0.2", "--lose", "0.1", "--refuse", "0.05"])
                    .set("PAYOUT_RETRY_MAX_ATTEMPTS", "2")
                    .set("PAYOUT_BREAKER_FAILURE_PERCENT", "95")
                    .start();
                let next = || places.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                while let Some((stage, place)) = next() {
                    dies_at(&world, stage, place);
                }
            });
        }
    });
}

fn dies_at(world: &World, stage: &str, place: &str) {
    println!("{stage} at {place}");
    let code = format!("{stage}-{}", place.replace(['.', ':'], "-"));
    let campaign = world.write(&Plan::points(&code, TARGETS));
    let names =
        [("dispatcher", "dispatcher"), ("payer", "payer-1"), ("retrier", "retrier-1"), ("summarizer", "summarizer")];
    let mut others = Vec::new();
    for (kind, name) in names.into_iter().filter(|(kind, _)| *kind != stage) {
        others.push(world.stage(kind, name));
    }
    let (_, name) = names.into_iter().find(|(kind, _)| *kind == stage).expect("a stage");
    let armed = world.launch(stage, name).env("PAYOUT_CRASH_POINT", place).start().expect("start the stage");
    if matches!(place, "summarizer.differs" | "rebuild.snapshot_read" | "summarizer.rebuilt") {
        lose_an_entry(world, &campaign);
    }
    until(&format!("{stage} dies at {place}"), secs(60), || (!armed.is_running()).then_some(()));
    assert!(armed.log().contains("crash point"), "it ended by itself:\n{}", armed.log());
    let _again = world.stage(stage, name);
    world.completed(&campaign, secs(90));
    world.books(&campaign).assert_exactly_once();
    world.books(&campaign).assert_closed();
}

/// Somebody acknowledges an entry from outside: the sweep must notice.
fn lose_an_entry(world: &World, campaign: &Campaign) {
    until("an entry is parked", secs(60), || {
        (0..campaign.partitions).find_map(|partition| {
            let id = world.cache.pending_ids(campaign, partition, "retry").pop()?;
            let stream = acceptance::Cache::stream(campaign, partition);
            let acknowledged = world.cache.ask::<i64>(&["XACK", &stream, "payers", &id]).ok()?;
            (acknowledged == 1).then_some(())
        })
    });
}

const LOADER_PLACES: [&str; 5] = [
    "loader.promotion_made",
    "loader.batch_committed",
    "loader.batch_committed:2",
    "loader.before_seal",
    "loader.sealed",
];

#[test]
fn a_loader_killed_between_any_two_effects_goes_on_where_it_stopped() {
    let world = World::plain();
    let rows: u32 = 20_000;
    let lines: String = (1..=rows).map(|customer| format!("{customer},100\n")).collect();
    let file = world.dir().join("targets.csv");
    std::fs::write(&file, format!("customer_uid,amount\n{lines}")).expect("write the file");
    for (number, place) in LOADER_PLACES.into_iter().enumerate() {
        let code = format!("LOAD-{number}");
        let load = || {
            let loader = world.launch("loader", &code).args([
                "--type",
                "POINT",
                "--campaign-code",
                &code,
                "--yes",
                "-o",
                "json",
            ]);
            loader.arg(&file)
        };
        let killed = load().env("PAYOUT_CRASH_POINT", place).run(secs(60)).expect("run the loader");
        assert!(!killed.status.success() && killed.stderr.contains("crash point"), "{place}: {}", killed.stderr);
        let again = load().run(secs(60)).expect("run the loader");
        assert!(again.status.success(), "{place}: {}", again.stderr);
        let loaded = world.sql.number(&format!(
            "SELECT COUNT(*) FROM campaign_promotion_point_targets t JOIN campaign_promotions p USING (promotion_id) \
             WHERE p.campaign_code = '{code}' AND p.promotion_status = 'READY' AND p.total_count = {rows}"
        ));
        assert_eq!(loaded, i64::from(rows), "{place}");
    }
}

const REQUEUE_PLACES: [&str; 6] =
    ["requeue.proved", "requeue.begun", "requeue.seeded", "requeue.written", "requeue.written:2", "requeue.added"];

#[test]
fn a_requeue_killed_between_any_two_effects_is_healed_by_the_sweep_and_goes_on() {
    let world = World::build().money(&["--refuse", "0.3"]).start();
    let _stages = world.run(2);
    for (number, place) in REQUEUE_PLACES.into_iter().enumerate() {
        world.money.faults(serde_json::json!({ "refuse": 0.3 }));
        let campaign = world.write(&Plan::points(&format!("REQUEUE-{number}"), TARGETS));
        world.completed(&campaign, secs(90));
        let failed = world.books(&campaign).with(Some("FAILED")).len();
        assert!(failed > 20, "{place}: {failed} failed");
        world.money.heal();
        let id = campaign.id.to_string();
        world.promoctl(&["retry", "plan", "--promotion", &id]).ok().expect("a plan");
        let plan = world.sql.number(&format!("SELECT MAX(plan_id) FROM payout_retry_plans WHERE promotion_id = {id}"));
        let plan = plan.to_string();
        // Slices of 20: the place is passed with some of them done.
        let args = ["retry", "apply", &plan, "--reason", "mended", "--yes", "--rate", "20"];
        let killed = world.launch("promoctl", "promoctl").args(args).env("PAYOUT_CRASH_POINT", place);
        let killed = killed.run(secs(60)).expect("run promoctl");
        assert!(!killed.status.success() && killed.stderr.contains("crash point"), "{place}: {}", killed.stderr);
        world.books(&campaign).assert_exactly_once();
        // What was written is paid without the operator: the sweep finds partitions that were not rebuilt.
        let requeued = "SELECT COUNT(*) FROM campaign_promotion_point_results WHERE requeues > 0 AND promotion_id = ";
        let begun = world.sql.number(&format!("{requeued}{id}"));
        assert_eq!(begun > 0, place.starts_with("requeue.written") || place.starts_with("requeue.added"), "{place}");
        world.completed(&campaign, secs(90));
        let again = world.promoctl(&["retry", "apply", &plan, "--reason", "mended", "--yes"]);
        assert!(again.status.success(), "{place}: {}", again.stderr);
        world.completed(&campaign, secs(90));
        let books = world.books(&campaign);
        books.assert_paid_and_closed();
        assert_eq!(books.rows.iter().filter(|row| row.requeues > Some(0)).count(), failed, "{place}");
    }
}

#[test]
fn every_place_that_the_product_names_is_reached() {
    let named = include_str!("../../../pipeline/src/crash.rs").lines().filter_map(|line| line.trim().strip_prefix('"'));
    let named: Vec<&str> = named.filter_map(|line| line.strip_suffix("\",")).collect();
    assert!(named.len() > 25, "{named:?}");
    let tried = |name: &str| {
        let same = |place: &str| place.split(':').next() == Some(name);
        PLACES.iter().any(|(_, place)| same(place))
            || LOADER_PLACES.iter().chain(&REQUEUE_PLACES).any(|place| same(place))
    };
    let untried: Vec<&&str> = named.iter().filter(|name| !tried(name)).collect();
    assert!(untried.is_empty(), "{untried:?}");
}
