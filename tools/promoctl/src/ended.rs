//! How a command ended.

use std::process::ExitCode;

/// What became of a command, as its exit code. Faults in the configuration end with 64 before any of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// Everything was done.
    Done,
    /// It failed, or an invariant is broken.
    Failed,
    /// It was refused or misused, and nothing was written.
    Refused,
    /// A part was done.
    Partly,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Done => Self::SUCCESS,
            Ended::Failed => Self::from(1),
            Ended::Refused => Self::from(2),
            Ended::Partly => Self::from(3),
        }
    }
}

/// Why a command was refused before it wrote anything.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

/// Ends a command with a refusal.
pub(crate) fn refuse<T>(why: impl Into<String>) -> anyhow::Result<T> {
    Err(Refused(why.into()).into())
}
