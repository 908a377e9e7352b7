//! The expressions that our rules are made of, for the kernel and for people.
//!
//! Beside those of `netlink-packet-netfilter` (cmp, bitwise, immediate, lookup, meta, payload) it encodes
//! what that crate lacks: numgen, hash, nat, masq and reject. The text form is the one in which `nft` shows
//! the kernel's own view of a rule.
//!
//! Invariant: the text of a rule names everything that its bytes do.

use std::fmt;

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    Bitwise, Cmp, DataAttribute, ExpressionAttribute, Expressions, Immediate, ListAttribute, Lookup, Meta,
    MetaKey, Operator, Payload, Register,
};

/// A register of four bytes, by its number from 0; longer values take the ones after it too.
pub(in crate::net) type Reg = u32;

/// Which header a payload is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Base {
    /// IPv4 or IPv6.
    Network = 1,
    /// TCP, UDP or SCTP.
    Transport = 2,
}

/// The address families of rules, by the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::net) enum Family {
    /// IPv4.
    V4 = 2,
    /// IPv6.
    V6 = 10,
}

impl Family {
    /// Both, in order.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// The digit that ends the names of its sets and chains.
    pub fn digit(self) -> u8 {
        match self {
            Family::V4 => 4,
            Family::V6 => 6,
        }
    }

    /// The bytes of an address.
    pub fn width(self) -> u32 {
        match self {
            Family::V4 => 4,
            Family::V6 => 16,
        }
    }

    /// The registers of an address.
    pub fn registers(self) -> u32 {
        self.width() / 4
    }

    /// Where the source address stands in the header.
    pub fn source_offset(self) -> u32 {
        match self {
            Family::V4 => 12,
            Family::V6 => 8,
        }
    }

    /// Where the destination address stands in the header.
    pub fn destination_offset(self) -> u32 {
        self.source_offset() + self.width()
    }
}

/// One step of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::net) enum Op {
    /// Loads what is known of the packet.
    Meta(MetaKey, Reg),
    /// Loads bytes of the packet.
    Payload { base: Base, offset: u32, len: u32, to: Reg },
    /// Goes on only if a register equals the bytes, or differs from them.
    Cmp { reg: Reg, equal: bool, data: Vec<u8> },
    /// Keeps the masked bits of a register.
    Mask { reg: Reg, mask: Vec<u8> },
    /// Loads bytes.
    Load { to: Reg, data: Vec<u8> },
    /// Goes on only if a set has the key; a map also loads its value.
    Lookup { set: String, key: Reg, to: Option<Reg> },
    /// Goes where a verdict map says.
    Dispatch { map: String, key: Reg },
    /// Loads a random number below `below`.
    Random { below: u32, to: Reg },
    /// Loads a number below `below` that is the same for the same bytes.
    Hash { from: Reg, len: u32, below: u32, to: Reg },
    /// Translates the destination to the address and port in registers.
    Dnat { family: Family, address: Reg, port: Reg },
    /// Translates the source to the address in a register.
    Snat { family: Family, address: Reg },
    /// Translates the source to an address of the outgoing link.
    Masquerade,
    /// Refuses with a TCP reset.
    RejectReset,
    /// Refuses with "port unreachable" of the packet's own family.
    RejectPort,
}

fn register(reg: Reg) -> Register {
    /// `NFT_REG32_00`.
    const FIRST: u32 = 8;
    Register::Other(FIRST + reg)
}

fn number(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_be_bytes().to_vec())
}

fn own(name: &str, attributes: Vec<DefaultNla>) -> Expressions {
    Expressions::Other { expression_type: name.to_owned(), attributes }
}

fn nat(kind: u32, family: Family, address: Reg, port: Option<Reg>) -> Expressions {
    const TYPE: u16 = 1;
    const FAMILY: u16 = 2;
    const ADDRESS: u16 = 3;
    const PORT: u16 = 5;
    let mut attributes =
        vec![number(TYPE, kind), number(FAMILY, family as u32), number(ADDRESS, register(address).into())];
    attributes.extend(port.map(|port| number(PORT, register(port).into())));
    own("nat", attributes)
}

fn reject(kind: u32, code: u8) -> Expressions {
    own("reject", vec![number(1, kind), DefaultNla::new(2, vec![code])])
}

