//! Streams, groups and consumers of promotions that run.

use std::time::Duration;

use anyhow::Result;
use pipeline::domain::{Partition, Promotion, PromotionStatus};
use pipeline::keys;
use pipeline::streams::{Consumer, Parking, PartitionState, Streams};

use super::finding::{Finding, Findings, Severity};
use super::replicas::ReplicaLine;
use crate::session::Session;

/// Entries of a page of XPENDING: 0.3 ms of the Redis thread.
const PAGE: usize = 1_000;
/// Pages of one consumer that are looked through: more than a payer holds.
const MAX_PAGES: usize = 10;
/// Visibility timeouts after which the retrier should have taken an entry long ago.
const STUCK_AFTER: u32 = 2;
/// What must run while a promotion does.
const STAGES: [&str; 4] = ["dispatcher", "payer", "retrier", "summarizer"];

/// Adds what is wrong with the partitions of running promotions.
pub(super) async fn examine(
    session: &Session,
    only: Option<i64>,
    replicas: &[ReplicaLine],
    found: &mut Findings,
) -> Result<()> {
    let running = running(session, only, found).await?;
    if !running.is_empty() {
        missing_stages(replicas, found);
    }
    for promotion in &running {
        examine_promotion(session, promotion, found).await?;
    }
    Ok(())
}

/// Promotions that run. One that no stage can work with is told, not touched.
async fn running(session: &Session, only: Option<i64>, found: &mut Findings) -> Result<Vec<Promotion>> {
    let mut running = Vec::new();
    for overview in super::promotions::of_status(session, only, PromotionStatus::InProgress).await? {
        match session.store.promotion(overview.id).await {
            Ok(promotion) => running.extend(promotion),
            Err(error) => found.add(Finding {
                severity: Severity::Error,
                check: "promotion unusable",
                place: format!("promotion {} ({})", overview.id, overview.campaign_code),
                found: error.to_string(),
                means: "no stage can work with it: another system wrote it, or this promoctl is too old".to_owned(),
                advice: "mend its row, or use the promoctl of the stages' version".to_owned(),
            }),
        }
    }
    Ok(running)
}

async fn examine_promotion(session: &Session, promotion: &Promotion, found: &mut Findings) -> Result<()> {
    let partitions: Vec<Partition> = promotion.partitions().collect();
    let mut held = 0;
    for partition in partitions {
        let at = At { promotion, partition };
        let looked = async {
            let (state, counted) = session.streams()?.surveyed(partition).await?;
            let consumers = session.streams()?.consumers(&[partition]).await?.into_iter().flatten().collect::<Vec<_>>();
            anyhow::Ok((state, counted, consumers))
        };
        let (state, counted, consumers) = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                found.add(at.finding(
                    Severity::Error,
                    "partition unreadable",
                    format!("{error:#}"),
                    "stages cannot read it either",
                    "see who else writes keys that begin with promo: in this Redis",
                ));
                continue;
            }
        };
        held += state.held;
        stream(&at, &state, counted, found);
        parked(session, &at, &state, found);
        for consumer in consumers.iter().filter(|consumer| consumer.pending > 0) {
            holder(session, &at, consumer, found).await?;
        }
    }
    if held > 0 {
        found.add(Finding {
            severity: Severity::Warning,
            check: "waiting for a person",
            place: format!("promotion {} ({})", promotion.id, promotion.campaign_code),
            found: format!("{held} entries are held"),
            means: "only a person can close their outcomes, and the promotion does not end before".to_owned(),
            advice: "`promoctl targets list --status WAITING` names them, `promoctl resolve` closes them".to_owned(),
        });
    }
    Ok(())
}

/// Where something was found.
struct At<'a> {
    promotion: &'a Promotion,
    partition: Partition,
}

impl At<'_> {
    fn finding(&self, severity: Severity, check: &'static str, what: String, means: &str, advice: &str) -> Finding {
        let (promotion, number) = (self.promotion, self.partition.number);
        let place = format!("promotion {} ({}), partition {number}", promotion.id, promotion.campaign_code);
        Finding { severity, check, place, found: what, means: means.to_owned(), advice: advice.to_owned() }
    }
}

fn missing_stages(replicas: &[ReplicaLine], found: &mut Findings) {
    for stage in STAGES.iter().filter(|stage| !replicas.iter().any(|replica| replica.stage == **stage)) {
        found.add(Finding {
            severity: Severity::Error,
            check: "stage missing",
            place: (*stage).to_owned(),
            found: format!("no {stage} announces itself, and promotions run"),
            means: "its part of the work is not done; one that has just started, or a Redis that was just flushed, takes half a minute".to_owned(),
            advice: format!("start a {stage}, or see in its log why it does not reach Redis"),
        });
    }
}

