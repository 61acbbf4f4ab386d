//! Publishing one promotion. The stream itself is the checkpoint: entry ids are target ids, and every batch is
//! compared with the stream's last id in the script that adds it. So a crash, a repetition, a second
//! dispatcher or a Redis that went back in time neither skips a target nor publishes one twice.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use pipeline::crash;
use pipeline::domain::{Partition, Promotion, PromotionStatus, TargetId};
use pipeline::metrics::{self, Completed, ErrorClass};
use pipeline::mutant::{self, Mutant};
use pipeline::record::Record;
use pipeline::stage::Context;
use pipeline::store::{Bounds, PageRow, Store};
use pipeline::streams::{PartitionState, Publish, Published, Streams};
use tokio::sync::Semaphore;

use crate::cursors::Cursors;

/// Pause before a partition whose window is full is looked at again.
const WINDOW: Duration = Duration::from_millis(20);
/// How long the partitions that have room wait for those that have none, so that all go on from the same page. One that is
/// stuck holds up the others no longer.
const TOGETHER: Duration = Duration::from_millis(200);
/// Marks that may be under way at the same time.
const MARKS: usize = 2;
/// Ids between two looks whether to end, when marks that a crash may have lost are set again.
const MARK_AGAIN: i64 = 50_000;
/// Pause after an error.
const AWAY: Duration = Duration::from_millis(500);

/// Publishes until the promotion is no longer IN_PROGRESS, or the stage is told to end. Behind the last target
/// it goes on comparing, so that a stream that is lost after the last batch is noticed and filled again.
pub async fn until_it_ends(context: Context, store: Store, streams: Streams, promotion: Promotion) {
    let id = promotion.id;
    let mut marked_to = None;
    while !context.shutdown.requested() {
        match store.status(id).await {
            Ok(Some(PromotionStatus::InProgress)) => {}
            Ok(_) => return,
            Err(error) => {
                metrics::error(ErrorClass::Mysql);
                tracing::warn!(promotion = %id, %error, "cannot read the promotion");
                context.shutdown.sleep(AWAY).await;
                continue;
            }
        }
        let publisher = Publisher::new(&context, &store, &streams, promotion.clone(), marked_to).await;
        let done = match publisher {
            Ok(Some(mut publisher)) => {
                let done = publisher.run().await;
                marked_to = Some(publisher.marked_to);
                done
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            metrics::error(context.health.blame(&error));
            tracing::warn!(promotion = %id, error = format!("{error:#}"), "publishing was interrupted; it goes on from the streams");
        }
        context.shutdown.sleep(AWAY).await;
    }
}

struct Publisher<'a> {
    context: &'a Context,
    store: &'a Store,
    streams: &'a Streams,
    promotion: Arc<Promotion>,
    partitions: Vec<Partition>,
    bounds: Bounds,
    cursors: Cursors,
    /// Entries that each partition may have outstanding.
    window: u64,
    marks: Arc<Semaphore>,
    marked_to: i64,
    /// Since when some partition has had no room.
    full_since: Option<std::time::Instant>,
}

impl<'a> Publisher<'a> {
    /// Reads where the streams stand, and makes those that are missing: one missing stream would fail a read
    /// over many. Nothing for a promotion without targets, whose streams are made all the same.
    async fn new(
        context: &'a Context,
        store: &'a Store,
        streams: &'a Streams,
        promotion: Promotion,
        marked_to: Option<i64>,
    ) -> anyhow::Result<Option<Self>> {
        let partitions: Vec<Partition> = promotion.partitions().collect();
        let bounds = store.bounds(&promotion).await?;
        let lasts: Vec<u64> = streams
            .positions(&partitions)
            .await?
            .into_iter()
            .map(|position| position.map_or(0, |at| at.last.first))
            .collect();
        let empty = partitions.iter().zip(&lasts).map(|(partition, last)| Publish {
            partition: *partition,
            expected: *last,
            window: 0,
            entries: Vec::new(),
        });
        for made in streams.publish(&empty.collect::<Vec<_>>()).await? {
            made.context("make a stream")?;
        }
        crash::point("dispatcher.streams_made");
        context.health.dependency("redis", true);
        let Some(bounds) = bounds else { return Ok(None) };
        let window = match context.config.dispatcher.window {
            0 => 0,
            window => window.div_ceil(partitions.len() as u64).max(1),
        };
        let cursors = Cursors::new(lasts, bounds);
        let marks = Arc::new(Semaphore::new(MARKS));
        let marked_to = marked_to.unwrap_or(bounds.first.0 - 1);
        let promotion = Arc::new(promotion);
        Ok(Some(Self {
            context,
            store,
            streams,
            promotion,
            partitions,
            bounds,
            cursors,
            window,
            marks,
            marked_to,
            full_since: None,
        }))
    }

