//! Packet protection (RFC 9001 section 5): keys from secrets, header
//! protection, packet numbers, payloads.

use ring::aead::quic::{self, HeaderProtectionKey};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};

use super::version::QuicVersion;
use crate::stream::tls::hkdf::expand_label;
use crate::stream::tls::suite::{Aead, Hash, Suite13};

/// Where the sample of header protection begins, after the packet number.
const SAMPLE_AT: usize = 4;
const SAMPLE: usize = 16;

/// The longest key.
const MAX_KEY: usize = 32;

/// The secret of one direction at one level of encryption.
pub(super) struct TrafficSecret {
    prk: Prk,
    suite: Suite13,
    version: QuicVersion,
}

/// The keys of one direction at one level.
pub(super) struct Keys {
    pub(super) header: HeaderKey,
    pub(super) packet: PacketKey,
}

/// Takes off header protection.
pub(super) struct HeaderKey(HeaderProtectionKey);

/// Opens payloads.
pub(super) struct PacketKey {
    key: LessSafeKey,
    iv: [u8; 12],
}

/// What header protection hid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unmasked {
    pub(super) first: u8,
    /// The low bits of the packet number.
    number: u32,
    /// Its bytes, 1 to 4.
    number_len: usize,
}

/// The suite of Initial packets.
const INITIAL_SUITE: Suite13 = Suite13 { aead: Aead::Aes128Gcm, hash: Hash::Sha256 };

/// The keys of Initial packets, to the server and to the client, for the
/// destination identifier of the client's first one.
pub(super) fn initial(version: QuicVersion, dcid: &[u8]) -> Option<[Keys; 2]> {
    let prk = Salt::new(HKDF_SHA256, version.initial_salt()).extract(dcid);
    let keys = |label| {
        let mut secret = [0; 32];
        expand_label(&prk, label, &mut secret)?;
        TrafficSecret::new(version, INITIAL_SUITE, &secret).keys()
    };
    Some([keys(b"client in")?, keys(b"server in")?])
}

/// Whether a server that got an Initial for `original_dcid` sent this Retry.
pub(super) fn is_retry_genuine(
    version: QuicVersion,
    original_dcid: &[u8],
    retry: (&[u8], &[u8]),
) -> bool {
    let (key, nonce) = version.retry_key();
    let Ok(key) = UnboundKey::new(&AES_128_GCM, &key) else { return false };
    let (packet, tag) = retry;
    let mut pseudo_packet = Vec::with_capacity(1 + original_dcid.len() + packet.len());
    pseudo_packet.push(original_dcid.len() as u8);
    pseudo_packet.extend_from_slice(original_dcid);
    pseudo_packet.extend_from_slice(packet);
    let nonce = Nonce::assume_unique_for_key(nonce);
    LessSafeKey::new(key).open_in_place(nonce, Aad::from(pseudo_packet), &mut tag.to_vec()).is_ok()
}

impl TrafficSecret {
    pub(super) fn new(version: QuicVersion, suite: Suite13, secret: &[u8]) -> Self {
        Self { prk: Prk::new_less_safe(suite.hash.hkdf(), secret), suite, version }
    }

    pub(super) fn keys(&self) -> Option<Keys> {
        Some(Keys { header: self.header_key()?, packet: self.packet_key()? })
    }

    pub(super) fn packet_key(&self) -> Option<PacketKey> {
        let labels = self.version.labels();
        let algorithm = self.suite.aead.algorithm();
        let mut key = [0; MAX_KEY];
        let key = key.get_mut(..algorithm.key_len())?;
        expand_label(&self.prk, labels.key, key)?;
        let mut iv = [0; 12];
        expand_label(&self.prk, labels.iv, &mut iv)?;
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
        Some(PacketKey { key, iv })
    }

    /// The secret after a key update (section 6.1).
    pub(super) fn updated(&self) -> Option<Self> {
        let mut secret = [0; 48];
        let secret = secret.get_mut(..self.suite.hash.len())?;
        expand_label(&self.prk, self.version.labels().update, secret)?;
        Some(Self::new(self.version, self.suite, secret))
    }

