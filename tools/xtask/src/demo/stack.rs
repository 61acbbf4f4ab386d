//! Everything that runs in a demo: two servers, the sandbox, the stages.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use servers::{Launch, Lifetime, MySql, MySqlOptions, Process, Redis, RedisOptions, Sandbox, SandboxOptions, poll};

use super::build;
use crate::http;
use crate::run_dir::RunDir;

const DATABASE: &str = "payout";
const READY_BOUND: Duration = Duration::from_secs(60);
const DRAIN_BOUND: Duration = Duration::from_secs(30);

/// 2 % retryable, 0.5 % refused, 0.2 % paid but the answer is lost.
const FAULTS: [&str; 8] = ["--unavailable", "0.02", "--refuse", "0.005", "--refuse-code", REFUSAL, "--lose", "0.002"];
const REFUSAL: &str = "CUSTOMER_NOT_ELIGIBLE";

/// The stages that run for the whole demo: binary and name.
const STAGES: [(&str, &str); 5] = [
    ("dispatcher", "dispatcher-1"),
    ("payer", "payer-1"),
    ("payer", "payer-2"),
    ("retrier", "retrier-1"),
    ("summarizer", "summarizer-1"),
];

/// What is running, and how to start more of it.
pub(crate) struct Stack {
    dir: Arc<RunDir>,
    lifetime: Lifetime,
    settings: BTreeMap<&'static str, String>,
    // Dropped in this order: stages before what they use.
    stages: Vec<Process>,
    money: Sandbox,
    redis: Redis,
    mysql: MySql,
}

impl Stack {
    /// Starts it all and waits until every stage is ready.
    pub(crate) fn start(dir: Arc<RunDir>, keep_running: bool) -> Result<Self> {
        let lifetime = if keep_running { Lifetime::Detached } else { Lifetime::WithParent };
        let redis = RedisOptions { dir: Some(dir.join("redis")), lifetime, ..RedisOptions::default() };
        let redis = dir.start("redis", || Redis::start(redis), Redis::id)?;
        let mysql = MySqlOptions {
            dir: Some(dir.join("mysql")),
            buffer_pool: Some("512M".to_owned()),
            lifetime,
            ..MySqlOptions::default()
        };
        let mysql = dir.start("mariadb", || MySql::start(mysql), MySql::id)?;
        let database_url = mysql.create_database(DATABASE)?;
        let money = SandboxOptions {
            args: FAULTS.map(str::to_owned).to_vec(),
            dir: Some(dir.join("money")),
            program: Some(build::program("money-sandbox")),
            lifetime,
            ..SandboxOptions::default()
        };
        let money = dir.start("money-sandbox", || Sandbox::start(money), |money| Ok(money.process().id()))?;
        let pin_key = write_pin_key(&dir)?;
        let settings = BTreeMap::from([
            ("DATABASE_URL", database_url),
            ("REDIS_URL", redis.url()),
            ("MONEY_URL", money.url()),
            ("MONEY_TOKEN", money.token().to_owned()),
            ("PAYOUT_PIN_KEY_FILE", pin_key),
            // The sandbox is on this machine and has no limit: the demo is to show the stages' own speed.
            ("PAYOUT_MONEY_MAX_RPS", "0".to_owned()),
            ("PAYOUT_MONEY_FINAL_ERROR_CODES", REFUSAL.to_owned()),
            // It answers within milliseconds: so what a killed payer held is taken over after 5 s, not 30 s.
            ("PAYOUT_MONEY_TIMEOUT", "1s".to_owned()),
            ("PAYOUT_RETRY_VISIBILITY_TIMEOUT", "5s".to_owned()),
            ("PAYOUT_SUMMARIZER_SWEEP_INTERVAL", "10s".to_owned()),
        ]);
        let mut stack = Self { dir, lifetime, settings, stages: Vec::new(), money, redis, mysql };
        stack.tool("promoctl")?.arg("migrate").run(READY_BOUND)?.ok()?;
        for (program, name) in STAGES {
            stack.start_stage(program, name)?;
        }
        for stage in &stack.stages {
            wait_until_ready(stage)?;
        }
        Ok(stack)
    }

    /// One of our programs with the demo's settings, to run to its end; never longer than the demo.
    pub(crate) fn tool(&self, program: &str) -> Result<Launch> {
        let launch = Launch::program(build::program(program), program, self.dir.join("stages"))?;
        Ok(launch.envs(&self.settings))
    }

