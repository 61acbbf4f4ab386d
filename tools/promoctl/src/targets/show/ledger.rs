//! What money says about a target's keys, asked by look-up.

use std::time::Duration;

use anyhow::Result;
use pipeline::charging::Pacer;
use pipeline::domain::outcome::Verdict;
use pipeline::keys::IdempotencyKey;
use pipeline::store::TargetHistory;
use pipeline::streams::Breaker;
use serde::Serialize;
use tokio::time::Instant;

use crate::session::Session;

/// Keys that are asked about: the newest. Each is a request under the shared limit.
const MAX_KEYS: u32 = 5;
/// Longest wait for a slot of the shared limit.
const SLOT_WITHIN: Duration = Duration::from_secs(10);

/// An answer of money.
#[derive(Serialize)]
pub(super) struct LookUp {
    pub(super) key_generation: u32,
    pub(super) key: String,
    pub(super) verdict: &'static str,
    pub(super) code: String,
    pub(super) money_key: Option<String>,
    pub(super) message: Option<String>,
}

/// Asks about every generation of the key; a look-up changes nothing. The inner error says why nobody was asked.
pub(super) async fn look_up(session: &Session, history: &TargetHistory) -> Result<Result<Vec<LookUp>, String>> {
    let (config, streams) = (&session.config, session.streams()?);
    if !config.money.lookup {
        return Ok(Err("this deployment has no look-up (money.lookup = false)".to_owned()));
    }
    match streams.breaker_state().await {
        Ok(Breaker::Closed) => {}
        Ok(Breaker::Open { .. } | Breaker::HalfOpen) => {
            return Ok(Err("the circuit breaker is open: money fails, and only probes are sent".to_owned()));
        }
        Err(error) => return Ok(Err(format!("without Redis there is no shared limit, so nothing is sent ({error})"))),
    }
    let money = pipeline::startup::money(config)?;
    let (pacer, mut connection) =
        (Pacer::new(streams.clone(), config.money.max_rps, config.limiter_wait()), money.connection());
    let newest = super::generation(history);
    let mut answers = Vec::new();
    for generation in newest.saturating_sub(MAX_KEYS - 1).max(1)..=newest {
        if !pacer.slot(Instant::now() + SLOT_WITHIN).await {
            return Ok(Err("the shared limit had no slot: payers use all of it; try again".to_owned()));
        }
        let key = IdempotencyKey::new(&history.campaign_code, history.customer, generation);
        let answer = connection.look_up(&key).await;
        answers.push(LookUp {
            key_generation: generation,
            key: super::key(session, history, generation),
            verdict: words(answer.verdict),
            code: answer.code.into_owned(),
            money_key: answer.receipt.map(|receipt| receipt.money_key),
            message: session.message(history.customer, answer.message.as_deref()),
        });
    }
    Ok(Ok(answers))
}

fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Paid => "paid",
        Verdict::Refused => "refused for good",
        Verdict::RefusalNotListed => "refused, with a code that is not on the list of final ones",
        Verdict::Executing => "being executed",
        Verdict::NotSeen => "not seen yet, which proves nothing",
        Verdict::Cancelled => "cancelled",
        Verdict::NotExecuted | Verdict::Unknown => "no answer",
        Verdict::KeyReused => "known with another body",
        Verdict::KeyExpired => "forgotten",
        Verdict::Fault => "money rejects our requests",
    }
}
