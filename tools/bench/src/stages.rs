//! The stages of a run, each a process of its own, with default settings but for the limit towards money.

use std::time::Duration;

use anyhow::{Result, bail};
use servers::{Launch, Process, poll};

use crate::http;
use crate::stand::World;

const READY_BOUND: Duration = Duration::from_secs(30);
const DRAIN_BOUND: Duration = Duration::from_secs(30);

/// What runs in a pipeline: one of each, and as many payers as asked for.
#[derive(Clone, Copy, Debug)]
pub struct Which {
    /// Whether a dispatcher runs.
    pub dispatcher: bool,
    /// How many payers.
    pub payers: usize,
    /// Whether a retrier runs.
    pub retrier: bool,
    /// Whether a summarizer runs.
    pub summarizer: bool,
}

impl Which {
    /// A whole pipeline.
    pub fn all(payers: usize) -> Self {
        Self { dispatcher: true, payers, retrier: true, summarizer: true }
    }

    /// Nothing.
    pub const NONE: Self = Self { dispatcher: false, payers: 0, retrier: false, summarizer: false };

    fn names(self) -> Vec<(&'static str, String)> {
        let mut names = Vec::new();
        names.extend(self.dispatcher.then(|| ("dispatcher", "dispatcher-1".to_owned())));
        names.extend((1..=self.payers).map(|number| ("payer", format!("payer-{number}"))));
        names.extend(self.retrier.then(|| ("retrier", "retrier-1".to_owned())));
        names.extend(self.summarizer.then(|| ("summarizer", "summarizer-1".to_owned())));
        names
    }
}

/// Stages that run. Dropping them kills them.
pub struct Stages(Vec<(&'static str, Process)>);

impl Stages {
    /// Starts them with these settings over the usual ones, and waits until all are ready.
    pub fn start(world: &World<'_>, which: Which, settings: &[(&str, &str)]) -> Result<Self> {
        let mut stages = Vec::new();
        for (program, name) in which.names() {
            let launch = program_of(world, program, &name)?.env("PAYOUT_CONSUMER_NAME", &name);
            stages.push((program, launch.envs(settings.iter().copied()).start()?));
        }
        for (_, stage) in &stages {
            wait_until_ready(stage)?;
        }
        Ok(Self(stages))
    }

    /// Name and pid of each.
    pub fn pids(&self) -> Vec<(String, u32)> {
        self.0.iter().map(|(program, stage)| ((*program).to_owned(), stage.pid())).collect()
    }

    /// An error when one has ended.
    pub fn check(&self) -> Result<()> {
        match self.0.iter().find(|(_, stage)| !stage.is_running()) {
            Some((_, stage)) => bail!(stage.trouble("ended by itself")),
            None => Ok(()),
        }
    }

    /// SIGTERM, and waits for their ends.
    pub fn stop(self) -> Result<()> {
        for (_, stage) in &self.0 {
            stage.sigterm()?;
        }
        for (_, stage) in &self.0 {
            let status = stage.wait(DRAIN_BOUND);
            if !status.is_some_and(|status| status.success()) {
                bail!(stage.trouble("did not end as it should"));
            }
        }
        Ok(())
    }
}

/// One of our programs, with where everything is.
pub fn program_of(world: &World<'_>, program: &str, name: &str) -> Result<Launch> {
    Ok(Launch::stage(program, name, world.dir())?
        .env("DATABASE_URL", &world.database_url)
        .env("REDIS_URL", world.redis.url())
        .env("MONEY_URL", world.money.url())
        .env("MONEY_TOKEN", world.money.token())
        .env("PAYOUT_MONEY_MAX_RPS", "0")
        .env("PAYOUT_METRICS_ADDR", "127.0.0.1:0"))
}

fn wait_until_ready(stage: &Process) -> Result<()> {
    let address = stage.metrics_addr(READY_BOUND)?;
    let ready = poll(READY_BOUND, || {
        let ready = http::text(address, "GET", "/readyz", "").is_ok();
        (ready || !stage.is_running()).then_some(ready)
    });
    if ready != Some(true) {
        bail!(stage.trouble("did not become ready"));
    }
    Ok(())
}
