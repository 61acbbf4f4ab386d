//! Looking at single entries and dead letters: for people, never for decisions.

use redis::Pipeline;

use super::{PendingEntry, Streams, StreamsError, pending, reply};
use crate::domain::{EntryId, Partition};
use crate::keys;

/// An entry, and its body: empty where it is none of ours.
pub type Body = (EntryId, Vec<u8>);

impl Streams {
    /// The bodies of some entries, at most 1,000 of them, in one round trip; those that are gone are absent.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn bodies(&self, partition: Partition, ids: &[EntryId]) -> Result<Vec<Body>, StreamsError> {
        let stream = keys::targets(partition);
        let mut pipeline = Pipeline::with_capacity(ids.len());
        for id in ids {
            pipeline.cmd("XRANGE").arg(&stream).arg(id.to_string()).arg(id.to_string());
        }
        self.bodies_of(&pipeline).await
    }

    /// A page of a partition's stream, by ascending id: delivered entries and others.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn page(
        &self,
        partition: Partition,
        after: Option<EntryId>,
        count: usize,
    ) -> Result<Vec<Body>, StreamsError> {
        let from = after.map_or_else(|| "-".to_owned(), |after| format!("({after}"));
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("XRANGE").arg(keys::targets(partition)).arg(from).arg("+").arg("COUNT").arg(count);
        self.bodies_of(&pipeline).await
    }

    /// A page of a partition's dead letters, newest first.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn dead_page(
        &self,
        partition: Partition,
        before: Option<EntryId>,
        count: usize,
    ) -> Result<Vec<Body>, StreamsError> {
        let from = before.map_or_else(|| "+".to_owned(), |before| format!("({before}"));
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("XREVRANGE").arg(keys::dead(partition)).arg(from).arg("-").arg("COUNT").arg(count);
        self.bodies_of(&pipeline).await
    }

    async fn bodies_of(&self, pipeline: &Pipeline) -> Result<Vec<Body>, StreamsError> {
        let mut bodies = Vec::new();
        for value in self.link.ask(pipeline).await? {
            for entry in reply::array(value)? {
                let (id, body) = reply::entry(entry)?;
                bodies.push((id, body.unwrap_or_default()));
            }
        }
        Ok(bodies)
    }

    /// Who holds an entry; nobody when it was not delivered, or is gone.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn holder(&self, partition: Partition, id: EntryId) -> Result<Option<PendingEntry>, StreamsError> {
        let mut pipeline = Pipeline::with_capacity(1);
        let id = id.to_string();
        pipeline.cmd("XPENDING").arg(keys::targets(partition)).arg(keys::GROUP).arg(&id).arg(&id).arg(1);
        let Some(value) = self.link.ask(&pipeline).await?.pop() else { return Ok(None) };
        pending::items(value)?.into_iter().next().map(pending::pending_entry).transpose()
    }
}
