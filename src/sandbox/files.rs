//! Landlock: files and connections out of reach.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::{Hold, Sandbox};

/// The rights that are ruled: those of Linux 6.12. Older kernels rule what they know.
const ABI: ABI = ABI::V6;

/// What the system library and the metrics look at: memory and limits.
const SYSTEM: [&str; 2] = ["/proc", "/sys/fs/cgroup"];

/// The rules, with the folders opened; nothing is restricted yet.
pub(super) fn prepare(sandbox: &Sandbox) -> Result<RulesetCreated, RulesetError> {
    let net = match sandbox.connects {
        true => BitFlags::from(AccessNet::BindTcp),
        false => AccessNet::from_all(ABI),
    };
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI))?
        .handle_access(net)?
        .scope(Scope::from_all(ABI))?
        .create()?;
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let writing = reading
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::RemoveFile;
    let system = SYSTEM.map(PathBuf::from);
    let all = [
        (&sandbox.reads[..], reading),
        (&system[..], reading),
        (&sandbox.writes[..], writing),
        (&sandbox.folders[..], writing | AccessFs::MakeDir | AccessFs::RemoveDir),
        (&sandbox.removes[..], BitFlags::from(AccessFs::RemoveFile)),
    ];
    for (paths, access) in all {
        for path in paths {
            rules = allow(rules, path, access)?;
        }
    }
    Ok(rules)
}

/// What is not there cannot be allowed, nor be missed.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(path) else { return Ok(rules) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(ABI) };
    if access.is_empty() { Ok(rules) } else { rules.add_rule(PathBeneath::new(opened, access)) }
}

pub(super) fn restrict(rules: RulesetCreated) -> Result<Hold, RulesetError> {
    let status = rules.restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced, _) => Hold::default(),
        (_, LandlockStatus::NotImplemented) => Hold::Not("this kernel is without it".to_owned()),
        (_, LandlockStatus::NotEnabled) => {
            Hold::Not("this kernel was started without it".to_owned())
        }
        (RulesetStatus::PartiallyEnforced, LandlockStatus::Available { .. }) => {
            Hold::Part("this kernel knows fewer rights".to_owned())
        }
        (RulesetStatus::NotEnforced, LandlockStatus::Available { .. }) => {
            Hold::Not("this kernel knows no right of these".to_owned())
        }
    })
}
