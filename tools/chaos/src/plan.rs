//! The schedule of one iteration: a pure function of a seed and a number. Printing it and reading it back gives the
//! same schedule, so a failure is repeated from its plan alone.

use acceptance::Kind;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::draw;
use crate::fault::Fault;
use crate::weather::Weather;

/// One iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Of the run.
    pub seed: u64,
    /// Which one, counted from 0.
    pub iteration: u64,
    /// `POINT` or `VOUCHER`.
    pub vouchers: bool,
    /// How many are to be paid.
    pub targets: u32,
    /// Over so many streams.
    pub partitions: u32,
    /// How the promotion comes into the database.
    pub load: Load,
    /// What the money service offers.
    pub deployment: Deployment,
    /// How it behaves all the time.
    pub weather: Weather,
    /// Attempts of a payout.
    pub max_attempts: u32,
    /// `dispatcher.window`: small enough that faults meet a run that is under way.
    pub window: u32,
    /// `money.max_rps`; 0 = no limit.
    pub max_rps: u32,
    /// Processes of each stage: dispatchers, payers, retriers, summarizers.
    pub replicas: [u32; 4],
    /// A place at which every process of one stage dies.
    pub armed: Option<Armed>,
    /// Faults, by their time.
    pub events: Vec<Event>,
}

/// How a promotion comes into the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Written by another system.
    Sql,
    /// By the loader, from a file.
    File,
    /// By two loaders at once, from the same file.
    FileTwice,
}

/// What the money service offers beyond charging.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Look-up.
    pub lookup: bool,
    /// Cancel.
    pub cancel: bool,
}

/// A place at which processes die.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Armed {
    /// Which stage.
    pub stage: String,
    /// A name of the product's list of crash points.
    pub point: String,
    /// The how manieth time that they pass there.
    pub pass: u32,
}

/// A fault at its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds after the stages were started.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub fault: Fault,
}

/// What plans may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Fewest and most targets.
    pub targets: (u32, u32),
}

impl Plan {
    /// The plan of an iteration.
    pub fn draw(seed: u64, iteration: u64, bounds: Bounds) -> Self {
        let mut dice = StdRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ iteration);
        draw::plan(seed, iteration, bounds, &mut dice)
    }

    /// Its payout type.
    pub fn kind(&self) -> Kind {
        if self.vouchers { Kind::Voucher } else { Kind::Point }
    }

    /// The campaign's code.
    pub fn code(&self) -> String {
        format!("CHAOS-{}-{}", self.seed, self.iteration)
    }

    /// The names of its processes, each with its stage.
    pub fn crew(&self) -> Vec<(&'static str, String)> {
        let stages = STAGES.iter().zip(self.replicas);
        stages.flat_map(|(stage, count)| (1..=count).map(move |number| (*stage, format!("{stage}-{number}")))).collect()
    }
}

/// Stages that run as processes, in the order of [`Plan::replicas`].
pub const STAGES: [&str; 4] = ["dispatcher", "payer", "retrier", "summarizer"];

/// A number of targets: as many small campaigns as large ones in each factor of two, so that there are many
/// iterations and some are large.
pub(crate) fn targets(bounds: Bounds, dice: &mut StdRng) -> u32 {
    let (least, most) = (f64::from(bounds.targets.0.max(1)).ln(), f64::from(bounds.targets.1.max(1)).ln());
    let drawn = if most > least { dice.random_range(least..most).exp() } else { least.exp() };
    drawn.round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { targets: (300, 3000) };

    #[test]
    fn a_seed_and_a_number_always_give_the_same_plan() {
        for iteration in 0..200 {
            let plan = Plan::draw(7, iteration, BOUNDS);
            assert_eq!(plan, Plan::draw(7, iteration, BOUNDS));
            assert_ne!(plan, Plan::draw(8, iteration, BOUNDS));
            assert!((300..=3000).contains(&plan.targets), "{}", plan.targets);
        }
    }

    #[test]
    fn a_plan_that_was_printed_is_read_back_the_same() {
        for iteration in 0..500 {
            let plan = Plan::draw(3, iteration, BOUNDS);
            let text = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan, "{text}");
        }
    }

    #[test]
    fn every_kind_of_fault_and_every_crash_point_is_drawn() {
        let plans: Vec<Plan> = (0..600).map(|iteration| Plan::draw(1, iteration, BOUNDS)).collect();
        let kinds: std::collections::BTreeSet<&str> =
            plans.iter().flat_map(|plan| &plan.events).map(|event| event.fault.name()).collect();
        assert!(kinds.len() >= 40, "{} kinds: {kinds:?}", kinds.len());
        assert!(draw::places().len() > 40);
        for (stage, point) in draw::places() {
            let mut armed = plans.iter().filter_map(|plan| plan.armed.as_ref());
            assert!(
                armed.any(|armed| armed.point == point && armed.stage == stage),
                "{point} of {stage} is never armed"
            );
        }
    }
}
