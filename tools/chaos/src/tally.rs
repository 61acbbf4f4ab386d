//! What a run adds up to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::artifact::Place;
use crate::hazard::Hazards;
use crate::iteration::Outcome;
use crate::plan::Plan;

/// Sums over all iterations.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many.
    pub iterations: u64,
    /// Faults that were carried out, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Crash points at which processes died, and of which stage they were.
    pub points: BTreeMap<Place, u64>,
    /// What was met.
    pub hazards: Hazards,
    /// Targets that were paid.
    pub paid: u64,
    /// Targets that failed for good.
    pub failed: u64,
    /// Breaches of exactly once.
    pub wrong: u64,
    /// Targets without a final result at the end.
    pub open: u64,
    /// Rows that a person had to close.
    pub resolved: u64,
    /// From the healing to COMPLETED, of each iteration that got there.
    pub recoveries: Vec<Duration>,
    /// Iterations that broke something, with their breaches.
    pub failures: Vec<(Plan, Outcome)>,
}

impl Tally {
    /// Adds an iteration.
    pub fn add(&mut self, plan: Plan, outcome: Outcome) {
        self.iterations += 1;
        for (kind, times) in &outcome.faults {
            *self.faults.entry(kind).or_insert(0) += times;
        }
        for (point, times) in &outcome.points {
            *self.points.entry(point.clone()).or_insert(0) += times;
        }
        self.hazards.add(&outcome.hazards);
        self.paid += outcome.paid;
        self.failed += outcome.failed;
        self.wrong += outcome.wrong;
        self.open += outcome.open;
        self.resolved += outcome.resolved;
        if outcome.breaches.is_empty() {
            self.recoveries.push(outcome.recovery);
        } else {
            self.failures.push((plan, outcome));
        }
    }

    /// Faults of all kinds, deaths at crash points among them.
    pub fn faults_in_all(&self) -> u64 {
        self.faults.values().sum::<u64>() + self.points.values().sum::<u64>()
    }

    /// The recovery time that so many of a hundred iterations stay below.
    pub fn recovery(&self, percent: usize) -> Duration {
        let mut sorted = self.recoveries.clone();
        sorted.sort();
        let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(place).copied().unwrap_or_default()
    }

    /// How often a process of a stage died at a place.
    pub fn deaths(&self, (stage, point): (&str, &str)) -> u64 {
        self.points.get(&(stage.to_owned(), point.to_owned())).copied().unwrap_or(0)
    }

    /// Places, with their stages, at which no process of the stage died.
    pub fn places_missed(&self) -> Vec<String> {
        let missed = crate::draw::places().into_iter().filter(|place| self.deaths(*place) == 0);
        missed.map(|(stage, point)| format!("{point} ({stage})")).collect()
    }
}
