//! The money sandbox from its operators' side: what it paid, whom it heard, and what it is told to do wrong.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use servers::{Process, Sandbox, SandboxOptions};

use crate::http;
use crate::ledger::Ledger;

/// A running sandbox with a journal.
#[derive(Debug)]
pub struct Money {
    sandbox: Sandbox,
    journal: PathBuf,
}

/// One request that it heard, as its journal says.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Arrival in µs since 1970.
    pub at_us: u64,
    /// `charge`, `lookup` or `cancel`.
    pub kind: String,
    /// The idempotency key.
    pub key: String,
    /// What it came to inside the service.
    pub outcome: String,
    /// What was done to it.
    pub fault: String,
}

impl Money {
    /// Starts one with these flags; its journal goes to `dir`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(dir: &Path, args: &[String]) -> Self {
        let journal = dir.join("journal.ndjson");
        let mut all = vec!["--journal".to_owned(), journal.display().to_string()];
        all.extend_from_slice(args);
        let options = SandboxOptions { args: all, ..SandboxOptions::default() };
        Self { sandbox: Sandbox::start(options).expect("start the sandbox"), journal }
    }

    /// Base URL.
    pub fn url(&self) -> String {
        self.sandbox.url()
    }

    /// The token it asks for.
    pub fn token(&self) -> &str {
        self.sandbox.token()
    }

    /// Its append-only ledger.
    pub fn ledger_file(&self) -> PathBuf {
        self.sandbox.ledger()
    }

    /// The process.
    pub fn process(&self) -> &Process {
        self.sandbox.process()
    }

    /// Starts it again, on the same port and ledger.
    pub fn restart(&self) {
        self.sandbox.restart().expect("restart the sandbox");
    }

    /// Replaces all faults: what is not named is off.
    pub fn faults(&self, faults: Value) {
        let answer = http::send("PUT", &format!("{}/admin/faults", self.url()), &faults.to_string()).expect("faults");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// No faults from now on.
    pub fn heal(&self) {
        self.faults(json!({}));
    }

    /// Everything that it did for a campaign.
    pub fn ledger(&self, campaign: &str) -> Ledger {
        Ledger::read(&self.get(&format!("/ledger?campaign={campaign}")))
    }

    /// Payments so far, of all campaigns.
    pub fn paid(&self) -> u64 {
        self.json("/ledger/summary")["paid_count"].as_u64().expect("a count")
    }

    /// Requests so far, of one kind or with an outcome: `stat("/charge/total")`, `stat("/lookup/outcomes/found")`.
    pub fn stat(&self, pointer: &str) -> u64 {
        self.json("/stats").pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    /// `GET /stats/rate`.
    pub fn rate(&self) -> Value {
        self.json("/stats/rate")
    }

    /// Counts from 0 again; the ledger stays.
    pub fn reset_stats(&self) {
        let answer = http::send("POST", &format!("{}/admin/reset", self.url()), "").expect("reset");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Requests in the order in which they ended.
    pub fn journal(&self) -> Vec<Visit> {
        let text = fs::read_to_string(&self.journal).unwrap_or_default();
        // A last line may be half written.
        let values = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let visit = |value: Value| {
            let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
            Visit {
                at_us: value["at"].as_u64().unwrap_or_default(),
                kind: text("kind"),
                key: text("key"),
                outcome: text("outcome"),
                fault: text("fault"),
            }
        };
        values.map(visit).collect()
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path)).expect("JSON")
    }

    fn get(&self, path: &str) -> String {
        let answer = http::get(&format!("{}{path}", self.url())).expect("the sandbox answers");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }
}
