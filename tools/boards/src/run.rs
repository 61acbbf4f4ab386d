//! A real run under Prometheus: first in health, then with everything that a board must show.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use acceptance::{Cache, Campaign, Plan, Receiver, WEBHOOK_SECRET, World, get, secs, until};
use anyhow::Result;
use serde_json::{Value, json};
use servers::{Process, RedisOptions, free_port};

use crate::STEP_S;
use crate::prometheus::{Prometheus, Span, Target};

/// Longest wait for a part of the run. It takes a few seconds each on a machine that does nothing else.
const LONG: std::time::Duration = secs(90);
/// Requests a second. Low, so that the limit is felt.
const LIMIT: &str = "200";
/// Rows of the file that is loaded: more than are stored before it was looked at.
const ROWS: u32 = 400_000;

/// A stage that is scraped.
#[derive(Debug)]
pub struct Watched {
    /// Its process.
    pub process: Process,
    /// What Prometheus knows of it.
    pub target: Target,
}

impl Watched {
    /// Its page of metrics.
    pub fn page(&self) -> String {
        get(&format!("http://{}/metrics", self.target.address)).expect("metrics").body
    }
}

/// What was run. Everything still stands, so that it can be asked.
pub struct Run {
    /// Asked by the panels. Before the world, so that it does not outlive what it scrapes.
    pub prometheus: Prometheus,
    /// The stages.
    pub stages: Vec<Watched>,
    /// Servers and money.
    pub world: World,
    /// Who is told what becomes of the promotions.
    pub receiver: Receiver,
    /// The promotions.
    pub campaigns: Vec<Campaign>,
    /// Page of metrics of the loader, in the middle of a file.
    pub loader: String,
    /// While all was well.
    pub healthy: Span,
    /// All of it.
    pub whole: Span,
}

impl Run {
    /// Runs it.
    ///
    /// # Errors
    /// When something does not start.
    ///
    /// # Panics
    /// When something that must happen does not.
    pub fn through() -> Result<Self> {
        let receiver = Receiver::start();
        let memory = vec!["--maxmemory".to_owned(), "200mb".to_owned()];
        let world = World::build()
            .own_redis(RedisOptions { args: memory, ..RedisOptions::default() })
            .money(&["--latency-ms", "20", "--jitter-ms", "40"])
            .set("PAYOUT_MONEY_MAX_RPS", LIMIT)
            .set("PAYOUT_MONEY_CONCURRENCY", "16")
            .set("PAYOUT_DISPATCHER_MAX_ACTIVE", "3")
            .set("PAYOUT_DISPATCHER_WINDOW", "1000")
            .set("PAYOUT_BREAKER_WINDOW", "2s")
            .set("PAYOUT_BREAKER_OPEN_FOR", "1s")
            .set("PAYOUT_WEBHOOK_URL", &receiver.url())
            .set("PAYOUT_WEBHOOK_SECRET", WEBHOOK_SECRET)
            .set("PAYOUT_WEBHOOK_BACKOFF_BASE", "1s")
            .start();
        let from = now();
        let names = ["dispatcher", "payer", "payer", "retrier", "summarizer"];
        let stages: Vec<Watched> =
            names.iter().enumerate().map(|(at, name)| watched(&world, name, at)).collect::<Result<_>>()?;
        let targets: Vec<Target> = stages.iter().map(|stage| stage.target.clone()).collect();
        let prometheus = Prometheus::start(world.dir(), &targets)?;
        let nowhere = Span { from, to: from };
        let mut run = Self {
            prometheus,
            stages,
            world,
            receiver,
            campaigns: Vec::new(),
            loader: String::new(),
            healthy: nowhere,
            whole: nowhere,
        };
        run.in_health();
        run.in_trouble();
        // What was waited for last is in the step that begins now.
        run.whole.to = now() + f64::from(STEP_S);
        Ok(run)
    }

