//! What an entry says: the first thing that is asked about anything that comes from a stream.

use crate::domain::{Promotion, TargetId};
use crate::mutant::{self, Mutant};
use crate::record::{Record, RecordError};
use crate::streams::Delivery;

/// What an entry's bytes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// A target, and when it was published, in milliseconds since the Unix epoch.
    Target(TargetId, Option<i64>),
    /// A later version of the product wrote it: left alone.
    Later,
    /// Garbage, or a record of something else; with the target, when the entry's id names it.
    Bad(Option<TargetId>),
}

/// Which target an entry means. Its record is only a reference: it must name the partition's own promotion
/// and type. An entry whose payload was deleted from outside is known by its id, when the dispatcher
/// published it.
pub fn content(delivery: &Delivery, promotion: &Promotion) -> Content {
    let Some(body) = &delivery.body else {
        return delivery.id.target().map_or(Content::Bad(None), |target| Content::Target(target, None));
    };
    match Record::decode(body) {
        Ok(record) if record.promotion == promotion.id && record.kind == promotion.kind.code => {
            Content::Target(record.target, Some(record.published_at_ms))
        }
        Err(RecordError::LaterVersion(_)) => Content::Later,
        Ok(_) | Err(RecordError::TooLong(_) | RecordError::Malformed(_)) => {
            Content::Bad(delivery.id.target().filter(|_| !mutant::is(Mutant::UndecodableIsDeleted)))
        }
    }
}
