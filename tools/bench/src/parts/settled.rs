//! Settling against pipelined XACK and XDEL, by the CPU time of Redis.

use std::time::Duration;

use anyhow::Result;
use servers::{Launch, Redis, RedisOptions};

use crate::floor::Told;
use crate::leg::run_program;
use crate::report::{Alone, Report};
use crate::run::{Options, say};
use crate::stand::Stand;

/// In turns, each on a Redis of its own.
pub fn measure(options: &Options, stand: &Stand, report: &mut Report) -> Result<()> {
    say("settling against XACK and XDEL");
    for _ in 0..options.pairs() {
        let (stage_run, ceiling_run) = (one(options, stand, "script")?, one(options, stand, "plain")?);
        let ratio = stage_run.redis_cpu_s / ceiling_run.redis_cpu_s;
        println!("settling costs Redis {ratio:.2} times what pipelined XACK and XDEL cost");
        let (stage, ceiling) = ("settle".to_owned(), "pipelined XACK and XDEL".to_owned());
        report.alone.push(Alone { stage, ceiling, stage_run, ceiling_run });
    }
    Ok(())
}

fn one(options: &Options, stand: &Stand, way: &str) -> Result<Told> {
    let redis = Redis::start(RedisOptions::default())?;
    let launch = Launch::stage("ceiling", "ceiling", stand.logs())?
        .args(["settle", "--redis-url", &redis.url(), "--way", way])
        .args(["--targets", &options.targets().to_string()]);
    let told = run_program(&launch)?;
    // Its file is written in the background; the next one should not meet that.
    std::thread::sleep(Duration::from_millis(200));
    Ok(told)
}
