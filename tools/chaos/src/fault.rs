//! What can go wrong, as data: a schedule that was printed is read back as the very same schedule.

use serde::{Deserialize, Serialize};

use crate::weather::Weather;

/// One fault. Times are in milliseconds; a fault that lasts is undone after `for_ms`, or by the healing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum Fault {
    /// SIGKILL; started again after `for_ms`, under its own consumer name or under a new one.
    KillStage {
        /// Which process.
        stage: String,
        /// How long it is down.
        for_ms: u64,
        /// Whether it comes back under a new consumer name, as a replaced container does.
        renamed: bool,
    },
    /// SIGSTOP, longer than the visibility timeout, then SIGCONT.
    FreezeStage {
        /// Which process.
        stage: String,
        /// How long.
        for_ms: u64,
    },
    /// A replica is removed by SIGTERM, and comes back.
    RemoveReplica {
        /// Which process.
        stage: String,
        /// How long it is gone.
        for_ms: u64,
    },
    /// A replica more of the same stage.
    AddReplica {
        /// Of which stage.
        stage: String,
    },
    /// Every process is ended by SIGTERM and started again, one after another.
    RollingRestart,
    /// SIGKILL of Redis; started again on what it wrote.
    KillRedis {
        /// How long it is down.
        for_ms: u64,
    },
    /// SIGKILL of Redis, and the end of its append-only file is lost, as by a loss of power.
    CutRedis {
        /// How much is lost.
        bytes: u64,
        /// How long it is down.
        for_ms: u64,
    },
    /// Redis comes back with what it held `for_ms` before, as after a failover to a stale replica.
    TurnBackRedis {
        /// How far.
        for_ms: u64,
    },
    /// FLUSHALL.
    FlushRedis,
    /// `maxmemory` just above what is used.
    FillRedis {
        /// How long.
        for_ms: u64,
    },
    /// Redis can write no byte more to its disk.
    FillRedisDisk {
        /// How long.
        for_ms: u64,
    },
    /// SIGSTOP of Redis: connections stay open, and nothing answers.
    FreezeRedis {
        /// How long.
        for_ms: u64,
    },
    /// CLIENT KILL of everybody.
    DropRedisClients,
    /// SIGKILL of the database server; started again on its data.
    KillMySql {
        /// How long it is down.
        for_ms: u64,
    },
    /// The database takes no writes.
    MySqlReadOnly {
        /// How long.
        for_ms: u64,
    },
    /// SIGSTOP of the database server.
    FreezeMySql {
        /// How long.
        for_ms: u64,
    },
    /// KILL CONNECTION of everybody.
    DropMySqlClients,
    /// Something on the way to a server.
    Way {
        /// To which one.
        server: Server,
        /// What.
        toxic: Toxic,
        /// How long.
        for_ms: u64,
    },
    /// The money service misbehaves.
    Money {
        /// How.
        weather: Weather,
        /// How long.
        for_ms: u64,
    },
    /// SIGKILL of the money service; started again on its ledger.
    KillMoney {
        /// How long it is down.
        for_ms: u64,
    },
    /// The promotion is stopped by hand, and resumed.
    Stop {
        /// How long.
        for_ms: u64,
    },
    /// The same file is loaded again.
    LoadAgain,
    /// Somebody acknowledges and deletes an entry that is not theirs.
    LoseEntry,
    /// Somebody drops a consumer together with what it holds.
    LoseConsumer,
    /// Somebody destroys a consumer group.
    LoseGroup,
    /// An entry looks as if it had crashed its consumers over and over.
    PoisonEntry,
    /// A stranger adds an entry that nobody can read.
    StrangeEntry,
}

/// A server that stages talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Server {
    /// Redis.
    Redis,
    /// The database.
    MySql,
    /// The money service.
    Money,
}

