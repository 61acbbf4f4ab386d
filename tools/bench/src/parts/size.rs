//! Runs of different sizes: the rate stays, and so does the memory.

use anyhow::Result;

use crate::leg;
use crate::report::Report;
use crate::report::table::MIB;
use crate::run::{Options, say};
use crate::stand::Stand;

/// One run of each size.
pub async fn measure(options: &Options, stand: &Stand, report: &mut Report, sizes: &[u64]) -> Result<()> {
    for targets in sizes {
        say(&format!("{targets} targets as one run"));
        let leg = leg::pipeline(stand, &format!("size_{targets}"), *targets, options).await?;
        println!("{:>8.0} targets/s, Redis at most {:.1} MiB", leg.rate(), leg.counted.redis_peak as f64 / MIB);
        report.sizes.push(leg);
    }
    Ok(())
}
