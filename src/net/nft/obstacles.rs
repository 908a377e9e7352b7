//! Finds what of other people's rules would stop our packets.
//!
//! A packet that any base chain drops is gone, whatever ours say. Reads only. Cannot see the legacy
//! iptables, which the kernel does not list here.
//!
//! Invariant: one sentence for each chain, which names it and says what to do.

use netlink_packet_netfilter::NetfilterProtoFamily;
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Hook, HookNumber, InetHookNumber, NfTablesMessage,
};

use super::{Kernel, NftError};
use crate::net::names;

/// `NF_DROP`, as a chain's policy.
const DROP: u32 = 0;

/// A sentence for each base chain of others on the way of pods' packets that drops what it does not know.
pub fn obstacles() -> Result<Vec<String>, NftError> {
    let kernel = Kernel::open()?;
    let list = NfTablesMessage::GetChain(ChainMessage { attributes: Vec::new() });
    let chains = kernel.list("listing chains", list)?;
    Ok(chains.iter().filter_map(|(family, message)| sentence(*family, message)).collect())
}

fn sentence(family: NetfilterProtoFamily, message: &NfTablesMessage) -> Option<String> {
    let NfTablesMessage::NewChain(chain) = message else { return None };
    let family = match family {
        NetfilterProtoFamily::Inet => "inet",
        NetfilterProtoFamily::IPv4 => "ip",
        NetfilterProtoFamily::IPv6 => "ip6",
        _ => return None,
    };
    let (mut table, mut name, mut policy, mut hook) = ("", "", None, None);
    for attribute in &chain.attributes {
        match attribute {
            ChainAttribute::Table(text) => table = text,
            ChainAttribute::Name(text) => name = text,
            ChainAttribute::Policy(value) => policy = Some(*value),
            ChainAttribute::Hook(parts) => {
                hook = parts.iter().find_map(|part| match part {
                    Hook::Number(HookNumber::Inet(number)) => Some(*number),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    let way = match hook? {
        InetHookNumber::Forward => "between pods and out of them",
        InetHookNumber::LocalIn => "from pods to the host",
        InetHookNumber::LocalOut => "from the host to pods",
        _ => return None,
    };
    (policy? == DROP && names::cluster_of_table(table).is_none()).then(|| {
        format!(
            "chain {name} of table {family} {table} drops what it does not know, so packets {way} may be lost: \
             allow the pod range there"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(table: &str, hook: u32, policy: u32, expected: Option<&str>) {
        let message = NfTablesMessage::NewChain(ChainMessage {
            attributes: vec![
                ChainAttribute::Table(table.into()),
                ChainAttribute::Name("FORWARD".into()),
                ChainAttribute::Hook(vec![Hook::Number(HookNumber::Inet(hook.into())), Hook::Priority(0)]),
                ChainAttribute::Policy(policy),
            ],
        });
        assert_eq!(sentence(NetfilterProtoFamily::IPv4, &message).as_deref(), expected);
    }

    #[test]
    fn only_drops_of_others_on_the_way_count() {
        check("filter", 2, 1, None);
        check("filter", 4, 0, None);
        check("coracle_x", 2, 0, None);
        check(
            "filter",
            2,
            0,
            Some(
                "chain FORWARD of table ip filter drops what it does not know, so packets between pods and out of \
                 them may be lost: allow the pod range there",
            ),
        );
    }

    #[test]
    fn a_chain_of_another_is_found() {
        crate::net::testbed::on_host("a_chain_of_another_is_found", || {
            assert_eq!(obstacles().unwrap(), [""; 0]);
            let mut batch = super::super::Batch::new("x");
            batch.table = "docker".to_owned();
            batch.add_table();
            let attributes = vec![
                ChainAttribute::Table("docker".into()),
                ChainAttribute::Name("FORWARD".into()),
                ChainAttribute::Hook(vec![
                    Hook::Number(HookNumber::Inet(InetHookNumber::Forward)),
                    Hook::Priority(0),
                ]),
                ChainAttribute::Type("filter".into()),
                ChainAttribute::Policy(DROP),
            ];
            let chain = NfTablesMessage::NewChain(ChainMessage { attributes });
            batch.push("chain".into(), chain, netlink_packet_core::NLM_F_CREATE);
            Kernel::open().unwrap().commit(batch).unwrap();
            let found = obstacles().unwrap();
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with("chain FORWARD of table inet docker drops"), "{found:?}");
        });
    }

    #[test]
    fn a_refused_batch_names_what_was_refused() {
        crate::net::testbed::on_host("a_refused_batch_names_what_was_refused", || {
            let kernel = Kernel::open().unwrap();
            let mut batch = super::super::Batch::new("refused");
            batch.add_table();
            batch.add_verdict("counts4", 1, "pick4_1");
            let error = kernel.commit(batch).unwrap_err();
            assert_eq!(
                error.to_string(),
                "nftables: elements of counts4: No such file or directory (os error 2)"
            );
            assert_eq!(super::super::clusters(&kernel).unwrap(), [""; 0], "all of it or nothing");
        });
    }
}
