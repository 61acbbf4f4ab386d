//! The rules of `promoctl`, held against real servers: each test has a database and a Redis of its own.

mod audit;
mod audit_scale;
mod changes;
mod field;
mod listing;
mod repairing;
mod resolving;
mod schema;
