//! What patterns mean, as sequences of byte sets for an automaton.

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use super::automaton::program::{ByteSet, Step};
use super::model::{JsonMember, JsonText, Values};

/// Stands for an escaped quote in text whose JSON escapes are undone.
const ESCAPED_QUOTE: u8 = super::automaton::ESCAPED_QUOTE;

/// Limits of an expression taken apart into sequences: alternatives, bytes of a
/// class, and steps that more than two bytes satisfy.
const MAX_ALTERNATIVES: usize = 16;
const MAX_CLASS: u32 = 24;
const MAX_WIDE_STEPS: usize = 12;

const JSON_SPACE: &[u8] = b" \t\r\n";

/// The whole text.
pub(crate) fn exact(text: &str, ignore_case: bool) -> Vec<Step> {
    let mut steps = vec![start()];
    steps.extend(literal(text, ignore_case));
    steps.push(end());
    steps
}

/// The beginning of the text.
pub(crate) fn prefix(text: &str, ignore_case: bool) -> Vec<Step> {
    let mut steps = vec![start()];
    steps.extend(literal(text, ignore_case));
    steps
}

/// Anywhere.
pub(crate) fn substring(text: &str, ignore_case: bool) -> Vec<Step> {
    literal(text, ignore_case).collect()
}

/// Anywhere, with no ASCII letter or digit beside it.
pub(crate) fn word(text: &str, ignore_case: bool) -> Vec<Step> {
    let border = ByteSet::filter(|byte| !byte.is_ascii_alphanumeric());
    let mut steps = vec![Step::StartOr(border)];
    steps.extend(literal(text, ignore_case));
    steps.push(Step::EndOr(border));
    steps
}

/// The path itself or one below it.
pub(crate) fn path_prefix(path: &str, ignore_case: bool) -> Vec<Step> {
    let mut steps = prefix(path, ignore_case);
    steps.push(Step::EndOr(ByteSet::of(b"/")));
    steps
}

/// The path's last segments, with or without a slash after them.
pub(crate) fn path_suffix(path: &str, ignore_case: bool) -> Vec<Step> {
    let mut steps = substring(path, ignore_case);
    steps.push(Step::Many(ByteSet::of(b"/")));
    steps.push(end());
    steps
}

/// A lower-case host name, label by label. `*` is one label, at either end one
/// or more; within a label it is any part of it, even none.
pub(crate) fn wildcard(pattern: &str) -> Vec<Step> {
    let in_label = ByteSet::filter(|byte| byte != b'.');
    let (open_start, pattern) = match pattern.strip_prefix("*.") {
        Some(_) => (true, &pattern[1..]),
        None => (false, pattern),
    };
    let (open_end, pattern) = match pattern.strip_suffix(".*") {
        Some(_) => (true, &pattern[..pattern.len() - 1]),
        None => (false, pattern),
    };
    let mut steps = vec![if open_start { Step::One(ByteSet::ALL) } else { start() }];
    for (index, byte) in pattern.bytes().enumerate() {
        if byte != b'*' {
            steps.push(Step::One(ByteSet::of(&[byte])));
            continue;
        }
        let before = index.checked_sub(1).and_then(|index| pattern.as_bytes().get(index));
        let after = pattern.as_bytes().get(index + 1);
        let whole_label = matches!(before, None | Some(b'.')) && matches!(after, None | Some(b'.'));
        if whole_label {
            steps.push(Step::One(in_label));
        }
        steps.push(Step::Many(in_label));
    }
    steps.push(if open_end { Step::One(ByteSet::ALL) } else { end() });
    steps
}

/// The alternatives of an expression, if it is simple enough: literals, small
/// byte classes, repetitions of those, a few alternations. What is left out would
/// share nothing with other patterns, or multiply the states of their automaton.
pub(crate) fn expression(hir: &Hir) -> Option<Vec<Vec<Step>>> {
    let alternatives = expand(hir)?;
    let simple = alternatives.iter().all(|steps| {
        let wide = steps.iter().filter(|step| match step {
            Step::One(set) | Step::Optional(set) => set.len() > 2,
            _ => false,
        });
        let some = steps.iter().any(|step| matches!(step, Step::One(_)));
        some && wide.count() <= MAX_WIDE_STEPS
    });
    simple.then_some(alternatives)
}

fn expand(hir: &Hir) -> Option<Vec<Vec<Step>>> {
    let one = |step| Some(vec![vec![step]]);
    match hir.kind() {
        HirKind::Empty => Some(vec![Vec::new()]),
        HirKind::Literal(literal) => Some(vec![literal.0.iter().map(|&b| byte(b)).collect()]),
        HirKind::Class(_) => one(Step::One(small_class(hir)?)),
        HirKind::Look(Look::Start) => one(start()),
        HirKind::Look(Look::End) => one(end()),
        HirKind::Look(_) => None,
        HirKind::Capture(capture) => expand(&capture.sub),
        HirKind::Repetition(repetition) => expand_repetition(repetition),
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(expand(part)?);
            }
            (all.len() <= MAX_ALTERNATIVES).then_some(all)
        }
        HirKind::Concat(parts) => {
            let mut all = vec![Vec::new()];
            for part in parts {
                all = join(&all, &expand(part)?)?;
            }
            Some(all)
        }
    }
}

