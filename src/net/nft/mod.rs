//! Speaks nftables over netlink: batches of messages, each a whole change or none.
//!
//! Owns the encoding of tables, sets, chains and elements and the reading of errors. `expr` encodes rules,
//! `ruleset` says what the table holds, `service` what its elements are.
//!
//! Invariant: the table is only ever changed by whole batches.

pub(super) mod expr;
mod obstacles;
pub(super) mod ruleset;

use std::os::fd::OwnedFd;

use netlink_packet_core::{
    Emitable, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, ParseableParametrized,
};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, DataAttribute, Hook, HookNumber, InetHookNumber, ListAttribute,
    NfTablesMessage, RuleAttribute, RuleMessage, SetAttribute, SetElementAttribute, SetElementList,
    SetElementMessage, SetFlags, SetMessage, TableAttribute, TableMessage, Verdict, VerdictAttribute,
};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockProtocol};

pub use self::obstacles::obstacles;
use self::ruleset::{ChainSpec, SetSpec, Values};
use super::names;
use super::socket::{Socket, SocketError, error_of};
use crate::limits;

/// The number of the nftables subsystem, in the batch's frame.
const SUBSYSTEM: u16 = 10;

/// A change of the table that failed, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The kernel refused a message; nothing of its batch has happened.
    #[error("nftables: {object}: {cause}")]
    Refused {
        /// What the message was about.
        object: String,
        /// The kernel's answer to the first message that it refused.
        cause: std::io::Error,
        /// How many messages of the batch it refused.
        count: usize,
    },
    /// Speaking with the kernel failed; whether the batch has happened is not known.
    #[error("nftables: {object}: {cause}")]
    Netlink {
        /// What was being done.
        object: String,
        /// What failed.
        cause: String,
    },
}

impl NftError {
    pub(super) fn netlink(object: &str, cause: &SocketError) -> NftError {
        NftError::Netlink { object: object.to_owned(), cause: cause.to_string() }
    }

    pub(super) fn refused(object: &str, errno: Errno) -> NftError {
        NftError::Refused { object: object.to_owned(), cause: errno.into(), count: 1 }
    }
}

/// One element of a set or map, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawElement {
    /// The key.
    pub key: Vec<u8>,
    /// The value; none in a set and in deletions.
    pub value: Option<Vec<u8>>,
}

/// A change under construction: messages in order, each with what it is about.
#[derive(Debug, Default)]
pub(super) struct Batch {
    table: String,
    messages: Vec<(String, Vec<u8>)>,
}

