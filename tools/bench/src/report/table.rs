//! The report as Markdown, for the terminal and for the README.

use std::fmt::Write as _;

use super::goals::goals;
use super::{Alone, Report, rate, spread};
use crate::leg::Leg;
use crate::parts::scaling::on_cores;

pub(crate) const MIB: f64 = 1024.0 * 1024.0;
/// In the order of the path of a payout.
const PROCESSES: [&str; 8] = ["floor", "dispatcher", "payer", "retrier", "summarizer", "money", "MariaDB", "Redis"];
/// Those that are ours.
pub(super) const STAGES: [&str; 4] = ["dispatcher", "payer", "retrier", "summarizer"];

/// The whole report.
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    let machine = &report.machine;
    let _ = writeln!(
        text,
        "`{}`, commit `{}`, {}, on {} cores ({}), {:.0} GiB, load before {:.1}; {}.\nServers: {}.\n",
        report.command,
        report.commit,
        report.begun_at,
        machine.cores,
        machine.processor,
        machine.memory as f64 / MIB / 1024.0,
        machine.load,
        report.mysql.split(',').next().unwrap_or_default(),
        report.settings,
    );
    against_goals(report, &mut text);
    pairs(report, &mut text);
    alone(report, &mut text);
    others(report, &mut text);
    scaling(report, &mut text);
    sizes(report, &mut text);
    text
}

/// `pipeline/floor median R (min A, max B)`.
pub fn last_line(report: &Report) -> Option<String> {
    let (min, median, max) = spread(report.pairs.iter().map(super::Pair::ratio))?;
    Some(format!("pipeline/floor median {median:.3} (min {min:.3}, max {max:.3})"))
}

fn against_goals(report: &Report, text: &mut String) {
    let goals = goals(report);
    if goals.is_empty() {
        return;
    }
    head(text, &["goal", "measured", "reached"]);
    for (goal, measured, reached) in goals {
        row(text, &[goal, measured, if reached { "yes" } else { "**no**" }.to_owned()]);
    }
    text.push('\n');
}

fn pairs(report: &Report, text: &mut String) {
    let Some(first) = report.pairs.first() else { return };
    let floors: Vec<&Leg> = report.pairs.iter().map(|pair| &pair.floor).collect();
    let pipelines: Vec<&Leg> = report.pairs.iter().map(|pair| &pair.pipeline).collect();
    let both = |text: &mut String, name: &str, digits: usize, of: &dyn Fn(&Leg) -> f64| {
        let median = |legs: &[&Leg]| spread(legs.iter().map(|leg| of(leg))).map_or(0.0, |(_, median, _)| median);
        let cell = |value: f64| if value == 0.0 { "–".to_owned() } else { number(value, digits) };
        row(text, &[name.to_owned(), cell(median(&floors)), cell(median(&pipelines))]);
    };
    let title = format!("median of {} pairs of {} targets", report.pairs.len(), number(first.floor.targets as f64, 0));
    head(text, &[&title, "bare loop", "pipeline"]);
    both(text, "targets per second", 0, &Leg::rate);
    for name in PROCESSES {
        both(text, &format!("CPU µs per target: {name}"), 2, &|leg| leg.cpu_us(name));
    }
    both(text, "CPU µs per target: all our stages", 2, &|leg| STAGES.iter().map(|name| leg.cpu_us(name)).sum());
    both(text, "CPU µs per target: everything", 2, &|leg| PROCESSES.iter().map(|name| leg.cpu_us(name)).sum());
    for name in PROCESSES {
        both(text, &format!("peak memory MiB: {name}"), 1, &|leg| leg.peak_memory(name) as f64 / MIB);
    }
    both(text, "Redis used_memory peak MiB", 1, &|leg| leg.counted.redis_peak as f64 / MIB);
    let per_target = |leg: &Leg, value: u64| value as f64 / leg.targets as f64;
    both(text, "MySQL bytes per target, received", 0, &|leg| per_target(leg, leg.counted.mysql("Bytes_received")));
    both(text, "MySQL bytes per target, sent", 0, &|leg| per_target(leg, leg.counted.mysql("Bytes_sent")));
    both(text, "MySQL redo bytes per target", 0, &|leg| per_target(leg, leg.counted.mysql("Innodb_os_log_written")));
    both(text, "Redis bytes per target, received", 0, &|leg| {
        per_target(leg, leg.counted.redis("total_net_input_bytes"))
    });
    both(text, "Redis bytes per target, sent", 0, &|leg| per_target(leg, leg.counted.redis("total_net_output_bytes")));
    both(text, "MySQL statements per 1,000 targets", 1, &|leg| leg.mysql_per_1000("Questions"));
    both(text, "Redis scripts and reads per 1,000 targets", 1, &|leg| {
        let calls = ["evalsha", "eval", "xreadgroup"].map(|command| leg.counted.calls(command));
        per_target(leg, calls.into_iter().sum()) * 1_000.0
    });
    text.push('\n');
    head(text, &["pair", "bare loop /s", "pipeline /s", "ratio"]);
    for (number_of, pair) in report.pairs.iter().enumerate() {
        let rates = [pair.floor.rate(), pair.pipeline.rate()].map(|rate| number(rate, 0));
        row(text, &[(number_of + 1).to_string(), rates[0].clone(), rates[1].clone(), format!("{:.3}", pair.ratio())]);
    }
    if let Some(line) = last_line(report) {
        let _ = writeln!(text, "\n**{line}**\n");
    }
}

