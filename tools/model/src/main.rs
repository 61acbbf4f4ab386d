//! Explores the model.
use model::explore::{Search, explore};
use model::model::Model;
use model::scope::{Faults, Scope};

fn main() {
    let budget = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    for scope in [Scope::new("full", Faults::all(budget)), Scope::new("bare", Faults::all(budget)).money(false, false)] {
        let report = explore(&Model::new(scope), Search::SafetyAndEnd, 20_000_000);
        println!("{report}");
        if let Some(found) = report.counterexample {
            println!("{found}");
        }
    }
}
