//! Making a failure smaller: faults are left out as long as it still fails.

use anyhow::{Result, bail};

use crate::iteration;
use crate::lane::Lane;
use crate::plan::{Event, Plan};

/// What was found.
#[derive(Debug)]
pub struct Shrunk {
    /// The smallest plan that still fails.
    pub plan: Plan,
    /// Of so many runs of it.
    pub tries: u32,
    /// So many failed.
    pub failed: u32,
}

/// Delta-debugs the faults of a plan. Real processes are not deterministic: a candidate counts as failing when one of
/// `tries` runs of it fails.
///
/// # Errors
/// The plan does not fail in as many tries, or a lane breaks.
pub fn shrink(lane: &Lane, plan: &Plan, tries: u32, mut tell: impl FnMut(&str)) -> Result<Shrunk> {
    let mut fails = |events: &[Event]| -> Result<bool> {
        let candidate = Plan { events: events.to_vec(), ..plan.clone() };
        for _ in 0..tries {
            if !iteration::run(lane, &candidate, None)?.breaches.is_empty() {
                tell(&format!("{} faults: fails", events.len()));
                return Ok(true);
            }
        }
        tell(&format!("{} faults: holds", events.len()));
        Ok(false)
    };
    if !fails(&plan.events)? {
        bail!("the plan does not fail in {tries} tries");
    }
    let events = smallest(plan.events.clone(), &mut fails)?;
    let plan = Plan { events, ..plan.clone() };
    let mut failed = 0;
    for _ in 0..tries {
        failed += u32::from(!iteration::run(lane, &plan, None)?.breaches.is_empty());
    }
    Ok(Shrunk { plan, tries, failed })
}

/// Removes ever smaller parts of a list as long as what is left still fails.
fn smallest<T: Clone>(mut list: Vec<T>, fails: &mut impl FnMut(&[T]) -> Result<bool>) -> Result<Vec<T>> {
    let mut parts = 2;
    while !list.is_empty() {
        let size = list.len().div_ceil(parts);
        let mut removed = false;
        let mut from = 0;
        while from < list.len() {
            let rest: Vec<T> = list
                .iter()
                .enumerate()
                .filter(|(at, _)| !(from..from + size).contains(at))
                .map(|(_, one)| one.clone())
                .collect();
            if fails(&rest)? {
                (list, removed) = (rest, true);
            } else {
                from += size;
            }
        }
        if size == 1 && !removed {
            break;
        }
        parts = if removed { 2 } else { parts * 2 };
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_what_fails_together() {
        for guilty in [vec![3], vec![0, 7], vec![2, 3, 5], vec![]] {
            let mut fails = |list: &[u32]| Ok(guilty.iter().all(|one| list.contains(one)));
            assert_eq!(smallest((0..8).collect(), &mut fails).unwrap(), guilty);
        }
    }
}
