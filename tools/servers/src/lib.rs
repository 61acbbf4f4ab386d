//! Private servers and processes for tests, the demo, the benchmark and chaos runs.
//!
//! Everything here is started by us, on free loopback ports, with its data in a directory of its own; the
//! machine's own services are never touched. Everything is ended by the pid we recorded, at the latest when the
//! process that started it ends, however it ends (see [`Lifetime`]).
//!
//! The API is blocking and takes `&self`, so it can be called from any test; inside an async test the calls block
//! for tens of milliseconds, which a multi-threaded or current-thread test runtime tolerates.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let fixture = servers::Fixture::shared(); // one Redis and one MariaDB for this test process
//! let database_url = fixture.fresh_database()?; // mysql://payout:…@127.0.0.1:PORT/t_1
//! let redis_url = fixture.fresh_redis_db()?; // redis://127.0.0.1:PORT/1
//!
//! let redis = servers::Redis::start(servers::RedisOptions::default())?; // one to break
//! redis.kill9()?;
//! redis.restart()?; // same port, same data
//! # let _ = (database_url, redis_url); Ok(()) }
//! ```

mod daemon;
mod dirs;
mod find;
mod fixture;
mod launch;
mod mysql;
mod poll;
mod ports;
mod process_id;
mod redis;
mod sandbox;
mod spawn;

pub use daemon::Daemon;
pub use dirs::{commit, demo_dir, profile_dir, target_dir, workspace_dir};
pub use find::{Package, binary, program};
pub use fixture::Fixture;
pub use launch::{Finished, Launch, Process};
pub use mysql::{Durability, MySql, MySqlOptions};
pub use poll::{poll, tail};
pub use ports::free_port;
pub use process_id::{ProcessId, raw, state};
pub use redis::{Redis, RedisOptions};
pub use sandbox::{Sandbox, SandboxOptions};
pub use spawn::Lifetime;
