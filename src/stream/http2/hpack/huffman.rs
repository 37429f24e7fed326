//! The Huffman code (RFC 7541 section 5.2 and appendix B), read four bits at a
//! time by a state machine that is worked out when the crate is compiled.
//!
//! The code is canonical: of two symbols the one with the shorter code, or of
//! equally long ones the smaller symbol, has the lesser code. So the lengths
//! tell all.

/// Symbols: all bytes, and the one that ends a string, which never stands in it.
const SYMBOLS: usize = 257;
const END: usize = 256;

/// Bits of the code of each symbol.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

const MAX_LENGTH: u8 = 30;

/// Inner nodes of the code's tree; one less than there are leaves.
const NODES: usize = SYMBOLS - 1;

/// What four bits do in a node of the tree.
#[derive(Clone, Copy)]
struct Step {
    next: u8,
    symbol: u8,
    emit: bool,
    /// The code of [`END`] was met.
    fail: bool,
}

struct Machine {
    steps: [[Step; 16]; NODES],
    /// Whether a string may end in a node: after less than a byte of the first
    /// bits of [`END`].
    may_end: [bool; NODES],
}

static MACHINE: Machine = machine();

/// A string that is not in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadHuffman;

/// Appends what `encoded` stands for: at most 8 bytes for 5.
pub(crate) fn decode(encoded: &[u8], out: &mut Vec<u8>) -> Result<(), BadHuffman> {
    let mut node = 0u8;
    for &byte in encoded {
        for nibble in [byte >> 4, byte & 0xf] {
            let step = MACHINE.steps[usize::from(node)][usize::from(nibble)];
            if step.emit {
                out.push(step.symbol);
            }
            if step.fail {
                return Err(BadHuffman);
            }
            node = step.next;
        }
    }
    if MACHINE.may_end[usize::from(node)] { Ok(()) } else { Err(BadHuffman) }
}

/// The codes, without leading zeros, by symbol.
const fn codes() -> [u32; SYMBOLS] {
    let mut codes = [0; SYMBOLS];
    let mut code = 0;
    let mut length = 1;
    while length <= MAX_LENGTH {
        code <<= 1;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] == length {
                codes[symbol] = code;
                code += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    codes
}

/// Children of inner nodes: 0 for none yet, an inner node (never the root), or
/// [`LEAF`] and a symbol.
type Tree = [[u16; 2]; NODES];
const LEAF: u16 = 0x8000;

const fn tree() -> Tree {
    let codes = codes();
    let mut tree = [[0; 2]; NODES];
    let mut nodes = 1;
    let mut symbol = 0;
    while symbol < SYMBOLS {
        let mut node = 0;
        let mut bit = LENGTHS[symbol] - 1;
        while bit > 0 {
            let side = (codes[symbol] >> bit & 1) as usize;
            if tree[node][side] == 0 {
                tree[node][side] = nodes;
                nodes += 1;
            }
            node = tree[node][side] as usize;
            bit -= 1;
        }
        tree[node][(codes[symbol] & 1) as usize] = LEAF | symbol as u16;
        symbol += 1;
    }
    tree
}

const fn machine() -> Machine {
    let tree = tree();
    let none = Step { next: 0, symbol: 0, emit: false, fail: false };
    let mut machine = Machine { steps: [[none; 16]; NODES], may_end: [false; NODES] };
    let mut node = 0;
    while node < NODES {
        let mut nibble = 0;
        while nibble < 16 {
            machine.steps[node][nibble] = step(&tree, node, nibble);
            nibble += 1;
        }
        node += 1;
    }
    let mut padding = 0;
    let mut node = 0;
    while padding < 8 {
        machine.may_end[node] = true;
        node = tree[node][1] as usize;
        padding += 1;
    }
    machine
}

/// The shortest code has 5 bits, so four bits end at most one.
const fn step(tree: &Tree, from: usize, nibble: usize) -> Step {
    let mut step = Step { next: 0, symbol: 0, emit: false, fail: false };
    let mut node = from;
    let mut bit = 4;
    while bit > 0 {
        bit -= 1;
        let child = tree[node][nibble >> bit & 1];
        if child & LEAF == 0 {
            node = child as usize;
            continue;
        }
        let symbol = (child & !LEAF) as usize;
        if symbol == END {
            step.fail = true;
            return step;
        }
        step.symbol = symbol as u8;
        step.emit = true;
        node = 0;
    }
    step.next = node as u8;
    step
}

#[cfg(test)]
pub(super) fn encode(text: &[u8]) -> Vec<u8> {
    let codes = codes();
    let (mut out, mut bits, mut count) = (Vec::new(), 0u64, 0u32);
    for &byte in text {
        let length = u32::from(LENGTHS[usize::from(byte)]);
        bits = bits << length | u64::from(codes[usize::from(byte)]);
        count += length;
        while count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    if count > 0 {
        out.push((bits << (8 - count)) as u8 | (0xff >> count));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::Rng;

    fn decoded(encoded: &[u8]) -> Result<Vec<u8>, BadHuffman> {
        let mut out = Vec::new();
        decode(encoded, &mut out).map(|()| out)
    }

    #[test]
    fn codes_of_the_appendix() {
        for (symbol, code) in [
            (0, 0x1ff8),
            (10, 0x3fff_fffc),
            (usize::from(b'0'), 0x0),
            (usize::from(b'a'), 0x3),
            (usize::from(b'z'), 0x7b),
            (usize::from(b'\\'), 0x7fff0),
            (255, 0x3ff_ffee),
            (END, 0x3fff_ffff),
        ] {
            assert_eq!(codes()[symbol], code, "symbol {symbol}");
        }
    }

    #[test]
    fn strings_of_the_appendix() {
        for (encoded, text) in [
            (
                &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..],
                "www.example.com",
            ),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x64, 0x02], "302"),
            (&[], ""),
        ] {
            assert_eq!(decoded(encoded).unwrap(), text.as_bytes());
            assert_eq!(encode(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn every_byte_survives() {
        let mut rng = Rng::new(7);
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&encode(&all)).unwrap(), all);
        for len in 0..200 {
            let text: Vec<u8> = (0..len).map(|_| rng.next() as u8).collect();
            assert_eq!(decoded(&encode(&text)).unwrap(), text);
        }
    }

    #[test]
    fn what_is_not_in_the_code() {
        for (name, encoded) in [
            ("a byte of padding", &[0x1f, 0xff][..]),
            ("only padding", &[0xff]),
            ("padding of zeros", &[0x18]),
            ("the end symbol", &[0xff, 0xff, 0xff, 0xff]),
            ("a cut code", &[0xfe]),
        ] {
            assert_eq!(decoded(encoded), Err(BadHuffman), "{name}");
        }
    }
}