    async fn run(&mut self) -> anyhow::Result<()> {
        self.mark_again().await?;
        let mut ahead: Option<(TargetId, tokio::task::JoinHandle<Result<Vec<PageRow>, _>>)> = None;
        // The last page, for the partitions whose windows were full.
        let mut recent: Option<(TargetId, Vec<PageRow>)> = None;
        let mut looked_at = std::time::Instant::now();
        while !self.context.shutdown.requested() {
            if looked_at.elapsed() >= self.context.config.dispatcher.poll {
                looked_at = std::time::Instant::now();
                if !self.goes_on().await? {
                    return Ok(());
                }
            }
            if !self.make_room().await? {
                continue;
            }
            let Some(after) = self.cursors.next_page() else {
                let pause = if self.cursors.is_done() { self.context.config.dispatcher.poll } else { WINDOW };
                self.context.shutdown.sleep(pause).await;
                continue;
            };
            let page = match (recent.take(), &ahead) {
                (Some((from, page)), _) if from == after => page,
                (_, Some((from, _))) if *from == after => match ahead.take() {
                    Some((_, page)) => page.await??,
                    None => continue,
                },
                (_, _) => self.read(after).await??,
            };
            crash::point("dispatcher.page_read");
            let end = page.last().map_or(self.bounds.last, |row| row.target);
            let to = if page.len() < self.page_size() { self.bounds.last } else { end };
            // The next page is read while this one is published.
            if to < self.bounds.last && ahead.as_ref().is_none_or(|(from, _)| *from != to) {
                ahead = Some((to, self.read(to)));
            }
            if mutant::is(Mutant::MarkBeforePublish) {
                let from = TargetId(after.0 + 1);
                self.store.mark(&self.promotion.kind, self.promotion.id, from, to, &[]).await?;
                crash::point("dispatcher.marked");
            }
            self.publish(&page, to).await?;
            crash::point("dispatcher.published");
            self.mark(&page).await;
            recent = Some((after, page));
        }
        Ok(())
    }

    fn page_size(&self) -> usize {
        // A page that is larger than what all windows take would only be read again.
        let most = if self.window == 0 { usize::MAX } else { self.window as usize * self.partitions.len() };
        self.context.config.dispatcher.page.min(most)
    }

    fn read(&self, after: TargetId) -> tokio::task::JoinHandle<Result<Vec<PageRow>, pipeline::store::StoreError>> {
        let (store, promotion, last, limit) =
            (self.store.clone(), Arc::clone(&self.promotion), self.bounds.last, self.page_size());
        tokio::spawn(async move { store.page(&promotion, after, last, limit).await })
    }

    /// Whether the promotion still runs; whether every stream has its group, without which a full window never empties;
    /// and whether those that take no more because all is published are where we believe. Asked again and again until the
    /// promotion has ended.
    async fn goes_on(&mut self) -> anyhow::Result<bool> {
        if self.store.status(self.promotion.id).await? != Some(PromotionStatus::InProgress) {
            return Ok(false);
        }
        if !mutant::is(Mutant::DispatcherLooksAway) {
            for (number, position) in self.streams.positions(&self.partitions).await?.into_iter().enumerate() {
                let group = position.is_some_and(|position| position.group);
                let last = position.map_or(0, |position| position.last.first);
                if !group {
                    metrics::group_recreated();
                    let made =
                        Publish { partition: self.partitions[number], expected: last, window: 0, entries: Vec::new() };
                    self.streams.publish(&[made]).await?;
                }
                if self.cursors.is_at_end(number) && self.cursors.seen(number, last) {
                    tracing::warn!(partition = %self.partitions[number], last, "a stream is not where it was; publishing again from there");
                }
            }
        }
        Ok(true)
    }

