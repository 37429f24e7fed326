//! One message (RFC 1035 section 4), read once from front to back.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::record::{DnsAnswer, DnsData, DnsSection, DnsSink, RecordType};
use super::service::ServiceBinding;
use super::{DnsCounters, name};

/// The most questions and records of one message that are handed over.
pub const MAX_RECORDS: usize = 256;

/// Length of a message's header.
pub(super) const HEADER_LEN: usize = 12;

/// The class IN. The top bit of the class says something else in multicast DNS
/// (RFC 6762 sections 5.4 and 10.2) and is left out of the comparison.
const CLASS_IN: u16 = 1;
const CLASS_MASK: u16 = 0x7fff;

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsHeader {
    /// Identifier, which a response shares with its query.
    pub id: u16,
    /// Flags and codes, as sent.
    pub flags: u16,
    /// Number of questions.
    pub questions: u16,
    /// Number of records in the answer section.
    pub answers: u16,
    /// Number of records in the authority section.
    pub authorities: u16,
    /// Number of records in the additional section.
    pub additionals: u16,
}

impl DnsHeader {
    /// Reads the header of `message`; `None` if it is too short.
    pub fn read(message: &[u8]) -> Option<Self> {
        let (words, _) = message.get(..HEADER_LEN)?.as_chunks::<2>();
        let word = |index: usize| words.get(index).copied().map(u16::from_be_bytes);
        Some(Self {
            id: word(0)?,
            flags: word(1)?,
            questions: word(2)?,
            answers: word(3)?,
            authorities: word(4)?,
            additionals: word(5)?,
        })
    }

    /// Whether it is a response.
    pub const fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// The kind of query; 0 is a standard query.
    pub const fn opcode(&self) -> u8 {
        (self.flags >> 11 & 0x0f) as u8
    }

    /// Whether the sender cut the message (TC).
    pub const fn is_truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    /// The response code; 0 is no error, 3 a name that does not exist.
    pub const fn response_code(&self) -> u8 {
        (self.flags & 0x0f) as u8
    }
}

/// Why a message could not be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// It ends early.
    #[error("the message ends early")]
    Truncated,
    /// A label of a type that is not in use (RFC 6891 section 5).
    #[error("a label of unknown type")]
    BadLabel,
    /// A compression pointer that does not point backwards, or too many.
    #[error("a bad compression pointer")]
    BadPointer,
    /// A name longer than 255 bytes.
    #[error("a name is too long")]
    NameTooLong,
    /// A service binding that RFC 9460 has a client reject.
    #[error("a malformed service binding")]
    BadService,
}

/// Reads messages. One parser serves any number of flows: it holds buffers and
/// counters, and nothing of a message.
#[derive(Debug, Default)]
pub struct DnsParser {
    owner: String,
    target: String,
    pub(super) counters: DnsCounters,
}

impl DnsParser {
    /// A parser.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was counted so far.
    pub const fn counters(&self) -> &DnsCounters {
        &self.counters
    }

    /// Reads a message: a datagram, or a message of a TCP stream without its
    /// length. What comes before an error is handed over.
    pub fn message<S: DnsSink + ?Sized>(
        &mut self,
        message: &[u8],
        sink: &mut S,
    ) -> Result<DnsHeader, DnsError> {
        let Some(header) = DnsHeader::read(message) else {
            self.counters.damaged_messages += 1;
            return Err(DnsError::Truncated);
        };
        self.counters.messages += 1;
        self.counters.responses += u64::from(header.is_response());
        self.counters.marked_truncated += u64::from(header.is_truncated());
        if header.opcode() != 0 {
            self.counters.other_opcodes += 1;
            return Ok(header);
        }
        sink.message(&header);
        let result = self.sections(&header, message, sink);
        self.counters.capped_messages += u64::from(result == Ok(Walk::Capped));
        self.counters.damaged_messages += u64::from(result.is_err());
        sink.message_end(result == Ok(Walk::Complete));
        result.map(|_| header)
    }

    fn sections<S: DnsSink + ?Sized>(
        &mut self,
        header: &DnsHeader,
        message: &[u8],
        sink: &mut S,
    ) -> Result<Walk, DnsError> {
        let mut at = HEADER_LEN;
        let mut room = MAX_RECORDS;
        for _ in 0..header.questions {
            if room == 0 {
                return Ok(Walk::Capped);
            }
            at = self.question(message, at, sink)?;
            room -= 1;
        }
        for (section, count) in [
            (Some(DnsSection::Answer), header.answers),
            (None, header.authorities),
            (Some(DnsSection::Additional), header.additionals),
        ] {
            for _ in 0..count {
                let Some(section) = section else {
                    at = Fixed::read(message, name::skip(message, at)?)?.end;
                    continue;
                };
                if room == 0 {
                    return Ok(Walk::Capped);
                }
                at = self.record(message, at, section, sink)?;
                room -= 1;
            }
        }
        Ok(Walk::Complete)
    }

