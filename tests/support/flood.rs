//! Frames that are meant to wear a sensor out. Each flood comes from ever new
//! addresses, and leaves behind whatever a reader of its protocol must keep.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use brotli::enc::BrotliEncoderParams;

use super::corpus;
use super::packet::{self, ACK, IPV4, SYN, Segment, ethernet, ipv4, udp};
use super::wire::{Side, Wire};

const UDP: u8 = 17;
const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

/// One way to wear a sensor out.
pub(crate) struct Flood {
    pub(crate) name: &'static str,
    /// The frames of an attacker, by its number.
    pub(crate) frames: fn(u32) -> Vec<Vec<u8>>,
}

/// All of them.
pub(crate) const FLOODS: [Flood; 14] = [
    Flood { name: "connections that are never answered", frames: syn },
    Flood { name: "fragments of datagrams that never end", frames: fragments },
    Flood { name: "tiny segments behind holes", frames: tiny_segments },
    Flood { name: "streams of HTTP/2 that stay open", frames: half_open_http2 },
    Flood { name: "header sections without end", frames: endless_header },
    Flood { name: "chunked bodies without end", frames: endless_body },
    Flood { name: "requests that nobody answers", frames: unanswered },
    Flood { name: "compressed bodies with large windows", frames: large_windows },
    Flood { name: "ClientHellos", frames: client_hello },
    Flood { name: "first flights of QUIC", frames: quic },
    Flood { name: "names resolved", frames: names },
    Flood { name: "WebSocket messages without end", frames: websocket },
    Flood { name: "sessions on one connection", frames: sessions },
    Flood { name: "tools of one session", frames: tools },
];

/// The address of an attacker.
fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 | number & 0x00ff_ffff)
}

fn segment(number: u32, seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let segment = Segment {
        nanos: 0,
        macs: MACS,
        src: SocketAddr::from((address(number), 40_000)),
        dst: SocketAddr::from((SERVER, 80)),
        seq,
        ack: 0,
        flags,
        options: Vec::new(),
        payload: payload.to_vec(),
    };
    segment.frame().data
}

/// The frames of a connection from the attacker, on which `talk` is said.
fn connection(number: u32, talk: &[(Side, &[u8])]) -> Vec<Vec<u8>> {
    let mut wire = Wire::new();
    let mut connection = wire.connect(&address(number).to_string(), &format!("{SERVER}:80"));
    for (side, bytes) in talk {
        wire.send(&mut connection, *side, bytes);
    }
    wire.into_frames()
}

fn datagram(number: u32, src: u16, dst: u16, payload: &[u8]) -> Vec<Vec<u8>> {
    let datagram = udp(src, dst, payload);
    vec![ethernet(&MACS, IPV4, &ipv4(address(number), SERVER, UDP, 0, 0, &datagram))]
}

fn syn(number: u32) -> Vec<Vec<u8>> {
    vec![segment(number, number, SYN, &[])]
}

fn fragments(number: u32) -> Vec<Vec<u8>> {
    const MORE: u16 = 0x2000;
    let datagram = ipv4(address(number), SERVER, packet::TCP, number as u16, MORE, &[7; 1400]);
    vec![ethernet(&MACS, IPV4, &datagram)]
}

fn tiny_segments(number: u32) -> Vec<Vec<u8>> {
    let request = b"GET / HTTP/1.1\r\nHost: www.example.com\r\nAccept: text/html\r\n\r\n";
    let start = segment(number, 0, SYN, &[]);
    let pieces = request.iter().enumerate().skip(1).step_by(2);
    let pieces = pieces.map(|(at, byte)| segment(number, 1 + at as u32, ACK, &[*byte]));
    std::iter::once(start).chain(pieces).collect()
}

fn half_open_http2(number: u32) -> Vec<Vec<u8>> {
    const STREAMS: u32 = 40;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    // POST, https, and a path, into the dynamic table: literals of 200 bytes.
    let mut block = vec![0x83, 0x87, 0x44, 0x7f, 200 - 127];
    block.extend(format!("/{number:0199}").bytes());
    block.extend([0x40, 0x04]);
    block.extend(b"x-id");
    block.extend([0x7f, 200 - 127]);
    block.extend([b'v'; 200]);
    for stream in 0..STREAMS {
        let [.., a, b, c] = (block.len() as u32).to_be_bytes();
        bytes.extend([a, b, c, 1, 4]);
        bytes.extend((2 * stream + 1).to_be_bytes());
        bytes.extend(&block);
    }
    connection(number, &[(Side::Client, &bytes)])
}

fn endless_header(number: u32) -> Vec<Vec<u8>> {
    let mut bytes = b"GET / HTTP/1.1\r\nHost: www.example.com\r\n".to_vec();
    for line in 0..200 {
        bytes.extend(format!("X-Field-{line}: {number:0200}\r\n").bytes());
    }
    connection(number, &[(Side::Client, &bytes)])
}

