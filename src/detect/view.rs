//! What is watched of one flow: exchanges, WebSocket messages and raw streams
//! in, observations out.

use std::sync::Arc;

use super::body::{Bench, Body, Document, Found};
use super::event::{
    Carrier, FlowFacts, LoggedRequest, MessageFacts, Observation, RequestFacts, ResponseFacts,
    TlsFacts,
};
use super::facts;
use super::identity::identify;
use super::names::NameWatch;
use super::oauth::{self, OAuthBody};
use super::observer::Observer;
use super::values::{Attentive, Ear, Heard};
use crate::capture::Pressure;
use crate::flow::FlowInfo;
use crate::mcp::{self, Message, MessageSink, RawStream, Session};
use crate::signature::{
    Generation, HitSet, Matcher, MessageFields, NameField, RequestFields, SignatureIndex,
    SignatureIndexSet,
};
use crate::stream::coding::Decoder;
use crate::stream::dns::{DnsParser, DnsStream};
use crate::stream::http2::Http2Sink;
use crate::stream::quic::{ConnectionId, QuicSink, QuicVersion};
use crate::stream::tls::{KeyStore, TlsInfo, TlsNews};
use crate::stream::uri::{self, Target};
use crate::stream::websocket::{MessageKind, WebSocket, WebSocketSink};
use crate::stream::{
    ConnectionSink, Direction, ExchangeId, ExchangeSink, HeadFlags, Header, HttpVersion, Interest,
    RequestHead, ResponseHead, StreamCounters, find_header, joined,
};

/// Exchanges of one connection that are watched at once.
const MAX_EXCHANGES: usize = 1024;
/// Longest text kept of a header field or path.
const MAX_TEXT: usize = 1024;

/// What is watched of a flow.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Set once the flow had something to report.
    pub(super) facts: Option<Arc<FlowFacts>>,
    #[expect(clippy::vec_box, reason = "boxes go in and out of the pool as they are")]
    pub(super) exchanges: Vec<Box<Watched>>,
    /// What the exchanges take.
    charge: usize,
    /// Messages that were told of, as far as the collector may keep them.
    told: u8,
    /// What TLS said of itself, and whether the collector does not know it yet.
    tls: Option<Box<TlsFacts>>,
    pub(super) tls_news: bool,
    websockets: Vec<Channel>,
    /// The exchange whose WebSocket messages are being read.
    websocket: Option<ExchangeId>,
    raw: Option<Box<[RawStream; 2]>>,
    /// Values of the messages of raw streams, where the set asks for any.
    raw_values: Option<Box<RawValues>>,
    dns: Option<Box<[DnsStream; 2]>>,
}

impl View {
    fn note_told(&mut self) {
        /// As many as the collector keeps of a flow.
        const MOST: u8 = 32;
        self.told = self.told.saturating_add(1).min(MOST);
    }

    /// Bytes that it owns beside itself, about, and those that the collector keeps of
    /// the flow until it ends.
    pub(super) fn memory(&self) -> usize {
        /// A message with its texts.
        const MESSAGE: usize = 1024;
        let told = self.facts.as_ref().map_or(0, |_| size_of::<FlowFacts>() + MESSAGE);
        let channels: usize = self.websockets.iter().map(Channel::memory).sum();
        let raw = self.raw.as_ref().map_or(0, |streams| {
            streams.iter().map(|it| size_of::<RawStream>() + it.memory()).sum()
        });
        let dns = self.dns.as_ref().map_or(0, |streams| {
            streams.iter().map(|it| size_of::<DnsStream>() + it.memory()).sum()
        });
        let tls = self.tls.as_ref().map_or(0, |_| size_of::<TlsFacts>() + 256);
        let values = self.raw_values.as_ref().map_or(0, |_| size_of::<RawValues>());
        let messages = usize::from(self.told) * MESSAGE;
        self.charge + told + channels + raw + dns + tls + values + messages
    }
}

/// An exchange that became a WebSocket.
#[derive(Debug)]
struct Channel {
    exchange: ExchangeId,
    /// Its parser, where it is a stream of HTTP/2: over HTTP/1 the connection
    /// as a whole became one, and is parsed below.
    parser: Option<Box<WebSocket>>,
    /// The messages being read.
    documents: [Option<Box<Document>>; 2],
}

