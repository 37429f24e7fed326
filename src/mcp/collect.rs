//! From JSON events to a message: follows the path through the document and
//! keeps what a [`Message`] holds.

use super::digest::Digest;
use super::json::{Container, Interest, Literal, Visitor};
use super::keys::{
    EnvelopeKey, ErrorDataKey, ItemKey, Key, MAX_KEY, META_PREFIX, ParamKey, ResultKey, Spelling,
};
use super::listen::{Listener, Scope};
use super::message::{Facts, Flags, List, ListFacts, Message, ValueKind, Version, Who};
use super::path::{Member, Path, Place, list_of};
use super::shape::Shape;
use super::store::{Arena, Members, Occurrence, Span};

/// Bytes kept of a key or string: one more than the largest cap of a text, so
/// that it shows when a text was longer.
const MAX_TOKEN: usize = 1025;
/// Bytes kept of `params.arguments`.
const MAX_ARGUMENTS: usize = 512;
/// Tools kept, and names of other things.
const MAX_NAMES: usize = 512;
/// Bytes that the names of listed things may take.
const MAX_LISTED_TEXT: usize = 72 * 1024;
/// Revisions and input requests kept.
const MAX_SHORT_LIST: usize = 16;

/// Builds messages, one after the other, in the same [`Message`].
#[derive(Debug, Default)]
pub(super) struct Collector {
    pub(super) message: Message,
    path: Path,
    /// The member of the innermost object whose value comes next.
    member: Member,
    /// The parts of the current token, or of the current raw value, so far.
    pending: Vec<u8>,
    /// The digest of the tool definition that is read.
    digest: Option<Digest>,
    /// Containers open inside that definition.
    nesting: u32,
    /// Where the texts of the current list element begin.
    element_start: usize,
    /// Elements of the batch so far.
    batch_elements: u32,
    /// A top-level object is complete and waits for the end of its document.
    ready: bool,
    /// `params.arguments` is handed over raw.
    raw: bool,
    /// A listener hears the value that is read, if it is a string.
    hearing: bool,
    /// The body is in another encoding than UTF-8.
    pub(super) transcoded: bool,
}

/// What a visitor of the collector is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A top-level object, or an element of a batch, is complete.
    Message,
    /// A batch began.
    Batch,
    /// A batch ended that held nothing.
    EmptyBatch,
}

/// Where a collector's findings go.
pub(super) trait Deliver {
    fn event(&mut self, event: Event, message: &Message);

    fn listener(&mut self) -> Option<&mut dyn Listener>;
}

/// A [`Collector`] and what to do when something is complete.
pub(super) struct Collecting<'a, D: Deliver> {
    pub(super) collector: &'a mut Collector,
    pub(super) delivery: D,
}

impl<D: Deliver> Collecting<'_, D> {
    fn emit(&mut self, event: Option<Event>) {
        if let Some(event) = event {
            self.delivery.event(event, &self.collector.message);
        }
    }

    /// Ends the text that is heard, if one is; says whether the value is none of
    /// the collector's own.
    fn end_text(&mut self, last: &[u8], is_string: bool) -> bool {
        let Some(listener) = self.delivery.listener() else { return false };
        if !std::mem::take(&mut self.collector.hearing) {
            return false;
        }
        if is_string {
            listener.text(last);
        }
        listener.text_end(is_string);
        self.collector.raw
    }
}

