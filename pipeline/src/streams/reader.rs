//! Reading new entries, on a connection that nothing else uses.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisWrite, ServerError, Value};

use super::{Outage, ReadError, StreamsError, reply};
use crate::domain::{EntryId, Partition};
use crate::keys;

/// An entry that was given to a consumer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Its partition.
    pub partition: Partition,
    /// Its id.
    pub id: EntryId,
    /// Its record; `None` when the entry was deleted from outside.
    pub body: Option<Vec<u8>>,
}

impl Delivery {
    /// The deliveries in the reply to a read of `partitions`, as the bytes that Redis sends.
    ///
    /// # Errors
    /// [`StreamsError`] for anything that no such reply is.
    pub fn of_reply(reply: &[u8], partitions: &[Partition]) -> Result<Vec<Self>, StreamsError> {
        let streams: Vec<String> = partitions.iter().map(|partition| keys::targets(*partition)).collect();
        deliveries(redis::parse_redis_value(reply)?, partitions, &streams)
    }
}

/// Beyond the time that a read may block: a woken server that is slow to answer is not given up at once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(9);

/// Reads for one consumer.
///
/// After any error, and when a read is dropped before it has ended, its connection is gone: Redis may have delivered
/// entries to a reply that nobody read. The next call makes a new one; the caller first drains what its name holds.
#[derive(Debug)]
pub struct Reader {
    client: Client,
    connect_timeout: Duration,
    /// Taken out while a command runs and put back after a good answer. So a dropped future drops the connection.
    connection: Option<MultiplexedConnection>,
}

impl Reader {
    pub(super) fn new(client: Client, connect_timeout: Duration) -> Self {
        Self { client, connect_timeout, connection: None }
    }

    /// Whether the last call ended well. When not, and before the first call, the next thing to do is to drain.
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Reads entries that nobody was given yet, at most `count_per_stream` of each partition, waiting up to `block` for
    /// the first (not at all without it). Up to 64 partitions cost a read nothing; without partitions it returns at once.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(
        &mut self,
        consumer: &str,
        partitions: &[Partition],
        count_per_stream: usize,
        block: Option<Duration>,
    ) -> Result<Vec<Delivery>, ReadError> {
        let mut command = group_read(consumer, partitions.len(), count_per_stream);
        if let Some(block) = block {
            // 0 would be for ever.
            command.arg("BLOCK").arg(u64::try_from(block.as_millis()).unwrap_or(u64::MAX).max(1));
        }
        self.query(command, partitions, block.unwrap_or_default(), |_, command| command.write_arg(b">")).await
    }

    /// Reads again what the consumer was given before and has not settled or parked, page by page: `after` holds how far
    /// it is in each partition (nothing for the beginning) and is moved on. An empty answer is the end. What a task of
    /// the process still works on comes too; the caller knows which that is.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn drain(
        &mut self,
        consumer: &str,
        partitions: &[Partition],
        after: &mut HashMap<Partition, EntryId>,
        count: usize,
    ) -> Result<Vec<Delivery>, ReadError> {
        let command = group_read(consumer, partitions.len(), count);
        let from = |partition: Partition, command: &mut Cmd| {
            command.write_arg_fmt(after.get(&partition).copied().unwrap_or(EntryId::ZERO));
        };
        let deliveries = self.query(command, partitions, Duration::ZERO, from).await?;
        for delivery in &deliveries {
            after.insert(delivery.partition, delivery.id);
        }
        Ok(deliveries)
    }

    async fn query(
        &mut self,
        mut command: Cmd,
        partitions: &[Partition],
        block: Duration,
        mut from: impl FnMut(Partition, &mut Cmd),
    ) -> Result<Vec<Delivery>, ReadError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let streams: Vec<String> = partitions.iter().map(|partition| keys::targets(*partition)).collect();
        command.arg("STREAMS").arg(&streams);
        for partition in partitions {
            from(*partition, &mut command);
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let answer =
            tokio::time::timeout(block.saturating_add(ANSWER_TIMEOUT), connection.send_packed_command(&command));
        let answer = answer.await.map_err(|_| {
            StreamsError::Unavailable(
                Outage::Timeout,
                format!("no answer {ANSWER_TIMEOUT:?} after the read should have ended"),
            )
        })?;
        let deliveries = match answer.map_err(StreamsError::from)? {
            Value::ServerError(error) => return Err(read_error(error)),
            value => deliveries(value, partitions, &streams)?,
        };
        self.connection = Some(connection);
        Ok(deliveries)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, StreamsError> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(self.connect_timeout)).set_response_timeout(None);
        Ok(self.client.get_multiplexed_async_connection_with_config(&config).await?)
    }
}

fn group_read(consumer: &str, streams: usize, count: usize) -> Cmd {
    let mut command = Cmd::with_capacity(2 * streams + 9, 64 * streams + 128);
    command.arg("XREADGROUP").arg("GROUP").arg(keys::GROUP).arg(consumer).arg("COUNT").arg(count);
    command
}

fn read_error(error: ServerError) -> ReadError {
    // Redis 7.0 says UNBLOCKED to a blocked reader whose stream is deleted, newer ones NOGROUP; a failover says UNBLOCKED too.
    let gone = error.code() == "UNBLOCKED" && error.details().is_some_and(|detail| detail.contains("no longer exists"));
    if gone || error.code() == "NOGROUP" { ReadError::Missing } else { ReadError::Failed(error.into()) }
}

/// `[[stream, [[id, [field, value]], ...]], ...]`: the streams stand in the order in which they were asked for.
fn deliveries(value: Value, partitions: &[Partition], streams: &[String]) -> Result<Vec<Delivery>, StreamsError> {
    if value == Value::Nil {
        return Ok(Vec::new());
    }
    let mut deliveries = Vec::new();
    let mut asked = partitions.iter().zip(streams);
    for stream in reply::array(value)? {
        let [name, entries] = reply::tuple(stream)?;
        let name = reply::bytes(name)?;
        let Some((partition, _)) = asked.find(|(_, stream)| stream.as_bytes() == name) else {
            return Err(StreamsError::unexpected("a stream that was not asked for"));
        };
        let entries = reply::array(entries)?;
        deliveries.reserve(entries.len());
        for entry in entries {
            let (id, body) = reply::entry(entry)?;
            deliveries.push(Delivery { partition: *partition, id, body });
        }
    }
    Ok(deliveries)
}