impl Batch {
    /// An empty change of a cluster's table.
    pub fn new(cluster: &str) -> Batch {
        Batch { table: names::table(cluster), messages: Vec::new() }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn push(&mut self, object: String, message: NfTablesMessage, flags: u16) {
        self.messages.push((object, frame(NetfilterProtoFamily::Inet, message, flags)));
    }

    fn table_message(&self) -> TableMessage {
        TableMessage { attributes: vec![TableAttribute::Name(self.table.clone())] }
    }

    /// Makes the table if it is missing.
    pub fn add_table(&mut self) {
        let message = NfTablesMessage::NewTable(self.table_message());
        self.push(format!("table {}", self.table), message, NLM_F_CREATE);
    }

    /// Removes the table with all that is in it.
    pub fn delete_table(&mut self) {
        let message = NfTablesMessage::DeleteTable(self.table_message());
        self.push(format!("table {}", self.table), message, 0);
    }

    /// Makes a set or map. `id` tells it from the others of the same batch.
    pub fn add_set(&mut self, set: &SetSpec, id: u32) {
        let mut flags = SetFlags::empty();
        let mut attributes = vec![
            SetAttribute::Table(self.table.clone()),
            SetAttribute::Name(set.name.clone()),
            SetAttribute::KeyType(set.key_type),
            SetAttribute::KeyLen(set.key_len),
            SetAttribute::Id(id),
        ];
        match set.values {
            Values::None => {}
            Values::Data(len, kind) => {
                flags |= SetFlags::Map;
                attributes.extend([SetAttribute::DataType(kind), SetAttribute::DataLen(len)]);
            }
            Values::Verdicts => {
                /// `NFT_DATA_VERDICT`.
                const VERDICT: u32 = 0xFFFF_FF00;
                flags |= SetFlags::Map;
                attributes.push(SetAttribute::DataType(VERDICT));
            }
        }
        attributes.push(SetAttribute::Flags(flags));
        let message = NfTablesMessage::NewSet(SetMessage { attributes });
        self.push(format!("set {}", set.name), message, NLM_F_CREATE);
    }

    /// Makes a chain and its rules.
    pub fn add_chain(&mut self, chain: &ChainSpec) {
        let mut attributes =
            vec![ChainAttribute::Table(self.table.clone()), ChainAttribute::Name(chain.name.clone())];
        if let Some((kind, hook, priority)) = chain.hook {
            attributes.push(ChainAttribute::Hook(vec![
                Hook::Number(HookNumber::Inet(InetHookNumber::Other(hook as u32))),
                Hook::Priority(priority as u32),
            ]));
            attributes.push(ChainAttribute::Type(kind.to_owned()));
        }
        let message = NfTablesMessage::NewChain(ChainMessage { attributes });
        self.push(format!("chain {}", chain.name), message, NLM_F_CREATE);
        for rule in &chain.rules {
            /// `NLM_F_APPEND`: after the rules that are there.
            const APPEND: u16 = 0x800;
            let attributes = vec![
                RuleAttribute::Table(self.table.clone()),
                RuleAttribute::Chain(chain.name.clone()),
                RuleAttribute::Expressions(expr::expressions(rule)),
            ];
            let message = NfTablesMessage::NewRule(RuleMessage { attributes });
            self.push(format!("a rule of chain {}", chain.name), message, NLM_F_CREATE | APPEND);
        }
    }

    /// Leads a number of endpoints to its chain.
    pub fn add_verdict(&mut self, map: &str, key: u32, chain: &str) {
        let verdict = DataAttribute::Verdict(vec![
            VerdictAttribute::Code(Verdict::Jump),
            VerdictAttribute::Chain(chain.to_owned()),
        ]);
        let element = ListAttribute::Element(vec![
            SetElementAttribute::Key(DataAttribute::Value(key.to_ne_bytes().to_vec())),
            SetElementAttribute::Data(verdict),
        ]);
        self.elements(map, vec![element], true);
    }

    /// Adds elements to a set or map.
    pub fn add_elements(&mut self, set: &str, elements: &[RawElement]) {
        self.portions(set, elements, true);
    }

    /// Deletes elements of a set or map.
    pub fn delete_elements(&mut self, set: &str, elements: &[RawElement]) {
        self.portions(set, elements, false);
    }

    fn portions(&mut self, set: &str, elements: &[RawElement], add: bool) {
        for portion in elements.chunks(limits::SET_ELEMENTS_PER_MESSAGE) {
            let list = portion
                .iter()
                .map(|element| {
                    let mut attributes =
                        vec![SetElementAttribute::Key(DataAttribute::Value(element.key.clone()))];
                    if let Some(value) = &element.value {
                        attributes.push(SetElementAttribute::Data(DataAttribute::Value(value.clone())));
                    }
                    ListAttribute::Element(attributes)
                })
                .collect();
            self.elements(set, list, add);
        }
    }

    fn elements(&mut self, set: &str, list: Vec<ListAttribute<SetElementAttribute>>, add: bool) {
        let attributes = vec![
            SetElementList::Table(self.table.clone()),
            SetElementList::Set(set.to_owned()),
            SetElementList::Elements(list),
        ];
        let message = SetElementMessage { attributes };
        let (message, flags) = match add {
            true => (NfTablesMessage::NewSetElement(message), NLM_F_CREATE),
            false => (NfTablesMessage::DeleteSetElement(message), 0),
        };
        self.push(format!("elements of {set}"), message, flags);
    }
}

/// The connection to the kernel's nftables, in the namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Kernel {
    socket: Socket<OwnedFd>,
}

impl Kernel {
    /// Opens it.
    pub fn open() -> Result<Kernel, NftError> {
        let socket =
            Socket::open(SockProtocol::NetlinkNetFilter).map_err(|e| NftError::netlink("opening", &e))?;
        socket.widen(limits::NETLINK_BUFFER_BYTES);
        Ok(Kernel { socket })
    }

    /// Carries out a change as one batch; where the kernel does not grant a buffer of its size, as several
    /// in order.
    pub fn commit(&self, batch: Batch) -> Result<(), NftError> {
        let room = self.socket.capacity().saturating_sub(4096);
        let mut portion = Vec::new();
        let mut size = 0;
        for (object, bytes) in batch.messages {
            if size + bytes.len() > room && !portion.is_empty() {
                self.commit_portion(std::mem::take(&mut portion))?;
                size = 0;
            }
            size += bytes.len();
            portion.push((object, bytes));
        }
        if portion.is_empty() { Ok(()) } else { self.commit_portion(portion) }
    }

