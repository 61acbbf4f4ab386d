//! The rules of paying a promotion: pure, without I/O, and with time as an argument.

pub mod amount;
pub mod decide;
pub mod event;
pub mod ids;
pub mod outcome;
pub mod payout_type;
pub mod promotion;
pub mod requeue;
pub mod result;
pub mod retry;
pub mod target;

pub use amount::Amount;
pub use event::{Event, NotificationState};
pub use ids::{CustomerUid, EntryId, Partition, PlanId, PromotionId, SummaryId, TargetId};
pub use payout_type::{PayoutType, Shape};
pub use promotion::{Promotion, PromotionStatus};
pub use result::{Counter, Counts, ProcessStatus, ResultRow, Waits};
pub use target::{Target, Unpayable};
