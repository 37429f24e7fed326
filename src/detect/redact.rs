//! Keeps secrets out of findings: text from the wire in, the same text with
//! secrets replaced out.
//!
//! Redaction errs on the side of hiding. It works on excerpts that are at most
//! a few hundred bytes long and only on rows, never on the packet path.

use std::fmt::Write;
use std::sync::LazyLock;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use sha2::{Digest, Sha256};

/// What stands for a secret.
const MASK: &str = "[redacted]";

/// A run of token characters this long that mixes letters and digits is taken
/// for a secret.
const OPAQUE_TOKEN: usize = 24;

/// Each pattern's match is a secret as a whole, except that in the first two
/// only what follows the name is.
const PATTERNS: &[&str] = &[
    // "password": "…" and its like, in JSON text, escaped JSON text or queries.
    concat!(
        r#"(?i)[a-z0-9_.-]*(?:passw(?:or)?d|passwd|secret|token|api[_-]?key|apikey|authorization|"#,
        r#"credential|private[_-]?key|session[_-]?id|cookie)[a-z0-9_.-]*\\?"?\s*[:=]\s*\\?"?"#,
        r#"(?:(?:bearer|basic)\s+)?[^"\\&\s,}]+"#
    ),
    r"(?i)\b(?:bearer|basic)\s+[a-z0-9._~+/=-]{6,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
    r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}",
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|sk-|sk_live_|sk_test_|rk_live_|pk_live_|AIza|npm_|pypi-|hf_|lin_api_|ntn_|dop_v1_|SG\.)[A-Za-z0-9_.-]{10,}",
];

/// Names of MCP members that sound like secrets and are none.
const HARMLESS: &[&str] = &["progressToken", "maxTokens"];

static SECRETS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    // Matches begin and end at ASCII characters, so bytes will do.
    let syntax = syntax::Config::new().unicode(false).utf8(false);
    Regex::builder().syntax(syntax).build_many(PATTERNS).ok()
});

/// `text` without its secrets.
pub(super) fn text(text: &str) -> String {
    let Some(secrets) = SECRETS.as_ref() else { return MASK.to_owned() };
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    for found in secrets.find_iter(text) {
        clean.push_str(text.get(from..found.start()).unwrap_or(""));
        let secret = text.get(found.range()).unwrap_or("");
        if HARMLESS.iter().any(|name| secret.starts_with(name)) {
            clean.push_str(secret);
        } else {
            clean.push_str(name_of(secret, found.pattern().as_usize()));
            clean.push_str(MASK);
        }
        from = found.end();
    }
    clean.push_str(text.get(from..).unwrap_or(""));
    mask_opaque(&clean, |c| c.is_ascii_alphanumeric() || "_-+=.".contains(c))
}

/// A path without the segments that are secrets (some servers put a key there).
pub(super) fn path(path: &str) -> String {
    path.split('/').map(text).collect::<Vec<_>>().join("/")
}

/// A short digest that stands for `secret`: equal secrets have equal digests.
pub(super) fn hash(secret: &str) -> String {
    format!("sha256:{}", hex(&Sha256::digest(secret.as_bytes())[..8]))
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The part of a match that names the secret and may stay.
fn name_of(secret: &str, pattern: usize) -> &str {
    let end = match pattern {
        0 => secret.find([':', '=']).map_or(0, |at| {
            let rest = secret.get(at + 1..).unwrap_or("");
            let value = rest.find(|c: char| !c.is_whitespace() && c != '"' && c != '\\');
            at + 1 + value.unwrap_or(0)
        }),
        1 => secret.find(char::is_whitespace).map_or(0, |at| at + 1),
        _ => 0,
    };
    secret.get(..end).unwrap_or("")
}

/// Masks long runs of token characters that mix letters and digits.
fn mask_opaque(text: &str, is_token: impl Fn(char) -> bool) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let token = is_token(first);
        let end = rest.find(|c| is_token(c) != token).unwrap_or(rest.len());
        let (run, tail) = rest.split_at(end);
        clean.push_str(if token && is_opaque(run) { MASK } else { run });
        rest = tail;
    }
    clean
}

fn is_opaque(run: &str) -> bool {
    run.len() >= OPAQUE_TOKEN
        && run.contains(|c: char| c.is_ascii_digit())
        && run.contains(|c: char| c.is_ascii_alphabetic())
        && run.split(['-', '.', '_']).any(|part| part.len() >= OPAQUE_TOKEN || is_uuid(run))
}

fn is_uuid(run: &str) -> bool {
    run.len() == 36 && run.chars().filter(|c| *c == '-').count() == 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_the_rest_stays() {
        let cases = [
            (
                r#"{"password":"hunter2","city":"Bern"}"#,
                r#"{"password":"[redacted]","city":"Bern"}"#,
            ),
            (r#"{"apiKey": "abc-123"}"#, r#"{"apiKey": "[redacted]"}"#),
            (r#"{\"token\":\"x1\"}"#, r#"{\"token\":\"[redacted]\"}"#),
            ("Authorization: Bearer abcdef123456", "Authorization: [redacted]"),
            (r#"{"_meta":{"progressToken":7}}"#, r#"{"_meta":{"progressToken":7}}"#),
            ("use AKIAIOSFODNN7EXAMPLE now", "use [redacted] now"),
            ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "[redacted]"),
            ("id 952eba5e82f34fb0bcfa940270a37b55", "id [redacted]"),
            ("tools/call search desk lamp 2026-07-28", "tools/call search desk lamp 2026-07-28"),
            ("io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/protocolVersion"),
        ];
        for (from, to) in cases {
            assert_eq!(text(from), to);
        }
    }

    #[test]
    fn paths_keep_their_shape() {
        assert_eq!(path("/api/mcp"), "/api/mcp");
        assert_eq!(path("/s/0123456789abcdef0123456789abcdef/mcp"), "/s/[redacted]/mcp");
    }

    #[test]
    fn digests_tell_secrets_apart_without_giving_them() {
        assert_eq!(hash("a"), hash("a"));
        assert_ne!(hash("a"), hash("b"));
        assert_eq!(hash("a").len(), "sha256:".len() + 16);
    }
}
