//! What was paid, declined and cancelled, by key: the one thing that must never be wrong.
//!
//! A payment, the answer recorded under its key and its line in the log are one step under the lock of the key's
//! shard. Nobody is told about it before the line is written (see [`Ledger::written`]).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::BuildHasherDefault;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::Duration;

use bytes::Bytes;

use crate::contract::{self, Charge, Receipt};
use crate::digest::{KeyId, PassThrough};
pub use crate::entry::{Cancel, Charged, Recorded, Seen, Ticket};
use crate::entry::{Entry, State, recorded};
use crate::log::{Log, Position, Unwritten, lock};
use crate::summary::{Summary, Totals};

/// Enough that two cores, or sixteen, rarely meet at one lock.
const SHARDS: usize = 64;
const MICROS_PER_DAY: u64 = 86_400_000_000;
/// A voucher without a date of its own is valid for a year.
const DEFAULT_VALIDITY_DAYS: u32 = 365;

/// How keys are treated.
#[derive(Debug, Clone, Default)]
pub struct KeyRules {
    /// Pay every charge, whatever its key (a broken service, to show what the product cannot prevent).
    pub ignore_keys: bool,
    /// After this long a key counts as never seen.
    pub forget_after: Option<Duration>,
}

type Keys = HashMap<KeyId, Entry, BuildHasherDefault<PassThrough>>;

#[derive(Debug, Default)]
struct Shard {
    keys: Keys,
    totals: HashMap<Box<str>, Totals>,
}

/// The ledger.
#[derive(Debug)]
pub struct Ledger {
    shards: Vec<Mutex<Shard>>,
    log: Arc<Log>,
    next_number: AtomicU64,
    codes: RwLock<Vec<Box<str>>>,
    rules: KeyRules,
}

impl Ledger {
    /// A ledger that ends with the process.
    pub fn in_memory(rules: KeyRules) -> Self {
        Self::new(Log::in_memory(), rules)
    }

    /// Opens or creates a ledger file and reads what is in it.
    ///
    /// # Errors
    /// The file is in use, or a line other than a torn last one cannot be read.
    pub fn open(path: &Path, rules: KeyRules) -> anyhow::Result<Self> {
        let ledger = Self::new(Log::open(path)?, rules);
        crate::replay::load(&ledger)?;
        Ok(ledger)
    }