    fn header_key(&self) -> Option<HeaderKey> {
        let algorithm = match self.suite.aead {
            Aead::Aes128Gcm => &quic::AES_128,
            Aead::Aes256Gcm => &quic::AES_256,
            Aead::Chacha20Poly1305 => &quic::CHACHA20,
        };
        let mut key = [0; MAX_KEY];
        let key = key.get_mut(..algorithm.key_len())?;
        expand_label(&self.prk, self.version.labels().header, key)?;
        HeaderProtectionKey::new(algorithm, key).ok().map(HeaderKey)
    }
}

impl HeaderKey {
    /// Takes the protection off the header of `packet`. `None` if the packet is
    /// too short for it.
    pub(super) fn unmask(&self, packet: &mut [u8], number_at: usize) -> Option<Unmasked> {
        const LONG: u8 = 0x80;
        const NUMBER_LEN: u8 = 0x03;
        let sample_at = number_at.checked_add(SAMPLE_AT)?;
        let sample = packet.get(sample_at..sample_at.checked_add(SAMPLE)?)?;
        let [mask, number_mask @ ..] = self.0.new_mask(sample).ok()?;
        let first = packet.first_mut()?;
        *first ^= mask & if *first & LONG == 0 { 0x1f } else { 0x0f };
        let first = *first;
        let number_len = usize::from(first & NUMBER_LEN) + 1;
        let bytes = packet.get_mut(number_at..number_at + number_len)?;
        let mut number = 0;
        for (byte, mask) in bytes.iter_mut().zip(number_mask) {
            *byte ^= mask;
            number = number << 8 | u32::from(*byte);
        }
        Some(Unmasked { first, number, number_len })
    }
}

impl Unmasked {
    /// The length of the header up to the payload.
    pub(super) fn header_len(&self, number_at: usize) -> usize {
        number_at + self.number_len
    }

    /// The whole packet number, where `next` is one more than the greatest seen
    /// (RFC 9000 appendix A.3).
    pub(super) fn number(&self, next: u64) -> u64 {
        let window = 1u64 << (8 * self.number_len);
        let candidate = next & !(window - 1) | u64::from(self.number);
        if candidate + window / 2 <= next && candidate < (1 << 62) - window {
            candidate + window
        } else if candidate > next + window / 2 && candidate >= window {
            candidate - window
        } else {
            candidate
        }
    }
}

