//! Statements and scripts from which a rule is taken.

use super::Mutant;

/// What stands in one of the texts, and what takes its place.
pub(super) struct Edit {
    pub(super) mutant: Mutant,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
}

const fn edit(mutant: Mutant, from: &'static str, to: &'static str) -> Edit {
    Edit { mutant, from, to }
}

pub(super) const EDITS: &[Edit] = &[
    edit(
        Mutant::IntentLeavesPendingAlone,
        "attempt_token <> VALUES(attempt_token), 1, {results}.may_have_executed)\n",
        "attempt_token <> VALUES(attempt_token), 0, {results}.may_have_executed)\n",
    ),
    edit(
        Mutant::RedeliveryLeavesPendingAlone,
        "attempt_token <> VALUES(attempt_token), 1, {results}.may_have_executed),",
        "attempt_token <> VALUES(attempt_token), 0, {results}.may_have_executed),",
    ),
    edit(Mutant::BlindWrite, "{results}.process_status IN ('PENDING', 'RETRYING') AND ", ""),
    edit(Mutant::GenerationIsNotGuarded, " AND {results}.key_generation = v.generation)", ")"),
    edit(Mutant::TokenIsIgnored, "= 1 OR {results}.attempt_token <> v.token)", "= 1)"),
    edit(Mutant::DoubtIsIgnored, "({results}.may_have_executed = 1 OR ", "("),
    edit(
        Mutant::UnknownIsForgotten,
        "IF({guard} AND v.effect = 'UNKNOWN', 1, {results}.may_have_executed)",
        "{results}.may_have_executed",
    ),
    edit(
        Mutant::NotCalledUsesAnAttempt,
        "IF({unproved}, {results}.retry_count, GREATEST({results}.retry_count, 1) - 1)",
        "{results}.retry_count",
    ),
    edit(Mutant::LimiterForgets, "redis.call('GET', KEYS[1]) or ''", "''"),
    edit(Mutant::SettleCountsAlways, "add(counter, got)\n  k = from + m", "add(counter, m)\n  k = from + m"),
    edit(Mutant::SettleDeletesUndelivered, "if not_after(ARGV[j], delivered) then", "if delivered then"),
    edit(
        Mutant::RetryCountsAsFirst,
        "call('HINCRBY', h, counter, v)",
        "call('HINCRBY', h, counter == 'retry_success_count' and 'success_count' or counter, v)",
    ),
    edit(Mutant::ParkWithoutOwner, "if #call('XPENDING', s, g, id, id, 1, me) == 1 then", "if me then"),
    edit(Mutant::LeaseIsNotHeld, "if owner and owner ~= ARGV[1] then return owner end", ""),
    edit(Mutant::PruneTakesPending, "if v['pending'] > 0 or ", "if "),
    edit(Mutant::PublishWithoutCompare, "if string.match(last, '^%d+') ~= ARGV[3] then", "if false then"),
    edit(Mutant::WindowIsIgnored, "if outstanding + n > window then", "if false then"),
    edit(Mutant::GroupAtTheEnd, "if not group then call('XGROUP', 'CREATE', s, g, '0'", GROUP_AT_THE_END),
    edit(
        Mutant::RebuildWithoutCompare,
        "if last ~= ARGV[2] then return {'LAST', last} end\nlocal first",
        "local first",
    ),
    edit(
        Mutant::RebuildReusesIds,
        "math.max(t[1] * 1000000 + t[2], tonumber(second) + 1)\ncall('UNLINK', s)",
        "1\ncall('UNLINK', s)",
    ),
    edit(
        Mutant::RebuildLeavesTheLastId,
        "  last = string.format('%s-%.0f', first, id)\n  call('XSETID', s, last)",
        "  call('XSETID', s, last)",
    ),
    edit(Mutant::RequeueWithoutCompare, "if last ~= ARGV[2] then return {'LAST', last} end\nlocal n", "local n"),
    edit(Mutant::RequeueUncounted, "or failed < n then return", "then return"),
];

const GROUP_AT_THE_END: &str = "if not group then call('XGROUP', 'CREATE', s, g, '$'";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_edit_finds_its_place_in_one_text() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let folders = ["store/sql", "streams/lua"].map(|folder| source.join(folder));
        let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|file| file.unwrap().path());
        let texts: Vec<String> =
            files.chain([source.join("store/sql.rs")]).map(|file| fs::read_to_string(file).unwrap()).collect();
        assert!(texts.len() > 20);
        for edit in EDITS {
            let places = texts.iter().filter(|text| text.contains(edit.from)).count();
            assert_eq!(places, 1, "{:?}", edit.mutant);
        }
    }
}
