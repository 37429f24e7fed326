//! An exchange in, the same contents as messages of a WebSocket out: the opening
//! handshake (RFC 6455 section 4), then a message from each side that has one.

use super::bytes;
use super::carrier::{Content, Http};
use super::wire::Side;

/// Stands for [`Content::coding`] of a message that is deflated (RFC 7692).
pub(super) const DEFLATE: &str = "permessage-deflate";

/// The example of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const PING: u8 = 9;
const FINAL: u8 = 0x80;
const DEFLATED: u8 = 0x40;

/// The handshake and the messages.
pub(super) fn turns(http: &Http) -> Vec<(Side, Vec<u8>)> {
    let [mut request, mut response] = bytes::heads(http);
    let pairs = [("Upgrade", "websocket"), ("Connection", "Upgrade")];
    for (name, value) in pairs {
        bytes::field(&mut request, http, name, value);
        bytes::field(&mut response, http, name, value);
    }
    bytes::field(&mut request, http, "Sec-WebSocket-Version", "13");
    bytes::field(&mut request, http, "Sec-WebSocket-Key", KEY);
    bytes::field(&mut response, http, "Sec-WebSocket-Accept", ACCEPT);
    if [&http.request, &http.response].iter().any(|content| content.coding.is_some()) {
        bytes::field(&mut request, http, "Sec-WebSocket-Extensions", DEFLATE);
        bytes::field(&mut response, http, "Sec-WebSocket-Extensions", DEFLATE);
    }
    request.extend_from_slice(b"\r\n");
    response.extend_from_slice(b"\r\n");
    let mut turns = vec![(Side::Client, request), (Side::Server, response)];
    for (side, content) in [(Side::Client, &http.request), (Side::Server, &http.response)] {
        if !content.body.is_empty() {
            turns.push((side, message(side, content)));
        }
    }
    turns
}

/// A text message, in fragments as long as chunks would be, with a control frame
/// between any two.
fn message(side: Side, content: &Content) -> Vec<u8> {
    let size = content.chunks.unwrap_or(content.body.len()).max(1);
    let mut out = Vec::new();
    let mut opcode = TEXT | if content.coding.is_some() { DEFLATED } else { 0 };
    let mut pieces = content.body.chunks(size).peekable();
    while let Some(piece) = pieces.next() {
        let last = pieces.peek().is_none();
        frame(&mut out, side, opcode | if last { FINAL } else { 0 }, piece);
        if !last {
            frame(&mut out, side, PING | FINAL, b"{");
        }
        opcode = CONTINUATION;
    }
    out
}

/// A frame (RFC 6455 section 5.2); those of clients are masked.
fn frame(out: &mut Vec<u8>, side: Side, first: u8, payload: &[u8]) {
    let masked = if side == Side::Client { 0x80 } else { 0 };
    out.push(first);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ ..126), _) => out.push(masked | len),
        (_, Ok(len)) => {
            out.push(masked | 126);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    if masked == 0 {
        return out.extend_from_slice(payload);
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}
