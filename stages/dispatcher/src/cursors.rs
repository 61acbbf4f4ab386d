//! How far each partition is: pure, so that the rules of moving can be tested without a server.

use pipeline::domain::TargetId;
use pipeline::mutant::{self, Mutant};
use pipeline::store::{Bounds, PageRow};
use pipeline::streams::Published;

/// One partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// First part of the stream's last id, as far as we know: what publishing is compared with.
    pub last: u64,
    /// Every target of the partition up to this id is published.
    pub position: i64,
    /// Whether it takes no more at present.
    pub full: bool,
}

/// All partitions of a promotion.
#[derive(Clone, Debug)]
pub struct Cursors {
    partitions: Vec<Cursor>,
    bounds: Bounds,
}

impl Cursors {
    /// From the first parts of the streams' last ids; 0 for a missing stream.
    pub fn new(lasts: impl IntoIterator<Item = u64>, bounds: Bounds) -> Self {
        let at = |last: u64| Cursor { last, position: position(last, bounds), full: false };
        Self { partitions: lasts.into_iter().map(at).collect(), bounds }
    }

    /// The partition with this number.
    pub fn get(&self, number: usize) -> Cursor {
        self.partitions[number]
    }

    /// From where the next page is read: the lowest position of those that take more. Nothing when all is
    /// published, or nobody takes more.
    pub fn next_page(&self) -> Option<TargetId> {
        let open = self.partitions.iter().filter(|cursor| !cursor.full && cursor.position < self.bounds.last.0);
        open.map(|cursor| TargetId(cursor.position)).min()
    }

    /// Whether everything is published, as far as we know.
    pub fn is_done(&self) -> bool {
        (0..self.partitions.len()).all(|number| self.is_at_end(number))
    }

    /// Whether everything of one partition is.
    pub fn is_at_end(&self, number: usize) -> bool {
        self.partitions[number].position >= self.bounds.last.0
    }

    /// Up to here every target of every partition is published.
    pub fn published_to(&self) -> i64 {
        self.partitions.iter().map(|cursor| cursor.position).min().unwrap_or(0)
    }

    /// The rows of a page that each partition is to be given, ascending.
    pub fn share_out(&self, page: &[PageRow]) -> Vec<Vec<PageRow>> {
        let mut shares = vec![Vec::new(); self.partitions.len()];
        for row in page {
            let Some(cursor) = self.partitions.get(row.partition as usize) else { continue };
            if !cursor.full && row.target.0 > cursor.position {
                shares[row.partition as usize].push(*row);
            }
        }
        shares
    }

    /// A page ended at `to`, and a partition had nothing in it.
    pub fn skip(&mut self, number: usize, to: TargetId) {
        let cursor = &mut self.partitions[number];
        if !cursor.full {
            cursor.position = cursor.position.max(to.0);
        }
    }

    /// A batch up to `last` was answered; `to` is the end of what it covers. Gives whether the stream was
    /// somewhere else than we believed.
    pub fn answered(&mut self, number: usize, last: TargetId, to: TargetId, answer: Published) -> bool {
        let bounds = self.bounds;
        let cursor = &mut self.partitions[number];
        match answer {
            Published::Done => {
                *cursor = Cursor { last: last.0.unsigned_abs(), position: cursor.position.max(to.0), full: false };
                false
            }
            // Forward: another dispatcher is further. Backward: the stream lost its end, or all of itself, and
            // writing on at the old position would skip targets for ever.
            Published::Last { first, .. } => {
                cursor.follow(first, bounds);
                true
            }
            Published::Full { .. } => {
                cursor.full = true;
                false
            }
        }
    }

    /// Where a stream really stands, read from it.
    pub fn seen(&mut self, number: usize, last: u64) -> bool {
        let moved = self.partitions[number].last != last;
        if moved {
            self.partitions[number].follow(last, self.bounds);
        }
        moved
    }

    /// The partition takes more again.
    pub fn reopen(&mut self, number: usize) {
        self.partitions[number].full = false;
    }

    /// Partitions that take no more at present.
    pub fn full(&self) -> impl Iterator<Item = usize> {
        self.partitions.iter().enumerate().filter(|(_, cursor)| cursor.full).map(|(number, _)| number)
    }
}

impl Cursor {
    /// Goes to where the stream really stands.
    fn follow(&mut self, last: u64, bounds: Bounds) {
        let position =
            if mutant::is(Mutant::DispatcherKeepsItsPosition) { self.position } else { position(last, bounds) };
        *self = Self { last, position, full: false };
    }
}

fn position(last: u64, bounds: Bounds) -> i64 {
    i64::try_from(last).unwrap_or(i64::MAX).max(bounds.first.0 - 1)
}

#[cfg(test)]
mod tests {
    use pipeline::domain::EntryId;

    use super::*;

    const BOUNDS: Bounds = Bounds { first: TargetId(10), last: TargetId(20) };

    fn row(id: i64, partition: u32) -> PageRow {
        PageRow { target: TargetId(id), partition, unpayable: false }
    }

    fn is(first: u64) -> Published {
        Published::Last { first, last: EntryId { first, second: 0 }, len: 0 }
    }

    #[test]
    fn the_next_page_begins_where_the_partition_that_is_furthest_behind_stands() {
        let mut cursors = Cursors::new([12, 0], BOUNDS);
        assert_eq!(cursors.next_page(), Some(TargetId(9)));
        let shares = cursors.share_out(&[row(10, 1), row(11, 0), row(12, 0), row(13, 0), row(14, 1)]);
        assert_eq!(
            shares,
            [vec![row(13, 0)], vec![row(10, 1), row(14, 1)]],
            "what is published is not published again"
        );
        cursors.answered(0, TargetId(13), TargetId(14), Published::Done);
        cursors.answered(1, TargetId(14), TargetId(14), Published::Done);
        assert_eq!(cursors.next_page(), Some(TargetId(14)));
        assert_eq!(cursors.get(0), Cursor { last: 13, position: 14, full: false });
        cursors.skip(0, TargetId(20));
        cursors.answered(1, TargetId(20), TargetId(20), Published::Done);
        assert!(cursors.is_done() && cursors.next_page().is_none());
    }

    #[test]
    fn a_stream_that_went_back_is_followed_back_and_one_that_went_ahead_is_followed_ahead() {
        let mut cursors = Cursors::new([20, 15], BOUNDS);
        assert!(cursors.seen(0, 11) && !cursors.is_done());
        assert_eq!(cursors.next_page(), Some(TargetId(11)));
        assert!(cursors.answered(0, TargetId(14), TargetId(14), is(0)), "all of it is gone");
        assert_eq!(cursors.get(0), Cursor { last: 0, position: 9, full: false });
        assert!(cursors.answered(0, TargetId(14), TargetId(14), is(20)));
        assert_eq!(cursors.next_page(), Some(TargetId(15)));
    }

    #[test]
    fn a_full_partition_does_not_hold_up_the_others_and_loses_nothing() {
        let mut cursors = Cursors::new([0, 0], BOUNDS);
        cursors.answered(0, TargetId(12), TargetId(14), Published::Full { outstanding: 5 });
        cursors.skip(0, TargetId(14));
        cursors.answered(1, TargetId(14), TargetId(14), Published::Done);
        assert_eq!(cursors.next_page(), Some(TargetId(14)), "the other one goes on");
        assert_eq!(cursors.published_to(), 9);
        cursors.reopen(0);
        assert_eq!(cursors.next_page(), Some(TargetId(9)), "and the full one is given everything later");
    }
}