impl Op {
    fn expression(&self) -> Expressions {
        match self {
            Op::Meta(key, to) => {
                Expressions::Meta(vec![Meta::Key(*key), Meta::DestinationRegister(register(*to))])
            }
            Op::Payload { base, offset, len, to } => Expressions::Payload(vec![
                Payload::DestinationRegister(register(*to)),
                Payload::Base(*base as u32),
                Payload::Offset(*offset),
                Payload::Len(*len),
            ]),
            Op::Cmp { reg, equal, data } => Expressions::Cmp(vec![
                Cmp::SourceRegister(register(*reg)),
                Cmp::Op(if *equal { Operator::Equal } else { Operator::NotEqual }),
                Cmp::Data(DataAttribute::Value(data.clone())),
            ]),
            Op::Mask { reg, mask } => Expressions::Bitwise(vec![
                Bitwise::SourceRegister(register(*reg)),
                Bitwise::DestinationRegister(register(*reg)),
                Bitwise::Length(mask.len() as u32),
                Bitwise::Mask(DataAttribute::Value(mask.clone())),
                Bitwise::Xor(DataAttribute::Value(vec![0; mask.len()])),
            ]),
            Op::Load { to, data } => Expressions::Immediate(vec![
                Immediate::DestinationRegister(register(*to)),
                Immediate::Data(DataAttribute::Value(data.clone())),
            ]),
            Op::Lookup { set, key, to } => {
                let mut lookup = vec![Lookup::Set(set.clone()), Lookup::SourceRegister(register(*key))];
                lookup.extend(to.map(|to| Lookup::DestinationRegister(register(to))));
                Expressions::Lookup(lookup)
            }
            Op::Dispatch { map, key } => Expressions::Lookup(vec![
                Lookup::Set(map.clone()),
                Lookup::SourceRegister(register(*key)),
                Lookup::DestinationRegister(Register::Verdict),
            ]),
            Op::Random { below, to } => {
                own("numgen", vec![number(1, register(*to).into()), number(2, *below), number(3, 1)])
            }
            Op::Hash { from, len, below, to } => own(
                "hash",
                vec![
                    number(1, register(*from).into()),
                    number(2, register(*to).into()),
                    number(3, *len),
                    number(4, *below),
                    // A fixed seed: the same client keeps its endpoint when the table is written anew.
                    number(5, 0x636F_7261),
                    number(7, 0),
                ],
            ),
            Op::Dnat { family, address, port } => nat(1, *family, *address, Some(*port)),
            Op::Snat { family, address } => nat(0, *family, *address, None),
            Op::Masquerade => own("masq", Vec::new()),
            Op::RejectReset => reject(1, 0),
            Op::RejectPort => reject(2, 1),
        }
    }
}

/// The list of a rule's steps, as a rule message holds it.
pub(in crate::net) fn expressions(ops: &[Op]) -> Vec<ListAttribute<ExpressionAttribute>> {
    ops.iter().map(|op| op.expression().into()).collect()
}

fn hex(data: &[u8]) -> String {
    let digits: String = data.iter().map(|b| format!("{b:02x}")).collect();
    format!("0x{digits}")
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Meta(key, to) => write!(f, "meta {} => r{to}", format!("{key:?}").to_lowercase()),
            Op::Payload { base, offset, len, to } => {
                write!(f, "payload {}b @ {} + {offset} => r{to}", len, format!("{base:?}").to_lowercase())
            }
            Op::Cmp { reg, equal, data } => {
                write!(f, "cmp {} r{reg} {}", if *equal { "eq" } else { "neq" }, hex(data))
            }
            Op::Mask { reg, mask } => write!(f, "bitwise r{reg} & {}", hex(mask)),
            Op::Load { to, data } => write!(f, "immediate {} => r{to}", hex(data)),
            Op::Lookup { set, key, to: None } => write!(f, "lookup r{key} in @{set}"),
            Op::Lookup { set, key, to: Some(to) } => write!(f, "lookup r{key} in @{set} => r{to}"),
            Op::Dispatch { map, key } => write!(f, "lookup r{key} in @{map} => verdict"),
            Op::Random { below, to } => write!(f, "numgen random mod {below} => r{to}"),
            Op::Hash { from, len, below, to } => write!(f, "jhash {len}b of r{from} mod {below} => r{to}"),
            Op::Dnat { address, port, .. } => write!(f, "dnat to r{address} port r{port}"),
            Op::Snat { address, .. } => write!(f, "snat to r{address}"),
            Op::Masquerade => f.write_str("masquerade"),
            Op::RejectReset => f.write_str("reject with tcp reset"),
            Op::RejectPort => f.write_str("reject with port unreachable"),
        }
    }
}
