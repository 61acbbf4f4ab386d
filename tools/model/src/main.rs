//! Explores the model.
use model::explore::{Search, explore};
use model::model::Model;
use model::mutant::Mutant;
use model::scope::{Faults, Scope};

fn main() {
    let arg = std::env::args().nth(1).unwrap_or_default();
    if let Ok(budget) = arg.parse() {
        for scope in families(budget) {
            let report = explore(&Model::new(scope), Search::SafetyAndEnd, 20_000_000);
            println!("{report}");
            if let Some(found) = report.counterexample { println!("{found}"); }
        }
        return;
    }
    for mutant in Mutant::ALL {
        let mut best: Option<(u8, usize, &str, &str, usize)> = None;
        for budget in 0..=3 {
            if best.is_some() { break; }
            for scope in families(budget) {
                let report = explore(&Model::broken(scope, mutant), Search::SafetyAndEnd, if budget == 3 { 1_500_000 } else { 4_000_000 });
                if let Some(found) = report.counterexample {
                    let cand = (budget, found.steps.len(), scope.name, found.rule, report.states);
                    if best.is_none_or(|b| (cand.1) < (b.1)) { best = Some(cand); }
                }
            }
        }
        println!("{mutant:?}: {best:?}");
    }
}

fn families(budget: u8) -> Vec<Scope> {
    let full = Scope::new("full", Faults::all(budget));
    let forget = Faults { forget: true, ..Faults::all(budget) };
    vec![
        full,
        Scope { name: "lookup", ..full.money(true, false) },
        Scope { name: "cancel", ..full.money(false, true) },
        Scope { name: "bare", ..full.money(false, false) },
        Scope { stops: 1, name: "stops", ..full },
        Scope { stops: 1, name: "stops bare", ..full.money(false, false) },
        Scope { requeues: 1, name: "requeue", ..full },
        Scope { requeues: 1, name: "requeue bare", ..full.money(false, false) },
        Scope { requeues: 1, name: "requeue cancel", ..full.money(false, true) },
        Scope { ticks: 1, faults: forget, name: "retention", ..full },
        Scope { ticks: 1, faults: forget, name: "retention bare", ..full.money(false, false) },
        Scope { ticks: 1, faults: forget, stops: 1, name: "retention stop cancel", ..full.money(false, true) },
        Scope { not_listed: true, executing: true, name: "codes", ..full },
        Scope { not_listed: true, executing: true, name: "codes lookup", ..full.money(true, false) },
        Scope { not_listed: true, executing: true, burnt_is_listed: true, name: "codes cancel", ..full.money(false, true) },
        Scope { not_listed: true, executing: true, name: "codes bare", ..full.money(false, false) },
        Scope { unpayable: true, name: "unpayable", ..full },
        Scope { unpayable: true, name: "unpayable bare", ..full.money(false, false) },
        Scope { name: "two dispatchers", ..full.stages(2, 1, 1) },
        Scope { name: "two each", ..full.stages(2, 2, 2) },
    ]
}
