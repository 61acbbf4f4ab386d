//! Breadth-first exploration of every reachable state, and of whether the end stays reachable from each.
//!
//! stateright checks liveness only along paths and says itself that it is incomplete; what we want is
//! AG EF done: from every state the end can be reached by steps that are no faults. So the graph of
//! those steps is kept, and searched backwards.

use std::fmt;
use std::time::{Duration, Instant};

use crate::bits::Packed;
use crate::check;
use crate::model::{Action, Model};
use crate::state::State;

/// Whether to search for states from which the end cannot be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Search {
    /// Rules only, without keeping the graph.
    Safety,
    /// Rules, then the end.
    SafetyAndEnd,
}

/// A broken rule, and the shortest way there.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// The rule.
    pub rule: &'static str,
    /// The steps.
    pub steps: Vec<Action>,
    /// Where they lead.
    pub state: State,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} after {} steps:", self.rule, self.steps.len())?;
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {:2}. {step}", number + 1)?;
        }
        let State { db, redis, money, .. } = &self.state;
        writeln!(f, "  row {:?}", db.row)?;
        writeln!(f, "  promotion {:?}, {redis:?}", db.promotion)?;
        write!(f, "  {money:?}")
    }
}

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Name of the scope.
    pub scope: &'static str,
    /// Distinct states, up to symmetry.
    pub states: usize,
    /// Steps between them.
    pub transitions: u64,
    /// Length of the longest shortest way.
    pub depth: usize,
    /// States that are the end.
    pub ends: usize,
    /// States from which the end cannot be reached.
    pub stuck: usize,
    /// Whether every reachable state was visited.
    pub complete: bool,
    /// The first broken rule, or the nearest stuck state.
    pub counterexample: Option<Counterexample>,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let result = match (&self.counterexample, self.complete) {
            (Some(found), _) => found.rule,
            (None, true) => "holds",
            (None, false) => "NOT COMPLETE",
        };
        write!(
            f,
            "{:<34} {:>10} states {:>11} transitions  depth {:>3}  {:>6} ends  {:>5} stuck  {:>6.1} s  {result}",
            self.scope,
            self.states,
            self.transitions,
            self.depth,
            self.ends,
            self.stuck,
            self.took.as_secs_f64()
        )
    }
}

/// Visited states, in the order of their distance.
struct Visited {
    states: Vec<Packed>,
    parents: Vec<u32>,
    /// Open addressing over indexes, plus one; 0 is free.
    slots: Vec<u32>,
}

impl Visited {
    fn new() -> Self {
        Self { states: Vec::new(), parents: Vec::new(), slots: vec![0; 1 << 16] }
    }