/// Every first followed by every second.
fn join(firsts: &[Vec<Step>], seconds: &[Vec<Step>]) -> Option<Vec<Vec<Step>>> {
    if firsts.len() * seconds.len() > MAX_ALTERNATIVES {
        return None;
    }
    let pairs = firsts.iter().flat_map(|first| {
        seconds.iter().map(|second| first.iter().chain(second).cloned().collect())
    });
    Some(pairs.collect())
}

fn expand_repetition(repetition: &Repetition) -> Option<Vec<Vec<Step>>> {
    let Some(set) = small_class(&repetition.sub) else {
        // A group may be there or not.
        let mut alternatives = expand(&repetition.sub)?;
        alternatives.push(Vec::new());
        return (repetition.min == 0 && repetition.max == Some(1)).then_some(alternatives);
    };
    let limit = MAX_WIDE_STEPS as u32;
    if repetition.min > limit || repetition.max.is_some_and(|max| max > limit) {
        return None;
    }
    let mut steps: Vec<_> = (0..repetition.min).map(|_| Step::One(set)).collect();
    match repetition.max {
        None => steps.push(Step::Many(set)),
        Some(max) => steps.extend((repetition.min..max).map(|_| Step::Optional(set))),
    }
    Some(vec![steps])
}

fn small_class(hir: &Hir) -> Option<ByteSet> {
    let set = match hir.kind() {
        HirKind::Literal(literal) if literal.0.len() == 1 => ByteSet::of(&literal.0),
        HirKind::Class(Class::Bytes(class)) => class
            .iter()
            .flat_map(|range| range.start()..=range.end())
            .fold(ByteSet::EMPTY, ByteSet::with),
        HirKind::Class(Class::Unicode(class)) if class.is_ascii() => class
            .iter()
            .flat_map(|range| range.start()..=range.end())
            .filter_map(|character| u8::try_from(character).ok())
            .fold(ByteSet::EMPTY, ByteSet::with),
        _ => return None,
    };
    (set.len() <= MAX_CLASS).then_some(set)
}

/// JSON strings, for text whose escapes are undone.
pub(crate) fn json_strings(values: &Values) -> Vec<Vec<Step>> {
    values
        .alternatives
        .iter()
        .map(|value| {
            let mut steps = vec![byte(b'"')];
            steps.extend(json_literal(&value.text, values.ignore_case));
            steps.push(byte(b'"'));
            steps
        })
        .collect()
}

/// Members of JSON objects, for text whose escapes are undone.
pub(crate) fn json_members(member: &JsonMember) -> Vec<Vec<Step>> {
    let keys = member.key.values.alternatives.iter().map(|key| {
        let mut steps = vec![byte(b'"')];
        if member.fold_key {
            steps.extend(folded(&key.text));
        } else {
            steps.extend(json_literal(&key.text, member.key.values.ignore_case));
        }
        close(&mut steps, member.key.prefix);
        steps.extend([Step::Many(ByteSet::of(JSON_SPACE)), byte(b':')]);
        steps
    });
    let Some(value) = &member.value else { return keys.collect() };
    keys.flat_map(|key| member_values(key, value)).collect()
}

fn member_values(key: Vec<Step>, value: &JsonText) -> impl Iterator<Item = Vec<Step>> + '_ {
    value.values.alternatives.iter().map(move |text| {
        let mut steps = key.clone();
        steps.extend([Step::Many(ByteSet::of(JSON_SPACE)), byte(b'"')]);
        steps.extend(json_literal(&text.text, value.values.ignore_case));
        if !value.prefix {
            steps.push(byte(b'"'));
        }
        steps
    })
}

/// The rest of a key and its closing quote.
fn close(steps: &mut Vec<Step>, prefix: bool) {
    if prefix {
        steps.push(Step::Many(ByteSet::filter(|byte| byte != b'"')));
    }
    steps.push(byte(b'"'));
}

fn literal(text: &str, ignore_case: bool) -> impl Iterator<Item = Step> + '_ {
    text.bytes().map(move |b| letter(b, ignore_case))
}

fn json_literal(text: &str, ignore_case: bool) -> impl Iterator<Item = Step> + '_ {
    text.bytes().map(move |b| match b {
        b'"' => byte(ESCAPED_QUOTE),
        b => letter(b, ignore_case),
    })
}

/// A key as Go's `encoding/json` compares it (`bytes.EqualFold`).
fn folded(text: &str) -> impl Iterator<Item = Step> + '_ {
    text.bytes().map(|b| match b.to_ascii_lowercase() {
        b'"' => byte(ESCAPED_QUOTE),
        b's' => either(&["s", "S", "\u{17F}"]),
        b'k' => either(&["k", "K", "\u{212A}"]),
        b => letter(b, true),
    })
}

fn either(strings: &[&str]) -> Step {
    Step::Either(strings.iter().map(|string| string.as_bytes().to_vec()).collect())
}

fn letter(b: u8, ignore_case: bool) -> Step {
    if ignore_case {
        Step::One(ByteSet::of(&[b.to_ascii_lowercase(), b.to_ascii_uppercase()]))
    } else {
        byte(b)
    }
}

fn byte(b: u8) -> Step {
    Step::One(ByteSet::of(&[b]))
}

fn start() -> Step {
    Step::StartOr(ByteSet::EMPTY)
}

fn end() -> Step {
    Step::EndOr(ByteSet::EMPTY)
}
