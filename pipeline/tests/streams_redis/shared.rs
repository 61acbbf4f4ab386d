//! What all replicas share: the names, the limiter and the breaker.

use std::time::{Duration, Instant};

use pipeline::keys;
use pipeline::streams::{Breaker, BreakerPolicy, Lease, LimiterState, Replica, Slots, StreamsError};

use crate::support::{BOUND, Space};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_consumer_name_belongs_to_one_process_at_a_time() {
    let mut space = Space::fresh().await;
    let streams = space.streams.clone();
    assert_eq!(streams.lease("payer-1", "one", 60 * SECOND).await, Ok(Lease::Held));
    assert_eq!(streams.lease("payer-1", "one", 60 * SECOND).await, Ok(Lease::Held), "extended");
    assert_eq!(streams.lease("payer-1", "two", 60 * SECOND).await, Ok(Lease::TakenBy("one".into())));
    assert_eq!(streams.lease("payer-2", "two", 60 * SECOND).await, Ok(Lease::Held));
    streams.release("payer-1", "two").await.unwrap();
    assert_eq!(streams.lease("payer-1", "two", 60 * SECOND).await, Ok(Lease::TakenBy("one".into())));
    streams.release("payer-1", "one").await.unwrap();
    assert_eq!(streams.lease("payer-1", "two", 60 * SECOND).await, Ok(Lease::Held));
    assert!(space.number(&format!("TTL {}", keys::consumer_lease("payer-1"))).await > 0, "it ends by itself");
    for name in [keys::RETRY, keys::HELD, ""] {
        assert!(matches!(streams.lease(name, "one", SECOND).await, Err(StreamsError::Refused(_))), "{name}");
    }
}

#[tokio::test]
async fn no_window_of_a_second_holds_more_slots_than_the_rate_whoever_asked() {
    for (rate, horizon) in [(7, 5 * SECOND), (3_000, 3 * SECOND), (2_000_000, Duration::from_millis(3))] {
        let space = Space::fresh().await;
        let clients: Vec<_> = (0..4_u32)
            .map(|client| {
                let streams = space.another();
                tokio::spawn(async move {
                    let mut slots: Vec<Duration> = Vec::new();
                    loop {
                        let got = streams.reserve(rate, 40 + client * 13, horizon).await.unwrap();
                        if got.count == 0 {
                            assert!(got.retry_in > Duration::ZERO);
                            return slots;
                        }
                        slots.extend((0..got.count).map(|slot| got.first_at + got.interval * slot));
                        if slots.len() > 6_000 {
                            return slots;
                        }
                    }
                })
            })
            .collect();
        let mut slots = Vec::new();
        for client in clients {
            slots.extend(client.await.unwrap());
        }
        slots.sort_unstable();
        let interval = Duration::from_nanos(1_000_000_000_u64.div_ceil(u64::from(rate)));
        assert!(slots.windows(2).all(|pair| pair[1] - pair[0] >= interval), "{rate}");
        let most = (0..slots.len()).map(|at| slots[at..].partition_point(|slot| *slot < slots[at] + SECOND)).max();
        assert!(most.unwrap() <= rate as usize, "{rate}: {most:?}");
        assert!(
            slots.len() as f64 >= (f64::from(rate) * horizon.as_secs_f64()).min(4_000.0) * 0.99,
            "{rate}: {}",
            slots.len()
        );
    }
}

#[tokio::test]
async fn slots_lie_within_the_horizon_and_idle_time_gives_no_burst() {
    let space = Space::fresh().await;
    let slots = space.streams.reserve(10, 100, SECOND).await.unwrap();
    assert_eq!((slots.count, slots.first_in, slots.interval), (11, Duration::ZERO, SECOND / 10));
    assert_eq!(slots.delays().last(), Some(SECOND));
    assert_eq!(slots.retry_in, SECOND / 10, "the next slot comes within reach by then");
    let none = space.streams.reserve(10, 100, Duration::ZERO).await.unwrap();
    assert_eq!(none.count, 0);
    assert_eq!(space.streams.reserve(0, 5, SECOND).await.unwrap().count, 0, "a rate of 0 sends nothing");
    assert_eq!(space.streams.reserve(10, 0, SECOND).await.unwrap().retry_in, Duration::ZERO);

    let mut idle = Space::fresh().await;
    idle.say(&format!("SET {} 1000:0:0:0", keys::LIMITER)).await;
    assert_eq!(
        idle.streams.reserve(10, 100, SECOND).await.unwrap().count,
        11,
        "an hour of idle time is no hour of slots"
    );
}

