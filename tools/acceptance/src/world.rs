//! Servers, a database, a sandbox and stages for one test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use servers::{Finished, Fixture, Launch, MySql, MySqlOptions, Redis, RedisOptions};
use tempfile::TempDir;

use crate::{Books, Cache, Campaign, Money, Plan, Sql, Stage, Stages, pin, until};

/// Small figures, so that what takes minutes in production takes a moment here. Each stands within the bounds that
/// the stages check.
const SETTINGS: [(&str, &str); 16] = [
    ("PAYOUT_LOG_FORMAT", "text"),
    ("PAYOUT_MONEY_TIMEOUT", "500ms"),
    ("PAYOUT_MONEY_MAX_RPS", "0"),
    ("PAYOUT_MONEY_CONCURRENCY", "32"),
    ("PAYOUT_MONEY_FINAL_ERROR_CODES", "CUSTOMER_NOT_ELIGIBLE"),
    ("PAYOUT_RETRY_VISIBILITY_TIMEOUT", "2500ms"),
    ("PAYOUT_RETRY_BACKOFF_BASE", "100ms"),
    ("PAYOUT_RETRY_BACKOFF_CAP", "1s"),
    ("PAYOUT_RETRY_TICK", "100ms"),
    // Where many answers are lost on purpose, five attempts would run out by chance.
    ("PAYOUT_RETRY_MAX_ATTEMPTS", "10"),
    ("PAYOUT_DISPATCHER_POLL", "100ms"),
    ("PAYOUT_PAYER_POLL", "100ms"),
    ("PAYOUT_PAYER_BLOCK", "200ms"),
    ("PAYOUT_CONSUMER_LEASE", "1500ms"),
    ("PAYOUT_SUMMARIZER_FLUSH_INTERVAL", "200ms"),
    ("PAYOUT_SUMMARIZER_SWEEP_INTERVAL", "4s"),
];

/// The rule that every stage breaks on purpose, when this very test is to fail: `cargo xtask mutants` sets it.
const MUTANT: &str = "PAYOUT_MUTANT";

const COMMAND_BOUND: Duration = Duration::from_secs(120);

/// What a [`World`] is made of.
#[derive(Debug, Default)]
pub struct Build {
    redis: Option<RedisOptions>,
    mysql: Option<MySqlOptions>,
    money: Vec<String>,
    settings: Vec<(String, String)>,
}

impl Build {
    /// With a Redis of its own, to break.
    #[must_use]
    pub fn own_redis(self, options: RedisOptions) -> Self {
        Self { redis: Some(options), ..self }
    }

    /// With a MySQL server of its own, to break.
    #[must_use]
    pub fn own_mysql(self) -> Self {
        Self { mysql: Some(MySqlOptions::default()), ..self }
    }

    /// Flags of the sandbox.
    #[must_use]
    pub fn money(mut self, flags: &[&str]) -> Self {
        self.money.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// A setting of all stages.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// For a test whose subject is no timeout and no takeover: a machine that stands still for a few seconds makes no
    /// outcome unknown and gives nothing back unsent.
    #[must_use]
    pub fn unhurried(self) -> Self {
        self.set("PAYOUT_MONEY_TIMEOUT", "5s")
            .set("PAYOUT_RETRY_VISIBILITY_TIMEOUT", "30s")
            .set("PAYOUT_SUMMARIZER_SWEEP_INTERVAL", "60s")
    }

    /// Starts the servers and makes the schema with `promoctl migrate`.
    ///
    /// # Panics
    /// When a server does not start.
    pub fn start(self) -> World {
        let fixture = Fixture::shared();
        let dir = tempfile::tempdir().expect("a folder");
        let own_redis = self.redis.map(|options| Redis::start(options).expect("start Redis"));
        let own_mysql = self.mysql.map(|options| MySql::start(options).expect("start MySQL"));
        let redis_url = own_redis.as_ref().map_or_else(|| fixture.fresh_redis_db().expect("a number"), Redis::url);
        let database_url = match &own_mysql {
            Some(mysql) => mysql.create_database("payout").expect("a database"),
            None => fixture.fresh_database().expect("a database"),
        };
        let key_file = dir.path().join("pin.key");
        fs::write(&key_file, pin::key_file()).expect("write the key");
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).expect("protect the key");
        let money = Money::start(dir.path(), &self.money);
        let world = World {
            sql: Sql::open(&database_url),
            cache: Cache::open(&redis_url),
            money,
            settings: self.settings,
            database_url,
            redis_url,
            key_file,
            own_redis,
            own_mysql,
            dir,
        };
        world.promoctl(&["migrate"]).ok().unwrap_or_else(|error| panic!("{error}"));
        world
    }
}

