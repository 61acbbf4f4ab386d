//! Explores the model.
use model::explore::{Search, explore};
use model::model::Model;
use model::scope::{Faults, Scope};

fn main() {
    let budget = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let full = Scope::new("full", Faults::all(budget));
    let forget = Faults { forget: true, ..Faults::all(budget) };
    for scope in [
        full,
        full.money(true, false),
        full.money(false, true),
        full.money(false, false),
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
        Scope { name: "two each", ..full.stages(2, 2, 2) },
        Scope { name: "two each bare", ..full.money(false, false).stages(2, 2, 2) },
    ] {
        let report = explore(&Model::new(scope), Search::SafetyAndEnd, 20_000_000);
        println!("{report}");
        if let Some(found) = report.counterexample {
            println!("{found}");
        }
    }
}
