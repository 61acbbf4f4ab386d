//! Rules over several keys.

use std::time::Duration;

use super::reader::Reader;
use super::url;
use super::{Config, Needs};

/// Requests that may be sent for one delivery of an entry, each up to the deadline: look-up, charge, cancel.
pub const SENDS_PER_DELIVERY: u32 = 3;

/// What an intent takes on a slow day, and then the limiter. Where less is left, hardly anything may be sent.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// Reports what contradicts itself. A rule over a key that has a fault already is passed over.
pub(super) fn rules(config: &Config, needs: Needs, r: &mut Reader) {
    let (retry, payer, money) = (&config.retry, &config.payer, &config.money);
    if needs.money {
        held_long_enough(config, r);
        weaker_money(config, r);
    }
    let sweep = config.summarizer.sweep_interval;
    below(r, ("retry.visibility_timeout", retry.visibility_timeout), ("summarizer.sweep_interval", sweep));
    below(r, ("payer.block", payer.block), ("redis.response_timeout", config.redis.response_timeout));
    // A main loop that comes round more rarely passes for one that hangs.
    for (key, pause) in [
        ("dispatcher.poll", config.dispatcher.poll),
        ("retry.tick", retry.tick),
        ("payer.block", payer.block),
        ("summarizer.flush_interval", config.summarizer.flush_interval),
    ] {
        below(r, (key, pause), ("health.live_within", config.live_within));
    }
    if config.key_lifetime().is_zero() {
        let (margin, retention) = (show(money.key_retention_margin), show(money.key_retention));
        let rule =
            "money.key_retention_margin, and what clocks of time.zone are set back by, below money.key_retention";
        contradiction(r, ("money.key_retention_margin", margin), ("money.key_retention", retention), rule);
    }
    at_most(r, ("retry.backoff_base", retry.backoff_base), ("retry.backoff_cap", retry.backoff_cap));
    at_most(r, ("breaker.open_for", config.breaker.open_for), ("breaker.open_cap", config.breaker.open_cap));
    let webhook = &config.webhook;
    at_most(r, ("webhook.backoff_base", webhook.backoff_base), ("webhook.backoff_cap", webhook.backoff_cap));
    if !webhook.allow_http && url::leaves_in_clear(webhook.url.expose()) && !r.faulty.contains("webhook.url") {
        let found = "an http:// URL of another host (not shown)".to_owned();
        let advice = "Use https, or set PAYOUT_WEBHOOK_ALLOW_HTTP=true where the way there is private.";
        r.fault("webhook.url", found, "https://…, or http:// to this host", advice);
    }
    if payer.batch > payer.in_flight {
        contradiction(
            r,
            ("payer.batch", payer.batch.to_string()),
            ("payer.in_flight", payer.in_flight.to_string()),
            "payer.batch at most payer.in_flight",
        );
    }
}

/// An entry may be held as long as everything that is done with it takes; who holds it longer is taken for dead.
fn held_long_enough(config: &Config, r: &mut Reader) {
    let keys = ["money.timeout", "store.write_time", "money.limiter_wait", "retry.visibility_timeout"];
    if keys.iter().any(|key| r.faulty.contains(*key)) {
        return;
    }
    let needed = config.longest_work() + config.least_limiter_wait;
    if needed < config.retry.visibility_timeout {
        return;
    }
    let place = format!("{} and {}", r.place("money.timeout"), r.place("retry.visibility_timeout"));
    let found = format!(
        "{SENDS_PER_DELIVERY} × money.timeout {} + store.write_time {} + money.limiter_wait {} = {}, and retry.visibility_timeout {}",
        show(config.money.timeout),
        show(config.store.write_time),
        show(config.least_limiter_wait),
        show(needed),
        show(config.retry.visibility_timeout),
    );
    r.faults.push(super::Fault {
        place,
        found,
        expected: "the sum below the visibility timeout (an entry would be taken from a payer that still works on it)"
            .to_owned(),
        advice: "Lower PAYOUT_MONEY_TIMEOUT or raise PAYOUT_RETRY_VISIBILITY_TIMEOUT.".to_owned(),
    });
}

/// What a money service that executes a key more than once leaves to the timers.
fn weaker_money(config: &Config, r: &mut Reader) {
    let money = &config.money;
    if money.idempotent {
        return;
    }
    if money.cancel {
        let (idempotent, cancel) = (("money.idempotent", "false".to_owned()), ("money.cancel", "true".to_owned()));
        contradiction(r, idempotent, cancel, "money.cancel false: a key that money does not honour cannot be burnt");
    }
    // The first retry waits three quarters of the base at least; what was sent is then older than its deadline.
    let (timeout, base) = (money.timeout, config.retry.backoff_base);
    if money.lookup && base < timeout * 2 {
        let rule = "retry.backoff_base at least twice money.timeout where money.idempotent is false: a look-up must not \
            overtake the charge that it asks about";
        contradiction(r, ("money.timeout", show(timeout)), ("retry.backoff_base", show(base)), rule);
    }
}

fn below(r: &mut Reader, lower: (&str, Duration), upper: (&str, Duration)) {
    if lower.1 >= upper.1 {
        let rule = format!("{} below {}", lower.0, upper.0);
        contradiction(r, (lower.0, show(lower.1)), (upper.0, show(upper.1)), &rule);
    }
}

fn at_most(r: &mut Reader, lower: (&str, Duration), upper: (&str, Duration)) {
    if lower.1 > upper.1 {
        let rule = format!("{} at most {}", lower.0, upper.0);
        contradiction(r, (lower.0, show(lower.1)), (upper.0, show(upper.1)), &rule);
    }
}

fn contradiction(r: &mut Reader, first: (&str, String), second: (&str, String), expected: &str) {
    if r.faulty.contains(first.0) || r.faulty.contains(second.0) {
        return;
    }
    let place = format!("{} and {}", r.place(first.0), r.place(second.0));
    let found = format!("{} {} and {} {}", first.0, first.1, second.0, second.1);
    r.faults.push(super::Fault {
        place,
        found,
        expected: expected.to_owned(),
        advice: "Change one of the two.".to_owned(),
    });
}

/// What is allowed and probably not meant.
pub(super) fn warn(config: &mut Config, needs: Needs) {
    let (wait, block) = (config.limiter_wait(), config.payer.block);
    let mut warn = |text: String| config.warnings.push(text);
    if needs.pin && config.pin_key.is_none() {
        warn("PAYOUT_PIN_KEY_FILE is not set: vouchers that carry a PIN cannot be recorded".to_owned());
    }
    if needs.money && config.money.timeout + config.store.write_time > config.shutdown_grace {
        warn(format!(
            "shutdown.grace {} is shorter than money.timeout {} + store.write_time {}: calls in flight are left to others",
            show(config.shutdown_grace),
            show(config.money.timeout),
            show(config.store.write_time),
        ));
    }
    if needs.money && wait < LEAST_WAIT {
        warn(format!(
            "retry.visibility_timeout leaves {} for an intent and for the limiter: what takes longer is given back unsent",
            show(wait),
        ));
    }
    if needs.money && block > config.shutdown_grace {
        warn(format!(
            "payer.block {} is longer than shutdown.grace {}: a payer without work does not end in time",
            show(block),
            show(config.shutdown_grace),
        ));
    }
    if needs.money && config.money.final_error_codes.is_empty() {
        warn(
            "money.final_error_codes is empty: every refusal stays open until its code is on the list \
             (PAYOUT_MONEY_FINAL_ERROR_CODES)"
                .to_owned(),
        );
    }
}

fn show(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
