//! How a load ends when it does not end well.

use pipeline::store::StoreError;

use crate::csv::record::RecordError;
use crate::refusal::Refusal;

/// Why there is no result.
#[derive(Debug)]
pub enum Ending {
    /// The operator has to change something. Exit code 2.
    Refused(Refusal),
    /// Something broke. Exit code 1.
    Failed(anyhow::Error),
}

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<anyhow::Error> for Ending {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for Ending {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<RecordError> for Ending {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Io(_) => Self::Failed(error.into()),
            RecordError::QuoteNeverClosed { .. } => Self::Refused(Refusal::File(format!(
                "{error}, or only after more bytes than a row may have; so where the next row begins cannot be told"
            ))),
        }
    }
}
