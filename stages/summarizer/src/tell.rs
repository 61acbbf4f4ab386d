//! Telling the outside: messages that stand in the database are sent, at least once.
//!
//! They were added in the transactions of what they tell about, so a crash between the two loses none. A message is
//! taken by compare-and-set with a lease: replicas race, and one of them sends it. Who dies while sending leaves it
//! due again when the lease is over; the receiver knows the repeat by its id.

use std::time::{Duration, SystemTime};

use pipeline::domain::Promotion;
use pipeline::metrics::{self, ErrorClass, Told};
use pipeline::stage::Context;
use pipeline::store::{Attempted, Due, Store};
use pipeline::webhook::{Delivery, Webhook};
use tokio::time::Instant;

use crate::Tools;
use crate::progress::Seen;

/// How often messages are looked for.
const POLL: Duration = Duration::from_secs(1);
/// Messages that are sent between two looks at what is due: one receiver, one after another.
const PAGE: u32 = 20;
/// What recording an answer takes at worst, beside the statement's own deadlines: a part of the lease.
const RECORD_TIME: Duration = Duration::from_secs(20);

/// Sends what is due until the end is requested. A task of its own: a receiver that hangs keeps no summary waiting.
pub async fn run(context: Context, store: Store, webhook: Option<Webhook>) {
    while !context.shutdown.sleep(POLL).await {
        if let Err(error) = turn(&context, &store, webhook.as_ref()).await {
            metrics::error(ErrorClass::Mysql);
            tracing::warn!(error = format!("{error:#}"), "cannot tell the outside; tried again");
        }
    }
}

async fn turn(context: &Context, store: &Store, webhook: Option<&Webhook>) -> anyhow::Result<()> {
    let mut backlog = store.notification_backlog().await?;
    if backlog.waiting > 0 {
        work_off(context, store, webhook).await?;
        backlog = store.notification_backlog().await?;
    }
    metrics::untold(backlog.waiting, backlog.given_up);
    Ok(())
}

/// Puts aside what nobody wants, and sends what is due.
async fn work_off(context: &Context, store: &Store, webhook: Option<&Webhook>) -> anyhow::Result<()> {
    let config = &context.config.webhook;
    let wanted = if webhook.is_some() { &config.events[..] } else { &[] };
    store.skip_notifications(wanted).await?;
    if let Some(webhook) = webhook {
        for due in store.due_notifications(now_ms(), PAGE).await? {
            if context.shutdown.requested() {
                break;
            }
            let lease = now_ms() + millis(config.timeout + RECORD_TIME);
            if store.claim_notification(&due, lease).await? {
                send(store, webhook, &due).await?;
            }
        }
    }
    Ok(())
}

async fn send(store: &Store, webhook: &Webhook, due: &Due) -> anyhow::Result<()> {
    let began = Instant::now();
    let delivery = webhook.send(&due.event_id, &due.body).await;
    let attempts = due.attempts + 1;
    let (told, attempted) = match &delivery {
        Delivery::Delivered(_) => (Told::Delivered, Attempted::Delivered),
        Delivery::Refused(_) => (Told::Refused, failed(webhook, due.id, attempts)),
        Delivery::NoAnswer(_) => (Told::NoAnswer, failed(webhook, due.id, attempts)),
    };
    metrics::told(told, began.elapsed());
    let (event, answer) = (due.event.code(), delivery.answer());
    match attempted {
        Attempted::Delivered => tracing::info!(promotion = %due.promotion, event, attempts, "told by webhook"),
        Attempted::Again(_) => {
            tracing::warn!(promotion = %due.promotion, event, attempts, answer, "the webhook did not take a message; it is sent again")
        }
        Attempted::GivenUp => {
            tracing::error!(notification = due.id, promotion = %due.promotion, event, attempts, answer, "the webhook did not take a message; it is given up")
        }
    }
    // Lost, it is sent again at the end of the lease, under the same id.
    store.attempted_notification(due, &attempted, &answer).await?;
    Ok(())
}

fn failed(webhook: &Webhook, id: i64, attempts: u32) -> Attempted {
    match webhook.pause(id, attempts) {
        Some(pause) => Attempted::Again(now_ms() + millis(pause)),
        None => Attempted::GivenUp,
    }
}

/// Notes that payouts of a running promotion have begun, or ceased, to wait for a person, by the last proof. Doing it
/// twice changes nothing; what is remembered only spares the statement.
pub async fn waiting(tools: &Tools, seen: &mut Seen, promotion: &Promotion) -> anyhow::Result<()> {
    let Some((_, _, proof)) = &seen.proof else { return Ok(()) };
    let waits = proof.waiting() > 0;
    if seen.waits == Some(waits) {
        return Ok(());
    }
    if waits {
        if tools.store.needs_person(promotion, proof).await? {
            tracing::warn!(promotion = %promotion.id, payouts = proof.waiting(), "payouts wait for a person");
        }
    } else {
        tools.store.needs_nobody(promotion.id).await?;
    }
    seen.waits = Some(waits);
    Ok(())
}

fn now_ms() -> i64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, millis)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