impl Channel {
    fn memory(&self) -> usize {
        let parser = self.parser.as_ref().map_or(0, |it| size_of::<WebSocket>() + it.memory());
        let documents = self.documents.iter().flatten().map(|it| it.memory());
        size_of::<Self>() + parser + documents.sum::<usize>()
    }
}

/// What hit in the messages of a connection without exchanges.
#[derive(Debug, Default)]
struct RawValues {
    /// Of the matcher that the hits are of.
    generation: Option<Generation>,
    heard: [Heard; 2],
    hits: HitSet,
    signalled: SignatureIndexSet,
}

impl RawValues {
    /// Forgets what signatures hit that were replaced since.
    fn keep_up(&mut self, matcher: &Matcher) {
        if self.generation != Some(matcher.generation()) {
            *self = Self { generation: Some(matcher.generation()), ..Self::default() };
        }
    }
}

/// A step over a raw stream.
#[derive(Clone, Copy, Debug)]
enum RawStep<'a> {
    Data(&'a [u8]),
    Gap(u64),
    End,
}

/// A message of a raw stream: what matters if it may be MCP, and what hit in it,
/// with an excerpt.
type RawMessage = (Option<MessageFacts>, HitSet, String);

/// An exchange that is watched; its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Watched {
    id: Option<ExchangeId>,
    /// What it took when it was last put back.
    charge: usize,
    method: Vec<u8>,
    /// The request, once it was worth keeping.
    request: Option<Box<RequestFacts>>,
    response: Option<Box<ResponseFacts>>,
    logged: Option<Box<LoggedRequest>>,
    reported: bool,
    response_reported: bool,
    /// Of the matcher that the hits are of.
    generation: Option<Generation>,
    hits: HitSet,
    /// Hits in bodies that no message bore out; only where they are traced.
    unconfirmed: HitSet,
    signalled: SignatureIndexSet,
    bodies: [Body; 2],
    /// The body of the request was left out, so that of the response is as well.
    shed: bool,
    /// The request is one for metadata of OAuth, where the set asks for that.
    well_known: bool,
    /// Of a CONNECT over HTTP/2, which may turn out to be an extended one.
    websocket: Option<Box<WebSocket>>,
}

impl Watched {
    pub(super) fn clear(&mut self) {
        self.id = None;
        self.charge = 0;
        self.method.clear();
        self.request = None;
        self.response = None;
        self.logged = None;
        self.reported = false;
        self.response_reported = false;
        self.forget_hits();
        self.bodies = [Body::default(), Body::default()];
        self.shed = false;
        self.well_known = false;
        self.websocket = None;
    }

    /// Bytes that it takes, about, here and where it is known.
    fn memory(&self) -> usize {
        /// Hits, and what a response's head leaves.
        const REST: usize = 512;
        let request = self.request.as_ref().map_or(0, |request| request.memory());
        let copies = if self.reported { 2 } else { 1 };
        let logged =
            self.logged.as_ref().map_or(0, |it| size_of::<LoggedRequest>() + it.target.capacity());
        let bodies: usize = self.bodies.iter().map(Body::memory).sum();
        size_of::<Self>() + request * copies + logged + bodies + REST
    }

    fn forget_hits(&mut self) {
        self.hits.clear();
        self.unconfirmed.clear();
        self.signalled = SignatureIndexSet::default();
    }

    /// Hits of signatures that were replaced since mean nothing any more; what
    /// followed from them was reported.
    fn keep_up(&mut self, matcher: &Matcher) {
        if self.generation != Some(matcher.generation()) {
            self.generation = Some(matcher.generation());
            self.forget_hits();
        }
    }

    /// All hits, where they are traced.
    pub(super) fn all_hits(&mut self) -> &HitSet {
        self.unconfirmed.extend(&self.hits);
        &self.unconfirmed
    }
}

/// One call of the flow table, as a sink for the protocols above.
pub(super) struct FlowSink<'a> {
    pub(super) observer: &'a mut Observer,
    pub(super) flow: &'a mut FlowInfo,
    pub(super) view: &'a mut View,
}

