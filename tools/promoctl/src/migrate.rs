//! `migrate`: the only thing that changes the schema.

use anyhow::Result;
use serde::Serialize;

use crate::ended::Ended;
use crate::session::Session;

#[derive(Serialize)]
struct Migrated {
    from: i64,
    to: i64,
}

/// Brings the schema up to date. Two at once are safe: the second waits for the first.
pub(crate) async fn run(session: &Session) -> Result<Ended> {
    let done = session.store.migrate().await?;
    let done = Migrated { from: done.from, to: done.to };
    session.print(&done, || match done.from == done.to {
        true => println!("the schema is at version {}: nothing to do", done.to),
        false => println!("the schema is at version {} now (it was at {})", done.to, done.from),
    })
}