    fn question<S: DnsSink + ?Sized>(
        &mut self,
        message: &[u8],
        at: usize,
        sink: &mut S,
    ) -> Result<usize, DnsError> {
        let at = name::read(message, at, &mut self.owner)?;
        let kind = RecordType(word(message, at)?);
        if word(message, at + 2)? & CLASS_MASK == CLASS_IN {
            self.counters.records += 1;
            sink.question(&self.owner, kind);
        }
        Ok(at + 4)
    }

    fn record<S: DnsSink + ?Sized>(
        &mut self,
        message: &[u8],
        at: usize,
        section: DnsSection,
        sink: &mut S,
    ) -> Result<usize, DnsError> {
        let at = name::read(message, at, &mut self.owner)?;
        let fixed = Fixed::read(message, at)?;
        if fixed.class & CLASS_MASK != CLASS_IN || fixed.kind == RecordType::OPT {
            return Ok(fixed.end);
        }
        match data(message, &fixed, &mut self.target) {
            Ok(data) => {
                self.counters.records += 1;
                let Fixed { kind, ttl, .. } = fixed;
                sink.answer(&DnsAnswer { owner: &self.owner, section, kind, ttl, data });
            }
            Err(_) => self.counters.malformed_records += 1,
        }
        Ok(fixed.end)
    }
}

/// How a walk through a message ended, if not by an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    Complete,
    Capped,
}

/// A resource record's fields after its owner.
struct Fixed {
    kind: RecordType,
    class: u16,
    ttl: u32,
    /// Offsets of the data and of what follows it.
    data: usize,
    end: usize,
}

impl Fixed {
    fn read(message: &[u8], at: usize) -> Result<Self, DnsError> {
        let data = at + 10;
        let end = data + usize::from(word(message, at + 8)?);
        if end > message.len() {
            return Err(DnsError::Truncated);
        }
        let ttl = u32::from(word(message, at + 4)?) << 16 | u32::from(word(message, at + 6)?);
        Ok(Self {
            kind: RecordType(word(message, at)?),
            class: word(message, at + 2)?,
            // A TTL with its top bit set is 0 (RFC 2181 section 8).
            ttl: i32::try_from(ttl).map_or(0, |_| ttl),
            data,
            end,
        })
    }
}

fn data<'a>(
    message: &'a [u8],
    fixed: &Fixed,
    target: &'a mut String,
) -> Result<DnsData<'a>, DnsError> {
    let bytes = message.get(fixed.data..fixed.end).ok_or(DnsError::Truncated)?;
    match fixed.kind {
        RecordType::A => Ok(DnsData::Ipv4(Ipv4Addr::from(exact(bytes)?))),
        RecordType::AAAA => Ok(DnsData::Ipv6(Ipv6Addr::from(exact::<16>(bytes)?))),
        RecordType::CNAME => match name::read(message, fixed.data, target)? {
            after if after == fixed.end => Ok(DnsData::Alias(target)),
            _ => Err(DnsError::Truncated),
        },
        RecordType::SVCB | RecordType::HTTPS => {
            ServiceBinding::read(message, fixed.data, bytes.len(), target).map(DnsData::Service)
        }
        _ => Ok(DnsData::Other),
    }
}

fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N], DnsError> {
    bytes.try_into().map_err(|_| DnsError::Truncated)
}