impl FlowSink<'_> {
    /// Reports an observation, after what TLS said of the connection.
    fn report(&mut self, what: Observation) {
        if self.view.tls_news {
            self.report_tls(Vec::new());
        }
        self.observer.report(self.flow, self.view, what);
    }

    fn report_tls(&mut self, signals: Vec<SignatureIndex>) {
        let Some(facts) = self.view.tls.clone() else { return };
        self.view.tls_news = false;
        self.observer.counters.signals += signals.len() as u64;
        self.observer.report(self.flow, self.view, Observation::Tls { facts, signals });
    }

    /// Takes an exchange out of the view, to work on it and the observer.
    fn take(&mut self, id: ExchangeId) -> Option<Box<Watched>> {
        let at = self.view.exchanges.iter().rposition(|watched| watched.id == Some(id))?;
        let mut watched = self.view.exchanges.swap_remove(at);
        self.view.charge = self.view.charge.saturating_sub(watched.charge);
        watched.keep_up(&self.observer.matcher);
        Some(watched)
    }

    /// Puts it back, or gives its buffers back.
    fn put(&mut self, mut watched: Box<Watched>) {
        watched.charge = watched.memory();
        self.view.charge += watched.charge;
        self.view.exchanges.push(watched);
    }

    fn open(&mut self, id: ExchangeId) -> Box<Watched> {
        if let Some(watched) = self.take(id) {
            return watched;
        }
        if self.view.exchanges.len() >= MAX_EXCHANGES {
            self.observer.counters.exchanges_dropped += 1;
            self.drop_oldest();
        }
        let mut watched = self.observer.pool.pop().unwrap_or_default();
        watched.id = Some(id);
        watched.keep_up(&self.observer.matcher);
        watched
    }

    fn drop_oldest(&mut self) {
        let oldest = self.view.exchanges.iter().filter_map(|watched| watched.id).min();
        if let Some(watched) = oldest.and_then(|id| self.take(id)) {
            self.close(watched);
        }
    }

    fn close(&mut self, mut watched: Box<Watched>) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            self.body_step(&mut watched, direction, |body, bench, found| {
                body.end(false, bench, found);
            });
        }
        if let (true, Some(exchange)) = (watched.reported, watched.id) {
            self.report(Observation::ExchangeEnd { exchange });
        }
        if let Some(mut request) = watched.logged.take() {
            request.status = watched.response.as_ref().map(|response| response.status);
            self.report(Observation::HttpRequest(request));
        }
        self.observer.recycle(watched);
    }

    /// Runs a step of a body and reports what it found.
    fn body_step(
        &mut self,
        watched: &mut Watched,
        direction: Direction,
        step: impl FnOnce(&mut Body, &mut Bench<'_>, &mut dyn FnMut(Found)),
    ) {
        let mut finds = Vec::new();
        let traced = self.observer.is_traced();
        let observer = &mut *self.observer;
        let matcher = Arc::clone(&observer.matcher);
        let mut bench = Bench {
            matcher: &matcher,
            direction,
            documents: &mut observer.documents,
            counters: &mut observer.bodies,
            coding: &mut observer.coding,
            traced,
        };
        let body = &mut watched.bodies[direction.index()];
        step(body, &mut bench, &mut |found| finds.push(found));
        for found in finds {
            self.found(watched, direction, found);
        }
    }

    fn found(&mut self, watched: &mut Watched, direction: Direction, found: Found) {
        match found {
            Found::Unconfirmed(hits) => watched.unconfirmed.extend(&hits),
            Found::Value(hits, value) => self.found_value(watched, &hits, &value),
            Found::Document(hits) => self.found_document(watched, direction, &hits),
            Found::Endpoint(session) => {
                self.introduce(watched);
                self.observer.counters.legacy_endpoints += 1;
                if let Some(exchange) = watched.id {
                    self.report(Observation::Endpoint { exchange, session });
                }
            }
            Found::Message(carrier, message, hits) => {
                self.introduce(watched);
                self.view.note_told();
                watched.hits.extend(&hits);
                let signals = self.new_signals(watched);
                let exchange = watched.id;
                self.report(Observation::Message {
                    exchange,
                    direction,
                    carrier,
                    message,
                    signals,
                });
            }
        }
    }

    /// A value that hit; what follows from it by now is told.
    fn found_value(&mut self, watched: &mut Watched, hits: &HitSet, value: &str) {
        let mut all = watched.hits.clone();
        all.extend(hits);
        let signals = self.observer.matcher.signals(&all);
        let news = signals.into_iter().any(|signal| !watched.signalled.contains(signal));
        if news {
            self.introduce(watched);
        }
        watched.hits = all;
        if news {
            let signals = self.new_signals(watched);
            let exchange = watched.id;
            self.report(Observation::Value { exchange, value: shorten(value), signals });
        }
    }

    /// Hits in a document without messages: most only nominated it, and that is over.
    fn found_document(&mut self, watched: &mut Watched, direction: Direction, hits: &HitSet) {
        let mut all = watched.hits.clone();
        all.extend(hits);
        let matcher = Arc::clone(&self.observer.matcher);
        if matcher.evident(&all).all(|signal| watched.signalled.contains(signal)) {
            return;
        }
        self.introduce(watched);
        let new = matcher.evident(&all).filter(|signal| watched.signalled.insert(*signal));
        let signals: Vec<_> = new.collect();
        self.observer.counters.signals += signals.len() as u64;
        self.observer.note_signals(&signals);
        let value = match direction {
            Direction::ToServer => "body of the request",
            Direction::ToClient => "body of the response",
        };
        let exchange = watched.id;
        self.report(Observation::Value { exchange, value: value.to_owned(), signals });
    }

    /// Makes an exchange known to the collector before something else of it is.
    fn introduce(&mut self, watched: &mut Watched) {
        let Some(exchange) = watched.id else { return };
        if !watched.reported {
            watched.reported = true;
            if let Some(facts) = watched.request.clone() {
                let signals = self.new_signals(watched);
                self.report(Observation::Request { exchange, facts, signals });
            }
        }
        if !watched.response_reported
            && let Some(facts) = watched.response.clone()
        {
            watched.response_reported = true;
            let signals = self.new_signals(watched);
            self.report(Observation::Response { exchange, facts, signals });
        }
    }

    /// The signatures that have hit and were not reported.
    fn new_signals(&mut self, watched: &mut Watched) -> Vec<SignatureIndex> {
        let Watched { hits, signalled, .. } = watched;
        let matcher = &self.observer.matcher;
        let signals: Vec<SignatureIndex> =
            matcher.signals(hits).filter(|signal| signalled.insert(*signal)).collect();
        self.observer.counters.signals += signals.len() as u64;
        signals
    }

    /// Looks at a request's head; true if it is worth reporting by itself.
    fn match_request(
        &mut self,
        watched: &mut Watched,
        head: &RequestHead<'_>,
        target: &Target<'_>,
    ) {
        let observer = &mut *self.observer;
        let matcher = &observer.matcher;
        let path = &mut observer.scratch.path;
        path.clear();
        // In HTTP/2 the target may be lost, which is not the root.
        if !head.target.is_empty() {
            uri::normalise_path(target.path, path);
        }
        let fields = RequestFields {
            method: head.method,
            host: head.authority,
            path,
            query: target.query,
            headers: head.headers,
        };
        matcher.request(&fields, &mut watched.hits);
        if let Some(fields) = matcher.oauth() {
            oauth::query(fields, target.query.unwrap_or_default(), &mut watched.hits);
            watched.well_known = oauth::is_well_known(path);
        }
        matcher.server_port(self.flow.server_port(), &mut watched.hits);
    }

    fn count_flags(&mut self, flags: HeadFlags) {
        let counters = &mut self.observer.counters;
        counters.incomplete_heads += u64::from(flags.incomplete);
        counters.ambiguous_framing += u64::from(flags.ambiguous_framing);
    }

    fn decoder(&mut self, headers: &[Header<'_>]) -> Body {
        match Decoder::for_headers(headers, self.observer.limits.coding) {
            Ok(decoder) => Body::new(decoder),
            Err(_) => {
                self.observer.coding.unknown += 1;
                Body::skipped()
            }
        }
    }

    /// Whether there is no time for the bodies of an exchange, and nothing on its
    /// connection has hinted at MCP.
    fn sheds(&self, watched: &Watched) -> bool {
        let asleep = || !watched.reported && self.view.facts.is_none();
        self.observer.pressure >= Pressure::Bodies && asleep()
    }

    fn oauth_request(&self, headers: &[Header<'_>]) -> Option<OAuthBody> {
        self.observer.matcher.oauth()?;
        let is_form = find_header(headers, "content-type").is_some_and(oauth::is_form);
        Some(OAuthBody::of_request(is_form))
    }

    /// What is downloaded is read only if it is metadata.
    fn oauth_response(&self, download: bool, metadata: bool) -> Option<OAuthBody> {
        self.observer.matcher.oauth()?;
        (!download || metadata).then(|| OAuthBody::of_response(metadata))
    }

    fn request_facts(&self, head: &RequestHead<'_>, target: &Target<'_>) -> RequestFacts {
        let header = |name| find_header(head.headers, name).map(text);
        let query = target.query.map(text).unwrap_or_default();
        let websocket = find_header(head.headers, "upgrade")
            .is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
        RequestFacts {
            version: head.version,
            method: text(head.method),
            scheme: self.scheme(head),
            authority: head.authority.map(|authority| text(authority).to_ascii_lowercase()),
            path: text(&self.observer.scratch.path),
            user_agent: header("user-agent"),
            session: header(mcp::headers::SESSION_ID),
            legacy_session: Session::in_query(&query).map(|session| session.id.to_owned()),
            protocol_version: header(mcp::headers::PROTOCOL_VERSION),
            mcp_method: header(mcp::headers::METHOD),
            identity: identify(head.headers, &query),
            websocket,
        }
    }

    /// A parser for what a server agrees to, or (not `answered`) what a client
    /// offers.
    fn websocket_parser(&self, headers: &[Header<'_>], answered: bool) -> Box<WebSocket> {
        let extensions = joined(headers, "sec-websocket-extensions");
        let limits = self.observer.limits.stream.websocket;
        Box::new(WebSocket::new(&extensions, answered, limits))
    }

    fn logged_request(&self, head: &RequestHead<'_>) -> LoggedRequest {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        LoggedRequest {
            at: self.flow.packet(),
            version: head.version,
            method: text(head.method),
            host: head.authority.map(text),
            target: text(head.target),
            path: text(&self.observer.scratch.path),
            status: None,
            flags: head.flags,
        }
    }
}

impl FlowSink<'_> {
    /// The scheme that was sent, else the one that the connection implies. What
    /// a proxy is asked for is said by the target alone.
    fn scheme(&self, head: &RequestHead<'_>) -> Option<String> {
        match head.scheme {
            Some(scheme) => Some(text(scheme).to_ascii_lowercase()),
            None if self.view.tls.is_some() => Some("https".to_owned()),
            None => Some("http".to_owned()),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    shorten(&String::from_utf8_lossy(bytes))
}

fn shorten(text: &str) -> String {
    facts::truncate(text, MAX_TEXT)
}

impl ExchangeSink for FlowSink<'_> {
    fn request(&mut self, id: ExchangeId, head: &RequestHead<'_>) -> Interest {
        self.observer.counters.requests += 1;
        self.count_flags(head.flags);
        let mut watched = self.open(id);
        let target = Target::parse(head.target);
        self.match_request(&mut watched, head, &target);
        watched.bodies[Direction::ToServer.index()] = self
            .decoder(head.headers)
            .with_oauth(self.oauth_request(head.headers), &self.observer.matcher);
        watched.request = Some(Box::new(self.request_facts(head, &target)));
        watched.logged = self.observer.http_log.then(|| Box::new(self.logged_request(head)));
        if head.version == HttpVersion::Http2 && head.method == b"CONNECT" {
            watched.websocket = Some(self.websocket_parser(head.headers, false));
        }
        let telling = watched.request.as_ref().is_some_and(|facts| facts.session.is_some());
        let hit = self.observer.matcher.signals(&watched.hits).next().is_some();
        if hit || telling {
            self.introduce(&mut watched);
        }
        if self.sheds(&watched) {
            watched.shed = true;
            let body = &mut watched.bodies[Direction::ToServer.index()];
            *body = std::mem::take(body).shed();
        }
        self.put(watched);
        Interest::Wanted
    }

    fn response(&mut self, id: ExchangeId, head: &ResponseHead<'_>) -> Interest {
        self.observer.counters.responses += 1;
        self.count_flags(head.flags);
        let mut watched = self.open(id);
        self.body_step(&mut watched, Direction::ToServer, |body, bench, found| {
            body.answered(bench, found);
        });
        self.observer.matcher.response(head.headers, &mut watched.hits);
        let body = self.decoder(head.headers);
        // A refusal may say why in JSON-RPC, whatever was asked for.
        let download = head.status < 400
            && watched.request.as_ref().is_some_and(|request| request.method != "POST");
        let body = if download { body.events_only() } else { body };
        let metadata = watched.well_known && head.status < 300;
        watched.bodies[Direction::ToClient.index()] =
            body.with_oauth(self.oauth_response(download, metadata), &self.observer.matcher);
        if watched.websocket.is_some() {
            watched.websocket = Some(self.websocket_parser(head.headers, true));
        }
        let facts = response_facts(head);
        let telling = facts.session.is_some();
        watched.response = Some(Box::new(facts));
        // HTTP/1 may have answered with 101 what HTTP/2 now answers.
        watched.response_reported = false;
        let signals = self.observer.matcher.signals(&watched.hits);
        let news = signals.into_iter().any(|signal| !watched.signalled.contains(signal));
        if news || telling || watched.reported {
            self.introduce(&mut watched);
        }
        // What proves to be of MCP by now is read: the rest of it will be.
        if !watched.reported && (watched.shed || self.sheds(&watched)) {
            let body = &mut watched.bodies[Direction::ToClient.index()];
            *body = std::mem::take(body).shed();
        }
        self.put(watched);
        Interest::Wanted
    }

    fn body(&mut self, id: ExchangeId, direction: Direction, data: &[u8]) -> Interest {
        if self.websocket_step(id, |parser, sink| parser.feed(direction, data, sink)) {
            return Interest::Wanted;
        }
        let Some(mut watched) = self.take(id) else { return Interest::Skip };
        if self.sheds(&watched) && watched.bodies[direction.index()].shed_large() {
            watched.shed = true;
            self.observer.bodies.shed += 1;
            self.put(watched);
            return Interest::Skip;
        }
        let mut interest = Interest::Skip;
        self.body_step(&mut watched, direction, |body, bench, found| {
            interest = body.feed(data, bench, found);
        });
        self.put(watched);
        interest
    }

    fn body_gap(&mut self, id: ExchangeId, direction: Direction, len: u64) {
        if self.websocket_step(id, |parser, sink| parser.gap(direction, len, sink)) {
            return;
        }
        let Some(mut watched) = self.take(id) else { return };
        self.body_step(&mut watched, direction, |body, bench, found| body.gap(bench, found));
        self.put(watched);
    }

    fn body_end(&mut self, id: ExchangeId, direction: Direction, complete: bool) {
        let Some(mut watched) = self.take(id) else { return };
        self.body_step(&mut watched, direction, |body, bench, found| {
            body.end(complete, bench, found);
        });
        self.put(watched);
    }

    fn exchange_end(&mut self, id: ExchangeId) {
        self.close_channel(id);
        if let Some(watched) = self.take(id) {
            self.close(watched);
        }
    }
}

fn response_facts(head: &ResponseHead<'_>) -> ResponseFacts {
    let has = |name| find_header(head.headers, name).is_some();
    ResponseFacts {
        status: head.status,
        session: find_header(head.headers, mcp::headers::SESSION_ID).map(text),
        validators: has("etag") || has("last-modified"),
    }
}

impl Http2Sink for FlowSink<'_> {
    fn extended_connect(&mut self, id: ExchangeId, protocol: &[u8]) {
        if protocol.eq_ignore_ascii_case(b"websocket") {
            let Some(mut watched) = self.take(id) else { return };
            let parser = watched.websocket.take();
            self.put(watched);
            self.open_channel(id, parser);
        }
    }
}

impl QuicSink for FlowSink<'_> {
    fn quic_news(&mut self, _: u16, _: QuicVersion, news: TlsNews, info: &TlsInfo) {
        self.tls(news, info);
    }

    fn quic_connection_id(&mut self, _: u16, direction: Direction, id: &ConnectionId) {
        self.observer.paths.insert(*id, direction, *self.flow.key());
    }

    fn quic_reversed(&mut self) {
        self.reverse();
    }
}

