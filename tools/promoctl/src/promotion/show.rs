//! `promotion show`: how it is going by MySQL's proof, where its partitions stand, what failed, what waits.

mod codes;
mod print;

use anyhow::Result;
use chrono::NaiveDateTime;
use pipeline::domain::{Amount, Partition, ProcessStatus, Promotion, TargetId, Waits};
use pipeline::store::{IssueGroup, Proof, Waiting};
use pipeline::streams::PartitionState;
use serde::Serialize;

use super::list::Line;
use crate::ended::Ended;
use crate::output;
use crate::session::Session;

/// Waiting targets that are listed; all of them are counted.
const LISTED: u32 = 20;

#[derive(Serialize)]
struct Show {
    promotion: Line,
    /// By MySQL's proof; empty for a promotion that the product cannot work with.
    states: Vec<State>,
    partitions: Vec<PartitionLine>,
    /// Why the partitions are missing.
    redis_error: Option<String>,
    failures: Vec<Issue>,
    refusals_not_final: Vec<Issue>,
    waiting: Vec<Issue>,
    waiting_targets: Vec<WaitingTarget>,
    /// Why there is no more than the promotion's row.
    unusable: Option<String>,
}

#[derive(Serialize)]
struct State {
    state: &'static str,
    targets: u64,
    amount: Amount,
    waiting_for_a_person: u64,
    #[serde(serialize_with = "output::iso")]
    oldest: Option<NaiveDateTime>,
}

#[derive(Serialize)]
struct PartitionLine {
    partition: u32,
    stream: bool,
    last_id: Option<String>,
    published: u64,
    settled: u64,
    /// Published − settled.
    backlog: u64,
    /// Entries on the stream; the same number, unless somebody else removed some.
    length: u64,
    undelivered: u64,
    pending: u64,
    parked: u64,
    held: u64,
    dead: u64,
}

#[derive(Serialize)]
struct Issue {
    status: &'static str,
    waits_for: Option<&'static str>,
    error_code: Option<String>,
    targets: u64,
    amount: Amount,
    #[serde(serialize_with = "output::iso")]
    oldest: Option<NaiveDateTime>,
    example_target_id: i64,
}

#[derive(Serialize)]
struct WaitingTarget {
    target_id: i64,
    customer_uid: String,
    amount: Option<Amount>,
    waits_for: Option<&'static str>,
    error_code: Option<String>,
    attempts: u32,
    #[serde(serialize_with = "output::iso")]
    first_sent_at: Option<NaiveDateTime>,
}

/// Shows a promotion. Ends with 3 when a part of it could not be read.
pub(crate) async fn run(session: &Session, id: i64) -> Result<Ended> {
    let mut show = Show {
        promotion: session.overview(id).await?.into(),
        states: Vec::new(),
        partitions: Vec::new(),
        redis_error: None,
        failures: Vec::new(),
        refusals_not_final: Vec::new(),
        waiting: Vec::new(),
        waiting_targets: Vec::new(),
        unusable: None,
    };
    match session.promotion(id).await {
        Ok(promotion) => fill(session, &promotion, &mut show).await?,
        Err(error) => show.unusable = Some(format!("{error:#}")),
    }
    let partly = show.unusable.is_some() || show.redis_error.is_some();
    session.print(&show, || print::tables(&show))?;
    Ok(if partly { Ended::Partly } else { Ended::Done })
}

async fn fill(session: &Session, promotion: &Promotion, show: &mut Show) -> Result<()> {
    show.states = states(&session.store.prove(promotion).await?);
    for group in session.store.issues(promotion).await? {
        let refusal = is_refusal_not_final(&group);
        let list = match (group.status, group.waits) {
            (ProcessStatus::Failed, _) => Some(&mut show.failures),
            (_, Some(_)) => Some(&mut show.waiting),
            (_, None) => None,
        };
        if let Some(list) = list {
            list.push(issue(&group));
        }
        if refusal {
            show.refusals_not_final.push(issue(&group));
        }
    }
    if !show.waiting.is_empty() {
        let waiting = session.store.waiting(promotion, TargetId(0), LISTED).await?;
        show.waiting_targets = waiting.into_iter().map(|row| waiting_target(session, row)).collect();
    }
    let partitions: Vec<Partition> = promotion.partitions().collect();
    match session.streams()?.partition_states(&partitions).await {
        Ok(states) => show.partitions = partitions.iter().zip(&states).map(partition_line).collect(),
        Err(error) => show.redis_error = Some(error.to_string()),
    }
    Ok(())
}

fn states(proof: &Proof) -> Vec<State> {
    let name = |status: Option<ProcessStatus>, again: bool| match (status, again) {
        (None, _) => "not begun",
        (Some(ProcessStatus::Pending), _) => "PENDING",
        (Some(ProcessStatus::Retrying), _) => "RETRYING",
        (Some(ProcessStatus::Success), false) => "SUCCESS",
        (Some(ProcessStatus::Success), true) => "SUCCESS after a retry",
        (Some(ProcessStatus::Failed), _) => "FAILED",
    };
    let mut states: Vec<State> = Vec::new();
    for group in &proof.groups {
        let state = name(group.status, group.again);
        match states.iter_mut().find(|known| known.state == state) {
            Some(known) => {
                known.targets += group.targets;
                known.amount = known.amount + group.amount;
                known.waiting_for_a_person += group.waiting;
                known.oldest = [known.oldest, group.oldest].into_iter().flatten().min();
            }
            None => states.push(State {
                state,
                targets: group.targets,
                amount: group.amount,
                waiting_for_a_person: group.waiting,
                oldest: group.oldest,
            }),
        }
    }
    states
}

fn partition_line((partition, state): (&Partition, &PartitionState)) -> PartitionLine {
    PartitionLine {
        partition: partition.number,
        stream: state.position.is_some(),
        last_id: state.position.map(|position| position.last.to_string()),
        published: state.counts.published,
        settled: state.counts.settled(),
        backlog: state.counts.backlog(),
        length: state.len(),
        undelivered: state.undelivered,
        pending: state.pending,
        parked: state.parked,
        held: state.held,
        dead: state.dead,
    }
}

fn issue(group: &IssueGroup) -> Issue {
    Issue {
        status: group.status.code(),
        waits_for: group.waits.map(Waits::code),
        error_code: group.code.clone(),
        targets: group.targets,
        amount: group.amount,
        oldest: group.oldest,
        example_target_id: group.example.0,
    }
}

fn waiting_target(session: &Session, row: Waiting) -> WaitingTarget {
    WaitingTarget {
        target_id: row.target.0,
        customer_uid: session.customer(row.customer.0),
        amount: row.amount,
        waits_for: row.waits.map(Waits::code),
        error_code: row.code,
        attempts: row.retry_count + 1,
        first_sent_at: row.first_sent_at,
    }
}

fn is_refusal_not_final(group: &IssueGroup) -> bool {
    match (group.status, group.waits, &group.code) {
        (ProcessStatus::Failed | ProcessStatus::Success, _, _) => false,
        (_, Some(Waits::Refusal), _) => true,
        (_, Some(_) | None, Some(code)) => !codes::is_own(code),
        (_, Some(_) | None, None) => false,
    }
}