    fn commit_portion(&self, mut messages: Vec<(String, Vec<u8>)>) -> Result<(), NftError> {
        use netlink_packet_core::NetlinkBuffer;
        let mut bytes = control(ControlMessage::BatchBegin);
        let last = messages.len() - 1;
        for (number, (_, message)) in messages.iter_mut().enumerate() {
            let mut header = NetlinkBuffer::new(message.as_mut_slice());
            header.set_sequence_number(number as u32 + 1);
            if number == last {
                // The one acknowledgement that tells a batch without errors from one that got lost.
                let flags = NetlinkBuffer::new(&*message).flags();
                NetlinkBuffer::new(message.as_mut_slice()).set_flags(flags | NLM_F_ACK);
            }
            bytes.extend_from_slice(message);
        }
        bytes.extend(control(ControlMessage::BatchEnd));
        self.socket.send(&bytes).map_err(|e| NftError::netlink("sending a batch", &e))?;

        // The kernel has worked through the batch when the call returns: all answers wait.
        let mut acknowledged = false;
        let mut refusals: Vec<(u32, Errno)> = Vec::new();
        loop {
            let more = self.socket.receive(MsgFlags::MSG_DONTWAIT, |header, payload| {
                if header.is_answer() {
                    match error_of(payload) {
                        Some(errno) => refusals.push((header.sequence, errno)),
                        None => acknowledged |= header.sequence as usize == last + 1,
                    }
                }
            });
            match more {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) => return Err(NftError::netlink("reading the answers to a batch", &e)),
            }
        }
        if let Some((sequence, errno)) = refusals.first() {
            let object = (*sequence as usize)
                .checked_sub(1)
                .and_then(|i| messages.get(i))
                .map_or_else(|| "the whole batch".to_owned(), |(object, _)| object.clone());
            return Err(NftError::Refused { object, cause: (*errno).into(), count: refusals.len() });
        }
        if !acknowledged {
            return Err(NftError::Netlink {
                object: "a batch".to_owned(),
                cause: "the kernel did not acknowledge it".to_owned(),
            });
        }
        Ok(())
    }

    /// Lists what `message` asks for.
    pub fn list(
        &self,
        object: &str,
        message: NfTablesMessage,
    ) -> Result<Vec<(NetfilterProtoFamily, NfTablesMessage)>, NftError> {
        let request = frame(NetfilterProtoFamily::Unspec, message, NLM_F_DUMP);
        let answers = self.socket.ask(&mut [request]).map_err(|e| NftError::netlink(object, &e))?;
        let mut listed = Vec::new();
        for answer in answers {
            if let Some(errno) = answer.error {
                return Err(NftError::refused(object, errno));
            }
            for (kind, payload) in answer.messages {
                let Ok(message) = NetfilterMessage::parse_with_param(&payload, kind) else { continue };
                if let NetfilterMessageInner::NfTables(inner) = message.inner {
                    listed.push((message.header.family, inner));
                }
            }
        }
        Ok(listed)
    }
}

fn frame(family: NetfilterProtoFamily, message: NfTablesMessage, flags: u16) -> Vec<u8> {
    bytes_of(NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), message), flags)
}

fn control(message: ControlMessage) -> Vec<u8> {
    let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, SUBSYSTEM);
    bytes_of(NetfilterMessage::new(header, message), 0)
}

fn bytes_of(message: NetfilterMessage, flags: u16) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

/// Every table of ours in the calling thread's namespace, by cluster.
pub(super) fn clusters(kernel: &Kernel) -> Result<Vec<String>, NftError> {
    let list = NfTablesMessage::GetTable(TableMessage { attributes: Vec::new() });
    let mut found = Vec::new();
    for (_, message) in kernel.list("listing tables", list)? {
        let NfTablesMessage::NewTable(table) = message else { continue };
        for attribute in table.attributes {
            if let TableAttribute::Name(name) = attribute
                && let Some(cluster) = names::cluster_of_table(&name)
            {
                found.push(cluster.to_owned());
            }
        }
    }
    Ok(found)
}

/// Removes the tables of clusters of which `is_alive` says no; returns their ids.
pub fn sweep(is_alive: impl Fn(&str) -> bool) -> Result<Vec<String>, NftError> {
    let kernel = Kernel::open()?;
    let dead: Vec<String> = clusters(&kernel)?.into_iter().filter(|id| !is_alive(id)).collect();
    for cluster in &dead {
        let mut batch = Batch::new(cluster);
        batch.delete_table();
        kernel.commit(batch)?;
    }
    Ok(dead)
}
