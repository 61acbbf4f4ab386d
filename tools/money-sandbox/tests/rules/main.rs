//! The rules of the money contract, held by the sandbox over real connections.

#![allow(clippy::unwrap_used, reason = "clippy does not see that the client below is part of tests")]

mod client;
mod contract;
mod deployments;
mod faults;
mod restart;
mod watching;
