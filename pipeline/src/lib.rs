//! What the payout stages share.
//!
//! Read it from the top down: [`domain`] holds the rules and knows nothing of I/O; [`record`] and
//! [`keys`] say what flows between the stages and under which names; [`streams`], [`store`] and
//! [`money`] are the adapters to Redis, MySQL and the money service; [`charging`] is the one place
//! where a payout is paid, for the payer and the retrier alike; the rest runs a stage.
//!
//! `redis` is named only under [`streams`], `sqlx` only under [`store`], the
//! HTTP client only under [`money`] (whose connections [`webhook`] uses too), environment variables only in [`config`] (but for the
//! two by which development builds are broken: [`crash`], [`mutant`]), and metric names only in [`metrics`].

pub mod charging;
pub mod config;
pub mod crash;
pub mod domain;
pub mod health;
pub mod keys;
pub mod metrics;
pub mod money;
pub mod mutant;
pub mod rebuild;
pub mod record;
pub mod requeue;
pub mod shutdown;
pub mod stage;
pub mod startup;
pub mod store;
pub mod streams;
pub mod telemetry;
pub mod webhook;
