//! What the doctor finds.

use serde::Serialize;

/// How bad it is. The worst comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Data is in danger, or payouts are not made.
    Error,
    /// It will be so, when something else happens.
    Warning,
    /// To know.
    Info,
}

impl Severity {
    /// As it is printed.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    /// How bad it is.
    pub(super) severity: Severity,
    /// Which check found it: the same words for ever, for programs.
    pub(super) check: &'static str,
    /// Where.
    #[serde(rename = "where")]
    pub(super) place: String,
    /// What.
    pub(super) found: String,
    /// What follows from it.
    pub(super) means: String,
    /// What to do.
    #[serde(rename = "do")]
    pub(super) advice: String,
}

/// Findings as they are made.
#[derive(Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Adds one.
    pub(super) fn add(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// All of them.
    pub(super) fn worst_first(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|finding| finding.severity);
        self.0
    }
}
