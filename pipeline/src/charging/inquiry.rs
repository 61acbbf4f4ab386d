//! Asking `money` about keys of FAILED targets, for an operator: under the same limit and breaker as all stages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::pacer::Pacer;
use super::rules;
use crate::config::Config;
use crate::crash;
use crate::domain::decide::{Request, Rules};
use crate::domain::requeue::{KeyTaken, Step, Unproved};
use crate::domain::{CustomerUid, Promotion, ResultRow, TargetId};
use crate::keys::IdempotencyKey;
use crate::money::{Connection, Money};
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::streams::Streams;

/// Questions in flight at most. Operators' questions come beside the stages' work: at 50 ms an answer they take a
/// slot in every second or third of a limit of 1,000.
const AT_ONCE: usize = 32;
/// How long a question waits for its turn under the shared limit, or for a closed breaker.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at an open breaker.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Under which name the command probes a breaker that is half open.
const NAME: &str = "promoctl";

/// A FAILED target whose key is asked about.
#[derive(Clone, Debug)]
pub struct Question {
    /// The target.
    pub target: TargetId,
    /// Who was to be paid: a part of its key.
    pub customer: CustomerUid,
    /// Its row.
    pub row: ResultRow,
    /// The key that its next attempts are to take.
    pub takes: KeyTaken,
}

/// Asks. Cheap to clone.
#[derive(Clone)]
pub struct Inquiry {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    money: Money,
    rules: Rules,
    pacer: Pacer,
    breaker: Breaker,
}

impl Inquiry {
    /// Nothing is sent yet. Must be called inside a runtime: what it hears is reported to the shared breaker.
    pub fn new(store: Store, streams: Streams, money: Money, config: &Config) -> Self {
        let shared = Shared {
            store,
            money,
            rules: rules(config),
            pacer: Pacer::new(streams.clone(), config.money.max_rps, config.limiter_wait()),
            breaker: Breaker::start(streams, config, NAME, Shutdown::never()),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What this deployment's `money` can do.
    pub fn rules(&self) -> Rules {
        self.shared.rules
    }

    /// Finds out about each of these whether it may be tried again; never [`Step::Ask`]. In no particular order.
    /// Repeating it is harmless: a look-up changes nothing, and a cancel burns only the key of a row that is FAILED.
    /// After an answer that says that `money` does not take what it is sent, nothing more is asked.
    pub async fn prove(&self, promotion: &Promotion, questions: Vec<Question>) -> Vec<(TargetId, Step)> {
        self.shared.breaker.learn().await;
        let (give, take) = async_channel::bounded(questions.len().max(1));
        let workers = AT_ONCE.min(questions.len());
        for question in questions {
            // There is room for all of them.
            let _ = give.try_send(question);
        }
        give.close();
        let (mut asking, fault) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
        for _ in 0..workers {
            asking.spawn(work(Arc::clone(&self.shared), promotion.clone(), take.clone(), Arc::clone(&fault)));
        }
        asking.join_all().await.into_iter().flatten().collect()
    }
}

async fn work(
    shared: Arc<Shared>,
    promotion: Promotion,
    queue: async_channel::Receiver<Question>,
    fault: Arc<AtomicBool>,
) -> Vec<(TargetId, Step)> {
    let mut connection = shared.money.connection();
    let mut proved = Vec::new();
    while let Ok(question) = queue.recv().await {
        let step = exchange(&shared, &mut connection, &promotion, &question, &fault).await;
        if step == Step::Leave(Unproved::Fault) {
            fault.store(true, Ordering::Relaxed);
        }
        proved.push((question.target, step));
    }
    proved
}

/// At most a look-up and a cancel.
async fn exchange(
    shared: &Shared,
    connection: &mut Connection,
    promotion: &Promotion,
    question: &Question,
    fault: &AtomicBool,
) -> Step {
    let row = &question.row;
    let key = IdempotencyKey::new(&promotion.campaign_code, question.customer, row.generation);
    let mut step = shared.rules.requeue(row, question.takes, shared.store.now());
    while let Step::Ask(request) = step {
        if fault.load(Ordering::Relaxed) {
            return Step::Leave(Unproved::Fault);
        }
        if !may_ask(shared).await || !shared.rules.may_still_send(row, request, shared.store.now()) {
            return Step::Leave(Unproved::NoAnswer);
        }
        let answer = match request {
            Request::LookUp => connection.look_up(&key).await,
            Request::Cancel => connection.cancel(&key).await,
            Request::Charge => return Step::Leave(Unproved::NoProof),
        };
        shared.breaker.observe(&answer).await;
        step = shared.rules.requeue_answered(row, request, answer.verdict, shared.store.now());
    }
    crash::point("requeue.proved");
    step
}

async fn may_ask(shared: &Shared) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !shared.breaker.may_send().await {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    shared.pacer.slot(deadline).await
}
