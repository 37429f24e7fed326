//! Heads: what they say is handed on, and decides what follows them.

use super::chunked::Chunked;
use super::exchanges::{RequestKind, UpgradeOffer};
use super::framing::{BodyFraming, Framing, of_request, of_response};
use super::head::{FieldsReport, RequestLine, StatusLine, with_fields};
use super::reader::{BlankLine, HeadPlace, HeadReader, HeadStep};
use super::{Http1, State};
use crate::stream::uri::Target;
use crate::stream::{
    Direction, ExchangeSink, HeadFlags, Header, HttpVersion, RequestHead, ResponseHead,
    find_header, joined,
};

/// How much of a head there is.
#[derive(Clone, Copy, Debug)]
enum Extent {
    Whole,
    /// The cap was reached; the rest comes.
    Capped(BlankLine),
    /// The rest was lost, and nothing is known of what follows.
    Cut,
}

impl Http1 {
    pub(super) fn read_head<S>(
        &mut self,
        direction: Direction,
        mut reader: HeadReader,
        data: &[u8],
        sink: &mut S,
    ) -> usize
    where
        S: ExchangeSink + ?Sized,
    {
        let limit = self.limits.head_bytes;
        let half = self.half(direction);
        let step = reader.read(direction, data, &mut half.buffer, limit);
        half.state = State::Head(reader);
        let (place, used, extent) = match step {
            HeadStep::More => return data.len(),
            HeadStep::NotAHead { used } => {
                half.state = State::lost();
                let line = half.take_buffer();
                self.counters.bad_start_lines += 1;
                self.drive(direction, &line, sink);
                return used;
            }
            HeadStep::Whole { place, used } => (place, used, Extent::Whole),
            HeadStep::TooLarge { place, used } => {
                self.counters.head_too_large += 1;
                (place, used, Extent::Capped(reader.blank))
            }
        };
        match place {
            HeadPlace::Data(from, to) => self.head(direction, &data[from..to], extent, sink),
            HeadPlace::Buffer => {
                let buffer = self.half(direction).take_buffer();
                self.head(direction, &buffer, extent, sink);
                self.half(direction).return_buffer(buffer);
            }
        }
        used
    }

    /// The end of the head in the buffer was lost: hands on what there is, if
    /// it says anything.
    pub(super) fn cut_head<S>(&mut self, direction: Direction, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let head = self.half(direction).take_buffer();
        if !head.is_empty() {
            self.head(direction, &head, Extent::Cut, sink);
        }
    }

    fn head<S>(&mut self, direction: Direction, head: &[u8], extent: Extent, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let (line, block) = split_line(head);
        let lines = memchr::memchr_iter(b'\n', block).count();
        let known = with_fields(block, lines, |fields, report| match direction {
            Direction::ToServer => {
                let parsed = match extent {
                    Extent::Cut if block.is_empty() => RequestLine::parse_cut(line),
                    _ => RequestLine::parse(line),
                };
                parsed.map(|line| self.request(&line, fields, report, extent, sink))
            }
            Direction::ToClient => StatusLine::parse(line)
                .map(|line| self.response(line, fields, report, extent, sink)),
        });
        if known.is_none() {
            self.counters.skipped_bytes += head.len() as u64;
            self.half(direction).state = State::lost();
        }
    }

