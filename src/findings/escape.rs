//! Wire text made safe to show: text of any origin in, text without control or
//! invisible characters out.
//!
//! What a capture holds was written by strangers. Shown raw, an escape sequence
//! can repaint a terminal (CWE-150), a bidirectional override can make a host
//! read backwards (Unicode TR 36, section 2.5), and characters of the tag block
//! can hide a text altogether. [`printable`] shows such characters as
//! `\u{..}`; everything else stays as it is. It is for people: it does not
//! escape the backslash, so it cannot be undone.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with every control, bidirectional, zero-width and tag character
/// written as `\u{..}`. Borrows where there is none, which is the usual case.
pub fn printable(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(is_unprintable) else {
        return Cow::Borrowed(text);
    };
    let (clean, rest) = text.split_at(first);
    let mut escaped = String::with_capacity(text.len() + 16);
    escaped.push_str(clean);
    for c in rest.chars() {
        if is_unprintable(c) {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Whether `c` could change or hide what stands around it.
pub(crate) fn is_unprintable(c: char) -> bool {
    match c {
        ' '..='~' => false,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' => true,
        // Zero width, directional marks; line and paragraph separator, embeddings and overrides;
        // invisible operators, isolates and deprecated format characters.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        // Interlinear annotation, tag block.
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        // C0, DEL, C1.
        _ => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_borrowed() {
        for text in ["", "tools/call", "héllo wörld", "日本語", "C:\\path", "🙂"] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn dangerous_characters_are_shown() {
        for (text, shown) in [
            ("\u{1b}[2Jx", "\\u{1b}[2Jx"),
            ("a\nb\tc\r", "a\\u{a}b\\u{9}c\\u{d}"),
            ("nul\0del\u{7f}", "nul\\u{0}del\\u{7f}"),
            ("csi\u{9b}31m", "csi\\u{9b}31m"),
            ("\u{202e}moc.elpmaxe", "\\u{202e}moc.elpmaxe"),
            ("a\u{2066}b\u{2069}", "a\\u{2066}b\\u{2069}"),
            ("zero\u{200b}width", "zero\\u{200b}width"),
            ("\u{e0041}\u{e007f}", "\\u{e0041}\\u{e007f}"),
            ("\u{feff}bom\u{2028}", "\\u{feff}bom\\u{2028}"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn escaped_text_needs_no_second_escape() {
        let once = printable("\u{1b}]0;title\u{7}\u{202e}").into_owned();
        assert_eq!(printable(&once), once);
    }
}
