//! What more cores would carry: predicted from the CPU that each process takes for a target, and the prediction's shape
//! checked here by binding processes to cores, and by slowing one server at a time down to what should carry half.
//!
//! The prediction: cores are shared until one process is alone on as many as it can use. Redis runs commands on one
//! thread; everything else is taken to spread (payers by replicas, MariaDB over its threads), which nobody has measured
//! beyond this machine.

use anyhow::Result;

use crate::leg::{self, Leg};
use crate::placement::Placement;
use crate::report::{Placed, Report};
use crate::run::{Options, say};
use crate::stand::Stand;

/// The processes of a payout, as the report names them.
pub const PROCESSES: [&str; 7] = ["dispatcher", "payer", "retrier", "summarizer", "money", "MariaDB", "Redis"];
/// Everything on one core, then one process alone on a core and the rest on the other.
const PLACEMENTS: [Placement; 5] = [
    Placement::OneCore,
    Placement::Alone("MariaDB"),
    Placement::Alone("payer"),
    Placement::Alone("money"),
    Placement::Alone("Redis"),
];

/// Servers that are slowed down, one at a time, and the cores that each can use here.
const BRAKED: [(&str, f64); 3] = [("MariaDB", 2.0), ("money", 2.0), ("Redis", 1.0)];

/// A run anywhere, whose CPU figures predict the others; then each placement.
pub async fn measure(options: &Options, stand: &Stand, report: &mut Report) -> Result<()> {
    say("scaling: wherever the kernel puts them");
    let targets = options.targets();
    let anywhere = leg::placed(stand, "scaling_anywhere", targets, options, Placement::Anywhere).await?;
    let half = predict(&anywhere, Placement::Anywhere) / 2.0;
    let braked = BRAKED.map(|(name, cores)| Placement::Braked(name, half * anywhere.cpu_us(name) / 1e6 / cores));
    for (number, placement) in PLACEMENTS.into_iter().chain(braked).enumerate() {
        say(&format!("scaling: {}", text(placement)));
        let leg = leg::placed(stand, &format!("scaling_{number}"), targets, options, placement).await?;
        // The brake is as exact as the kernel's sleep: what counts is how long the server really ran.
        let placement = match (placement, leg.ran_for) {
            (Placement::Braked(name, _), Some(share)) => Placement::Braked(name, share),
            (placement, _) => placement,
        };
        let predicted = predict(&anywhere, placement);
        println!("{:>8.0} targets/s, predicted {predicted:.0}", leg.rate());
        report.placed.push(Placed { placement: text(placement), predicted, leg });
    }
    report.anywhere = Some(anywhere);
    Ok(())
}

fn text(placement: Placement) -> String {
    match placement {
        Placement::Anywhere => "both cores, wherever the kernel puts them".to_owned(),
        Placement::OneCore => "everything on one core".to_owned(),
        Placement::Alone(name) => format!("{name} on one core, everything else on the other"),
        Placement::Braked(name, share) => format!("{name} runs for {:.1} % of the time", share * 100.0),
    }
}

/// Targets per second of a placement: what its fuller core can carry, or the time that a server has.
fn predict(anywhere: &Leg, placement: Placement) -> f64 {
    let all: f64 = PROCESSES.iter().map(|name| anywhere.cpu_us(name)).sum();
    let fuller = match placement {
        Placement::Anywhere => all / 2.0,
        Placement::OneCore => all,
        Placement::Alone(name) => anywhere.cpu_us(name).max(all - anywhere.cpu_us(name)),
        Placement::Braked(name, share) => {
            let cores = BRAKED.iter().find(|(braked, _)| *braked == name).map_or(1.0, |(_, cores)| *cores);
            (anywhere.cpu_us(name) / share / cores).max(all / 2.0)
        }
    };
    1e6 / fuller
}

/// Targets per second that `cores` would carry, and what saturates first. `money` is elsewhere in production, and is left
/// out where `with_money` is false.
pub fn on_cores(leg: &Leg, cores: f64, with_money: bool) -> (f64, &'static str) {
    let used = PROCESSES.iter().filter(|name| with_money || **name != "money");
    let all: f64 = used.map(|name| leg.cpu_us(name)).sum();
    let (shared, redis) = (cores * 1e6 / all, 1e6 / leg.cpu_us("Redis"));
    if redis < shared { (redis, "Redis, on its one thread") } else { (shared, "the cores together") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Used;
    use crate::counters::Counted;

    fn leg(cpu: &[(&str, f64)]) -> Leg {
        let used = cpu.iter().map(|(name, us)| Used { name: (*name).to_owned(), cpu_s: *us, peak_memory: 0 }).collect();
        let (targets, seconds) = (1_000_000, 20.0);
        let (name, counted) = ("x".to_owned(), Counted::default());
        Leg { name, targets, seconds, used, counted, samples: Vec::new(), ran_for: None }
    }

    #[test]
    fn a_placement_carries_what_its_fuller_core_carries() {
        let leg = leg(&[("payer", 15.0), ("MariaDB", 20.0), ("Redis", 8.0), ("money", 7.0)]);
        assert_eq!(predict(&leg, Placement::OneCore), 20_000.0);
        assert_eq!(predict(&leg, Placement::Anywhere), 40_000.0);
        assert_eq!(predict(&leg, Placement::Alone("MariaDB")).round(), 33_333.0);
        assert_eq!(predict(&leg, Placement::Braked("MariaDB", 0.2)), 20_000.0);
        assert_eq!(predict(&leg, Placement::Braked("Redis", 0.2)), 25_000.0);
        assert_eq!(predict(&leg, Placement::Braked("money", 0.9)), 40_000.0, "it has time enough");
    }

    #[test]
    fn redis_saturates_when_there_are_cores_enough() {
        let leg = leg(&[("payer", 15.0), ("MariaDB", 20.0), ("Redis", 8.0), ("money", 7.0)]);
        assert_eq!(on_cores(&leg, 4.0, true), (80_000.0, "the cores together"));
        assert_eq!(on_cores(&leg, 64.0, true), (125_000.0, "Redis, on its one thread"));
        assert!(on_cores(&leg, 4.0, false).0 > 80_000.0);
    }
}