fn stream(at: &At<'_>, state: &PartitionState, counted: bool, found: &mut Findings) {
    let repair = "`promoctl repair` rebuilds the partition; the sweep does so by itself when nothing moves";
    let Some(position) = state.position else {
        found.add(at.finding(
            Severity::Error,
            "stream missing",
            "it has no stream".to_owned(),
            "nothing of it is delivered, and reads over all partitions fail",
            "see that a dispatcher runs: it makes the stream and refills it from MySQL",
        ));
        return;
    };
    if !position.group {
        found.add(at.finding(
            Severity::Error,
            "group missing",
            format!("its stream has no group {}", keys::GROUP),
            "nothing of it is delivered",
            "see that a dispatcher runs: it makes the group; then `promoctl repair`",
        ));
        return;
    }
    if state.last_delivered.is_some_and(|delivered| delivered > position.last) {
        found.add(at.finding(
            Severity::Error,
            "group position",
            "its group stands behind the end of its stream".to_owned(),
            "what is published up to there is never delivered",
            repair,
        ));
    }
    let outstanding = state.counts.published.checked_sub(state.counts.settled());
    if outstanding != Some(position.len) {
        let (published, settled) = (state.counts.published, state.counts.settled());
        found.add(at.finding(
            Severity::Error,
            "counts",
            format!("{published} published − {settled} settled are not the {} entries on the stream", position.len),
            "somebody else deleted entries or changed counts; the public counts are wrong",
            repair,
        ));
    }
    let known = state.pending + state.undelivered;
    if counted && known != position.len {
        found.add(at.finding(
            Severity::Error,
            "entries lost",
            format!("{} pending + {} undelivered are not the {} entries on the stream", state.pending, state.undelivered, position.len),
            "a consumer was deleted with its entries, or somebody else acknowledged or deleted some: nobody is given them",
            repair,
        ));
    }
}

fn parked(session: &Session, at: &At<'_>, state: &PartitionState, found: &mut Findings) {
    let most = session.config.payer.max_parked;
    if state.parked >= most {
        found.add(at.finding(
            Severity::Warning,
            "retries pile up",
            format!(
                "{} entries wait for a retry, and payers take nothing new from {most} on (payer.max_parked)",
                state.parked
            ),
            "the partition stands still until the retrier has made room",
            "see what money answers; more retriers help only below the request limit",
        ));
    }
}

/// Entries in the hands of a process.
async fn holder(session: &Session, at: &At<'_>, consumer: &Consumer, found: &mut Findings) -> Result<()> {
    if Parking::of(&consumer.name).is_some() {
        return Ok(());
    }
    let retry = &session.config.retry;
    let stuck_after = retry.visibility_timeout * STUCK_AFTER;
    // Attempts, and a quarter of poison_deliveries for what waits longer, are no sign of anything.
    let suspect = u64::from(retry.max_attempts.saturating_add(retry.poison_deliveries / 2));
    let (stuck, suspects) = count(session.streams()?, at.partition, &consumer.name, stuck_after, suspect).await?;
    let after = humantime::format_duration(stuck_after);
    if stuck > 0 {
        found.add(at.finding(
            Severity::Error,
            "entries stuck",
            format!("{} holds {stuck} entries that nobody touched for {after}", consumer.name),
            "it is dead or frozen, and no retrier takes them from it",
            "see that a retrier runs and has work to spare; nothing is lost",
        ));
    }
    if suspects > 0 {
        found.add(at.finding(
            Severity::Warning,
            "deliveries",
            format!("{suspects} entries of {} were delivered {suspect} times or more", consumer.name),
            "they may crash whoever takes them; at retry.poison_deliveries they are put aside for a person",
            "`promoctl pending list --min-deliveries` names them; see the logs of the stages that ended",
        ));
    }
    Ok(())
}

/// How many of its entries are idle for too long, and how many were delivered too often.
async fn count(
    streams: &Streams,
    partition: Partition,
    consumer: &str,
    idle: Duration,
    deliveries: u64,
) -> Result<(usize, usize)> {
    let (mut stuck, mut suspects, mut after) = (0, 0, None);
    for _ in 0..MAX_PAGES {
        let page = streams.pending_page(partition, consumer, after, PAGE).await?;
        after = page.last().map(|last| last.id);
        stuck += page.iter().filter(|entry| Duration::from_millis(entry.idle_ms) > idle).count();
        suspects += page.iter().filter(|entry| entry.deliveries >= deliveries).count();
        if page.len() < PAGE {
            break;
        }
    }
    Ok((stuck, suspects))
}
