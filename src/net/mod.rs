//! The network of one node: links of pods, and the Service proxy.
//!
//! [`links`] gives each pod a link, an address and routes; [`service`] programs Services into [`nft`]ables.
//! Both speak netlink themselves (`socket`) and mark what they make with the cluster's id (`names`), so that
//! two clusters on one host never meet and a later start finds what a dead one left: [`sweep`].
//!
//! Takes plain data and knows no Pod, no Service object and no node agent: the cluster connects them.
//!
//! Invariant: everything here is made in the network namespace of the thread that opens it, and nothing
//! there is touched that does not carry the cluster's names.

mod addresses;
mod conntrack;
pub mod links;
mod names;
pub mod nft;
mod proxy;
pub mod service;
mod socket;
#[cfg(test)]
mod testbed;

pub use addresses::RangeFull;
pub use links::{Ipv6Ranges, LinksConfig, NetError, PodIps, PodLinks};
pub(crate) use names::{bridge as bridge_name, is_bridge as is_bridge_name};
pub use nft::ruleset::NftConfig;
pub use nft::{NftError, obstacles, tables};
pub use proxy::{Covered, ServiceProxy};
pub use service::{Protocol, ServiceRule, ServiceTable};

/// What [`sweep`] has done.
#[derive(Debug, Default)]
pub struct Swept {
    /// The ids of the clusters of which something was removed.
    pub clusters: std::collections::BTreeSet<String>,
    /// What could not be removed, in sentences.
    pub errors: Vec<String>,
}

/// Removes the links, routes, settings and tables of clusters of which `is_alive` says no.
pub fn sweep(is_alive: impl Fn(&str) -> bool) -> Swept {
    let mut swept = Swept::default();
    match nft::sweep(&is_alive) {
        Ok(removed) => swept.clusters.extend(removed),
        Err(error) => swept.errors.push(error.to_string()),
    }
    let (removed, errors) = links::sweep(&is_alive);
    swept.clusters.extend(removed);
    swept.errors.extend(errors.iter().map(ToString::to_string));
    swept
}
