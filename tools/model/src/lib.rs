//! A model of the payout protocol around one target, and a checker that visits every state of it.
//!
//! What the stages decide is not modelled: [`judge`] calls `pipeline::domain::decide`. What MySQL, Redis and
//! `money` do with what they are told is: [`store`], [`streams`] and [`money`], each to be laid beside the
//! statement, the script or the contract that it mirrors. [`model`] puts them together with every
//! interleaving of the stages and every fault of a [`scope`]; [`check`] says what must hold; [`explore`]
//! visits all states. [`mutant`] takes the rules away one at a time, and [`mutants`] says what happens then.
//!
//! Targets are independent, so one target shows every rule; what only shows with several (skipped ids, window,
//! paging) is tested elsewhere.

pub mod bits;
pub mod check;
pub mod explore;
pub mod judge;
pub mod model;
pub mod money;
pub mod mutant;
pub mod mutants;
pub mod report;
pub mod scope;
pub mod scopes;
pub mod state;
pub mod store;
pub mod streams;
