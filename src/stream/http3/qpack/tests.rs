use super::*;
use crate::stream::http2::hpack::testing::{integer as push_integer, string};
use crate::stream::testing::{Cut, Rng};

const LIMIT: usize = 64 * 1024;

fn decoder(capacity: u64) -> Decoder {
    let mut decoder = Decoder::new(LIMIT, LIMIT);
    decoder.set_max_capacity(capacity);
    decoder
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Feeds the encoder stream while nothing waits.
fn encode(decoder: &mut Decoder, data: &[u8]) -> Result<(), Broken> {
    decoder.encoder_stream(data, u64::MAX).map(|used| assert_eq!(used, data.len()))
}

fn section(decoder: &Decoder, section: &[u8], must: bool) -> Result<FieldList, Blocked> {
    let mut fields = FieldList::new(LIMIT);
    decoder.section(section, must, &mut fields).map(|()| fields)
}

fn text(fields: &FieldList) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|field| format!("{}={}", text(field.name), text(field.value))).collect()
}

/// The encoder stream and field sections of RFC 9204 appendix B, in order.
#[test]
fn examples_of_the_appendix() {
    let mut decoder = decoder(220);
    // B.1: literal with name reference.
    let fields = section(&decoder, &hex("0000 510b 2f69 6e64 6578 2e68 746d 6c"), false).unwrap();
    assert_eq!(text(&fields), [":path=/index.html"]);

    // B.2: dynamic table. The section comes first and waits.
    let blocked = hex("0381 10 11");
    assert_eq!(section(&decoder, &blocked, false).err(), Some(Blocked { required: 2 }));
    let stream =
        "3fbd01 c00f 7777 772e 6578 616d 706c 652e 636f 6d c10c 2f73 616d 706c 652f 7061 7468";
    assert_eq!(encode(&mut decoder, &hex(stream)), Ok(()));
    assert_eq!(decoder.inserted(), 2);
    let fields = section(&decoder, &blocked, false).unwrap();
    assert_eq!(text(&fields), [":authority=www.example.com", ":path=/sample/path"]);

    // B.3: speculative insert.
    let stream = "4a63 7573 746f 6d2d 6b65 790c 6375 7374 6f6d 2d76 616c 7565";
    assert_eq!(encode(&mut decoder, &hex(stream)), Ok(()));

    // B.4: duplicate instruction, stream cancellation.
    assert_eq!(encode(&mut decoder, &hex("02")), Ok(()));
    let fields = section(&decoder, &hex("0500 80 c1 81"), false).unwrap();
    assert_eq!(text(&fields), [":authority=www.example.com", ":path=/", "custom-key=custom-value"]);

    // B.5: dynamic table insert, eviction.
    let stream = "810d 6375 7374 6f6d 2d76 616c 7565 32";
    assert_eq!(encode(&mut decoder, &hex(stream)), Ok(()));
    assert_eq!(decoder.inserted(), 5);
    assert_eq!(decoder.table.get(0), None);
    let newest = decoder.table.get(4).unwrap();
    assert_eq!((newest.name, newest.value), (&b"custom-key"[..], &b"custom-value2"[..]));
}

#[test]
fn how_the_encoder_stream_is_cut_does_not_matter() {
    let mut stream = hex("3fe11f");
    for number in 0..200u32 {
        let value = format!("value {number}");
        match number % 4 {
            0 => {
                push_integer(&mut stream, 0xc0, 6, number % 99);
                string(&mut stream, value.as_bytes(), number % 8 == 0);
            }
            1 => {
                push_integer(&mut stream, 0x40, 5, 4);
                stream.extend(b"name");
                string(&mut stream, value.as_bytes(), true);
            }
            2 => {
                push_integer(&mut stream, 0x80, 6, 1);
                string(&mut stream, value.as_bytes(), false);
            }
            _ => push_integer(&mut stream, 0, 5, 2),
        }
    }
    let mut whole = decoder(4096);
    assert_eq!(encode(&mut whole, &stream), Ok(()));
    assert_eq!(whole.inserted(), 200);
    for cut in Cut::all() {
        let mut decoder = decoder(4096);
        for piece in cut.pieces(&stream) {
            assert_eq!(encode(&mut decoder, piece), Ok(()));
        }
        assert_eq!(decoder.inserted(), 200, "{cut:?}");
        for index in 0..200 {
            assert_eq!(decoder.table.get(index), whole.table.get(index));
        }
    }
}

