//! What is asked of the pipeline, and what was reached.

use super::table::{MIB, STAGES};
use super::{Alone, Report, spread};
use crate::leg::Leg;

/// Share of the bare loop, with every guarantee on.
const RATIO: f64 = 0.55;
/// Targets per second of the dispatcher alone.
const DISPATCHER: f64 = 150_000.0;
/// Share of the bare multi-row insert.
const LOADER: f64 = 0.8;
/// CPU of Redis for a settled entry, as a multiple of acknowledging and deleting it.
const SETTLE: f64 = 1.5;
/// CPU µs per target.
const CPU_US: [(&str, &[&str], f64); 3] =
    [("all our stages", &STAGES, 16.0), ("MariaDB", &["MariaDB"], 22.0), ("Redis", &["Redis"], 8.0)];
/// Per cent of a core.
const SUMMARIZER: f64 = 1.0;
const IDLE: f64 = 1.0;
/// Milliseconds.
const DUE_TO_COMPLETED_MS: f64 = 3_000.0;
const BEYOND_MONEY_MS: f64 = 100.0;
/// Of the limit: used at least, and at most in any second.
const LIMIT_USED: f64 = 0.95;
const LIMIT_MOST: f64 = 1.02;
/// What runs of different sizes may differ by.
const SAME: f64 = 0.1;
/// MiB, of Redis and of each stage.
const MEMORY: f64 = 64.0;

/// A goal, what was measured, and whether that reaches it.
pub type Goal = (String, String, bool);

/// Those whose part was measured.
pub fn goals(report: &Report) -> Vec<Goal> {
    let mut goals = Vec::new();
    if let Some((_, ratio, _)) = spread(report.pairs.iter().map(super::Pair::ratio)) {
        goals.push(at_least("share of the bare loop, median", RATIO, ratio, 3, ""));
    }
    let pipelines = || report.pairs.iter().map(|pair| &pair.pipeline);
    for (name, processes, most) in CPU_US {
        let cpu = |leg: &Leg| processes.iter().map(|name| leg.cpu_us(name)).sum::<f64>();
        if let Some((_, cpu, _)) = spread(pipelines().map(cpu)) {
            goals.push(at_most(&format!("CPU of {name}"), most, cpu, 1, " µs a target"));
        }
    }
    let share = |leg: &Leg| leg.cpu_us("summarizer") * leg.rate() / 1e4;
    if let Some((_, share, _)) = spread(pipelines().map(share)) {
        goals.push(at_most("summarizer", SUMMARIZER, share, 2, " % of a core"));
    }
    alone(report, &mut goals);
    if let Some((_, _, longest)) = spread(report.due_to_completed_ms.iter().copied()) {
        goals.push(at_most("1,000 targets from due to COMPLETED", DUE_TO_COMPLETED_MS, longest, 0, " ms"));
    }
    if let Some(half) = &report.half_load {
        let beyond = half.p99_ms - half.money_ms;
        goals.push(at_most(
            "published to settled at half load, p99 beyond money's time",
            BEYOND_MONEY_MS,
            beyond,
            0,
            " ms",
        ));
    }
    for limited in &report.limiter {
        let (limit, who) = (limited.limit as f64, format!("limit with {} payers", limited.payers));
        goals.push(at_least(&format!("{who}, used"), LIMIT_USED, limited.arrived / limit, 3, ""));
        let most = limited.most_in_a_second as f64 / limit;
        goals.push(at_most(&format!("{who}, most in a second"), LIMIT_MOST, most, 3, ""));
    }
    if let Some(idle) = &report.idle {
        goals.push(at_most("all stages with nothing to do", IDLE, idle.cpu_percent, 2, " % of a core"));
    }
    sizes(&report.sizes, &mut goals);
    goals
}

