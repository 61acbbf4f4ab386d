//! Seeded chaos: the stages' own binaries against a real Redis, a real database and a money service that fails.
//! Processes die and freeze, servers are killed, cut short and put back, ways to them break, money misbehaves; then
//! everything is healed, and the ledger judges.
//!
//! A plan is a pure function of a seed and a number ([`plan`]), so a failure is repeated and made smaller from its
//! plan. What happens when is decided by the plan; what it meets there is decided by real processes, so that a repeat
//! is likely and not certain.

mod act;
pub mod artifact;
mod crew;
mod draw;
pub mod fault;
pub mod hazard;
pub mod iteration;
mod lane;
pub mod plan;
mod proxy;
pub mod report;
pub mod run;
pub mod shrink;
mod stand;
pub mod tally;
mod verdict;
pub mod weather;

pub use lane::Lane;
pub use stand::Stand;

/// The kernel tells a process that writes beyond its limit by a signal that would end it, unless that is ignored: as
/// on a full disk, the write then fails. Children inherit this.
pub fn ignore_file_size_signal() {
    #[expect(unsafe_code, reason = "sets a signal to be ignored; no handler, nothing is shared")]
    // SAFETY: signal takes a number and a constant.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}
