//! How many instructions the pure code of a payout takes, counted by valgrind (callgrind): the same on every machine of
//! one kind, whatever else it does. A change that costs more than the room left here must say why it is worth it.
//!
//! Counted as tests are built, with little optimization: the figures are for comparing a change with what was before.
#![allow(clippy::unwrap_used)] // tests

use std::path::Path;
use std::process::Command;

use servers::{Package, binary, program};

/// Times a piece is run, beside a run of none: what is left is the piece itself.
const TIMES: i64 = 2_000;
/// Instructions for one payout, and some 10 % of room.
const BUDGET: &[(&str, i64)] =
    &[("publish", 2_620), ("decode", 2_700), ("decide", 3_360), ("ask", 7_800), ("classify", 10_800)];

#[test]
fn the_pure_code_of_a_payout_keeps_to_its_budget_of_instructions() {
    let dir = tempfile::tempdir().unwrap();
    let once = |piece: &str, times: i64| instructions(dir.path(), piece, times);
    let empty = once("nothing", 0);
    let looped = once("nothing", TIMES) - empty;
    let mut over = Vec::new();
    for (piece, allowed) in BUDGET {
        let each = (once(piece, TIMES) - empty - looped) / TIMES;
        println!("{piece}: {each} of {allowed} instructions");
        // A piece that costs next to nothing was optimized away, and nothing was measured.
        assert!(each > 50, "{piece} took {each} instructions: it does not run");
        if each > *allowed {
            over.push(format!("{piece}: {each} instructions, allowed {allowed}"));
        }
    }
    assert!(over.is_empty(), "over budget:\n{}", over.join("\n"));
}

fn instructions(dir: &Path, piece: &str, times: i64) -> i64 {
    let valgrind = program(&["valgrind"], Package("valgrind")).unwrap();
    let out = dir.join("callgrind.out");
    let run = Command::new(valgrind)
        .args(["--tool=callgrind", "--quiet", &format!("--callgrind-out-file={}", out.display())])
        .arg(binary("hot").unwrap())
        .args([piece, &times.to_string()])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let counted = std::fs::read_to_string(&out).unwrap();
    let totals = counted.lines().find_map(|line| line.strip_prefix("summary: ")).unwrap();
    totals.trim().parse().unwrap()
}
