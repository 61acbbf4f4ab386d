//! Reading: what this consumer left behind first, then what nobody was given yet.

use std::collections::HashMap;
use std::time::Duration;

use pipeline::charging::{Active, Charging, Delivered, Room};
use pipeline::domain::{EntryId, Partition};
use pipeline::metrics::{self, ErrorClass};
use pipeline::mutant::{self, Mutant};
use pipeline::stage::Context;
use pipeline::store::Claim;
use pipeline::streams::{Delivery, PartitionState, ReadError, Reader, Streams, StreamsError};
use tokio::time::Instant;

/// Streams of one read: up to here they cost nothing. Beyond it, those with undelivered entries go first, and of these
/// those of the promotions that come first: one that waits for people must not keep others from being read.
const STREAMS_PER_READ: usize = 64;
/// Pause before the next look when there is nothing to read from, or the breaker is open.
const NOTHING: Duration = Duration::from_secs(1);
/// Pause before the next look when as much is held as can be sent in time.
const SATED: Duration = Duration::from_millis(10);
/// Pause after an error.
const AWAY: Duration = Duration::from_millis(250);

/// One turn: partitions, appetite, room, read, hand over. Repeating a turn is harmless: an entry is delivered to one
/// consumer, and whatever was delivered twice finds its target in flight, or its row made.
pub async fn until_told_to_end(context: &Context, streams: &Streams, charging: &Charging, mut active: Active) {
    let config = &context.config;
    let mut reader = streams.reader();
    let mut sources = Sources::new(streams.clone(), config.payer.max_parked, config.payer.poll);
    while !context.shutdown.requested() {
        context.health.beat();
        let partitions = sources.readable(&active).await;
        if !partitions.is_empty() && charging.is_sated() {
            active.changed(SATED).await;
            continue;
        }
        let appetite = if partitions.is_empty() { 0 } else { charging.appetite() };
        if appetite == 0 {
            active.changed(NOTHING.min(config.payer.poll * 2)).await;
            continue;
        }
        if !reader.is_connected() && !mutant::is(Mutant::NoDrain) {
            drain(context, charging, &mut reader, &partitions).await;
        }
        let room = tokio::select! {
            room = charging.room(appetite) => room,
            () = context.shutdown.wait() => return,
        };
        let per_stream = room.len().div_ceil(partitions.len());
        let asked = Instant::now();
        // The block is short, and its end is waited for: a read that is given up would leave its entries
        // delivered to a reply that nobody reads.
        match reader.read(&config.consumer_name, &partitions, per_stream, Some(config.payer.block)).await {
            Ok(deliveries) if deliveries.is_empty() => {}
            Ok(deliveries) => {
                context.health.dependency("redis", true);
                submit(charging, deliveries, Delivered::since(asked, config.payer.block), room).await;
            }
            Err(ReadError::Missing) => {
                sources.forget();
                context.shutdown.sleep(AWAY).await;
            }
            Err(ReadError::Failed(error)) => {
                context.health.dependency("redis", false);
                metrics::error(ErrorClass::Redis);
                tracing::warn!(%error, "cannot read from the streams");
                context.shutdown.sleep(AWAY).await;
            }
        }
    }
}

/// COUNT is per stream, so a read may bring more than its room: the rest waits for room of its own.
async fn submit(charging: &Charging, mut deliveries: Vec<Delivery>, since: Instant, mut room: Room) {
    loop {
        let rest = deliveries.split_off(deliveries.len().min(room.len()));
        let delivered = deliveries.into_iter().map(|delivery| Delivered { delivery, deliveries: 1, from: None, since });
        charging.submit(Claim::First, delivered.collect(), room);
        if rest.is_empty() {
            return;
        }
        room = charging.room(rest.len()).await;
        deliveries = rest;
    }
}

/// What this name was given before a crash, a lost connection or a reply that nobody read. What a task of this
/// process still works on is passed over there.
async fn drain(context: &Context, charging: &Charging, reader: &mut Reader, partitions: &[Partition]) {
    let mut after: HashMap<Partition, EntryId> = HashMap::new();
    while !context.shutdown.requested() {
        context.health.beat();
        let room = charging.room(context.config.payer.batch).await;
        let per_stream = room.len().div_ceil(partitions.len());
        let asked = Instant::now();
        match reader.drain(&context.config.consumer_name, partitions, &mut after, per_stream).await {
            Ok(deliveries) if deliveries.is_empty() => return,
            Ok(deliveries) => submit(charging, deliveries, Delivered::since(asked, Duration::ZERO), room).await,
            Err(error) => {
                tracing::debug!(?error, "cannot drain what was left pending");
                return;
            }
        }
    }
}

/// Which partitions can be read from: those of running promotions whose stream and group exist, and where not
/// too much is parked.
struct Sources {
    streams: Streams,
    max_parked: u64,
    every: Duration,
    looked_at: Option<Instant>,
    readable: Vec<Partition>,
}

impl Sources {
    fn new(streams: Streams, max_parked: u64, every: Duration) -> Self {
        Self { streams, max_parked, every, looked_at: None, readable: Vec::new() }
    }

    /// Looks again at the next turn.
    fn forget(&mut self) {
        self.looked_at = None;
    }

    async fn readable(&mut self, active: &Active) -> Vec<Partition> {
        let all: Vec<Partition> =
            active.seen().promotions.iter().flat_map(|promotion| promotion.partitions()).collect();
        let fresh = self.looked_at.is_some_and(|at| at.elapsed() < self.every);
        if all.is_empty() {
            self.readable.clear();
        } else if !fresh {
            self.looked_at = Some(Instant::now());
            let mut open = self.open(&all).await;
            open.sort_by_key(|(_, state)| state.oldest_undelivered.is_none());
            self.readable = open.iter().take(STREAMS_PER_READ).map(|(partition, _)| *partition).collect();
        }
        self.readable.retain(|partition| all.contains(partition));
        self.readable.clone()
    }

    /// Those that can be read from, with their states. One promotion whose keys somebody has broken must not keep the
    /// others from being paid, so each is asked about for itself.
    async fn open(&self, all: &[Partition]) -> Vec<(Partition, PartitionState)> {
        let mut open = Vec::with_capacity(all.len());
        for promotion in all.chunk_by(|a, b| a.promotion == b.promotion) {
            match self.streams.partition_states(promotion).await {
                Ok(states) => open.extend(promotion.iter().copied().zip(states).filter(|(_, state)| {
                    state.position.is_some_and(|position| position.group) && state.parked < self.max_parked
                })),
                Err(error) => {
                    metrics::error(ErrorClass::Redis);
                    tracing::warn!(promotion = %promotion[0].promotion, %error, "cannot look at the streams");
                    if matches!(error, StreamsError::Unavailable(..)) {
                        break;
                    }
                }
            }
        }
        open
    }
}