/// Where a test works.
#[derive(Debug)]
pub struct World {
    /// The database.
    pub sql: Sql,
    /// The Redis.
    pub cache: Cache,
    /// The money service.
    pub money: Money,
    settings: Vec<(String, String)>,
    database_url: String,
    redis_url: String,
    key_file: PathBuf,
    own_redis: Option<Redis>,
    own_mysql: Option<MySql>,
    dir: TempDir,
}

impl World {
    /// With nothing special about it.
    pub fn plain() -> Self {
        Self::build().start()
    }

    /// With something special about it.
    pub fn build() -> Build {
        Build::default()
    }

    /// Its own Redis.
    ///
    /// # Panics
    /// When it shares one.
    pub fn redis(&self) -> &Redis {
        self.own_redis.as_ref().expect("a Redis of its own")
    }

    /// Its own MySQL server.
    ///
    /// # Panics
    /// When it shares one.
    pub fn mysql(&self) -> &MySql {
        self.own_mysql.as_ref().expect("a MySQL server of its own")
    }

    /// Where its stages write their logs.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a promotion as another system would.
    pub fn write(&self, plan: &Plan) -> Campaign {
        plan.write(&self.sql)
    }

    /// A promotion that somebody else wrote: the loader.
    pub fn find(&self, code: &str) -> Campaign {
        Campaign::find(&self.sql, code)
    }

    /// How a stage is started here, under this name.
    pub fn launch(&self, stage: &str, name: &str) -> Launch {
        let launch = Launch::stage(stage, name, self.dir()).unwrap_or_else(|error| panic!("{error}"));
        launch
            .env("DATABASE_URL", &self.database_url)
            .env("REDIS_URL", &self.redis_url)
            .env("MONEY_URL", self.money.url())
            .env("MONEY_TOKEN", self.money.token())
            .env("PAYOUT_PIN_KEY_FILE", &self.key_file)
            .env("PAYOUT_CONSUMER_NAME", name)
            .env("USER", "tester")
            .envs(SETTINGS)
            .envs(self.settings.clone())
            .envs(mutant().map(|name| (MUTANT, name)))
    }

    /// Starts a stage under this name.
    pub fn stage(&self, stage: &str, name: &str) -> Stage {
        Stage(self.launch(stage, name).start().unwrap_or_else(|error| panic!("{error}")))
    }

    /// Starts a whole pipeline.
    pub fn run(&self, payers: u32) -> Stages {
        Stages {
            dispatcher: self.stage("dispatcher", "dispatcher"),
            payers: (1..=payers).map(|number| self.stage("payer", &format!("payer-{number}"))).collect(),
            retrier: self.stage("retrier", "retrier-1"),
            summarizer: self.stage("summarizer", "summarizer"),
        }
    }