impl FlowSink<'_> {
    fn open_channel(&mut self, exchange: ExchangeId, parser: Option<Box<WebSocket>>) {
        if self.view.websockets.len() < MAX_EXCHANGES {
            self.view.websockets.push(Channel { exchange, parser, documents: [None, None] });
        }
    }

    /// The channel whose messages are being read.
    fn channel(&mut self) -> Option<&mut Channel> {
        let exchange = self.view.websocket?;
        self.view.websockets.iter_mut().find(|channel| channel.exchange == exchange)
    }

    /// Bytes of an exchange that became a WebSocket inside HTTP/2; false if it
    /// did not.
    fn websocket_step(
        &mut self,
        exchange: ExchangeId,
        step: impl FnOnce(&mut WebSocket, &mut Self),
    ) -> bool {
        let mut channels = self.view.websockets.iter_mut();
        let Some(channel) = channels.find(|channel| channel.exchange == exchange) else {
            return false;
        };
        let Some(mut parser) = channel.parser.take() else { return false };
        self.view.websocket = Some(exchange);
        step(&mut parser, self);
        if let Some(channel) = self.channel() {
            channel.parser = Some(parser);
        }
        true
    }

    fn close_channel(&mut self, exchange: ExchangeId) {
        self.websocket_step(exchange, |parser, sink| {
            parser.close(sink);
            sink.observer.stream.websocket.merge(parser.counters());
        });
        self.view.websockets.retain(|channel| channel.exchange != exchange);
    }
}