impl PacketKey {
    /// Opens the payload of an unmasked packet in place. After a failure,
    /// nothing can be said of what stands there.
    pub(super) fn open<'p>(
        &self,
        packet: &'p mut [u8],
        header_len: usize,
        number: u64,
    ) -> Option<&'p [u8]> {
        let (header, payload) = packet.split_at_mut_checked(header_len)?;
        let mut nonce = self.iv;
        for (byte, number) in nonce.iter_mut().skip(4).zip(number.to_be_bytes()) {
            *byte ^= number;
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.open_in_place(nonce, Aad::from(&*header), payload).ok().map(|plain| &*plain)
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! The other side: protects packets.

    use super::*;

    impl Keys {
        /// Protects a packet: `header` ends with a packet number of
        /// `number_len` bytes.
        pub(in crate::stream::quic) fn seal(
            &self,
            header: &[u8],
            number_len: usize,
            number: u64,
            payload: &[u8],
        ) -> Vec<u8> {
            let mut nonce = self.packet.iv;
            for (byte, number) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
                *byte ^= number;
            }
            let nonce = Nonce::assume_unique_for_key(nonce);
            let mut sealed = payload.to_vec();
            let key = &self.packet.key;
            key.seal_in_place_append_tag(nonce, Aad::from(header), &mut sealed).unwrap();
            let mut packet = [header, &sealed].concat();
            let number_at = header.len() - number_len;
            let sample = &packet[number_at + SAMPLE_AT..][..SAMPLE];
            let mask = self.header.0.new_mask(sample).unwrap();
            packet[0] ^= mask[0] & if packet[0] & 0x80 == 0 { 0x1f } else { 0x0f };
            for index in 0..number_len {
                packet[number_at + index] ^= mask[1 + index];
            }
            packet
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::hex;
    use super::*;
    const CHACHA: Suite13 = Suite13 { aead: Aead::Chacha20Poly1305, hash: Hash::Sha256 };

    #[test]
    fn packet_numbers() {
        for (name, number, number_len, next, expected) in [
            // RFC 9000 appendix A.3.
            ("appendix A.3", 0x9b32, 2, 0xa82f_30eb, 0xa82f_9b32),
            ("first", 0, 1, 0, 0),
            ("jump", 0x7f, 1, 0, 0x7f),
            ("wraps up", 0x02, 1, 0xff, 0x102),
            ("reordered over a wrap", 0xfe, 1, 0x102, 0xfe),
            ("no number below zero", 0xff, 1, 1, 0xff),
        ] {
            let unmasked = Unmasked { first: 0, number, number_len };
            assert_eq!(unmasked.number(next), expected, "{name}");
        }
        let unmasked = Unmasked { first: 0, number: 0, number_len: 4 };
        assert_eq!(unmasked.number((1 << 62) - 1), (1 << 62) - (1 << 32));
    }

    #[test]
    fn chacha_short_header_of_the_appendix() {
        // RFC 9001 appendix A.5; RFC 9369 appendix A.5.
        for (version, packet) in [
            (QuicVersion::V1, "4cfe4189655e5cd55c41f69080575d7999c25a5bfb"),
            (QuicVersion::V2, "5558b1c60ae7b6b932bc27d786f4bc2bb20f2162ba"),
        ] {
            let secret = hex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b");
            let keys = TrafficSecret::new(version, CHACHA, &secret).keys().unwrap();
            let mut packet = hex(packet);
            let unmasked = keys.header.unmask(&mut packet, 1).unwrap();
            assert_eq!((unmasked.first, unmasked.number_len), (0x42, 3));
            let number = unmasked.number(654_360_564);
            assert_eq!(number, 654_360_564);
            let payload = keys.packet.open(&mut packet, unmasked.header_len(1), number);
            assert_eq!(payload, Some(&[0x01][..]));
        }
    }

    #[test]
    fn the_secret_after_an_update() {
        // RFC 9001 appendix A.5, RFC 9369 appendix A.5: `ku`.
        for (version, updated) in [
            (QuicVersion::V1, "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9"),
            (QuicVersion::V2, "c69374c49e3d2a9466fa689e49d476db5d0dfbc87d32ceeaa6343fd0ae4c7d88"),
        ] {
            let secret = hex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b");
            let found = TrafficSecret::new(version, CHACHA, &secret).updated().unwrap();
            let expected = TrafficSecret::new(version, CHACHA, &hex(updated));
            let mut packet = expected.keys().unwrap().seal(b"\x40\x00", 1, 0, b"payload of a test");
            let keys = found.keys().unwrap();
            let unmasked = keys.header.unmask(&mut packet, 1).unwrap();
            let payload = keys.packet.open(&mut packet, unmasked.header_len(1), 0);
            assert_eq!(payload, Some(&b"payload of a test"[..]));
        }
    }

    #[test]
    fn retry_of_the_appendix() {
        // RFC 9001 appendix A.4; RFC 9369 appendix A.4.
        for (version, retry) in [
            (
                QuicVersion::V1,
                "ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba",
            ),
            (
                QuicVersion::V2,
                "cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6",
            ),
        ] {
            let dcid = hex("8394c8f03e515708");
            let mut retry = hex(retry);
            let split = retry.len() - 16;
            assert!(is_retry_genuine(version, &dcid, retry.split_at(split)));
            assert!(!is_retry_genuine(version, &dcid[1..], retry.split_at(split)));
            retry[6] ^= 1;
            assert!(!is_retry_genuine(version, &dcid, retry.split_at(split)));
        }
    }

    #[test]
    fn short_packets_are_refused() {
        let [keys, _] = initial(QuicVersion::V1, b"01234567").unwrap();
        for len in 0..22 {
            let mut packet = vec![0xff; len];
            assert_eq!(keys.header.unmask(&mut packet, 2), None, "{len}");
            assert_eq!(keys.packet.open(&mut packet, len + 1, 0), None);
        }
    }
}
