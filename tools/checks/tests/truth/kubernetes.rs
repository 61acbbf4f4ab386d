//! The manifests, which were never applied to a cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml_ng::Value;

use crate::support::{self, STAGES, entries, plain};

fn list(value: &Value) -> Vec<&Value> {
    value.as_sequence().map(|all| all.iter().collect()).unwrap_or_default()
}

/// Every pod that is described, with the name of its file.
fn pods() -> Vec<(String, Value)> {
    let mut pods = Vec::new();
    for file in support::files("deploy/k8s", ".yaml") {
        for document in support::documents(&file) {
            let pod = &document["spec"]["template"]["spec"];
            if pod.is_mapping() {
                pods.push((file.clone(), pod.clone()));
            }
        }
    }
    assert!(pods.len() > STAGES.len());
    pods
}

fn settings() -> BTreeMap<String, String> {
    let config = support::yaml("deploy/k8s/config.yaml");
    entries(&config["data"]).into_iter().map(|(name, value)| (name, plain(value))).collect()
}

fn variables(container: &Value) -> BTreeMap<String, String> {
    let mut all = if container["envFrom"].is_sequence() { settings() } else { BTreeMap::new() };
    for variable in list(&container["env"]) {
        let value = if variable["value"].is_null() { String::new() } else { plain(&variable["value"]) };
        all.insert(plain(&variable["name"]), value);
    }
    all
}

/// Made of what Kubernetes publishes, strict: `tools/checks/validate.sh`.
const SCHEMAS: &str = "tools/checks/schemas/kubernetes.json";
/// Kinds of others, and why they have no schema here.
const OTHERS: [&str; 2] = ["Kustomization", "ScaledObject"];

/// What is wrong with a document by the schema of its kind.
fn faults(document: &serde_json::Value) -> Vec<String> {
    let mut schemas: serde_json::Value = serde_json::from_str(&support::text(SCHEMAS)).expect("JSON");
    let kind = document["kind"].as_str().expect("a kind").to_lowercase();
    let version = document["apiVersion"].as_str().expect("a version");
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let group = group.split('.').next().filter(|group| !group.is_empty());
    let name = [Some(kind.as_str()), group, Some(version)].into_iter().flatten().collect::<Vec<_>>().join("-");
    assert!(schemas["$defs"][&name].is_object(), "{SCHEMAS} lacks {name}");
    schemas["$ref"] = format!("#/$defs/{name}").into();
    let schema = jsonschema::validator_for(&schemas).expect("a schema");
    schema.iter_errors(document).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
}

#[test]
fn every_manifest_is_what_kubernetes_own_schemas_ask_for() {
    let mut deployments = Vec::new();
    for file in support::files("deploy/k8s", ".yaml") {
        for document in support::documents(&file) {
            let kind = plain(&document["kind"]);
            let document = serde_json::to_value(&document).expect("JSON");
            if !OTHERS.contains(&kind.as_str()) {
                assert_eq!(faults(&document), [""; 0], "{file}");
            }
            deployments.extend((kind == "Deployment").then_some(document));
        }
    }
    // A schema that lets everything pass would prove nothing.
    for (place, wrong) in [
        ("/spec/replicas", "two".into()),
        ("/spec/template/spec/containers/0/ports/0/containerPort", "http".into()),
        ("/spec/template/spec/containers/0", serde_json::json!({"name": "a", "imaeg": "b"})),
    ] {
        let mut deployment = deployments[0].clone();
        *deployment.pointer_mut(place).expect(place) = wrong;
        assert!(!faults(&deployment).is_empty(), "{place} passes");
    }
}

#[test]
fn every_variable_is_one_that_the_binaries_read() {
    let known = pipeline::config::variables();
    for (file, pod) in pods() {
        for container in list(&pod["containers"]) {
            for variable in variables(container).keys() {
                assert!(known.contains(variable), "{file}: no binary reads {variable}");
            }
        }
    }
}

#[test]
fn every_stage_would_start_is_probed_where_it_listens_and_has_time_to_drain() {
    let pods: BTreeMap<String, Value> = pods().into_iter().collect();
    for (name, needs) in STAGES {
        let pod = &pods[&format!("deploy/k8s/{name}.yaml")];
        let container = &pod["containers"][0];
        assert_eq!(list(&container["command"]).into_iter().map(plain).collect::<Vec<_>>(), [name]);
        let config = support::load(needs, &variables(container)).unwrap_or_else(|faults| panic!("{name}: {faults}"));
        let (_, port) = config.metrics_addr.rsplit_once(':').unwrap();
        assert_eq!(plain(&container["ports"][0]["containerPort"]), port, "{name}");
        assert_eq!(plain(&container["ports"][0]["name"]), "metrics");
        for (probe, path) in [("readinessProbe", "/readyz"), ("livenessProbe", "/livez")] {
            let http = &container[probe]["httpGet"];
            assert_eq!(
                (plain(&http["path"]).as_str(), plain(&http["port"]).as_str()),
                (path, "metrics"),
                "{name} {probe}"
            );
        }
        let seconds = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(seconds > config.shutdown_grace.as_secs(), "{name} would be killed while it drains");
    }
}