impl<D: Deliver> Visitor for Collecting<'_, D> {
    fn begin(&mut self, container: Container) -> bool {
        if self.collector.path.is_empty() && container == Container::Array {
            self.emit(Some(Event::Batch));
        }
        if self.end_text(&[], false) {
            return false;
        }
        if let Some(listener) = self.delivery.listener()
            && self.collector.begins_message(container)
        {
            listener.begin();
        }
        self.collector.begin(container)
    }

    fn end(&mut self, _: Container) {
        if let Some(listener) = self.delivery.listener()
            && self.collector.ends_tool()
        {
            listener.tool_end();
        }
        let event = self.collector.end();
        self.emit(event);
    }

    fn part(&mut self, part: &[u8]) {
        if let Some(listener) = self.delivery.listener()
            && self.collector.hearing
        {
            listener.text(part);
            // The collector has the value's bytes already.
            if self.collector.raw {
                return;
            }
        }
        self.collector.part(part);
    }

    fn key(&mut self, last: &[u8]) -> Interest {
        let delivery = &mut self.delivery;
        self.collector.token(last, |this, key| {
            let interest = this.on_key(key);
            match delivery.listener() {
                Some(listener) => this.listen(key, interest, listener),
                None => interest,
            }
        })
    }

    fn string(&mut self, last: &[u8]) {
        if self.end_text(last, true) {
            return;
        }
        self.collector.token(last, |this, text| this.scalar(ValueKind::String, text));
    }

    fn number(&mut self, last: &[u8]) {
        if self.end_text(last, false) {
            return;
        }
        self.collector.token(last, |this, text| this.scalar(ValueKind::Number, text));
    }

    fn literal(&mut self, literal: Literal) {
        if self.end_text(&[], false) {
            return;
        }
        let (kind, text): (_, &[u8]) = match literal {
            Literal::Null => (ValueKind::Null, b""),
            Literal::True => (ValueKind::True, b""),
            Literal::False => (ValueKind::False, b""),
            Literal::NotANumber => (ValueKind::Number, b"NaN"),
            Literal::Infinity => (ValueKind::Number, b"Infinity"),
        };
        self.collector.token(text, |this, text| this.scalar(kind, text));
    }

    fn raw(&mut self, bytes: &[u8]) {
        if let Some(listener) = self.delivery.listener() {
            listener.json(bytes);
        }
        if self.collector.raw {
            self.collector.raw(bytes);
        }
    }

    fn raw_end(&mut self) {
        if let Some(listener) = self.delivery.listener() {
            listener.json_end();
        }
        if self.collector.raw {
            self.collector.raw_end();
        }
    }

    fn document(&mut self) {
        if std::mem::take(&mut self.collector.ready) {
            self.emit(Some(Event::Message));
        }
    }
}

impl Collector {
    /// Bytes that it owns beside itself.
    pub(super) fn memory(&self) -> usize {
        self.pending.capacity() + self.message.memory()
    }

    /// Forgets the document that is read and the message that waits.
    pub(super) fn abandon(&mut self) {
        self.path = Path::default();
        self.member = Member::Unknown;
        self.pending.clear();
        self.digest = None;
        self.nesting = 0;
        self.ready = false;
        self.raw = false;
        self.hearing = false;
        self.transcoded = false;
    }

    /// The rest of the document is missing: closes what is open. Says whether
    /// there is a message to deliver.
    pub(super) fn cut(&mut self) -> bool {
        if std::mem::take(&mut self.ready) {
            return self.message.version() != Version::Absent;
        }
        if std::mem::take(&mut self.raw) {
            self.keep_arguments();
        }
        self.pending.clear();
        let open = self.path.contains(Place::Envelope);
        self.message.flags.truncated = true;
        while let Some(place) = self.path.pop() {
            self.close(place);
        }
        self.abandon();
        open && (self.message.version() != Version::Absent || self.message.shape() != Shape::NotRpc)
    }

    fn begin(&mut self, container: Container) -> bool {
        let kind = match container {
            Container::Object => ValueKind::Object,
            Container::Array => ValueKind::Array,
        };
        if let Some(digest) = &mut self.digest {
            digest.byte(if kind == ValueKind::Object { OBJECT } else { ARRAY });
            if self.nesting == 0 {
                self.record(kind, &[]);
            }
            self.nesting = self.nesting.saturating_add(1);
            return true;
        }
        let object = container == Container::Object;
        let place = match self.path.innermost() {
            None if object => self.begin_message(false),
            None => {
                self.batch_elements = 0;
                Some(Place::Batch)
            }
            Some(Place::Batch) => {
                self.batch_elements = self.batch_elements.saturating_add(1);
                if object { self.begin_message(true) } else { None }
            }
            Some(Place::List(list)) => {
                self.count(list);
                if object { Some(Place::Element(list)) } else { None }
            }
            Some(Place::InputRequests) if object => Some(Place::InputRequest),
            Some(Place::InputRequests | Place::Versions) => None,
            Some(_) => {
                self.record(kind, &[]);
                self.member.place(object)
            }
        };
        match place {
            Some(place) => self.enter(place),
            None => false,
        }
    }

