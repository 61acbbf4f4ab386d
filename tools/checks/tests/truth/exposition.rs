//! What the stages really export: every metric, its labels and their values.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use pipeline::config::Needs;
use pipeline::domain::decide::Request;
use pipeline::domain::outcome::Verdict;
use pipeline::domain::{Amount, PromotionId, PromotionStatus};
use pipeline::metrics::{self, ItemState, PromotionFigures, Told};

/// Label → values.
pub type Labels = BTreeMap<String, BTreeSet<String>>;

/// The text that a stage with everything would serve, after one event of each kind that makes a series.
pub fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _runtime = runtime.enter();
        metrics::start("payer", Needs { redis: true, money: true, pin: true, webhook: true }, Duration::from_secs(60))
            .unwrap();
        let moment = Duration::from_millis(20);
        metrics::received(3);
        metrics::batch_took(moment);
        metrics::queue_waited(moment);
        metrics::settled_after(moment);
        metrics::limiter_waited(moment);
        metrics::limiter_heard(moment, moment, moment);
        metrics::redis_memory(1, 2);
        metrics::collected(moment);
        let open = PromotionStatus::ALL.into_iter().filter(|status| *status != PromotionStatus::Completed);
        metrics::census(&open.map(|status| (status, 1)).collect::<Vec<_>>(), Some(1));
        metrics::told(Told::Delivered, moment);
        for request in [Request::Charge, Request::LookUp, Request::Cancel] {
            metrics::money_answered(request, Verdict::Paid, moment);
        }
        for dependency in [pipeline::health::MYSQL, pipeline::health::REDIS] {
            metrics::dependency(dependency, true);
        }
        metrics::promotions(vec![PromotionFigures {
            promotion: PromotionId(7),
            states: ItemState::ALL.iter().map(|state| (*state, 1, Amount::ZERO)).collect(),
            planned: Amount::ZERO,
            backlog: vec![(0, 1)],
            oldest_undelivered_ms: Some(1),
            oldest_pending_ms: Some(1),
            unknown: Some(1),
            oldest_unknown_ms: Some(1),
            parked: 0,
            held: 0,
            rate: 1.0,
            estimated_end_ms: Some(1),
            drift: 0,
            excess: Some(0),
        }]);
        metrics::render()
    })
}

/// Every series by its full name (buckets, sums and counts of histograms are names of their own).
pub fn series() -> &'static BTreeMap<String, Labels> {
    static SERIES: OnceLock<BTreeMap<String, Labels>> = OnceLock::new();
    SERIES.get_or_init(|| {
        let mut series: BTreeMap<String, Labels> = BTreeMap::new();
        for line in text().lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (key, _) = line.rsplit_once(' ').unwrap();
            let (name, labels) = key.split_once('{').unwrap_or((key, ""));
            let all = series.entry(name.to_owned()).or_default();
            for label in labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty()) {
                let (label, value) = label.split_once("=\"").unwrap();
                all.entry(label.to_owned()).or_default().insert(value.trim_end_matches('"').to_owned());
            }
        }
        series
    })
}

#[test]
fn every_metric_of_the_catalog_is_exported() {
    for metric in metrics::METRICS {
        assert!(text().contains(&format!("# TYPE {} ", metric.name)), "{} is never exported", metric.name);
    }
}

#[test]
fn promtool_accepts_what_is_exported() {
    let mut promtool = Command::new(crate::alerts::promtool())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(text().as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("payout_")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
    assert!(!said.contains("error while linting"), "{said}");
}
