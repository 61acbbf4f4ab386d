//! A stand-in for the money service, as a program and inside tests.
//!
//! It is a real HTTP/1.1 server with the whole contract: charges under idempotency keys, look-ups, cancels, and a
//! ledger that is never wrong, so that a test can ask it who was paid, how often and how much. It fails on request
//! in every way that a money service is known to fail ([`faults::Faults`]).
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use money_sandbox::{Sandbox, Settings, faults::Faults};
//!
//! let sandbox = Sandbox::start(Settings::default()).await?;
//! sandbox.set_faults(Faults { lose: 0.1, ..Faults::default() })?;
//! println!("charge at {}, then compare: {:?}", sandbox.url(), sandbox.summary(None));
//! sandbox.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod body;
pub mod contract;
pub mod digest;
pub mod faults;
pub mod journal;
pub mod ledger;
pub mod log;
pub mod settings;
pub mod stats;
pub mod summary;

mod admin;
mod entry;
mod money;
mod replay;
mod reply;
mod request;
mod server;
mod spoil;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use settings::{LedgerPlace, Settings};
pub use summary::Summary;

use faults::Faults;
use journal::Journal;
use ledger::{KeyRules, Ledger};
use server::App;

/// Connections get this long to end; then they are cut.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// A running sandbox. Dropping it ends it at once; [`Sandbox::stop`] first waits for requests under way.
#[derive(Debug)]
pub struct Sandbox {
    app: Arc<App>,
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    writers: Vec<AbortHandle>,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.writers.iter().for_each(AbortHandle::abort);
        self.app.ledger.log().close();
        if let Some(journal) = &self.app.journal {
            journal.log().close();
        }
    }
}

impl Sandbox {
    /// Reads the ledger, opens the port and serves in the background.
    ///
    /// # Errors
    /// A setting is wrong, a file cannot be read, or the port is taken.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        settings.faults.validate().map_err(anyhow::Error::msg)?;
        let token = settings.read_token()?;
        let rules = KeyRules { ignore_keys: settings.ignore_idempotency_key, forget_after: settings.forget_keys_after };
        let ledger = match &settings.ledger {
            LedgerPlace::Memory => Ledger::in_memory(rules),
            LedgerPlace::File(path) => Ledger::open(path, rules)?,
        };
        let journal = settings.journal.as_deref().map(Journal::open).transpose()?;
        let listener =
            TcpListener::bind(settings.addr).await.with_context(|| format!("listen on {}", settings.addr))?;
        let addr = listener.local_addr()?;
        if let Some(path) = &settings.port_file {
            // Renamed into place, so that a reader never sees half a number.
            let temporary = path.with_extension("tmp");
            std::fs::write(&temporary, format!("{}\n", addr.port()))
                .and_then(|()| std::fs::rename(&temporary, path))
                .with_context(|| format!("write {}", path.display()))?;
        }
        let logs = [Some(ledger.log()), journal.as_ref().map(Journal::log)];
        let writers =
            logs.into_iter().flatten().map(|log| tokio::spawn(Arc::clone(log).run_writer()).abort_handle()).collect();
        let app = Arc::new(App::new(settings, ledger, journal, &token));
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(server::accept(Arc::clone(&app), listener, stopped));
        Ok(Self { app, addr, stop, writers })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it listens, as the base URL for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The faults in force.
    pub fn faults(&self) -> Arc<Faults> {
        self.app.faults()
    }

    /// Replaces all faults.
    ///
    /// # Errors
    /// A share or time is out of range; then nothing has changed.
    pub fn set_faults(&self, faults: Faults) -> anyhow::Result<()> {
        self.app.set_faults(faults).map_err(anyhow::Error::msg)
    }

    /// Counts and sums of the ledger, of one campaign or of all.
    pub fn summary(&self, campaign: Option<&str>) -> Summary {
        self.app.ledger.summary(campaign)
    }

    /// The counters.
    pub fn stats(&self) -> &stats::Stats {
        &self.app.stats
    }

    /// Closes the port, lets requests under way end (at most two seconds), writes what is left and frees the files.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // Every connection holds a receiver.
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.stop.closed()).await;
    }
}
