//! The HTTP header fields of MCP and how their values are written.

use std::borrow::Cow;

use super::encoding::base64_value;

/// Names a session (2025-03-26 to 2025-11-25).
pub const SESSION_ID: &str = "mcp-session-id";
/// The revision spoken (since 2025-06-18).
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// The method of the message in the body (2026-07-28).
pub const METHOD: &str = "mcp-method";
/// The tool, prompt, resource or task in the body (2026-07-28).
pub const NAME: &str = "mcp-name";
/// Begins the names of fields that repeat tool arguments (2026-07-28).
pub const PARAM_PREFIX: &str = "mcp-param-";

/// The value of `Mcp-Name` or `Mcp-Param-*`: as sent, or decoded from
/// `=?base64?…?=` (the markers are case-sensitive). `None` if it is neither
/// UTF-8 nor decodes to it.
pub fn decode_value(value: &[u8]) -> Option<Cow<'_, str>> {
    let wrapped = value.strip_prefix(b"=?base64?").and_then(|rest| rest.strip_suffix(b"?="));
    match wrapped {
        Some(base64) => String::from_utf8(decode_base64(base64)?).ok().map(Cow::Owned),
        None => std::str::from_utf8(value).ok().map(Cow::Borrowed),
    }
}

/// Decodes base64 (RFC 4648 section 4), padded or not.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    if digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for quantum in digits.chunks(4) {
        let mut bits = 0u32;
        for &digit in quantum {
            bits = (bits << 6) | u32::from(base64_value(digit)?);
        }
        bits <<= 6 * (4 - quantum.len());
        let whole = quantum.len() * 6 / 8;
        bytes.extend(bits.to_be_bytes().iter().skip(1).take(whole));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_plain_and_encoded() {
        for (value, decoded) in [
            (&b"get_weather"[..], Some("get_weather")),
            (b"=?base64?Z3LDvMOfZQ==?=", Some("gr\u{fc}\u{df}e")),
            (b"=?base64?Z3LDvMOfZQ?=", Some("gr\u{fc}\u{df}e")),
            (b"=?base64?YWJj?=", Some("abc")),
            (b"=?base64??=", Some("")),
            (b"=?BASE64?YWJj?=", Some("=?BASE64?YWJj?=")),
            (b"=?base64?YWJj", Some("=?base64?YWJj")),
            (b"=?base64?Y*Jj?=", None),
            (b"=?base64?YWJjZ?=", None),
            (b"=?base64?/w==?=", None),
            (b"\xff", None),
            (b"", Some("")),
        ] {
            assert_eq!(decode_value(value).as_deref(), decoded, "{value:?}");
        }
    }
}