#[test]
fn the_encoder_stream_pauses_for_sections() {
    // Three entries, of which each evicts the one before.
    let stream = hex("3f21 41 6e 01 31 41 6e 01 32 3f03 41 6e 01 33");
    let reads = |cut: Cut, pause| {
        let mut decoder = decoder(4096);
        let mut used = 0;
        for piece in cut.pieces(&stream) {
            let now = decoder.encoder_stream(piece, pause).unwrap();
            used += now;
            if now < piece.len() || decoder.inserted() >= pause {
                break;
            }
        }
        (used, decoder.inserted(), decoder.partial.len())
    };
    for cut in Cut::all() {
        assert_eq!(reads(cut, 1), (6, 1, 0), "{cut:?}");
        assert_eq!(reads(cut, 2), (10, 2, 0), "{cut:?}");
        assert_eq!(reads(cut, 3), (16, 3, 0), "{cut:?}");
        assert_eq!(reads(cut, u64::MAX), (16, 3, 0), "{cut:?}");
    }
}

#[test]
fn insert_counts_wrap() {
    // Section 4.5.1.1: capacity 100, so three entries, so six counts.
    let mut decoder = decoder(100);
    encode(&mut decoder, &hex("3f45")).unwrap();
    for number in 0..10u8 {
        encode(&mut decoder, &[0x41, b'n', 1, b'0' + number]).unwrap();
    }
    assert_eq!(decoder.required(4), Some(9));
    assert_eq!(decoder.required(5), Some(10));
    assert_eq!(decoder.required(6), Some(11));
    assert_eq!(decoder.required(7), None);
    let fields = section(&decoder, &[4, 0, 0x80], false).unwrap();
    assert_eq!(text(&fields), ["n=8"]);
    // Post-base: base 9, the entry after it.
    let fields = section(&decoder, &[5, 0x80, 0x10, 0x00, 1, b'x'], false).unwrap();
    assert_eq!(text(&fields), ["n=9", "n=x"]);
    assert_eq!(section(&decoder, &[6, 0, 0x80], false).err(), Some(Blocked { required: 11 }));
}

#[test]
fn what_is_missing_is_left_out() {
    let mut lossy = decoder(4096);
    encode(&mut lossy, &hex("3fe11f 41 6e 01 31")).unwrap();
    // static 17, dynamic 0, literal a=b.
    let block = [3, 0, 0xd1, 0x81, 0x80, 0x21, b'a', 1, b'b'];
    assert_eq!(section(&lossy, &block, false).err(), Some(Blocked { required: 2 }));
    let fields = section(&lossy, &block, true).unwrap();
    assert_eq!(text(&fields), [":method=GET", "n=1", "a=b"]);
    assert_eq!((fields.unknown, fields.is_incomplete()), (1, true));
    lossy.lose();
    let fields = section(&lossy, &block, false).unwrap();
    assert_eq!(text(&fields), [":method=GET", "a=b"]);
    assert_eq!(fields.unknown, 2);
}

#[test]
fn a_section_that_is_cut_gives_what_is_whole() {
    let block = [0, 0, 0xd1, 0x21, b'a', 1, b'b'];
    for (len, expected) in [(0, 0), (1, 0), (2, 0), (3, 1), (5, 1), (7, 2)] {
        let fields = section(&decoder(0), &block[..len], true).unwrap();
        assert_eq!(fields.iter().count(), expected, "{len}");
    }
}

#[test]
fn bombs_are_bounded() {
    // One long entry, named by every byte of a section.
    let mut decoder = decoder(60_000);
    let mut stream = Vec::new();
    push_integer(&mut stream, 0x20, 5, 60_000);
    push_integer(&mut stream, 0x40, 5, 1);
    stream.push(b'n');
    push_integer(&mut stream, 0, 7, 50_000);
    stream.resize(stream.len() + 50_000, b'v');
    encode(&mut decoder, &stream).unwrap();
    assert_eq!(decoder.inserted(), 1);
    let mut block = vec![2, 0];
    block.resize(60_000, 0x80);
    let fields = section(&decoder, &block, false).unwrap();
    assert_eq!((fields.iter().count(), fields.dropped), (1, 1));

    // A string that is announced larger than any that is read.
    let mut decoder = self::decoder(4096);
    assert_eq!(encode(&mut decoder, &hex("416e 7fff ff")), Ok(()));
    assert_eq!(encode(&mut decoder, &hex("7f")), Err(Broken));
    assert!(decoder.is_lost() && decoder.partial.is_empty());
}

#[test]
fn any_bytes_are_taken() {
    let mut rng = Rng::new(7);
    for _ in 0..3000 {
        let mut decoder = decoder(rng.below(300) as u64);
        for _ in 0..rng.below(8) {
            let bytes: Vec<u8> = (0..rng.below(60)).map(|_| rng.next() as u8).collect();
            let _ = encode(&mut decoder, &bytes);
            assert!(decoder.partial.len() <= LIMIT * 2);
        }
        let block: Vec<u8> = (0..rng.below(60)).map(|_| rng.next() as u8).collect();
        let _ = section(&decoder, &block, rng.below(2) == 0);
    }
}
