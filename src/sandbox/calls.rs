//! seccomp: system calls that a sensor never makes are refused.
//!
//! A list of what is refused, not of what is allowed: libraries change what they
//! call, and a sensor that dies of an update sees nothing. What is on it is what an
//! intruder wants next: other programs, other processes, mounts, modules, keys,
//! name spaces, the clock, and ways around the filter.

use std::collections::BTreeMap;

use seccompiler::{SeccompAction, SeccompFilter, TargetArch, apply_filter_all_threads};

use super::Hold;

const REFUSED: &[libc::c_long] = &[
    // Programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_personality,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_perf_event_open,
    // Mounts and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_mknodat,
    libc::SYS_quotactl,
    libc::SYS_fanotify_init,
    // Name spaces.
    libc::SYS_unshare,
    libc::SYS_setns,
    // The kernel.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_bpf,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
    // What the kernel does out of the filter's sight.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Keys.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // The system.
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] = &[
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_mknod,
];

#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];

/// Refuses the calls, in all threads.
pub(super) fn deny() -> Result<Hold, String> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)
        .map_err(|_| "not for this processor".to_owned())?;
    let rules: BTreeMap<i64, _> = refused().map(|call| (call, Vec::new())).collect();
    // `EPERM`, as the kernel answers who may not.
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)
        .map_err(|error| error.to_string())?;
    let program: seccompiler::BpfProgram =
        filter.try_into().map_err(|error: seccompiler::BackendError| error.to_string())?;
    apply_filter_all_threads(&program).map_err(|error| error.to_string())?;
    Ok(Hold::default())
}

/// The numbers of the refused calls.
#[allow(clippy::useless_conversion, reason = "they have 32 bits on some systems")]
fn refused() -> impl Iterator<Item = i64> {
    let native = || REFUSED.iter().chain(REFUSED_HERE).map(|&call| i64::from(call));
    native().chain(other_numbers(native))
}

/// On x86-64 kernels may take calls by other numbers too (the x32 ABI): the same
/// with a bit set, and some of its own.
#[cfg(target_arch = "x86_64")]
fn other_numbers<I: Iterator<Item = i64>>(native: impl Fn() -> I) -> impl Iterator<Item = i64> {
    const X32: i64 = 0x4000_0000;
    native().chain(512..=547).map(|call| call | X32)
}

#[cfg(not(target_arch = "x86_64"))]
fn other_numbers<I: Iterator<Item = i64>>(_native: impl Fn() -> I) -> impl Iterator<Item = i64> {
    std::iter::empty()
}
