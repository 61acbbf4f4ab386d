//! The second pass: reads the file again, from where the load stands, and makes it into batches.

use std::sync::Arc;

use pipeline::domain::PromotionId;
use pipeline::store::{LoadBatch, LoadProgress, Store};
use tokio::sync::mpsc::Sender;

use crate::csv::record::{RecordError, RecordReader};
use crate::csv::row::RowError;
use crate::csv::source::{Source, SourceReader};
use crate::ending::Ending;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::survey::{Checkpoint, Survey};

/// Where batches come from, and where they go.
pub struct Batches {
    /// Where they are stored.
    pub store: Store,
    /// The file.
    pub source: Arc<Source>,
    /// What the first pass found.
    pub survey: Arc<Survey>,
    /// What is loaded.
    pub plan: Arc<Plan>,
    /// Its promotion.
    pub promotion: PromotionId,
    /// Where the load stands.
    pub begin: LoadProgress,
    /// Takes each batch whose bytes are those of the first pass. When nobody takes them any more, this ends.
    pub sender: Sender<LoadBatch>,
}

impl Batches {
    /// Reads to the end of the file. Blocks: for a thread of its own.
    ///
    /// # Errors
    /// [`Refusal::Changed`] when the file is not what the first pass read.
    pub fn read(self) -> Result<(), Ending> {
        match self.run() {
            Ok(ended) => ended,
            // It could be read before.
            Err(RecordError::QuoteNeverClosed { .. }) => Err(Refusal::Changed.into()),
            Err(error @ RecordError::Io(_)) => Err(error.into()),
        }
    }

    fn run(&self) -> Result<Result<(), Ending>, RecordError> {
        let changed = || Ok(Err(Refusal::Changed.into()));
        let mut reader = RecordReader::new(self.source.reader())?;
        let mut at = self.begin;
        if at.byte_offset > 0 {
            if !reader.skip_to(at.byte_offset, at.line_number + 1)? {
                return changed();
            }
        } else {
            reader.next_record()?;
        }
        let skipped = self.survey.duplicates.partition_point(|offset| *offset < at.byte_offset);
        let mut duplicates = &self.survey.duplicates[skipped..];
        for checkpoint in self.survey.checkpoints.iter().filter(|checkpoint| checkpoint.offset > self.begin.byte_offset)
        {
            let Some(batch) = self.batch(&mut reader, at, checkpoint, &mut duplicates)? else { return changed() };
            at = *batch.end();
            if self.sender.blocking_send(batch).is_err() {
                return Ok(Ok(()));
            }
        }
        // What was appended since, and a load that was complete before, are compared here.
        let more = reader.next_record()?.is_some();
        let end = Checkpoint { offset: reader.offset(), digest: reader.digest() };
        if more || self.survey.checkpoints.last() != Some(&end) {
            return changed();
        }
        Ok(Ok(()))
    }

    /// Reads up to a checkpoint; nothing when the bytes on the way there are not those of the first pass.
    fn batch(
        &self,
        reader: &mut RecordReader<SourceReader<'_>>,
        begin: LoadProgress,
        checkpoint: &Checkpoint,
        duplicates: &mut &[u64],
    ) -> Result<Option<LoadBatch>, RecordError> {
        let partitions = self.plan.settings.partition_count;
        let mut batch = LoadBatch::new(self.promotion, partitions, self.plan.kind.shape, begin, self.store.now());
        let mut end = begin;
        while reader.offset() < checkpoint.offset {
            let Some(record) = reader.next_record()? else { break };
            match self.survey.judge(&record, duplicates) {
                Ok(target) => {
                    batch.push(&target);
                    end.loaded += 1;
                    end.amount = end.amount + self.survey.rules.amount(&target);
                }
                Err(RowError::Bad(_)) => end.rejected += 1,
                Err(RowError::NotText) => return Ok(None),
            }
        }
        if (Checkpoint { offset: reader.offset(), digest: reader.digest() }) != *checkpoint {
            return Ok(None);
        }
        end.byte_offset = checkpoint.offset;
        end.line_number = reader.line() - 1;
        batch.finish(end);
        Ok(Some(batch))
    }
}