    fn begin_message(&mut self, batched: bool) -> Option<Place> {
        self.message.clear();
        self.message.flags.batched = batched;
        self.message.flags.transcoded = self.transcoded;
        Some(Place::Envelope)
    }

    fn enter(&mut self, place: Place) -> bool {
        if !matches!(place, Place::Batch | Place::Envelope) {
            self.message.dirty = true;
        }
        if place.holds_items() {
            self.message.facts.item = Members::default();
            self.element_start = self.message.text.len();
        }
        if place == Place::Element(List::Tools) {
            self.digest = Some(Digest::new());
        }
        self.path.push(place)
    }

    fn end(&mut self) -> Option<Event> {
        if self.nesting > 0 {
            self.nesting -= 1;
            if let Some(digest) = &mut self.digest {
                digest.byte(END);
            }
            return None;
        }
        let place = self.path.pop()?;
        self.member = Member::Unknown;
        self.close(place);
        match place {
            Place::Envelope if !self.path.is_empty() => Some(Event::Message),
            Place::Envelope => {
                self.ready = true;
                None
            }
            Place::Batch if self.batch_elements == 0 => Some(Event::EmptyBatch),
            _ => None,
        }
    }

    /// Draws the sum of a container that ended or was cut.
    fn close(&mut self, place: Place) {
        let Message { facts, text, input_requests, flags, .. } = &mut self.message;
        match place {
            Place::Element(list) => self.close_element(list),
            Place::Reference if facts.item.kind(ItemKey::Type) == ValueKind::String => {
                facts.reference = facts.item.span(ItemKey::Type).unwrap_or_default();
            }
            Place::ParamMessage => {
                facts.message_parts = facts.item.kind(ItemKey::Parts) == ValueKind::Array;
            }
            Place::Completion => {
                facts.completion_values = facts.item.kind(ItemKey::Values) == ValueKind::Array;
            }
            Place::InputRequest if facts.item.kind(ItemKey::Method) == ValueKind::String => {
                let span = facts.item.span(ItemKey::Method).unwrap_or_default();
                let span = text.compact(self.element_start, span);
                push_capped(input_requests, span, MAX_SHORT_LIST, flags);
            }
            _ => {}
        }
    }

    fn close_element(&mut self, list: List) {
        let whole = !self.message.flags.truncated;
        let digest = self.digest.take().filter(|_| whole).map(|digest| digest.finish());
        let Message { facts, text, tools, names, flags, .. } = &mut self.message;
        let item = &facts.item;
        let string = |key| match item.kind(key) {
            ValueKind::String => item.span(key),
            _ => None,
        };
        let has = |key| string(key).is_some();
        let (well_formed, name) = match list {
            List::Tools => (
                has(ItemKey::Name) && item.kind(ItemKey::InputSchema) == ValueKind::Object,
                string(ItemKey::Name),
            ),
            List::Content => (
                string(ItemKey::Type)
                    .and_then(|span| text.of(span))
                    .is_some_and(|name| facts.content.add(name)),
                None,
            ),
            List::Resources => (has(ItemKey::Uri) && has(ItemKey::Name), string(ItemKey::Uri)),
            List::ResourceTemplates => {
                (has(ItemKey::UriTemplate) && has(ItemKey::Name), string(ItemKey::UriTemplate))
            }
            List::Prompts => (has(ItemKey::Name), string(ItemKey::Name)),
            List::Contents => {
                (has(ItemKey::Uri) && (has(ItemKey::Text) || has(ItemKey::Blob)), None)
            }
            List::Messages => {
                let said = item.kind(ItemKey::Content) == ValueKind::Object;
                (has(ItemKey::Role) && said, None)
            }
            List::Roots => (
                string(ItemKey::Uri)
                    .and_then(|span| text.of(span))
                    .is_some_and(|uri| uri.starts_with("file:")),
                None,
            ),
        };
        if let Some(facts) = facts.lists.get_mut(list as usize) {
            facts.well_formed = facts.well_formed.saturating_add(well_formed.into());
        }
        let span = text.compact(self.element_start, name.unwrap_or_default());
        match list {
            _ if name.is_none() => {}
            _ if text.len() > MAX_LISTED_TEXT => {
                text.compact(self.element_start, Span::NONE);
                flags.cut = true;
            }
            List::Tools => push_capped(tools, (span, digest), MAX_NAMES, flags),
            _ => push_capped(names, span, MAX_NAMES, flags),
        }
    }

