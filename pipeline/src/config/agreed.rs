//! What all replicas must agree on, so that `doctor` can tell when they do not.

use std::collections::BTreeMap;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::{Config, Needs, url};

impl Config {
    /// The values that must be the same in every process that uses them, by their keys, in one form of writing. No secrets:
    /// of the PIN key what tells it from another.
    pub fn agreed(&self, needs: Needs) -> BTreeMap<String, String> {
        let time = |duration| humantime::format_duration(duration).to_string();
        let (money, breaker, retry) = (&self.money, &self.breaker, &self.retry);
        let mut values = vec![
            ("time.zone", self.time_zone.to_string()),
            ("store.write_time", time(self.store.write_time)),
            ("retry.max_attempts", retry.max_attempts.to_string()),
            ("retry.backoff_base", time(retry.backoff_base)),
            ("retry.backoff_cap", time(retry.backoff_cap)),
            ("retry.visibility_timeout", time(retry.visibility_timeout)),
            ("retry.poison_deliveries", retry.poison_deliveries.to_string()),
            ("dispatcher.window", self.dispatcher.window.to_string()),
            ("dispatcher.max_active", self.dispatcher.max_active.to_string()),
            ("payer.max_parked", self.payer.max_parked.to_string()),
            ("summarizer.sweep_interval", time(self.summarizer.sweep_interval)),
        ];
        if needs.money {
            values.extend([
                ("money.timeout", time(money.timeout)),
                ("money.max_rps", money.max_rps.to_string()),
                ("money.idempotent", money.idempotent.to_string()),
                ("money.lookup", money.lookup.to_string()),
                ("money.cancel", money.cancel.to_string()),
                ("money.final_error_codes", money.final_error_codes.join(",")),
                ("money.key_retention", time(money.key_retention)),
                ("money.key_retention_margin", time(money.key_retention_margin)),
                ("breaker.window", time(breaker.window)),
                ("breaker.min_requests", breaker.min_requests.to_string()),
                ("breaker.failure_percent", breaker.failure_percent.to_string()),
                ("breaker.open_for", time(breaker.open_for)),
                ("breaker.open_cap", time(breaker.open_cap)),
                // It holds no credentials: a URL with some is refused.
                ("money.url", url::redacted(&money.url)),
            ]);
        }
        if let Some(key) = self.pin_key.as_ref().filter(|_| needs.pin) {
            // Enough to tell two keys apart; of 32 random bytes it gives nothing away.
            let digest = Sha256::digest(key.expose());
            values.push(("pin.key_file", format!("a key whose SHA-256 begins with {}", hex::encode(&digest[..4]))));
        }
        values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Eight hexadecimal digits that differ when two processes of one stage are configured differently, names,
    /// addresses, logs and secrets aside.
    pub fn fingerprint(&self, needs: Needs) -> String {
        let mut text = String::new();
        let _ = write!(text, "{:?}{:?}{:?}", self.agreed(needs), self.redis, self.store);
        let _ = write!(text, "{:?}{:?}{:?}", self.dispatcher, self.payer, self.summarizer);
        let (grace, concurrency, limit) = (self.shutdown_grace, self.money.concurrency, self.money.body_limit);
        let _ = write!(text, "{grace:?}{concurrency}{limit}{:?}", self.money.connect_timeout);
        format!("{:08x}", crc32fast::hash(text.as_bytes()))
    }
}
