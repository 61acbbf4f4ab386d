//! Redis, with plain commands: the partitions' streams and counts, and the public hash.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::{Connection, FromRedisValue, RedisResult};

use crate::Campaign;

const BOUND: Duration = Duration::from_secs(5);

/// What a hash of counts holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// `published_count`
    pub published: i64,
    /// `success_count`
    pub success: i64,
    /// `retry_success_count`
    pub retry_success: i64,
    /// `fail_count`
    pub fail: i64,
}

impl Counts {
    /// Targets with a final result.
    pub fn settled(&self) -> i64 {
        self.success + self.retry_success + self.fail
    }
}

/// A Redis, connected to when needed, and again after it was away.
pub struct Cache {
    client: redis::Client,
    connection: Mutex<Option<Connection>>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

impl Cache {
    /// Connects when first asked.
    ///
    /// # Panics
    /// On a URL that is none.
    pub fn open(url: &str) -> Self {
        Self { client: redis::Client::open(url).expect("a URL"), connection: Mutex::new(None) }
    }

    /// One command of texts; an error while the server is away.
    ///
    /// # Errors
    /// Any of the server's.
    pub fn ask<T: FromRedisValue>(&self, command: &[&str]) -> RedisResult<T> {
        self.send(redis::cmd(command[0]).arg(&command[1..]))
    }

    /// Any command; an error while the server is away.
    ///
    /// # Errors
    /// Any of the server's.
    pub fn send<T: FromRedisValue>(&self, command: &redis::Cmd) -> RedisResult<T> {
        let mut slot = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match slot.as_mut() {
            Some(connection) => connection,
            None => {
                let connection = self.client.get_connection_with_timeout(BOUND)?;
                connection.set_read_timeout(Some(BOUND))?;
                slot.insert(connection)
            }
        };
        let answer = command.query(connection);
        if answer.as_ref().is_err_and(|error: &redis::RedisError| error.is_io_error() || error.is_connection_dropped())
        {
            *slot = None;
        }
        answer
    }

    /// One command.
    ///
    /// # Panics
    /// On an error.
    pub fn run<T: FromRedisValue>(&self, command: &[&str]) -> T {
        self.ask(command).unwrap_or_else(|error| panic!("{error}: {command:?}"))
    }

    /// A partition's stream.
    pub fn stream(campaign: &Campaign, partition: u32) -> String {
        format!("promo:{{{}:{partition}}}:targets", campaign.id)
    }

    /// A partition's counts.
    pub fn counts_key(campaign: &Campaign, partition: u32) -> String {
        format!("promo:{{{}:{partition}}}:counts", campaign.id)
    }

    /// A partition's dead letters.
    pub fn dead(campaign: &Campaign, partition: u32) -> String {
        format!("promo:{{{}:{partition}}}:dead", campaign.id)
    }

    /// A hash.
    pub fn hash(&self, key: &str) -> HashMap<String, String> {
        self.run(&["HGETALL", key])
    }

    /// The public hash of a promotion's summary.
    pub fn public(&self, summary: i64) -> HashMap<String, String> {
        self.hash(&format!("campaign_promotion_summary:{summary}"))
    }

    /// Counts of all partitions.
    pub fn counts(&self, campaign: &Campaign) -> Counts {
        let mut sum = Counts::default();
        for partition in 0..campaign.partitions {
            let counts = counts_of(&self.hash(&Self::counts_key(campaign, partition)));
            sum.published += counts.published;
            sum.success += counts.success;
            sum.retry_success += counts.retry_success;
            sum.fail += counts.fail;
        }
        sum
    }

    /// The entries of all partitions: partition and id.
    pub fn entries(&self, campaign: &Campaign) -> Vec<(u32, String)> {
        let of = |partition| {
            let stream = Self::stream(campaign, partition);
            let found: redis::streams::StreamRangeReply = self.run(&["XRANGE", &stream, "-", "+"]);
            found.ids.into_iter().map(move |entry| (partition, entry.id))
        };
        (0..campaign.partitions).flat_map(of).collect()
    }

    /// First part of a stream's last id, and its length.
    pub fn position(&self, campaign: &Campaign, partition: u32) -> (i64, i64) {
        let stream = Self::stream(campaign, partition);
        let info: HashMap<String, redis::Value> = self.run(&["XINFO", "STREAM", &stream]);
        let last: String = redis::from_redis_value(info["last-generated-id"].clone()).expect("an id");
        let first = last.split('-').next().and_then(|text| text.parse().ok()).expect("an id");
        (first, redis::from_redis_value(info["length"].clone()).expect("a length"))
    }

    /// What each consumer of a partition holds.
    pub fn held_by(&self, campaign: &Campaign, partition: u32) -> HashMap<String, i64> {
        type Pending = (i64, Option<String>, Option<String>, Option<Vec<(String, String)>>);
        let stream = Self::stream(campaign, partition);
        let summary: RedisResult<Pending> = self.ask(&["XPENDING", &stream, "payers"]);
        let consumers = summary.ok().and_then(|(_, _, _, consumers)| consumers).unwrap_or_default();
        consumers.into_iter().map(|(name, count)| (name, count.parse().unwrap_or(0))).collect()
    }

    /// What each consumer holds, over all partitions.
    pub fn held(&self, campaign: &Campaign) -> HashMap<String, i64> {
        let mut all = HashMap::new();
        for partition in 0..campaign.partitions {
            for (name, count) in self.held_by(campaign, partition) {
                *all.entry(name).or_insert(0) += count;
            }
        }
        all
    }

    /// Ids of pending entries of a consumer in a partition, at most a thousand.
    pub fn pending_ids(&self, campaign: &Campaign, partition: u32, consumer: &str) -> Vec<String> {
        let stream = Self::stream(campaign, partition);
        let rows: Vec<(String, String, i64, i64)> =
            self.ask(&["XPENDING", &stream, "payers", "-", "+", "1000", consumer]).unwrap_or_default();
        rows.into_iter().map(|(id, _, _, _)| id).collect()
    }
}

/// Counts in a hash; a missing field is 0.
pub(crate) fn counts_of(hash: &HashMap<String, String>) -> Counts {
    let count = |name: &str| hash.get(name).map_or(0, |text| text.parse().expect("a count"));
    Counts {
        published: count("published_count"),
        success: count("success_count"),
        retry_success: count("retry_success_count"),
        fail: count("fail_count"),
    }
}