    fn part(&mut self, part: &[u8]) {
        if let Some(digest) = &mut self.digest {
            digest.write(part);
            if self.nesting > 0 {
                return;
            }
        }
        let room = MAX_TOKEN.saturating_sub(self.pending.len()).min(part.len());
        self.pending.extend_from_slice(part.get(..room).unwrap_or_default());
    }

    /// Hands a token to `read`: its last part alone, or after the others.
    #[inline]
    fn token<R>(&mut self, last: &[u8], read: impl FnOnce(&mut Self, &[u8]) -> R) -> R {
        if self.pending.is_empty() {
            if let Some(digest) = &mut self.digest {
                digest.write(last);
            }
            return read(self, last);
        }
        self.part(last);
        let mut token = std::mem::take(&mut self.pending);
        let outcome = read(self, &token);
        token.clear();
        self.pending = token;
        outcome
    }

    fn on_key(&mut self, key: &[u8]) -> Interest {
        if let Some(digest) = &mut self.digest {
            digest.byte(KEY);
            if self.nesting > 0 {
                return Interest::Watch;
            }
        }
        self.member = match self.path.innermost() {
            Some(place) if key.len() <= MAX_KEY => self.find_member(place, key),
            _ => Member::Unknown,
        };
        match self.member {
            Member::Param(ParamKey::Arguments) => {
                self.raw = true;
                Interest::Raw
            }
            Member::Unknown if self.digest.is_some() => Interest::Watch,
            Member::Unknown if self.path.innermost() == Some(Place::InputRequests) => {
                Interest::Watch
            }
            Member::Unknown => Interest::Skip,
            _ => Interest::Watch,
        }
    }

    /// Asks a listener about the member whose key was just read.
    fn listen(&mut self, key: &[u8], interest: Interest, listener: &mut dyn Listener) -> Interest {
        if self.nesting > 0 {
            return interest;
        }
        let scope = match (self.path.innermost(), self.member) {
            (Some(Place::Envelope), Member::Envelope(key)) => Scope::Envelope(key),
            (Some(Place::Params), _) => Scope::Params,
            (Some(Place::Result), Member::Result(ResultKey::Tools)) => Scope::Tools,
            (Some(Place::Element(List::Tools)), _) => Scope::Tool,
            _ => return interest,
        };
        let wanted = listener.member(scope, key);
        self.hearing = wanted.text;
        match interest {
            Interest::Raw if wanted.text => Interest::Both,
            Interest::Watch if wanted.json && scope == Scope::Envelope(EnvelopeKey::Result) => {
                Interest::Both
            }
            Interest::Skip if wanted.text => Interest::Watch,
            interest => interest,
        }
    }

    fn begins_message(&self, container: Container) -> bool {
        let outside = matches!(self.path.innermost(), None | Some(Place::Batch));
        outside && container == Container::Object
    }

    fn ends_tool(&self) -> bool {
        self.nesting == 0 && self.path.innermost() == Some(Place::Element(List::Tools))
    }