    /// The index of a state, and whether it is new.
    fn insert(&mut self, state: Packed, parent: u32) -> (u32, bool) {
        if self.states.len() * 10 > self.slots.len() * 7 {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut slot = state.fx() as usize & mask;
        loop {
            match self.slots[slot].checked_sub(1) {
                None => break,
                Some(index) if self.states[index as usize] == state => return (index, false),
                Some(_) => slot = (slot + 1) & mask,
            }
        }
        let index = self.states.len() as u32;
        self.slots[slot] = index + 1;
        self.states.push(state);
        self.parents.push(parent);
        (index, true)
    }

    fn grow(&mut self) {
        let mut slots = vec![0; self.slots.len() * 2];
        let mask = slots.len() - 1;
        for (index, state) in self.states.iter().enumerate() {
            let mut slot = state.fx() as usize & mask;
            while slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            slots[slot] = index as u32 + 1;
        }
        self.slots = slots;
    }
}

/// The steps that are no faults, state by state.
#[derive(Default)]
struct Graph {
    ends_at: Vec<usize>,
    targets: Vec<u32>,
}

/// Explores a model until a rule breaks, all is seen, or `most_states` are.
pub fn explore(model: &Model, search: Search, most_states: usize) -> Report {
    let begun = Instant::now();
    let scope = &model.scope;
    let mut visited = Visited::new();
    let mut graph = Graph::default();
    let mut successors = Vec::with_capacity(32);
    visited.insert(model.initial().canonical(scope).pack(), 0);
    let (mut transitions, mut depth, mut level_ends_at, mut next) = (0, 0, 1, 0);
    let mut broken = None;
    'search: while next < visited.states.len() && visited.states.len() < most_states {
        if next == level_ends_at {
            depth += 1;
            level_ends_at = visited.states.len();
        }
        let state = State::unpack(visited.states[next]);
        debug_assert_eq!(state.pack(), visited.states[next]);
        model.successors(&state, &mut successors);
        transitions += successors.len() as u64;
        for successor in &successors {
            let packed = successor.state.canonical(scope).pack();
            let (index, new) = visited.insert(packed, next as u32);
            if search == Search::SafetyAndEnd && !successor.fault {
                graph.targets.push(index);
            }
            let rule = check::broken_by(&state, &successor.action, &successor.state)
                .or_else(|| if new { check::broken(&successor.state, scope) } else { None });
            if let Some(rule) = rule {
                broken = Some((rule, next, packed));
                break 'search;
            }
        }
        graph.ends_at.push(graph.targets.len());
        next += 1;
    }
    let complete = broken.is_none() && next == visited.states.len();
    let mut counterexample = broken.map(|(rule, from, to)| trace(model, &visited, rule, from, Some(to)));
    let (mut ends, mut stuck) = (0, 0);
    if complete && search == Search::SafetyAndEnd {
        let reach = reach_end(&visited, &graph, model);
        ends = reach.ends;
        stuck = reach.reaches.iter().filter(|reaches| !**reaches).count();
        counterexample = reach
            .reaches
            .iter()
            .position(|reaches| !reaches)
            .map(|nearest| trace(model, &visited, "the end cannot be reached any more", nearest, None));
    }
    Report {
        scope: scope.name,
        states: visited.states.len(),
        transitions,
        depth,
        ends,
        stuck,
        complete,
        counterexample,
        took: begun.elapsed(),
    }
}

struct Reach {
    reaches: Vec<bool>,
    ends: usize,
}

/// Which states reach the end. Later states are nearer to it, so going backwards a few rounds suffice.
fn reach_end(visited: &Visited, graph: &Graph, model: &Model) -> Reach {
    let mut reaches: Vec<bool> =
        visited.states.iter().map(|packed| check::done(&State::unpack(*packed), &model.scope)).collect();
    let ends = reaches.iter().filter(|end| **end).count();
    loop {
        let mut changed = false;
        for index in (0..reaches.len()).rev() {
            let begins_at = if index == 0 { 0 } else { graph.ends_at[index - 1] };
            let targets = &graph.targets[begins_at..graph.ends_at[index]];
            if !reaches[index] && targets.iter().any(|target| reaches[*target as usize]) {
                reaches[index] = true;
                changed = true;
            }
        }
        if !changed {
            return Reach { reaches, ends };
        }
    }
}

/// The way to a state, replayed from the beginning so that nobody changes names on it.
fn trace(model: &Model, visited: &Visited, rule: &'static str, last: usize, then: Option<Packed>) -> Counterexample {
    let mut way: Vec<Packed> = then.into_iter().collect();
    let mut at = last;
    while at != 0 {
        way.push(visited.states[at]);
        at = visited.parents[at] as usize;
    }
    way.reverse();
    let mut state = model.initial();
    let mut steps = Vec::with_capacity(way.len());
    let mut successors = Vec::new();
    for packed in way {
        model.successors(&state, &mut successors);
        let Some(step) = successors.iter().find(|step| step.state.canonical(&model.scope).pack() == packed) else {
            break;
        };
        steps.push(step.action);
        state = step.state;
    }
    Counterexample { rule, steps, state }
}
