//! Capabilities: all are given up but those that the work takes.

use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

use super::{Hold, Sandbox};

/// Takes all capabilities but `CAP_NET_RAW` from programs that are started from here
/// on. None will be: where it may not be done, nothing is lost.
pub(super) fn bound() {
    let each = CapabilitySet::all().iter().filter(|it| it.bits().count_ones() == 1);
    for capability in each.filter(|it| *it != CapabilitySet::NET_RAW) {
        // Numbers that the kernel does not know, and a process without the right to.
        let _ = remove_capability_from_bounding_set(capability);
    }
}

/// Gives up all capabilities but `CAP_NET_RAW`, without which an interface that went
/// away cannot be opened again, and, where root goes on as root and files are out of
/// its reach without it, `CAP_DAC_OVERRIDE`: who starts a sensor with `sudo` wants
/// the findings in a folder that is not root's.
pub(super) fn drop_all_but_needed(sandbox: &Sandbox) -> rustix::io::Result<Hold> {
    let had = capabilities(None)?.permitted;
    // Kernels before 4.3 have no ambient set.
    let _ = clear_ambient_capability_set();
    let mut kept = had & CapabilitySet::NET_RAW;
    let spare = match sandbox.user {
        Some(_) => CapabilitySet::empty(),
        None => had & CapabilitySet::DAC_OVERRIDE,
    };
    let sets = |effective, permitted| CapabilitySets {
        effective,
        permitted,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets(kept, kept | spare))?;
    let reachable = sandbox.reads.iter().filter(|path| path.exists()).all(|path| can_read(path))
        && sandbox
            .writes
            .iter()
            .chain(&sandbox.folders)
            .filter(|path| path.exists())
            .all(|path| can_write(path));
    if !reachable {
        kept |= spare;
    }
    set_capabilities(None, sets(kept, kept))?;
    Ok(Hold::Whole(names(kept)))
}

/// Whether a file or folder may be read as things stand.
pub(super) fn can_read(path: &Path) -> bool {
    let access = if path.is_dir() { Access::READ_OK | Access::EXEC_OK } else { Access::READ_OK };
    accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}

/// Whether files may be made in a folder as things stand.
fn can_write(path: &Path) -> bool {
    accessat(CWD, path, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

fn names(kept: CapabilitySet) -> String {
    let known = [
        (CapabilitySet::NET_RAW, "CAP_NET_RAW"),
        (CapabilitySet::DAC_OVERRIDE, "CAP_DAC_OVERRIDE"),
    ];
    let names: Vec<_> = known.iter().filter(|it| kept.contains(it.0)).map(|it| it.1).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
