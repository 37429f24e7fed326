//! The network interfaces of this system.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

/// An address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address.
    pub ip: IpAddr,
    /// The length of the prefix.
    pub prefix: u8,
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// What `--interface` calls it.
    pub name: String,
    /// The system's number of it.
    pub index: u32,
    /// Its hardware address, as `00:00:5e:00:53:01`; not every interface has one.
    pub mac: Option<String>,
    /// Its network addresses; a span port has none.
    pub addresses: Vec<InterfaceAddress>,
    /// Whether it was brought up.
    pub up: bool,
    /// Whether it has a link: a cable, a peer.
    pub running: bool,
    /// Whether it leads back to this system.
    pub loopback: bool,
}

/// All interfaces, by their numbers.
pub fn interfaces() -> Vec<Interface> {
    let mut found = listed();
    found.sort_by_key(|interface| interface.index);
    found
}

/// The interface of that name.
pub fn interface(name: &str) -> Option<Interface> {
    listed().into_iter().find(|interface| interface.name == name)
}

/// How fast the link of a network card is, in Mbit/s; nothing where there is no link, no
/// card, or nobody says.
pub fn link_speed(name: &str) -> Option<u64> {
    cfg!(target_os = "linux").then(|| told_speed(&Path::new("/sys/class/net").join(name)))?
}

/// What Linux tells of an interface in its folder.
fn told_speed(folder: &Path) -> Option<u64> {
    // Interfaces that are only in the kernel have a speed too, which means nothing.
    if !folder.join("device").exists() {
        return None;
    }
    let text = std::fs::read_to_string(folder.join("speed")).ok()?;
    text.trim().parse().ok().filter(|speed| *speed > 0)
}

#[cfg(unix)]
fn listed() -> Vec<Interface> {
    let found = pnet_datalink::interfaces();
    found
        .into_iter()
        .map(|found| Interface {
            up: found.is_up(),
            running: found.is_running(),
            loopback: found.is_loopback(),
            index: found.index,
            mac: found.mac.map(|mac| mac.to_string()),
            addresses: found
                .ips
                .iter()
                .map(|network| InterfaceAddress { ip: network.ip(), prefix: network.prefix() })
                .collect(),
            name: found.name,
        })
        .collect()
}

#[cfg(not(unix))]
fn listed() -> Vec<Interface> {
    Vec::new()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_there() {
        let all = interfaces();
        let loopback = all.iter().find(|interface| interface.loopback).unwrap();
        assert_eq!(interface(&loopback.name).as_ref(), Some(loopback));
        assert_eq!(interface("no such interface"), None);
    }

    #[test]
    fn the_speed_is_that_of_a_card_with_a_link() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("speed"), "10000\n").unwrap();
        assert_eq!(told_speed(folder.path()), None);
        std::fs::create_dir(folder.path().join("device")).unwrap();
        for (text, speed) in [("10000\n", Some(10_000)), ("-1\n", None), ("0\n", None)] {
            std::fs::write(folder.path().join("speed"), text).unwrap();
            assert_eq!(told_speed(folder.path()), speed);
        }
        assert_eq!(link_speed("lo"), None);
        assert_eq!(link_speed("no such interface"), None);
    }
}
