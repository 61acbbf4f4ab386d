//! The Redis adapter against real servers: what each script does and refuses, when it is repeated, when somebody else
//! was there first, when memory is full, and when the server goes away.

#![allow(clippy::unwrap_used, reason = "the whole crate is tests, their support included")]

mod shared;
mod support;

mod faults;
mod memory;
mod pending;
mod publish;
mod reader;
mod rebuild;
mod settle;
mod state;
