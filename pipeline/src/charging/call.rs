//! Step 2: asking `money`. One worker per connection; nothing is sent that could not be sent again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::finish::Finished;
use super::item::{Fate, Item};
use super::{Running, Shared};
use crate::crash;
use crate::domain::PromotionStatus;
use crate::domain::decide::{Next, Request, Write};
use crate::domain::outcome::{Answer, Effect, Verdict};
use crate::keys::IdempotencyKey;
use crate::metrics::{self, AttemptResult, ErrorClass};
use crate::money::{Connection, charge_body};
use crate::mutant::{self, Mutant};

/// How long a worker waits before it looks again whether the promotion runs.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Takes items from the queue for as long as the process lives.
pub(super) async fn work(shared: Arc<Shared>, queue: async_channel::Receiver<Box<Item>>) {
    let mut connection = shared.tools.money.connection();
    while let Ok(item) = queue.recv().await {
        let finished = exchange(&shared, &mut connection, item).await;
        if shared.finished.send(finished).await.is_err() {
            return;
        }
    }
}

/// Asks until the rules say what to write. At most a look-up, a charge and a cancel: each asks more than the
/// one before.
async fn exchange(shared: &Arc<Shared>, connection: &mut Connection, mut item: Box<Item>) -> Finished {
    loop {
        if !may_send(shared, &item).await {
            return not_called(item);
        }
        let answer = ask(connection, &item, shared.tools.config.money.idempotent).await;
        item.asked += 1;
        item.left_open = matches!(answer.verdict, Verdict::Unknown | Verdict::Executing)
            .then(|| answer.retry_after.unwrap_or_default());
        shared.breaker.observe(&answer).await;
        let now = shared.tools.store.now();
        let (row, rules) = (&item.payout.row, &shared.rules);
        let next = match item.request {
            Request::Charge => rules.charged(row, answer.verdict, item.resent, now),
            Request::LookUp => rules.looked_up(row, answer.verdict, now),
            Request::Cancel => rules.cancelled(row, answer.verdict, now),
        };
        react(shared, &item, &answer).await;
        match next {
            Next::Send(request) => {
                // A charge behind a look-up repeats one whose outcome is unknown.
                item.resent |= request == Request::Charge;
                item.request = request;
            }
            Next::Write(write) => return written(item, write, answer),
            Next::Hold => return Finished::row(item, Fate::Hold),
            Next::Settle(_) | Next::Park | Next::Fail(_) => return Finished::row(item, Fate::Park),
        }
    }
}

/// The key and the body are a function of the row and the frozen promotion: whoever sends it, and however
/// often, `money` executes it once. One that does not honour keys may pay again here, which is counted before it is sent.
async fn ask(connection: &mut Connection, item: &Item, idempotent: bool) -> Answer {
    let (promotion, target) = (&item.promotion, &item.payout.target);
    let generation = match item.resent && mutant::is(Mutant::FreshKeyPerAttempt) {
        false => item.payout.row.generation,
        true => rand::random_range(2..u32::MAX),
    };
    let key = IdempotencyKey::new(&promotion.campaign_code, target.customer, generation);
    if item.request == Request::Charge && item.resent && !idempotent {
        metrics::may_be_a_duplicate();
    }
    crash::point(before(item.request));
    let began = Instant::now();
    let answer = match item.request {
        Request::Charge => {
            connection.charge(&promotion.kind.charge_path, &key, charge_body(&promotion.kind, promotion, target)).await
        }
        Request::LookUp => connection.look_up(&key).await,
        Request::Cancel => connection.cancel(&key).await,
    };
    crash::point(after(item.request));
    metrics::money_answered(item.request, answer.verdict, began.elapsed());
    if item.request == Request::Charge {
        metrics::attempted(attempt(answer.verdict));
    }
    answer
}

