//! Why a load is refused: what the operator has to change. Exit code 2.

use pipeline::domain::Amount;

use crate::csv::cell::BadRow;

/// Most bad rows that are listed. All of them are counted.
pub const LISTED: usize = 100;

/// Bad rows of a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BadRows {
    /// How many there are.
    pub count: u64,
    /// The first [`LISTED`] of them.
    pub listed: Vec<BadRow>,
}

impl BadRows {
    /// Counts one, and lists it while there is room.
    pub fn add(&mut self, row: BadRow) {
        self.count += 1;
        if self.listed.len() < LISTED {
            self.listed.push(row);
        }
    }

    /// One line for each that is listed, and one for those that are not.
    pub fn lines(&self) -> String {
        let mut lines: Vec<String> = self.listed.iter().map(ToString::to_string).collect();
        let more = self.count - self.listed.len() as u64;
        if more > 0 {
            lines.push(format!("… and {more} more"));
        }
        lines.join("\n")
    }
}

/// Why nothing was loaded, or nothing more.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The file cannot be used at all.
    #[error("{0}")]
    File(String),
    /// It has bad rows, and --skip-invalid was not given.
    #[error("{} bad rows; nothing was loaded. Mend them, or load the others with --skip-invalid.\n{}", .0.count, .0.lines())]
    BadRows(BadRows),
    /// It has no row that can be loaded.
    #[error("the file has no row to load")]
    Empty,
    /// More than the promotion's columns hold.
    #[error("the file has {0}, which is more than a promotion can hold; split it")]
    TooMuch(String),
    /// --expect-count was not met.
    #[error("--expect-count is {expected}, the file has {found} targets")]
    Count {
        /// On the command line.
        expected: u64,
        /// In the file.
        found: u64,
    },
    /// --expect-total was not met.
    #[error("--expect-total is {expected}, the targets add up to {found}")]
    Total {
        /// On the command line.
        expected: Amount,
        /// In the file.
        found: Amount,
    },
    /// The command line does not fit the installation.
    #[error("{0}")]
    Misused(String),
    /// The campaign has a promotion that is not this file with these options.
    #[error("the campaign {campaign} exists already, as promotion {promotion} ({status}); {differs}")]
    OtherLoad {
        /// Its code.
        campaign: String,
        /// The promotion's id.
        promotion: i64,
        /// Its status.
        status: String,
        /// What is different.
        differs: String,
    },
    /// The file is not what it was when it was checked.
    #[error(
        "the file changed while it was loaded. Nothing of the change was stored, and the promotion does not start; \
             with the file as it was, the same command goes on where it stopped"
    )]
    Changed,
    /// There is nobody to ask.
    #[error("without a terminal --yes is required")]
    NobodyToAsk,
    /// The answer was no.
    #[error("not confirmed; nothing was loaded")]
    NotConfirmed,
}
