//! Values of fields: the patterns of a set in, texts that hit them or nearly do out.

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Value, json};

use super::case::{Item, respelt};
use super::generate::word;
use crate::signature::{Clause, Condition, JsonText, Pattern, SignatureSet, Values};
use crate::stream::Direction;
use crate::workbench::random::Random;

/// Values in one case.
const MAX_VALUES: usize = 8;
/// Rounds of a repetition.
const MAX_REPEATS: u32 = 3;

/// Values for patterns of the set.
pub(super) fn near(set: &SignatureSet, random: &mut Random) -> Vec<Item> {
    (0..1 + random.below(MAX_VALUES)).filter_map(|_| value(set, random)).collect()
}

fn value(set: &SignatureSet, random: &mut Random) -> Option<Item> {
    let signature = set.signatures().get(random.below(set.len()))?;
    let mut clauses = vec![&signature.clause];
    signature.when.iter().for_each(|condition| clauses_of(condition, &mut clauses));
    let clause = clauses.get(random.below(clauses.len()))?;
    let field = clause.fields.get(random.below(clause.fields.len()))?.clone();
    let own = if random.chance(2) { Direction::ToServer } else { Direction::ToClient };
    let direction = clause.direction.filter(|_| !random.chance(4)).unwrap_or(own);
    let value = damaged(text(clause, random)?, random);
    Some(Item::Value { field, direction, value })
}

fn clauses_of<'c>(condition: &'c Condition, clauses: &mut Vec<&'c Clause>) {
    match condition {
        Condition::Clause(clause) => clauses.push(clause),
        Condition::All(inner) | Condition::Any(inner) => {
            inner.iter().for_each(|inner| clauses_of(inner, clauses));
        }
        Condition::Not(inner) => clauses_of(inner, clauses),
    }
}

fn alternative<'v>(values: &'v Values, random: &mut Random) -> &'v str {
    let chosen = values.alternatives.get(random.below(values.alternatives.len()));
    chosen.map(|value| &*value.text).unwrap_or_default()
}

fn text(clause: &Clause, random: &mut Random) -> Option<Vec<u8>> {
    Some(match &clause.pattern {
        Pattern::Regex(values) => {
            let text = alternative(values, random);
            let hir = crate::signature::expression(text, values.ignore_case).ok()?;
            let mut out = Vec::new();
            sample(&hir, random, &mut out);
            out
        }
        Pattern::Wildcard(values) => {
            let parts = alternative(values, random).split('*');
            let parts: Vec<_> = parts.map(str::to_owned).collect();
            parts.join(random.pick(&["a", "a.b", "", "mcp", "x-y"])).into_bytes()
        }
        Pattern::JsonString(values) => {
            let text = alternative(values, random);
            let value = if random.chance(2) { json!([text, 1]) } else { json!({ text: null }) };
            within(value, random)
        }
        Pattern::JsonMember(member) => {
            let key = json_text(&member.key, random);
            let value: Value = match &member.value {
                Some(value) if !random.chance(6) => json_text(value, random).into(),
                _ => random.pick(&["null", "1", "{}", "[]", "true", "\"x\""]).parse().ok()?,
            };
            within(json!({ key: value }), random)
        }
        Pattern::Hosts(list) => {
            let entry = list.entries.get(random.below(list.entries.len()))?;
            let below = if entry.below { "a." } else { "" };
            format!("{below}{}", entry.host).into_bytes()
        }
        Pattern::Port(ports) => random.pick(ports).to_string().into_bytes(),
        Pattern::Present => word(random).into(),
        pattern => alternative(pattern.values()?, random).as_bytes().to_vec(),
    })
}

fn json_text(text: &JsonText, random: &mut Random) -> String {
    let mut chosen = alternative(&text.values, random).to_owned();
    if text.prefix && random.chance(2) || random.chance(8) {
        chosen.push_str(word(random));
    }
    if random.chance(4) {
        // As Go's JSON package folds case.
        chosen = chosen.replace('s', "\u{17f}").replace('k', "\u{212a}");
    }
    if random.chance(4) {
        chosen = chosen.to_ascii_uppercase();
    }
    chosen
}

/// A JSON value somewhere in a document, spelt in some way.
fn within(mut value: Value, random: &mut Random) -> Vec<u8> {
    for _ in 0..random.below(4) {
        value = match random.below(4) {
            0 => json!([word(random), value]),
            1 => json!({ "params": value, "text": word(random) }),
            2 => json!({ "text": value.to_string(), "then": value }),
            // Quoted, it is a string and nothing else.
            _ => json!({ "quoted": value.to_string() }),
        };
    }
    let text = value.to_string();
    respelt(&text, random).unwrap_or(text).into_bytes()
}

/// A text that an expression matches, as far as that is easy.
fn sample(hir: &Hir, random: &mut Random, out: &mut Vec<u8>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.extend_from_slice(&literal.0),
        HirKind::Class(Class::Bytes(class)) => {
            if let Some(range) = class.ranges().get(random.below(class.ranges().len())) {
                let width = usize::from(range.end() - range.start()) + 1;
                out.push(range.start().saturating_add(random.below(width) as u8));
            }
        }
        HirKind::Class(Class::Unicode(class)) => {
            if let Some(range) = class.ranges().get(random.below(class.ranges().len())) {
                out.extend_from_slice(range.start().encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        HirKind::Capture(capture) => sample(&capture.sub, random, out),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX);
            let more = random.below(MAX_REPEATS as usize + 1) as u32;
            for _ in 0..repetition.min.saturating_add(more).min(most) {
                sample(&repetition.sub, random, out);
            }
        }
        HirKind::Concat(parts) => parts.iter().for_each(|part| sample(part, random, out)),
        HirKind::Alternation(parts) => {
            if let Some(part) = parts.get(random.below(parts.len())) {
                sample(part, random, out);
            }
        }
    }
}

/// The text as it is, or with something about it changed.
fn damaged(mut text: Vec<u8>, random: &mut Random) -> Vec<u8> {
    const AROUND: &[&str] =
        &["x", "-", ".", "/", " ", "a.", "\"", "\\", "\n", "é", "0", ":80", "_"];
    while random.chance(2) {
        let at = random.below(text.len() + 1);
        match random.below(7) {
            0 => text.splice(..0, random.pick(AROUND).bytes()).for_each(drop),
            1 => text.extend(random.pick(AROUND).bytes()),
            2 => text.splice(at..at, random.pick(AROUND).bytes()).for_each(drop),
            3 if at < text.len() => drop(text.remove(at)),
            4 => text.make_ascii_uppercase(),
            5 => text.extend_from_within(..at),
            _ => {
                if let Some(byte) = text.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    text
}
