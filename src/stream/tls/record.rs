//! The record layer: a direction's bytes, cut into records by their headers
//! (RFC 8446 section 5.1).
//!
//! In: bytes, cut anywhere, and gaps. Out: whole records, as slices of what was
//! fed where they lie in it whole; the news that a record was skipped, because
//! nobody wants it; the news that the framing is lost. A skipped record costs
//! its header only.
//!
//! After a gap that hides record borders, the next border is searched for: a
//! plausible header whose record authenticates, or is followed by another
//! plausible header.

/// Content types (RFC 8446 appendix B.1).
pub(super) mod content {
    pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(crate) const ALERT: u8 = 21;
    pub(crate) const HANDSHAKE: u8 = 22;
    pub(crate) const APPLICATION_DATA: u8 = 23;
    pub(crate) const HEARTBEAT: u8 = 24;
}

/// The length of a record's header.
pub(super) const HEADER: usize = 5;

/// The longest body: 2^14 bytes, and what protecting them may add (RFC 5246
/// section 6.2.3).
pub(super) const MAX_BODY: usize = (1 << 14) + 2048;

/// Bytes in which any candidate can be decided on: a record, and the header
/// behind it.
const SEARCH_WINDOW: usize = HEADER + MAX_BODY + HEADER;

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) kind: u8,
    pub(super) version: u16,
    pub(super) len: u16,
}

impl RecordHeader {
    /// Reads a header; `None` if no record has such a one.
    pub(super) fn parse(bytes: [u8; HEADER]) -> Option<Self> {
        let [kind, major, minor, high, low] = bytes;
        let len = u16::from_be_bytes([high, low]);
        let known = (content::CHANGE_CIPHER_SPEC..=content::HEARTBEAT).contains(&kind);
        (known && major == 3 && minor <= 4 && usize::from(len) <= MAX_BODY).then(|| Self {
            kind,
            version: u16::from_be_bytes([major, minor]),
            len,
        })
    }

    pub(super) fn bytes(self) -> [u8; HEADER] {
        let ([major, minor], [high, low]) = (self.version.to_be_bytes(), self.len.to_be_bytes());
        [self.kind, major, minor, high, low]
    }

    /// The length of the whole record.
    pub(super) fn total(self) -> usize {
        HEADER + usize::from(self.len)
    }
}

/// What the bytes of a direction turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// A record and its body.
    Record(RecordHeader, &'a [u8]),
    /// A record that is passed over.
    Skipped(RecordHeader),
    /// Where a header was due, something else stood; a header is searched for.
    Broken,
}

/// What a gap means for the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Nothing that is wanted.
    Nothing,
    /// One record is damaged; the next border is known.
    Record(RecordHeader),
    /// It is not known how many records are lost.
    Framing,
}

/// Who reads the records.
pub(super) trait Judge {
    /// Whether a record of this header is to be handed over. It may be asked
    /// more than once.
    fn wants(&self, header: &RecordHeader) -> bool;

    /// Whether this can be said to be a record, because it can be opened.
    fn authenticates(&mut self, header: &RecordHeader, body: &[u8]) -> bool;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Framed,
    /// So many bytes are of no interest.
    Skip(usize),
    /// A border is searched for; says whether the candidate at the front has
    /// failed to authenticate.
    Search {
        tried: bool,
    },
    Off,
}

/// Cuts the bytes of one direction into records.
#[derive(Debug, Default)]
pub(super) struct RecordReader {
    state: State,
    /// Bytes carried over, from `start` on; they come before what is fed next.
    buffer: Vec<u8>,
    start: usize,
}

/// Where the record stands that is ready.
enum Ready {
    Buffered(RecordHeader),
    Fed(RecordHeader),
    Skipped(RecordHeader),
    Broken,
}

impl RecordReader {
    /// Bytes that it owns beside itself.
    pub(super) const fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    /// A reader that drops whatever it is fed.
    pub(super) const fn off() -> Self {
        Self { state: State::Off, buffer: Vec::new(), start: 0 }
    }

