//! Gives out the addresses of one range.
//!
//! Pure. Goes up from the lowest and begins again at the end, so that an address that has come back rests
//! while others are left. Does not know when an address may come back: `links` gives it back when the
//! kernel says that its link is gone.
//!
//! Invariant: no address is given twice without having been released between.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

/// The addresses of one range: the lowest host address is the gateway's, the others are for pods.
#[derive(Debug)]
pub struct Addresses {
    range: IpNetwork,
    /// The first and the last offset for pods.
    first: u64,
    last: u64,
    next: u64,
    taken: HashSet<u64>,
}

/// Every address of the range is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no address is left in the pod range {range}: all {size} are in use")]
pub struct RangeFull {
    /// The range.
    pub range: IpNetwork,
    /// How many pods it holds.
    pub size: u64,
}

impl Addresses {
    /// All addresses of `range`, free. Of IPv6 ranges only the first 2^32 addresses are given out.
    pub fn new(range: IpNetwork) -> Addresses {
        let host_bits = match range {
            IpNetwork::V4(range) => 32 - u32::from(range.prefix()),
            IpNetwork::V6(range) => (128 - u32::from(range.prefix())).min(32),
        };
        // The network's own address, the gateway and, at the end, the broadcast address are not for pods.
        let last = (1u64 << host_bits).saturating_sub(2);
        Addresses { range, first: 2, last, next: 2, taken: HashSet::new() }
    }

    /// The gateway's address.
    pub fn gateway(&self) -> IpAddr {
        self.address(1)
    }

    /// How many pods the range holds.
    pub fn size(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }

    /// Takes the next free address.
    pub fn take(&mut self) -> Result<IpAddr, RangeFull> {
        if self.taken.len() as u64 >= self.size() {
            return Err(RangeFull { range: self.range, size: self.size() });
        }
        loop {
            let offset = self.next;
            self.next = if offset >= self.last { self.first } else { offset + 1 };
            if self.taken.insert(offset) {
                return Ok(self.address(offset));
            }
        }
    }

    /// Marks an address as taken, for a pod that was there before us. False if it was taken already or is
    /// not for pods.
    pub fn reserve(&mut self, address: IpAddr) -> bool {
        self.offset(address).is_some_and(|offset| self.taken.insert(offset))
    }

    /// Gives an address back. One that is not taken is fine.
    pub fn release(&mut self, address: IpAddr) {
        if let Some(offset) = self.offset(address) {
            self.taken.remove(&offset);
        }
    }

    fn address(&self, offset: u64) -> IpAddr {
        match self.range {
            IpNetwork::V4(range) => {
                IpAddr::V4(Ipv4Addr::from_bits(range.network().to_bits().wrapping_add(offset as u32)))
            }
            IpNetwork::V6(range) => {
                IpAddr::V6(Ipv6Addr::from_bits(range.network().to_bits().wrapping_add(u128::from(offset))))
            }
        }
    }

    fn offset(&self, address: IpAddr) -> Option<u64> {
        let offset = match (self.range, address) {
            (IpNetwork::V4(range), IpAddr::V4(ip)) => {
                u64::from(ip.to_bits().checked_sub(range.network().to_bits())?)
            }
            (IpNetwork::V6(range), IpAddr::V6(ip)) => {
                u64::try_from(ip.to_bits().checked_sub(range.network().to_bits())?).ok()?
            }
            _ => return None,
        };
        (self.first..=self.last).contains(&offset).then_some(offset)
    }
}

/// The ranges of one node: IPv4, and IPv6 where pods have both.
#[derive(Debug)]
pub struct Pools(Vec<Addresses>);

impl Pools {
    /// All addresses of the ranges, free.
    pub fn new(ranges: impl IntoIterator<Item = IpNetwork>) -> Pools {
        Pools(ranges.into_iter().map(Addresses::new).collect())
    }

    /// The gateway of each range.
    pub fn gateways(&self) -> Vec<IpAddr> {
        self.0.iter().map(Addresses::gateway).collect()
    }

    /// One address of each range, or none at all.
    pub fn take(&mut self) -> Result<Vec<IpAddr>, RangeFull> {
        let mut taken = Vec::with_capacity(self.0.len());
        for pool in &mut self.0 {
            match pool.take() {
                Ok(address) => taken.push(address),
                Err(full) => {
                    self.release(&taken);
                    return Err(full);
                }
            }
        }
        Ok(taken)
    }

    /// Marks the addresses of a pod that was there before as taken; false, and none is marked, unless it has
    /// a free one in each range.
    pub fn reserve(&mut self, addresses: &[IpAddr]) -> bool {
        if addresses.len() != self.0.len() {
            return false;
        }
        for (done, (pool, address)) in self.0.iter_mut().zip(addresses).enumerate() {
            if !pool.reserve(*address) {
                self.release(&addresses[..done]);
                return false;
            }
        }
        true
    }

    /// Gives addresses back.
    pub fn release(&mut self, addresses: &[IpAddr]) {
        for pool in &mut self.0 {
            addresses.iter().for_each(|address| pool.release(*address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a script of `take`, `free X`, `reserve X` (the last octet) and compares the answers.
    fn check(range: &str, script: &str, expected: &str) {
        let mut addresses = Addresses::new(range.parse().unwrap());
        let of = |text: &str| -> IpAddr { text.parse().unwrap() };
        let mut answers = Vec::new();
        for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
            match line.split_once(' ') {
                None => answers.push(addresses.take().map_or_else(|e| e.to_string(), |a| a.to_string())),
                Some(("free", ip)) => addresses.release(of(ip)),
                Some((_, ip)) => answers.push(addresses.reserve(of(ip)).to_string()),
            }
        }
        let expected: Vec<&str> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        assert_eq!(answers, expected);
    }

    #[test]
    fn goes_round_and_reuses_last() {
        check(
            "10.1.0.0/29",
            "take
             take
             free 10.1.0.2
             take
             take
             take
             take
             take
             free 10.1.0.4
             take",
            "10.1.0.2
             10.1.0.3
             10.1.0.4
             10.1.0.5
             10.1.0.6
             10.1.0.2
             no address is left in the pod range 10.1.0.0/29: all 5 are in use
             10.1.0.4",
        );
    }

    #[test]
    fn reserved_addresses_are_not_given() {
        check(
            "10.1.0.0/29",
            "reserve 10.1.0.2
             reserve 10.1.0.2
             reserve 10.1.0.1
             reserve 10.2.0.2
             take",
            "true
             false
             false
             false
             10.1.0.3",
        );
        check("fd00::/64", "take\nreserve fd00::3\ntake", "fd00::2\ntrue\nfd00::4");
    }

    #[test]
    fn a_pod_gets_all_families_or_none() {
        let mut pools = Pools::new(["10.1.0.0/30", "fd00::/64"].map(|r| r.parse().unwrap()));
        let both: Vec<IpAddr> = ["10.1.0.2", "fd00::2"].map(|ip| ip.parse().unwrap()).into();
        assert_eq!(pools.take().unwrap(), both);
        assert!(pools.take().is_err());
        pools.release(&both);
        assert!(!pools.reserve(&both[..1]));
        assert!(pools.reserve(&both));
        assert!(!pools.reserve(&both));
        pools.release(&both);
        assert_eq!(pools.take().unwrap()[1], "fd00::3".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn a_range_without_room_is_full_at_once() {
        check("10.1.0.0/31", "take", "no address is left in the pod range 10.1.0.0/31: all 0 are in use");
        check("10.1.0.0/32", "take", "no address is left in the pod range 10.1.0.0/32: all 0 are in use");
    }
}
