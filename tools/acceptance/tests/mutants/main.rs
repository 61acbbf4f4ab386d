//! One rule a test, in the smallest scenario that shows it broken.
//!
//! On the product they all pass. `cargo xtask mutants` runs them with the rule taken away, and then each must fail. So
//! they need no faults beyond their own, wait no longer than a mutant is worth, and are judged like everything else.

mod answers;
mod entries;
mod mechanism;
mod publishing;
mod requests;
mod the_end;

use std::time::Duration;

use acceptance::{Build, Campaign, World, until};

/// Many times what any of these scenarios takes: what is not there by then is stuck.
const BOUND: Duration = Duration::from_secs(40);

/// Attempts run out soon, and the breaker stays out of it.
fn patient(attempts: &str) -> Build {
    World::build().set("PAYOUT_BREAKER_MIN_REQUESTS", "1000000").set("PAYOUT_RETRY_MAX_ATTEMPTS", attempts)
}

/// Without the sweep, which would heal what others must not rely on.
fn unswept() -> Build {
    World::build().set("PAYOUT_SUMMARIZER_SWEEP_INTERVAL", "10m")
}

/// Waits until nothing moves the promotion any more by itself; gives its status.
fn ended(world: &World, campaign: &Campaign) -> String {
    until("it is over", BOUND, || {
        world.status(campaign).filter(|status| matches!(status.as_str(), "COMPLETED" | "FAILED"))
    })
}

/// Waits until every target is settled, or parked with `consumer`.
fn settled_or_with(world: &World, campaign: &Campaign, consumer: &str) {
    until(&format!("everybody is settled or with {consumer}"), BOUND, || {
        let parked = world.cache.held(campaign).get(consumer).copied().unwrap_or(0);
        let settled = world.cache.counts(campaign).settled();
        (parked + settled >= i64::from(campaign.targets)).then_some(())
    });
}

/// Waits until everything is on the streams.
fn published(world: &World, campaign: &Campaign) {
    until("all is published", BOUND, || {
        (world.cache.counts(campaign).published == i64::from(campaign.targets)).then_some(())
    });
}
