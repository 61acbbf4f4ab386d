//! Free loopback ports for servers that must come back on the same port.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

/// Below the range that Linux gives to outgoing connections (32768 and up by default). A client that reconnects to a
/// killed server's port on loopback could otherwise be given that very port as its own source port and end up
/// connected to itself, and the server could not come back.
const FIRST: u16 = 12_000;
const LAST: u16 = 32_000;

/// Ports tried before giving up: the range holds 20,000, so this only ends when something else is wrong.
const TRIES: u32 = 200;

/// A port on 127.0.0.1 that nobody listens on now. Another process may still take it first: whoever binds it has to
/// check, and ask for another one.
pub fn free_port() -> Result<u16> {
    for _ in 0..TRIES {
        let port = FIRST + (random() % u64::from(LAST - FIRST)) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port found on 127.0.0.1 between {FIRST} and {LAST} after {TRIES} tries")
}

/// Random bits from the keys of a fresh hasher, which the standard library seeds from the system.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
