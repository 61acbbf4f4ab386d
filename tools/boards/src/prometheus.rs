//! Debian's Prometheus as a process, with the repository's own configuration and rules.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use acceptance::{get, until};
use anyhow::{Context as _, Result, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use serde_yaml_ng::{Mapping, Value as Yaml};
use servers::{Launch, Package, Process, free_port};

use crate::{STEP_S, path};

/// Most waits are a scrape or two; behind them stands a machine that does other things as well.
const BOUND: Duration = Duration::from_secs(60);

/// What is scraped.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name of the stage, which is its service's name in DNS elsewhere.
    pub service: &'static str,
    /// `host:port`.
    pub address: String,
}

/// From when to when, in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// From.
    pub from: f64,
    /// To, included.
    pub to: f64,
}

/// One series of an answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Time in seconds since the Unix epoch, and value. What is not a number is left out.
    pub points: Vec<(f64, f64)>,
}

/// A running Prometheus. Dropping it kills it.
#[derive(Debug)]
pub struct Prometheus {
    _process: Process,
    url: String,
}

impl Prometheus {
    /// Starts it with its data in `dir`, and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed, or the configuration is not what is adapted here.
    pub fn start(dir: &Path, targets: &[Target]) -> Result<Self> {
        let program = servers::program(&["prometheus"], Package("prometheus"))?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let config = dir.join("prometheus.yml");
        std::fs::write(&config, serde_yaml_ng::to_string(&adapted(targets, &address)?)?)?;
        let process = Launch::program(program, "prometheus", dir)?
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn")
            .start()?;
        let url = format!("http://{address}");
        let ready = servers::poll(BOUND, || get(&format!("{url}/-/ready")).ok().filter(|answer| answer.status == 200));
        ensure!(ready.is_some(), process.trouble("did not become ready"));
        Ok(Self { _process: process, url })
    }

    /// What a query gives over a span, a sample each step.
    ///
    /// # Errors
    /// When Prometheus refuses the query.
    pub fn over(&self, query: &str, span: Span) -> Result<Vec<Series>> {
        let (Span { from, to }, query) = (span, encoded(query));
        let answer = self.ask(&format!("query_range?query={query}&start={from}&end={to}&step={STEP_S}"))?;
        answer["result"].as_array().context("no result")?.iter().map(series).collect()
    }

    /// Whether a query gives anything now.
    ///
    /// # Errors
    /// When Prometheus refuses the query.
    pub fn holds(&self, query: &str) -> Result<bool> {
        let answer = self.ask(&format!("query?query={}", encoded(query)))?;
        Ok(!answer["result"].as_array().context("no result")?.is_empty())
    }

    /// Waits until a query gives something.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn until(&self, query: &str) {
        until(query, BOUND, || self.holds(query).ok()?.then_some(()));
    }

    /// Name of each rule and what went wrong with it, once every rule was evaluated.
    ///
    /// # Panics
    /// When they are not evaluated in time.
    pub fn rules(&self) -> Vec<(String, Option<String>)> {
        until("every rule is evaluated", BOUND, || {
            let answer = self.ask("rules").ok()?;
            let groups = answer["groups"].as_array()?.iter();
            let rules: Vec<&Value> = groups.filter_map(|group| group["rules"].as_array()).flatten().collect();
            let evaluated = |rule: &&Value| rule["health"] != "unknown";
            let named = |rule: &&Value| {
                let problem = rule["lastError"].as_str().filter(|error| !error.is_empty()).map(str::to_owned);
                (rule["name"].as_str().unwrap_or_default().to_owned(), problem)
            };
            (!rules.is_empty() && rules.iter().all(evaluated)).then(|| rules.iter().map(named).collect())
        })
    }

    fn ask(&self, what: &str) -> Result<Value> {
        let answer = get(&format!("{}/api/v1/{what}", self.url))?;
        ensure!(answer.status == 200, "Prometheus: {}", answer.body);
        let mut answer: Value = serde_json::from_str(&answer.body)?;
        Ok(answer["data"].take())
    }
}

/// `prometheus/prometheus.yml` with our targets instead of names in DNS, our own port, and a scrape each second.
fn adapted(targets: &[Target], address: &str) -> Result<Yaml> {
    let mut config: Yaml = serde_yaml_ng::from_str(&std::fs::read_to_string(path("prometheus/prometheus.yml"))?)?;
    let interval = Yaml::from(format!("{STEP_S}s"));
    for key in ["scrape_interval", "evaluation_interval"] {
        *config["global"].get_mut(key).with_context(|| format!("no {key}"))? = interval.clone();
    }
    for file in config["rule_files"].as_sequence_mut().context("no rule files")? {
        let name = file.as_str().context("a rule file without a name")?;
        *file = path("prometheus").join(name).display().to_string().into();
    }
    for job in config["scrape_configs"].as_sequence_mut().context("no jobs")? {
        let name = job["job_name"].as_str().map(str::to_owned);
        let job = job.as_mapping_mut().context("a job that is none")?;
        let found = match name.as_deref() {
            Some("payout") => {
                job.remove("dns_sd_configs").context("no names in DNS")?;
                job.remove("relabel_configs").context("no label for the service")?;
                targets.iter().map(|target| found(&target.address, Some(target.service))).collect()
            }
            _ => vec![found(address, None)],
        };
        job.insert("static_configs".into(), Yaml::Sequence(found));
    }
    Ok(config)
}

fn found(address: &str, service: Option<&str>) -> Yaml {
    let mut target = Mapping::new();
    target.insert("targets".into(), Yaml::Sequence(vec![address.into()]));
    if let Some(service) = service {
        let labels = Mapping::from_iter([("service".into(), service.into())]);
        target.insert("labels".into(), Yaml::Mapping(labels));
    }
    Yaml::Mapping(target)
}

fn encoded(query: &str) -> String {
    utf8_percent_encode(query, NON_ALPHANUMERIC).to_string()
}

fn series(answer: &Value) -> Result<Series> {
    let labels = answer["metric"].as_object().context("a series without labels")?;
    let text = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap_or_default().to_owned());
    let point = |pair: &Value| {
        let (at, value) = (pair[0].as_f64()?, pair[1].as_str()?.parse::<f64>().ok()?);
        value.is_finite().then_some((at, value))
    };
    let points = answer["values"].as_array().context("a series without samples")?.iter().filter_map(point).collect();
    Ok(Series { labels: labels.iter().map(text).collect(), points })
}