    fn in_health(&mut self) {
        let all_up = format!(r#"count(up{{job="payout"}} == 1) == {}"#, self.stages.len());
        self.prometheus.until(&all_up);
        let from = now();
        let campaign = self.world.write(&Plan::points("FIRST", 2000));
        self.world.reaches(&campaign, "COMPLETED", LONG);
        // What the overview says of the two lines of each stage: nothing stays inside.
        let inside = r#"sum by (stage) (payout_stage_items_received_total) - sum by (stage) (payout_stage_items_completed_total{outcome!="proved"})"#;
        self.prometheus.until(&format!("max(abs({inside})) == 0"));
        self.healthy = Span { from, to: now() };
        self.campaigns.push(campaign);
    }

    /// Everything that operators fear, one after another. Each is waited for at Prometheus: it has been seen.
    fn in_trouble(&mut self) {
        self.world.money.faults(faulty());
        let second = self.with_garbage(&Plan::points("SECOND", 1500).status("LOADING"));
        let third = self.world.write(&Plan::vouchers("THIRD", 500));
        self.campaigns.extend([second.clone(), third.clone()]);
        self.world.paid(2300, LONG);
        self.loader = self.load();
        self.a_payer_dies_and_another_freezes(&second);
        self.money_is_away();
        self.a_person_stops(&second);
        self.money_rejects_us(&[&second, &third]);
        self.a_summarizer_and_redis_die(&third);
        self.entries_vanish(&second);
        self.prometheus.until("sum(payout_promotion_held_items) > 0");
        // A refusal that is not on the final list may still be executed.
        self.prometheus.until("sum(payout_promotion_unknown_items) > 0");
    }

    /// The entry of its first target says nothing.
    fn with_garbage(&self, plan: &Plan) -> Campaign {
        let (world, campaign) = (&self.world, self.world.write(plan));
        let first = world.sql.number(&format!(
            "SELECT MIN({}) FROM {} WHERE promotion_id = {} AND partition_key = 0",
            campaign.id_column(),
            campaign.targets_table(),
            campaign.id
        ));
        let (stream, entry) = (Cache::stream(&campaign, 0), format!("{first}-0"));
        world.cache.run::<String>(&["XADD", &stream, &entry, "d", "\x01 not a record"]);
        world.sql.execute(&format!(
            "UPDATE campaign_promotions SET promotion_status = 'READY' WHERE promotion_id = {}",
            campaign.id
        ));
        campaign
    }

    /// The page of a loader that is killed in the middle of its file.
    fn load(&self) -> String {
        let file = csv(self.world.dir());
        let args = ["--type", "POINT", "--campaign-code", "LOADED", "--yes"];
        let launch = self.world.launch("loader", "loader").args(args).arg(&file);
        let loader = launch.start().expect("a loader starts");
        let address = loader.metrics_addr(LONG).expect("a loader listens");
        until("the loader has stored a batch", LONG, || {
            let page = get(&format!("http://{address}/metrics")).ok()?.body;
            let stored = r#"payout_stage_items_completed_total{stage="loader",outcome="loaded"} "#;
            let stored = page.lines().find_map(|line| line.strip_prefix(stored)?.parse::<u64>().ok());
            (stored > Some(0)).then_some(page)
        })
    }

    fn a_payer_dies_and_another_freezes(&self, campaign: &Campaign) {
        let (dies, freezes) = (&self.stages[1].process, &self.stages[2].process);
        dies.kill9().expect("a payer dies");
        self.prometheus.until(r#"up{service="payer"} == 0"#);
        dies.restart().expect("a payer starts");
        until("a payer holds something", LONG, || {
            freezes.sigstop().expect("a payer stops");
            let held = self.world.cache.held(campaign).get(freezes.name()).copied().unwrap_or(0);
            if held == 0 {
                freezes.sigcont().expect("a payer goes on");
            }
            (held > 0).then_some(())
        });
        self.prometheus.until(r#"sum(payout_retries_total{reason="abandoned"}) > 0"#);
        freezes.sigcont().expect("a payer goes on");
    }

    fn money_is_away(&self) {
        self.world.money.faults(json!({"away": true}));
        self.prometheus.until("max(payout_money_breaker_state) == 2");
        self.world.money.faults(faulty());
        self.prometheus.until("max(payout_money_breaker_state) == 0");
    }

    fn a_person_stops(&self, campaign: &Campaign) {
        let id = campaign.id.to_string();
        self.command(&["promotion", "stop", &id, "--memo", "a look at the board", "--yes"]);
        self.prometheus.until(&format!(r#"absent(payout_promotion_items{{promotion="{id}"}})"#));
        self.command(&["promotion", "resume", &id, "--reason", "seen", "--yes"]);
    }

    fn money_rejects_us(&self, campaigns: &[&Campaign]) {
        self.receiver.always(Some(500));
        self.world.money.faults(json!({"unauthorized": true}));
        let failed = |campaign: &&&Campaign| self.world.status(campaign).as_deref() == Some("FAILED");
        until("money rejects us", LONG, || campaigns.iter().any(|campaign| failed(&campaign)).then_some(()));
        self.prometheus.until(r#"max(payout_promotions{status="FAILED"}) > 0"#);
        self.prometheus.until("max(payout_webhook_waiting_items) > 0");
        self.receiver.always(None);
        self.world.money.faults(faulty());
        for campaign in campaigns.iter().filter(failed) {
            self.command(&["promotion", "resume", &campaign.id.to_string(), "--reason", "a new token", "--yes"]);
        }
    }

    fn a_summarizer_and_redis_die(&self, campaign: &Campaign) {
        let summarizer = &self.stages[4].process;
        summarizer.kill9().expect("a summarizer dies");
        self.prometheus.until(r#"absent(payout_build_info{stage="summarizer"})"#);
        summarizer.restart().expect("a summarizer starts");
        self.prometheus.until(r#"payout_build_info{stage="summarizer"}"#);
        self.world.redis().kill9().expect("Redis dies");
        self.prometheus.until(r#"payout_dependency_up{dependency="redis", service="summarizer"} == 0"#);
        self.world.redis().restart().expect("Redis starts");
        self.prometheus.until(r#"payout_dependency_up{dependency="redis", service="summarizer"} == 1"#);
        // The connection from before is broken, which shows when it is used.
        let stream = Cache::stream(campaign, 0);
        until("a stream is deleted", LONG, || self.world.cache.ask::<i64>(&["DEL", &stream]).ok());
        self.prometheus.until("sum(payout_groups_recreated_total) > 0");
    }

    /// Somebody deletes what the payers have not taken, or what waits; the sweep makes it good.
    fn entries_vanish(&self, campaign: &Campaign) {
        for partition in 0..campaign.partitions {
            let stream = Cache::stream(campaign, partition);
            let entries: Vec<(String, redis::Value)> =
                self.world.cache.run(&["XREVRANGE", &stream, "+", "-", "COUNT", "5"]);
            for (id, _) in entries {
                self.world.cache.run::<i64>(&["XDEL", &stream, &id]);
            }
        }
        self.prometheus.until("sum(payout_promotion_drift_items) > 0");
        self.prometheus.until(r#"ALERTS{alertname="PartitionRebuilt", alertstate="firing"}"#);
    }

    fn command(&self, args: &[&str]) {
        self.world.promoctl(args).ok().unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Refusals, final and not; answers that are lost; requests that are turned away. Of look-ups as well.
fn faulty() -> Value {
    json!({
        "latency_ms": 20, "jitter_ms": 40, "on": ["charge", "lookup"], "lose": 0.05, "too_many": 0.04, "fail_before": 0.03,
        "refuse": 0.05, "refuse_codes": [{"code": "CUSTOMER_NOT_ELIGIBLE", "weight": 3.0}, {"code": "ACCOUNT_CLOSED", "weight": 1.0}],
    })
}

fn watched(world: &World, service: &'static str, at: usize) -> Result<Watched> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let launch = world.launch(service, &format!("{service}-{at}")).env("PAYOUT_METRICS_ADDR", &address);
    Ok(Watched { process: launch.start()?, target: Target { service, address } })
}

fn csv(dir: &std::path::Path) -> PathBuf {
    let mut text = String::from("customer_uid,merchant_code,amount\n");
    for row in 1..=ROWS {
        let _ = writeln!(text, "{},M01,100", 9_000_000 + row);
    }
    let file = dir.join("targets.csv");
    std::fs::write(&file, text).expect("write the file");
    file
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
