//! The Service proxy of one host: Services in, elements of the nftables table out.
//!
//! `plan` decides what changes and is pure; this file carries it out. It holds the model of what the
//! table has, so that one change costs one small batch and not a look at the whole.
//!
//! Invariant: after a successful call the kernel's elements are those of the model; after a failed one the
//! next call writes the whole table anew.

mod plan;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use self::plan::{Change, Element, Model};
pub use self::plan::{PortKey, Protocol, ServiceRule};
use super::conntrack;
use super::nft::expr::Family;
use super::nft::ruleset::{self, NftConfig, Pick};
use super::nft::{Batch, Kernel, NftError, RawElement};

/// The table of one cluster on this host.
#[derive(Debug)]
pub struct ServiceTable {
    config: NftConfig,
    kernel: Kernel,
    model: Model,
    /// The kernel's table may differ from the model.
    unsure: bool,
    closed: bool,
}

impl ServiceTable {
    /// Makes the table, without Services, in the calling thread's network namespace. A table that an
    /// earlier run left is replaced in the same step; connections that it has translated live on.
    pub fn open(config: NftConfig) -> Result<ServiceTable, NftError> {
        let kernel = Kernel::open()?;
        let mut table = ServiceTable { config, kernel, model: Model::default(), unsure: true, closed: false };
        table.rewrite()?;
        Ok(table)
    }

    /// Makes the table hold exactly these Services. Returns a sentence for each rule that was left out
    /// because another has its address and port.
    pub fn apply(&mut self, desired: Vec<ServiceRule>) -> Result<Vec<String>, NftError> {
        let change = self.model.replace(desired);
        self.carry_out(change)
    }

    /// Gives some Services new rules, all in one step; a Service without rules is removed. The others
    /// stay. Returns what [`ServiceTable::apply`] does.
    pub fn update(&mut self, changes: Vec<(String, Vec<ServiceRule>)>) -> Result<Vec<String>, NftError> {
        let change = self.model.update(changes);
        self.carry_out(change)
    }

    /// The text of the whole table, for people and for tests.
    pub fn render(&self) -> String {
        format!("{}{}", ruleset::render_static(&self.config), self.model.render())
    }

    /// Removes the table. Later calls do nothing.
    pub fn close(&mut self) -> Result<(), NftError> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        let mut batch = Batch::new(&self.config.cluster_id);
        batch.add_table();
        batch.delete_table();
        self.kernel.commit(batch)
    }

    fn carry_out(&mut self, change: Change) -> Result<Vec<String>, NftError> {
        if self.closed {
            return Ok(Vec::new());
        }
        if self.unsure {
            self.rewrite()?;
        } else {
            let batch = self.batch_of(&change);
            if !batch.is_empty()
                && let Err(error) = self.kernel.commit(batch)
            {
                tracing::warn!(%error, "the service table is written anew");
                self.rewrite()?;
            }
        }
        self.forget_flows(&change.gone_udp);
        Ok(change.left_out)
    }

    /// Writes the whole table in one batch.
    fn rewrite(&mut self) -> Result<(), NftError> {
        self.unsure = true;
        let mut batch = Batch::new(&self.config.cluster_id);
        // A table that is there is removed; one that is not is made first, so that removing it is no error.
        batch.add_table();
        batch.delete_table();
        batch.add_table();
        for (number, set) in ruleset::sets().iter().enumerate() {
            batch.add_set(set, number as u32 + 1);
        }
        for chain in ruleset::chains(&self.config) {
            batch.add_chain(&chain);
        }
        for pick in self.model.picks() {
            add_pick(&mut batch, pick);
        }
        put(&mut batch, &self.model.elements(), true);
        self.kernel.commit(batch)?;
        self.unsure = false;
        Ok(())
    }

    fn batch_of(&self, change: &Change) -> Batch {
        let mut batch = Batch::new(&self.config.cluster_id);
        for pick in &change.new_picks {
            add_pick(&mut batch, *pick);
        }
        put(&mut batch, &change.remove, false);
        put(&mut batch, &change.add, true);
        batch
    }

    fn forget_flows(&self, gone: &[(SocketAddr, SocketAddr)]) {
        if gone.is_empty() {
            return;
        }
        let forgotten = conntrack::forget_udp(|flow| {
            gone.iter().any(|(service, endpoint)| flow.service == *service && flow.answers_from == *endpoint)
        });
        if let Err(error) = forgotten {
            tracing::warn!(%error, "UDP flows to endpoints that are gone may linger until they time out");
        }
    }
}

impl Drop for ServiceTable {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the service table is left behind");
        }
    }
}

fn add_pick(batch: &mut Batch, pick: Pick) {
    for family in Family::ALL {
        let chain = ruleset::pick_chain(family, pick);
        batch.add_chain(&chain);
        batch.add_verdict(&ruleset::set_name("counts", family), pick.code(), &chain.name);
    }
}

/// Adds or deletes elements, gathered by set.
fn put(batch: &mut Batch, elements: &[Element], add: bool) {
    for family in Family::ALL {
        for set in ["itself", "endpoints", "services"] {
            let raw: Vec<RawElement> = elements
                .iter()
                .filter(|element| element.set() == set && element.family() == family)
                .map(|element| {
                    let mut raw = element.raw();
                    if !add {
                        raw.value = None;
                    }
                    raw
                })
                .collect();
            let name = ruleset::set_name(set, family);
            if add {
                batch.add_elements(&name, &raw);
            } else {
                batch.delete_elements(&name, &raw);
            }
        }
    }
}

impl Element {
    fn set(&self) -> &'static str {
        match self {
            Element::Service(..) => "services",
            Element::Endpoint(..) => "endpoints",
            Element::Itself(_) => "itself",
        }
    }

    fn family(&self) -> Family {
        let ip = match self {
            Element::Service(key, _) | Element::Endpoint(key, ..) => key.ip,
            Element::Itself(ip) => *ip,
        };
        match ip {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    fn raw(&self) -> RawElement {
        match self {
            Element::Service(key, pick) => {
                RawElement { key: key.bytes(), value: Some(pick.code().to_ne_bytes().to_vec()) }
            }
            Element::Endpoint(key, index, to) => {
                let mut bytes = key.bytes();
                bytes.extend(index.to_ne_bytes());
                let mut value = ruleset::octets(to.ip());
                value.extend(to.port().to_be_bytes());
                value.extend([0, 0]);
                RawElement { key: bytes, value: Some(value) }
            }
            Element::Itself(ip) => {
                let ip = ruleset::octets(*ip);
                RawElement { key: [ip.clone(), ip].concat(), value: None }
            }
        }
    }
}

impl PortKey {
    /// The key as registers hold it: each part in whole registers.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = ruleset::octets(self.ip);
        bytes.extend([self.protocol as u8, 0, 0, 0]);
        bytes.extend(self.port.to_be_bytes());
        bytes.extend([0, 0]);
        bytes
    }
}
