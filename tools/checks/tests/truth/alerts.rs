//! Rules of Prometheus: checked and tested by promtool, each with its runbook and both cases.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_yaml_ng::Value;

use crate::support::{self, plain};

const RULES: &str = "prometheus/rules/payout.yml";
const TESTS: &str = "prometheus/tests/payout.yml";

/// Comes with Debian's prometheus. Without it nothing is proved, so its absence fails.
pub fn promtool() -> PathBuf {
    servers::program(&["promtool"], servers::Package("prometheus"))
        .expect("run `cargo xtask install`, which installs promtool (Debian package prometheus)")
}

fn run(args: &[&str]) {
    let output = Command::new(promtool()).args(args).current_dir(checks::root()).output().expect("promtool runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {}\n{said}", args.join(" "));
}

fn rules() -> Vec<Value> {
    let file = support::yaml(RULES);
    let groups = file["groups"].as_sequence().expect("groups");
    groups.iter().flat_map(|group| group["rules"].as_sequence().expect("rules").clone()).collect()
}

fn alerts() -> Vec<Value> {
    rules().into_iter().filter(|rule| rule["alert"].is_string()).collect()
}

/// The series that the rules make.
pub fn recorded() -> Vec<String> {
    rules().iter().filter_map(|rule| rule["record"].as_str().map(str::to_owned)).collect()
}

#[test]
fn promtool_accepts_rules_and_scrape_configuration() {
    run(&["check", "rules", RULES]);
    run(&["check", "config", "prometheus/prometheus.yml"]);
}

#[test]
fn promtool_runs_every_case() {
    run(&["test", "rules", TESTS]);
}

#[test]
fn every_query_selects_what_there_is() {
    for rule in rules() {
        crate::promql::check(&plain(&rule["expr"]), &recorded());
    }
}

#[test]
fn every_alert_says_how_bad_it_is_what_it_means_and_where_its_runbook_is() {
    for alert in alerts() {
        let name = plain(&alert["alert"]);
        assert!(["critical", "warning", "info"].contains(&plain(&alert["labels"]["severity"]).as_str()), "{name}");
        for annotation in ["summary", "description"] {
            assert!(plain(&alert["annotations"][annotation]).ends_with('.'), "{name}: {annotation}");
        }
        let runbook = format!("{{{{ $externalLabels.runbooks }}}}#{}", name.to_ascii_lowercase());
        assert_eq!(plain(&alert["annotations"]["runbook_url"]), runbook, "{name}");
    }
}

#[test]
fn the_links_to_runbooks_are_whole_addresses_whose_beginning_stands_in_one_place() {
    let base = plain(&support::yaml("prometheus/prometheus.yml")["global"]["external_labels"]["runbooks"]);
    assert!(base.starts_with("https://") && !base.contains('#') && !base.ends_with('/'), "{base}");
    // What a link becomes is what promtool compares in every case that fires.
    for test in support::yaml(TESTS)["tests"].as_sequence().expect("tests") {
        assert_eq!(plain(&test["external_labels"]["runbooks"]), base, "{}", plain(&test["name"]));
        for alert in test["alert_rule_test"].as_sequence().into_iter().flatten() {
            for expected in alert["exp_alerts"].as_sequence().into_iter().flatten() {
                let link = format!("{base}#{}", plain(&alert["alertname"]).to_ascii_lowercase());
                assert_eq!(plain(&expected["exp_annotations"]["runbook_url"]), link);
            }
        }
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_its_alert() {
    let alerts: BTreeSet<String> = alerts().iter().map(|alert| plain(&alert["alert"])).collect();
    let text = support::text("docs/runbooks.md");
    let entries: BTreeSet<String> =
        text.lines().filter_map(|line| Some(line.strip_prefix("## ")?.to_owned())).collect();
    assert_eq!(alerts, entries);
    for entry in text.split("\n## ").skip(1) {
        let name = entry.lines().next().unwrap_or_default();
        assert!(["**Means**", "**Look**", "**Do**"].iter().all(|part| entry.contains(part)), "{name}");
    }
}

#[test]
fn every_alert_has_a_case_that_fires_and_one_that_stays_silent() {
    let tests = support::yaml(TESTS);
    let (mut fires, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for case in tests["tests"]
        .as_sequence()
        .expect("tests")
        .iter()
        .flat_map(|test| test["alert_rule_test"].as_sequence())
        .flatten()
    {
        let expected = case["exp_alerts"].as_sequence().map_or(0, Vec::len);
        if expected > 0 { &mut fires } else { &mut silent }.insert(plain(&case["alertname"]));
    }
    let alerts: BTreeSet<String> = alerts().iter().map(|alert| plain(&alert["alert"])).collect();
    assert_eq!(fires, alerts, "fires");
    assert_eq!(silent, alerts, "stays silent");
}

#[test]
fn every_stage_is_scraped() {
    let config = support::yaml("prometheus/prometheus.yml");
    let names: Vec<String> =
        config["scrape_configs"][0]["dns_sd_configs"][0]["names"].as_sequence().unwrap().iter().map(plain).collect();
    assert_eq!(names, support::STAGES.map(|(name, _)| name));
}