impl WebSocketSink for FlowSink<'_> {
    fn message_data(&mut self, direction: Direction, _: MessageKind, data: &[u8]) -> Interest {
        let matcher = Arc::clone(&self.observer.matcher);
        let Some(channel) = self.channel() else { return Interest::Skip };
        let document = channel.documents[direction.index()]
            .get_or_insert_with(|| Document::new(&matcher, direction));
        document.feed(data, &matcher);
        Interest::Wanted
    }

    fn message_gap(&mut self, direction: Direction, kind: MessageKind) {
        self.message_end(direction, kind, false);
    }

    fn message_end(&mut self, direction: Direction, _: MessageKind, complete: bool) {
        self.observer.counters.websocket_messages += 1;
        let Some(channel) = self.channel() else { return };
        let exchange = channel.exchange;
        let Some(mut document) = channel.documents[direction.index()].take() else { return };
        let Some(mut watched) = self.take(exchange) else { return };
        self.body_step(&mut watched, direction, |_, bench, found| {
            document.end(complete, Carrier::WebSocket, bench, found);
        });
        self.put(watched);
        if let Some(channel) = self.channel() {
            channel.documents[direction.index()] = Some(document);
        }
    }

    fn closing(&mut self, _: Direction, _: Option<u16>) {}
}

