//! The `RuntimeDefault` filter of system calls.
//!
//! The calls that containerd's default profile allows, with those that a capability brings. Two programs: the
//! first answers ENOSYS to everything that is not allowed, the second (whose answer wins) EPERM to what is
//! known and forbidden. So a C library that tries a call newer than the list, or `clone3`, falls back instead
//! of failing.
//!
//! Invariant: no call is in both lists.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::inside::privileges::bit;
use super::wire::{Failure, Step};

/// The compiled programs for one set of capabilities.
pub(super) struct Filters(Vec<Vec<libc::sock_filter>>);

impl Filters {
    /// In the order in which they are installed.
    pub(super) fn programs(&self) -> impl Iterator<Item = &[libc::sock_filter]> {
        self.0.iter().map(Vec::as_slice)
    }
}

macro_rules! calls {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

const ALLOWED: &[libc::c_long] = calls! {
    SYS_accept SYS_accept4 SYS_bind SYS_brk SYS_capget SYS_capset SYS_chdir SYS_clock_adjtime
    SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_close SYS_close_range SYS_connect
    SYS_copy_file_range SYS_dup SYS_dup3 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2
    SYS_eventfd2 SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_faccessat SYS_faccessat2 SYS_fadvise64
    SYS_fallocate SYS_fanotify_mark SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_fcntl
    SYS_fdatasync SYS_fgetxattr SYS_flistxattr SYS_flock SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs
    SYS_fsync SYS_ftruncate SYS_futex SYS_futex_waitv SYS_getcpu SYS_getcwd SYS_getdents64 SYS_getegid
    SYS_geteuid SYS_getgid SYS_getgroups SYS_getitimer SYS_getpeername SYS_getpgid SYS_getpid SYS_getppid
    SYS_getpriority SYS_getrandom SYS_getresgid SYS_getresuid SYS_getrlimit SYS_get_robust_list SYS_getrusage
    SYS_getsid SYS_getsockname SYS_getsockopt SYS_gettid SYS_gettimeofday SYS_getuid SYS_getxattr
    SYS_inotify_add_watch SYS_inotify_init1 SYS_inotify_rm_watch SYS_io_cancel SYS_ioctl SYS_io_destroy
    SYS_io_getevents SYS_ioprio_get SYS_ioprio_set SYS_io_setup SYS_io_submit SYS_kill
    SYS_landlock_add_rule SYS_landlock_create_ruleset SYS_landlock_restrict_self SYS_lgetxattr SYS_linkat
    SYS_listen SYS_listxattr SYS_llistxattr SYS_lremovexattr SYS_lseek SYS_lsetxattr SYS_madvise
    SYS_membarrier SYS_memfd_create SYS_memfd_secret SYS_mincore SYS_mkdirat SYS_mknodat SYS_mlock SYS_mlock2
    SYS_mlockall SYS_mmap SYS_mprotect SYS_mq_getsetattr SYS_mq_notify SYS_mq_open SYS_mq_timedreceive
    SYS_mq_timedsend SYS_mq_unlink SYS_mremap SYS_msgctl SYS_msgget SYS_msgrcv SYS_msgsnd SYS_msync
    SYS_munlock SYS_munlockall SYS_munmap SYS_name_to_handle_at SYS_nanosleep SYS_newfstatat SYS_openat
    SYS_openat2 SYS_pidfd_open SYS_pidfd_send_signal SYS_pipe2 SYS_pkey_alloc SYS_pkey_free SYS_pkey_mprotect
    SYS_ppoll SYS_prctl SYS_pread64 SYS_preadv SYS_preadv2 SYS_prlimit64 SYS_process_mrelease SYS_pselect6
    SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_read SYS_readahead SYS_readlinkat SYS_readv SYS_recvfrom
    SYS_recvmmsg SYS_recvmsg SYS_remap_file_pages SYS_removexattr SYS_renameat SYS_renameat2
    SYS_restart_syscall SYS_rseq SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigqueueinfo
    SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo SYS_sched_getaffinity
    SYS_sched_getattr SYS_sched_getparam SYS_sched_get_priority_max SYS_sched_get_priority_min
    SYS_sched_getscheduler SYS_sched_rr_get_interval SYS_sched_setaffinity SYS_sched_setattr
    SYS_sched_setparam SYS_sched_setscheduler SYS_sched_yield SYS_seccomp SYS_semctl SYS_semget SYS_semop
    SYS_semtimedop SYS_sendfile SYS_sendmmsg SYS_sendmsg SYS_sendto SYS_setfsgid SYS_setfsuid SYS_setgid
    SYS_setgroups SYS_setitimer SYS_setpgid SYS_setpriority SYS_setregid SYS_setresgid SYS_setresuid
    SYS_setreuid SYS_setrlimit SYS_set_robust_list SYS_setsid SYS_setsockopt SYS_set_tid_address SYS_setuid
    SYS_setxattr SYS_shmat SYS_shmctl SYS_shmdt SYS_shmget SYS_shutdown SYS_sigaltstack SYS_signalfd4
    SYS_socketpair SYS_splice SYS_statfs SYS_statx SYS_symlinkat SYS_sync SYS_sync_file_range SYS_syncfs
    SYS_sysinfo SYS_tee SYS_tgkill SYS_timer_create SYS_timer_delete SYS_timer_getoverrun SYS_timer_gettime
    SYS_timer_settime SYS_timerfd_create SYS_timerfd_gettime SYS_timerfd_settime SYS_times SYS_tkill
    SYS_truncate SYS_umask SYS_uname SYS_unlinkat SYS_utimensat SYS_vmsplice SYS_wait4 SYS_waitid SYS_write
    SYS_writev SYS_fchmodat2 SYS_mseal SYS_process_vm_readv SYS_process_vm_writev SYS_ptrace
};

#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[libc::c_long] = calls! {
    SYS_access SYS_alarm SYS_arch_prctl SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create
    SYS_epoll_ctl_old SYS_epoll_wait SYS_epoll_wait_old SYS_eventfd SYS_fork SYS_futimesat SYS_getdents
    SYS_getpgrp SYS_get_thread_area SYS_inotify_init SYS_lchown SYS_link SYS_lstat SYS_mkdir SYS_mknod
    SYS_modify_ldt SYS_open SYS_pause SYS_pipe SYS_poll SYS_readlink SYS_rename SYS_rmdir SYS_select
    SYS_set_thread_area SYS_signalfd SYS_stat SYS_symlink SYS_time SYS_unlink SYS_utime SYS_utimes SYS_vfork
};
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[libc::c_long] = &[];

