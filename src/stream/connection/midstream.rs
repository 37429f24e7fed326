//! HTTP in a connection that was joined late: heads of HTTP/1 and frames of
//! HTTP/2 are searched for side by side, in both directions.
//!
//! In: the bytes of a connection that begins with nothing we know. Out: which of
//! the two it is. What comes first counts, so the cutting does not matter: bytes
//! after those that show frames are not looked at for a head.

use crate::stream::Direction;
use crate::stream::http1::{Http1, Http1Limits, Progress};
use crate::stream::http2::{Http2Sink, MidstreamProbe};

/// The search.
#[derive(Debug)]
pub(super) struct Midstream {
    /// Reads as soon as there is a head.
    pub(super) http1: Http1,
    pub(super) probes: [MidstreamProbe; 2],
    /// Within another protocol, where the sides are known.
    pub(super) nested: bool,
}

/// What it is.
#[derive(Debug)]
pub(super) enum Told {
    Unsure,
    Http1(Progress),
    /// With the direction that the frames go, where they tell.
    Http2(Option<Direction>),
    Neither,
}

impl Midstream {
    pub(super) fn new(limits: Http1Limits, nested: bool) -> Self {
        Self { http1: Http1::new(limits), probes: Default::default(), nested }
    }

    /// Bytes that it owns beside itself.
    pub(super) fn memory(&self) -> usize {
        self.http1.memory() + self.probes.iter().map(MidstreamProbe::memory).sum::<usize>()
    }

    /// Takes the next bytes of a direction. Says what they tell, and how many of
    /// them it took.
    pub(super) fn feed<S>(
        &mut self,
        direction: Direction,
        data: &[u8],
        sink: &mut S,
    ) -> (Told, usize)
    where
        S: Http2Sink + ?Sized,
    {
        let probe = &mut self.probes[direction.index()];
        let frames = probe.feed(data);
        let speaker = frames.and_then(|_| probe.direction());
        let (now, _) = data.split_at(frames.unwrap_or(data.len()));
        let progress = self.http1.feed(direction, now, sink);
        let told = match self.told(progress) {
            Told::Unsure if frames.is_some() => Told::Http2(speaker),
            told => told,
        };
        (told, now.len())
    }

    /// `len` bytes of a direction were lost.
    pub(super) fn gap<S>(&mut self, direction: Direction, len: u64, sink: &mut S) -> Told
    where
        S: Http2Sink + ?Sized,
    {
        self.probes[direction.index()].lose();
        let progress = self.http1.gap(direction, len, sink);
        self.told(progress)
    }

    /// A direction ended.
    pub(super) fn end<S>(&mut self, direction: Direction, sink: &mut S) -> Told
    where
        S: Http2Sink + ?Sized,
    {
        let progress = self.http1.end(direction, sink);
        self.told(progress)
    }

    fn told(&self, progress: Progress) -> Told {
        match progress {
            _ if self.http1.has_heads() => Told::Http1(progress),
            Progress::NotHttp => Told::Neither,
            Progress::Continue | Progress::Switched { .. } => Told::Unsure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::Cut;
    use crate::stream::{ExchangeId, ExchangeSink, Interest, RequestHead, ResponseHead};

    /// A sink that takes no notice.
    struct Deaf;

    impl ExchangeSink for Deaf {
        fn request(&mut self, _: ExchangeId, _: &RequestHead<'_>) -> Interest {
            Interest::Wanted
        }

        fn response(&mut self, _: ExchangeId, _: &ResponseHead<'_>) -> Interest {
            Interest::Wanted
        }

        fn body(&mut self, _: ExchangeId, _: Direction, _: &[u8]) -> Interest {
            Interest::Wanted
        }

        fn body_gap(&mut self, _: ExchangeId, _: Direction, _: u64) {}

        fn body_end(&mut self, _: ExchangeId, _: Direction, _: bool) {}

        fn exchange_end(&mut self, _: ExchangeId) {}
    }

    impl Http2Sink for Deaf {
        fn extended_connect(&mut self, _: ExchangeId, _: &[u8]) {}
    }

    /// What the client's bytes tell, and which of them.
    fn run(input: &[u8], cut: Cut) -> (String, usize) {
        let mut midstream = Midstream::new(Http1Limits::default(), false);
        let mut fed = 0;
        for piece in cut.pieces(input) {
            let (told, used) = midstream.feed(Direction::ToServer, piece, &mut Deaf);
            fed += used;
            if !matches!(told, Told::Unsure) {
                return (format!("{told:?}"), fed);
            }
        }
        ("Unsure".to_owned(), fed)
    }

    #[test]
    fn what_comes_first_counts() {
        const HEAD: &[u8] = b"POST /mcp HTTP/1.1\r\nhost: h\r\n\r\n";
        const FRAMES: &[u8] = b"\0\0\x02\x01\x05\0\0\0\x07\x83\x86\0\0\0\x04\x01\0\0\0\0\
            \0\0\0\x04\x01\0\0\0\0\0\0\0\x04\x01\0\0\0\0";
        let text = b"the end of something\r\n".as_slice();
        let (frames, head) = ("Http2(Some(ToServer))", "Http1(Continue)");
        for (name, input, expected) in [
            ("a head", [text, HEAD].concat(), head),
            ("frames", FRAMES.to_vec(), frames),
            ("frames after text", [text, FRAMES].concat(), frames),
            ("a head before frames", [text, HEAD, FRAMES].concat(), head),
            ("frames before a head", [text, FRAMES, HEAD].concat(), frames),
            ("neither", text.repeat(4000), "Neither"),
            ("nothing yet", text.repeat(10), "Unsure"),
        ] {
            let whole = run(&input, Cut::Whole);
            assert_eq!(whole.0, expected, "{name}");
            for cut in Cut::all() {
                let (told, used) = run(&input, cut);
                assert_eq!(told, expected, "{name}, {cut:?}");
                let is_found = expected == frames;
                assert!(!is_found || used == whole.1, "{name}, {cut:?}: {used}, {}", whole.1);
            }
        }
    }
}
