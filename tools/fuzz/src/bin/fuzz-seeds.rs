//! Writes the seeds of every target into a folder of its name, where libFuzzer keeps what it finds.

use std::fs;
use std::io;
use std::path::PathBuf;

fn main() -> io::Result<()> {
    let Some(corpora) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("give the folder of the corpora"));
    };
    for target in fuzz::TARGETS {
        let corpus = corpora.join(target.name);
        fs::create_dir_all(&corpus)?;
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(corpus.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