/// Forbidden unless the container has the capability (`""`: always).
const GUARDED: &[(&str, &[libc::c_long])] = &[
    ("DAC_READ_SEARCH", calls! { SYS_open_by_handle_at }),
    (
        "SYS_ADMIN",
        calls! {
            SYS_bpf SYS_fanotify_init SYS_fsconfig SYS_fsmount SYS_fsopen SYS_fspick SYS_lookup_dcookie
            SYS_mount SYS_mount_setattr SYS_move_mount SYS_open_tree SYS_perf_event_open SYS_quotactl
            SYS_quotactl_fd SYS_setdomainname SYS_sethostname SYS_setns SYS_syslog SYS_umount2 SYS_unshare
        },
    ),
    ("SYS_BOOT", calls! { SYS_reboot SYS_kexec_load }),
    ("SYS_CHROOT", calls! { SYS_chroot }),
    ("SYS_MODULE", calls! { SYS_delete_module SYS_init_module SYS_finit_module }),
    ("SYS_PACCT", calls! { SYS_acct }),
    ("SYS_PTRACE", calls! { SYS_kcmp SYS_pidfd_getfd SYS_process_madvise }),
    ("SYS_TIME", calls! { SYS_settimeofday SYS_adjtimex SYS_clock_settime }),
    ("SYS_TTY_CONFIG", calls! { SYS_vhangup }),
    ("SYS_NICE", calls! { SYS_get_mempolicy SYS_mbind SYS_set_mempolicy }),
    (
        "",
        calls! {
            SYS_add_key SYS_request_key SYS_keyctl SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register
            SYS_userfaultfd SYS_pivot_root SYS_swapon SYS_swapoff SYS_nfsservctl SYS_migrate_pages
            SYS_move_pages
        },
    ),
];

