//! One look at a promotion.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Result;
use chrono::NaiveDateTime;
use pipeline::domain::{Amount, Counts, Partition, ProcessStatus, Promotion, PromotionStatus};
use pipeline::store::{Proof, Store};
use pipeline::streams::{PartitionState, Streams, StreamsError};
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ended::refuse;
use crate::output::{self, count, money};

/// Span over which the rate is measured.
const RATE_SPAN: Duration = Duration::from_secs(10);
/// Money is added up at most this often, and never for more than a sixtieth of the time.
const MONEY_EVERY: Duration = Duration::from_secs(15);
const MONEY_SHARE: u32 = 60;

/// How a promotion stands now. Amounts are strings; what could not be read is nothing.
#[derive(Serialize, Debug)]
pub(super) struct Sample {
    pub(super) promotion_id: i64,
    pub(super) campaign_code: String,
    pub(super) promotion_status: &'static str,
    #[serde(serialize_with = "output::iso")]
    pub(super) at: Option<NaiveDateTime>,
    pub(super) total: u64,
    pub(super) published: u64,
    /// After the first attempt or later.
    pub(super) paid: u64,
    /// Those of them that took more than one attempt.
    pub(super) paid_after_retry: u64,
    pub(super) failed: u64,
    /// Held by a payer or retrier.
    pub(super) in_flight: Option<u64>,
    /// Wait for another attempt.
    pub(super) retrying: Option<u64>,
    /// Wait for a person.
    pub(super) waiting_for_a_person: Option<u64>,
    /// Nobody knows whether they were paid, whoever holds them: as old as the money below, out of the same answer.
    pub(super) unknown: Option<u64>,
    /// Settled a second, over the last ten seconds.
    pub(super) rate: f64,
    pub(super) remaining_seconds: Option<u64>,
    pub(super) planned_amount: Amount,
    /// As it was so many seconds ago: adding it up is dear.
    pub(super) paid_amount: Option<Amount>,
    pub(super) paid_amount_age_seconds: Option<u64>,
    /// Why figures of the streams are missing.
    pub(super) redis_error: Option<String>,
    #[serde(skip)]
    status: PromotionStatus,
}

impl Sample {
    pub(super) fn status(&self) -> PromotionStatus {
        self.status
    }

    /// Everything in a line.
    pub(super) fn line(&self) -> String {
        let some = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), count);
        format!(
            "{} {} published {} paid {} ({} after a retry) failed {} in flight {} retrying {} waiting {} unknown {} of {}  {}",
            output::time(self.at),
            self.promotion_status,
            count(self.published),
            count(self.paid),
            count(self.paid_after_retry),
            count(self.failed),
            some(self.in_flight),
            some(self.retrying),
            some(self.waiting_for_a_person),
            some(self.unknown),
            count(self.total),
            self.pace(),
        )
    }

    /// Rate, money and time left.
    pub(super) fn pace(&self) -> String {
        let left = self.remaining_seconds.map_or_else(
            || "-".to_owned(),
            |seconds| humantime::format_duration(Duration::from_secs(seconds)).to_string(),
        );
        let age = self.paid_amount_age_seconds.filter(|age| *age > 0).map(|age| format!(" ({age} s ago)"));
        let paid = self.paid_amount.map_or_else(|| "-".to_owned(), money);
        let planned = money(self.planned_amount);
        let rate = output::group(&format!("{:.0}", self.rate));
        format!("{rate}/s  money {paid}{} of {planned}  left {left}", age.unwrap_or_default())
    }
}

/// Money by MySQL.
struct Added {
    at: Instant,
    took: Duration,
    proof: Proof,
}

/// Looks again and again.
pub(super) struct Sampler {
    store: Store,
    streams: Streams,
    promotion: Promotion,
    partitions: Vec<Partition>,
    settled: VecDeque<(Instant, u64)>,
    added: Option<Added>,
    adding: Option<JoinHandle<Result<Added>>>,
}

impl Sampler {
    pub(super) fn new(store: Store, streams: Streams, promotion: Promotion) -> Self {
        let partitions = promotion.partitions().collect();
        Self { store, streams, promotion, partitions, settled: VecDeque::new(), added: None, adding: None }
    }

