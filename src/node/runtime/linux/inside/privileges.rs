//! Capabilities, ids, no_new_privs and the system call filter, applied in the one order that works.
//!
//! Invariant: nothing that is given up here can be had back by the program, set-user-id files included where
//! the pod says so.

use super::super::super::Security;
use super::super::sys;
use super::super::wire::{At, Failure, Step};
use super::Birth;
use super::identity::Identity;

/// The kernel's names, by number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What containers have unless told otherwise, as with containerd.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The bit of a capability by name, with or without `CAP_`.
pub(in super::super) fn bit(name: &str) -> Option<u64> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    NAMES.iter().position(|have| *have == name).map(|number| 1 << number)
}

/// The capabilities of a container, as bits.
pub(in super::super) fn capabilities(security: &Security) -> Result<u64, Failure> {
    const ALL: u64 = u64::MAX;
    if security.privileged {
        return Ok(ALL);
    }
    let bits = |names: &[String]| -> Result<u64, Failure> {
        names.iter().try_fold(0, |bits, name| {
            if name.eq_ignore_ascii_case("ALL") {
                return Ok(ALL);
            }
            let unknown = || Failure::refused(Step::Privileges, format!("unknown capability {name:?}"));
            Ok(bits | bit(name).ok_or_else(unknown)?)
        })
    };
    let (add, drop) = (bits(&security.add_capabilities)?, bits(&security.drop_capabilities)?);
    let default = DEFAULT.iter().filter_map(|name| bit(name)).fold(0, |bits, bit| bits | bit);
    // `ALL` is the base that the other list refines; without it what is dropped wins.
    Ok(match (add == ALL, drop == ALL) {
        (true, true) => bits(&without_all(&security.add_capabilities))?,
        (true, false) => ALL & !drop,
        (false, true) => add,
        (false, false) => (default | add) & !drop,
    })
}

fn without_all(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| !name.eq_ignore_ascii_case("ALL")).cloned().collect()
}

/// Gives up what the container must not have.
pub(super) fn apply(birth: &Birth<'_>, identity: &Identity) -> Result<(), Failure> {
    let security = &birth.spec.security;
    let known = u64::MAX >> (63 - birth.last_capability.min(63));
    let kept = birth.capabilities & known;
    for number in 0..=birth.last_capability {
        if kept & (1 << number) == 0 {
            // In a user namespace's child it may be out of the bounding set already, which is the aim.
            let _ = sys::prctl(libc::PR_CAPBSET_DROP, number.into());
        }
    }
    // A filter without no_new_privs takes CAP_SYS_ADMIN, so it comes before that goes.
    if !security.no_new_privileges {
        filter(birth)?;
    }
    sys::prctl(libc::PR_SET_KEEPCAPS, 1).at(Step::Privileges, "keep capabilities")?;
    match sys::set_groups(&identity.groups) {
        // A user namespace with one id mapped forbids the call. The image's groups are not to be had there.
        Err(error) if security.supplemental_groups.is_empty() && denied(&error) => {}
        Err(error) if denied(&error) => {
            let cause = "supplemental groups cannot be had in this user namespace";
            return Err(Failure::refused(Step::User, cause));
        }
        other => other.map_err(|error| ids_failed("groups", &error))?,
    }
    sys::set_gid(identity.gid).map_err(|error| ids_failed(&format!("group {}", identity.gid), &error))?;
    sys::set_uid(identity.uid).map_err(|error| ids_failed(&format!("user {}", identity.uid), &error))?;
    // The program's own come from the bounding set when it is root's, and are none otherwise.
    let now = if identity.uid == 0 { kept } else { 0 };
    limit_to(now)?;
    sys::prctl(libc::PR_SET_KEEPCAPS, 0).at(Step::Privileges, "drop capabilities")?;
    if security.no_new_privileges {
        sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).at(Step::Privileges, "no_new_privs")?;
        filter(birth)?;
    }
    Ok(())
}

/// Sets the capabilities, less those that we do not have ourselves.
fn limit_to(bits: u64) -> Result<(), Failure> {
    if sys::set_capabilities(bits, bits, 0).is_ok() {
        return Ok(());
    }
    let text = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let have = text.lines().find_map(|line| line.strip_prefix("CapPrm:"));
    let have = have.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0);
    let bits = bits & have;
    sys::set_capabilities(bits, bits, 0).at(Step::Privileges, "capabilities")
}

fn denied(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPERM)
}

fn ids_failed(what: &str, error: &std::io::Error) -> Failure {
    if error.raw_os_error() == Some(libc::EINVAL) {
        return Failure::refused(Step::User, format!("{what} is not mapped in this user namespace"));
    }
    Failure::kernel(Step::User, format!("{what}: {error}"))
}

fn filter(birth: &Birth<'_>) -> Result<(), Failure> {
    for program in birth.filters.into_iter().flat_map(|filters| filters.programs()) {
        sys::install_filter(program).at(Step::Seccomp, "seccomp")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(add: &[&str], drop: &[&str], expected: &str) {
        let list = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        let security =
            Security { add_capabilities: list(add), drop_capabilities: list(drop), ..Security::default() };
        let found = match capabilities(&security) {
            Ok(bits) => format!("{:x}", bits & (u64::MAX >> 23)),
            Err(failure) => failure.cause,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn adds_and_drops() {
        check(&[], &[], "a80425fb");
        check(&[], &["ALL"], "0");
        check(&["ALL"], &[], "1ffffffffff");
        check(&["NET_ADMIN"], &["ALL"], "1000");
        check(&["CAP_SYS_TIME"], &["chown"], "aa0425fa");
        check(&["ALL"], &["SYS_ADMIN"], "1ffffdfffff");
        check(&["FLY"], &[], "unknown capability \"FLY\"");
    }
}
