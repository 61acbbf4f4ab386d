//! What a stranger puts on a stream: any id, any fields, deleted payloads, replies of any form.

use std::sync::{Arc, LazyLock};

use pipeline::charging::{Content, content};
use pipeline::domain::promotion::Defaults;
use pipeline::domain::{
    Amount, EntryId, Partition, PayoutType, Promotion, PromotionId, PromotionStatus, SummaryId, TargetId,
};
use pipeline::keys;
use pipeline::record::{Record, RecordError};
use pipeline::streams::Delivery;

use crate::input::Input;

static PROMOTION: LazyLock<Promotion> = LazyLock::new(|| Promotion {
    id: PromotionId(17),
    summary: SummaryId(1),
    campaign_code: Arc::from("SPRING"),
    kind: Arc::new(PayoutType::point()),
    status: PromotionStatus::InProgress,
    total_count: 1,
    total_amount: Amount::ZERO,
    partition_count: 1,
    reservation_at: None,
    reservation_priority: None,
    defaults: Defaults::default(),
});

/// Most entries of a reply that is made.
const MAX_ENTRIES: u8 = 8;
/// Most fields of an entry that is made.
const MAX_FIELDS: u8 = 4;

/// An entry as a stranger wrote it; without fields it was deleted since.
struct Written {
    id: EntryId,
    fields: Option<Vec<(Vec<u8>, Vec<u8>)>>,
}

/// Reads the bytes as a reply of Redis, and then as a list of entries in the reply that Redis would make of them.
///
/// # Panics
/// When a rule is broken.
pub fn run(data: &[u8]) {
    let partition = Partition { promotion: PROMOTION.id, number: 0 };
    if let Ok(deliveries) = Delivery::of_reply(data, &[partition]) {
        for delivery in &deliveries {
            assert_eq!(delivery.partition, partition);
            judge(delivery);
        }
    }
    let written = written(&mut Input::new(data));
    let deliveries = Delivery::of_reply(&reply(partition, &written), &[partition]).expect("a reply of Redis");
    assert_eq!(deliveries.len(), written.len(), "an entry was lost or invented");
    for (delivery, entry) in deliveries.iter().zip(&written) {
        assert_eq!(delivery.id, entry.id);
        assert_eq!(delivery.body.as_deref(), body(entry));
        judge(delivery);
    }
}

/// The field `d` that comes first; an entry without one is not taken for a deleted one.
fn body(entry: &Written) -> Option<&[u8]> {
    let fields = entry.fields.as_ref()?;
    Some(fields.iter().find(|(name, _)| name == b"d").map_or(&[], |(_, value)| value))
}

/// The target that an id names: one that the dispatcher published has 0 behind its dash.
fn named(id: EntryId) -> Option<TargetId> {
    let first = i64::try_from(id.first).ok().map(TargetId);
    first.filter(|_| id.second == 0)
}

fn judge(delivery: &Delivery) {
    let found = content(delivery, &PROMOTION);
    let Some(body) = &delivery.body else {
        let expected = named(delivery.id).map_or(Content::Bad(None), |target| Content::Target(target, None));
        assert_eq!(found, expected);
        return;
    };
    let expected = match Record::decode(body) {
        Ok(Record { kind, promotion, target, published_at_ms }) if promotion.0 == 17 && kind == "POINT" => {
            Content::Target(target, Some(published_at_ms))
        }
        Err(RecordError::LaterVersion(_)) => Content::Later,
        Ok(_) | Err(_) => Content::Bad(named(delivery.id)),
    };
    assert_eq!(found, expected);
}

fn written(input: &mut Input<'_>) -> Vec<Written> {
    let count = input.byte() % (MAX_ENTRIES + 1);
    let mut written = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let form = input.byte();
        let first = if form & 1 == 0 { u64::from(input.byte()) } else { input.number() };
        let second = if form & 2 == 0 { 0 } else { input.number() };
        let fields = (form & 4 == 0).then(|| fields(input, form >> 3));
        written.push(Written { id: EntryId { first, second }, fields });
    }
    written
}

fn fields(input: &mut Input<'_>, form: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
    let name = |input: &mut Input<'_>| if input.byte() & 1 == 0 { b"d".to_vec() } else { input.short().to_vec() };
    (0..form % (MAX_FIELDS + 1)).map(|_| (name(input), value(input))).collect()
}

/// A record of ours, one with a byte changed, or anything.
fn value(input: &mut Input<'_>) -> Vec<u8> {
    let form = input.byte();
    if form & 1 == 0 {
        return input.short().to_vec();
    }
    let promotion = PromotionId(if form & 2 == 0 { 17 } else { input.number().cast_signed() });
    let kind = if form & 4 == 0 { "POINT".to_owned() } else { input.text() };
    let target = TargetId(input.number().cast_signed());
    let mut bytes = Record { kind, promotion, target, published_at_ms: i64::from(input.byte()) }.encode();
    if form & 8 != 0 {
        let place = usize::from(input.byte()) % bytes.len();
        bytes[place] ^= input.byte();
    }
    bytes
}

/// The reply to XREADGROUP, as Redis writes it.
fn reply(partition: Partition, entries: &[Written]) -> Vec<u8> {
    let stream = keys::targets(partition);
    let mut out = b"*1\r\n*2\r\n".to_vec();
    bulk(&mut out, stream.as_bytes());
    out.extend_from_slice(format!("*{}\r\n", entries.len()).as_bytes());
    for entry in entries {
        out.extend_from_slice(b"*2\r\n");
        bulk(&mut out, entry.id.to_string().as_bytes());
        match &entry.fields {
            None => out.extend_from_slice(b"*-1\r\n"),
            Some(fields) => {
                out.extend_from_slice(format!("*{}\r\n", 2 * fields.len()).as_bytes());
                for (name, value) in fields {
                    bulk(&mut out, name);
                    bulk(&mut out, value);
                }
            }
        }
    }
    out
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}