    fn new(log: Log, rules: KeyRules) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            log: Arc::new(log),
            next_number: AtomicU64::new(1),
            codes: RwLock::default(),
            rules,
        }
    }

    /// The log below.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Executes a charge at once, or finds out why not.
    pub fn charge(&self, charge: &Charge, refusal: Option<&str>, now_us: u64) -> Charged {
        let mut shard = self.shard(charge.key);
        match self.obstacle(&shard, charge, now_us) {
            Some(obstacle) => obstacle,
            None => Charged::Fresh(self.execute(&mut shard, charge, refusal, now_us)),
        }
    }

    /// Marks the key as executing until [`Ledger::finish`].
    ///
    /// # Errors
    /// Why there is nothing to execute.
    pub fn begin(&self, charge: &Charge, now_us: u64) -> Result<Ticket, Charged> {
        let mut shard = self.shard(charge.key);
        if let Some(obstacle) = self.obstacle(&shard, charge, now_us) {
            return Err(obstacle);
        }
        let number = self.number();
        if !self.rules.ignore_keys {
            let payments = shard.keys.get(&charge.key).map_or(0, |old| old.payments);
            shard.keys.insert(
                charge.key,
                Entry {
                    fingerprint: charge.fingerprint,
                    number,
                    at_us: now_us,
                    expiry_day: 0,
                    payments,
                    code: 0,
                    state: State::Executing,
                    voucher: charge.voucher,
                },
            );
        }
        Ok(Ticket(number))
    }

    /// Executes what was begun.
    pub fn finish(&self, ticket: Ticket, charge: &Charge, refusal: Option<&str>, now_us: u64) -> Charged {
        let mut shard = self.shard(charge.key);
        let mine = shard
            .keys
            .get(&charge.key)
            .is_some_and(|entry| entry.state == State::Executing && entry.number == ticket.0);
        if mine || self.rules.ignore_keys {
            Charged::Fresh(self.execute(&mut shard, charge, refusal, now_us))
        } else {
            Charged::Dropped
        }
    }

    /// What is known under a key.
    pub fn look_up(&self, key: &str, now_us: u64) -> Seen {
        let id = KeyId::of(key);
        match self.live(&self.shard(id), id, now_us) {
            None => Seen::No,
            Some(entry) => recorded(&entry).map_or(Seen::Executing, Seen::Answer),
        }
    }

    /// Burns a key, unless something was or is being executed under it.
    pub fn cancel(&self, key: &str, now_us: u64) -> Cancel {
        let id = KeyId::of(key);
        let mut shard = self.shard(id);
        match self.live(&shard, id, now_us).as_ref().map(recorded) {
            Some(Some(Recorded::Cancelled)) => return Cancel::Burnt,
            Some(Some(answer)) => return Cancel::Already(answer),
            Some(None) => return Cancel::Executing,
            None => {}
        }
        let campaign = campaign_of(key);
        let mut line = String::with_capacity(160);
        line.push_str("{\"kind\":\"cancelled\",\"key\":");
        contract::push_json(&mut line, key);
        line.push_str(",\"type\":null,\"customerUid\":null,\"campaignCode\":");
        contract::push_json(&mut line, campaign);
        let _ = writeln!(line, ",\"merchantCode\":null,\"amount\":null,\"moneyKey\":null,\"at\":{now_us}}}");
        self.note_cancel(&mut shard, id, campaign, now_us);
        self.log.append(line.as_bytes());
        Cancel::Burnt
    }

    /// Waits until everything that was recorded so far is written.
    ///
    /// # Errors
    /// The ledger cannot be written; then nothing about it may be said.
    pub async fn written(&self) -> Result<(), Unwritten> {
        let end: Position = self.log.end();
        self.log.written(end).await
    }

    /// The stored answer's body.
    pub fn body(&self, answer: Recorded, pin_prefix: &str) -> Bytes {
        match answer {
            Recorded::Paid(receipt) => receipt.body(pin_prefix),
            Recorded::Declined(code) => {
                let codes = self.codes.read().unwrap_or_else(|e| e.into_inner());
                let code = codes.get(usize::from(code)).map_or("UNKNOWN", |code| code);
                contract::fail_body(code, "the charge was declined")
            }
            Recorded::Cancelled => contract::fail_body(contract::CANCELLED, "the key is cancelled"),
        }
    }

    /// Counts and sums, of one campaign or of all.
    pub fn summary(&self, campaign: Option<&str>) -> Summary {
        let mut sum = Totals::default();
        for shard in &self.shards {
            let shard = lock(shard);
            match campaign {
                Some(code) => sum.add(shard.totals.get(code)),
                None => shard.totals.values().for_each(|totals| sum.add(Some(totals))),
            }
        }
        sum.into()
    }

    /// Keys held in memory.
    pub fn keys(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).keys.len()).sum()
    }

    /// Forgets everything; what is executing now will not be paid. Money keys are not used again.
    ///
    /// # Errors
    /// The file cannot be truncated.
    pub fn clear(&self) -> std::io::Result<()> {
        let mut shards: Vec<_> = self.shards.iter().map(lock).collect();
        self.log.clear()?;
        for shard in &mut shards {
            **shard = Shard::default();
        }
        Ok(())
    }

    fn shard(&self, key: KeyId) -> MutexGuard<'_, Shard> {
        lock(&self.shards[key.shard(SHARDS)])
    }

    fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    fn live(&self, shard: &Shard, key: KeyId, now_us: u64) -> Option<Entry> {
        let entry = shard.keys.get(&key)?;
        let forgotten = self.rules.forget_after.is_some_and(|after| {
            entry.state != State::Executing && u128::from(now_us.saturating_sub(entry.at_us)) > after.as_micros()
        });
        (!forgotten).then_some(*entry)
    }

    /// Why this charge is not to be executed.
    fn obstacle(&self, shard: &Shard, charge: &Charge, now_us: u64) -> Option<Charged> {
        if self.rules.ignore_keys {
            return None;
        }
        let entry = self.live(shard, charge.key, now_us)?;
        Some(match recorded(&entry) {
            None => Charged::Executing,
            Some(Recorded::Cancelled) => Charged::Replay(Recorded::Cancelled),
            Some(_) if entry.fingerprint != charge.fingerprint => Charged::KeyReused,
            Some(answer) => Charged::Replay(answer),
        })
    }

    /// Pays or declines: the entry, the totals and the log line, under one lock.
    fn execute(&self, shard: &mut Shard, charge: &Charge, refusal: Option<&str>, now_us: u64) -> Recorded {
        let mut line = String::with_capacity(charge.ledger_fields.len() + 128);
        let answer = match refusal {
            None => {
                let receipt = Receipt {
                    number: self.number(),
                    voucher: charge.voucher,
                    expiry_day: match charge.expiry_day {
                        0 => (now_us / MICROS_PER_DAY) as u32 + DEFAULT_VALIDITY_DAYS,
                        day => day,
                    },
                };
                let _ = write!(
                    line,
                    "{{\"kind\":\"paid\",{},\"moneyKey\":\"mk{:014}\",\"at\":{now_us}",
                    charge.ledger_fields, receipt.number
                );
                if receipt.voucher {
                    let expiry = contract::voucher_expiry(receipt.expiry_day);
                    let _ = write!(line, ",\"voucherExpiryAt\":\"{expiry}\"");
                }
                Recorded::Paid(receipt)
            }
            Some(code) => {
                let _ = write!(
                    line,
                    "{{\"kind\":\"declined\",{},\"moneyKey\":null,\"at\":{now_us},\"errorCode\":",
                    charge.ledger_fields
                );
                contract::push_json(&mut line, code);
                Recorded::Declined(self.code_number(code))
            }
        };
        line.push_str("}\n");
        self.note_charge(shard, charge, answer, now_us);
        self.log.append(line.as_bytes());
        answer
    }

    fn code_number(&self, code: &str) -> u16 {
        let find = |codes: &[Box<str>]| codes.iter().position(|known| **known == *code);
        if let Some(at) = find(&self.codes.read().unwrap_or_else(|e| e.into_inner())) {
            return at as u16;
        }
        let mut codes = self.codes.write().unwrap_or_else(|e| e.into_inner());
        let at = find(&codes).unwrap_or(codes.len());
        if at == codes.len() {
            codes.push(code.into());
        }
        at as u16
    }

    fn note_charge(&self, shard: &mut Shard, charge: &Charge, answer: Recorded, at_us: u64) {
        let mut payments = shard.keys.get(&charge.key).map_or(0, |old| old.payments);
        let totals = totals(shard, &charge.campaign_code);
        let mut entry = Entry {
            fingerprint: charge.fingerprint,
            number: 0,
            at_us,
            expiry_day: 0,
            payments: 0,
            code: 0,
            state: State::Declined,
            voucher: charge.voucher,
        };
        match answer {
            Recorded::Paid(receipt) => {
                payments = payments.saturating_add(1);
                totals.paid(charge.amount, payments);
                entry.state = State::Paid;
                entry.number = receipt.number;
                entry.expiry_day = receipt.expiry_day;
            }
            Recorded::Declined(code) => {
                totals.declined += 1;
                entry.code = code;
            }
            Recorded::Cancelled => return,
        }
        entry.payments = payments;
        shard.keys.insert(charge.key, entry);
    }

    fn note_cancel(&self, shard: &mut Shard, key: KeyId, campaign: &str, at_us: u64) {
        totals(shard, campaign).cancelled += 1;
        let payments = shard.keys.get(&key).map_or(0, |old| old.payments);
        shard.keys.insert(
            key,
            Entry {
                fingerprint: 0,
                number: 0,
                at_us,
                expiry_day: 0,
                payments,
                code: 0,
                state: State::Cancelled,
                voucher: false,
            },
        );
    }

    /// Takes over a charge from the log at start.
    pub(crate) fn restore_charge(&self, charge: &Charge, number: u64, refusal: Option<&str>, at_us: u64) {
        let answer = match refusal {
            Some(code) => Recorded::Declined(self.code_number(code)),
            None => Recorded::Paid(Receipt { number, voucher: charge.voucher, expiry_day: charge.expiry_day }),
        };
        self.next_number.fetch_max(number + 1, Ordering::Relaxed);
        self.note_charge(&mut self.shard(charge.key), charge, answer, at_us);
    }

    /// Takes over a cancel from the log at start.
    pub(crate) fn restore_cancel(&self, key: &str, at_us: u64) {
        let id = KeyId::of(key);
        self.note_cancel(&mut self.shard(id), id, campaign_of(key), at_us);
    }
}

fn totals<'a>(shard: &'a mut Shard, campaign: &str) -> &'a mut Totals {
    if !shard.totals.contains_key(campaign) {
        shard.totals.insert(campaign.into(), Totals::default());
    }
    // The entry interface would need an owned code for every payment.
    match shard.totals.get_mut(campaign) {
        Some(totals) => totals,
        None => unreachable!("inserted above"),
    }
}

/// A cancel names only the key, whose first part is the campaign.
fn campaign_of(key: &str) -> &str {
    key.rsplit_once('_').map_or(key, |(campaign, _)| campaign)
}