    /// # Errors
    /// When MySQL does not answer. Redis may be away: the summary row is at most a flush behind.
    pub(super) async fn sample(&mut self) -> Result<Sample> {
        let Some(overview) = self.store.overview(self.promotion.id).await? else {
            return refuse(format!("promotion {} is gone", self.promotion.id));
        };
        let over = overview.status == PromotionStatus::Completed;
        let (hash, states, redis_error) = self.redis(over).await;
        // The figures of a completed promotion are those that were proved, in its row.
        let counts = if over { overview.counts } else { hash.unwrap_or(overview.counts) };
        self.add_up(over).await;
        let rate = self.rate(counts.settled());
        let left = overview.total_count.saturating_sub(counts.settled());
        let remaining = (rate > 0.0 && left > 0).then(|| (left as f64 / rate).ceil() as u64);
        let sum = |of: fn(&PartitionState) -> u64| states.as_ref().map(|states| states.iter().map(of).sum::<u64>());
        let paid = |added: &Added| added.proof.amount(ProcessStatus::Success);
        Ok(Sample {
            promotion_id: overview.id.0,
            campaign_code: overview.campaign_code.clone(),
            promotion_status: overview.status.code(),
            at: Some(self.store.now()),
            total: overview.total_count,
            published: counts.published,
            paid: counts.success + counts.retry_success,
            paid_after_retry: counts.retry_success,
            failed: counts.fail,
            in_flight: sum(|state| state.pending.saturating_sub(state.parked + state.held)),
            retrying: sum(|state| state.parked),
            waiting_for_a_person: sum(|state| state.held),
            unknown: self.added.as_ref().map(|added| added.proof.unknown()),
            rate,
            remaining_seconds: if over { Some(0) } else { remaining },
            planned_amount: overview.total_amount,
            paid_amount: self.added.as_ref().map(paid),
            paid_amount_age_seconds: self.added.as_ref().map(|added| added.at.elapsed().as_secs()),
            redis_error,
            status: overview.status,
        })
    }

    /// The public counts and the partitions; of a completed promotion neither is left.
    async fn redis(&self, over: bool) -> (Option<Counts>, Option<Vec<PartitionState>>, Option<String>) {
        if over {
            return (None, Some(Vec::new()), None);
        }
        let looked = async {
            let hash = self.streams.read_summary(self.promotion.summary).await?;
            let states = self.streams.partition_states(&self.partitions).await?;
            Ok::<_, StreamsError>((hash, states))
        };
        match looked.await {
            Ok((hash, states)) => (hash.map(|hash| hash.counts), Some(states), None),
            Err(error) => (None, None, Some(error.to_string())),
        }
    }

    /// Has money added up in the background when it is time; at the end, now.
    async fn add_up(&mut self, over: bool) {
        if self.adding.as_ref().is_some_and(|adding| over || adding.is_finished())
            && let Some(adding) = self.adding.take()
            && let Ok(Ok(added)) = adding.await
        {
            self.added = Some(added);
        }
        if over {
            // The last one may be from before the end.
            if let Ok(added) = add(self.store.clone(), self.promotion.clone()).await {
                self.added = Some(added);
            }
            return;
        }
        let fresh = |added: &Added| added.at.elapsed() < (added.took * MONEY_SHARE).max(MONEY_EVERY);
        if self.adding.is_none() && !self.added.as_ref().is_some_and(fresh) {
            self.adding = Some(tokio::spawn(add(self.store.clone(), self.promotion.clone())));
        }
    }

    fn rate(&mut self, settled: u64) -> f64 {
        let now = Instant::now();
        self.settled.push_back((now, settled));
        while self.settled.len() > 2 && self.settled.get(1).is_some_and(|(at, _)| now - *at >= RATE_SPAN) {
            self.settled.pop_front();
        }
        let Some((at, before)) = self.settled.front() else { return 0.0 };
        let seconds = (now - *at).as_secs_f64();
        if seconds > 0.0 { settled.saturating_sub(*before) as f64 / seconds } else { 0.0 }
    }
}

async fn add(store: Store, promotion: Promotion) -> Result<Added> {
    let began = Instant::now();
    let proof = store.prove(&promotion).await?;
    Ok(Added { at: Instant::now(), took: began.elapsed(), proof })
}