    fn start_stage(&mut self, program: &str, name: &str) -> Result<()> {
        let launch = Launch::program(build::program(program), name, self.dir.join("stages"))?
            .envs(&self.settings)
            .env("PAYOUT_CONSUMER_NAME", name)
            .env("PAYOUT_METRICS_ADDR", "127.0.0.1:0")
            .lifetime(self.lifetime);
        let stage = self.dir.start(name, || launch.start(), |stage| Ok(stage.id()))?;
        self.stages.push(stage);
        Ok(())
    }

    /// SIGKILL to the first payer, and a new one under another name; says which.
    pub(crate) fn replace_a_payer(&mut self) -> Result<String> {
        let payer = |stage: &Process| stage.name().starts_with("payer");
        let at = self.stages.iter().position(payer).context("no payer is running")?;
        let killed = self.stages.remove(at);
        let pid = killed.pid();
        killed.kill9()?;
        self.start_stage("payer", "payer-3")?;
        Ok(format!("killed {} (pid {pid}, SIGKILL) and started payer-3", killed.name()))
    }

    /// An error when a stage has ended, with the end of its log.
    pub(crate) fn check(&self) -> Result<()> {
        match self.stages.iter().find(|stage| !stage.is_running()) {
            Some(stage) => bail!(stage.trouble("ended by itself")),
            None => Ok(()),
        }
    }

    /// The stages that run.
    pub(crate) fn stages(&self) -> &[Process] {
        &self.stages
    }

    /// Where everything lies.
    pub(crate) fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// The database's URL.
    pub(crate) fn database_url(&self) -> String {
        self.mysql.url(DATABASE)
    }

    /// The Redis server.
    pub(crate) fn redis_url(&self) -> String {
        self.redis.url()
    }

    /// The sandbox.
    pub(crate) fn money_url(&self) -> String {
        self.money.url()
    }

    /// The sandbox's address.
    pub(crate) fn money_addr(&self) -> Result<SocketAddr> {
        let url = self.money.url();
        url.trim_start_matches("http://").parse().with_context(|| format!("not an address: {url}"))
    }

    /// Writes what a shell needs to run any of our programs on what is left running, and says where it is.
    pub(crate) fn write_environment(&self) -> Result<String> {
        let programs = build::program("promoctl");
        let programs = programs.parent().context("the programs lie in a folder")?;
        let mut text = format!("export PATH='{}':\"$PATH\"\n", programs.display());
        for (name, value) in &self.settings {
            writeln!(text, "export {name}='{value}'")?;
        }
        // A stage that is started beside the others takes any free port.
        writeln!(text, "export PAYOUT_METRICS_ADDR='127.0.0.1:0'")?;
        write_private(&self.dir, "env.sh", &text)
    }

    /// Lets the stages drain, then ends everything; says what did not end as it should.
    pub(crate) fn stop(self) -> Vec<String> {
        let mut troubles = Vec::new();
        for stage in self.stages.iter().filter(|stage| stage.is_running()) {
            if let Err(error) = stage.sigterm() {
                troubles.push(format!("{error:#}"));
            }
        }
        for stage in &self.stages {
            match stage.wait(DRAIN_BOUND) {
                Some(status) if status.success() => {}
                Some(status) => troubles.push(format!("{} ended with {status}", stage.name())),
                None => troubles.push(format!("{} did not drain within {DRAIN_BOUND:?}", stage.name())),
            }
        }
        troubles
    }

    /// Lets go of everything without ending it.
    pub(crate) fn leave_running(self) -> Result<()> {
        for stage in self.stages {
            stage.leave_running();
        }
        self.money.leave_running();
        self.redis.leave_running()?;
        self.mysql.leave_running()?;
        Ok(())
    }
}

fn wait_until_ready(stage: &Process) -> Result<()> {
    let address = stage.metrics_addr(READY_BOUND)?;
    let ready = poll(READY_BOUND, || {
        let answer = http::get(address, "/readyz");
        let ready = answer.is_ok_and(|answer| answer.status == 200);
        (ready || !stage.is_running()).then_some(ready)
    });
    if ready != Some(true) {
        bail!(stage.trouble(&format!("is not ready after {READY_BOUND:?}")));
    }
    Ok(())
}

/// 64 hex digits from the system's random source, readable by us alone.
fn write_pin_key(dir: &RunDir) -> Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut hex = String::new();
    for byte in bytes {
        write!(hex, "{byte:02x}")?;
    }
    write_private(dir, "pin.key", &format!("{hex}\n"))
}

/// A file that we alone can read; its path.
fn write_private(dir: &RunDir, name: &str, text: &str) -> Result<String> {
    let path = dir.join(name);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(text.as_bytes())?;
    path.into_os_string().into_string().ok().context("the folder's path is not UTF-8")
}