#[tokio::test]
async fn a_clock_that_goes_back_stalls_for_the_horizon_and_no_longer() {
    let mut space = Space::fresh().await;
    let now: (u64, u64) = redis::from_redis_value(space.say("TIME").await).unwrap();
    space.say(&format!("SET {} {}:0:{}:0", keys::LIMITER, now.0 + 3600, now.0 + 3600)).await;
    let stalled = space.streams.reserve(1000, 5, SECOND).await.unwrap();
    assert_eq!(stalled.count, 0);
    let hold = stalled.retry_in;
    assert!(hold <= 60 * SECOND, "{hold:?}");
    space.say(&format!("SET {} {}:0:0:0", keys::LIMITER, now.0 + 3600)).await;
    assert!(space.streams.reserve(1000, 5, SECOND).await.unwrap().retry_in <= Duration::from_millis(1));
    let slots = space.streams.reserve(1000, 5, 2 * SECOND).await.unwrap();
    assert_eq!(slots.count, 5);
    assert!(slots.first_in <= Duration::from_millis(1001), "the bound was stored: {slots:?}");
}

#[tokio::test]
async fn holding_back_keeps_all_replicas_from_sending_but_not_for_ever() {
    let space = Space::fresh().await;
    let other = space.another();
    let before = space.streams.reserve(1000, 10, SECOND).await.unwrap();
    assert_eq!(before.count, 10);
    space.streams.hold_back(20 * SECOND).await.unwrap();
    space.streams.hold_back(SECOND).await.unwrap();
    let held = other.reserve(1000, 10, SECOND).await.unwrap();
    assert_eq!(held.count, 0);
    assert!(held.retry_in > 15 * SECOND && held.retry_in <= 19 * SECOND, "the longer one stays: {held:?}");
    space.streams.hold_back(3600 * SECOND).await.unwrap();
    let capped = other.reserve(1000, 10, SECOND).await.unwrap();
    assert!(capped.retry_in > 50 * SECOND && capped.retry_in <= 60 * SECOND, "{capped:?}");

    let short = Space::fresh().await;
    short.streams.hold_back(Duration::from_millis(30)).await.unwrap();
    let slots: Slots = short.streams.reserve(1000, 10, SECOND).await.unwrap();
    assert_eq!(slots.count, 10);
    assert!(slots.first_in <= Duration::from_millis(30), "slots begin where the pause ends: {slots:?}");
}

const POLICY: BreakerPolicy = BreakerPolicy {
    window: Duration::from_secs(600),
    min_failures: 10,
    failure_percent: 50,
    open_for: Duration::from_millis(40),
    open_cap: Duration::from_millis(100),
};

