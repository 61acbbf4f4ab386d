//! That breaking a rule is noticed: a few of these scenarios again, as `cargo xtask mutants` runs all of them.

use std::process::Command;

/// A rule of each kind: an answer misread, an intent undone, two orders of effects.
const BROKEN: [(&str, &str); 4] = [
    ("LostAnswerMeansFailed", "answers::a_charge_whose_answer_was_lost_has_not_failed"),
    ("IntentIsNotCommitted", "requests::whoever_died_after_a_call_charges_nobody_blindly"),
    ("SettleBeforeOutcome", "entries::nothing_is_settled_before_its_row_says_so"),
    ("MarkBeforePublish", "publishing::what_is_marked_as_published_is_on_its_stream"),
];

#[test]
fn a_scenario_fails_when_its_rule_is_broken() {
    let me = std::env::current_exe().expect("this test's own program");
    for (mutant, scenario) in BROKEN {
        let run = Command::new(&me).args(["--exact", scenario]).env("PAYOUT_MUTANT", mutant).output();
        let run = run.expect("run a scenario");
        let told = String::from_utf8_lossy(&run.stdout);
        assert!(told.contains("1 failed"), "{mutant} goes unnoticed by {scenario}:\n{told}");
    }
}
