//! Repetitions that can match the same text in many ways: an expression in,
//! whether it has one out.
//!
//! The automata here take them in linear time. Engines that backtrack, to which a
//! set may go next, take exponential time over them, and nobody means them: `(a+)+`
//! is `a+`.

use regex_syntax::hir::{Class, ClassBytes, Hir, HirKind};

/// Whether something is repeated without end that is ambiguous in itself: it ends in
/// an endless repetition which what follows could go on with, or one of its
/// alternatives begins with another.
pub(super) fn is_ambiguous(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Repetition(repetition) => {
            let sub = &repetition.sub;
            (repetition.max.is_none() && (is_bare(sub) || has_prefixes(sub))) || is_ambiguous(sub)
        }
        HirKind::Capture(capture) => is_ambiguous(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(is_ambiguous),
        _ => false,
    }
}

/// Whether it may be no more than an endless repetition, or has nothing in it that
/// tells where the repetition ends.
fn is_bare(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Repetition(repetition) => repetition.max.is_none(),
        HirKind::Capture(capture) => is_bare(&capture.sub),
        HirKind::Alternation(branches) => branches.iter().any(is_bare),
        HirKind::Concat(parts) => {
            let parts: Vec<Part> = parts.iter().map(Part::of).collect();
            parts.iter().filter(|part| part.bare).any(|bare| {
                parts.iter().all(|part| part.may_be_nothing || part.bare || part.overlaps(bare))
            })
        }
        _ => false,
    }
}

/// Whether there are alternatives of which one begins with another.
fn has_prefixes(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Capture(capture) => has_prefixes(&capture.sub),
        HirKind::Alternation(branches) => {
            let literals = || {
                branches.iter().enumerate().filter_map(|(at, branch)| match branch.kind() {
                    HirKind::Literal(literal) => Some((at, &literal.0)),
                    _ => None,
                })
            };
            literals()
                .any(|(a, short)| literals().any(|(b, long)| a != b && long.starts_with(short)))
        }
        _ => false,
    }
}

/// What matters of a part of a sequence.
struct Part {
    bare: bool,
    may_be_nothing: bool,
    /// The bytes it is made of; `None` where that is not simple.
    bytes: Option<ByteSet>,
    /// Whether it holds each of them.
    literal: bool,
}

impl Part {
    fn of(hir: &Hir) -> Self {
        let may_be_nothing = hir.properties().minimum_len() == Some(0);
        let literal = matches!(hir.kind(), HirKind::Literal(_));
        Self { bare: is_bare(hir), may_be_nothing, bytes: bytes_of(hir), literal }
    }

    /// Whether the other, repeated, may take its bytes, where that is known.
    fn overlaps(&self, other: &Self) -> bool {
        let (Some(own), Some(others)) = (self.bytes, other.bytes) else { return false };
        let mut words = own.iter().zip(others);
        if self.literal {
            words.all(|(own, others)| own & !others == 0)
        } else {
            words.any(|(own, others)| own & others != 0)
        }
    }
}

/// One bit for each byte.
type ByteSet = [u64; 4];

fn bytes_of(hir: &Hir) -> Option<ByteSet> {
    match hir.kind() {
        HirKind::Class(Class::Bytes(class)) => Some(set_of(class)),
        HirKind::Class(Class::Unicode(class)) => class.to_byte_class().as_ref().map(set_of),
        HirKind::Literal(literal) => {
            let mut set = ByteSet::default();
            literal.0.iter().for_each(|&byte| add(&mut set, byte));
            Some(set)
        }
        HirKind::Capture(capture) => bytes_of(&capture.sub),
        HirKind::Repetition(repetition) => bytes_of(&repetition.sub),
        _ => None,
    }
}

fn set_of(class: &ClassBytes) -> ByteSet {
    let mut set = ByteSet::default();
    for range in class.ranges() {
        (range.start()..=range.end()).for_each(|byte| add(&mut set, byte));
    }
    set
}

fn add(set: &mut ByteSet, byte: u8) {
    if let Some(word) = set.get_mut(usize::from(byte / 64)) {
        *word |= 1 << (byte % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::super::regex;
    use super::*;

    #[test]
    fn deep_and_long_expressions_are_looked_through_in_passing() {
        let deep = format!("{}a+b{}", "(?:".repeat(15), "c+d)+".repeat(15));
        let long = format!("(?:{}b)+", "a+a".repeat(1_300));
        for text in [deep, long] {
            assert!(!is_ambiguous(&regex::parse(&text, false).unwrap()), "{text}");
        }
    }

    #[test]
    fn ambiguous_repetitions_are_told_from_plain_ones() {
        let ambiguous = [
            "(a+)+b",
            r"(\w+\s?)+tools/call",
            "(.*)*tools/call",
            "(.+.+)+x",
            "(x+x+)+y",
            "^(([a-z])+.)+[A-Z]([a-z])+$",
            "(a|aa)*c",
            r#"("method"|\w+)*"tools"#,
            r"(\w+method)+",
            "tools(?:(?:x|y)*)*",
        ];
        for text in ambiguous {
            assert!(is_ambiguous(&regex::parse(text, false).unwrap()), "{text}");
        }
        let plain = [
            "(a|b)+c",
            r"(tools/call\s*)+",
            r"(\w+\s)+",
            r#"("\w+",?)*"#,
            r#""method"\s{0,5}:\s{0,5}"tools/(list|call)""#,
            r"([a-z0-9-]+\.)+mcp",
            "(foo|far)*",
            "(a{1,3})+",
            ".*x.*",
        ];
        for text in plain {
            assert!(!is_ambiguous(&regex::parse(text, false).unwrap()), "{text}");
        }
    }
}
