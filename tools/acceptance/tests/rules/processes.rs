//! Starting, ending, freezing.

use std::time::Instant;

use acceptance::{Plan, Stage, World, get, secs, until};
use servers::RedisOptions;

use crate::LONG;

const STAGES: [&str; 4] = ["dispatcher", "payer", "retrier", "summarizer"];

#[test]
fn a_payer_that_was_frozen_past_the_visibility_timeout_wakes_up_harmless() {
    let world = World::build()
        .money(&["--latency-ms", "20", "--jitter-ms", "20", "--fail-before", "0.05"])
        .set("PAYOUT_DISPATCHER_WINDOW", "400")
        .set("PAYOUT_MONEY_CONCURRENCY", "8")
        .start();
    let campaign = world.write(&Plan::points("SPRING", 3000));
    let stages = world.run(2);
    world.paid(500, LONG);
    // The first wakes up in the middle, the second when everything is over.
    let taken = |name: &str| {
        until(&format!("the retrier has taken what {name} holds"), LONG, || {
            let held = world.cache.held(&campaign);
            held.get(name).is_none_or(|count| *count == 0).then_some(())
        });
    };
    world.freeze_holding(&stages.payers[0], &campaign);
    taken("payer-1");
    stages.payers[0].sigcont().unwrap();
    world.paid(1500, LONG);
    world.freeze_holding(&stages.payers[1], &campaign);
    world.completed(&campaign, LONG);
    stages.payers[1].sigcont().unwrap();
    for payer in &stages.payers {
        assert_eq!(payer.finish(secs(30)), Some(0), "{}", payer.log());
    }
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn a_frozen_retrier_wakes_up_harmless() {
    let world = World::build().money(&["--lose", "0.2", "--fail-before", "0.2", "--latency-ms", "20"]).start();
    let campaign = world.write(&Plan::points("SPRING", 1500));
    let stages = world.run(1);
    let other = world.stage("retrier", "retrier-2");
    world.paid(600, LONG);
    stages.retrier.sigstop().unwrap();
    world.completed(&campaign, LONG);
    stages.retrier.sigcont().unwrap();
    for stage in [&stages.retrier, &other] {
        assert_eq!(stage.finish(secs(30)), Some(0), "{}", stage.log());
    }
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn a_sigterm_drains_within_the_grace_and_leaves_nothing_unsettled() {
    let world = World::build()
        .money(&["--latency-ms", "50", "--jitter-ms", "50"])
        .set("PAYOUT_SHUTDOWN_GRACE", "10s")
        .set("PAYOUT_DISPATCHER_WINDOW", "400")
        .unhurried()
        .start();
    let campaign = world.write(&Plan::points("SPRING", 3000));
    let stages = world.run(2);
    world.paid(500, LONG);
    for stage in stages.all() {
        stage.sigterm().unwrap();
    }
    let began = Instant::now();
    for stage in stages.all() {
        let code = stage.wait(secs(10)).and_then(|status| status.code());
        assert_eq!(code, Some(0), "{}", stage.log());
    }
    assert!(began.elapsed() < secs(10));
    let books = world.books(&campaign);
    books.assert_exactly_once();
    // Everything that was paid is recorded, counted, and off the streams.
    assert_eq!(books.ledger.payments().count(), books.with(Some("SUCCESS")).len());
    assert_eq!(world.cache.counts(&campaign).settled(), books.with(Some("SUCCESS")).len() as i64);
    assert!(world.cache.held(&campaign).values().all(|count| *count == 0), "{:?}", world.cache.held(&campaign));
    assert!(books.rows.iter().any(|row| row.status.is_none()), "it was over before it was ended");
    drop(stages);
    let _stages = world.run(2);
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn stages_that_start_before_their_servers_wait_and_then_work() {
    let world = World::build().own_redis(RedisOptions::default()).own_mysql().start();
    let campaign = world.write(&Plan::points("SPRING", 600));
    world.mysql().stop().unwrap();
    world.redis().stop().unwrap();
    let stages = world.run(2);
    let addresses: Vec<_> = stages.all().map(|stage| stage.address()).collect();
    // That they wait shows in time passing.
    std::thread::sleep(secs(2));
    for (stage, address) in stages.all().zip(&addresses) {
        assert!(stage.is_running(), "{}", stage.log());
        assert_eq!(get(&format!("http://{address}/livez")).unwrap().status, 200, "{}", stage.name());
        assert_eq!(get(&format!("http://{address}/readyz")).unwrap().status, 503, "{}", stage.name());
        assert!(stage.log().lines().count() < 40, "{} does not wait, it spins", stage.name());
    }
    world.mysql().restart().unwrap();
    std::thread::sleep(secs(1));
    assert!(stages.all().all(|stage| stage.is_running()));
    world.redis().restart().unwrap();
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
}

#[test]
fn every_stage_says_that_redis_is_away() {
    let world = World::build().own_redis(RedisOptions::default()).money(&["--latency-ms", "20"]).start();
    let campaign = world.write(&Plan::points("SPRING", 600));
    let stages = world.run(1);
    world.paid(100, LONG);
    world.redis().stop().unwrap();
    for stage in stages.all() {
        let asked = || get(&format!("http://{}/readyz", stage.address())).ok();
        until(&format!("{} says so", stage.name()), LONG, || {
            asked().filter(|answer| answer.body.contains("redis away"))
        });
    }
    world.redis().restart().unwrap();
    world.completed(&campaign, LONG);
    world.books(&campaign).assert_paid_and_closed();
    stages.all().for_each(Stage::ready);
}

#[test]
fn a_redis_that_may_evict_keys_is_refused() {
    let options = RedisOptions { args: vec!["--maxmemory-policy".into(), "allkeys-lru".into()], ..Default::default() };
    let world = World::build().own_redis(options).start();
    let campaign = world.write(&Plan::points("SPRING", 300));
    let stages: Vec<_> = STAGES.iter().map(|stage| world.stage(stage, stage)).collect();
    for stage in &stages {
        let code = stage.wait(secs(30)).and_then(|status| status.code());
        assert_eq!(code, Some(1), "{}", stage.log());
        assert!(stage.log().contains("noeviction"), "{}", stage.log());
    }
    assert_eq!(world.status(&campaign).as_deref(), Some("READY"));
}

#[test]
fn faults_of_the_configuration_are_all_told_before_a_port_is_opened() {
    let world = World::plain();
    for stage in STAGES {
        let launch = world
            .launch(stage, stage)
            .env("PAYOUT_RETRY_VISIBILITY_TIMEOUT", "9s")
            .env("PAYOUT_DISPATCHER_WINDOW", "many")
            .env("PAYOUT_METRICS_ADDR", "127.0.0.1:0");
        let finished = launch.run(secs(20)).unwrap();
        assert_eq!(finished.status.code(), Some(64), "{stage}: {}", finished.stderr);
        let told = finished.stdout + &finished.stderr;
        assert!(told.contains("PAYOUT_DISPATCHER_WINDOW") && told.contains("sweep_interval"), "{stage}: {told}");
        assert!(!told.contains("listening"), "{stage}: {told}");
        assert!(!told.contains(world.money.token()) && !told.contains("payout-local"), "{stage} shows a secret");
    }
}

#[test]
fn a_second_payer_under_a_name_that_is_in_use_is_refused() {
    // The second waits for two leases.
    let world = World::build().money(&["--latency-ms", "20"]).set("PAYOUT_CONSUMER_LEASE", "5s").start();
    let campaign = world.write(&Plan::points("SPRING", 1500));
    let stages = world.run(1);
    world.paid(100, LONG);
    let second = world.launch("payer", "payer-1").run(secs(60)).unwrap();
    assert_eq!(second.status.code(), Some(1), "{}", second.stderr);
    assert!((second.stdout + &second.stderr).contains("PAYOUT_CONSUMER_NAME"));
    world.completed(&campaign, LONG);
    assert!(stages.payers[0].is_running());
    world.books(&campaign).assert_paid_and_closed();
}