impl ConnectionSink for FlowSink<'_> {
    fn is_midstream(&self) -> bool {
        self.flow.is_midstream()
    }

    fn keys(&mut self) -> Arc<KeyStore> {
        Arc::clone(&self.observer.keys)
    }

    fn tls(&mut self, news: TlsNews, info: &TlsInfo) {
        let facts = TlsFacts {
            sni: info.sni.clone(),
            version: info.version.or(info.version_offered).map(|v| v.as_str().to_owned()),
            alpn: info.alpn.clone().or_else(|| info.alpn_offered.first().cloned()),
            ja4: info.ja4.clone(),
            decrypted: info.decrypted,
        };
        self.view.tls = Some(Box::new(facts));
        self.view.tls_news = true;
        let mut signals = Vec::new();
        if let (TlsNews::ClientHello, Some(sni)) = (news, &info.sni) {
            let mut hits = HitSet::new();
            self.observer.matcher.name(NameField::TlsSni, sni.as_bytes(), &mut hits);
            self.observer.matcher.server_port(self.flow.server_port(), &mut hits);
            signals.extend(self.observer.matcher.signals(&hits));
            self.observer.note_signals(&signals);
        }
        let first = news == TlsNews::ClientHello && self.view.facts.is_none();
        if first && signals.is_empty() && self.observer.pressure >= Pressure::Encrypted {
            self.observer.counters.encrypted_shed += 1;
            return self.flow.dismiss();
        }
        // Further news matter only where the flow is spoken of.
        if !signals.is_empty() || self.view.facts.is_some() {
            self.report_tls(signals);
        }
    }

    fn reverse(&mut self) -> bool {
        let reversed = self.flow.reverse();
        self.observer.counters.reversed += u64::from(reversed);
        reversed
    }

    fn websocket(&mut self, exchange: ExchangeId) {
        self.open_channel(exchange, None);
        self.view.websocket = Some(exchange);
    }

    fn raw_data(&mut self, direction: Direction, data: &[u8]) {
        self.raw_step(direction, RawStep::Data(data));
    }

    fn raw_gap(&mut self, direction: Direction, len: u64) {
        self.raw_step(direction, RawStep::Gap(len));
    }

    fn raw_end(&mut self, direction: Direction) {
        self.raw_step(direction, RawStep::End);
    }

    fn server_port(&self) -> u16 {
        self.flow.server_port()
    }

    fn dns_data(&mut self, direction: Direction, data: &[u8]) {
        self.dns_step(direction, |stream, parser, watch| stream.feed(data, parser, watch));
    }

    fn dns_gap(&mut self, direction: Direction, len: u64) {
        self.dns_step(direction, |stream, parser, watch| stream.gap(len, parser, watch));
    }

    fn dns_end(&mut self, direction: Direction) {
        self.dns_step(direction, |stream, parser, watch| stream.end(parser, watch));
    }

    fn dismiss(&mut self) {
        self.flow.dismiss();
    }

    fn counters(&mut self) -> &mut StreamCounters {
        &mut self.observer.stream
    }
}