fn alone(report: &Report, goals: &mut Vec<Goal>) {
    let of = |stage: &'static str| report.alone.iter().filter(move |one| one.stage == stage);
    if let Some((_, rate, _)) = spread(of("dispatcher").map(|one| super::rate(&one.stage_run))) {
        goals.push(at_least("dispatcher alone", DISPATCHER, rate, 0, " targets/s"));
    }
    if let Some((_, ratio, _)) = spread(of("loader").map(Alone::ratio)) {
        goals.push(at_least("loader, share of the bare insert", LOADER, ratio, 2, ""));
    }
    let cpu = |one: &Alone| one.stage_run.redis_cpu_s / one.ceiling_run.redis_cpu_s;
    if let Some((_, times, _)) = spread(of("settle").map(cpu)) {
        goals.push(at_most("settle, CPU of Redis by that of XACK and XDEL", SETTLE, times, 2, ""));
    }
}

/// The first run of each size against that of the size before.
fn sizes(legs: &[Leg], goals: &mut Vec<Goal>) {
    let of = |targets: u64| legs.iter().find(|leg| leg.targets == targets);
    let (small, large, largest) = (of(100_000), of(1_000_000), of(10_000_000));
    if let (Some(small), Some(large)) = (small, large) {
        let share = large.rate() / small.rate();
        goals.push(at_least("rate of 1,000,000 by that of 100,000", 1.0 - SAME, share, 2, ""));
    }
    if let Some((first, second)) = large.and_then(Leg::halves) {
        goals.push(at_least("second half of 1,000,000 by the first", 1.0 - SAME, second / first, 2, ""));
    }
    let (Some(large), Some(largest)) = (large, largest) else { return };
    let redis = |leg: &Leg| leg.counted.redis_peak as f64 / MIB;
    let mut compare = |name: &str, of: &dyn Fn(&Leg) -> f64| {
        let (before, after) = (of(large), of(largest));
        goals.push(at_most(&format!("{name} at 10,000,000"), MEMORY, after, 1, " MiB"));
        goals.push(at_most(&format!("{name} at 10,000,000 by that at 1,000,000"), 1.0 + SAME, after / before, 2, ""));
    };
    compare("peak of Redis", &redis);
    for name in STAGES {
        compare(&format!("peak of {name}"), &|leg| leg.peak_memory(name) as f64 / MIB);
    }
}

fn at_least(name: &str, least: f64, found: f64, digits: usize, unit: &str) -> Goal {
    (format!("{name}: at least {least}{unit}"), format!("{found:.digits$}{unit}"), found >= least)
}

fn at_most(name: &str, most: f64, found: f64, digits: usize, unit: &str) -> Goal {
    (format!("{name}: at most {most}{unit}"), format!("{found:.digits$}{unit}"), found <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Idle, Machine, Pair};

    fn leg(targets: u64, seconds: f64) -> Leg {
        let (used, counted, samples) = (Vec::new(), crate::counters::Counted::default(), Vec::new());
        Leg { name: String::new(), targets, seconds, used, counted, samples, ran_for: None }
    }

    #[test]
    fn what_is_missed_is_said_and_what_was_not_measured_is_not_a_goal_reached() {
        let machine = Machine { cores: 2, processor: String::new(), memory: 0, load: 0.0 };
        let mut report = Report::new(machine, "MariaDB");
        assert!(goals(&report).is_empty());
        report.pairs.push(Pair { floor: leg(1_000, 1.0), pipeline: leg(1_000, 2.0) });
        report.idle = Some(Idle { seconds: 1.0, cpu_percent: 0.4, redis_per_s: 1.0, mysql_per_s: 1.0 });
        report.sizes = vec![leg(100_000, 4.0), leg(1_000_000, 50.0)];
        let found = goals(&report);
        let reached =
            |name: &str| found.iter().find(|(goal, ..)| goal.starts_with(name)).map(|(_, _, reached)| *reached);
        assert_eq!(reached("share of the bare loop"), Some(false));
        assert_eq!(reached("all stages with nothing to do"), Some(true));
        assert_eq!(reached("rate of 1,000,000"), Some(false));
        assert_eq!(reached("loader"), None);
    }
}