    /// The next event in what is carried over and in `rest`, of which it takes
    /// what it uses.
    pub(super) fn next<'r, 'd: 'r>(
        &'r mut self,
        rest: &mut &'d [u8],
        judge: &mut impl Judge,
    ) -> Option<Event<'r>> {
        Some(match self.advance(rest, judge)? {
            Ready::Skipped(header) => Event::Skipped(header),
            Ready::Broken => Event::Broken,
            Ready::Fed(header) => {
                let (record, left) = rest.split_at(header.total());
                *rest = left;
                Event::Record(header, &record[HEADER..])
            }
            Ready::Buffered(header) => {
                let record = self.start..self.start + header.total();
                self.start = record.end;
                Event::Record(header, &self.buffer[record][HEADER..])
            }
        })
    }

    /// `len` bytes were lost (0: an unknown number).
    pub(super) fn gap(&mut self, len: u64) -> Loss {
        let (left, loss) = match self.state {
            State::Off => return Loss::Nothing,
            State::Skip(left) => (left, Loss::Nothing),
            State::Framed => match self.peek(&[]).and_then(RecordHeader::parse) {
                Some(header) => (header.total() - self.buffered(), Loss::Record(header)),
                None => (0, Loss::Framing),
            },
            State::Search { .. } => (0, Loss::Framing),
        };
        self.buffer.clear();
        self.start = 0;
        match usize::try_from(len) {
            Ok(len @ 1..) if len <= left => {
                self.state = State::Skip(left - len);
                loss
            }
            _ => {
                self.state = State::Search { tried: false };
                Loss::Framing
            }
        }
    }

    fn advance(&mut self, rest: &mut &[u8], judge: &mut impl Judge) -> Option<Ready> {
        loop {
            match self.state {
                State::Off => {
                    *rest = &[];
                    return None;
                }
                State::Skip(left) => {
                    let left = left - self.skip(left, rest);
                    if left > 0 {
                        self.state = State::Skip(left);
                        return None;
                    }
                    self.state = State::Framed;
                }
                State::Search { tried } => {
                    if !self.search(tried, rest, judge) {
                        return None;
                    }
                }
                State::Framed => return self.framed(rest, judge),
            }
        }
    }

    fn framed(&mut self, rest: &mut &[u8], judge: &mut impl Judge) -> Option<Ready> {
        let Some(bytes) = self.peek(rest) else {
            self.fill(HEADER, rest);
            return None;
        };
        let Some(header) = RecordHeader::parse(bytes) else {
            self.state = State::Search { tried: false };
            return Some(Ready::Broken);
        };
        if !judge.wants(&header) {
            self.state = State::Skip(header.total());
            return Some(Ready::Skipped(header));
        }
        if self.buffered() == 0 && rest.len() >= header.total() {
            return Some(Ready::Fed(header));
        }
        self.fill(header.total(), rest).then_some(Ready::Buffered(header))
    }

    /// Looks for a border. Returns whether it was found.
    fn search(&mut self, mut tried: bool, rest: &mut &[u8], judge: &mut impl Judge) -> bool {
        loop {
            let buffered = self.buffered() > 0;
            if buffered {
                self.fill(SEARCH_WINDOW, rest);
            }
            let view = if buffered { &self.buffer[self.start..] } else { &**rest };
            let scan = scan(view, tried, judge);
            self.skip(scan.at, rest);
            tried = scan.tried;
            if scan.found {
                self.state = State::Framed;
                return true;
            }
            if !buffered {
                // What is left is shorter than a candidate.
                self.fill(SEARCH_WINDOW, rest);
            }
            if rest.is_empty() {
                self.state = State::Search { tried };
                return false;
            }
        }
    }

    fn buffered(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The next bytes, without taking them.
    fn peek(&self, rest: &[u8]) -> Option<[u8; HEADER]> {
        let mut bytes = [0; HEADER];
        let mut input = self.buffer[self.start..].iter().chain(rest);
        for byte in &mut bytes {
            *byte = *input.next()?;
        }
        Some(bytes)
    }

    /// Takes bytes from `rest` until `len` are buffered. Returns whether they
    /// are.
    fn fill(&mut self, len: usize, rest: &mut &[u8]) -> bool {
        let missing = len.saturating_sub(self.buffered());
        if missing > 0 && self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let (taken, left) = rest.split_at(missing.min(rest.len()));
        self.buffer.extend_from_slice(taken);
        *rest = left;
        taken.len() == missing
    }

    /// Drops up to `len` bytes. Returns how many.
    fn skip(&mut self, len: usize, rest: &mut &[u8]) -> usize {
        let buffered = len.min(self.buffered());
        self.start += buffered;
        let fed = (len - buffered).min(rest.len());
        *rest = &rest[fed..];
        buffered + fed
    }
}