    fn request<S>(
        &mut self,
        line: &RequestLine<'_>,
        fields: &[Header<'_>],
        report: FieldsReport,
        extent: Extent,
        sink: &mut S,
    ) where
        S: ExchangeSink + ?Sized,
    {
        let body = of_request(fields, line.version, !matches!(extent, Extent::Whole));
        let flags = self.count_head(body, report, line.irregular, extent);
        self.counters.requests += 1;
        self.counters.pipelined += u64::from(self.exchanges.any_awaited());
        let id = self.exchanges.request(request_kind(line.method, fields));
        let target = Target::parse(line.target);
        let authority = match line.method {
            b"CONNECT" => Some(line.target),
            _ => target.authority.or_else(|| find_header(fields, "host")),
        };
        let interest = sink.request(
            id,
            &RequestHead {
                version: line.version,
                method: line.method,
                target: line.target,
                scheme: target.scheme,
                authority,
                headers: fields,
                flags,
            },
        );
        let half = self.half(Direction::ToServer);
        (half.id, half.interest, half.found) = (id, interest, false);
        if let Some(evicted) = self.exchanges.evict(self.limits.outstanding) {
            self.counters.unanswered_requests += 1;
            sink.exchange_end(evicted);
        }
        self.after_head(Direction::ToServer, body.framing, extent, sink);
    }

    fn response<S>(
        &mut self,
        line: StatusLine,
        fields: &[Header<'_>],
        report: FieldsReport,
        extent: Extent,
        sink: &mut S,
    ) where
        S: ExchangeSink + ?Sized,
    {
        if std::mem::take(&mut self.half(Direction::ToClient).found) {
            while let Some(stale) = self.exchanges.take_stale() {
                self.counters.unanswered_requests += 1;
                sink.exchange_end(stale);
            }
        }
        if matches!(line.status, 100 | 102..=199) {
            self.counters.interim_responses += 1;
            let whole = matches!(extent, Extent::Whole);
            self.half(Direction::ToClient).state =
                if whole { State::head() } else { State::lost() };
            return;
        }
        let (id, kind) = self.exchanges.response();
        let unpaired = kind.is_none();
        let to_head = kind == Some(&RequestKind::Head);
        let tunnel = kind == Some(&RequestKind::Connect) && matches!(line.status, 200..=299);
        let switches = tunnel || line.status == 101;

        let cut = !matches!(extent, Extent::Whole);
        let mut body = of_response(fields, line.version, line.status, to_head, cut);
        if switches {
            body = BodyFraming { framing: Framing::Empty, ambiguous: false, coded: false };
        }
        let flags = self.count_head(body, report, false, extent);
        self.counters.responses += 1;
        self.counters.unpaired_responses += u64::from(unpaired);
        let head =
            ResponseHead { version: line.version, status: line.status, headers: fields, flags };
        let interest = sink.response(id, &head);
        let half = self.half(Direction::ToClient);
        (half.id, half.interest) = (id, interest);
        match extent {
            Extent::Whole if switches => self.switch(id, tunnel, fields, sink),
            // Where the other protocol begins is not known.
            _ if switches => self.after_head(Direction::ToClient, body.framing, Extent::Cut, sink),
            _ => {
                self.after_head(Direction::ToClient, body.framing, extent, sink);
                self.release_held(id, sink);
            }
        }
    }

    /// A response goes on whose head was lost: a stream of events, in chunks.
    pub(super) fn join_events<S>(&mut self, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        while let Some(stale) = self.exchanges.take_stale() {
            self.counters.unanswered_requests += 1;
            sink.exchange_end(stale);
        }
        let (id, kind) = self.exchanges.response();
        self.counters.unpaired_responses += u64::from(kind.is_none());
        self.counters.joined_events += 1;
        let flags = HeadFlags { incomplete: true, ..HeadFlags::default() };
        let version = HttpVersion::Http11;
        let head = ResponseHead { version, status: 0, headers: &[], flags };
        let interest = sink.response(id, &head);
        let half = self.half(Direction::ToClient);
        (half.id, half.interest, half.found) = (id, interest, false);
        half.state = State::Chunked(Chunked::new());
    }

    fn after_head<S>(
        &mut self,
        direction: Direction,
        framing: Framing,
        extent: Extent,
        sink: &mut S,
    ) where
        S: ExchangeSink + ?Sized,
    {
        match extent {
            Extent::Whole => self.begin_body(direction, framing, sink),
            Extent::Capped(blank) => {
                self.half(direction).state = State::RestOfHead(blank, framing);
            }
            Extent::Cut => self.message_end(direction, false, sink),
        }
    }

    fn count_head(
        &mut self,
        body: BodyFraming,
        report: FieldsReport,
        irregular_line: bool,
        extent: Extent,
    ) -> HeadFlags {
        let incomplete = report.too_many || !matches!(extent, Extent::Whole);
        let ambiguous_framing = body.ambiguous || report.blurred_framing;
        let counters = &mut self.counters;
        counters.too_many_headers += u64::from(report.too_many);
        counters.incomplete_heads += u64::from(incomplete);
        counters.irregular_heads += u64::from(report.irregular || irregular_line);
        counters.ambiguous_framing += u64::from(ambiguous_framing);
        counters.unknown_framing += u64::from(body.framing == Framing::Unknown);
        counters.transfer_coded += u64::from(body.coded);
        HeadFlags { ambiguous_framing, incomplete }
    }
}

/// The first line, without its end, and what follows it.
fn split_line(head: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'\n', head);
    let (line, rest) = head.split_at(end.map_or(head.len(), |end| end + 1));
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

fn request_kind(method: &[u8], fields: &[Header<'_>]) -> RequestKind {
    match method {
        b"HEAD" => return RequestKind::Head,
        b"CONNECT" => return RequestKind::Connect,
        _ => {}
    }
    if find_header(fields, "upgrade").is_none() {
        return RequestKind::Other;
    }
    RequestKind::Upgrade(Box::new(UpgradeOffer {
        protocols: joined(fields, "upgrade"),
        extensions: joined(fields, "sec-websocket-extensions"),
        subprotocols: joined(fields, "sec-websocket-protocol"),
    }))
}