#[test]
fn every_file_that_a_variable_names_is_mounted_from_a_key_that_the_secret_has() {
    let secret = support::yaml("deploy/k8s/secrets.example.yaml");
    let keys: BTreeSet<String> = entries(&secret["stringData"]).into_iter().map(|(name, _)| name).collect();
    for (file, pod) in pods() {
        let items: BTreeSet<String> = list(&pod["volumes"][0]["secret"]["items"])
            .into_iter()
            .map(|item| {
                assert_eq!(plain(&item["key"]), plain(&item["path"]), "{file}");
                plain(&item["key"])
            })
            .collect();
        assert!(items.is_subset(&keys), "{file}: {items:?} in {keys:?}");
        let container = &pod["containers"][0];
        let folder = plain(&container["volumeMounts"][0]["mountPath"]);
        let named: BTreeSet<String> = variables(container)
            .into_iter()
            .filter(|(name, _)| name.ends_with("_FILE"))
            .map(|(_, value)| value.strip_prefix(&format!("{folder}/")).expect("below the mount").to_owned())
            .collect();
        assert_eq!(named, items, "{file}: what is named, and what is mounted");
    }
}

#[test]
fn every_pod_keeps_to_the_restricted_standard() {
    for (file, pod) in pods() {
        assert_eq!(pod["securityContext"]["runAsNonRoot"].as_bool(), Some(true), "{file}");
        assert_eq!(pod["automountServiceAccountToken"].as_bool(), Some(false), "{file}");
        assert_eq!(pod["enableServiceLinks"].as_bool(), Some(false), "{file}");
        for container in list(&pod["containers"]) {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"].as_bool(), Some(false), "{file}");
            assert_eq!(context["readOnlyRootFilesystem"].as_bool(), Some(true), "{file}");
            assert_eq!(plain(&context["capabilities"]["drop"][0]), "ALL", "{file}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{file}");
            assert!(container["resources"]["requests"]["cpu"].is_string(), "{file}");
        }
    }
}

#[test]
fn selectors_select_the_pods_that_they_mean() {
    for (name, _) in STAGES {
        let deployment = support::yaml(&format!("deploy/k8s/{name}.yaml"));
        assert_eq!(deployment["spec"]["selector"]["matchLabels"], deployment["spec"]["template"]["metadata"]["labels"]);
        assert_eq!(plain(&deployment["metadata"]["name"]), name);
    }
    for budget in support::documents("deploy/k8s/disruption.yaml") {
        let label = plain(&budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]);
        assert!(STAGES.iter().any(|(name, _)| *name == label) && plain(&budget["metadata"]["name"]) == label);
    }
}

#[test]
fn the_kustomization_takes_everything_but_the_examples() {
    let kustomization = support::yaml("deploy/k8s/kustomization.yaml");
    let mut taken: Vec<String> =
        list(&kustomization["resources"]).into_iter().map(|file| format!("deploy/k8s/{}", plain(file))).collect();
    taken.sort();
    let left = ["kustomization", "autoscaling", "secrets.example", "loader.example", "promoctl.example"];
    let there: Vec<String> = support::files("deploy/k8s", ".yaml")
        .into_iter()
        .filter(|file| !left.iter().any(|name| *file == format!("deploy/k8s/{name}.yaml")))
        .collect();
    assert_eq!(taken, there);
}

#[test]
fn payers_are_scaled_by_a_series_that_the_rules_make_and_never_to_zero() {
    let scaled = support::yaml("deploy/k8s/autoscaling.yaml");
    let query = plain(&scaled["spec"]["triggers"][0]["metadata"]["query"]);
    assert!(crate::alerts::recorded().contains(&query), "{query}");
    assert!(scaled["spec"]["minReplicaCount"].as_u64().unwrap() > 0);
    let scales = support::yaml(&format!("deploy/k8s/{}.yaml", plain(&scaled["spec"]["scaleTargetRef"]["name"])));
    assert_eq!(plain(&scales["kind"]), "Deployment");
    // The sum is of all replicas: each is to have its share.
    let trigger = &scaled["spec"]["triggers"][0];
    assert_eq!((plain(&trigger["type"]), plain(&trigger["metricType"])), ("prometheus".into(), "AverageValue".into()));
    let per_payer = plain(&scaled["spec"]["triggers"][0]["metadata"]["threshold"]);
    assert_eq!(per_payer, support::defaults()["payer"]["in_flight"].to_string(), "payer.in_flight");
}