fn alone(report: &Report, text: &mut String) {
    if report.alone.is_empty() {
        return;
    }
    head(text, &["alone", "stage /s", "ceiling", "ceiling /s", "ratio (min, max)", "stage CPU µs", "ceiling CPU µs"]);
    let mut names: Vec<&str> = report.alone.iter().map(|one| one.stage.as_str()).collect();
    names.dedup();
    for name in names {
        let runs: Vec<&Alone> = report.alone.iter().filter(|one| one.stage == name).collect();
        let median = |of: &dyn Fn(&Alone) -> f64| spread(runs.iter().map(|one| of(one))).unwrap_or_default();
        let cpu = |told: &crate::floor::Told| {
            let cpu_s = if told.redis_cpu_s > 0.0 { told.redis_cpu_s } else { told.cpu_s };
            cpu_s * 1e6 / told.targets as f64
        };
        let by_cpu = runs.iter().any(|one| one.stage_run.redis_cpu_s > 0.0);
        let note = if by_cpu { " (CPU of Redis)" } else { "" };
        let (min, middle, max) = median(&Alone::ratio);
        row(
            text,
            &[
                format!("{name}{note}"),
                number(median(&|one| rate(&one.stage_run)).1, 0),
                runs[0].ceiling.clone(),
                number(median(&|one| rate(&one.ceiling_run)).1, 0),
                format!("{middle:.2} ({min:.2}, {max:.2})"),
                number(median(&|one| cpu(&one.stage_run)).1, 2),
                number(median(&|one| cpu(&one.ceiling_run)).1, 2),
            ],
        );
    }
    text.push('\n');
}

fn others(report: &Report, text: &mut String) {
    let before = text.len();
    let mut line = |name: &str, value: String| {
        if text.len() == before {
            head(text, &["else", "measured"]);
        }
        row(text, &[name.to_owned(), value]);
    };
    if let Some((min, median, max)) = spread(report.due_to_completed_ms.iter().copied()) {
        let runs = report.due_to_completed_ms.len();
        line(
            "1,000 targets from due to COMPLETED",
            format!("median {median:.0} ms (min {min:.0}, max {max:.0}, {runs} runs)"),
        );
    }
    if let Some(half) = &report.half_load {
        line(
            &format!("published to settled at {:.0} targets/s, money takes {:.0} ms", half.rate, half.money_ms),
            format!("p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms", half.p50_ms, half.p99_ms, half.max_ms),
        );
    }
    for limited in &report.limiter {
        let limit = limited.limit as f64;
        line(
            &format!("limit of {} requests/s, {} payers", limited.limit, limited.payers),
            format!(
                "{:.1} % used, at most {} in any second ({:+.1} %)",
                limited.arrived / limit * 100.0,
                limited.most_in_a_second,
                (limited.most_in_a_second as f64 / limit - 1.0) * 100.0
            ),
        );
    }
    if let Some(idle) = &report.idle {
        line(
            "all stages with nothing to do",
            format!(
                "{:.2} % of a core, {:.1} Redis commands/s, {:.1} MySQL statements/s",
                idle.cpu_percent, idle.redis_per_s, idle.mysql_per_s
            ),
        );
    }
    if text.len() > before {
        text.push('\n');
    }
}