/// Whether this request may be sent now: the promotion runs, the breaker lets it through, and the shared limit
/// has a slot for it before the entry could be taken from us. Each request of a delivery has a deadline of its own: one
/// behind a look-up that had to answer until the look-up's would never be sent where answers are slow.
async fn may_send(shared: &Shared, item: &Item) -> bool {
    let config = &shared.tools.config;
    let mut deadline = item.entry.since + config.limiter_wait() + config.money.timeout * item.asked;
    if let Some(end) = shared.tools.shutdown.deadline() {
        // What cannot be sent, answered and written within the grace is given back.
        deadline = deadline.min(end.checked_sub(config.money.timeout + config.store.write_time).unwrap_or(end));
    }
    if !runs(shared, item, deadline).await || shared.breaker.is_open() {
        return false;
    }
    if !shared.pacer.slot(deadline).await {
        return false;
    }
    if item.asked == 0 {
        shared.pace.done();
    }
    // Asked again: the decision may be old by now, and the promotion may have been stopped while we waited.
    let fresh = shared.rules.may_still_send(&item.payout.row, item.request, shared.tools.store.now());
    let may = fresh && shared.active.is_running(item.promotion.id) == Running::Yes;
    // Last of all: who has the permission to probe keeps it from everybody until its request is answered.
    may && shared.breaker.may_send().await
}

async fn runs(shared: &Shared, item: &Item, deadline: Instant) -> bool {
    loop {
        match shared.active.is_running(item.promotion.id) {
            Running::Yes => return Instant::now() < deadline,
            Running::No => return false,
            Running::Unknown if Instant::now() >= deadline => return false,
            Running::Unknown => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// What an answer means beyond its own target.
async fn react(shared: &Shared, item: &Item, answer: &Answer) {
    if let (Verdict::NotExecuted, Some(pause)) = (answer.verdict, answer.retry_after)
        && let Err(error) = shared.tools.streams.hold_back(pause).await
    {
        tracing::debug!(%error, "cannot hold the other replicas back");
    }
    // A fault of contract or configuration, found before execution; or a key that is known with another body.
    if matches!(answer.verdict, Verdict::Fault | Verdict::KeyReused) && shared.active.withdraw(item.promotion.id) {
        metrics::error(ErrorClass::Money);
        let memo =
            format!("money answered {} to a {} of target {}", answer.code, name(item.request), item.entry.target);
        if let Err(error) = shared.tools.store.fail(item.promotion.id, PromotionStatus::InProgress, &memo).await {
            tracing::error!(promotion = %item.promotion.id, %error, memo, "money rejects us, and the promotion cannot be made FAILED");
        }
    }
}

/// Nothing was sent. A fresh intent is taken back, if nothing else is known of the row; an unknown outcome
/// stays what it is.
fn not_called(item: Box<Item>) -> Finished {
    if item.resent {
        let fate = if item.payout.row.waits.is_some() { Fate::Hold } else { Fate::Park };
        return Finished::row(item, fate);
    }
    Finished::write(item, Write { effect: Effect::NotCalled, another_attempt: false }, None, None, None)
}

fn written(item: Box<Item>, write: Write, answer: Answer) -> Finished {
    let (code, message) = match write.effect {
        // What of the answer could not be read, where something could not: `money` forgets it with its key.
        Effect::Paid => {
            if let Some(message) = &answer.message {
                metrics::error(ErrorClass::Money);
                tracing::warn!(promotion = %item.promotion.id, target = %item.entry.target, message);
            }
            (None, answer.message)
        }
        // What was wrong before stands until something else is.
        Effect::Reopened => (None, None),
        Effect::Failed | Effect::NotExecuted | Effect::GiveUp | Effect::NotCalled | Effect::Unknown(_) => {
            (Some(answer.code.into_owned()), answer.message)
        }
    };
    Finished::write(item, write, answer.receipt, code, message)
}

fn attempt(verdict: Verdict) -> AttemptResult {
    match verdict {
        Verdict::Paid => AttemptResult::Paid,
        Verdict::Refused | Verdict::Cancelled => AttemptResult::Refused,
        Verdict::NotExecuted | Verdict::Fault => AttemptResult::Retryable,
        Verdict::RefusalNotListed
        | Verdict::Executing
        | Verdict::NotSeen
        | Verdict::Unknown
        | Verdict::KeyReused
        | Verdict::KeyExpired => AttemptResult::Unknown,
    }
}

fn before(request: Request) -> &'static str {
    match request {
        Request::Charge => "charging.before_charge",
        Request::LookUp => "charging.before_look_up",
        Request::Cancel => "charging.before_cancel",
    }
}

fn after(request: Request) -> &'static str {
    match request {
        Request::Charge => "charging.after_charge",
        Request::LookUp => "charging.after_look_up",
        Request::Cancel => "charging.after_cancel",
    }
}

fn name(request: Request) -> &'static str {
    match request {
        Request::Charge => "charge",
        Request::LookUp => "look-up",
        Request::Cancel => "cancel",
    }
}
