//! How well 1, 2 and 4 payers use the limit that they share, as the sandbox saw the requests arrive.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::leg::{check, until_completed};
use crate::promotion::prepare;
use crate::report::{Limited, Report};
use crate::run::say;
use crate::stages::{Stages, Which};
use crate::stand::Stand;

/// Requests per second.
const LIMIT: u64 = 1_000;
/// As many as the limit lets through in this time.
const SECONDS: u64 = 12;
/// How long money takes for an answer.
const LATENCY: [&str; 2] = ["--latency-ms", "50"];

/// Whole pipelines under the limit.
pub async fn measure(stand: &Stand, report: &mut Report) -> Result<()> {
    for payers in [1, 2, 4] {
        say(&format!("a limit of {LIMIT} requests/s shared by {payers} payers"));
        let limited = one(stand, payers).await?;
        let (arrived, most) = (limited.arrived, limited.most_in_a_second);
        println!("{arrived:.1} requests/s arrived, at most {most} in any second");
        report.limiter.push(limited);
    }
    Ok(())
}

async fn one(stand: &Stand, payers: usize) -> Result<Limited> {
    let world = stand.world(&format!("limiter_{payers}"), &LATENCY)?;
    let mut mysql = world.connect().await?;
    let prepared = prepare(&mut mysql, "BENCH", LIMIT * SECONDS).await?;
    let stages = Stages::start(&world, Which::all(payers), &[("PAYOUT_MONEY_MAX_RPS", &LIMIT.to_string())])?;
    prepared.seal(&mut mysql).await?;
    until_completed(&prepared, &mut mysql, &stages).await?;
    let rate = world.money.rate()?;
    let of = |name: &str| rate[name].as_u64().with_context(|| format!("no {name} in {rate}"));
    let span = Duration::from_micros(of("last_arrival_us")? - of("first_arrival_us")?);
    let arrived = (of("total")? - 1) as f64 / span.as_secs_f64();
    let limited = Limited { payers, limit: LIMIT, arrived, most_in_a_second: of("max_in_one_second")? };
    stages.stop()?;
    check(&world, &mut mysql, &prepared).await?;
    world.end()?;
    Ok(limited)
}