    fn find_member(&mut self, place: Place, key: &[u8]) -> Member {
        let Message { envelope, facts, flags, .. } = &mut self.message;
        let (member, again) = match place {
            Place::Envelope => find(envelope, key, flags, Member::Envelope),
            Place::Params => find(&mut facts.params, key, flags, Member::Param),
            Place::Result => find(&mut facts.result, key, flags, Member::Result),
            Place::Error => find(&mut facts.error, key, flags, Member::Error),
            Place::ErrorData => find(&mut facts.error_data, key, flags, Member::ErrorData),
            Place::Meta => {
                facts.mcp_meta |= key.starts_with(META_PREFIX);
                find(&mut facts.meta, key, flags, Member::Meta)
            }
            Place::Info(who) => match facts.info.get_mut(who as usize) {
                Some(info) => find(info, key, flags, |key| Member::Info(who, key)),
                None => (Member::Unknown, false),
            },
            Place::Batch | Place::List(_) | Place::Versions | Place::InputRequests => {
                (Member::Unknown, false)
            }
            _ => find(&mut facts.item, key, flags, Member::Item),
        };
        if again {
            self.forget(member);
        }
        member
    }

    /// A member occurs again: forgets what its earlier value held.
    fn forget(&mut self, member: Member) {
        use Member::{Envelope, ErrorData, Param, Result};
        let message = &mut self.message;
        let facts = &mut message.facts;
        match member {
            Envelope(EnvelopeKey::Params | EnvelopeKey::Result | EnvelopeKey::Error) => {
                message.forget_facts();
            }
            Param(ParamKey::Meta) | Result(ResultKey::Meta) => {
                facts.meta = Members::default();
                facts.mcp_meta = false;
                forget_info(facts, Who::MetaClient);
                forget_info(facts, Who::MetaServer);
            }
            Param(ParamKey::ClientInfo) => forget_info(facts, Who::Client),
            Result(ResultKey::ServerInfo) => forget_info(facts, Who::Server),
            Param(ParamKey::Ref) => facts.reference = Span::NONE,
            Param(ParamKey::Message) => facts.message_parts = false,
            Param(ParamKey::Arguments) => {
                facts.arguments = Span::NONE;
                facts.arguments_len = 0;
            }
            Result(ResultKey::SupportedVersions) | ErrorData(ErrorDataKey::Supported) => {
                message.versions.clear();
            }
            Result(ResultKey::InputRequests) => message.input_requests.clear(),
            Result(ResultKey::Completion) => facts.completion_values = false,
            Result(key) => {
                let Some(list) = list_of(key) else { return };
                if let Some(facts) = facts.lists.get_mut(list as usize) {
                    *facts = ListFacts::default();
                }
                match list {
                    List::Tools => message.tools.clear(),
                    List::Content => facts.content = Default::default(),
                    List::Resources | List::ResourceTemplates | List::Prompts => {
                        message.names.clear();
                    }
                    List::Contents | List::Messages | List::Roots => {}
                }
            }
            _ => {}
        }
    }

    fn scalar(&mut self, kind: ValueKind, text: &[u8]) {
        if let Some(digest) = &mut self.digest {
            digest.byte(scalar_mark(kind));
            if self.nesting > 0 {
                return;
            }
        }
        match self.path.innermost() {
            None => {}
            Some(Place::Batch) => self.batch_elements = self.batch_elements.saturating_add(1),
            Some(Place::List(list)) => self.count(list),
            Some(Place::Versions) if kind == ValueKind::String => {
                let Message { text: arena, versions, flags, .. } = &mut self.message;
                let (span, _) = arena.keep(text, ResultKey::ProtocolVersion.cap());
                push_capped(versions, span, MAX_SHORT_LIST, flags);
            }
            Some(Place::Versions) => {}
            Some(_) => self.record(kind, text),
        }
    }

