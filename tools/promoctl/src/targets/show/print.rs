//! A target for people.

use std::fmt::Display;
use std::time::Duration;

use super::Show;
use crate::output::{self, money, text, time};

pub(super) fn sections(show: &Show) {
    target(show);
    result(show);
    timeline(show);
    transport(show);
    ledger(show);
    acts(show);
}

fn line(name: &str, value: impl Display) {
    println!("  {name:<18} {value}");
}

fn optional(name: &str, value: Option<&str>) {
    if let Some(value) = value {
        line(name, value);
    }
}

fn target(show: &Show) {
    let row = &show.target;
    println!("Target {} of promotion {} ({})", row.target_id, row.promotion_id, row.promotion_type);
    line("customer", &row.customer_uid);
    let default = if row.amount_is_default { " (the promotion's default)" } else { "" };
    line("amount", format!("{}{default}", row.amount.map_or_else(|| "-".to_owned(), money)));
    optional("merchant", row.merchant_code.as_deref());
    optional("brand", row.merchant_brand_code.as_deref());
    optional("expires", row.expired_at.as_deref());
    optional("reason", row.reason.as_deref());
    optional("voucher", row.voucher_number.as_deref());
    optional("withdrawal", row.is_withdrawal.map(|yes| if yes { "yes" } else { "no" }));
    optional("loaded from", row.loaded_from.as_deref());
    line("partition", row.partition);
    line("publish status", &row.publish_status);
    line("keys", show.idempotency_keys.join(", "));
}

fn result(show: &Show) {
    let Some(row) = &show.result else {
        println!("\nResult: none yet, no intent was recorded");
        return;
    };
    println!("\nResult: {}", row.process_status);
    line("attempts", row.attempts);
    line("requeues", row.requeues);
    line("key generation", row.key_generation);
    line("may have executed", if row.may_have_executed { "yes: an outcome is unknown" } else { "no" });
    optional("waits for", row.waits_for);
    optional("error code", row.error_code.as_deref());
    optional("error message", row.error_message.as_deref());
    optional("transaction key", row.transaction_key.as_deref());
    optional("voucher code", row.voucher_code.as_deref());
    if row.voucher_pin_stored {
        line("voucher PIN", "stored, never shown");
    }
    if row.voucher_expiry_at.is_some() {
        line("voucher expires", time(row.voucher_expiry_at));
    }
}

fn timeline(show: &Show) {
    println!("\nTimeline");
    let mut table = output::table(["at", "what", "from"], &[]);
    for moment in &show.timeline {
        table.add_row([time(moment.at), moment.what.clone(), moment.source.to_owned()]);
    }
    println!("{table}\n{}", show.timeline_note);
}

fn transport(show: &Show) {
    if let Some(error) = &show.redis_error {
        println!("\nRedis does not answer: {error}");
    }
    if let Some(entry) = &show.entry {
        println!("\nStream entry: {}", entry.place);
        optional("entry", entry.entry_id.as_deref());
        if let (Some(idle), Some(deliveries)) = (entry.idle_ms, entry.deliveries) {
            line("idle", humantime::format_duration(Duration::from_secs(idle / 1000)));
            line("deliveries", deliveries);
        }
    }
    for letter in &show.dead_letters {
        println!("\nDead letter {}", letter.entry_id);
        line("reason", &letter.reason);
        line("attempts", letter.attempts);
        line("key generation", letter.key_generation);
    }
}

fn ledger(show: &Show) {
    if let Some(note) = &show.ledger_note {
        println!("\nMoney: {note}");
        return;
    }
    println!("\nMoney says");
    let mut table = output::table(["key", "verdict", "code", "money key", "message"], &[]);
    for answer in &show.ledger {
        table.add_row([
            answer.key.clone(),
            answer.verdict.to_owned(),
            answer.code.clone(),
            text(answer.money_key.as_deref()),
            text(answer.message.as_deref()),
        ]);
    }
    println!("{table}");
}

fn acts(show: &Show) {
    if show.acts.is_empty() {
        return;
    }
    println!("\nWhat operators did, newest first");
    let mut table = output::table(["at", "who", "what", "on", "filter", "targets", "why"], &[5]);
    for act in &show.acts {
        table.add_row([
            time(act.at),
            act.actor.clone(),
            act.action.clone(),
            if act.this_target { "this target" } else { "its promotion" }.to_owned(),
            text(act.filter.as_deref()),
            output::count(act.items),
            act.reason.clone(),
        ]);
    }
    println!("{table}");
}