    /// Runs the operators' command line.
    pub fn promoctl(&self, args: &[&str]) -> Finished {
        let launch = self.launch("promoctl", "promoctl").args(args);
        launch.run(COMMAND_BOUND).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A promotion's status, while the database answers.
    pub fn status(&self, campaign: &Campaign) -> Option<String> {
        let sql = format!(
            "SELECT CAST(promotion_status AS CHAR) FROM campaign_promotions WHERE promotion_id = {}",
            campaign.id
        );
        self.sql.try_rows::<(String,)>(&sql).ok()?.pop().map(|(status,)| status)
    }

    /// Waits for a status.
    pub fn reaches(&self, campaign: &Campaign, status: &str, bound: Duration) {
        until(&format!("{} becomes {status}", campaign.code), bound, || {
            (self.status(campaign)? == status).then_some(())
        });
    }

    /// Waits until a promotion is completed and its keys are gone.
    pub fn completed(&self, campaign: &Campaign, bound: Duration) {
        self.reaches(campaign, "COMPLETED", bound);
        until(&format!("the keys of {} are removed", campaign.code), Duration::from_secs(15), || {
            let streams = (0..campaign.partitions).map(|partition| Cache::stream(campaign, partition));
            let gone = |key: String| self.cache.ask::<i64>(&["EXISTS", &key]).is_ok_and(|count| count == 0);
            streams.into_iter().all(gone).then_some(())
        });
    }

    /// Freezes a stage (SIGSTOP) at a moment when its name holds entries; gives how many.
    ///
    /// # Panics
    /// When it never does.
    pub fn freeze_holding(&self, stage: &Stage, campaign: &Campaign) -> i64 {
        until(&format!("{} holds something", stage.name()), Duration::from_secs(30), || {
            stage.sigstop().unwrap_or_else(|error| panic!("{error}"));
            let held = self.cache.held(campaign).get(stage.name()).copied().unwrap_or(0);
            if held == 0 {
                stage.sigcont().unwrap_or_else(|error| panic!("{error}"));
            }
            (held > 0).then_some(held)
        })
    }

    /// Waits until every charge that money put off (`--late`) has been executed, or met a key that was paid or burnt.
    pub fn late_charges_arrived(&self, bound: Duration) {
        until("no late request is on its way", bound, || {
            let arrived = self.money.stat("/late_executed") + self.money.stat("/late_stopped");
            (arrived == self.money.stat("/charge/faults/late")).then_some(())
        });
    }

    /// Waits until so many payments stand in the ledger.
    pub fn paid(&self, at_least: u64, bound: Duration) {
        until(&format!("{at_least} payments"), bound, || (self.money.paid() >= at_least).then_some(()));
    }

    /// The id of a promotion's summary row, once it has been started.
    pub fn summary_id(&self, campaign: &Campaign) -> Option<i64> {
        let sql =
            format!("SELECT promotion_summary_id FROM campaign_promotion_summary WHERE promotion_id = {}", campaign.id);
        self.sql.try_rows::<(i64,)>(&sql).ok()?.pop().map(|(id,)| id)
    }

    /// What the summary row says about a stop or a failure.
    pub fn memo(&self, campaign: &Campaign) -> String {
        let sql = format!(
            "SELECT COALESCE(CAST(stopped_memo AS CHAR), '') FROM campaign_promotion_summary WHERE promotion_id = {}",
            campaign.id
        );
        self.sql.rows::<(String,)>(&sql).pop().map(|(memo,)| memo).unwrap_or_default()
    }

    /// Ledger and rows of a promotion, read now: the ledger first.
    pub fn books(&self, campaign: &Campaign) -> Books<'_> {
        Books::read(self.money.ledger(&campaign.code), &self.sql, &self.cache, campaign)
    }

    /// All that the stages and the sandbox have written to their logs.
    pub fn logs(&self) -> Vec<(String, String)> {
        let files = fs::read_dir(self.dir()).into_iter().flatten().flatten().map(|entry| entry.path());
        let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        let mut logs: Vec<_> = logs
            .map(|path| {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
                (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text)
            })
            .collect();
        logs.sort();
        logs
    }
}

fn mutant() -> Option<String> {
    std::env::var(MUTANT).ok()
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (name, log) in self.logs() {
                let lines: Vec<&str> = log.lines().collect();
                let last = &lines[lines.len().saturating_sub(15)..];
                eprintln!("--- the end of {name} ---\n{}", last.join("\n"));
            }
        }
    }
}
