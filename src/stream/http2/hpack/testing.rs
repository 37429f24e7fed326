//! A plain encoder for tests: it writes what it is told to.

use super::huffman;

/// An integer with the bits before its prefix.
pub(crate) fn integer(out: &mut Vec<u8>, before: u8, prefix: u32, value: u32) {
    let mask = (1u32 << prefix) - 1;
    if value < mask {
        out.push(before | value as u8);
        return;
    }
    out.push(before | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A string, in the Huffman code or not.
pub(crate) fn string(out: &mut Vec<u8>, text: &[u8], coded: bool) {
    if coded {
        let text = huffman::encode(text);
        integer(out, 0x80, 7, text.len() as u32);
        out.extend_from_slice(&text);
    } else {
        integer(out, 0, 7, text.len() as u32);
        out.extend_from_slice(text);
    }
}

/// A field of either table.
pub(crate) fn indexed(out: &mut Vec<u8>, index: u32) {
    integer(out, 0x80, 7, index);
}

/// A literal with the name of an entry (0: with `name`).
pub(crate) fn literal(
    out: &mut Vec<u8>,
    insert: bool,
    index: u32,
    name: &[u8],
    value: &[u8],
    coded: bool,
) {
    let (before, prefix) = if insert { (0x40, 6) } else { (0, 4) };
    integer(out, before, prefix, index);
    if index == 0 {
        string(out, name, coded);
    }
    string(out, value, coded);
}
