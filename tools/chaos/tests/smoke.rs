//! The runner: what it finds, and that it finds what is there.
#![allow(clippy::unwrap_used)] // tests, and their own helpers

use std::fs;

use acceptance::Campaign;
use chaos::plan::{Bounds, Deployment, Event, Load, Plan};
use chaos::run::{Run, line};
use chaos::weather::Weather;
use chaos::{Lane, Stand, artifact, iteration};

/// As the command has them.
const BOUNDS: Bounds = Bounds { targets: (300, 3000) };
/// Each with so many iterations: together the smoke profile, in some three minutes.
const SEEDS: [(u64, u64); 2] = [(1, 15), (2, 15)];

#[test]
fn whatever_breaks_for_a_while_nobody_is_lost_and_nobody_is_paid_twice() {
    chaos::ignore_file_size_signal();
    let dir = tempfile::tempdir().unwrap();
    for (seed, iterations) in SEEDS {
        println!("cargo xtask chaos --seed {seed} --iterations {iterations}");
        let run = Run {
            seed,
            first: 0,
            iterations,
            lanes: 2,
            bounds: BOUNDS,
            stop_at_first: false,
            extra: Vec::new(),
            dir: dir.path().join("lanes"),
            artifacts: artifact::dir(),
        };
        let tally = run.go().unwrap();
        let failures: Vec<String> = tally.failures.iter().map(|(plan, outcome)| line(plan, outcome)).collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        assert_eq!(tally.iterations, iterations);
        assert!(tally.faults_in_all() > 2 * iterations, "{:?}", tally.faults);
    }
}

/// Nothing happens in it.
fn quiet() -> Plan {
    Plan {
        seed: 0,
        iteration: 0,
        vouchers: false,
        targets: 300,
        partitions: 2,
        load: Load::Sql,
        deployment: Deployment { lookup: true, cancel: true },
        weather: Weather::Fair,
        max_attempts: 5,
        window: 300,
        max_rps: 0,
        replicas: [1, 1, 1, 1],
        armed: None,
        events: Vec::<Event>::new(),
    }
}

fn change_a_row(stand: &Stand<'_>) {
    let changed = stand.sql().execute(
        "UPDATE campaign_promotion_point_results SET process_status = 'FAILED' \
         WHERE process_status = 'SUCCESS' ORDER BY point_target_id LIMIT 1",
    );
    assert_eq!(changed, 1);
}

/// `money` pays somebody a second time.
fn double_a_payment(stand: &Stand<'_>) {
    let (path, code) = (stand.money().ledger_file(), stand.campaign().expect("a promotion").code.clone());
    let ledger = fs::read_to_string(&path).expect("the ledger");
    let paid = ledger.lines().find(|line| line.contains("\"paid\"") && line.contains(&code)).expect("a payment");
    fs::write(&path, format!("{ledger}{paid}\n")).expect("write the ledger");
}

fn lose_a_target(stand: &Stand<'_>) {
    let Campaign { id, .. } = stand.campaign().expect("a promotion");
    let summary =
        format!("UPDATE campaign_promotion_summary SET success_count = success_count - 1 WHERE promotion_id = {id}");
    assert_eq!(stand.sql().execute(&summary), 1);
}

#[test]
fn a_planted_violation_makes_an_iteration_fail_and_leaves_what_repeats_it() {
    let dir = tempfile::tempdir().unwrap();
    let lane = Lane::start(&dir.path().join("lane"), &dir.path().join("artifacts"), &[]).unwrap();
    let plan = quiet();
    let held = iteration::run(&lane, &plan, None).unwrap();
    assert!(held.breaches.is_empty() && held.artifact.is_none(), "{:?}", held.breaches);
    for (tamper, says) in [
        (change_a_row as fn(&Stand<'_>), "is FAILED with 1 payments"),
        (double_a_payment, "was paid 2 times"),
        (lose_a_target, "the summary says"),
    ] {
        let broken = iteration::run(&lane, &plan, Some(&tamper)).unwrap();
        assert!(broken.breaches.iter().any(|breach| breach.contains(says)), "{says}: {:?}", broken.breaches);
        assert!(broken.breaches.iter().any(|breach| breach.starts_with("audit: ")), "{says}: {:?}", broken.breaches);
        let left = broken.artifact.expect("an artifact");
        assert_eq!(artifact::plan(&left).unwrap(), plan);
        for file in ["verdict.json", "redis.txt", "mysql.sql", "ledger.ndjson", "journal.ndjson", "payer-1.log"] {
            assert!(fs::metadata(left.join(file)).is_ok_and(|file| file.len() > 0), "{file} is not in the artifact");
        }
    }
}
