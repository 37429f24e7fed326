//! Whether bytes are DNS, told cheaply: by the port and a sane header, on other
//! ports by the first question too (name servers in containers and stub
//! resolvers listen anywhere).

use super::message::HEADER_LEN;
use super::{DnsHeader, RecordType};

/// What the first bytes of a stream look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsProbe {
    /// DNS.
    Dns,
    /// More bytes are needed.
    Unsure,
    /// Not DNS.
    No,
}

/// Whether a datagram looks like DNS; `port` is the server's.
pub fn looks_like_dns(datagram: &[u8], port: u16) -> bool {
    let Some(header) = DnsHeader::read(datagram) else { return false };
    if is_dns_port(port) {
        // Four counts of records; an update has a zone for a question.
        return header.flags & 0x7800 <= 5 << 11 && has_records(&header);
    }
    is_strict(&header) && question(datagram) == DnsProbe::Dns
}

/// Whether the first bytes of one direction of a TCP connection look like DNS
/// after a message length; `port` is the server's. At most some 300 bytes are
/// needed.
pub fn probe_dns_stream(data: &[u8], port: u16) -> DnsProbe {
    let Some((len, message)) = data.split_first_chunk() else { return DnsProbe::Unsure };
    let len = usize::from(u16::from_be_bytes(*len));
    if len < HEADER_LEN {
        return DnsProbe::No;
    }
    let message = message.get(..len).unwrap_or(message);
    let Some(header) = DnsHeader::read(message) else { return DnsProbe::Unsure };
    if is_dns_port(port) {
        return if has_records(&header) { DnsProbe::Dns } else { DnsProbe::No };
    }
    if !is_strict(&header) {
        return DnsProbe::No;
    }
    match question(message) {
        DnsProbe::Unsure if message.len() == len => DnsProbe::No,
        probe => probe,
    }
}

/// DNS, multicast DNS, LLMNR.
const fn is_dns_port(port: u16) -> bool {
    matches!(port, 53 | 5353 | 5355)
}

const fn has_records(header: &DnsHeader) -> bool {
    header.questions | header.answers | header.authorities | header.additionals != 0
}

/// A standard query with one question, or a response to one.
const fn is_strict(header: &DnsHeader) -> bool {
    let must_be_zero = header.flags & 0x0040;
    header.opcode() == 0
        && must_be_zero == 0
        && header.questions == 1
        && header.additionals <= 64
        && header.answers <= 512
        && header.authorities <= 64
        && (header.is_response() || header.answers | header.authorities == 0)
}

/// Looks at the first question: printable labels, not compressed, a known type
/// and class IN.
fn question(message: &[u8]) -> DnsProbe {
    let Some(mut rest) = message.get(HEADER_LEN..) else { return DnsProbe::Unsure };
    let mut name_len = 0;
    while let Some((&len, after)) = rest.split_first() {
        let len = usize::from(len);
        name_len += 1 + len;
        if len > 63 || name_len > 255 {
            return DnsProbe::No;
        }
        if len == 0 {
            return type_and_class(after);
        }
        let (label, after) = after.split_at_checked(len).unwrap_or((after, &[]));
        if !label.iter().all(u8::is_ascii_graphic) {
            return DnsProbe::No;
        }
        rest = after;
    }
    DnsProbe::Unsure
}

fn type_and_class(bytes: &[u8]) -> DnsProbe {
    let [kind_high, kind_low, class_high, class_low, ..] = *bytes else { return DnsProbe::Unsure };
    let kind = RecordType(u16::from_be_bytes([kind_high, kind_low]));
    let is_known = matches!(kind.0, 1..=65) || kind == RecordType::ANY || kind.0 == 257;
    if is_known && [class_high, class_low] == [0, 1] { DnsProbe::Dns } else { DnsProbe::No }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::dns::samples::{self, Message};

    #[test]
    fn datagrams_are_told_apart() {
        let query = Message::query(1).question("mcp.example.com", 1).bytes();
        let announcement =
            Message::response(0).answer("_mcp._tcp.local", 12, 1, 120, b"\x01x\xc0\x0c").bytes();
        let stun = b"\x00\x01\x00\x00\x21\x12\xa4\x42transaction-id";
        let cases: [(&str, &[u8], u16, bool); 12] = [
            ("query", &query, 53, true),
            ("query, any port", &query, 41234, true),
            ("response, any port", &samples::https_response(), 41234, true),
            ("announcement", &announcement, 5353, true),
            ("no question, any port", &announcement, 41234, false),
            ("header alone", &query[..12], 53, true),
            ("header alone, any port", &query[..12], 41234, false),
            ("too short", &query[..11], 53, false),
            ("nothing in it", &[0; 12], 53, false),
            ("zeroes", &[0; 100], 41234, false),
            ("STUN", stun, 3478, false),
            ("text", b"GET /mcp HTTP/1.1\r\n\r\n", 41234, false),
        ];
        for (what, datagram, port, expected) in cases {
            assert_eq!(looks_like_dns(datagram, port), expected, "{what}");
        }
    }

    #[test]
    fn streams_are_told_apart_as_early_as_may_be() {
        let query = Message::query(1).question("mcp.example.com", 1).bytes();
        let framed = [&(query.len() as u16).to_be_bytes(), &query[..]].concat();
        for len in 0..=framed.len() {
            let expected = |enough| if len >= enough { DnsProbe::Dns } else { DnsProbe::Unsure };
            assert_eq!(probe_dns_stream(&framed[..len], 53), expected(14), "{len}");
            assert_eq!(probe_dns_stream(&framed[..len], 8053), expected(framed.len()), "{len}");
        }
        let cases: [(&str, &[u8]); 4] = [
            ("text", b"GET /mcp HTTP/1.1\r\n\r\n"),
            ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x01\x02\x03\x04"),
            ("length too short", b"\x00\x0b"),
            ("question longer than the message", &[&[0, 20], &framed[2..]].concat()),
        ];
        for (what, data) in cases {
            assert_eq!(probe_dns_stream(data, 8053), DnsProbe::No, "{what}");
        }
    }
}