/// What happens on the way to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Toxic {
    /// Nothing.
    None,
    /// Connections that are open are closed once; new ones work.
    Cut,
    /// Open ones are closed, and new ones are refused.
    Refuse,
    /// Everything comes so much later.
    Delay {
        /// How much, each way.
        ms: u64,
    },
    /// A connection is reset behind so many bytes of answers.
    ResetAfter {
        /// How many.
        bytes: u64,
    },
    /// Requests arrive, answers get lost.
    DropAnswers,
    /// Connections stay open, and nothing passes in either direction.
    HalfOpen,
}

impl Fault {
    /// Its name in tables, without its figures.
    pub fn name(&self) -> &'static str {
        match self {
            Self::KillStage { .. } => "stage killed",
            Self::FreezeStage { .. } => "stage frozen past the visibility timeout",
            Self::RemoveReplica { .. } => "replica removed (SIGTERM)",
            Self::AddReplica { .. } => "replica added",
            Self::RollingRestart => "rolling restart",
            Self::KillRedis { .. } => "Redis killed",
            Self::CutRedis { .. } => "Redis killed, AOF cut",
            Self::TurnBackRedis { .. } => "Redis put back to an earlier copy",
            Self::FlushRedis => "FLUSHALL",
            Self::FillRedis { .. } => "Redis out of memory",
            Self::FillRedisDisk { .. } => "Redis' disk full",
            Self::FreezeRedis { .. } => "Redis frozen",
            Self::DropRedisClients => "CLIENT KILL",
            Self::KillMySql { .. } => "MySQL killed",
            Self::MySqlReadOnly { .. } => "MySQL read-only",
            Self::FreezeMySql { .. } => "MySQL frozen",
            Self::DropMySqlClients => "KILL CONNECTION",
            Self::Way { toxic, .. } => toxic.name(),
            Self::Money { weather, .. } => weather.name(),
            Self::KillMoney { .. } => "money killed",
            Self::Stop { .. } => "stopped and resumed",
            Self::LoadAgain => "file loaded again",
            Self::LoseEntry => "entry deleted from outside",
            Self::LoseConsumer => "consumer dropped with its entries",
            Self::LoseGroup => "group destroyed",
            Self::PoisonEntry => "entry that crashes consumers",
            Self::StrangeEntry => "entry that nobody can read",
        }
    }

    /// When it is undone, counted from its beginning.
    pub fn lasts_ms(&self) -> Option<u64> {
        match self {
            Self::KillStage { for_ms, .. }
            | Self::FreezeStage { for_ms, .. }
            | Self::RemoveReplica { for_ms, .. }
            | Self::KillRedis { for_ms }
            | Self::CutRedis { for_ms, .. }
            | Self::TurnBackRedis { for_ms }
            | Self::FillRedis { for_ms }
            | Self::FillRedisDisk { for_ms }
            | Self::FreezeRedis { for_ms }
            | Self::KillMySql { for_ms }
            | Self::MySqlReadOnly { for_ms }
            | Self::FreezeMySql { for_ms }
            | Self::Way { for_ms, .. }
            | Self::Money { for_ms, .. }
            | Self::KillMoney { for_ms }
            | Self::Stop { for_ms } => Some(*for_ms),
            Self::AddReplica { .. }
            | Self::RollingRestart
            | Self::FlushRedis
            | Self::DropRedisClients
            | Self::DropMySqlClients
            | Self::LoadAgain
            | Self::LoseEntry
            | Self::LoseConsumer
            | Self::LoseGroup
            | Self::PoisonEntry
            | Self::StrangeEntry => None,
        }
    }
}

impl Toxic {
    fn name(self) -> &'static str {
        match self {
            Self::None => "way clear",
            Self::Cut => "connections cut",
            Self::Refuse => "connections refused",
            Self::Delay { .. } => "everything delayed",
            Self::ResetAfter { .. } => "connections reset behind n bytes",
            Self::DropAnswers => "answers dropped",
            Self::HalfOpen => "connections half open",
        }
    }
}