    /// Notes the value of the current member.
    fn record(&mut self, kind: ValueKind, text: &[u8]) {
        if self.message.text.is_full() {
            self.element_start = self.message.reclaim();
        }
        let Message { envelope, facts, text: arena, flags, .. } = &mut self.message;
        let value = (kind, text);
        match self.member {
            Member::Unknown => {}
            Member::Envelope(key) => note(envelope, key, value, arena, flags),
            Member::Param(key) => note(&mut facts.params, key, value, arena, flags),
            Member::Meta(key) => note(&mut facts.meta, key, value, arena, flags),
            Member::Result(key) => note(&mut facts.result, key, value, arena, flags),
            Member::Item(key) => note(&mut facts.item, key, value, arena, flags),
            Member::Error(key) => note(&mut facts.error, key, value, arena, flags),
            Member::ErrorData(key) => note(&mut facts.error_data, key, value, arena, flags),
            Member::Info(who, key) => {
                if let Some(info) = facts.info.get_mut(who as usize) {
                    note(info, key, value, arena, flags);
                }
            }
        }
    }

    fn count(&mut self, list: List) {
        if let Some(facts) = self.message.facts.lists.get_mut(list as usize) {
            facts.elements = facts.elements.saturating_add(1);
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        let facts = &mut self.message.facts;
        facts.arguments_len = facts.arguments_len.saturating_add(bytes.len() as u64);
        let room = (MAX_ARGUMENTS + 1).saturating_sub(self.pending.len()).min(bytes.len());
        self.pending.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    fn raw_end(&mut self) {
        self.raw = false;
        self.keep_arguments();
        self.pending.clear();
    }

    fn keep_arguments(&mut self) {
        let Message { facts, text, flags, .. } = &mut self.message;
        let kind = match self.pending.first() {
            None => return,
            Some(b'{') => ValueKind::Object,
            Some(b'[') => ValueKind::Array,
            Some(b'"') => ValueKind::String,
            Some(b'n') => ValueKind::Null,
            Some(b't') => ValueKind::True,
            Some(b'f') => ValueKind::False,
            Some(_) => ValueKind::Number,
        };
        let (span, whole) = text.keep(&self.pending, MAX_ARGUMENTS);
        flags.cut |= !whole;
        facts.arguments = span;
        facts.params.set(ParamKey::Arguments, kind, Span::NONE);
    }
}

/// Finds the member that `key` names; says also whether it occurred before.
fn find<const N: usize, K: Key>(
    members: &mut Members<N>,
    key: &[u8],
    flags: &mut Flags,
    member: impl FnOnce(K) -> Member,
) -> (Member, bool) {
    let Some((key, spelling)) = K::find(key) else {
        return (Member::Unknown, false);
    };
    flags.folded_keys |= spelling == Spelling::Folded;
    let occurrence = members.occurs(key, spelling);
    flags.duplicate_keys |= occurrence != Occurrence::First;
    match occurrence {
        Occurrence::Shadowed => (Member::Unknown, false),
        _ => (member(key), occurrence == Occurrence::Again),
    }
}

/// Notes a member's value, with its text where that is worth keeping.
fn note<const N: usize, K: Key>(
    members: &mut Members<N>,
    key: K,
    (kind, text): (ValueKind, &[u8]),
    arena: &mut Arena,
    flags: &mut Flags,
) {
    let mut span = Span::NONE;
    if key.cap() > 0 && matches!(kind, ValueKind::String | ValueKind::Number) {
        let whole;
        (span, whole) = arena.keep(text, key.cap());
        flags.cut |= !whole;
    }
    members.set(key, kind, span);
}

fn push_capped<T>(list: &mut Vec<T>, value: T, cap: usize, flags: &mut Flags) {
    if list.len() < cap {
        list.push(value);
    } else {
        flags.cut = true;
    }
}

fn forget_info(facts: &mut Facts, who: Who) {
    if let Some(info) = facts.info.get_mut(who as usize) {
        *info = Members::default();
    }
}

// Marks between the tokens of a tool definition, for its digest. None of them
// occurs in UTF-8, so that no text can pass for a mark.
const OBJECT: u8 = 0xF8;
const ARRAY: u8 = 0xF9;
const END: u8 = 0xFA;
const KEY: u8 = 0xFB;

fn scalar_mark(kind: ValueKind) -> u8 {
    match kind {
        ValueKind::String => 0xFC,
        ValueKind::Number => 0xFD,
        ValueKind::True => 0xFE,
        ValueKind::False => 0xFF,
        _ => 0xF7,
    }
}
