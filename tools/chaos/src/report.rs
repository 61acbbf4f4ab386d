//! The figures of a run: a table on the terminal, and its sections of the report on reliability.

use anyhow::Result;
use comfy_table::{Table, presets};
use reliability::Section;

use crate::hazard::Hazard;
use crate::iteration::{EACH_HALF_WINDOW, RECOVERY_BOUND};
use crate::tally::Tally;

/// Prints what was done and met.
pub fn print(tally: &Tally, minutes: f64) {
    for (heading, rows) in [("fault", faults(tally)), ("hazard", hazards(tally)), ("", figures(tally, minutes))] {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header([heading, "times"]);
        rows.into_iter().for_each(|row| {
            table.add_row(row);
        });
        println!("{table}\n");
    }
}

/// Writes the sections `chaos` and `crash-points`.
///
/// # Errors
/// A file cannot be written.
pub fn save(mut chaos: Section, mut points: Section, tally: &Tally, minutes: f64) -> Result<()> {
    chaos.say(
        "Real processes (two dispatchers, three payers, one or two retriers and summarizers) against a private Redis, a private \
         MariaDB and the money sandbox. Every iteration ends with everything healed, waits for COMPLETED, and audits every \
         invariant against the ledger, by two judges that share no code.",
    );
    chaos.table("Result", ["", ""], figures(tally, minutes));
    chaos.table("Faults that were carried out", ["fault", "times"], faults(tally));
    chaos.table("Hazards that were met", ["hazard", "times"], hazards(tally));
    chaos.save()?;
    points.say(
        "Processes of one stage died at a named place between two effects, in every third iteration of the run above.",
    );
    let deaths = |place: (&str, &str)| [place.1.to_owned(), place.0.to_owned(), tally.deaths(place).to_string()];
    points.table("Deaths", ["place", "stage", "times"], crate::draw::places().into_iter().map(deaths).collect());
    points.save()?;
    Ok(())
}

fn faults(tally: &Tally) -> Vec<[String; 2]> {
    let mut rows: Vec<[String; 2]> =
        tally.faults.iter().map(|(kind, times)| [(*kind).to_owned(), times.to_string()]).collect();
    rows.push(["process died at a crash point".to_owned(), tally.points.values().sum::<u64>().to_string()]);
    rows
}

fn hazards(tally: &Tally) -> Vec<[String; 2]> {
    Hazard::ALL.iter().map(|hazard| [hazard.name().to_owned(), tally.hazards.times(*hazard).to_string()]).collect()
}

fn figures(tally: &Tally, minutes: f64) -> Vec<[String; 2]> {
    let seconds = |percent| format!("{:.1} s", tally.recovery(percent).as_secs_f64());
    [
        ("iterations", tally.iterations.to_string()),
        ("faults", tally.faults_in_all().to_string()),
        ("targets with a final result", (tally.paid + tally.failed).to_string()),
        ("paid", tally.paid.to_string()),
        ("failed for good", tally.failed.to_string()),
        ("closed by a person, by the ledger", tally.resolved.to_string()),
        ("iterations that broke an invariant", tally.failures.len().to_string()),
        ("paid twice or wrongly", tally.wrong.to_string()),
        ("lost or unknown at the end", tally.open.to_string()),
        ("from healed to COMPLETED: median", seconds(50)),
        ("from healed to COMPLETED: 99 of 100", seconds(99)),
        ("from healed to COMPLETED: longest", seconds(100)),
        ("allowed", format!("{RECOVERY_BOUND:?}, and {EACH_HALF_WINDOW:?} for each half window of targets")),
        ("iterations a minute", format!("{:.0}", tally.iterations as f64 / minutes.max(f64::EPSILON))),
    ]
    .map(|(name, value)| [name.to_owned(), value])
    .into()
}
