//! The compose file.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml_ng::Value;

use crate::support::{self, STAGES, entries, plain};

/// Run to their end.
const ONE_SHOTS: [&str; 6] = ["secrets", "migrate", "load-points", "load-vouchers", "loader", "promoctl"];

fn services() -> Vec<(String, Value)> {
    let compose = support::yaml("compose.yaml");
    let services = entries(&compose["services"]);
    assert!(services.len() > 10);
    services.into_iter().map(|(name, service)| (name, service.clone())).collect()
}

fn is_ours(service: &Value) -> bool {
    service["image"].as_str().is_some_and(|image| image.starts_with("payout:"))
}

/// `${NAME:-default}` as it is without NAME.
fn interpolated(text: &str) -> String {
    match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).and_then(|inner| inner.split_once(":-")) {
        Some((_, default)) => default.to_owned(),
        None => text.to_owned(),
    }
}

fn variables(service: &Value) -> BTreeMap<String, String> {
    entries(&service["environment"]).into_iter().map(|(name, value)| (name, interpolated(&plain(value)))).collect()
}

fn duration(value: &Value) -> std::time::Duration {
    humantime::parse_duration(&plain(value)).expect("a duration")
}

#[test]
fn every_variable_is_one_that_the_binaries_read() {
    let known = pipeline::config::variables();
    for (name, service) in services().iter().filter(|(_, service)| is_ours(service)) {
        for variable in variables(service).keys() {
            assert!(known.contains(variable), "{name}: no binary reads {variable}");
        }
    }
    let text = support::text("compose.yaml");
    for word in text.split(|c: char| !(c.is_ascii_uppercase() || c == '_')).filter(|word| word.starts_with("PAYOUT_")) {
        assert!(known.iter().any(|name| name == word), "compose.yaml speaks of {word}, which nothing reads");
    }
}

#[test]
fn every_stage_would_start_with_its_variables() {
    let services: BTreeMap<String, Value> = services().into_iter().collect();
    for (name, needs) in STAGES {
        let config =
            support::load(needs, &variables(&services[name])).unwrap_or_else(|faults| panic!("{name}: {faults}"));
        assert_eq!(config.metrics_addr, "0.0.0.0:9464", "{name}: Prometheus asks there");
        let grace = duration(&services[name]["stop_grace_period"]);
        assert!(grace > config.shutdown_grace, "{name} would be killed while it drains");
        assert!(!needs.money || !config.money.final_error_codes.is_empty(), "{name}: no refusal would be final");
    }
}

#[test]
fn everything_but_the_one_shots_has_a_health_check_and_is_restarted_and_everything_is_limited() {
    for (name, service) in services() {
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(limits["memory"].is_string() && limits["cpus"].is_string(), "{name} has no limits");
        let restart = service["restart"].as_str().unwrap_or_default();
        if ONE_SHOTS.contains(&name.as_str()) {
            assert_eq!(restart, "no", "{name} runs once");
        } else {
            assert_eq!(restart, "unless-stopped", "{name}");
            assert!(service["healthcheck"]["test"].is_sequence(), "{name} has no health check");
        }
    }
}

#[test]
fn a_stage_is_its_own_probe_and_can_be_scaled() {
    let services: BTreeMap<String, Value> = services().into_iter().collect();
    for (name, _) in STAGES {
        let service = &services[name];
        let test: Vec<String> = service["healthcheck"]["test"].as_sequence().unwrap().iter().map(plain).collect();
        assert_eq!(test, ["CMD", name, "--healthcheck", "ready"]);
        assert_eq!(service["entrypoint"].as_sequence().unwrap().iter().map(plain).collect::<Vec<_>>(), [name]);
        assert!(service["ports"].is_null(), "{name}: a port of the host can be taken once");
        let variables = variables(service);
        assert!(!variables.contains_key("PAYOUT_CONSUMER_NAME"), "{name}: replicas would share one name");
        assert!(service["read_only"].as_bool() == Some(true) && service["cap_drop"].is_sequence(), "{name}");
    }
    assert_eq!(plain(&services["payer"]["deploy"]["replicas"]), "2");
}

#[test]
fn no_container_has_a_fixed_name_and_ports_are_open_on_loopback_alone() {
    for (name, service) in services() {
        assert!(service["container_name"].is_null(), "{name}");
        for port in service["ports"].as_sequence().into_iter().flatten() {
            assert!(plain(port).starts_with("127.0.0.1:"), "{name}: {port:?}");
        }
    }
}

#[test]
fn images_are_pinned() {
    for (name, service) in services() {
        let image = plain(&service["image"]);
        let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image} has no tag"));
        let parts = tag.trim_start_matches('v').split(['.', '-']).take_while(|part| part.parse::<u32>().is_ok());
        assert_eq!(parts.count(), 3, "{name}: {image} may become another one");
    }
}

#[test]
fn the_migration_runs_before_every_stage_and_the_secrets_before_everything_that_reads_them() {
    let services: BTreeMap<String, Value> = services().into_iter().collect();
    let waits = |name: &str, other: &str| services[name]["depends_on"][other]["condition"].as_str().map(str::to_owned);
    let done = Some("service_completed_successfully".to_owned());
    for (name, _) in STAGES {
        assert_eq!(waits(name, "migrate"), done, "{name}");
        assert_eq!(waits(name, "redis"), Some("service_healthy".to_owned()), "{name}");
    }
    assert_eq!(waits("migrate", "mysql"), Some("service_healthy".to_owned()));
    for name in ["mysql", "redis", "money-sandbox", "grafana"] {
        assert_eq!(waits(name, "secrets"), done, "{name}");
    }
    for (name, service) in &services {
        for (other, _) in entries(&service["depends_on"]) {
            assert!(services.contains_key(&other), "{name} waits for {other}, which there is not");
        }
    }
}

#[test]
fn every_secret_that_is_read_is_made_and_every_mount_exists() {
    let made: BTreeSet<String> = support::text("deploy/compose/secrets.sh")
        .lines()
        .filter_map(|line| line.strip_prefix("secret ")?.split(' ').next().map(str::to_owned))
        .collect();
    let text = support::text("compose.yaml");
    let read: BTreeSet<String> = text
        .split("/run/payout/")
        .skip(1)
        .map(|rest| {
            rest.split(|c: char| !(c.is_ascii_lowercase() || "_.".contains(c))).next().unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!(read, made, "read, and made");
    let volumes: Vec<String> =
        entries(&support::yaml("compose.yaml")["volumes"]).into_iter().map(|(name, _)| name).collect();
    for (name, service) in services() {
        for mount in service["volumes"].as_sequence().into_iter().flatten() {
            let mount = plain(mount);
            let source = mount.split(':').next().unwrap();
            let there = if source.starts_with('.') {
                support::path(source).exists()
            } else {
                volumes.iter().any(|v| v == source)
            };
            assert!(there, "{name}: {mount}");
        }
    }
}

#[test]
fn the_servers_are_as_durable_as_the_pipeline_rests_on() {
    let services: BTreeMap<String, Value> = services().into_iter().collect();
    let command =
        |name: &str| services[name]["command"].as_sequence().unwrap().iter().map(plain).collect::<Vec<_>>().join(" ");
    assert!(command("mysql").contains("--innodb-flush-log-at-trx-commit=1"));
    for setting in ["--appendonly yes", "--maxmemory-policy noeviction", "--stream-node-max-entries 16"] {
        assert!(command("redis").contains(setting), "{setting}");
    }
}
