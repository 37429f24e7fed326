//! Community ID version 1: a flow identifier that other tools compute alike,
//! to join findings with their logs.
//!
//! `1:` and the Base64 of a SHA-1 over seed, addresses, protocol, a zero and
//! ports, all in network byte order, the lower endpoint first (Corelight,
//! *Community ID Flow Hashing*, version 1).

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::five_tuple::{FlowKey, Side};

/// The Community ID of a flow; `seed` is 0 unless a site chose another.
pub fn community_id(key: &FlowKey, seed: u16) -> String {
    let (low, high) = (key.endpoint(Side::Low), key.endpoint(Side::High));
    let mut hash = Sha1::new();
    hash.update(seed.to_be_bytes());
    for ip in [low.ip(), high.ip()] {
        match ip {
            IpAddr::V4(ip) => hash.update(ip.octets()),
            IpAddr::V6(ip) => hash.update(ip.octets()),
        }
    }
    hash.update([key.protocol().number(), 0]);
    hash.update(low.port().to_be_bytes());
    hash.update(high.port().to_be_bytes());
    let mut id = String::from("1:");
    STANDARD.encode_string(hash.finalize(), &mut id);
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::five_tuple::Protocol;

    /// Published vectors of the specification's reference implementation.
    #[test]
    fn published_vectors() {
        let tcp = ("128.232.110.120:34855", "66.35.250.204:80");
        let udp = ("192.168.1.52:54585", "8.8.8.8:53");
        let tcp6 =
            ("[2001:470:e5bf:dead:4957:2174:e82c:4887]:63943", "[2607:f8b0:400c:c03::1a]:25");
        let cases = [
            (Protocol::Tcp, tcp, 0, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            (Protocol::Tcp, tcp, 1, "1:3V71V58M3Ksw/yuFALMcW0LAHvc="),
            (Protocol::Udp, udp, 0, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
            (Protocol::Udp, udp, 1, "1:Q9We8WO3piVF8yEQBNJF4uiSVrI="),
            (Protocol::Tcp, tcp6, 0, "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="),
        ];
        for (protocol, (a, b), seed, expected) in cases {
            let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(community_id(&FlowKey::new(protocol, a, b).0, seed), expected);
            assert_eq!(community_id(&FlowKey::new(protocol, b, a).0, seed), expected);
        }
    }
}
