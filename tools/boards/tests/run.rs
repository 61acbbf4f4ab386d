//! Every query of every board, every rule, and every page of metrics, against one real run.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use boards::expect::{self, Expected};
use boards::panel::{self, Board, Look, Panel};
use boards::run::Run;

/// Alerts without a patience of their own whose cause the run has met.
const FIRED: [&str; 5] =
    ["StreamLost", "PartitionRebuilt", "MoneyRejectsUs", "EntryQuarantined", "RefusalCodeNotListed"];

/// One run for all of it: it takes a minute.
#[test]
fn the_boards_the_rules_and_the_pages_of_metrics_show_what_a_real_run_does() {
    let run = Run::through().unwrap();
    for campaign in &run.campaigns {
        run.world.books(campaign).assert_exactly_once();
    }
    let boards = panel::boards().unwrap();
    every_query_shows_what_happened(&run, &boards);
    what_must_be_zero_was_zero_while_all_was_well(&run, &boards);
    rules_are_evaluated_and_fire(&run);
    promtool_accepts_every_page(&run);
    every_stage_tells_what_it_takes_in_and_how_long_that_takes(&run);
}

fn every_query_shows_what_happened(run: &Run, boards: &[Board]) {
    let mut breaches = Vec::new();
    for (board, panel) in panels(boards) {
        for (query, line) in &panel.queries {
            let answer = run.prometheus.over(query, run.whole).unwrap();
            if let Some(breach) = expect::breach(expect::of(&board.name, panel, line), &answer) {
                breaches.push(format!("{}: {}: {line}: {breach}\n  {query}", board.name, panel.title));
            }
        }
    }
    assert!(breaches.is_empty(), "{} queries:\n{}", breaches.len(), breaches.join("\n"));
    let find = |board: &str, title: &str| {
        panels(boards).find(|(found, panel)| found.name == board && panel.title == title).map(|(_, panel)| panel)
    };
    assert_eq!(expect::unused(find), [""; 0], "exceptions that no panel has");
}

fn what_must_be_zero_was_zero_while_all_was_well(run: &Run, boards: &[Board]) {
    let mut checked = 0;
    for (board, panel) in panels(boards).filter(|(_, panel)| panel.look == Look::Number { filled: true }) {
        for (query, _) in &panel.queries {
            let answer = run.prometheus.over(query, run.healthy).unwrap();
            let breach = expect::breach(Expected::Zero, &answer);
            assert!(breach.is_none(), "{}: {} in health: {breach:?}", board.name, panel.title);
            checked += 1;
        }
    }
    assert!(checked >= 12, "the overview has a row that must be all zero");
}

fn rules_are_evaluated_and_fire(run: &Run) {
    for (rule, problem) in run.prometheus.rules() {
        assert_eq!(problem, None, "{rule}");
        // Sums that the autoscaling and other rules build on.
        let recorded = rule.contains(':');
        assert!(!recorded || !run.prometheus.over(&rule, run.whole).unwrap().is_empty(), "{rule} makes nothing");
    }
    for alert in FIRED {
        let ever = format!(r#"ALERTS{{alertname="{alert}"}}"#);
        assert!(!run.prometheus.over(&ever, run.whole).unwrap().is_empty(), "{alert} never fired");
    }
    let well = run.prometheus.over(r#"ALERTS{alertstate="firing"}"#, run.healthy).unwrap();
    let names: Vec<_> = well.iter().map(|series| &series.labels["alertname"]).collect();
    assert!(names.is_empty(), "fired while all was well: {names:?}");
}

fn promtool_accepts_every_page(run: &Run) {
    let mut pages: Vec<(&str, String)> = run.stages.iter().map(|stage| (stage.target.service, stage.page())).collect();
    pages.push(("loader", run.loader.clone()));
    for stage in ["loader", "dispatcher", "payer", "retrier", "summarizer"] {
        assert!(pages.iter().any(|(name, _)| *name == stage), "{stage} was not asked");
    }
    for (stage, page) in pages {
        let said = promtool(&page);
        // What is not ours comes from the process collector.
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("payout_")).collect();
        assert!(ours.is_empty(), "{stage}: {ours:#?}");
        assert!(!said.contains("error while linting"), "{stage}: {said}");
    }
}

fn every_stage_tells_what_it_takes_in_and_how_long_that_takes(run: &Run) {
    let pages: Vec<String> = run.stages.iter().map(boards::run::Watched::page).chain([run.loader.clone()]).collect();
    for stage in ["loader", "dispatcher", "payer", "retrier", "summarizer"] {
        for name in ["items_received_total", "batch_items_count", "process_duration_seconds_count"] {
            let series = format!("payout_stage_{name}{{stage=\"{stage}\"}} ");
            let values = pages.iter().flat_map(|page| page.lines()).filter_map(|line| line.strip_prefix(&series));
            assert!(values.filter_map(|value| value.parse::<f64>().ok()).any(|value| value > 0.0), "{series}");
        }
    }
}

fn promtool(page: &str) -> String {
    let program = servers::program(&["promtool"], servers::Package("prometheus")).unwrap();
    let mut promtool = Command::new(program)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn panels(boards: &[Board]) -> impl Iterator<Item = (&Board, &Panel)> {
    let all = boards.iter().flat_map(|board| board.panels.iter().map(move |panel| (board, panel)));
    all.filter(|(_, panel)| panel.look != Look::Heading)
}
