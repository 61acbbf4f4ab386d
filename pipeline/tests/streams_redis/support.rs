//! A fresh key space for each test, and what is said to Redis past the adapter.

use std::time::{Duration, Instant};

use pipeline::domain::{Counter, EntryId, Partition, PromotionId, TargetId};
use pipeline::keys;
use pipeline::streams::{Delivery, Publish, Published, Reader, Settle, Streams};
use redis::Value;
use redis::aio::MultiplexedConnection;

/// Longest wait for a condition.
pub const BOUND: Duration = Duration::from_secs(20);
/// The partition that most tests use.
pub const P: Partition = partition(0);
/// A time of completion.
pub const AT: &str = "20261120120000";

pub const fn partition(number: u32) -> Partition {
    Partition { promotion: PromotionId(7), number }
}

/// The adapter on a key space of its own, and a connection past it.
pub struct Space {
    pub streams: Streams,
    pub reader: Reader,
    raw: MultiplexedConnection,
    url: String,
}

impl Space {
    /// A numbered database that nobody else uses, on the server that all tests share.
    pub async fn fresh() -> Self {
        Self::at(&servers::Fixture::shared().fresh_redis_db().unwrap()).await
    }

    /// The key space at a URL.
    pub async fn at(url: &str) -> Self {
        let streams = Streams::new(url).unwrap();
        let raw = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
        Self { reader: streams.reader(), streams, raw, url: url.to_owned() }
    }

    /// Another process on the same key space.
    pub fn another(&self) -> Streams {
        Streams::new(&self.url).unwrap()
    }

    /// Says a line to Redis.
    pub async fn say(&mut self, line: &str) -> Value {
        let mut command = redis::Cmd::new();
        for word in line.split_whitespace() {
            command.arg(word);
        }
        command.query_async(&mut self.raw).await.unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Says a line whose answer is a number.
    pub async fn number(&mut self, line: &str) -> i64 {
        redis::from_redis_value(self.say(line).await).unwrap()
    }

    /// Says a line whose answer is a text.
    pub async fn text(&mut self, line: &str) -> String {
        redis::from_redis_value(self.say(line).await).unwrap()
    }

    /// A counter of [`P`]; 0 when it is missing.
    pub async fn counted(&mut self, field: &str) -> i64 {
        let value = self.say(&format!("HGET {} {field}", keys::counts(P))).await;
        redis::from_redis_value::<Option<i64>>(value).unwrap().unwrap_or(0)
    }

    /// Publishes targets to [`P`] behind what is there.
    pub async fn publish(&mut self, targets: impl IntoIterator<Item = i64>) {
        let position = self.streams.positions(&[P]).await.unwrap()[0];
        let batch = batch(P, position.map_or(0, |position| position.last.first), targets);
        assert_eq!(published(&self.streams, batch).await, Published::Done);
    }

    /// Reads up to `count` new entries of [`P`], and gives their ids.
    pub async fn read(&mut self, consumer: &str, count: usize) -> Vec<EntryId> {
        ids(&self.reader.read(consumer, &[P], count, None).await.unwrap())
    }

    /// Settles entries of [`P`] as paid.
    pub async fn settle(&mut self, ids: &[EntryId]) -> u64 {
        self.settle_as(Counter::Success, ids).await
    }

    /// Settles entries of [`P`] as what this counter counts.
    pub async fn settle_as(&mut self, counter: Counter, ids: &[EntryId]) -> u64 {
        self.streams.settle(vec![counted(counter, ids)], AT).await.unwrap()[0]
    }

    /// Pending entries of [`P`]: id, consumer, deliveries.
    pub async fn pending(&mut self, consumer: &str) -> Vec<(EntryId, u64)> {
        let page = self.streams.pending_page(P, consumer, None, 1000).await.unwrap();
        page.into_iter().map(|entry| (entry.id, entry.deliveries)).collect()
    }

    /// Waits until a reader of this key space blocks.
    pub async fn until_blocked(&mut self) {
        let db = format!(" db={} ", self.url.rsplit('/').next().unwrap());
        let started = Instant::now();
        loop {
            let clients = self.text("CLIENT LIST").await;
            if clients
                .lines()
                .any(|line| line.contains(&db) && line.contains("cmd=xreadgroup") && line.contains("flags=b"))
            {
                return;
            }
            assert!(started.elapsed() < BOUND, "nobody blocks: {clients}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// A batch of records that say which target they are.
pub fn batch(partition: Partition, expected: u64, targets: impl IntoIterator<Item = i64>) -> Publish {
    let entries = targets.into_iter().map(|target| (TargetId(target), record(target))).collect();
    Publish { partition, expected, window: 0, entries }
}

pub fn record(target: i64) -> Vec<u8> {
    format!("target {target}").into_bytes()
}

pub async fn published(streams: &Streams, batch: Publish) -> Published {
    streams.publish(&[batch]).await.unwrap().pop().unwrap().unwrap()
}

pub fn ids(deliveries: &[Delivery]) -> Vec<EntryId> {
    deliveries.iter().map(|delivery| delivery.id).collect()
}

/// Ids as the dispatcher gives them.
pub fn published_ids(targets: impl IntoIterator<Item = i64>) -> Vec<EntryId> {
    targets.into_iter().map(|target| EntryId::published(TargetId(target))).collect()
}

pub fn paid(ids: &[EntryId]) -> Settle {
    counted(Counter::Success, ids)
}

fn counted(counter: Counter, ids: &[EntryId]) -> Settle {
    Settle { partition: P, by_counter: vec![(counter, ids.to_vec())], dead: Vec::new() }
}