/// How far a search came.
struct Scan {
    /// Bytes that hold no border.
    at: usize,
    /// There is one behind them.
    found: bool,
    /// The candidate behind them failed to authenticate.
    tried: bool,
}

/// Looks for a border in `view`. Stops at the first candidate for which more
/// bytes are needed.
fn scan(view: &[u8], mut tried: bool, judge: &mut impl Judge) -> Scan {
    let mut at = 0;
    while at < view.len() {
        let tail = &view[at..];
        match Candidate::of(tail) {
            Candidate::No => {}
            Candidate::Unsure => return Scan { at, found: false, tried: false },
            Candidate::Header(header) => {
                if let Some(record) = tail.get(..header.total()).filter(|_| !tried) {
                    if judge.authenticates(&header, &record[HEADER..]) {
                        return Scan { at, found: true, tried };
                    }
                    tried = true;
                }
                match tail.get(header.total()..).map_or(Candidate::Unsure, Candidate::of) {
                    Candidate::No => {}
                    Candidate::Unsure => return Scan { at, found: false, tried },
                    Candidate::Header(_) => return Scan { at, found: true, tried },
                }
            }
        }
        at += 1;
        tried = false;
    }
    Scan { at, found: false, tried: false }
}

/// Whether a record may begin here.
enum Candidate {
    No,
    Unsure,
    Header(RecordHeader),
}

