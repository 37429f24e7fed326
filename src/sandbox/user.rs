//! Whom a process goes on as: a name or numbers in, the numbers changed.
//!
//! Names are looked for in the system's own files, not where the Name Service Switch
//! leads to: that would load libraries into a process that still has all rights.

use std::fmt;
use std::fs;
use std::str::FromStr;

use rustix::thread::{
    Gid, Uid, set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// The largest number of a user or group; the one above means "none".
const MAX_ID: u32 = u32::MAX - 1;

/// A user, with the groups that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: String,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

/// Why a user is not known or cannot be changed to.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is none of that name.
    #[error("`{0}` is not a user; give a name of /etc/passwd, or UID:GID")]
    Unknown(String),
    /// The system's files cannot be read.
    #[error("{0}: {1}")]
    Unreadable(&'static str, std::io::Error),
    /// The system refused.
    #[error("cannot go on as {0}: {1}; only root can")]
    Refused(String, std::io::Error),
}

impl User {
    /// Finds the user that a name, or `UID:GID`, means.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(name: &str) -> Result<Self, UserError> {
        let unknown = || UserError::Unknown(name.to_owned());
        if let Some((uid, gid)) = name.split_once(':') {
            let (uid, gid) = (id(uid).ok_or_else(unknown)?, id(gid).ok_or_else(unknown)?);
            return Ok(Self { name: name.to_owned(), uid, gid, groups: vec![gid] });
        }
        let read = |path| fs::read(path).map_err(|error| UserError::Unreadable(path, error));
        let passwords = read("/etc/passwd")?;
        // Without the file of groups there is the user's own.
        let groups = fs::read("/etc/group").unwrap_or_default();
        let [passwords, groups] =
            [&passwords, &groups].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        Self::among(name, &passwords, &groups).ok_or_else(unknown)
    }

    fn among(name: &str, passwords: &str, groups: &str) -> Option<Self> {
        let mut users = passwords.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let user = users.find(|fields| fields.first() == Some(&name) && !name.is_empty())?;
        let number = |index| user.get(index).copied().and_then(id);
        let (uid, gid) = (number(2)?, number(3)?);
        let mut all = vec![gid];
        for line in groups.lines() {
            let mut fields = line.split(':').skip(2);
            let (Some(group), Some(members)) = (fields.next().and_then(id), fields.next()) else {
                continue;
            };
            if members.split(',').any(|member| member.trim() == name) && !all.contains(&group) {
                all.push(group);
            }
        }
        Some(Self { name: name.to_owned(), uid, gid, groups: all })
    }

    /// Goes on as this user, with the capabilities that there are.
    pub(super) fn switch(&self) -> Result<(), UserError> {
        self.try_switch().map_err(|error| UserError::Refused(self.to_string(), error.into()))
    }

    fn try_switch(&self) -> rustix::io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let groups: Vec<Gid> = self.groups.iter().copied().map(Gid::from_raw).collect();
        set_keep_capabilities(true)?;
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, uid, gid, .. } = self;
        if name.contains(':') { f.write_str(name) } else { write!(f, "{name}, {uid}:{gid}") }
    }
}

fn id(text: &str) -> Option<u32> {
    u32::from_str(text).ok().filter(|&id| id <= MAX_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORDS: &str = "root:x:0:0:root:/root:/bin/sh\nsensor:x:990:980::/:/bin/false\nodd\n";
    const GROUPS: &str = "root:x:0:\nkeys:x:50:other,sensor\nsensor:x:980:sensor\nodd:x\n";

    #[test]
    fn names_and_numbers() {
        let user = User::among("sensor", PASSWORDS, GROUPS).unwrap();
        assert_eq!((user.uid, user.gid, &user.groups[..]), (990, 980, &[980, 50][..]));
        assert_eq!(user.to_string(), "sensor, 990:980");
        for unknown in ["", "odd", "sens", "990"] {
            assert_eq!(User::among(unknown, PASSWORDS, GROUPS), None, "{unknown}");
        }
        let user = User::find("7:8").unwrap();
        assert_eq!((user.uid, user.gid, &user.groups[..]), (7, 8, &[8][..]));
        assert_eq!(user.to_string(), "7:8");
        for wrong in ["7:", ":8", "a:b", "4294967295:1", "-1:1", "1:2:3"] {
            assert!(User::find(wrong).is_err(), "{wrong}");
        }
    }
}
