//! The benchmark: what the pipeline costs beside the bare loop, on this machine, in one run.
//!
//! Everything is measured on private servers with durable settings, in turns (bare loop, pipeline, bare loop, …), so
//! that whatever else the machine does meets both alike. A rate is targets by wall-clock time; the cost of a process
//! is its own CPU time from `/proc`; bytes and statements come from the servers' own counters. Every run is checked
//! against the sandbox's ledger before its figures count.
//!
//! Read it from the top: [`run`] is the order of things, [`parts`] what is measured, [`stand`] on what;
//! [`floor`] and [`ceiling`] are what it is compared with; [`report`] what is said about it.

pub mod account;
pub mod brake;
pub mod ceiling;
pub mod counters;
pub mod floor;
pub mod http;
pub mod leg;
pub mod parts;
pub mod placement;
pub mod promotion;
pub mod report;
pub mod run;
pub mod stages;
pub mod stand;
