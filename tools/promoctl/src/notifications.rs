//! `notifications …`: what the outside was told by webhook.

use anyhow::Result;
use chrono::NaiveDateTime;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use pipeline::domain::{NotificationState, PromotionId};
use pipeline::store::Notification;
use serde::Serialize;

use crate::cli::Consent;
use crate::consent::Plan;
use crate::ended::{Ended, refuse};
use crate::output;
use crate::session::Session;

#[derive(Subcommand, Debug)]
pub(crate) enum NotificationsCommand {
    /// Messages, newest first, with what became of them
    List(ListArgs),
    /// Have a message sent again under its id, from its first attempt on
    Resend(ResendArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Only about this promotion
    #[arg(long)]
    pub(crate) promotion: Option<i64>,
    /// Only those that stand so
    #[arg(long, value_parser = states(), ignore_case = true)]
    pub(crate) state: Option<NotificationState>,
    /// Most messages to show
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Continue below this id (`next_cursor` of the page before)
    #[arg(long)]
    pub(crate) cursor: Option<i64>,
}

#[derive(Args, Debug)]
pub(crate) struct ResendArgs {
    /// Message
    pub(crate) id: i64,
    /// Why, for the audit trail
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

fn states() -> impl TypedValueParser<Value = NotificationState> {
    PossibleValuesParser::new(NotificationState::ALL.map(NotificationState::code))
        .try_map(|code| NotificationState::from_code(&code.to_ascii_uppercase()).ok_or("no such state"))
}

#[derive(Serialize)]
struct Page {
    data: Vec<Line>,
    next_cursor: Option<i64>,
}

#[derive(Serialize)]
struct Line {
    notification_id: i64,
    event_id: String,
    promotion_id: i64,
    event: &'static str,
    state: &'static str,
    attempts: u32,
    last_answer: Option<String>,
    #[serde(serialize_with = "output::iso")]
    created_at: Option<NaiveDateTime>,
    #[serde(serialize_with = "output::iso")]
    updated_at: Option<NaiveDateTime>,
}

/// Messages, newest first.
pub(crate) async fn list(session: &Session, args: &ListArgs) -> Result<Ended> {
    let promotion = args.promotion.map(PromotionId);
    let rows = session.store.notifications(promotion, args.state, args.cursor, args.limit).await?;
    let full = rows.len() == args.limit as usize;
    let next_cursor = rows.last().filter(|_| full).map(|last| last.id);
    let page = Page { data: rows.into_iter().map(line).collect(), next_cursor };
    session.print(&page, || {
        let header = ["id", "promotion", "event", "state", "attempts", "last answer", "happened", "moved"];
        let mut table = output::table(header, &[0, 1, 4]);
        for line in &page.data {
            table.add_row([
                line.notification_id.to_string(),
                line.promotion_id.to_string(),
                line.event.to_owned(),
                line.state.to_owned(),
                line.attempts.to_string(),
                output::text(line.last_answer.as_deref()),
                output::time(line.created_at),
                output::time(line.updated_at),
            ]);
        }
        println!("{table}");
        if let Some(next) = page.next_cursor {
            println!("more: --cursor {next}");
        }
    })
}

/// Any state but WAITING → WAITING.
pub(crate) async fn resend(session: &Session, args: &ResendArgs) -> Result<Ended> {
    let Some(row) = session.store.notification(args.id).await? else {
        return refuse(format!("there is no message {}", args.id));
    };
    let mut act = session.act("notifications resend", &args.reason)?;
    let overview = session.store.overview(row.promotion).await?;
    if let Some(overview) = &overview {
        (act.items, act.amount) = (overview.total_count, overview.total_amount);
    }
    act.promotion = Some(row.promotion);
    act.filter = Some(format!("message {} ({})", row.id, row.event_id));
    if row.state == NotificationState::Waiting {
        return refuse(format!("message {} is WAITING: it is sent by itself", row.id));
    }
    let mut plan = Plan {
        action: act.action,
        what: format!("send message {} ({}, promotion {}) again", row.id, row.event.code(), row.promotion),
        promotion_id: Some(row.promotion.0),
        target_id: None,
        targets: act.items,
        amount: act.amount,
        from: Some(row.state.code().to_owned()),
        to: Some(NotificationState::Waiting.code().to_owned()),
        dry_run: false,
    };
    if !plan.consented(session, &args.consent)? {
        return Ok(Ended::Done);
    }
    match session.store.resend_notification(row.id, &act).await? {
        true => plan.done(session),
        false => refuse(format!("message {} was sent again by somebody else", row.id)),
    }
}

fn line(row: Notification) -> Line {
    Line {
        notification_id: row.id,
        event_id: row.event_id,
        promotion_id: row.promotion.0,
        event: row.event.code(),
        state: row.state.code(),
        attempts: row.attempts,
        last_answer: row.last_answer,
        created_at: Some(row.created_at),
        updated_at: Some(row.updated_at),
    }
}
