//! A state of the whole system around one target, and its packed form.

use pipeline::domain::decide::{Request, Write};
use pipeline::domain::outcome::Effect;
use pipeline::domain::result::{Counter, ProcessStatus, Waits};

use crate::bits::{Packed, Reader, Writer};
use crate::money::{Key, Money};
use crate::scope::Scope;
use crate::store::{Called, Db, Promotion, Row, STALE};
use crate::streams::Redis;

/// Payers are workers 0 and 1, retriers 2 and 3.
pub const WORKERS: usize = 4;

/// What a worker does with a delivered entry (`seq`: second part of its id), step by step. A crash may come before each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum Task {
    /// Nothing.
    Idle,
    /// It was delivered the entry with this second part of its id; next: the intent.
    Taken { seq: u8 },
    /// The intent is committed; next: read the row back and decide.
    Intended { seq: u8 },
    /// Next: a request to `money`, about the key of the row as it was read.
    Calling { seq: u8, request: Request, row: Row, resent: bool, since: Since },
    /// Next: write the outcome.
    Writing { seq: u8, called: Called, write: Write },
    /// The outcome is committed; next: read the row back and decide, for one that was reopened (by its generation) whether to
    /// send it.
    Written { seq: u8, reopened: Option<u8> },
    /// Next: settle.
    Settling { seq: u8, counter: Counter },
    /// Next: park, to the retrier or to a person.
    Parking { seq: u8, held: bool },
}

/// What became of the row since a worker read it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Since {
    /// So much time has passed that another may leave it to a person; followed where a person closes rows.
    pub old: bool,
    /// It was written.
    pub overtaken: bool,
}

impl Task {
    /// What became of the row that is in hand.
    pub fn since_mut(&mut self) -> Option<&mut Since> {
        match self {
            Self::Calling { since, .. } | Self::Writing { called: Called { since, .. }, .. } => Some(since),
            Self::Idle
            | Self::Taken { .. }
            | Self::Intended { .. }
            | Self::Written { .. }
            | Self::Settling { .. }
            | Self::Parking { .. } => None,
        }
    }

    /// The entry that is worked on.
    pub fn seq(&self) -> Option<u8> {
        match *self {
            Self::Idle => None,
            Self::Taken { seq }
            | Self::Intended { seq }
            | Self::Calling { seq, .. }
            | Self::Writing { seq, .. }
            | Self::Written { seq, .. }
            | Self::Settling { seq, .. }
            | Self::Parking { seq, .. } => Some(seq),
        }
    }

    fn seq_mut(&mut self) -> Option<&mut u8> {
        match self {
            Self::Idle => None,
            Self::Taken { seq }
            | Self::Intended { seq }
            | Self::Calling { seq, .. }
            | Self::Writing { seq, .. }
            | Self::Written { seq, .. }
            | Self::Settling { seq, .. }
            | Self::Parking { seq, .. } => Some(seq),
        }
    }
}

/// What a dispatcher believes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Dispatcher {
    /// Nothing is published; the promotion's status is to be read.
    Behind,
    /// Nothing is published, and the promotion was IN_PROGRESS when it looked.
    Publishing,
    /// All is published; it goes on comparing.
    Comparing,
}

/// What a rebuild has read: the last id, then MySQL.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Snapshot {
    /// Second part of the last id.
    pub last: u8,
    /// The counter of the row, or nothing when it was not final.
    pub counter: Option<Counter>,
}

/// Where a requeue takes a FAILED row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum To {
    /// RETRYING, under its present key.
    SameKey,
    /// RETRYING, under the next one.
    NextKey,
    /// PENDING, to be looked up: `money` says that it was paid.
    LookUp,
}

impl To {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SameKey, Self::NextKey, Self::LookUp];
}

/// Where the operator's requeue is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum Requeue {
    /// Not begun, or done.
    None,
    /// The row of this generation goes there; `last` is the last id from before that.
    Proved { generation: u8, to: To, last: u8 },
    /// Committed; the entry is to be added.
    Committed { last: u8 },
}

impl Requeue {
    /// The last id that it remembers.
    pub fn last(&self) -> Option<&u8> {
        match self {
            Self::None => None,
            Self::Proved { last, .. } | Self::Committed { last } => Some(last),
        }
    }

    fn last_mut(&mut self) -> Option<&mut u8> {
        match self {
            Self::None => None,
            Self::Proved { last, .. } | Self::Committed { last } => Some(last),
        }
    }
}

/// What MySQL goes back to when it loses its last commit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LostCommit {
    /// Before the commit.
    pub db: Db,
    /// Whether an intent is lost with it.
    pub intent: bool,
}

/// How much may still happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Left {
    /// Faults.
    pub faults: u8,
    /// Stops.
    pub stops: u8,
    /// Requeues.
    pub requeues: u8,
    /// Closings by a person.
    pub closings: u8,
}

