//! Connections: one that all commands share, a small pool for occasional questions, and what readers need to make theirs.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_redis::{Manager, Pool, PoolError, Runtime};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo, Pipeline, ProtocolVersion, Value};

use super::script::Call;
use super::{Outage, StreamsError, reply};

/// Longest waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// For the answer to a command. The longest script of ours takes some 10 ms; a server that fsyncs on a slow disk
    /// takes seconds. The library's own 500 ms would turn that into errors.
    pub response: Duration,
    /// For one connection attempt.
    pub connect: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { response: Duration::from_secs(5), connect: Duration::from_secs(2) }
    }
}

/// Attempts to connect again before a command fails: the stages have a backoff of their own, and an answer that Redis
/// is away must not take the 9 s of the library's default.
const RECONNECTS: usize = 1;
/// Commands that may wait to be written; the library's 50 is for few tasks.
const WRITE_QUEUE: usize = 1024;
/// Connections for occasional questions: XINFO, XPENDING pages, doctor.
const POOL_SIZE: usize = 4;

pub(super) struct Link {
    client: Client,
    timeouts: Timeouts,
    pool: Pool,
    /// Which connection manager commands use now, with a number to tell it from its predecessors.
    current: Mutex<(u64, Option<ConnectionManager>)>,
}

impl Link {
    pub(super) fn new(url: &str, timeouts: Timeouts) -> Result<Self, StreamsError> {
        let bad = |why: String| StreamsError::Refused(format!("the Redis URL cannot be used: {why}"));
        if !["redis://", "rediss://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(bad("it must begin with redis:// or rediss://".into()));
        }
        let info = url.into_connection_info().map_err(|error| bad(error.to_string()))?;
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true)).set_redis_settings(redis);
        let client = Client::open(info.clone()).map_err(|error| bad(error.to_string()))?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeouts.connect))
            .set_response_timeout(Some(timeouts.response));
        let manager = Manager::new_with_config(info, config).map_err(|error| bad(error.to_string()))?;
        let pool = Pool::builder(manager)
            .max_size(POOL_SIZE)
            .wait_timeout(Some(timeouts.response))
            .create_timeout(Some(timeouts.response))
            .recycle_timeout(Some(timeouts.response))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| bad(error.to_string()))?;
        Ok(Self { client, timeouts, pool, current: Mutex::new((0, None)) })
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The shared connection; made when first asked for, and again after it was given up.
    fn connection(&self) -> Result<(u64, ConnectionManager), StreamsError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(manager) = &current.1 {
            return Ok((current.0, manager.clone()));
        }
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(self.timeouts.connect))
            .set_response_timeout(Some(self.timeouts.response))
            .set_number_of_retries(RECONNECTS)
            .set_min_delay(Duration::from_millis(50))
            .set_max_delay(Duration::from_millis(200))
            .set_pipeline_buffer_size(WRITE_QUEUE);
        let manager = ConnectionManager::new_lazy_with_config(self.client.clone(), config)?;
        current.0 += 1;
        current.1 = Some(manager.clone());
        Ok((current.0, manager))
    }

    fn give_up(&self, number: u64) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 == number {
            current.1 = None;
        }
    }

    /// Sends commands in one round trip; each has its own answer or error.
    pub(super) async fn pipeline(&self, pipeline: &Pipeline) -> Result<Vec<Value>, StreamsError> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let (number, mut connection) = self.connection()?;
        let result = connection.send_packed_commands(pipeline, 0, pipeline.len()).await.map_err(StreamsError::from);
        let condemned = match &result {
            Ok(values) => values.iter().any(|value| match value {
                Value::ServerError(error) => StreamsError::from(error.clone()).condemns_connection(),
                _ => false,
            }),
            Err(error) => error.condemns_connection(),
        };
        if condemned {
            // A timed-out or demoted server would go on being asked: neither breaks the connection.
            self.give_up(number);
        }
        result
    }

    /// Sends one command.
    pub(super) async fn query(&self, command: Cmd) -> Result<Value, StreamsError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command);
        one(self.pipeline(&pipeline).await?)
    }

    /// Runs commands in one transaction; the first error of any is the error.
    pub(super) async fn transaction(&self, pipeline: &Pipeline) -> Result<(), StreamsError> {
        let (number, mut connection) = self.connection()?;
        let result = pipeline.exec_async(&mut connection).await.map_err(StreamsError::from);
        if result.as_ref().is_err_and(StreamsError::condemns_connection) {
            self.give_up(number);
        }
        result
    }

    /// Runs scripts in one round trip; each has its own answer or error. Those that the server does not know are sent
    /// again with their text, and only those.
    pub(super) async fn calls(&self, calls: Vec<Call>) -> Result<Vec<Value>, StreamsError> {
        let mut pipeline = Pipeline::with_capacity(calls.len());
        let mut scripts = Vec::with_capacity(calls.len());
        for (script, command) in calls.into_iter().map(Call::into_parts) {
            scripts.push(script);
            pipeline.add_command(command);
        }
        let mut values = self.pipeline(&pipeline).await?;
        let unknown: Vec<usize> = (0..values.len()).filter(|&at| is_unknown_script(&values[at])).collect();
        if !unknown.is_empty() {
            let mut again = Pipeline::with_capacity(unknown.len());
            for (at, command) in pipeline.cmd_iter().enumerate().filter(|(at, _)| unknown.contains(at)) {
                again.add_command(scripts[at].with_source(command));
            }
            for (at, value) in unknown.into_iter().zip(self.pipeline(&again).await?) {
                values[at] = value;
            }
        }
        Ok(values)
    }

    /// Runs one script.
    pub(super) async fn call(&self, call: Call) -> Result<Value, StreamsError> {
        one(self.calls(vec![call]).await?)
    }

    /// Asks an occasional question on a pooled connection, so that it does not stand before the hot path's commands.
    pub(super) async fn ask(&self, pipeline: &Pipeline) -> Result<Vec<Value>, StreamsError> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error.into(),
            other => StreamsError::Unavailable(Outage::Connection, other.to_string()),
        })?;
        match connection.send_packed_commands(pipeline, 0, pipeline.len()).await {
            Ok(values) => Ok(values),
            Err(error) => {
                // Whatever is still on its way there must not meet the next question.
                drop(deadpool_redis::Connection::take(connection));
                Err(error.into())
            }
        }
    }
}

fn one(values: Vec<Value>) -> Result<Value, StreamsError> {
    values.into_iter().next().map_or_else(|| Err(StreamsError::unexpected("nothing")), reply::ok)
}

fn is_unknown_script(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.code() == "NOSCRIPT")
}
