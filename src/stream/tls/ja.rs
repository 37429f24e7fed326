//! Fingerprints of TLS clients: JA3 and JA4.
//!
//! JA3 is the MD5 of five lists of a ClientHello in the order sent; JA4 sorts
//! what clients shuffle and keeps the telling part readable, as in
//! `t13d1516h2_8daaf6152771_b186095e22b6`. Both ignore GREASE.
//!
//! JA4 follows the text of FoxIO's definition (`technical_details/JA4.md`,
//! v0.18.2), also where the author's tools differ from it: an ALPN value that
//! does not begin and end with an ASCII letter or digit gives the first and
//! last digit of its hexadecimal form.
//!
//! A hello has a hundred numbers to write, which by the standard formatter took as long as
//! all else that is done for a connection without keys: digits are put down one by one.

use md5::{Digest, Md5};
use ring::digest::{SHA256, digest};

use super::hello::{ClientHello, extension, is_grease};

/// What carries a ClientHello: the first letter of a JA4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// TLS over TCP: `t`.
    Tcp,
    /// QUIC: `q`.
    Quic,
}

/// The JA3 of a client, 32 hexadecimal digits.
pub fn ja3(hello: &ClientHello<'_>) -> String {
    let mut text = String::with_capacity(32);
    push_hex(&mut text, &Md5::digest(ja3_text(hello)));
    text
}

/// What JA3 hashes.
pub(crate) fn ja3_text(hello: &ClientHello<'_>) -> String {
    let mut text = String::with_capacity(256);
    push_decimal(&mut text, hello.legacy_version());
    let extensions = hello.extensions();
    list(&mut text, hello.cipher_suites());
    list(&mut text, extensions.iter().map(|(number, _)| number));
    list(&mut text, hello.supported_groups());
    list(&mut text, hello.point_formats().iter().map(|&format| format.into()));
    return text;

    fn list(text: &mut String, numbers: impl Iterator<Item = u16>) {
        let mut separator = ',';
        for number in numbers.filter(|&number| !is_grease(number)) {
            text.push(separator);
            push_decimal(text, number);
            separator = '-';
        }
        if separator == ',' {
            text.push(',');
        }
    }
}

/// The JA4 of a client.
pub fn ja4(hello: &ClientHello<'_>, carrier: Carrier) -> String {
    let mut ciphers = meaningful(hello.cipher_suites());
    let mut extensions = meaningful(hello.extensions().iter().map(|(number, _)| number));
    let mut text = String::with_capacity(36);
    text.push(match carrier {
        Carrier::Tcp => 't',
        Carrier::Quic => 'q',
    });
    text.push_str(version(hello.highest_version()));
    text.push(if extensions.contains(&extension::SERVER_NAME) { 'd' } else { 'i' });
    push_count(&mut text, ciphers.len());
    push_count(&mut text, extensions.len());
    text.extend(alpn(hello.alpn().next().unwrap_or_default()));

    ciphers.sort_unstable();
    extensions.retain(|&number| !matches!(number, extension::SERVER_NAME | extension::ALPN));
    extensions.sort_unstable();
    let signatures = meaningful(hello.signature_algorithms());
    let mut hashed = String::with_capacity(256);
    push_list(&mut hashed, &ciphers);
    push_short_hash(&mut text, &hashed);
    hashed.clear();
    push_list(&mut hashed, &extensions);
    if !hashed.is_empty() && !signatures.is_empty() {
        hashed.push('_');
        push_list(&mut hashed, &signatures);
    }
    push_short_hash(&mut text, &hashed);
    text
}

fn meaningful(numbers: impl Iterator<Item = u16>) -> Vec<u16> {
    numbers.filter(|&number| !is_grease(number)).collect()
}

fn version(number: u16) -> &'static str {
    match number {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    }
}

fn alpn(value: &[u8]) -> [char; 2] {
    match (value.first(), value.last()) {
        (Some(&first), Some(&last))
            if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() =>
        {
            [first.into(), last.into()]
        }
        (Some(first), Some(last)) => [hex_digit(first >> 4), hex_digit(last & 0xf)],
        _ => ['0', '0'],
    }
}

/// Numbers of four hexadecimal digits.
fn push_list(text: &mut String, numbers: &[u16]) {
    for (index, number) in numbers.iter().enumerate() {
        text.push_str(if index > 0 { "," } else { "" });
        push_hex(text, &number.to_be_bytes());
    }
}

/// `_` and twelve digits of a SHA-256; zeros for nothing.
fn push_short_hash(text: &mut String, hashed: &str) {
    text.push('_');
    if hashed.is_empty() {
        return text.push_str("000000000000");
    }
    push_hex(text, &digest(&SHA256, hashed.as_bytes()).as_ref()[..6]);
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push(hex_digit(byte >> 4));
        text.push(hex_digit(byte & 0xf));
    }
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(nibble.into(), 16).unwrap_or('0')
}

/// Two digits, 99 for more.
fn push_count(text: &mut String, count: usize) {
    let count = u8::try_from(count).map_or(99, |count| count.min(99));
    text.push(char::from(b'0' + count / 10));
    text.push(char::from(b'0' + count % 10));
}

