//! Lints: what is allowed in a set but probably not meant.

use std::collections::HashMap;

use regex_syntax::hir::{Hir, HirKind};

use super::diagnostic::{Diagnostic, Severity};
use super::model::{FieldClass, Pattern, Signature, Strength, Values};
use super::regex;
use super::set::SignatureSet;

/// Shorter literals than this are found everywhere in a body.
const MIN_LITERAL: usize = 4;

impl SignatureSet {
    /// Looks through the set for what is probably not meant.
    pub fn lint(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let mut seen: HashMap<String, &Signature> = HashMap::new();
        for signature in self.signatures() {
            let mut warn = |code, message: String| {
                found.push(
                    Diagnostic::new(
                        Severity::Warning,
                        code,
                        format!("{}: {message}", signature.id),
                    )
                    .at(signature.origin.location.clone()),
                );
            };
            if signature.matches.is_empty() {
                warn("no-example", "no example that must match".to_owned());
            }
            if signature.misses.is_empty() {
                warn("no-counter-example", "no example that must not match".to_owned());
            }
            if signature.references.is_empty() {
                warn("no-reference", "no reference says where the knowledge is from".to_owned());
            }
            let identity = format!("{}{:?}", signature.clause.identity(), identity_of(signature));
            if let Some(first) = seen.get(&identity) {
                warn("duplicate-pattern", format!("asks the same as {}", first.id));
            } else {
                seen.insert(identity, signature);
            }
            names(signature, &mut warn);
            expressions(signature, &mut warn);
        }
        found
    }
}

fn identity_of(signature: &Signature) -> Option<String> {
    signature.when.as_ref().map(super::model::Condition::identity)
}

/// Names so short that strangers share them.
fn names(signature: &Signature, warn: &mut impl FnMut(&'static str, String)) {
    if signature.strength < Strength::Weak {
        return;
    }
    let mut check = |name: &str| {
        if psl::suffix_str(name) == Some(name) {
            warn("public-suffix", format!("anyone can have a name below `{name}`"));
        }
    };
    match &signature.clause.pattern {
        Pattern::Suffix(values) => each(values, |name| check(name)),
        Pattern::Wildcard(values) => each(values, |pattern| {
            if let Some(name) = pattern.strip_prefix("*.").filter(|name| !name.contains('*')) {
                check(name);
            }
        }),
        Pattern::Hosts(list) => {
            for entry in list.entries.iter().filter(|entry| entry.path.is_none()) {
                if entry.below || psl::suffix_str(&entry.host) == Some(&*entry.host) {
                    check(&entry.host);
                }
            }
        }
        _ => {}
    }
}

fn expressions(signature: &Signature, warn: &mut impl FnMut(&'static str, String)) {
    let Pattern::Regex(values) = &signature.clause.pattern else { return };
    let class = signature.clause.fields.first().map(super::model::Field::class);
    each(values, |text| {
        let Ok(hir) = regex::parse(text, values.ignore_case) else { return };
        if hir.properties().minimum_len() == Some(0) {
            warn("matches-empty", format!("`{text}` matches the empty string"));
        } else if class == Some(FieldClass::Json) && longest_literal(&hir) < MIN_LITERAL {
            warn(
                "no-literal",
                format!("`{text}` has no literal of {MIN_LITERAL} bytes to look for"),
            );
        }
        let anchored = hir.properties().look_set_prefix().contains_anchor_haystack();
        if class == Some(FieldClass::Path) && !anchored {
            warn("unanchored-path", format!("`{text}` may begin in the middle of a segment"));
        }
    });
}

fn each<'v>(values: &'v Values, mut visit: impl FnMut(&'v str)) {
    values.alternatives.iter().for_each(|value| visit(&value.text));
}

/// Bytes of the longest literal that every match holds.
fn longest_literal(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Capture(capture) => longest_literal(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => longest_literal(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().map(longest_literal).max().unwrap_or(0),
        HirKind::Alternation(parts) => parts.iter().map(longest_literal).min().unwrap_or(0),
        _ => 0,
    }
}
