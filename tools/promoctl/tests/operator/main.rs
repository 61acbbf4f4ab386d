//! The rules of `promoctl`, held against real servers: each test has a database and a Redis of its own.

#![allow(clippy::unwrap_used, reason = "clippy does not see that what stands beside the tests is part of them")]

mod acts;
mod asking;
mod audit;
mod audit_scale;
mod changes;
mod dead;
mod doctor;
mod exporting;
mod field;
mod listing;
mod notifying;
mod parked;
mod repairing;
mod requeueing;
mod rescheduling;
mod resolving;
mod schema;
mod targets;
mod watching;
