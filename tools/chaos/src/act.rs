//! Carrying out faults: their beginning, and their end. A fault that finds nothing to break has missed, and is not
//! counted.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use redis::Value;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::fault::{Fault, Toxic};
use crate::hazard::Hazard;
use crate::stand::Stand;

/// Room that a full Redis has left.
const MEMORY_LEFT: u64 = 20_000;
/// Deliveries of an entry that looks as if it crashed its consumers; above `retry.poison_deliveries` and any attempts.
const POISON: &str = "500";
/// Idle time of such an entry: due at once.
const LONG_IDLE_MS: &str = "3600000";

/// Pending entries as `XPENDING` lists them: id, consumer, how long idle in ms, deliveries.
type Pending = Vec<(String, String, i64, i64)>;

impl Stand<'_> {
    /// Begins a fault. `false` when there was nothing to break.
    ///
    /// # Errors
    /// It cannot be carried out; also a server that another fault has taken away is such an error.
    pub fn begin(&mut self, fault: &Fault) -> Result<bool> {
        if asks_a_server(fault) {
            self.wake_servers();
        }
        match fault {
            Fault::KillStage { stage, renamed, .. } => {
                let killed = self.crew.kill(stage)?;
                if *renamed {
                    self.crew.rename(stage);
                }
                Ok(killed)
            }
            Fault::FreezeStage { stage, .. } => self.freeze(stage),
            Fault::RemoveReplica { stage, .. } => Ok(self.crew.end(std::slice::from_ref(stage))? > 0),
            Fault::AddReplica { stage } => self.crew.add(stage).map(|()| true),
            Fault::RollingRestart => self.roll(),
            Fault::KillRedis { .. } | Fault::CutRedis { .. } => {
                self.redis.kill9()?;
                if let Fault::CutRedis { bytes, .. } = fault {
                    cut(self.redis.dir(), *bytes)?;
                }
                Ok(true)
            }
            Fault::TurnBackRedis { .. } => copy(&kept(self.redis.dir()), &self.dir.join("earlier")).map(|()| true),
            Fault::FlushRedis => self.redis_says(&["FLUSHALL"]),
            Fault::FillRedis { .. } => self.fill_redis(),
            Fault::FillRedisDisk { .. } => self.limit_redis_files(),
            Fault::FreezeRedis { .. } => self.redis.pause().map(|()| true),
            Fault::DropRedisClients => self.redis_says(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]),
            Fault::KillMySql { .. } => self.lane.mysql.kill9().map(|()| true),
            Fault::MySqlReadOnly { .. } => self.lane.mysql.sql("SET GLOBAL read_only = 1").map(|()| true),
            Fault::FreezeMySql { .. } => self.lane.mysql.pause().map(|()| true),
            Fault::DropMySqlClients => self.drop_mysql_clients(),
            Fault::Way { server, toxic, .. } => {
                self.lane.way(*server).set(*toxic);
                Ok(true)
            }
            Fault::Money { weather, .. } => {
                let runs = self.money.process().is_running();
                if runs {
                    self.money.faults(weather.faults());
                }
                Ok(runs)
            }
            Fault::KillMoney { .. } => self.money.process().kill9().map(|()| true),
            Fault::Stop { .. } => self.change("stop"),
            Fault::LoadAgain => Ok(self.loader()?.run(std::time::Duration::from_secs(30))?.status.success()),
            Fault::LoseEntry => self.lose_entry(),
            Fault::LoseConsumer => self.lose_consumer(),
            Fault::LoseGroup => self.redis_changes(&["XGROUP", "DESTROY", &self.stream(0)?, "payers"]),
            Fault::PoisonEntry => self.poison_entry(),
            Fault::StrangeEntry => self.strange_entry(),
        }
    }

    /// Ends a fault that lasts. Ending one twice is harmless.
    ///
    /// # Errors
    /// It cannot be ended.
    pub fn end(&mut self, fault: &Fault) -> Result<()> {
        if asks_a_server(fault) {
            self.wake_servers();
        }
        match fault {
            Fault::KillStage { stage, .. } | Fault::RemoveReplica { stage, .. } => self.crew.start(stage),
            Fault::FreezeStage { stage, .. } => self.thaw(stage),
            Fault::KillRedis { .. } | Fault::CutRedis { .. } => self.redis.restart(),
            Fault::TurnBackRedis { .. } => self.turn_back(),
            Fault::FillRedis { .. } => self.redis_says(&["CONFIG", "SET", "maxmemory", "0"]).map(drop),
            Fault::FillRedisDisk { .. } => self.redis_file_limit(None),
            Fault::FreezeRedis { .. } => self.redis.resume(),
            Fault::KillMySql { .. } => self.lane.mysql.restart(),
            Fault::MySqlReadOnly { .. } => self.lane.mysql.sql("SET GLOBAL read_only = 0"),
            Fault::FreezeMySql { .. } => self.lane.mysql.resume(),
            Fault::Way { server, .. } => {
                self.lane.way(*server).set(Toxic::None);
                Ok(())
            }
            Fault::Money { .. } => {
                // Who was killed meanwhile has forgotten it.
                if self.money.process().is_running() {
                    self.money.faults(self.plan.weather.faults());
                }
                Ok(())
            }
            Fault::KillMoney { .. } => {
                self.money.restart();
                self.money.faults(self.plan.weather.faults());
                Ok(())
            }
            Fault::Stop { .. } => self.change("resume").map(drop),
            Fault::AddReplica { .. }
            | Fault::RollingRestart
            | Fault::FlushRedis
            | Fault::DropRedisClients
            | Fault::DropMySqlClients
            | Fault::LoadAgain
            | Fault::LoseEntry
            | Fault::LoseConsumer
            | Fault::LoseGroup
            | Fault::PoisonEntry
            | Fault::StrangeEntry => Ok(()),
        }
    }

    /// Ends freezes early: nobody waits for a frozen server's answer.
    fn wake_servers(&self) {
        // One that is down has nothing to wake.
        let _ = (self.redis.resume(), self.lane.mysql.resume());
    }

    fn freeze(&mut self, stage: &str) -> Result<bool> {
        if !self.crew.freeze(stage)? {
            return Ok(false);
        }
        let held = self.held_by(stage).unwrap_or_default();
        self.held.push((stage.to_owned(), held));
        Ok(true)
    }

    /// Wakes a process; counts when others have taken what it held.
    pub(crate) fn thaw(&mut self, stage: &str) -> Result<()> {
        let held: Vec<(u32, String)> =
            self.held.extract_if(.., |(name, _)| name == stage).flat_map(|(_, held)| held).collect();
        let taken = held.iter().any(|entry| self.is_anothers(stage, entry));
        if self.crew.thaw(stage)? && taken {
            self.crew.hazards.met(Hazard::WokeAfterTaken, 1);
        }
        Ok(())
    }

    /// Whether somebody else holds an entry by now. One that is not pending at all proves nothing: a stream may be gone.
    fn is_anothers(&self, stage: &str, (partition, id): &(u32, String)) -> bool {
        let Some(campaign) = &self.campaign else { return false };
        let stream = acceptance::Cache::stream(campaign, *partition);
        let found = self.cache.ask::<Pending>(&["XPENDING", &stream, "payers", id, id, "1"]);
        found.is_ok_and(|found| found.iter().any(|(_, consumer, ..)| *consumer != self.crew.consumer(stage)))
    }

    /// Partitions and ids of the entries that a process holds, while Redis answers.
    fn held_by(&self, stage: &str) -> Option<Vec<(u32, String)>> {
        let (campaign, consumer) = (self.campaign.as_ref()?, self.crew.consumer(stage));
        self.cache.ask::<String>(&["PING"]).ok()?;
        let of = |partition| {
            let ids = self.cache.pending_ids(campaign, partition, &consumer);
            ids.into_iter().map(move |id| (partition, id))
        };
        Some((0..campaign.partitions).flat_map(of).collect())
    }

    /// One replica of each stage after the other.
    fn roll(&mut self) -> Result<bool> {
        let names = self.crew.names();
        let number = |name: &String| name.rsplit('-').next().map(str::to_owned);
        let mut numbers: Vec<String> = names.iter().filter_map(number).collect();
        numbers.sort();
        numbers.dedup();
        for turn in numbers {
            let of_turn: Vec<String> =
                names.iter().filter(|name| number(name).as_ref() == Some(&turn)).cloned().collect();
            self.crew.end(&of_turn)?;
            for name in of_turn {
                self.crew.start(&name)?;
            }
        }
        Ok(true)
    }

    fn stream(&self, partition: u32) -> Result<String> {
        Ok(acceptance::Cache::stream(self.campaign()?, partition))
    }

    fn redis_says(&self, command: &[&str]) -> Result<bool> {
        self.cache.ask::<Value>(command)?;
        Ok(true)
    }

    /// A command that says how much it changed.
    fn redis_changes(&self, command: &[&str]) -> Result<bool> {
        Ok(self.cache.ask::<i64>(command)? > 0)
    }

    fn fill_redis(&self) -> Result<bool> {
        let info: String = self.cache.ask(&["INFO", "memory"])?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse::<u64>().ok());
        let most = used.context("Redis does not say what it uses")? + MEMORY_LEFT;
        self.redis_says(&["CONFIG", "SET", "maxmemory", &most.to_string()])
    }

    /// A full disk without a disk to fill: the kernel lets Redis write no further than its append-only file is long.
    fn limit_redis_files(&self) -> Result<bool> {
        let log = append_only_file(self.redis.dir())?;
        self.redis_file_limit(Some(fs::metadata(log)?.len())).map(|()| true)
    }

    fn redis_file_limit(&self, most: Option<u64>) -> Result<()> {
        let pid = i32::try_from(self.redis.pid()?).ok().and_then(Pid::from_raw);
        prlimit(pid, Resource::Fsize, Rlimit { current: most, maximum: None }).context("cannot limit Redis' files")?;
        Ok(())
    }

    fn turn_back(&self) -> Result<()> {
        let earlier = self.dir.join("earlier");
        if !earlier.exists() {
            return Ok(());
        }
        self.redis.kill9()?;
        copy(&earlier, &kept(self.redis.dir()))?;
        fs::remove_dir_all(&earlier)?;
        self.redis.restart()
    }

    fn drop_mysql_clients(&self) -> Result<bool> {
        let clients: Vec<(i64,)> = self
            .lane
            .sql
            .try_rows("SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE user = 'stage'")?;
        for (client,) in &clients {
            // It may have left by itself.
            let _ = self.lane.mysql.sql(&format!("KILL CONNECTION {client}"));
        }
        Ok(!clients.is_empty())
    }

    /// An entry that somebody holds, with its stream.
    fn some_entry(&self) -> Result<Option<(String, String)>> {
        for partition in 0..self.campaign()?.partitions {
            let stream = self.stream(partition)?;
            let pending: Pending = self.cache.ask(&["XPENDING", &stream, "payers", "-", "+", "1"]).unwrap_or_default();
            if let Some((id, ..)) = pending.into_iter().next() {
                return Ok(Some((stream, id)));
            }
        }
        Ok(None)
    }

    fn lose_entry(&self) -> Result<bool> {
        let Some((stream, id)) = self.some_entry()? else { return Ok(false) };
        let acknowledged = self.redis_changes(&["XACK", &stream, "payers", &id])?;
        Ok(self.redis_changes(&["XDEL", &stream, &id])? && acknowledged)
    }

    fn lose_consumer(&self) -> Result<bool> {
        let campaign = self.campaign()?;
        for partition in 0..campaign.partitions {
            let held = self.cache.held_by(campaign, partition);
            if let Some(consumer) = held.into_iter().find_map(|(name, count)| (count > 0).then_some(name)) {
                return self.redis_changes(&["XGROUP", "DELCONSUMER", &self.stream(partition)?, "payers", &consumer]);
            }
        }
        Ok(false)
    }

    fn poison_entry(&self) -> Result<bool> {
        let Some((stream, id)) = self.some_entry()? else { return Ok(false) };
        let claim = ["XCLAIM", &stream, "payers", "retry", "0", &id];
        let options = ["IDLE", LONG_IDLE_MS, "RETRYCOUNT", POISON, "JUSTID"];
        let taken: Vec<String> = self.cache.ask(&[&claim[..], &options[..]].concat())?;
        Ok(!taken.is_empty())
    }

    fn strange_entry(&self) -> Result<bool> {
        let (campaign, stream) = (self.campaign()?, self.stream(0)?);
        if self.cache.ask::<i64>(&["EXISTS", &stream])? == 0 {
            return Ok(false);
        }
        let (last, _) = self.cache.position(campaign, 0);
        self.redis_says(&["XADD", &stream, &format!("{last}-*"), "who", "a stranger"])
    }
}

