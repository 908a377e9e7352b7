//! The static part of the table: its sets, chains and rules.
//!
//! Pure. Says what the table looks like before any Service exists, and which chain a number of endpoints
//! needs. Elements are `service`'s.
//!
//! A packet to a Service is found by one lookup of (address, protocol, port) in `services`, which gives the
//! number of endpoints. That number leads to a chain, the same for every Service with so many endpoints; it
//! draws an index and finds the endpoint by (address, protocol, port, index) in `endpoints`.
//!
//! Invariant: nothing here grows with Services or endpoints, only with how many different numbers of
//! endpoints there are.

use std::fmt::Write;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use netlink_packet_netfilter::nftables::MetaKey;

use super::expr::{Base, Family, Op, Reg};

/// What the rules must know of the node's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NftConfig {
    /// The cluster: the table is named after it.
    pub cluster_id: String,
    /// The group of the pods' links.
    pub group: u32,
    /// The host's own address towards pods, at most one of each family: the source of what a pod sends to
    /// itself through a Service.
    pub gateways: Vec<IpAddr>,
    /// Where this node's pods have their addresses: what they send out of the cluster leaves with the
    /// host's address.
    pub pods: Vec<IpNetwork>,
    /// Where pods of the whole cluster have theirs: among these, addresses are kept.
    pub cluster_pods: Vec<IpNetwork>,
    /// Where Services have theirs: what is not translated is refused.
    pub services: Vec<IpNetwork>,
}

/// How a Service's endpoint is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pick {
    /// Of how many.
    pub count: u32,
    /// By the client's address, and not at random.
    pub sticky: bool,
}

impl Pick {
    /// The value that stands in `services`.
    pub fn code(self) -> u32 {
        self.count | if self.sticky { 1 << 31 } else { 0 }
    }

    /// The name of the chain that draws so.
    pub(in crate::net) fn chain(self, family: Family) -> String {
        format!("{}{}_{}", if self.sticky { "stick" } else { "pick" }, family.digit(), self.count)
    }
}

/// Which kind of set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Values {
    /// None: a set.
    None,
    /// Data of so many bytes, and the type that `nft` shows it as.
    Data(u32, u32),
    /// Verdicts.
    Verdicts,
}

/// A set or map to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::net) struct SetSpec {
    pub name: String,
    pub key_len: u32,
    pub key_type: u32,
    pub values: Values,
}

/// A chain to be made; a base chain if it has a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::net) struct ChainSpec {
    pub name: String,
    pub hook: Option<(&'static str, Hook, i32)>,
    pub rules: Vec<Vec<Op>>,
}

/// Where a base chain hangs, by the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Hook {
    Prerouting = 0,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

/// `mark`: a number in the host's byte order.
const MARK: u32 = 19;

fn address_type(family: Family) -> u32 {
    match family {
        Family::V4 => 7,
        Family::V6 => 8,
    }
}

/// The type of a concatenation, as `nft` packs it.
fn concat(types: &[u32]) -> u32 {
    types.iter().fold(0, |packed, kind| (packed << 6) | kind)
}

/// The names of the dynamic sets.
pub(in crate::net) fn set_name(set: &str, family: Family) -> String {
    format!("{set}{}", family.digit())
}

/// Every set.
pub(in crate::net) fn sets() -> Vec<SetSpec> {
    const PROTO: u32 = 12;
    const PORT: u32 = 13;
    let mut sets = Vec::new();
    for family in Family::ALL {
        let (ip, width) = (address_type(family), family.width());
        let mut set = |name, key_len, key: &[u32], values| {
            sets.push(SetSpec { name: set_name(name, family), key_len, key_type: concat(key), values });
        };
        set("services", width + 8, &[ip, PROTO, PORT], Values::Data(4, MARK));
        set("endpoints", width + 12, &[ip, PROTO, PORT, MARK], Values::Data(width + 4, concat(&[ip, PORT])));
        set("itself", width * 2, &[ip, ip], Values::None);
        set("counts", 4, &[MARK], Values::Verdicts);
    }
    sets
}

fn is(reg: Reg, data: &[u8]) -> Op {
    Op::Cmp { reg, equal: true, data: data.to_vec() }
}

fn is_not(reg: Reg, data: &[u8]) -> Op {
    Op::Cmp { reg, equal: false, data: data.to_vec() }
}

fn only(family: Family) -> [Op; 2] {
    [Op::Meta(MetaKey::Nfproto, 0), is(0, &[family as u8])]
}

fn address(family: Family, offset: u32, to: Reg) -> Op {
    Op::Payload { base: Base::Network, offset, len: family.width(), to }
}

/// Loads (destination, protocol, port) into the first registers; returns the register after them.
fn destination(family: Family, ops: &mut Vec<Op>) -> Reg {
    let after = family.registers();
    ops.push(address(family, family.destination_offset(), 0));
    ops.push(Op::Meta(MetaKey::L4Proto, after));
    ops.push(Op::Payload { base: Base::Transport, offset: 2, len: 2, to: after + 1 });
    after + 2
}

/// Leads packets to a Service to the chain of its number of endpoints.
fn dispatch(family: Family) -> Vec<Op> {
    let mut ops = only(family).to_vec();
    let free = destination(family, &mut ops);
    ops.push(Op::Lookup { set: set_name("services", family), key: 0, to: Some(free) });
    ops.push(Op::Dispatch { map: set_name("counts", family), key: free });
    ops
}

