//! SIGTERM at random moments. `cargo xtask prove sigterm` does it 200 times.

use std::time::SystemTime;

use acceptance::terminations;

#[test]
fn every_process_exits_within_its_grace_at_random_sigterms_without_redelivering_committed_work() {
    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let terminated = terminations::run(20, seed);
    assert_eq!(terminated.took.values().flatten().count(), 20);
}
