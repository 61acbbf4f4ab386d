//! The money sandbox as a process.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::dirs::InstanceDir;
use crate::{Launch, Lifetime, Process, ProcessId, binary, free_port, poll};

/// What it prints once it listens, before its URL.
const READY: &str = "money-sandbox listening on ";
const START_BOUND: Duration = Duration::from_secs(20);
const PORT_TRIES: u32 = 5;

/// What a [`Sandbox`] is started with.
#[derive(Clone, Debug, Default)]
pub struct SandboxOptions {
    /// More arguments: the faults.
    pub args: Vec<String>,
    /// Where its ledger and log go; kept when it ends. By default a directory of its own that is removed with it.
    pub dir: Option<PathBuf>,
    /// The program; by default the one of the caller's own profile (see [`crate::binary`]).
    pub program: Option<PathBuf>,
    /// The bearer token that it asks for, by default `sandbox-token`.
    pub token: Option<String>,
    /// How long it may live.
    pub lifetime: Lifetime,
}

/// The money sandbox on a free loopback port. Dropping it kills it; a restart keeps its port and its ledger.
#[derive(Debug)]
pub struct Sandbox {
    process: Process,
    port: u16,
    token: String,
    dir: InstanceDir,
}

impl Sandbox {
    /// Starts one and waits until it listens.
    pub fn start(options: SandboxOptions) -> Result<Self> {
        let mut tries = 0;
        loop {
            tries += 1;
            let dir = InstanceDir::new("money-sandbox", options.dir.as_deref())?;
            let token = options.token.clone().unwrap_or_else(|| "sandbox-token".to_owned());
            let port = free_port()?;
            let program = options.program.clone().map_or_else(|| binary("money-sandbox"), Ok)?;
            let process = Launch::program(program, "money-sandbox", dir.path())?
                .args(["--addr", &format!("127.0.0.1:{port}"), "--token", &token])
                .arg("--ledger")
                .arg(dir.path().join("ledger"))
                .args(&options.args)
                .lifetime(options.lifetime)
                .start()?;
            let sandbox = Self { process, port, token, dir };
            match sandbox.wait_until_it_listens(1) {
                Ok(()) => return Ok(sandbox),
                Err(error) if tries == PORT_TRIES || !error.to_string().contains("in use") => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The bearer token it asks for.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Its append-only ledger.
    pub fn ledger(&self) -> PathBuf {
        self.dir.path().join("ledger")
    }

    /// The process, to kill, pause or read its log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Starts it again on the same port and ledger; kills it first when it still runs.
    pub fn restart(&self) -> Result<()> {
        let lives = self.lives();
        self.process.restart()?;
        self.wait_until_it_listens(lives + 1)
    }

    /// Lets go of it without ending it (for [`Lifetime::Detached`]); its directory stays.
    pub fn leave_running(mut self) -> ProcessId {
        self.dir.keep();
        self.process.leave_running()
    }

    /// How often it has said that it listens.
    fn lives(&self) -> usize {
        self.process.log().matches(READY).count()
    }

    fn wait_until_it_listens(&self, lives: usize) -> Result<()> {
        let ready = poll(START_BOUND, || {
            if self.lives() >= lives {
                return Some(true);
            }
            (!self.process.is_running()).then_some(false)
        });
        match ready {
            Some(true) => Ok(()),
            Some(false) => bail!(self.process.trouble("ended while starting")),
            None => bail!(self.process.trouble(&format!("did not listen within {START_BOUND:?}"))),
        }
    }
}