fn endless_body(number: u32) -> Vec<Vec<u8>> {
    let body = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{number},\"method\":\"tools/call\",\"params\":{{\"name\":\"\
         shell\",\"arguments\":{{\"a\":{}\"{}",
        "[".repeat(200),
        "x".repeat(4000)
    );
    let head = b"POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("{:x}\r\n{body}\r\n", body.len());
    connection(number, &[(Side::Client, head), (Side::Client, chunk.as_bytes())])
}

fn unanswered(number: u32) -> Vec<Vec<u8>> {
    let request = format!(
        "GET /{number:0900}/mcp HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: {:0900}\r\n\r\n",
        number
    );
    connection(number, &[(Side::Client, request.repeat(16).as_bytes())])
}

fn large_windows(number: u32) -> Vec<Vec<u8>> {
    static BODIES: LazyLock<[(&str, Vec<u8>); 3]> = LazyLock::new(|| {
        let text: String = (0..40_000_u64)
            .map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect();
        let text = format!("{{\"jsonrpc\":\"2.0\",\"result\":\"{text}");
        let zstd = zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
        let mut br = Vec::new();
        let quick = BrotliEncoderParams { quality: 3, ..Default::default() };
        brotli::BrotliCompress(&mut text.as_bytes(), &mut br, &quick).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text.as_bytes()).unwrap();
        [("zstd", zstd), ("br", br), ("gzip", gzip.finish().unwrap())]
    });
    let (coding, body) = &BODIES[number as usize % BODIES.len()];
    let body = &body[..body.len().min(60_000)];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n");
    let ask = b"POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nContent-Length: 0\r\n\r\n";
    let talk: [(Side, &[u8]); 3] =
        [(Side::Client, ask), (Side::Server, head.as_bytes()), (Side::Server, body)];
    connection(number, &talk)
}

fn client_hello(number: u32) -> Vec<Vec<u8>> {
    let name = format!("host-{number}.example.com");
    let len = |len: usize| (len as u16).to_be_bytes();
    let mut sni = vec![0, 0];
    sni.extend(len(name.len() + 5));
    sni.extend(len(name.len() + 3));
    sni.push(0);
    sni.extend(len(name.len()));
    sni.extend(name.bytes());
    let mut hello = vec![3, 3];
    hello.extend([number as u8; 32]);
    hello.extend([0, 0, 2, 0x13, 1, 1, 0]);
    hello.extend(len(sni.len()));
    hello.extend(sni);
    let mut record = vec![22, 3, 1];
    record.extend(len(hello.len() + 4));
    record.extend([1, 0]);
    record.extend(len(hello.len()));
    record.extend(hello);
    connection(number, &[(Side::Client, &record)])
}

fn quic(number: u32) -> Vec<Vec<u8>> {
    static FLIGHT: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let frames = packet::read(&corpus::path("p-quic-h3-caddy.pcap"));
        let first = frames.iter().map(|frame| &frame.data).find(|data| data.len() > 1200);
        // Behind Ethernet, IPv4 and UDP.
        first.unwrap()[14 + 20 + 8..].to_vec()
    });
    datagram(number, 40_000, 443, &FLIGHT)
}

fn names(number: u32) -> Vec<Vec<u8>> {
    let mut message = vec![0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    let label = format!("host-{number:040}");
    for label in [label.as_str(), "example", "com", ""] {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    message.extend([0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4]);
    message.extend(address(!number).octets());
    datagram(number, 53, 40_000, &message)
}

fn websocket(number: u32) -> Vec<Vec<u8>> {
    let ask = b"GET /ws HTTP/1.1\r\nHost: mcp.example.com\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
        dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: \
        websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":{number},\"method\":\"tools/call\"");
    let mut coder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    coder.write_all(text.as_bytes()).unwrap();
    coder.flush().unwrap();
    let body = coder.get_ref();
    // A compressed text frame that is not the last of its message.
    let mut frame = vec![0x41, body.len() as u8];
    frame.extend(body);
    connection(number, &[(Side::Client, ask), (Side::Server, answer), (Side::Server, &frame)])
}

fn post(session: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nContent-Type: application/json\r\n\
         Mcp-Session-Id: {session}\r\nContent-Length: {len}\r\n\r\n{body}"
    )
}

fn sessions(number: u32) -> Vec<Vec<u8>> {
    let requests: String = (0..30)
        .map(|session| {
            let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;
            post(&format!("session-{number}-{session:0300}"), body)
        })
        .collect();
    connection(number, &[(Side::Client, requests.as_bytes())])
}

fn tools(number: u32) -> Vec<Vec<u8>> {
    let requests: String = (0..30)
        .map(|call| {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":"{call:0200}-{number}","method":"tools/call","params":{{"name":"tool-{number}-{call:0200}"}}}}"#
            );
            // Ten attackers share a session and an address.
            post(&format!("shared-{}", number / 10), &body)
        })
        .collect();
    connection(number, &[(Side::Client, requests.as_bytes())])
}