fn push_decimal(text: &mut String, number: u16) {
    for unit in [10_000, 1000, 100, 10, 1] {
        if number >= unit || unit == 1 {
            text.push(hex_digit((number / unit % 10) as u8));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::hello::HelloBuilder;
    use super::*;

    const CHROME_SUITES: [u16; 16] = [
        0x8a8a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
        0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
    ];

    const CHROME_SIGNATURES: [u16; 8] =
        [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];

    /// The hello of a browser with these extensions, which are empty unless a
    /// fingerprint looks inside.
    fn browser(extensions: &[u16], alpn: &[&[u8]], signatures: &[u16]) -> Vec<u8> {
        let mut builder = HelloBuilder::new().suites(&CHROME_SUITES);
        for &number in extensions {
            builder = match number {
                0 => builder.server_name("a.test"),
                10 => builder.numbers(10, &[0x4a4a, 4588, 29, 23, 24]),
                11 => builder.extension(11, &[1, 0]),
                13 => builder.numbers(13, signatures),
                16 => builder.alpn_bytes(alpn),
                43 => builder.versions(&[0x6a6a, 0x0304, 0x0303]),
                _ => builder.extension(number, &[]),
            };
        }
        builder.message()
    }

    fn ja4_of(message: &[u8]) -> String {
        ja4(&ClientHello::parse(message).unwrap(), Carrier::Tcp)
    }

    #[test]
    fn published_fingerprints_of_a_browser() {
        let extensions = [
            0x9a9a, 45, 51, 16, 0xfe0d, 23, 17613, 0, 11, 10, 43, 65281, 35, 18, 5, 13, 27, 0x1a1a,
        ];
        let message = browser(&extensions, &[b"h2", b"http/1.1"], &CHROME_SIGNATURES);
        let hello = ClientHello::parse(&message).unwrap();
        assert_eq!(ja4(&hello, Carrier::Tcp), "t13d1516h2_8daaf6152771_d8a2da3f94cd");
        assert_eq!(ja4(&hello, Carrier::Quic), "q13d1516h2_8daaf6152771_d8a2da3f94cd");
        assert_eq!(
            ja3_text(&hello),
            "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,\
             45-51-16-65037-23-17613-0-11-10-43-65281-35-18-5-13-27,4588-29-23-24,0"
        );
        assert_eq!(ja3(&hello), "98487aa16281980e7d1120d399efb6a4");
    }

    #[test]
    fn grease_among_the_signature_algorithms_is_ignored() {
        let extensions = [0, 5, 10, 11, 13, 16, 18, 21, 23, 27, 35, 43, 45, 51, 0x4469, 65281];
        let plain = browser(&extensions, &[b"h2"], &CHROME_SIGNATURES);
        let mut greased = CHROME_SIGNATURES.to_vec();
        greased.insert(0, 0x3a3a);
        let greased = browser(&extensions, &[b"h2"], &greased);
        assert_eq!(ja4_of(&plain), "t13d1516h2_8daaf6152771_e5627efa2ab1");
        assert_eq!(ja4_of(&greased), ja4_of(&plain));
    }

    #[test]
    fn nothing_to_hash() {
        let bare = HelloBuilder::new().suites(&[0x0a0a]).message_without_extensions();
        assert_eq!(ja4_of(&bare), "t12i000000_000000000000_000000000000");
        let hello = ClientHello::parse(&bare).unwrap();
        assert_eq!(ja3_text(&hello), "771,,,,");
        let named = HelloBuilder::new().server_name("a.test").alpn(&["h3"]).message();
        assert!(ja4_of(&named).starts_with("t12d0102h3_"), "{}", ja4_of(&named));
        assert!(ja4_of(&named).ends_with("_000000000000"), "{}", ja4_of(&named));
    }

    #[test]
    fn counts_stop_at_99() {
        let suites = (1..=120).collect::<Vec<_>>();
        let message = HelloBuilder::new().suites(&suites).message();
        assert_eq!(&ja4_of(&message)[4..6], "99");
    }

    #[test]
    fn application_protocols() {
        for (value, expected) in [
            (&b""[..], "00"),
            (b"h2", "h2"),
            (b"http/1.1", "h1"),
            (b"x", "xx"),
            (&[0xab], "ab"),
            (&[0xab, 0xcd], "ad"),
            (&[0x30, 0xab], "3b"),
            (&[0x30, 0x31, 0xab, 0xcd], "3d"),
            (&[0x30, 0xab, 0xcd, 0x31], "01"),
            (&[0xba, 0xad], "bd"),
        ] {
            let message = browser(&[16], &[value], &[]);
            assert_eq!(&ja4_of(&message)[8..10], expected, "{value:x?}");
        }
    }

    #[test]
    fn versions() {
        for (number, expected) in [(0x0300, "s3"), (0x0301, "10"), (0x0302, "11"), (0x0999, "00")] {
            let message = HelloBuilder::new().version(number).message();
            assert_eq!(&ja4_of(&message)[1..3], expected);
        }
    }
}
