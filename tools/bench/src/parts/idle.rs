//! What all stages cost that have nothing to do.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::account::Meter;
use crate::counters;
use crate::report::{Idle, Report};
use crate::run::say;
use crate::stages::{Stages, Which};
use crate::stand::Stand;

/// How long they are watched; CPU time is counted in steps of 10 ms, a thousandth of this.
const WATCHED: Duration = Duration::from_secs(10);
/// What a start brings with it is over by then.
const SETTLE: Duration = Duration::from_secs(3);

/// One of each stage, no promotion.
pub async fn measure(stand: &Stand, report: &mut Report) -> Result<()> {
    say("all stages with nothing to do");
    let world = stand.world("idle", &[])?;
    let mut mysql = world.connect().await?;
    let mut redis = world.redis_connection()?;
    let stages = Stages::start(&world, Which::all(1), &[])?;
    tokio::time::sleep(SETTLE).await;
    let before = counters::read(&mut mysql, Some(&mut redis)).await?;
    let (meter, begun) = (Meter::start(stages.pids())?, Instant::now());
    tokio::time::sleep(WATCHED).await;
    let (used, seconds) = (meter.read()?, begun.elapsed().as_secs_f64());
    let counted = counters::read(&mut mysql, Some(&mut redis)).await?.since(&before);
    stages.stop()?;
    for used in &used {
        println!("{:<11} {:.2} % of a core", used.name, used.cpu_s / seconds * 100.0);
    }
    let cpu_percent = used.iter().map(|used| used.cpu_s).sum::<f64>() / seconds * 100.0;
    // One INFO and one SHOW are our own.
    let redis_per_s = counted.redis("total_commands_processed").saturating_sub(1) as f64 / seconds;
    let mysql_per_s = counted.mysql("Questions").saturating_sub(1) as f64 / seconds;
    println!("together {cpu_percent:.2} %, {redis_per_s:.1} Redis commands/s, {mysql_per_s:.1} MySQL statements/s");
    report.idle = Some(Idle { seconds, cpu_percent, redis_per_s, mysql_per_s });
    world.end()
}
