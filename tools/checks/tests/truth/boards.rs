//! The boards, which were never opened in Grafana.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support;

/// Units that Grafana knows, as far as we use them.
const UNITS: [&str; 7] = ["short", "s", "ops", "reqps", "percentunit", "bytes", "dateTimeAsIso"];

fn boards() -> Vec<(String, Value)> {
    let read = |file: String| {
        let board = serde_json::from_str(&support::text(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        (file, board)
    };
    support::files("grafana/dashboards", ".json").into_iter().map(read).collect()
}

fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map(|all| all.iter().collect()).unwrap_or_default()
}

fn panels(board: &Value) -> Vec<&Value> {
    list(&board["panels"]).into_iter().filter(|panel| panel["type"] != "row").collect()
}

/// A query as Grafana would send it, with all of its variables.
fn substituted(query: &str) -> String {
    let query = query.replace("$__rate_interval", "1m");
    ["job", "instance", "stage", "promotion"]
        .iter()
        .fold(query, |query, name| query.replace(&format!("${name}"), "VARIABLE"))
}

#[test]
fn what_is_committed_is_what_is_made() {
    let made = checks::made();
    for checks::Made { path, text } in &made {
        let advice = format!("{path} is not what `cargo run -p checks` writes");
        let committed = support::text(path);
        // Keys may stand in another order: whether they keep theirs depends on what else is built.
        match path.ends_with(".json") {
            true => {
                let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
                assert!(parse(&committed) == parse(text), "{advice}");
            }
            false => assert!(committed == *text, "{advice}"),
        }
    }
    assert!(boards().iter().all(|(file, _)| made.iter().any(|made| made.path == *file)));
}

/// Made of what Grafana publishes: `tools/checks/validate.sh`.
const SCHEMA: &str = "tools/checks/schemas/dashboard.json";

#[test]
fn every_board_is_a_dashboard_by_grafanas_own_schema() {
    let schema: Value = serde_json::from_str(&support::text(SCHEMA)).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let faults = |board: &Value| -> Vec<String> {
        schema.iter_errors(board).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
    };
    let boards = boards();
    for (file, board) in &boards {
        assert_eq!(faults(board), [""; 0], "{file}");
    }
    // A schema that lets everything pass would prove nothing.
    for (place, wrong) in [
        ("/panels/1/gridPos/w", Value::from("wide")),
        ("/graphTooltip", Value::from(9)),
        ("/panels/1/fieldConfig/defaults/thresholds/mode", Value::from("sometimes")),
        ("/no_such_key", Value::Null),
    ] {
        let mut board = boards[0].1.clone();
        match board.pointer_mut(place) {
            Some(value) => *value = wrong,
            None => board[&place[1..]] = wrong,
        }
        assert!(!faults(&board).is_empty(), "{place} passes");
    }
}

#[test]
fn every_board_has_a_fixed_uid_the_newest_schema_and_cannot_be_edited() {
    let mut uids = BTreeSet::new();
    for (file, board) in boards() {
        let uid = board["uid"].as_str().unwrap();
        assert!(uid.len() <= 40 && uid.starts_with("payout-") && uids.insert(uid.to_owned()), "{file}");
        assert_eq!(board["schemaVersion"], 42, "{file}: the newest of the classic model");
        assert_eq!(board["editable"], false, "{file}");
        assert_eq!(board["tags"][0], "payout", "{file}");
        assert!(board["refresh"].is_string() && board["id"].is_null(), "{file}");
        assert!(!board["title"].as_str().unwrap().is_empty() && !board["description"].as_str().unwrap().is_empty());
    }
}

#[test]
fn every_board_lets_the_data_source_and_the_job_be_chosen() {
    for (file, board) in boards() {
        let variables = list(&board["templating"]["list"]);
        let sources: Vec<&&Value> = variables.iter().filter(|variable| variable["type"] == "datasource").collect();
        assert_eq!(sources.len(), 1, "{file}");
        assert_eq!(
            (&sources[0]["name"], &sources[0]["label"]),
            (&"datasource".into(), &"Data source".into()),
            "{file}"
        );
        for variable in variables.iter().filter(|variable| variable["type"] == "query") {
            assert_eq!(variable["datasource"]["uid"], "${datasource}", "{file}");
            assert_eq!((&variable["multi"], &variable["allValue"]), (&true.into(), &".+".into()), "{file}");
            assert_eq!(variable["refresh"], 2, "{file}: read again when the time range changes");
            let query = variable["query"]["query"].as_str().unwrap();
            let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
            let (selector, label) = inner.rsplit_once(", ").unwrap();
            crate::promql::check(&substituted(selector), &[]);
            let name = selector.split('{').next().unwrap();
            let known = &crate::exposition::series()[name];
            assert!(known.contains_key(label) || ["job", "instance"].contains(&label), "{file}: {query}");
        }
        assert_eq!(variables[1]["name"], "job", "{file}");
    }
}

#[test]
fn every_panel_has_a_unit_and_says_what_to_do() {
    for (file, board) in boards() {
        let mut titles = BTreeSet::new();
        for panel in panels(&board) {
            let title = panel["title"].as_str().unwrap();
            assert!(!title.is_empty() && titles.insert(title.to_owned()), "{file}: {title:?} twice");
            let description = panel["description"].as_str().unwrap_or_default();
            assert!(description.len() > 30 && description.ends_with('.'), "{file}: {title}: {description:?}");
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or_default();
            assert!(UNITS.contains(&unit), "{file}: {title}: {unit:?}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{file}: {title}");
            assert_eq!(
                panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"],
                Value::Null,
                "{file}: {title}"
            );
            assert!(!list(&panel["targets"]).is_empty(), "{file}: {title} shows nothing");
        }
    }
}

#[test]
fn every_query_parses_and_selects_what_there_is_in_the_chosen_jobs() {
    let recorded = crate::alerts::recorded();
    for (file, board) in boards() {
        for target in panels(&board).into_iter().flat_map(|panel| list(&panel["targets"])) {
            let query = substituted(target["expr"].as_str().unwrap());
            assert!(!query.contains('$'), "{file}: {query}");
            crate::promql::check(&query, &recorded);
            for found in crate::promql::selected(&query) {
                let of_job = found.selector.matchers.matchers.iter().any(|matcher| matcher.name == "job");
                assert!(of_job, "{file}: {query}\nselects other jobs too");
            }
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{file}");
            assert!(!target["legendFormat"].as_str().unwrap().is_empty(), "{file}: {query}");
        }
    }
}

/// Titles of panels that look back over a fixed time, and why.
const FIXED: [(&str, &str); 9] = [
    ("Money rejects us", "an hour: whoever looks now must see what happened before"),
    ("Unlisted refusals", "an hour, likewise"),
    ("May be paid twice", "an hour, likewise"),
    ("Quarantined", "an hour, likewise"),
    ("Partitions rebuilt", "an hour, likewise"),
    ("Streams lost", "an hour, likewise"),
    ("Failures", "as the alert FailureRatioHigh smooths it"),
    ("Turned away", "as the alert DownstreamThrottled smooths it"),
    ("Unknown", "likewise"),
];

#[test]
fn rates_are_taken_over_the_interval_that_grafana_computes() {
    let mut fixed = BTreeSet::new();
    for (file, board) in boards() {
        for panel in panels(&board) {
            let title = panel["title"].as_str().unwrap();
            for target in list(&panel["targets"]) {
                let query = target["expr"].as_str().unwrap();
                for range in query.split('[').skip(1).filter_map(|rest| rest.split(']').next()) {
                    let excepted = FIXED.iter().any(|(named, _)| *named == title);
                    assert!(range == "$__rate_interval" || excepted, "{file}: {title}: [{range}]");
                    if range != "$__rate_interval" {
                        fixed.insert(title.to_owned());
                    }
                }
            }
        }
    }
    assert_eq!(fixed, FIXED.iter().map(|(title, _)| (*title).to_owned()).collect(), "an exception that is none");
}

#[test]
fn every_query_of_a_board_with_a_choice_of_replicas_obeys_it() {
    // The other boards show all replicas together: who chose one there would not see the one that is ill.
    let mut boards_with_choice = 0;
    for (file, board) in boards() {
        let of_replica = |variable: &&Value| variable["name"] == "instance";
        if !list(&board["templating"]["list"]).iter().any(of_replica) {
            continue;
        }
        boards_with_choice += 1;
        for target in panels(&board).into_iter().flat_map(|panel| list(&panel["targets"])) {
            let query = target["expr"].as_str().unwrap();
            for found in crate::promql::selected(&substituted(query)) {
                let obeys = found.selector.matchers.matchers.iter().any(|matcher| matcher.name == "instance");
                assert!(obeys, "{file}: {query}");
            }
        }
    }
    assert_eq!(boards_with_choice, 1, "the board of stages and replicas");
}

#[test]
fn figures_of_promotions_are_never_added_up_over_replicas() {
    for (file, board) in boards() {
        for target in panels(&board).into_iter().flat_map(|panel| list(&panel["targets"])) {
            let query = target["expr"].as_str().unwrap();
            for (at, _) in query.match_indices("payout_promotion_") {
                let before = query[..at].trim_end();
                let greatest = before.strip_suffix('(').is_some_and(|before| {
                    let by = before.rfind(" by (").map(|by| &before[..by]).unwrap_or_default();
                    ["max", "min", "count"].iter().any(|word| by.ends_with(word))
                });
                assert!(greatest, "{file}: {query}");
            }
        }
    }
}

#[test]
fn panels_do_not_cover_each_other() {
    for (file, board) in boards() {
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in list(&board["panels"]) {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}: an id twice");
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
            assert!(x + w <= 24, "{file}: {}", panel["title"]);
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{file}: {} covers another", panel["title"]);
            }
        }
    }
}

