//! Bytes that a terminal sends into keys.
//!
//! Only the keys that the view knows; everything else is skipped. Any bytes in any
//! split give the same keys, save that the escape key is told from the beginning of a
//! sequence by nothing following it.

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Tab,
    BackTab,
    Enter,
    Escape,
    Backspace,
    /// With the control key.
    Control(char),
}

/// Longest sequence; a longer one is none.
const LONGEST: usize = 16;

/// Reads keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The beginning of a key.
    begun: Vec<u8>,
}

impl Keys {
    /// The keys that these bytes end.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        for byte in bytes {
            self.begun.push(*byte);
            match parse(&self.begun) {
                Parsed::More if self.begun.len() < LONGEST => {}
                Parsed::More | Parsed::Nothing => self.begun.clear(),
                Parsed::Key(key) => {
                    self.begun.clear();
                    keys.push(key);
                }
            }
        }
        keys
    }

    /// Nothing came for a while: what was begun is over.
    pub(super) fn settle(&mut self) -> Option<Key> {
        let begun = std::mem::take(&mut self.begun);
        (begun == [ESCAPE]).then_some(Key::Escape)
    }
}

const ESCAPE: u8 = 0x1b;

enum Parsed {
    Key(Key),
    /// It may become one.
    More,
    /// It is none that matters.
    Nothing,
}

fn parse(bytes: &[u8]) -> Parsed {
    match bytes {
        [ESCAPE] | [ESCAPE, b'[' | b'O'] => Parsed::More,
        [ESCAPE, ESCAPE] => Parsed::Key(Key::Escape),
        [ESCAPE, b'[' | b'O', rest @ .., last] => sequence(rest, *last),
        [ESCAPE, ..] => Parsed::Nothing,
        [b'\r' | b'\n'] => Parsed::Key(Key::Enter),
        [b'\t'] => Parsed::Key(Key::Tab),
        [0x7f | 0x08] => Parsed::Key(Key::Backspace),
        [control @ 1..0x20] => Parsed::Key(Key::Control(char::from(control | 0x60))),
        [0] => Parsed::Nothing,
        text => character(text),
    }
}

/// A sequence of a cursor or editing key; modifiers do not matter.
fn sequence(parameters: &[u8], last: u8) -> Parsed {
    let number = parameters.split(|byte| *byte == b';').next();
    match (last, number) {
        (b'A', _) => Parsed::Key(Key::Up),
        (b'B', _) => Parsed::Key(Key::Down),
        (b'H', _) | (b'~', Some(b"1" | b"7")) => Parsed::Key(Key::Home),
        (b'F', _) | (b'~', Some(b"4" | b"8")) => Parsed::Key(Key::End),
        (b'~', Some(b"5")) => Parsed::Key(Key::PageUp),
        (b'~', Some(b"6")) => Parsed::Key(Key::PageDown),
        (b'Z', _) => Parsed::Key(Key::BackTab),
        (0x20..=0x3f, _) => Parsed::More,
        _ => Parsed::Nothing,
    }
}

fn character(bytes: &[u8]) -> Parsed {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.chars().next().map_or(Parsed::Nothing, |c| Parsed::Key(Key::Char(c))),
        // The end of the bytes came too early.
        Err(error) if error.error_len().is_none() => Parsed::More,
        Err(_) => Parsed::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<Key> {
        Keys::default().read(bytes)
    }

    #[test]
    fn keys_of_usual_terminals() {
        for (bytes, key) in [
            (&b"q"[..], Key::Char('q')),
            ("é".as_bytes(), Key::Char('é')),
            ("日".as_bytes(), Key::Char('日')),
            (b"\x1b[A", Key::Up),
            (b"\x1bOA", Key::Up),
            (b"\x1b[1;5B", Key::Down),
            (b"\x1b[5~", Key::PageUp),
            (b"\x1b[6~", Key::PageDown),
            (b"\x1b[H", Key::Home),
            (b"\x1b[1~", Key::Home),
            (b"\x1bOF", Key::End),
            (b"\x1b[4~", Key::End),
            (b"\t", Key::Tab),
            (b"\x1b[Z", Key::BackTab),
            (b"\r", Key::Enter),
            (b"\x7f", Key::Backspace),
            (b"\x03", Key::Control('c')),
            (b"\x1a", Key::Control('z')),
            (b"\x0c", Key::Control('l')),
        ] {
            assert_eq!(all(bytes), [key], "{bytes:?}");
        }
    }

    #[test]
    fn the_escape_key_is_alone() {
        let mut keys = Keys::default();
        assert!(keys.read(b"\x1b").is_empty());
        assert_eq!(keys.settle(), Some(Key::Escape));
        assert_eq!(keys.settle(), None);
        assert!(keys.read(b"\x1b[").is_empty());
        assert_eq!(keys.settle(), None);
        assert_eq!(keys.read(b"A"), [Key::Char('A')]);
    }

    #[test]
    fn any_bytes_in_any_split_give_the_same_keys() {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for _ in 0..200 {
            let bytes: Vec<u8> = (0..200)
                .map(|_| match next() {
                    byte @ 0..64 => byte,
                    64..128 => ESCAPE,
                    128..160 => b'[',
                    byte => byte,
                })
                .collect();
            let mut split = Keys::default();
            let parts: Vec<Key> = bytes
                .chunks(usize::from(next() % 7) + 1)
                .flat_map(|part| split.read(part))
                .collect();
            assert_eq!(parts, all(&bytes));
            assert!(split.begun.len() < LONGEST);
        }
    }
}
