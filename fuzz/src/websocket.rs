//! WebSocket: what follows the handshake in both directions, with gaps, cut
//! anywhere.
//!
//! Input: a byte of options (its low bits choose the extensions; bit 6: the
//! answer was not seen; bit 7: messages are skipped), a seed for the cuts, then
//! steps (see `input.rs`).

use mcpwatch::stream::websocket::{WebSocket, WebSocketCounters, WebSocketLimits};

use super::compare::{same_counters, same_list};
use super::exchanges::Log;
use super::input::{Cut, Input, Step, steps};

const EXTENSIONS: [&[u8]; 6] = [
    b"",
    b"permessage-deflate",
    b"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    b"permessage-deflate; server_max_window_bits=9; client_max_window_bits=8",
    b"permessage-deflate; client_max_window_bits, permessage-deflate",
    b"x-unknown; a=b",
];

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (options, seed) = (input.byte(), input.byte());
    let steps = steps(input);
    let whole = read(&steps, Cut::Whole, options);
    for cut in Cut::others(seed) {
        let other = read(&steps, cut, options);
        same_list(&other.0, &whole.0, cut);
        same_counters(&other.1, &whole.1, WebSocketCounters::each, cut);
    }
}

fn read(steps: &[Step<'_>], cut: Cut, options: u8) -> (Vec<String>, WebSocketCounters) {
    let extensions = EXTENSIONS[usize::from(options & 0x3f) % EXTENSIONS.len()];
    let limits = WebSocketLimits { message_bytes: 1 << 20, ratio: 100 };
    let mut websocket = WebSocket::new(extensions, options & 0x40 == 0, limits);
    let mut log = Log::new(options & 0x80 != 0);
    for step in steps {
        match *step {
            Step::Data(direction, data) => {
                cut.pieces(data).for_each(|piece| websocket.feed(direction, piece, &mut log));
            }
            Step::Gap(direction, len) => websocket.gap(direction, len, &mut log),
            Step::End(direction) => websocket.end(direction, &mut log),
        }
    }
    websocket.close(&mut log);
    (log.finish(), *websocket.counters())
}
