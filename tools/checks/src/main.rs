//! Writes the files that are made: the boards of Grafana and the demo's targets.

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    for checks::Made { path, text } in checks::made() {
        let to = checks::root().join(&path);
        std::fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
        println!("{path}");
    }
    Ok(())
}
