//! The names that a cluster's kernel objects carry, all derived from its id.
//!
//! Pure. Names of links have 15 characters at most, so they hold a hash of the id; the id itself stands in
//! the bridge's alias and in the table's name, where a later start finds it.
//!
//! Invariant: two ids never share a link name, a link group or a table, and what carries none of these
//! names is not ours.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use sha2::{Digest, Sha256};

/// What the alias of every bridge of ours begins with.
const ALIAS: &str = "coracle:";
/// What the name of every pod link of ours begins with.
const POD_LINK: &str = "cv";
/// What the name of every nftables table of ours begins with.
const TABLE: &str = "coracle_";

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The name of the cluster's bridge.
pub fn bridge(cluster: &str) -> String {
    format!("cor{}", hex(&digest(&[cluster.as_bytes()])[..6]))
}

/// Whether this is the name of a cluster's bridge.
pub fn is_bridge(name: &str) -> bool {
    let digits = name.strip_prefix("cor").unwrap_or_default();
    digits.len() == 12 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// The link group of the cluster's links. Bit 30 keeps it away from the small numbers that people choose.
pub fn group(cluster: &str) -> u32 {
    let hash = digest(&[cluster.as_bytes()]);
    0x4000_0000 | (u32::from_be_bytes([hash[8], hash[9], hash[10], hash[11]]) & 0x3FFF_FFFF)
}

/// The host's end of a pod's link. The address is part of it, so that a pod's second sandbox does not meet
/// the dying link of its first.
pub fn pod_link(cluster: &str, uid: &str, address: IpAddr) -> String {
    let address = address.to_string();
    let hash = digest(&[cluster.as_bytes(), uid.as_bytes(), address.as_bytes()]);
    format!("{POD_LINK}{}", hex(&hash[..6]))
}

/// Whether a link of our group looks like a pod's.
pub fn is_pod_link(name: &str) -> bool {
    name.starts_with(POD_LINK)
}

/// The name of the cluster's nftables table.
pub fn table(cluster: &str) -> String {
    format!("{TABLE}{cluster}")
}

/// The cluster whose table this is, if it is one of ours.
pub fn cluster_of_table(table: &str) -> Option<&str> {
    table.strip_prefix(TABLE)
}

/// The hardware address of the host's end of every pod link, the same for all: a pod's neighbour entry for
/// its gateway never goes stale.
pub const HOST_MAC: [u8; 6] = [0x0A, 0x58, 0, 0, 0, 1];

/// A pod's hardware address, made of its first address, so that an address used again brings no stale
/// neighbour.
pub fn pod_mac(address: IpAddr) -> [u8; 6] {
    let [a, b, c, d] = match address {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(ip) => (ip.to_bits() as u32).to_be_bytes(),
    };
    [0x0A, 0x5A, a, b, c, d]
}

/// What the alias of a bridge says: whose it is, and what must be undone when it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The cluster.
    pub cluster: String,
    /// The pod ranges with an unreachable route.
    pub pods: Vec<IpNetwork>,
    /// Links of the host on which forwarding was switched on.
    pub forwarding: Vec<String>,
    /// The same for IPv6.
    pub forwarding6: Vec<String>,
}

impl Record {
    /// The alias that says so.
    pub fn alias(&self) -> String {
        let mut alias = format!("{ALIAS}{}", self.cluster);
        for range in &self.pods {
            alias.push_str(&format!(" pods={range}"));
        }
        for link in &self.forwarding {
            alias.push_str(&format!(" forwarding={link}"));
        }
        for link in &self.forwarding6 {
            alias.push_str(&format!(" forwarding6={link}"));
        }
        alias
    }

    /// Reads an alias; `None` if it is not one of ours.
    pub fn parse(alias: &str) -> Option<Record> {
        let mut words = alias.strip_prefix(ALIAS)?.split(' ');
        let mut record = Record { cluster: words.next()?.to_owned(), ..Record::default() };
        for word in words {
            match word.split_once('=') {
                Some(("pods", range)) => record.pods.extend(range.parse::<IpNetwork>()),
                Some(("forwarding", link)) => record.forwarding.push(link.to_owned()),
                Some(("forwarding6", link)) => record.forwarding6.push(link.to_owned()),
                _ => {}
            }
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_differ() {
        let ip = IpAddr::from([10, 244, 0, 2]);
        for name in [bridge("a"), pod_link("a", "uid", ip)] {
            assert!(name.len() <= 15, "{name}");
        }
        assert_ne!(bridge("a"), bridge("b"));
        assert_ne!(group("a"), group("b"));
        assert_ne!(pod_link("a", "bc", ip), pod_link("ab", "c", ip));
        assert_ne!(pod_link("a", "u", ip), pod_link("a", "u", IpAddr::from([10, 244, 0, 3])));
        assert_eq!(cluster_of_table(&table("x_y")), Some("x_y"));
        assert_eq!(cluster_of_table("filter"), None);
    }

    #[test]
    fn an_alias_reads_back() {
        let record = Record {
            cluster: "c-1".into(),
            pods: ["10.244.0.0/24".parse().unwrap(), "fd00::/64".parse().unwrap()].into(),
            forwarding: ["eth0".into(), "wlan0".into()].into(),
            forwarding6: ["eth0".into()].into(),
        };
        assert_eq!(
            record.alias(),
            "coracle:c-1 pods=10.244.0.0/24 pods=fd00::/64 forwarding=eth0 forwarding=wlan0 forwarding6=eth0"
        );
        assert_eq!(Record::parse(&record.alias()), Some(record));
        assert_eq!(Record::parse("uplink"), None);
    }
}
