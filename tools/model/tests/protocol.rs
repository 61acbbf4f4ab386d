//! The protocol in the scopes of the normal run, and without its rules. Larger scopes: `cargo run --release -p
//! model -- --scope large`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use model::bits::Packed;
use model::explore::{Report, Search, explore};
use model::model::{Action, Model};
use model::mutant::Mutant;
use model::mutants::try_mutant;
use model::scope::Scope;
use model::state::State;
use model::{check, scopes};
use stateright::{Checker, Model as _, Property};

/// More than any scope of the normal run has.
const MOST_STATES: usize = 6_000_000;
/// As many as the machine that this was measured on has cores.
const THREADS: usize = 2;

/// Does all the work on a few threads, in order.
fn on_threads<T: Sync, R: Send>(work: &[T], run: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, R)> = thread::scope(|threads| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                threads.spawn(|| {
                    let mut mine = Vec::new();
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(item) = work.get(index) else { return mine };
                        mine.push((index, run(item)));
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[test]
fn every_rule_holds_in_every_state_and_the_end_can_always_be_reached() {
    let reports: Vec<Report> =
        on_threads(&scopes::normal(), |scope: &Scope| explore(&Model::new(*scope), Search::SafetyAndEnd, MOST_STATES));
    for report in &reports {
        println!("{report}");
        if let Some(found) = &report.counterexample {
            println!("{found}");
        }
    }
    println!("{} states", reports.iter().map(|report| report.states).sum::<usize>());
    assert!(reports.iter().all(|report| report.complete && report.counterexample.is_none()));
}

#[test]
fn every_rule_that_is_taken_away_shows_or_is_held_by_another() {
    let outcomes = on_threads(&Mutant::ALL, |mutant| try_mutant(*mutant));
    for outcome in &outcomes {
        println!("{outcome}");
        if let Some(found) = outcome.reports.iter().find_map(|report| report.counterexample.as_ref()) {
            println!("{found}\n");
        }
    }
    let surprises: Vec<Mutant> =
        outcomes.iter().filter(|outcome| !outcome.as_expected()).map(|outcome| outcome.mutant).collect();
    assert_eq!(surprises, []);
}

/// The same model for stateright's own checker.
struct Protocol(Model);

impl stateright::Model for Protocol {
    type State = Packed;
    type Action = Action;

    fn init_states(&self) -> Vec<Packed> {
        vec![self.0.initial().canonical(&self.0.scope).pack()]
    }

    fn actions(&self, state: &Packed, actions: &mut Vec<Action>) {
        let mut steps = Vec::new();
        self.0.successors(&State::unpack(*state), &mut steps);
        actions.extend(steps.iter().map(|step| step.action));
    }

    fn next_state(&self, state: &Packed, action: Action) -> Option<Packed> {
        let mut steps = Vec::new();
        self.0.successors(&State::unpack(*state), &mut steps);
        let step = steps.iter().find(|step| step.action == action)?;
        Some(step.state.canonical(&self.0.scope).pack())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no rule is broken", |protocol: &Self, state| {
                check::broken(&State::unpack(*state), &protocol.0.scope).is_none()
            }),
            Property::sometimes("the end is reached", |protocol, state| {
                check::done(&State::unpack(*state), &protocol.0.scope)
            }),
        ]
    }
}

#[test]
fn stateright_finds_the_same_states_and_no_broken_rule() {
    for scope in [scopes::full(1), scopes::neither(1), scopes::requeued("requeue", scopes::full(0))] {
        let ours = explore(&Model::new(scope), Search::SafetyAndEnd, MOST_STATES);
        let checker = Protocol(Model::new(scope)).checker().spawn_bfs().join();
        checker.assert_properties();
        assert_eq!(checker.unique_state_count(), ours.states, "{}", scope.name);
    }
}

#[test]
fn stateright_finds_a_broken_rule_where_we_do_and_ours_is_the_shorter_way() {
    let model = Model::broken(scopes::full(1), Mutant::TimeoutMeansFailed);
    let ours = explore(&model, Search::Safety, MOST_STATES).counterexample.unwrap();
    let checker = Protocol(model).checker().spawn_bfs().join();
    let path = checker.discovery("no rule is broken").unwrap();
    assert!(check::broken(&State::unpack(*path.last_state()), &scopes::full(1)).is_some());
    assert!(ours.steps.len() <= path.into_actions().len(), "ours is the shortest");
}