fn scaling(report: &Report, text: &mut String) {
    let Some(anywhere) = &report.anywhere else { return };
    head(text, &["processes bound to cores, or slowed down", "targets/s", "predicted /s", "off by"]);
    row(
        text,
        &["both cores, wherever the kernel puts them".to_owned(), number(anywhere.rate(), 0), "–".into(), "–".into()],
    );
    for placed in &report.placed {
        let off = (placed.leg.rate() / placed.predicted - 1.0) * 100.0;
        row(
            text,
            &[
                placed.placement.clone(),
                number(placed.leg.rate(), 0),
                number(placed.predicted, 0),
                format!("{off:+.0} %"),
            ],
        );
    }
    text.push('\n');
    head(text, &["predicted for", "targets/s, money on them too", "money elsewhere", "first to saturate"]);
    for cores in [4, 16, 64] {
        let (with, _) = on_cores(anywhere, f64::from(cores), true);
        let (without, first) = on_cores(anywhere, f64::from(cores), false);
        row(text, &[format!("{cores} cores"), number(with, 0), number(without, 0), first.to_owned()]);
    }
    text.push('\n');
}

fn sizes(report: &Report, text: &mut String) {
    if report.sizes.is_empty() {
        return;
    }
    head(
        text,
        &["targets in one run", "targets/s", "first half /s", "second half /s", "Redis peak MiB", "largest stage MiB"],
    );
    for leg in &report.sizes {
        let halves = leg.halves().map(|(first, second)| [number(first, 0), number(second, 0)]);
        let [first, second] = halves.unwrap_or_else(|| ["–".to_owned(), "–".to_owned()]);
        let largest = STAGES.iter().map(|name| leg.peak_memory(name)).max().unwrap_or(0);
        row(
            text,
            &[
                number(leg.targets as f64, 0),
                number(leg.rate(), 0),
                first,
                second,
                number(leg.counted.redis_peak as f64 / MIB, 1),
                number(largest as f64 / MIB, 1),
            ],
        );
    }
}

fn head(text: &mut String, cells: &[&str]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
    let rules: Vec<&str> = (0..cells.len()).map(|at| if at == 0 { "---" } else { "---:" }).collect();
    let _ = writeln!(text, "| {} |", rules.join(" | "));
}

fn row(text: &mut String, cells: &[String]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

/// With its digits grouped by three.
fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Machine, Pair};

    fn leg(name: &str, seconds: f64) -> Leg {
        let (used, counted, samples) = (Vec::new(), crate::counters::Counted::default(), Vec::new());
        Leg { name: name.to_owned(), targets: 100_000, seconds, used, counted, samples, ran_for: None }
    }

    #[test]
    fn the_last_line_is_the_median_ratio_with_its_spread() {
        let machine = Machine { cores: 2, processor: "a processor".to_owned(), memory: 1 << 34, load: 0.0 };
        let mut report = Report::new(machine, "MariaDB");
        assert_eq!(last_line(&report), None);
        for seconds in [4.0, 2.0, 2.5] {
            report.pairs.push(Pair { floor: leg("floor", 1.0), pipeline: leg("pipeline", seconds) });
        }
        assert_eq!(last_line(&report).unwrap(), "pipeline/floor median 0.400 (min 0.250, max 0.500)");
        let table = markdown(&report);
        assert!(table.contains("| targets per second | 100,000 | 40,000 |"), "{table}");
    }

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!(number(1_234_567.891, 1), "1,234,567.9");
        assert_eq!(number(12.3, 2), "12.30");
    }
}
