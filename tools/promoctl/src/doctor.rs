//! `doctor`: looks for what endangers data or keeps payouts from being made. Writes nothing.

mod finding;
mod mysql;
mod partitions;
mod promotions;
mod redis;
mod replicas;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde::Serialize;

use crate::ended::Ended;
use crate::output;
use crate::session::Session;
use finding::{Finding, Findings, Severity};
use replicas::ReplicaLine;

/// Clocks that differ by less do no harm: times are stored in whole seconds.
const SKEW_SEEN: TimeDelta = TimeDelta::seconds(2);
/// Clocks that differ by more make backoffs, reservations and the retention of keys wrong by as much.
const SKEW_HARMS: TimeDelta = TimeDelta::seconds(30);

/// `doctor`
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Of all promotions look at this one only
    #[arg(long)]
    promotion: Option<i64>,
}

#[derive(Serialize)]
struct Report {
    findings: Vec<Finding>,
    replicas: Vec<ReplicaLine>,
}

/// Looks at the servers, the replicas and the promotions. Ends with 1 when a finding is an error.
pub(crate) async fn run(session: &Session, args: &DoctorArgs) -> Result<Ended> {
    let mut found = Findings::default();
    let mysql = mysql::examine(session, &mut found).await;
    let redis = redis::examine(session, &mut found).await?;
    let mut report = Report { findings: Vec::new(), replicas: Vec::new() };
    if redis {
        report.replicas = replicas::examine(session, &mut found).await?;
    }
    if mysql {
        if let Some(id) = args.promotion {
            session.overview(id).await?;
        }
        session.store.refresh_types().await?;
        promotions::examine(session, args.promotion, &mut found).await?;
        promotions::untold(session, &mut found).await?;
    }
    if mysql && redis {
        partitions::examine(session, args.promotion, &report.replicas, &mut found).await?;
        promotions::leftovers(session, args.promotion, &mut found).await?;
    }
    report.findings = found.worst_first();
    session.print(&report, || print(&report))?;
    let failed = report.findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if failed { Ended::Failed } else { Ended::Done })
}

/// Compares a server's clock, read between two looks at ours, with ours.
fn compare_clocks(found: &mut Findings, server: &str, before: DateTime<Utc>, at: DateTime<Utc>, after: DateTime<Utc>) {
    // A server that was asked slowly is not a clock that is wrong.
    let skew = if at < before { before - at } else { (at - after).max(TimeDelta::zero()) };
    if skew < SKEW_SEEN {
        return;
    }
    let severity = if skew >= SKEW_HARMS { Severity::Error } else { Severity::Warning };
    let (milliseconds, late) = (skew.num_milliseconds(), if at < before { "behind" } else { "ahead of" });
    found.add(Finding {
        severity,
        check: "clock skew",
        place: server.to_owned(),
        found: format!("its clock is {milliseconds} ms {late} this host's"),
        means: "reservations, backoffs and the time until money forgets a key are wrong by as much".to_owned(),
        advice: "synchronize the clocks of all hosts (NTP)".to_owned(),
    });
}

fn print(report: &Report) {
    if !report.replicas.is_empty() {
        let mut table = output::table(["stage", "name", "process", "version", "configuration", "started"], &[2]);
        for replica in &report.replicas {
            table.add_row([
                replica.stage.clone(),
                replica.name.clone(),
                replica.process.to_string(),
                replica.version.clone(),
                replica.config_hash.clone(),
                output::time(replica.started_at),
            ]);
        }
        println!("{table}");
    }
    for finding in &report.findings {
        println!("\n{}: {} ({})", finding.severity.word(), finding.found, finding.place);
        println!("  means  {}", finding.means);
        println!("  do     {}", finding.advice);
    }
    match report.findings.len() {
        0 => println!("nothing found"),
        findings => println!("\n{findings} findings"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_wrong_by_what_lies_outside_of_the_time_in_which_it_was_asked() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let severity = |clock| {
            let mut found = Findings::default();
            compare_clocks(&mut found, "Redis", at(1_000), at(clock), at(1_010));
            found.worst_first().first().map(|finding| finding.severity)
        };
        for inside in [1_000, 1_005, 1_010, 999, 1_011] {
            assert_eq!(severity(inside), None, "{inside}");
        }
        assert_eq!((severity(997), severity(1_013)), (Some(Severity::Warning), Some(Severity::Warning)));
        assert_eq!((severity(970), severity(1_040)), (Some(Severity::Error), Some(Severity::Error)));
    }
}