#[cfg(target_arch = "x86_64")]
const RAW_IO: &[libc::c_long] = calls! { SYS_iopl SYS_ioperm };
#[cfg(not(target_arch = "x86_64"))]
const RAW_IO: &[libc::c_long] = &[];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Builds the filters of a container with these capabilities.
pub(super) fn default_filters(capabilities: u64) -> Result<Filters, Failure> {
    let has = |name: &str| bit(name).is_some_and(|bit| capabilities & bit != 0);
    let build = || -> Result<Filters, seccompiler::BackendError> {
        let (mut allowed, mut forbidden) = (Rules::new(), Rules::new());
        for call in ALLOWED.iter().chain(ALLOWED_HERE) {
            allowed.insert(*call, Vec::new());
        }
        for (capability, calls) in GUARDED.iter().copied().chain([("SYS_RAWIO", RAW_IO)]) {
            let rules = if has(capability) { &mut allowed } else { &mut forbidden };
            rules.extend(calls.iter().map(|call| (*call, Vec::new())));
        }
        guard_by_argument(&mut allowed, &mut forbidden, has("SYS_ADMIN"))?;
        let unknown = compile(allowed, SeccompAction::Errno(libc::ENOSYS as u32), SeccompAction::Allow)?;
        let known = compile(forbidden, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32))?;
        Ok(Filters(vec![plain(&unknown), plain(&known)]))
    };
    build().map_err(|error| Failure::kernel(Step::Seccomp, error.to_string()))
}

/// The calls whose first argument decides.
fn guard_by_argument(
    allowed: &mut Rules,
    forbidden: &mut Rules,
    admin: bool,
) -> Result<(), seccompiler::BackendError> {
    let first = |length, operator, value| {
        let condition = SeccompCondition::new(0, length, operator, value)?;
        SeccompRule::new(vec![condition])
    };
    let (word, long) = (SeccompCmpArgLen::Dword, SeccompCmpArgLen::Qword);
    allowed.insert(libc::SYS_clone, Vec::new());
    if !admin {
        let namespaces = [
            libc::CLONE_NEWNS,
            libc::CLONE_NEWUTS,
            libc::CLONE_NEWIPC,
            libc::CLONE_NEWUSER,
            libc::CLONE_NEWPID,
            libc::CLONE_NEWNET,
            libc::CLONE_NEWCGROUP,
        ];
        let rule = |flag: &i32| {
            let flag = *flag as u64;
            first(long.clone(), SeccompCmpOp::MaskedEq(flag), flag)
        };
        let rules = namespaces.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
        forbidden.insert(libc::SYS_clone, rules);
    }
    let personalities = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
    let rule = |value: &u64| first(word.clone(), SeccompCmpOp::Eq, *value);
    let rules = personalities.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    allowed.insert(libc::SYS_personality, rules);
    allowed.insert(libc::SYS_socket, Vec::new());
    let vsock = first(word, SeccompCmpOp::Eq, libc::AF_VSOCK as u64)?;
    forbidden.insert(libc::SYS_socket, vec![vsock]);
    Ok(())
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let machine = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, matched, machine)?.try_into()
}

fn plain(program: &BpfProgram) -> Vec<libc::sock_filter> {
    let one = |line: &seccompiler::sock_filter| libc::sock_filter {
        code: line.code,
        jt: line.jt,
        jf: line.jf,
        k: line.k,
    };
    program.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_in_both_lists() {
        for (_, calls) in GUARDED {
            for call in *calls {
                assert!(!ALLOWED.contains(call) && !ALLOWED_HERE.contains(call), "{call}");
            }
        }
    }

    #[test]
    fn compiles_for_none_and_all_capabilities() {
        for capabilities in [0, u64::MAX] {
            let filters = default_filters(capabilities).unwrap();
            assert!(filters.programs().all(|program| program.len() > 10 && program.len() < 4096));
        }
    }
}
