//! Who talks to whom: private clients, servers in the networks kept for
//! benchmarks and documentation (RFC 2544, RFC 3849).

use super::random::Random;
use super::wire::Endpoint;

const CLIENTS: usize = 400;
const SERVERS: usize = 600;
const IPV6_PERMILLE: usize = 150;

/// A client with a fresh port and one of the servers, numbered so that names
/// can be made for it.
pub(crate) struct Route {
    pub(crate) client: Endpoint,
    pub(crate) server: Endpoint,
    pub(crate) site: usize,
}

pub(crate) fn route(random: &mut Random, port: u16) -> Route {
    let client = random.within(0..CLIENTS);
    let site = random.within(0..SERVERS);
    let client = Endpoint::v4([10, 20, (client >> 8) as u8, client as u8], ephemeral(random));
    let server = Endpoint::v4([198, 18, (site >> 8) as u8, site as u8], port);
    if random.permille(IPV6_PERMILLE) {
        Route { client: client.to_v6(), server: server.to_v6(), site }
    } else {
        Route { client, server, site }
    }
}

pub(crate) fn ephemeral(random: &mut Random) -> u16 {
    random.within(32_768..61_000) as u16
}

/// The name of a site. None says `mcp`.
pub(crate) fn host(site: usize) -> String {
    const LABELS: [&str; 12] = [
        "www", "cdn", "static", "api", "img", "shop", "news", "assets", "data", "media", "app",
        "files",
    ];
    format!("{}.site{}.example", LABELS[site % LABELS.len()], site / LABELS.len())
}
