//! The members of a JSON object that is no message: bytes of a document in, the
//! strings at its top out, unescaped and in pieces as they come.

use super::encoding::Decoder;
use super::json::{Container, Ending, Interest, Literal, Tokenizer, Visitor};

/// Bytes kept of a key that comes in pieces: longer ones are nobody's.
const MAX_KEY: usize = 256;

/// Receives the members of an object.
pub trait MemberSink {
    /// A member begins; whether its string, or the strings of its array, are
    /// wanted. One that occurs twice is told twice, and the last one counts.
    fn member(&mut self, key: &[u8]) -> bool;

    /// More of a text that may yet turn out to be no string.
    fn text(&mut self, part: &[u8]);

    /// The text ended, and was a string or was none.
    fn text_end(&mut self, is_string: bool);
}

/// Reads one document.
#[derive(Debug, Default)]
pub struct MemberReader {
    decoder: Decoder,
    tokenizer: Tokenizer,
    top: Top,
    failed: bool,
}

#[derive(Debug, Default)]
struct Top {
    place: Place,
    /// The values that come are wanted.
    hearing: bool,
    key: Vec<u8>,
    /// An object has begun.
    begun: bool,
    /// There is more than an object, or something else.
    other: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    Object,
    /// In an array that is wanted.
    Array,
}

struct Reading<'a, S: MemberSink> {
    top: &'a mut Top,
    sink: &'a mut S,
}

impl MemberReader {
    /// A reader of which nothing was read.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads on; with `false` the document is no object, and need not be read.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut impl MemberSink) -> bool {
        if self.decoder.passes_through() {
            return self.feed_utf8(bytes, sink);
        }
        let mut decoder = std::mem::take(&mut self.decoder);
        decoder.feed(bytes, |utf8| {
            self.feed_utf8(utf8, sink);
        });
        self.decoder = decoder;
        !self.is_refuted()
    }

    /// The document ended, `complete` or cut; whether it was an object, as far as
    /// it was seen.
    pub fn finish(&mut self, complete: bool, sink: &mut impl MemberSink) -> bool {
        if complete && !self.decoder.passes_through() {
            let mut decoder = std::mem::take(&mut self.decoder);
            decoder.finish(|utf8| {
                self.feed_utf8(utf8, sink);
            });
            self.decoder = decoder;
        }
        let mut reading = Reading { top: &mut self.top, sink };
        let whole = self.tokenizer.finish(&mut reading) == Ending::Clean;
        self.top.begun && !self.is_refuted() && (whole || !complete)
    }

    fn feed_utf8(&mut self, bytes: &[u8], sink: &mut impl MemberSink) -> bool {
        let mut reading = Reading { top: &mut self.top, sink };
        if !self.failed {
            self.failed = self.tokenizer.feed(bytes, &mut reading).is_err();
        }
        !self.is_refuted()
    }

    fn is_refuted(&self) -> bool {
        self.failed || self.top.other
    }
}

impl<S: MemberSink> Reading<'_, S> {
    fn end_text(&mut self, last: &[u8], is_string: bool) {
        self.top.other |= self.top.place == Place::Outside;
        if !self.top.hearing {
            return;
        }
        if is_string {
            self.sink.text(last);
        }
        self.sink.text_end(is_string);
        self.top.hearing = self.top.place == Place::Array;
    }
}

impl<S: MemberSink> Visitor for Reading<'_, S> {
    fn begin(&mut self, container: Container) -> bool {
        let top = &mut *self.top;
        match (top.place, container) {
            (Place::Outside, Container::Object) if !top.begun => {
                top.begun = true;
                top.place = Place::Object;
                true
            }
            (Place::Outside, _) => {
                top.other = true;
                false
            }
            (Place::Object, Container::Array) if top.hearing => {
                top.place = Place::Array;
                true
            }
            (Place::Object, _) => {
                top.hearing = false;
                false
            }
            (Place::Array, _) => false,
        }
    }

    fn end(&mut self, container: Container) {
        self.top.hearing = false;
        self.top.place = match container {
            Container::Array => Place::Object,
            Container::Object => Place::Outside,
        };
    }

    fn part(&mut self, part: &[u8]) {
        if self.top.hearing {
            return self.sink.text(part);
        }
        let room = MAX_KEY.saturating_sub(self.top.key.len()).min(part.len());
        self.top.key.extend_from_slice(part.get(..room).unwrap_or_default());
    }

    fn key(&mut self, last: &[u8]) -> Interest {
        self.part(last);
        let top = &mut *self.top;
        top.hearing = top.key.len() < MAX_KEY && self.sink.member(&top.key);
        top.key.clear();
        if top.hearing { Interest::Watch } else { Interest::Skip }
    }

    fn string(&mut self, last: &[u8]) {
        self.end_text(last, true);
    }

    fn number(&mut self, last: &[u8]) {
        self.end_text(last, false);
    }

    fn literal(&mut self, _: Literal) {
        self.end_text(&[], false);
    }

    fn raw(&mut self, _: &[u8]) {}

    fn raw_end(&mut self) {}

    fn document(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Recorder {
        members: Vec<String>,
        text: Vec<u8>,
    }

    impl MemberSink for Recorder {
        fn member(&mut self, key: &[u8]) -> bool {
            self.text.clear();
            self.members.push(format!("{}:", String::from_utf8_lossy(key)));
            !key.starts_with(b"x")
        }

        fn text(&mut self, part: &[u8]) {
            self.text.extend_from_slice(part);
        }

        fn text_end(&mut self, is_string: bool) {
            let text = String::from_utf8_lossy(&self.text);
            self.members.push(if is_string { text.into_owned() } else { "-".to_owned() });
            self.text.clear();
        }
    }

    fn read(text: &[u8], size: usize, complete: bool) -> (Vec<String>, bool) {
        let mut recorder = Recorder::default();
        let mut reader = MemberReader::new();
        let read = text.chunks(size).all(|piece| reader.feed(piece, &mut recorder));
        (recorder.members, read && reader.finish(complete, &mut Recorder::default()))
    }

    #[test]
    fn strings_at_the_top_in_any_pieces() {
        let text = r#" {"a":"\u00e9\/","x":"no","b":[ "1" ,2,["n"],{"c":"n"},"3"],
            "c":{"a":"n"},"d":-Infinity,"\u0061":""} "#;
        let expected =
            ["a:", "é/", "x:", "b:", "1", "-", "3", "c:", "d:", "-", "a:", ""].map(str::to_owned);
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for size in [1, 2, 3, 7, 1000] {
            assert_eq!(read(text.as_bytes(), size, true), (expected.to_vec(), true), "{size}");
            assert_eq!(read(&utf16, size, true), (expected.to_vec(), true), "{size}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for (text, complete, cut) in [
            ("{}", true, true),
            ("{\"a\":\"b", false, true),
            ("", false, false),
            ("[{}]", false, false),
            ("\"a\"", false, false),
            ("{} {}", false, false),
            ("{}x", false, false),
            ("{\"a\":}", false, false),
        ] {
            for size in [1, 2, 100] {
                assert_eq!(read(text.as_bytes(), size, true).1, complete, "{text} by {size}");
                assert_eq!(read(text.as_bytes(), size, false).1, cut, "{text} by {size}");
            }
        }
    }
}
