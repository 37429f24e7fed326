//! Frames: each becomes one packet, or is skipped for one reason.
//!
//! Input: frames, each a byte that chooses the link type, a byte for the time
//! since the one before (low six bits, in seconds) and whether the snap length
//! cut it (bit 6: by a little, bit 7: by much), its length as a little-endian
//! number of two bytes, and its bytes.

use mcpwatch::capture::{Frame, LinkType, SourceId};
use mcpwatch::decode::{DecodeLimits, Decoder, Outcome};
use mcpwatch::time::Timestamp;

use super::input::Input;

const LINKS: [u32; 16] = [1, 101, 228, 229, 113, 276, 0, 108, 9, 12, 50, 51, 104, 219, 105, 9999];

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let limits = DecodeLimits { fragment_datagrams: 4, ..DecodeLimits::default() };
    let mut decoder = Decoder::new(limits);
    let mut number = 0;
    let mut seconds = 0;
    while !input.is_empty() {
        let link = LinkType(LINKS[usize::from(input.byte()) % LINKS.len()]);
        let options = input.byte();
        let bytes = input.sized();
        number += 1;
        seconds += i64::from(options & 0x3f);
        let snapped = u32::from(options >> 6) * u32::from(options >> 6) * 700;
        let frame = Frame {
            number,
            time: Timestamp::from_parts(seconds, 0),
            link,
            source: SourceId(0),
            data: bytes,
            original_len: bytes.len() as u32 + snapped,
        };
        check(&mut decoder, &frame);
    }
    decoder.finish();
}

fn check(decoder: &mut Decoder, frame: &Frame<'_>) {
    match decoder.decode(frame) {
        Outcome::Packet(packet) => {
            assert_eq!(packet.number, frame.number);
            let (inner, outer) = (packet.payload.as_ptr_range(), frame.data.as_ptr_range());
            assert!(outer.start <= inner.start && inner.end <= outer.end, "outside of its frame");
            assert!(packet.missing <= 0xffff_ffff - packet.payload.len() as u32);
        }
        Outcome::Reassembled(packet) => assert!(packet.payload.len() <= 0x1_0000),
        Outcome::Skipped(_) => {}
    }
    let counters = decoder.counters();
    assert_eq!((counters.frames, counters.outcomes()), (frame.number, frame.number));
}
