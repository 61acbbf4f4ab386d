//! The pipeline against the bare loop, in turns.

use anyhow::Result;

use crate::leg;
use crate::report::{Pair, Report};
use crate::run::{Options, say};
use crate::stand::Stand;

/// Pair by pair: the machine's mood meets both.
pub async fn measure(options: &Options, stand: &Stand, report: &mut Report) -> Result<()> {
    let targets = options.targets();
    for number in 1..=options.pairs() {
        say(&format!("pair {number} of {}: {targets} targets each", options.pairs()));
        let floor = leg::floor(stand, &format!("floor_{number}"), targets).await?;
        println!("floor     {:>8.0} targets/s", floor.rate());
        let pipeline = leg::pipeline(stand, &format!("pipeline_{number}"), targets, options).await?;
        println!("pipeline  {:>8.0} targets/s  {:.3} of it", pipeline.rate(), pipeline.rate() / floor.rate());
        report.pairs.push(Pair { floor, pipeline });
    }
    Ok(())
}