impl Candidate {
    fn of(bytes: &[u8]) -> Self {
        let mut padded = [content::APPLICATION_DATA, 3, 3, 0, 1];
        let len = bytes.len().min(HEADER);
        padded[..len].copy_from_slice(&bytes[..len]);
        match RecordHeader::parse(padded) {
            Some(header) if len == HEADER && header.len > 0 => Self::Header(header),
            Some(_) if len < HEADER => Self::Unsure,
            _ => Self::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::{Cut, Rng};

    /// Wants what is not an alert, and opens records that begin with `ok`.
    struct Testing;

    impl Judge for Testing {
        fn wants(&self, header: &RecordHeader) -> bool {
            header.kind != content::ALERT
        }

        fn authenticates(&mut self, _: &RecordHeader, body: &[u8]) -> bool {
            body.starts_with(b"ok")
        }
    }

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let header = RecordHeader { kind, version: 0x0303, len: body.len() as u16 };
        [&header.bytes(), body].concat()
    }

    /// The events of `data`, and the gaps in it.
    fn read(parts: &[Result<&[u8], u64>], cut: Cut) -> Vec<String> {
        let mut reader = RecordReader::default();
        let mut events = Vec::new();
        for part in parts {
            match part {
                Err(len) => events.push(format!("{:?}", reader.gap(*len))),
                Ok(data) => {
                    for mut piece in cut.pieces(data) {
                        while let Some(event) = reader.next(&mut piece, &mut Testing) {
                            events.push(match event {
                                Event::Record(header, body) => {
                                    format!("{} {}", header.kind, body.escape_ascii())
                                }
                                Event::Skipped(header) => format!("skipped {}", header.len),
                                Event::Broken => "broken".to_owned(),
                            });
                        }
                        assert!(piece.is_empty());
                    }
                }
            }
            assert!(reader.buffer.len() <= SEARCH_WINDOW);
        }
        events
    }

    fn check(parts: &[Result<&[u8], u64>], expected: &[&str]) {
        for cut in Cut::all() {
            assert_eq!(read(parts, cut), expected, "{cut:?}");
        }
    }

    #[test]
    fn records_however_cut() {
        let data = [record(22, b"hello"), record(21, b"alert"), record(23, b""), record(23, b"x")];
        check(&[Ok(&data.concat())], &["22 hello", "skipped 5", "23 ", "23 x"]);
    }

    #[test]
    fn a_gap_inside_a_record_damages_it_alone() {
        let [a, b] = [record(23, b"0123456789"), record(23, b"next")];
        let header = RecordHeader { kind: 23, version: 0x0303, len: 10 };
        let damaged = format!("{:?}", Loss::Record(header));
        let tail = [&a[9..], &b].concat();
        check(&[Ok(&a[..7]), Err(2), Ok(&tail)], &[&damaged, "23 next"]);
        check(&[Ok(&a[..7]), Err(8), Ok(&b)], &[&damaged, "23 next"]);
        let skipped = record(21, b"0123456789");
        check(&[Ok(&skipped[..7]), Err(8), Ok(&b)], &["skipped 10", "Nothing", "23 next"]);
    }

    #[test]
    fn the_next_border_is_found() {
        let noise = b"\x17\x03\x03\xff\x17\x03\x03\x00\x02noise \x16\x03\x03\x00\x00\x17\x03";
        let records = [record(23, b"one"), record(23, b"two")].concat();
        let data = [&noise[..], &records].concat();
        check(&[Err(0), Ok(&data)], &["Framing", "23 one", "23 two"]);
        check(
            &[Ok(&record(23, b"whole")), Err(9), Ok(&data)],
            &["23 whole", "Framing", "23 one", "23 two"],
        );
        // A lone record counts if it can be opened.
        let data = [&noise[..], &record(23, b"ok")].concat();
        check(&[Err(1), Ok(&data)], &["Framing", "23 ok"]);
        let data = [&noise[..], &record(23, b"no")].concat();
        check(&[Err(1), Ok(&data)], &["Framing"]);
    }

    #[test]
    fn broken_framing() {
        let data = [record(22, b"a"), b"GET / HTTP/1.1".to_vec(), record(23, b"ok")].concat();
        check(&[Ok(&data)], &["22 a", "broken", "23 ok"]);
        check(&[Ok(b"\x16\x03\x01\xff\xff")], &["broken"]);
    }

    #[test]
    fn a_large_search_keeps_little() {
        let mut rng = Rng::new(7);
        let mut data = (0..300_000).map(|_| rng.next() as u8).collect::<Vec<_>>();
        data.extend(record(23, b"ok"));
        for cut in [Cut::Whole, Cut::Random(1)] {
            assert_eq!(read(&[Err(0), Ok(&data)], cut).last().unwrap(), "23 ok");
        }
    }

    #[test]
    fn nothing_is_read_when_off() {
        let mut reader = RecordReader::off();
        let data = record(22, b"x");
        assert_eq!(reader.next(&mut &data[..], &mut Testing), None);
        assert_eq!(reader.gap(3), Loss::Nothing);
    }

    #[test]
    fn random_input_gives_the_same_however_cut() {
        let mut rng = Rng::new(11);
        for _ in 0..300 {
            let mut data = [record(22, b"hello"), record(23, &[7; 60]), record(23, b"ok")].concat();
            rng.mutate(&mut data);
            rng.mutate(&mut data);
            let whole = read(&[Ok(&data)], Cut::Whole);
            for cut in Cut::all() {
                assert_eq!(read(&[Ok(&data)], cut), whole, "{cut:?} {data:?}");
            }
        }
    }
}
