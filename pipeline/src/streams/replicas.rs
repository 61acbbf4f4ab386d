//! Processes that run, as they announce themselves: for `doctor`, never for decisions.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Value;

use super::{Streams, StreamsError, reply};
use crate::keys;

/// A process of a stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replica {
    /// Its stage.
    pub stage: String,
    /// Its consumer name.
    pub name: String,
    /// Its process id: two that have no consumer name of their own may run on one host.
    pub process: u32,
    /// Its version.
    pub version: String,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_at_ms: i64,
    /// Tells whether two processes of a stage have the same configuration.
    pub config_hash: String,
    /// The values that must be the same everywhere, by their keys. No secrets.
    pub settings: BTreeMap<String, String>,
}

/// Keys that one SCAN looks at: some 0.2 ms of the Redis thread.
const SCANNED: usize = 1_000;
/// Calls of SCAN that a listing makes: a million keys, far more than the product has at a time.
const MAX_SCANS: usize = 1_000;
/// Processes that a listing gives.
const MAX_REPLICAS: usize = 1_000;
/// A field of this begins the key of a setting.
const SETTING: &str = "set:";

impl Streams {
    /// Announces a process for a while. Repeating is harmless: it only lasts longer.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn announce(&self, replica: &Replica, ttl: Duration) -> Result<(), StreamsError> {
        let key = keys::replica(&replica.stage, &replica.name, replica.process);
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        let hash = pipeline.cmd("HSET").arg(&key);
        hash.arg("stage").arg(&replica.stage).arg("name").arg(&replica.name).arg("process").arg(replica.process);
        hash.arg("version").arg(&replica.version).arg("started_at_ms").arg(replica.started_at_ms);
        hash.arg("config_hash").arg(&replica.config_hash);
        for (setting, value) in &replica.settings {
            hash.arg(format!("{SETTING}{setting}")).arg(value);
        }
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 50);
        pipeline.cmd("PEXPIRE").arg(&key).arg(ttl);
        self.link.transaction(&pipeline).await
    }

    /// Takes an announcement back.
    ///
    /// # Errors
    /// When Redis does not answer; the announcement then ends by itself.
    pub async fn withdraw(&self, replica: &Replica) -> Result<(), StreamsError> {
        let mut command = redis::cmd("DEL");
        command.arg(keys::replica(&replica.stage, &replica.name, replica.process));
        self.link.query(command).await.map(drop)
    }

    /// The processes that announce themselves, by stage and name. The flag says whether all keys were looked at: in a
    /// Redis that others fill with millions of keys they are not.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn replicas(&self) -> Result<(Vec<Replica>, bool), StreamsError> {
        let (mut replicas, mut cursor) = (Vec::new(), "0".to_owned());
        for _ in 0..MAX_SCANS {
            let mut scan = redis::pipe();
            scan.cmd("SCAN").arg(&cursor).arg("MATCH").arg(keys::REPLICAS).arg("COUNT").arg(SCANNED);
            let answer = self.link.ask(&scan).await?.pop().ok_or_else(|| StreamsError::unexpected("nothing"))?;
            let [next, found] = reply::tuple(answer)?;
            let mut pipeline = redis::pipe();
            for key in reply::array(found)? {
                pipeline.cmd("HGETALL").arg(reply::text(key)?);
            }
            for value in self.link.ask(&pipeline).await? {
                // Who else writes such a key is no process of ours.
                replicas.extend(replica(value).ok().flatten());
            }
            cursor = reply::text(next)?;
            if cursor == "0" || replicas.len() >= MAX_REPLICAS {
                break;
            }
        }
        // SCAN may give a key twice.
        replicas.sort_by(|a, b| (&a.stage, &a.name, a.process).cmp(&(&b.stage, &b.name, b.process)));
        replicas.dedup();
        Ok((replicas, cursor == "0"))
    }
}

/// One announcement; nothing when it ended meanwhile.
fn replica(value: Value) -> Result<Option<Replica>, StreamsError> {
    let mut fields = BTreeMap::new();
    for (field, value) in reply::pairs(value)? {
        fields.insert(field, reply::text(value)?);
    }
    let Some(stage) = fields.remove("stage") else { return Ok(None) };
    let mut of = |name: &str| fields.remove(name).unwrap_or_default();
    let (name, process, version) = (of("name"), of("process"), of("version"));
    let (started_at_ms, config_hash) = (of("started_at_ms"), of("config_hash"));
    let settings =
        fields.into_iter().filter_map(|(field, value)| Some((field.strip_prefix(SETTING)?.to_owned(), value)));
    Ok(Some(Replica {
        stage,
        name,
        process: process.parse().unwrap_or(0),
        version,
        started_at_ms: started_at_ms.parse().unwrap_or(0),
        config_hash,
        settings: settings.collect(),
    }))
}
