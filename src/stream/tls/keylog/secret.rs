//! The secrets of one handshake.

use std::fmt;

use zeroize::Zeroize;

/// The length of a master secret, and of the longest traffic secret.
const MAX_LEN: usize = 48;

/// What a secret is for. The labels of key logs say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// `CLIENT_RANDOM`: the master secret of TLS 1.2.
    Master,
    ClientEarly,
    ClientHandshake,
    ServerHandshake,
    ClientApplication,
    ServerApplication,
}

impl Label {
    const COUNT: usize = 6;

    /// How many bytes such a secret may have.
    pub(super) const fn lengths(self) -> &'static [usize] {
        match self {
            Self::Master => &[MAX_LEN],
            _ => &[32, 48],
        }
    }
}

/// A secret: wiped when dropped, never shown.
#[derive(Clone)]
pub(crate) struct Secret {
    bytes: [u8; MAX_LEN],
    len: u8,
}

impl Secret {
    pub(crate) const fn zeros(len: usize) -> Self {
        assert!(len <= MAX_LEN);
        Self { bytes: [0; MAX_LEN], len: len as u8 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len.into()]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len.into()]
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The secrets of one handshake that are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    slots: [Option<Secret>; Label::COUNT],
}

impl Secrets {
    pub(crate) fn find(&self, label: Label) -> Option<&Secret> {
        self.slots[label as usize].as_ref()
    }

    pub(super) fn set(&mut self, label: Label, secret: Secret) {
        self.slots[label as usize] = Some(secret);
    }

    /// Takes over what is not known here.
    pub(super) fn fill_from(&mut self, older: &Self) {
        for (slot, older) in self.slots.iter_mut().zip(&older.slots) {
            if slot.is_none() {
                slot.clone_from(older);
            }
        }
    }
}
