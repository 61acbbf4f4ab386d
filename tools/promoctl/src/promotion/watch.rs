//! `promotion watch`: how it goes, until it ends.
//!
//! Looks only at what is cheap: the promotion's row, the public hash and the partitions' figures. Money is added up from
//! MySQL rarely, so that watching costs the payouts nothing, and is shown with its age.

mod bars;
mod sample;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use pipeline::domain::{Promotion, PromotionStatus};
use tokio::time::{Instant, MissedTickBehavior};

use crate::cli::Format;
use crate::ended::Ended;
use crate::session::Session;
use bars::Bars;
use sample::{Sample, Sampler};

/// A server that is away for longer ends the watch.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Args, Debug)]
pub(crate) struct WatchArgs {
    /// Promotion
    pub(crate) id: i64,
    /// How often to look, from 100ms on
    #[arg(long, default_value = "1s", value_parser = interval, value_name = "TIME")]
    pub(crate) interval: Duration,
    /// Go on while it is STOPPED or FAILED, which may be resumed, until it is COMPLETED
    #[arg(long)]
    pub(crate) until_done: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let range = Duration::from_millis(100)..=Duration::from_secs(3600);
    if range.contains(&interval) { Ok(interval) } else { Err("from 100ms to 1h".to_owned()) }
}

/// Where samples go.
enum Show {
    /// A terminal.
    Bars(Bars),
    /// Anything else: a line each.
    Lines,
    /// For programs: an object a line.
    Objects,
}

impl Show {
    fn of(session: &Session, total: u64) -> Self {
        match session.output {
            Format::Json => Self::Objects,
            Format::Table if std::io::stdout().is_terminal() => Self::Bars(Bars::new(total)),
            Format::Table => Self::Lines,
        }
    }

    fn sample(&self, sample: &Sample) -> Result<()> {
        let line = match self {
            Self::Bars(bars) => {
                bars.show(sample);
                return Ok(());
            }
            Self::Lines => sample.line(),
            Self::Objects => serde_json::to_string(sample)?,
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")?;
        Ok(out.flush()?)
    }

    fn trouble(&self, error: &anyhow::Error) {
        match self {
            Self::Bars(bars) => bars.note(&format!("{error:#}; looking again")),
            Self::Lines | Self::Objects => eprintln!("promoctl: {error:#}; looking again"),
        }
    }
}

/// Watches until the promotion ends: done when it is COMPLETED, failed when it is FAILED. Partly when it was STOPPED, or
/// watching ended before it did.
pub(crate) async fn run(session: &Session, args: &WatchArgs) -> Result<Ended> {
    let promotion = session.promotion(args.id).await?;
    let mut sampler = Sampler::new(session.store.clone(), session.streams()?.clone(), promotion.clone());
    let show = Show::of(session, promotion.total_count);
    let ended = tokio::select! {
        ended = follow(&mut sampler, &show, args, &promotion) => ended,
        _ = tokio::signal::ctrl_c() => Ok(Ended::Partly),
    };
    if let Show::Bars(bars) = &show {
        bars.leave();
    }
    ended
}

async fn follow(sampler: &mut Sampler, show: &Show, args: &WatchArgs, promotion: &Promotion) -> Result<Ended> {
    let mut tick = tokio::time::interval(args.interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answered = Instant::now();
    loop {
        tick.tick().await;
        let sample = match sampler.sample().await {
            Ok(sample) => sample,
            Err(error) if answered.elapsed() < PATIENCE => {
                show.trouble(&error.context(format!("cannot look at promotion {}", promotion.id)));
                continue;
            }
            Err(error) => return Err(error),
        };
        answered = Instant::now();
        show.sample(&sample)?;
        if let Some(ended) = end(sample.status(), args.until_done) {
            return Ok(ended);
        }
    }
}

fn end(status: PromotionStatus, until_done: bool) -> Option<Ended> {
    match status {
        PromotionStatus::Completed => Some(Ended::Done),
        PromotionStatus::Failed if !until_done => Some(Ended::Failed),
        PromotionStatus::Stopped if !until_done => Some(Ended::Partly),
        PromotionStatus::Loading
        | PromotionStatus::Ready
        | PromotionStatus::InProgress
        | PromotionStatus::Stopped
        | PromotionStatus::Failed => None,
    }
}
