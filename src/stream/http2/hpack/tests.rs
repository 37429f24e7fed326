//! The examples of RFC 7541 appendix C, an independent decoder, and losses.

use super::*;
use crate::stream::testing::{Cut, Rng};

const STRING_BYTES: usize = 1 << 16;

fn decoder() -> Decoder {
    Decoder::new(1 << 16, STRING_BYTES)
}

fn fields_of(list: &FieldList) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    list.iter().map(|field| (text(field.name), text(field.value))).collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> (Vec<(String, String)>, FieldList) {
    let mut list = FieldList::new(1 << 20);
    assert_eq!(decoder.decode(block, &mut list), Ok(block.len()));
    (fields_of(&list), list)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.bytes().filter_map(|digit| char::from(digit).to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Blocks that follow each other, with their fields.
fn check(name: &str, table_size: Option<u32>, blocks: &[(&str, &[(&str, &str)])]) {
    let mut decoder = decoder();
    if let Some(size) = table_size {
        decoder.table.resize(size);
    }
    for (block, expected) in blocks {
        let (fields, list) = decode(&mut decoder, &hex(block));
        let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(fields, *expected, "{name}");
        assert!(!list.is_incomplete(), "{name}");
    }
}

const REQUESTS: [&[(&str, &str)]; 3] = [
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
        ("cache-control", "no-cache"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ],
];

const RESPONSES: [&[(&str, &str)]; 3] = [
    &[
        (":status", "302"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "307"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "200"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
        ("location", "https://www.example.com"),
        ("content-encoding", "gzip"),
        ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    ],
];

#[test]
fn examples_of_the_appendix() {
    check(
        "C.2.1",
        None,
        &[(
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            &[("custom-key", "custom-header")],
        )],
    );
    check("C.2.2", None, &[("040c 2f73 616d 706c 652f 7061 7468", &[(":path", "/sample/path")])]);
    check(
        "C.2.3",
        None,
        &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &[("password", "secret")])],
    );
    check("C.2.4", None, &[("82", &[(":method", "GET")])]);
    check(
        "C.3",
        None,
        &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", REQUESTS[0]),
            ("8286 84be 5808 6e6f 2d63 6163 6865", REQUESTS[1]),
            (
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                REQUESTS[2],
            ),
        ],
    );
    check(
        "C.4",
        None,
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", REQUESTS[0]),
            ("8286 84be 5886 a8eb 1064 9cbf", REQUESTS[1]),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", REQUESTS[2]),
        ],
    );
    check(
        "C.5",
        Some(256),
        &[
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
                 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
                 6c65 2e63 6f6d",
                RESPONSES[0],
            ),
            ("4803 3330 37c1 c0bf", RESPONSES[1]),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
                 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
                 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
                 3d31",
                RESPONSES[2],
            ),
        ],
    );
    check(
        "C.6",
        Some(256),
        &[
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
                 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                RESPONSES[0],
            ),
            ("4883 640e ffc1 c0bf", RESPONSES[1]),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
                 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
                 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                RESPONSES[2],
            ),
        ],
    );
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Writes valid blocks at random, with all kinds of fields, references into
/// both tables, and changes of size.
struct RandomBlocks {
    rng: Rng,
    /// The dynamic table, newest first, written as plainly as can be.
    table: Fields,
    capacity: usize,
}

impl RandomBlocks {
    fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), table: Vec::new(), capacity: 4096 }
    }

    fn block(&mut self) -> (Vec<u8>, Fields) {
        let mut block = Vec::new();
        let mut fields = Vec::new();
        if self.rng.below(8) == 0 {
            self.capacity = self.rng.below(4097);
            testing::integer(&mut block, 0x20, 5, self.capacity as u32);
            self.evict();
        }
        for _ in 0..1 + self.rng.below(8) {
            let index = 1 + self.rng.below(61 + self.table.len());
            if self.rng.below(4) == 0 {
                testing::indexed(&mut block, index as u32);
                fields.push(self.entry(index));
                continue;
            }
            let index = if self.rng.below(2) == 0 { index } else { 0 };
            let name = if index == 0 { self.text() } else { self.entry(index).0 };
            let value = self.text();
            let (insert, coded) = (self.rng.below(2) == 0, self.rng.below(2) == 0);
            testing::literal(&mut block, insert, index as u32, &name, &value, coded);
            fields.push((name.clone(), value.clone()));
            if insert {
                self.table.insert(0, (name, value));
                self.evict();
            }
        }
        (block, fields)
    }

    fn text(&mut self) -> Vec<u8> {
        let long = self.rng.below(20) == 0;
        let len = self.rng.below(if long { 2000 } else { 12 });
        (0..len).map(|_| b"abz019-/;=\xffT"[self.rng.below(12)]).collect()
    }

    fn entry(&self, index: usize) -> (Vec<u8>, Vec<u8>) {
        match STATIC_TABLE.get(index - 1) {
            Some((name, value)) => (name.to_vec(), value.to_vec()),
            None => self.table[index - 1 - STATIC_TABLE.len()].clone(),
        }
    }

    fn evict(&mut self) {
        let size = |table: &Fields| -> usize {
            table.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
        };
        while size(&self.table) > self.capacity {
            self.table.pop();
        }
    }
}

/// Decodes a block that comes in pieces, as the parser does.
fn decode_in_pieces(decoder: &mut Decoder, block: &[u8], cut: Cut) -> (Fields, FieldList) {
    let mut list = FieldList::new(1 << 20);
    let mut carried = Vec::new();
    for piece in cut.pieces(block) {
        carried.extend_from_slice(piece);
        let used = decoder.decode(&carried, &mut list).unwrap();
        carried.drain(..used);
    }
    assert!(carried.is_empty());
    (list.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect(), list)
}