async fn until_half_open(space: &Space) {
    let started = Instant::now();
    while space.streams.breaker_state().await.unwrap() != Breaker::HalfOpen {
        assert!(started.elapsed() < BOUND);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn remaining(breaker: Breaker) -> Duration {
    match breaker {
        Breaker::Open { remaining } => remaining,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_breaker_opens_on_enough_failures_that_are_a_large_share() {
    let space = Space::fresh().await;
    let streams = &space.streams;
    assert_eq!(streams.breaker_state().await, Ok(Breaker::Closed));
    assert_eq!(streams.breaker_report(0, 9, &POLICY, "a").await, Ok(Breaker::Closed), "too few");
    assert_eq!(streams.breaker_report(20, 0, &POLICY, "b").await, Ok(Breaker::Closed));
    assert_eq!(streams.breaker_report(0, 10, &POLICY, "c").await, Ok(Breaker::Closed), "19 of 39");
    assert!(!streams.breaker_probe("a", SECOND).await.unwrap(), "nothing to probe");
    let policy = BreakerPolicy { open_for: 60 * SECOND, open_cap: 60 * SECOND, ..POLICY };
    let opened = streams.breaker_report(0, 1, &policy, "a").await.unwrap();
    assert!(remaining(opened) > 50 * SECOND, "20 of 40");
    assert!(remaining(space.another().breaker_state().await.unwrap()) > 50 * SECOND, "for all");
    assert!(
        remaining(streams.breaker_report(500, 0, &policy, "b").await.unwrap()) > 50 * SECOND,
        "calls from before tell nothing"
    );
    assert!(!streams.breaker_probe("a", SECOND).await.unwrap(), "not yet");
}

#[tokio::test]
async fn one_replica_probes_a_half_open_breaker_and_its_success_closes_it() {
    let space = Space::fresh().await;
    space.streams.breaker_report(0, 10, &POLICY, "a").await.unwrap();
    until_half_open(&space).await;
    let others: Vec<_> = (0..8).map(|_| space.another()).collect();
    let asked = others
        .iter()
        .enumerate()
        .map(|(at, streams)| async move { streams.breaker_probe(&at.to_string(), 60 * SECOND).await });
    let granted: Vec<bool> = futures::future::join_all(asked).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(granted.iter().filter(|granted| **granted).count(), 1, "{granted:?}");
    let prober = granted.iter().position(|granted| *granted).unwrap();
    let report = |me: usize, successes, failures| {
        let streams = space.streams.clone();
        async move { streams.breaker_report(successes, failures, &POLICY, &me.to_string()).await.unwrap() }
    };
    assert_eq!(report(prober + 1, 5, 5).await, Breaker::HalfOpen, "somebody else's calls from before");
    assert_eq!(report(prober, 0, 0).await, Breaker::HalfOpen, "nothing to tell");
    assert_eq!(report(prober, 1, 0).await, Breaker::Closed);
    assert_eq!(report(prober, 0, 9).await, Breaker::Closed, "it counts from the beginning");
}

#[tokio::test]
async fn a_failed_probe_opens_the_breaker_for_longer_up_to_a_cap() {
    let space = Space::fresh().await;
    let streams = &space.streams;
    let policy = BreakerPolicy { open_for: Duration::from_millis(30), open_cap: 60 * SECOND, ..POLICY };
    streams.breaker_report(0, 10, &policy, "a").await.unwrap();
    until_half_open(&space).await;
    assert!(streams.breaker_probe("a", 60 * SECOND).await.unwrap());
    assert!(!streams.breaker_probe("a", 60 * SECOND).await.unwrap(), "one probe at a time, even of one replica");
    let slower = BreakerPolicy { open_for: 30 * SECOND, ..policy };
    let again = remaining(streams.breaker_report(0, 1, &slower, "a").await.unwrap());
    assert!(again > 50 * SECOND && again <= 60 * SECOND, "twice as long: {again:?}");
}

#[tokio::test]
async fn a_probe_that_is_not_heard_of_again_ends_with_its_lease() {
    let space = Space::fresh().await;
    let streams = &space.streams;
    streams.breaker_report(0, 10, &POLICY, "a").await.unwrap();
    until_half_open(&space).await;
    assert!(streams.breaker_probe("a", Duration::from_millis(20)).await.unwrap());
    let started = Instant::now();
    while !streams.breaker_probe("b", 60 * SECOND).await.unwrap() {
        assert!(started.elapsed() < BOUND);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_breaker_whose_clock_went_back_does_not_stay_open() {
    let mut space = Space::fresh().await;
    space.streams.breaker_report(0, 10, &POLICY, "a").await.unwrap();
    let now: (u64, u64) = redis::from_redis_value(space.say("TIME").await).unwrap();
    space.say(&format!("HSET {} open_until {}000", keys::BREAKER, now.0 + 3600)).await;
    assert!(remaining(space.streams.breaker_state().await.unwrap()) <= POLICY.open_for);
    until_half_open(&space).await;
}

#[tokio::test]
async fn a_process_that_does_not_say_again_that_it_runs_is_forgotten() {
    let mut space = Space::fresh().await;
    let replica = |name: &str| Replica {
        stage: "payer".into(),
        name: name.into(),
        process: 7,
        version: "1.0.0".into(),
        started_at_ms: 5,
        config_hash: "0badcafe".into(),
        settings: [("retry.max_attempts".to_owned(), "5".to_owned())].into(),
    };
    let (lasting, dying) = (replica("a"), replica("b"));
    space.streams.announce(&dying, Duration::from_millis(30)).await.unwrap();
    for _ in 0..2 {
        space.streams.announce(&lasting, 60 * SECOND).await.unwrap();
    }
    // Others' keys, more than one SCAN looks at.
    let others: String = (0..3000).map(|n| format!(" other:{n} {n}")).collect();
    space.say(&format!("MSET{others}")).await;
    let started = Instant::now();
    while space.number(&format!("EXISTS {}", keys::replica("payer", "b", 7))).await == 1 {
        assert!(started.elapsed() < BOUND);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(space.streams.replicas().await.unwrap(), (vec![lasting.clone()], true));
    space.streams.withdraw(&lasting).await.unwrap();
    assert_eq!(space.streams.replicas().await.unwrap(), (Vec::new(), true));
}

#[tokio::test]
async fn looking_at_the_limiter_reserves_nothing() {
    let space = Space::fresh().await;
    assert_eq!(space.streams.limiter_state().await.unwrap(), LimiterState::default());
    space.streams.reserve(1, 1, Duration::ZERO).await.unwrap();
    space.streams.hold_back(30 * SECOND).await.unwrap();
    let state = space.streams.limiter_state().await.unwrap();
    assert!(state.next_in <= SECOND && state.held_for > 20 * SECOND && state.held_for <= 30 * SECOND, "{state:?}");
    let again = space.streams.limiter_state().await.unwrap();
    assert!(again.next_in <= state.next_in && again.held_for <= state.held_for);
}