fn word(message: &[u8], at: usize) -> Result<u16, DnsError> {
    let bytes = message.get(at..).and_then(|rest| rest.first_chunk()).ok_or(DnsError::Truncated)?;
    Ok(u16::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::dns::samples::{self, Message, Seen};
    use crate::stream::testing::Rng;

    fn read(message: &[u8]) -> (Seen, Result<DnsHeader, DnsError>, DnsCounters) {
        let mut parser = DnsParser::new();
        let mut seen = Seen::default();
        let result = parser.message(message, &mut seen);
        (seen, result, *parser.counters())
    }

    #[test]
    fn a_response_is_read() {
        let (seen, header, counters) = read(&samples::cdn_response());
        let header = header.unwrap();
        assert_eq!((header.id, header.is_response(), header.response_code()), (0x1234, true, 0));
        assert_eq!(
            seen.lines,
            [
                "message 1234 response",
                "? mcp.example.com 1",
                "Answer mcp.example.com 5 300 alias b.cdn.test",
                "Answer b.cdn.test 1 60 192.0.2.1",
                "Answer b.cdn.test 1 60 192.0.2.2",
                "end true",
            ]
        );
        let expected =
            DnsCounters { messages: 1, responses: 1, records: 4, ..DnsCounters::default() };
        assert_eq!(counters, expected);
    }

    #[test]
    fn a_service_binding_is_read() {
        let (seen, ..) = read(&samples::https_response());
        assert_eq!(
            seen.lines,
            [
                "message 0007 response",
                "? mcp.example.com 65",
                "Answer mcp.example.com 65 300 service 1 \"\" alpn [h3,h2] port None \
                 hints [104.16.1.1,2606:4700::1] ech true",
                "end true",
            ]
        );
    }

    #[test]
    fn a_query_with_options_is_read() {
        let message = Message::query(9)
            .question("Api.Example.COM", 28)
            .additional("", 41, 4096, 0, b"")
            .bytes();
        let (seen, ..) = read(&message);
        assert_eq!(seen.lines, ["message 0009 query", "? api.example.com 28", "end true"]);
    }

    #[test]
    fn multicast_dns_sets_the_top_bit_of_the_class() {
        let message = Message::response(0)
            .answer("_mcp._tcp.local", 12, 0x0001, 120, b"\x01x\xc0\x0c")
            .additional("Living Room.local", 1, 0x8001, 120, &[192, 168, 0, 9])
            .bytes();
        let (seen, ..) = read(&message);
        assert_eq!(
            seen.lines,
            [
                "message 0000 response",
                "Answer _mcp._tcp.local 12 120 other",
                r"Additional living\032room.local 1 120 192.168.0.9",
                "end true",
            ]
        );
    }

    #[test]
    fn authority_other_classes_and_malformed_data_are_passed_over() {
        let message = Message::response(1)
            .question("a.test", 1)
            .answer("a.test", 1, 3, 60, &[1, 2, 3, 4])
            .answer("a.test", 1, 1, 60, &[1, 2, 3])
            .answer("a.test", 5, 1, 60, b"\x01b\x00junk")
            .answer("a.test", 65, 1, 60, b"\x00")
            .answer("a.test", 1, 1, 0x8000_0001, &[192, 0, 2, 1])
            .authority("test", 2, 1, 60, b"\x02ns\xc0\x0c")
            .additional("ns.test", 1, 1, 60, &[192, 0, 2, 53])
            .bytes();
        let (seen, _, counters) = read(&message);
        assert_eq!(
            seen.lines,
            [
                "message 0001 response",
                "? a.test 1",
                "Answer a.test 1 0 192.0.2.1",
                "Additional ns.test 1 60 192.0.2.53",
                "end true",
            ]
        );
        assert_eq!(counters.malformed_records, 3);
    }

    #[test]
    fn other_opcodes_are_counted_and_left_alone() {
        let mut message = samples::cdn_response();
        message[2] |= 5 << 3;
        let (seen, header, counters) = read(&message);
        assert_eq!(header.unwrap().opcode(), 5);
        assert!(seen.lines.is_empty());
        assert_eq!(counters.other_opcodes, 1);
    }

    #[test]
    fn every_prefix_hands_over_a_prefix() {
        for message in samples::all() {
            let (whole, ..) = read(&message);
            for len in 0..message.len() {
                let (seen, result, counters) = read(&message[..len]);
                assert_eq!(result, Err(DnsError::Truncated), "{len}");
                assert_eq!(counters.damaged_messages, 1);
                let before_end = &seen.lines[..seen.lines.len().saturating_sub(1)];
                assert!(whole.lines.starts_with(before_end), "{len}: {:?}", seen.lines);
                assert_eq!(
                    seen.lines.last().map(String::as_str),
                    (len >= 12).then_some("end false")
                );
            }
        }
    }

    #[test]
    fn records_are_capped() {
        let mut message = Message::response(1).question("a.test", 1);
        for _ in 0..MAX_RECORDS {
            message = message.answer("a.test", 1, 1, 60, &[192, 0, 2, 1]);
        }
        let (seen, result, counters) = read(&message.bytes());
        assert!(result.is_ok());
        assert_eq!(seen.lines.len(), MAX_RECORDS + 2);
        assert_eq!(seen.lines.last().unwrap(), "end false");
        assert_eq!((counters.records, counters.capped_messages), (MAX_RECORDS as u64, 1));
    }

    #[test]
    fn any_bytes_are_taken() {
        let mut rng = Rng::new(53);
        let mut parser = DnsParser::new();
        let mut seen = Seen::default();
        for round in 0..20_000 {
            let mut message = match round % 4 {
                0 => (0..rng.below(80)).map(|_| rng.next() as u8).collect(),
                kind => samples::all()[kind % 2].clone(),
            };
            rng.mutate(&mut message);
            seen.lines.clear();
            let _ = parser.message(&message, &mut seen);
            assert!(seen.lines.len() <= MAX_RECORDS + 2);
            assert!(seen.lines.iter().all(|line| line.len() < 3000 && line.is_ascii()));
        }
    }
}