/// Everything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// MySQL.
    pub db: Db,
    /// What it goes back to, if its last commit is not durable.
    pub lost_commit: Option<LostCommit>,
    /// Redis.
    pub redis: Redis,
    /// What it goes back to, if its writes since then are not durable.
    pub lost_writes: Option<Redis>,
    /// The money service.
    pub money: Money,
    /// Payers, then retriers.
    pub tasks: [Task; WORKERS],
    /// Dispatchers.
    pub dispatchers: [Dispatcher; 2],
    /// Rebuilds under way: the sweep's, and the operator's.
    pub rebuilds: [Option<Snapshot>; 2],
    /// The operator's requeue.
    pub requeue: Requeue,
    /// The summarizer has seen COMPLETED and is about to delete the keys.
    pub deleting: bool,
    /// Ticks of the clock.
    pub now: u8,
    /// MySQL has lost a committed intent.
    pub intent_lost: bool,
    /// MySQL has forgotten when a key was first sent.
    pub first_use_lost: bool,
    /// MySQL has lost a commit.
    pub commit_lost: bool,
    /// Somebody changed the stream from outside.
    pub tampered: bool,
    /// A row was requeued, and the counts are not rebuilt yet.
    pub requeued: bool,
    /// An unpayable target was charged.
    pub nonsense: bool,
    /// The row was not written for so long that it may be left to a person.
    pub row_old: bool,
    /// Budgets.
    pub left: Left,
}

impl State {
    /// A sealed promotion that has just become IN_PROGRESS.
    pub fn initial(scope: &Scope) -> Self {
        let second = if scope.dispatchers == 2 { Dispatcher::Behind } else { Dispatcher::Comparing };
        Self {
            db: Db { row: None, promotion: Promotion::InProgress },
            lost_commit: None,
            redis: Redis::EMPTY,
            lost_writes: None,
            money: Money::NEW,
            tasks: [Task::Idle; WORKERS],
            dispatchers: [Dispatcher::Behind, second],
            rebuilds: [None; 2],
            requeue: Requeue::None,
            deleting: false,
            now: 0,
            intent_lost: false,
            first_use_lost: false,
            commit_lost: false,
            tampered: false,
            requeued: false,
            nonsense: false,
            row_old: false,
            left: Left {
                faults: scope.faults.budget,
                stops: scope.stops,
                requeues: scope.requeues,
                closings: scope.closings,
            },
        }
    }

    /// An id that was never used before, as far as anybody remembers.
    pub fn next_seq(&self) -> u8 {
        let remembered = self.tasks.iter().filter_map(Task::seq);
        let rebuilds = self.rebuilds.iter().flatten().map(|snapshot| snapshot.last);
        let requeue = self.requeue.last().into_iter().copied();
        let lost = self.lost_writes.iter().map(|redis| redis.seq);
        1 + remembered.chain(rebuilds).chain(requeue).chain(lost).chain([self.redis.seq]).max().unwrap_or(0)
    }

    /// So much time passes that the row, as whoever has read it knows it, may be left to a person.
    pub fn grow_old(&mut self) {
        self.row_old = true;
        self.tasks.iter_mut().filter_map(Task::since_mut).for_each(|since| since.old = true);
    }

    /// The row is written: what others have read of it is not what stands there.
    pub fn touch(&mut self) {
        self.row_old = false;
        self.tasks.iter_mut().filter_map(Task::since_mut).for_each(|since| since.overtaken = true);
    }

    /// Ends a worker's task. Its token means nothing any more.
    pub fn end_task(&mut self, worker: usize) {
        self.tasks[worker] = Task::Idle;
        let stale = |row: &mut Option<Row>| {
            if let Some(row) = row
                && usize::from(row.token) == worker
            {
                row.token = STALE;
            }
        };
        stale(&mut self.db.row);
        if let Some(lost) = &mut self.lost_commit {
            stale(&mut lost.db.row);
        }
    }

    /// The same state under other names: ids renamed in their order, twins in a fixed order.
    pub fn canonical(mut self, scope: &Scope) -> Self {
        self.rename_ids();
        if scope.payers == 2 && self.rank(0) > self.rank(1) {
            self.swap(0, 1);
        }
        if scope.retriers == 2 && self.rank(2) > self.rank(3) {
            self.swap(2, 3);
        }
        self.dispatchers.sort_unstable();
        self
    }

    /// Ids above 0 become 1, 2, 3 … in their order.
    fn rename_ids(&mut self) {
        let mut used = 0_u32;
        self.each_seq(|seq| used |= 1 << *seq);
        used &= !1;
        if used & used.wrapping_add(2) != 0 {
            self.each_seq(|seq| {
                if *seq != 0 {
                    *seq = (used & ((2 << *seq) - 1)).count_ones() as u8;
                }
            });
        }
    }

    fn each_seq(&mut self, mut visit: impl FnMut(&mut u8)) {
        visit(&mut self.redis.seq);
        if let Some(redis) = &mut self.lost_writes {
            visit(&mut redis.seq);
        }
        self.tasks.iter_mut().filter_map(Task::seq_mut).for_each(&mut visit);
        self.rebuilds.iter_mut().flatten().for_each(|snapshot| visit(&mut snapshot.last));
        self.requeue.last_mut().into_iter().for_each(&mut visit);
    }