/// Whether a fault is carried out by asking a server.
fn asks_a_server(fault: &Fault) -> bool {
    match fault {
        Fault::FreezeStage { .. }
        | Fault::FlushRedis
        | Fault::FillRedis { .. }
        | Fault::DropRedisClients
        | Fault::MySqlReadOnly { .. }
        | Fault::DropMySqlClients
        | Fault::Stop { .. }
        | Fault::LoadAgain
        | Fault::LoseEntry
        | Fault::LoseConsumer
        | Fault::LoseGroup
        | Fault::PoisonEntry
        | Fault::StrangeEntry => true,
        Fault::KillStage { .. }
        | Fault::RemoveReplica { .. }
        | Fault::AddReplica { .. }
        | Fault::RollingRestart
        | Fault::KillRedis { .. }
        | Fault::CutRedis { .. }
        | Fault::TurnBackRedis { .. }
        | Fault::FillRedisDisk { .. }
        | Fault::FreezeRedis { .. }
        | Fault::KillMySql { .. }
        | Fault::FreezeMySql { .. }
        | Fault::Way { .. }
        | Fault::Money { .. }
        | Fault::KillMoney { .. } => false,
    }
}

/// Where Redis keeps what it holds.
fn kept(redis: &Path) -> PathBuf {
    redis.join("appendonlydir")
}

fn append_only_file(redis: &Path) -> Result<PathBuf> {
    let files = fs::read_dir(kept(redis))?.flatten().map(|entry| entry.path());
    let mut logs = files.filter(|path| path.to_string_lossy().ends_with(".incr.aof"));
    logs.next().context("Redis writes no append-only file")
}

/// The last bytes were never written.
fn cut(redis: &Path, bytes: u64) -> Result<()> {
    let file = fs::OpenOptions::new().write(true).open(append_only_file(redis)?)?;
    let length = file.metadata()?.len();
    file.set_len(length.saturating_sub(bytes))?;
    Ok(())
}

/// Replaces a folder of files by a copy of another one.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
    }
    Ok(())
}
