//! Every target with inputs near its seeds. `cargo xtask prove fuzz` goes on where this ends.

#![allow(clippy::unwrap_used)]

use fuzz::{TARGETS, Target};
use proptest::prelude::*;
use proptest::sample::Index;

fn target(name: &str) -> Target {
    TARGETS.into_iter().find(|target| target.name == name).unwrap()
}

#[test]
fn no_seed_breaks_a_rule() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(seeds.len() > 5, "{}", target.name);
        for seed in seeds {
            (target.run)(&seed);
        }
    }
}

/// libFuzzer found it: of a variable and its twin that names a file, neither is read, and that is told instead.
#[test]
fn a_variable_and_its_twin_are_told_of_together() {
    let found: [&[u8]; 2] = [
        b"\x07\x00\x00G\x0c0.8[retry]\xe8\xe8\xe8\xe8\xe8\xe8\xe8\xe8\xe8\xe8\xe8\xe8\xe8\xe8\xe8\xe8\xe8\xe8\xe8\xe8\x0a4P\x0c",
        b":.0.0.0.0@uidumpotent = falseurl = 9464",
    ];
    (target("config").run)(&found.concat());
}

/// libFuzzer found it: of a password with `@`, `/` and `#` in it, a part was shown as the name of the database.
#[test]
fn a_password_that_is_not_encoded_is_not_shown_in_part() {
    (target("config").run)(b"\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0bG1@2/\xb1#");
}

/// libFuzzer found it: what is left out of a code must not make the key readable.
#[test]
fn a_code_does_not_spell_the_key_once_it_is_cleaned() {
    let body = br#"{"data":null,"meta":{"result":"FAIL","errorCode":":SPRING!_42:::::::::CLOSED","message":"SPRING_42 is closed"}}"#;
    (target("answer").run)(&[&[0, 4, 7, 1, 0, 0, 0], &body[..]].concat());
}

/// libFuzzer found it: half a surrogate pair in a voucher's detail does not keep a payment from being one.
#[test]
fn a_detail_that_cannot_be_read_does_not_unmake_a_payment() {
    let body = br#"{"data":{"moneyKey":"mk0","voucherExpiryAt":"\ud8d88022"},"meta":{"result":"SUCCESS"}}"#;
    (target("answer").run)(&[&[2, 4, 0, 1, 0, 0, 0], &body[..]].concat());
}

#[test]
fn every_target_has_a_libfuzzer_binary() {
    let manifest: toml::Table = include_str!("../libfuzzer/Cargo.toml").parse().unwrap();
    let binaries: Vec<&str> =
        manifest["bin"].as_array().unwrap().iter().map(|bin| bin["name"].as_str().unwrap()).collect();
    assert_eq!(binaries, TARGETS.map(|target| target.name));
}

/// What is done to a seed: bytes changed, put in, taken out; or the end of another seed behind it.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Join(Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"\",\n\r{}[]:0.@/\x00\xff".to_vec())];
    let bytes = prop::collection::vec(byte.clone(), 1..6);
    prop_oneof![
        4 => (any::<Index>(), byte).prop_map(|(at, byte)| Change::Set(at, byte)),
        3 => (any::<Index>(), bytes).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (any::<Index>(), 1..8_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(seed, at)| Change::Join(seed, at)),
    ]
}

fn changed(seeds: &[Vec<u8>], which: Index, changes: Vec<Change>) -> Vec<u8> {
    let mut bytes = which.get(seeds).clone();
    for change in changes {
        match change {
            Change::Set(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            Change::Insert(at, more) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, more);
            }
            Change::Remove(at, count) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes.drain(at..(at + count).min(bytes.len()));
            }
            Change::Join(seed, at) => {
                let other = seed.get(seeds);
                bytes.extend_from_slice(&other[at.index(other.len() + 1)..]);
            }
            Change::Set(..) | Change::Remove(..) => {}
        }
    }
    bytes
}

fn holds(name: &str, cases: u32) {
    let target = target(name);
    let seeds = (target.seeds)();
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(which: Index, changes in prop::collection::vec(change(), 0..12))| {
        (target.run)(&changed(&seeds, which, changes));
    });
}

#[test]
fn no_bytes_on_a_stream_are_taken_for_a_record_that_they_are_not() {
    holds("record", 20_000);
}

#[test]
fn no_file_loses_or_invents_a_row_or_changes_an_amount() {
    holds("csv", 4_000);
}

#[test]
fn no_answer_of_money_proves_more_than_it_says() {
    holds("answer", 20_000);
}

#[test]
fn no_configuration_is_half_accepted_and_none_shows_a_secret() {
    holds("config", 1_000);
}

#[test]
fn no_entry_of_a_stranger_is_lost_or_stands_for_another_target() {
    holds("entry", 10_000);
}
