//! Stages as processes.

use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

use servers::Process;

use crate::http;

const READY: Duration = Duration::from_secs(30);

/// A running stage. Dropping it kills it.
#[derive(Debug)]
pub struct Stage(pub(crate) Process);

impl Deref for Stage {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl Stage {
    /// SIGKILL.
    pub fn kill(&self) {
        self.0.kill9().expect("a stage dies");
    }

    /// Starts it again under the same name.
    pub fn again(&self) {
        self.0.restart().expect("a stage starts");
    }

    /// SIGKILL, and starts it again under the same name.
    pub fn kill_and_restart(&self) {
        self.kill();
        self.again();
    }

    /// SIGTERM, and its exit code.
    pub fn finish(&self, grace: Duration) -> Option<i32> {
        self.0.stop(grace).unwrap_or_else(|error| panic!("{error}")).code()
    }

    /// Where it shows metrics and health.
    pub fn address(&self) -> SocketAddr {
        self.0.metrics_addr(READY).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until it is ready for work.
    pub fn ready(&self) {
        let address = self.address();
        crate::until(&format!("{} is ready", self.0.name()), READY, || {
            http::get(&format!("http://{address}/readyz")).ok().filter(|answer| answer.status == 200).map(drop)
        });
    }

    /// Its metrics page.
    pub fn metrics(&self) -> String {
        http::get(&format!("http://{}/metrics", self.address())).expect("metrics").body
    }

    /// Sum of a counter or gauge over its series with this label (`reason="abandoned"`; any with "").
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let page = self.metrics();
        let of_name = page.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{']) && rest.contains(label))
        });
        of_name.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// A whole pipeline.
#[derive(Debug)]
pub struct Stages {
    /// The dispatcher.
    pub dispatcher: Stage,
    /// The payers.
    pub payers: Vec<Stage>,
    /// The retrier.
    pub retrier: Stage,
    /// The summarizer.
    pub summarizer: Stage,
}

impl Stages {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Stage> {
        [&self.dispatcher, &self.retrier, &self.summarizer].into_iter().chain(&self.payers)
    }

    /// Waits until all of them are ready.
    #[must_use]
    pub fn ready(self) -> Self {
        self.all().for_each(Stage::ready);
        self
    }
}
