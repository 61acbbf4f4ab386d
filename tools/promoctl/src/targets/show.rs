//! `targets show`: everything that is known about one target.

mod ledger;
mod print;
mod transport;

use anyhow::Result;
use chrono::NaiveDateTime;
use clap::{ArgGroup, Args};
use pipeline::domain::{Amount, CustomerUid, Partition, TargetId, Waits};
use pipeline::store::{RecordedAct, ResultHistory, TargetHistory};
use serde::Serialize;

use crate::ended::{Ended, refuse};
use crate::output;
use crate::session::Session;
use ledger::LookUp;
use transport::{DeadLine, Entry};

/// Rows of the audit trail that are shown.
const ACTS: u32 = 50;

/// `targets show`
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("which").required(true).args(["promotion", "kind"])))]
pub(crate) struct ShowArgs {
    /// Target
    target: i64,
    /// Its promotion
    #[arg(long)]
    promotion: Option<i64>,
    /// Or its payout type
    #[arg(long = "type", value_name = "CODE")]
    kind: Option<String>,
    /// Do not ask money what it knows; without this MONEY_URL and MONEY_TOKEN are needed
    #[arg(long)]
    pub(crate) no_lookup: bool,
}

#[derive(Serialize)]
struct Show {
    target: TargetSection,
    result: Option<ResultSection>,
    /// The keys that were or may be sent, the customer's id masked.
    idempotency_keys: Vec<String>,
    timeline: Vec<Moment>,
    timeline_note: &'static str,
    /// Where its entry is; nothing when Redis does not answer.
    entry: Option<Entry>,
    dead_letters: Vec<DeadLine>,
    redis_error: Option<String>,
    ledger: Vec<LookUp>,
    /// Why money was not asked.
    ledger_note: Option<String>,
    acts: Vec<Act>,
}

#[derive(Serialize)]
struct TargetSection {
    target_id: i64,
    promotion_id: i64,
    promotion_type: String,
    customer_uid: String,
    amount: Option<Amount>,
    amount_is_default: bool,
    merchant_code: Option<String>,
    merchant_brand_code: Option<String>,
    expired_at: Option<String>,
    /// Hidden unless personal data is asked for.
    reason: Option<String>,
    voucher_number: Option<String>,
    is_withdrawal: Option<bool>,
    partition: u32,
    publish_status: String,
    loaded_from: Option<String>,
}

#[derive(Serialize)]
struct ResultSection {
    process_status: &'static str,
    transaction_key: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
    attempts: u32,
    retry_count: u32,
    may_have_executed: bool,
    key_generation: u32,
    requeues: u32,
    waits_for: Option<&'static str>,
    voucher_code: Option<String>,
    /// Only whether there is one: PINs are never shown.
    voucher_pin_stored: bool,
    #[serde(serialize_with = "output::iso")]
    voucher_expiry_at: Option<NaiveDateTime>,
    #[serde(serialize_with = "output::iso")]
    first_sent_at: Option<NaiveDateTime>,
    #[serde(serialize_with = "output::iso")]
    created_at: Option<NaiveDateTime>,
    #[serde(serialize_with = "output::iso")]
    updated_at: Option<NaiveDateTime>,
}

#[derive(Serialize)]
struct Moment {
    #[serde(serialize_with = "output::iso")]
    at: Option<NaiveDateTime>,
    what: String,
    /// Where the time stands.
    source: &'static str,
}

#[derive(Serialize)]
struct Act {
    audit_id: i64,
    #[serde(serialize_with = "output::iso")]
    at: Option<NaiveDateTime>,
    actor: String,
    action: String,
    /// Whether it was on this target alone; otherwise on several of the promotion's, perhaps on this one too.
    this_target: bool,
    filter: Option<String>,
    reason: String,
    items: u64,
}

const NOTE: &str =
    "A payment at the first attempt is one change; of attempts that came to anything else, each is named.";

/// Shows a target. Ends with 3 when a part of it could not be read.
pub(crate) async fn run(session: &Session, args: &ShowArgs) -> Result<Ended> {
    let kind = session.kind(args.promotion, args.kind.as_deref()).await?;
    let history = match session.store.history(&kind, TargetId(args.target)).await? {
        Some(row) if args.promotion.is_none_or(|promotion| promotion == row.promotion.0) => row,
        Some(_) | None => return refuse(format!("there is no target {} of that promotion or type", args.target)),
    };
    let loaded = session.store.loaded_from(history.promotion).await?;
    let sealed_at = loaded.as_ref().and_then(|loaded| loaded.sealed_at);
    let acts = session.store.acts_on(history.promotion, history.target, ACTS).await?;
    let mut show = Show {
        target: target(session, &history, &kind.code, loaded.and_then(|loaded| loaded.file)),
        result: history.result.as_ref().map(|row| result(session, history.customer, row)),
        idempotency_keys: (1..=generation(&history)).map(|generation| key(session, &history, generation)).collect(),
        timeline: timeline(&history, sealed_at, &acts),
        timeline_note: NOTE,
        entry: None,
        dead_letters: Vec::new(),
        redis_error: None,
        ledger: Vec::new(),
        ledger_note: None,
        acts: acts.into_iter().map(Act::from).collect(),
    };
    let partition = Partition { promotion: history.promotion, number: history.partition };
    match transport::look(session, partition, history.target).await {
        Ok((entry, dead)) => (show.entry, show.dead_letters) = (Some(entry), dead),
        Err(error) => show.redis_error = Some(format!("{error:#}")),
    }
    match args.no_lookup {
        true => show.ledger_note = Some("not asked (--no-lookup)".to_owned()),
        false => match ledger::look_up(session, &history).await? {
            Ok(answers) => show.ledger = answers,
            Err(why) => show.ledger_note = Some(why),
        },
    }
    let partly = show.redis_error.is_some() || !args.no_lookup && show.ledger_note.is_some();
    session.print(&show, || print::sections(&show))?;
    Ok(if partly { Ended::Partly } else { Ended::Done })
}