impl RawStep<'_> {
    fn run(self, stream: &mut RawStream, sink: &mut impl MessageSink) {
        match self {
            Self::Data(data) => {
                stream.feed(data, sink);
            }
            Self::Gap(len) => stream.gap(len, sink),
            Self::End => stream.finish(true, sink),
        }
    }

    /// Runs the step and listens to the values of messages.
    fn listen(
        self,
        stream: &mut RawStream,
        (heard, fields): (&mut Heard, &MessageFields),
        direction: Direction,
    ) -> Vec<RawMessage> {
        let mut messages = Vec::new();
        let mut sink = Attentive {
            ear: Ear { heard, fields, direction },
            on_message: |message: &Message, hits: HitSet| {
                let excerpt = if hits.is_empty() { String::new() } else { facts::excerpt(message) };
                messages.push((facts::of(message), hits, excerpt));
            },
        };
        self.run(stream, &mut sink);
        messages
    }
}

impl FlowSink<'_> {
    fn dns_step(
        &mut self,
        direction: Direction,
        step: impl FnOnce(&mut DnsStream, &mut DnsParser, &mut NameWatch<'_>),
    ) {
        let mut streams = self.view.dns.take().unwrap_or_default();
        let stream = &mut streams[direction.index()];
        self.observer.dns(self.view, self.flow, direction, |parser, watch| {
            step(stream, parser, watch);
        });
        self.view.dns = Some(streams);
    }

    fn raw_step(&mut self, direction: Direction, step: RawStep<'_>) {
        let matcher = Arc::clone(&self.observer.matcher);
        let stream = &mut self.view.raw.get_or_insert_default()[direction.index()];
        let messages = match matcher.messages() {
            None => {
                let mut messages: Vec<RawMessage> = Vec::new();
                let mut sink = |message: &Message| {
                    if let facts @ Some(_) = facts::of(message) {
                        messages.push((facts, HitSet::new(), String::new()));
                    }
                };
                step.run(stream, &mut sink);
                messages
            }
            Some(fields) => {
                let values = self.view.raw_values.get_or_insert_default();
                values.keep_up(&matcher);
                let heard = &mut values.heard[direction.index()];
                step.listen(stream, (heard, fields), direction)
            }
        };
        for (message, hits, excerpt) in messages {
            let signals = self.raw_signals(&hits);
            self.view.note_told();
            let what = match message {
                Some(message) => Observation::Message {
                    exchange: None,
                    direction,
                    carrier: Carrier::Raw,
                    message: Box::new(message),
                    signals,
                },
                None if signals.is_empty() => continue,
                None => Observation::Value { exchange: None, value: excerpt, signals },
            };
            self.report(what);
        }
    }

    /// The signatures that follow from what hit in a message without exchange.
    fn raw_signals(&mut self, new: &HitSet) -> Vec<SignatureIndex> {
        if new.is_empty() {
            return Vec::new();
        }
        let port = self.flow.server_port();
        let Some(RawValues { hits, signalled, .. }) = self.view.raw_values.as_deref_mut() else {
            return Vec::new();
        };
        let matcher = &self.observer.matcher;
        hits.extend(new);
        matcher.server_port(port, hits);
        let signals: Vec<_> =
            matcher.signals(hits).filter(|signal| signalled.insert(*signal)).collect();
        self.observer.counters.signals += signals.len() as u64;
        self.observer.note_signals(&signals);
        signals
    }
}