/// The chain that draws an endpoint. A table that changes between the two lookups of one packet could have
/// lost the drawn index, so the first endpoint, which every Service with endpoints has, is tried then.
pub(in crate::net) fn pick_chain(family: Family, pick: Pick) -> ChainSpec {
    let draw = |below: u32| {
        let mut ops = only(family).to_vec();
        let index = destination(family, &mut ops);
        let free = index + 1;
        if pick.sticky {
            ops.push(address(family, family.source_offset(), free));
            ops.push(Op::Hash { from: free, len: family.width(), below, to: index });
        } else {
            ops.push(Op::Random { below, to: index });
        }
        ops.push(Op::Lookup { set: set_name("endpoints", family), key: 0, to: Some(free) });
        ops.push(Op::Dnat { family, address: free, port: free + family.registers() });
        ops
    };
    let first = {
        let mut ops = only(family).to_vec();
        let index = destination(family, &mut ops);
        let free = index + 1;
        ops.push(Op::Load { to: index, data: vec![0; 4] });
        ops.push(Op::Lookup { set: set_name("endpoints", family), key: 0, to: Some(free) });
        ops.push(Op::Dnat { family, address: free, port: free + family.registers() });
        ops
    };
    let rules = if pick.count > 1 { vec![draw(pick.count), first] } else { vec![first] };
    ChainSpec { name: pick.chain(family), hook: None, rules }
}

fn family_of(range: &IpNetwork) -> Family {
    match range {
        IpNetwork::V4(_) => Family::V4,
        IpNetwork::V6(_) => Family::V6,
    }
}

/// The bytes of an address.
pub(in crate::net) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// Goes on only if the address at `offset` lies in (or outside of) a range.
fn within(range: &IpNetwork, offset: u32, inside: bool) -> [Op; 3] {
    [
        address(family_of(range), offset, 1),
        Op::Mask { reg: 1, mask: octets(range.mask()) },
        Op::Cmp { reg: 1, equal: inside, data: octets(range.network()) },
    ]
}

fn refuse(config: &NftConfig) -> Vec<Vec<Op>> {
    const TCP: u8 = 6;
    let mut rules = Vec::new();
    for range in &config.services {
        let family = family_of(range);
        let to_service = || {
            let mut ops = only(family).to_vec();
            ops.extend(within(range, family.destination_offset(), true));
            ops
        };
        let mut tcp = to_service();
        tcp.extend([Op::Meta(MetaKey::L4Proto, 0), is(0, &[TCP]), Op::RejectReset]);
        let mut other = to_service();
        other.push(Op::RejectPort);
        rules.extend([tcp, other]);
    }
    rules
}

fn leave(config: &NftConfig) -> Vec<Vec<Op>> {
    /// The index of `lo` in every namespace.
    const LO: u32 = 1;
    let mut rules = Vec::new();
    for gateway in &config.gateways {
        let family = match gateway {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        };
        let mut ops = only(family).to_vec();
        ops.push(address(family, family.source_offset(), 0));
        ops.push(address(family, family.destination_offset(), family.registers()));
        ops.push(Op::Lookup { set: set_name("itself", family), key: 0, to: None });
        ops.push(Op::Load { to: 0, data: octets(*gateway) });
        ops.push(Op::Snat { family, address: 0 });
        rules.push(ops);
    }
    for range in &config.pods {
        let family = family_of(range);
        let mut ops = only(family).to_vec();
        ops.extend([Op::Meta(MetaKey::Oifgroup, 0), is_not(0, &config.group.to_ne_bytes())]);
        ops.extend([Op::Meta(MetaKey::Oif, 0), is_not(0, &LO.to_ne_bytes())]);
        ops.extend(within(range, family.source_offset(), true));
        for inside in config.cluster_pods.iter().filter(|inside| family_of(inside) == family) {
            ops.extend(within(inside, family.destination_offset(), false));
        }
        ops.push(Op::Masquerade);
        rules.push(ops);
    }
    rules
}

/// Every chain that is always there.
pub(in crate::net) fn chains(config: &NftConfig) -> Vec<ChainSpec> {
    let base = |name: &str, kind, hook, priority, rules| ChainSpec {
        name: name.to_owned(),
        hook: Some((kind, hook, priority)),
        rules,
    };
    let find: Vec<Vec<Op>> = Family::ALL.into_iter().map(dispatch).collect();
    vec![
        base("prerouting", "nat", Hook::Prerouting, -100, find.clone()),
        base("output", "nat", Hook::Output, -100, find),
        base("postrouting", "nat", Hook::Postrouting, 100, leave(config)),
        base("refuse_forward", "filter", Hook::Forward, 0, refuse(config)),
        base("refuse_output", "filter", Hook::Output, 0, refuse(config)),
    ]
}

/// The text of a chain, one line a rule.
pub(in crate::net) fn render_chain(chain: &ChainSpec) -> String {
    let mut text = format!("chain {}", chain.name);
    if let Some((kind, hook, priority)) = chain.hook {
        let _ = write!(text, " type {kind} hook {} priority {priority}", format!("{hook:?}").to_lowercase());
    }
    text.push('\n');
    for rule in &chain.rules {
        let ops: Vec<String> = rule.iter().map(Op::to_string).collect();
        let _ = writeln!(text, "  {}", ops.join("; "));
    }
    text
}

/// The text of the static part: sets, then chains.
pub fn render_static(config: &NftConfig) -> String {
    let mut text = String::new();
    for set in sets() {
        let kind = match set.values {
            Values::None => "set".to_owned(),
            Values::Data(len, _) => format!("map to {len}b"),
            Values::Verdicts => "map to verdict".to_owned(),
        };
        let _ = writeln!(text, "{} key {}b {kind}", set.name, set.key_len);
    }
    for chain in chains(config) {
        text.push_str(&render_chain(&chain));
    }
    text
}
