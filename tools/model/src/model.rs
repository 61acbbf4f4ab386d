//! What can happen next: every action of every stage, of the world around them, and every fault.

use std::fmt;

use crate::judge::Judge;
use crate::mutant::Mutant;
use crate::scope::Scope;
use crate::state::{LostCommit, State, Task, WORKERS};
use crate::store::Db;

mod faults;
mod system;
mod worker;

/// Who acts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Who {
    /// Payers are 0 and 1, retriers 2 and 3.
    Worker(usize),
    /// A dispatcher.
    Dispatcher(usize),
    /// The summarizer's sweep.
    Sweep,
    /// The summarizer.
    Summarizer,
    /// A person, or the tool in a person's hand.
    Operator,
    /// The money service.
    Money,
    /// Redis fails.
    Redis,
    /// MySQL fails.
    Mysql,
    /// Time passes.
    Clock,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker(worker @ 0..2) => write!(f, "payer {}", worker + 1),
            Self::Worker(worker) => write!(f, "retrier {}", worker - 1),
            Self::Dispatcher(dispatcher) => write!(f, "dispatcher {}", dispatcher + 1),
            Self::Sweep => f.write_str("sweep"),
            Self::Summarizer => f.write_str("summarizer"),
            Self::Operator => f.write_str("operator"),
            Self::Money => f.write_str("money"),
            Self::Redis => f.write_str("redis"),
            Self::Mysql => f.write_str("mysql"),
            Self::Clock => f.write_str("clock"),
        }
    }
}

/// One step. Unique among the steps of a state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Action {
    /// Who.
    pub who: Who,
    /// What.
    pub what: &'static str,
    /// Generation of the key, for what `money` does with one; else 0.
    pub key: usize,
    /// Whether MySQL will be able to lose the commit.
    pub not_durable: bool,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.who, self.what)?;
        if self.key > 1 {
            write!(f, " (key .g{})", self.key)?;
        }
        if self.not_durable {
            f.write_str(" (committed, but not durably)")?;
        }
        Ok(())
    }
}

/// A step and where it leads.
#[derive(Clone, Copy, Debug)]
pub struct Successor {
    /// The step.
    pub action: Action,
    /// Where it leads.
    pub state: State,
    /// Whether it is a fault, or another thing that nobody may have to wait for.
    pub fault: bool,
}

/// The protocol in a scope, whole or with a rule taken away.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// What is explored.
    pub scope: Scope,
    /// What is broken.
    pub mutant: Option<Mutant>,
    judge: Judge,
}

/// The steps of one state, as they are collected.
struct Steps<'a> {
    model: &'a Model,
    from: State,
    out: &'a mut Vec<Successor>,
}

impl Model {
    /// The protocol as it is.
    pub fn new(scope: Scope) -> Self {
        Self { scope, mutant: None, judge: Judge::new(&scope, None) }
    }

    /// The protocol without a rule.
    pub fn broken(scope: Scope, mutant: Mutant) -> Self {
        Self { scope, mutant: Some(mutant), judge: Judge::new(&scope, Some(mutant)) }
    }

    /// Where it begins.
    pub fn initial(&self) -> State {
        State::initial(&self.scope)
    }

    /// Every step from a state.
    pub fn successors(&self, from: &State, out: &mut Vec<Successor>) {
        out.clear();
        let mut steps = Steps { model: self, from: *from, out };
        for worker in self.workers() {
            steps.work(worker);
        }
        steps.system();
        if from.left.faults > 0 {
            steps.faults();
        }
        steps.losses();
    }

    fn workers(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.scope.payers).chain(2..2 + self.scope.retriers)
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}

impl Steps<'_> {
    /// A step of the system itself.
    fn step(&mut self, who: Who, what: &'static str, state: State) {
        self.push(who, what, 0, false, false, state);
    }

    /// A fault: it costs one of the budget.
    fn fault(&mut self, who: Who, what: &'static str, mut state: State) {
        if self.from.left.faults > 0 {
            state.left.faults -= 1;
            self.push(who, what, 0, false, true, state);
        }
    }

    /// A step that commits to MySQL. With a fault, MySQL may lose it again until the next commit.
    fn commit(&mut self, who: Who, what: &'static str, db: Db, intent: bool, mut state: State) {
        state.db = db;
        let changes = db != self.from.db;
        if changes {
            state.lost_commit = None;
        }
        self.step(who, what, state);
        if changes && self.model.scope.faults.mysql && self.from.left.faults > 0 {
            state.lost_commit = Some(LostCommit { db: self.from.db, intent });
            state.left.faults -= 1;
            self.push(who, what, 0, true, true, state);
        }
    }

    fn push(&mut self, who: Who, what: &'static str, key: usize, not_durable: bool, fault: bool, state: State) {
        self.out.push(Successor { action: Action { who, what, key, not_durable }, state, fault });
    }

    /// Whether somebody works on the entry that is in the stream now.
    fn entry_in_hand(&self) -> bool {
        (0..WORKERS).any(|worker| self.works_on_entry(worker))
    }

    fn works_on_entry(&self, worker: usize) -> bool {
        let task: &Task = &self.from.tasks[worker];
        self.from.redis.stream && task.seq() == Some(self.from.redis.seq)
    }
}