    /// All that tells a worker from its twin.
    fn rank(&self, worker: usize) -> (u64, [bool; 4]) {
        let mut task = Writer::default();
        put_task(&mut task, &self.tasks[worker]);
        let is = |name: u8| usize::from(name) == worker;
        let holds = |row: &Option<Row>| row.is_some_and(|row| is(row.token));
        let refers = [
            is(self.redis.owner),
            self.lost_writes.is_some_and(|redis| is(redis.owner)),
            holds(&self.db.row),
            self.lost_commit.is_some_and(|lost| holds(&lost.db.row)),
        ];
        (task.done().0[0], refers)
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.tasks.swap(one, other);
        let rename = |name: &mut u8| {
            if usize::from(*name) == one {
                *name = other as u8;
            } else if usize::from(*name) == other {
                *name = one as u8;
            }
        };
        rename(&mut self.redis.owner);
        if let Some(redis) = &mut self.lost_writes {
            rename(&mut redis.owner);
        }
        if let Some(row) = &mut self.db.row {
            rename(&mut row.token);
        }
        if let Some(LostCommit { db: Db { row: Some(row), .. }, .. }) = &mut self.lost_commit {
            rename(&mut row.token);
        }
    }

    /// Packs it.
    pub fn pack(&self) -> Packed {
        let mut to = Writer::default();
        put_db(&mut to, &self.db);
        to.flag(self.lost_commit.is_some());
        if let Some(lost) = &self.lost_commit {
            put_db(&mut to, &lost.db);
            to.flag(lost.intent);
        }
        put_redis(&mut to, &self.redis);
        to.flag(self.lost_writes.is_some());
        if let Some(redis) = &self.lost_writes {
            put_redis(&mut to, redis);
        }
        put_money(&mut to, &self.money);
        self.tasks.iter().for_each(|task| put_task(&mut to, task));
        self.dispatchers.iter().for_each(|dispatcher| to.put(*dispatcher as u8, 2));
        for rebuild in &self.rebuilds {
            to.flag(rebuild.is_some());
            if let Some(snapshot) = rebuild {
                to.put(snapshot.last, 3);
                put_counter(&mut to, snapshot.counter);
            }
        }
        match self.requeue {
            Requeue::None => to.put(0, 2),
            Requeue::Proved { generation, to: row, last } => {
                to.put(1, 2);
                to.flag(generation == 2);
                to.put(row as u8, 2);
                to.put(last, 3);
            }
            Requeue::Committed { last } => {
                to.put(2, 2);
                to.put(last, 3);
            }
        }
        let flags = [
            self.deleting,
            self.intent_lost,
            self.first_use_lost,
            self.commit_lost,
            self.tampered,
            self.requeued,
            self.nonsense,
            self.row_old,
        ];
        flags.into_iter().for_each(|flag| to.flag(flag));
        to.put(self.now, 2);
        to.put(self.left.faults, 3);
        to.put(self.left.stops, 1);
        to.put(self.left.requeues, 1);
        to.put(self.left.closings, 1);
        to.done()
    }

    /// Unpacks it.
    pub fn unpack(packed: Packed) -> Self {
        let mut from = Reader::new(packed);
        let from = &mut from;
        let db = get_db(from);
        let lost_commit = from.flag().then(|| LostCommit { db: get_db(from), intent: from.flag() });
        let redis = get_redis(from);
        let lost_writes = from.flag().then(|| get_redis(from));
        let money = get_money(from);
        let tasks = std::array::from_fn(|_| get_task(from));
        let dispatchers = std::array::from_fn(|_| {
            [Dispatcher::Behind, Dispatcher::Publishing, Dispatcher::Comparing][usize::from(from.get(2))]
        });
        let rebuilds =
            std::array::from_fn(|_| from.flag().then(|| Snapshot { last: from.get(3), counter: get_counter(from) }));
        let requeue = match from.get(2) {
            0 => Requeue::None,
            1 => Requeue::Proved {
                generation: 1 + u8::from(from.flag()),
                to: To::ALL[usize::from(from.get(2))],
                last: from.get(3),
            },
            _ => Requeue::Committed { last: from.get(3) },
        };
        let [deleting, intent_lost, first_use_lost, commit_lost, tampered, requeued, nonsense, row_old] =
            std::array::from_fn(|_| from.flag());
        let now = from.get(2);
        let left = Left { faults: from.get(3), stops: from.get(1), requeues: from.get(1), closings: from.get(1) };
        Self {
            db,
            lost_commit,
            redis,
            lost_writes,
            money,
            tasks,
            dispatchers,
            rebuilds,
            requeue,
            deleting,
            now,
            intent_lost,
            first_use_lost,
            commit_lost,
            tampered,
            requeued,
            nonsense,
            row_old,
            left,
        }
    }
}

mod fields;
use fields::{
    get_counter, get_db, get_money, get_redis, get_task, put_counter, put_db, put_money, put_redis, put_task,
};