fn generation(history: &TargetHistory) -> u32 {
    history.result.as_ref().map_or(1, |row| row.generation.max(1))
}

/// As `keys::IdempotencyKey` builds it, with the customer masked.
fn key(session: &Session, history: &TargetHistory, generation: u32) -> String {
    let plain = format!("{}_{}", history.campaign_code, session.customer(history.customer.0));
    if generation == 1 { plain } else { format!("{plain}.g{generation}") }
}

fn target(session: &Session, row: &TargetHistory, kind: &str, file: Option<String>) -> TargetSection {
    TargetSection {
        target_id: row.target.0,
        promotion_id: row.promotion.0,
        promotion_type: kind.to_owned(),
        customer_uid: session.customer(row.customer.0),
        amount: row.amount,
        amount_is_default: row.default_amount,
        merchant_code: row.merchant_code.clone(),
        merchant_brand_code: row.merchant_brand_code.clone(),
        expired_at: row.expired_at.clone(),
        reason: row.reason.clone().map(|reason| if session.show_pii { reason } else { "(hidden)".to_owned() }),
        voucher_number: row.voucher_number.as_deref().map(|number| session.personal(number)),
        is_withdrawal: row.is_withdrawal,
        partition: row.partition,
        publish_status: row.publish_status.clone(),
        loaded_from: file,
    }
}

fn result(session: &Session, customer: CustomerUid, row: &ResultHistory) -> ResultSection {
    ResultSection {
        process_status: row.status.code(),
        transaction_key: row.transaction_key.clone(),
        error_code: row.code.clone(),
        error_message: session.message(customer, row.message.as_deref()),
        attempts: row.retry_count + 1,
        retry_count: row.retry_count,
        may_have_executed: row.may_have_executed,
        key_generation: row.generation,
        requeues: row.requeues,
        waits_for: row.waits.map(Waits::code),
        voucher_code: row.voucher_code.as_deref().map(|code| session.personal(code)),
        voucher_pin_stored: row.has_pin,
        voucher_expiry_at: row.voucher_expiry_at,
        first_sent_at: row.first_sent_at,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

/// What the stored times tell, oldest first.
fn timeline(row: &TargetHistory, sealed_at: Option<NaiveDateTime>, acts: &[RecordedAct]) -> Vec<Moment> {
    let mut moments = Vec::new();
    let mut add = |at: Option<NaiveDateTime>, what: String, source| {
        if at.is_some() {
            moments.push(Moment { at, what, source });
        }
    };
    add(row.created_at, "the target was loaded".to_owned(), "target created_at");
    add(sealed_at, "the load was sealed".to_owned(), "load sealed_at");
    if let Some(result) = &row.result {
        add(result.created_at, "the first intent was recorded".to_owned(), "result created_at");
        let what = format!("the present key (generation {}) was first sent", result.generation);
        add(result.first_sent_at, what, "result first_sent_at");
        for attempt in &result.attempts {
            let code = attempt.code.as_ref().map_or_else(String::new, |code| format!(", {code}"));
            let what = match attempt.effect.as_str() {
                "REOPENED" => "it may be sent again, and no person is to close it meanwhile".to_owned(),
                effect => format!("an attempt (generation {}) came to {effect}{code}", attempt.generation),
            };
            add(Some(attempt.at), what, "result attempts");
        }
        let code = result.code.as_ref().map_or_else(String::new, |code| format!(", {code}"));
        let waits = result.waits.map_or_else(String::new, |waits| format!(", waits for a person: {}", waits.code()));
        let (status, attempts) = (result.status.code(), result.retry_count + 1);
        let what = format!("last change: {status} after {attempts} attempts{code}{waits}");
        add(result.updated_at, what, "result updated_at");
    }
    for act in acts.iter().filter(|act| act.target == Some(row.target)) {
        add(Some(act.at), format!("{} by {}: {}", act.action, act.actor, act.reason), "audit trail");
    }
    moments.sort_by_key(|moment| moment.at);
    moments
}

impl From<RecordedAct> for Act {
    fn from(act: RecordedAct) -> Self {
        Self {
            audit_id: act.id,
            at: Some(act.at),
            actor: act.actor,
            action: act.action,
            this_target: act.target.is_some(),
            filter: act.filter,
            reason: act.reason,
            items: act.items,
        }
    }
}