#[test]
fn the_overview_begins_with_what_must_be_zero() {
    let (_, overview) = boards().into_iter().find(|(file, _)| file.ends_with("overview.json")).unwrap();
    assert_eq!(overview["panels"][0]["title"], "Must be all zero");
    let zeros = list(&overview["panels"]).into_iter().skip(1).take_while(|panel| panel["type"] != "row");
    for panel in zeros {
        let steps = list(&panel["fieldConfig"]["defaults"]["thresholds"]["steps"]);
        assert_eq!(steps.last().unwrap()["color"], "red", "{}", panel["title"]);
        let query = panel["targets"][0]["expr"].as_str().unwrap();
        assert!(query.contains("or vector(0)"), "{}: nothing to show must show as 0", panel["title"]);
    }
}

#[test]
fn the_picture_of_the_overview_shows_every_panel_that_it_has() {
    let picture = support::text("docs/images/overview.svg");
    let (_, overview) = boards().into_iter().find(|(file, _)| file.ends_with("overview.json")).unwrap();
    for panel in list(&overview["panels"]) {
        let title = panel["title"].as_str().unwrap();
        let drawn = picture.lines().any(|line| line == title);
        assert!(drawn, "{title:?} is not in the picture: draw it anew with `cargo xtask boards --render DIR`");
    }
}

#[test]
fn grafana_finds_the_boards_and_the_data_source_where_compose_puts_them() {
    let provider = support::yaml("grafana/provisioning/dashboards/payout.yaml");
    let folder = support::plain(&provider["providers"][0]["options"]["path"]);
    assert!(support::text("compose.yaml").contains(&format!("./grafana/dashboards:{folder}:ro")), "{folder}");
    let source = support::yaml("grafana/provisioning/datasources/prometheus.yaml");
    assert_eq!(support::plain(&source["datasources"][0]["url"]), "http://prometheus:9090");
    let interval = support::plain(&source["datasources"][0]["jsonData"]["timeInterval"]);
    assert_eq!(interval, support::plain(&support::yaml("prometheus/prometheus.yml")["global"]["scrape_interval"]));
}