#[test]
fn agrees_with_another_decoder() {
    for seed in 0..24 {
        let mut blocks = RandomBlocks::new(seed);
        let mut other = loona_hpack::Decoder::new();
        let mut ours = decoder();
        let cut = Cut::all().nth(seed as usize % 8).unwrap();
        for _ in 0..60 {
            let (block, fields) = blocks.block();
            assert_eq!(other.decode(&block).unwrap(), fields);
            let (decoded, list) = decode_in_pieces(&mut ours, &block, cut);
            assert_eq!(decoded, fields, "seed {seed}");
            assert!(!list.is_incomplete());
        }
    }
}

#[test]
fn damaged_blocks_that_another_decoder_takes_are_read_alike() {
    let mut taken = 0;
    for seed in 0..120 {
        let mut blocks = RandomBlocks::new(seed);
        let mut other = loona_hpack::Decoder::new();
        let mut ours = decoder();
        let mut rng = Rng::new(seed + 1000);
        for _ in 0..20 {
            let (mut block, _) = blocks.block();
            if rng.below(3) == 0 {
                rng.mutate(&mut block);
            }
            let Ok(expected) = other.decode(&block) else { break };
            let (decoded, list) = decode_in_pieces(&mut ours, &block, Cut::Whole);
            assert_eq!(decoded, expected, "seed {seed}");
            assert!(!list.is_incomplete());
            taken += 1;
        }
    }
    assert!(taken > 300, "{taken}");
}

#[test]
fn after_a_loss_what_is_read_is_right() {
    let (mut read, mut unknown) = (0, 0);
    for seed in 0..30 {
        let mut blocks = RandomBlocks::new(seed);
        let mut ours = decoder();
        let mut rng = Rng::new(seed);
        for _ in 0..60 {
            let (block, fields) = blocks.block();
            if rng.below(6) == 0 {
                ours.lose();
                continue;
            }
            let (decoded, list) = decode_in_pieces(&mut ours, &block, Cut::Whole);
            assert_eq!(list.invalid, 0);
            assert_eq!(decoded.len() as u64 + list.unknown, fields.len() as u64);
            let mut rest = fields.iter();
            assert!(decoded.iter().all(|field| rest.any(|other| other == field)), "seed {seed}");
            read += decoded.len();
            unknown += list.unknown;
        }
    }
    assert!(read > 1000 && unknown > 100, "{read} read, {unknown} unknown");
}

#[test]
fn fields_that_cannot_be_read_are_left_out() {
    let mut decoder = decoder();
    let mut block = vec![0x82, 0x80, 0xff, 0x00];
    // A value that is not in the Huffman code, added to the table.
    block.extend_from_slice(&[0x40, 1, b'a', 0x81, 0xff]);
    testing::literal(&mut block, true, 0, b"b", b"2", false);
    testing::indexed(&mut block, 62);
    testing::indexed(&mut block, 63);
    testing::indexed(&mut block, 64);
    let (fields, list) = decode(&mut decoder, &block);
    let expected = [(":method", "GET"), ("b", "2"), ("b", "2")];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    // Index 0, no entry 127, the value, no entry 64; and a reference to the
    // entry with that value.
    assert_eq!((list.invalid, list.unknown), (4, 1));
}

#[test]
fn what_breaks_a_block() {
    for (name, block) in [
        ("an index over 32 bits", &[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f][..]),
        ("a string over the cap", &[0x00, 0x7f, 0xff, 0xff, 0x7f]),
        ("a size over 32 bits", &[0x3f, 0xff, 0xff, 0xff, 0xff, 0x7f]),
    ] {
        let mut decoder = decoder();
        let mut list = FieldList::new(4096);
        let mut known = Vec::new();
        testing::literal(&mut known, true, 0, b"a", b"1", false);
        assert_eq!(decoder.decode(&known, &mut list), Ok(known.len()));
        assert_eq!(decoder.decode(block, &mut list), Err(Broken), "{name}");
        assert_eq!(decoder.decode(&[0xbe], &mut list), Ok(1));
        assert_eq!((list.iter().count(), list.unknown), (1, 1), "{name}: the table is lost");
    }
}

#[test]
fn a_bomb_fills_no_more_than_the_list() {
    let mut decoder = decoder();
    let mut list = FieldList::new(64 * 1024);
    let mut block = Vec::new();
    testing::literal(&mut block, true, 0, b"a", &[b'x'; 4000], false);
    block.resize(block.len() + 100_000, 0xbe);
    assert_eq!(decoder.decode(&block, &mut list), Ok(block.len()));
    assert_eq!(list.iter().count(), 16);
    assert_eq!(list.dropped, 100_001 - 16);
}

#[test]
fn any_bytes() {
    let mut rng = Rng::new(11);
    for _ in 0..3000 {
        let mut decoder = Decoder::new(512, 256);
        let mut list = FieldList::new(1024);
        let block: Vec<u8> = (0..rng.below(400)).map(|_| rng.next() as u8).collect();
        let mut carried = Vec::new();
        for piece in Cut::Random(rng.next()).pieces(&block) {
            carried.extend_from_slice(piece);
            let Ok(used) = decoder.decode(&carried, &mut list) else { break };
            carried.drain(..used);
            assert!(carried.len() <= 2 * 256 + 12 + 40);
        }
        assert!(list.iter().map(|f| f.name.len() + f.value.len() + 32).sum::<usize>() <= 1024);
    }
}