    /// Partitions whose window was full take more once a page's share fits, all of them together where they can.
    /// Gives whether publishing may go on.
    async fn make_room(&mut self) -> anyhow::Result<bool> {
        let full: Vec<usize> = self.cursors.full().collect();
        if full.is_empty() {
            self.full_since = None;
            return Ok(true);
        }
        let waited = self.full_since.get_or_insert_with(std::time::Instant::now).elapsed();
        self.context.shutdown.sleep(WINDOW).await;
        let partitions: Vec<Partition> = full.iter().map(|number| self.partitions[*number]).collect();
        let share = (self.page_size() / self.partitions.len()) as u64;
        let states = self.streams.partition_states(&partitions).await?;
        let fits =
            |state: &PartitionState| state.len().saturating_sub(state.held) + share.min(self.window / 2) <= self.window;
        if waited < TOGETHER && !states.iter().all(fits) {
            return Ok(false);
        }
        let fitting: Vec<usize> =
            full.into_iter().zip(&states).filter(|(_, state)| fits(state)).map(|(number, _)| number).collect();
        fitting.into_iter().for_each(|number| self.cursors.reopen(number));
        Ok(true)
    }

    /// Publishes what a page holds for each partition, in one round trip.
    async fn publish(&mut self, page: &[PageRow], to: TargetId) -> anyhow::Result<()> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let published_at_ms = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
        let mut batches = Vec::with_capacity(self.partitions.len());
        let mut covers = Vec::with_capacity(self.partitions.len());
        for (number, mut rows) in self.cursors.share_out(page).into_iter().enumerate() {
            let mut end = to;
            if self.window > 0 && rows.len() as u64 > self.window {
                rows.truncate(self.window as usize);
                end = rows.last().map_or(to, |row| row.target);
            }
            let Some(last) = rows.last().map(|row| row.target) else {
                self.cursors.skip(number, to);
                continue;
            };
            let entries = rows.iter().map(|row| (row.target, self.record(row.target, published_at_ms))).collect();
            let (partition, expected) = (self.partitions[number], self.cursors.get(number).last);
            batches.push(Publish { partition, expected, window: self.window, entries });
            covers.push((number, last, end, rows.len()));
        }
        let began = std::time::Instant::now();
        let answers = self.streams.publish(&batches).await?;
        // Once for a page; where every window was full, nothing was let go.
        if answers.iter().any(|answer| matches!(answer, Ok(Published::Done))) {
            metrics::batch_took(began.elapsed());
        }
        for ((number, last, end, rows), answer) in covers.into_iter().zip(answers) {
            let answer = answer.with_context(|| format!("publish to partition {}", self.partitions[number]))?;
            if answer == Published::Done {
                metrics::received(rows);
                metrics::completed(Completed::Published, rows);
            }
            // The whole stream is gone, and its group with it: what is published next makes both again.
            if matches!(answer, Published::Last { first: 0, .. }) && self.cursors.get(number).last > 0 {
                metrics::group_recreated();
            }
            if self.cursors.answered(number, last, end, answer) && !self.goes_on().await? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn record(&self, target: TargetId, published_at_ms: i64) -> Vec<u8> {
        Record { kind: self.promotion.kind.code.clone(), promotion: self.promotion.id, target, published_at_ms }
            .encode()
    }

    /// Sets publish_status for everything that every partition has published by now. A mark for people: it is
    /// written behind the publishing; what a crash or an error loses is set again at the next start, or at the promotion's end.
    async fn mark(&mut self, page: &[PageRow]) {
        let (from, to) = (self.marked_to + 1, self.cursors.published_to().min(self.bounds.last.0));
        if to < from {
            return;
        }
        self.marked_to = to;
        let unpayable: Vec<TargetId> = page.iter().filter(|row| row.unpayable).map(|row| row.target).collect();
        let Ok(turn) = Arc::clone(&self.marks).acquire_owned().await else { return };
        let (store, promotion) = (self.store.clone(), Arc::clone(&self.promotion));
        tokio::spawn(async move {
            if let Err(error) =
                store.mark(&promotion.kind, promotion.id, TargetId(from), TargetId(to), &unpayable).await
            {
                metrics::error(ErrorClass::Mysql);
                tracing::warn!(promotion = %promotion.id, %error, "cannot mark targets as published");
            }
            crash::point("dispatcher.marked");
            drop(turn);
        });
    }

    /// After a start in the middle: sets the marks that a crash may have lost.
    async fn mark_again(&mut self) -> anyhow::Result<()> {
        let to = self.cursors.published_to().min(self.bounds.last.0);
        while self.marked_to < to && !self.context.shutdown.requested() {
            let end = to.min(self.marked_to + MARK_AGAIN);
            self.store.mark_again(&self.promotion, TargetId(self.marked_to + 1), TargetId(end)).await?;
            self.marked_to = end;
        }
        Ok(())
    }
}
