//! The scheduler: gives each pod a node.
//!
//! ```text
//! changes ─► ClusterSnapshot (fold) ─┐
//!                                    ├─► decide: filters, scores ─► bind, or say why not
//! pods without a node ─► PodQueue ───┘
//! ```
//!
//! The decision is pure ([`Profile::decide`]); filters and scores are plug points ([`Filter`], [`Score`]).
//! [`Scheduler`] is the reconciler around it. It does not preempt, and knows nothing of volumes, of other pods'
//! affinity or of spreading: `docs/scheduler.md` says what that means.

mod affinity;
mod cluster;
mod decide;
mod node;
mod plugin;
pub mod plugins;
mod pod;
mod queue;
mod reconciler;
mod resources;
#[cfg(test)]
mod tests;

pub use affinity::{NodeTerms, PreferredTerm};
pub use cluster::ClusterSnapshot;
pub use decide::{Decision, Diagnosis};
pub use node::{NodeInfo, Taken};
pub use plugin::{Filter, MOST_SCORE, Profile, Rejection, Score, stretch};
pub use pod::{HostPort, PodInfo, Usage};
pub use reconciler::{Scheduler, Turn};
pub use resources::{Requests, Resources};
