//! A push tokenizer for JSON (RFC 8259): UTF-8 in any pieces in, events out.
//!
//! It allocates nothing, keeps one bit per level of nesting and reads every
//! byte once. The [`Visitor`] says of each value whether it wants to hear of
//! it; what it does not want is still checked, but costs no event.
//!
//! It is as strict as the parsers of real servers: comments, trailing commas,
//! raw control characters in strings and garbage after a value are errors. It
//! is lenient where one of them is: `NaN`, `Infinity` and `-Infinity`, lone
//! surrogates (reported as U+FFFD), invalid UTF-8 in strings (passed on), and
//! several documents separated by white space (newline-delimited JSON) or by
//! record separators (RFC 7464). Nesting beyond [`MAX_DEPTH`] is followed by
//! counting brackets only.

mod scan;
#[cfg(test)]
mod tests;

use self::scan::{
    Number, RECORD_SEPARATOR, begins_value, end_of_plain_text, past_key, past_scalar, skip_space,
};
use super::encoding::join_surrogates;

pub(super) use self::scan::Literal;

/// Levels of nesting that are checked bracket by bracket.
pub(super) const MAX_DEPTH: u32 = 512;

/// A JSON container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Object,
    Array,
}

/// What a visitor wants to hear of a member's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// Nothing.
    Skip,
    /// Its events.
    Watch,
    /// Its bytes as sent, but no events.
    Raw,
    /// Both its events and its bytes as sent. A part of the value that is wanted
    /// raw must not lie inside.
    Both,
}

/// Receives the events of a [`Tokenizer`].
pub(super) trait Visitor {
    /// A container begins. With `true` its content is reported, then
    /// [`end`](Self::end); with `false` neither.
    fn begin(&mut self, container: Container) -> bool;
    /// The innermost reported container ended.
    fn end(&mut self, container: Container);
    /// A part of a key, string or number whose last part is yet to come.
    fn part(&mut self, part: &[u8]);
    /// The last part of a key (all of it, if no other part came before).
    fn key(&mut self, last: &[u8]) -> Interest;
    /// The last part of a string.
    fn string(&mut self, last: &[u8]);
    /// The last part of a number.
    fn number(&mut self, last: &[u8]);
    /// A literal name (for `-Infinity` after a part that is `-`).
    fn literal(&mut self, literal: Literal);
    /// Bytes of a value wanted [`Interest::Raw`] or [`Interest::Both`].
    fn raw(&mut self, bytes: &[u8]);
    /// That value ended.
    fn raw_end(&mut self);
    /// A document ended and nothing that spoils it followed.
    fn document(&mut self);
}

/// Why bytes are not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A character that cannot stand there.
    Unexpected,
    /// A control character in a string.
    ControlCharacter,
    /// A backslash before something that cannot be escaped.
    Escape,
    /// A number that is not written as JSON numbers are.
    Number,
    /// Something other than white space after a complete value.
    TrailingGarbage,
    /// Brackets nested more than four billion deep.
    Nesting,
    /// The end came before the end of the value.
    UnexpectedEnd,
}

/// How the bytes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Between documents, or before the first.
    Clean,
    /// Inside a document.
    Cut,
}

/// The tokenizer's state between pieces.
#[derive(Clone, Debug)]
pub(super) struct Tokenizer {
    state: State,
    depth: u32,
    /// Open brackets beyond [`MAX_DEPTH`].
    beyond: u32,
    /// One bit per level: set for an object.
    objects: [u64; MAX_DEPTH as usize / 64],
    /// What is wanted of the value that comes next.
    interest: Interest,
    /// Nothing is reported until the depth returns to this.
    muted_at: Option<u32>,
    /// The current key, string or scalar is not reported.
    silent: bool,
    /// The current string is a key.
    is_key: bool,
    /// The current value is handed over raw, from this index of the input on.
    raw_from: Option<usize>,
    /// The depth at which that value began.
    raw_at: u32,
    /// A high surrogate escape that waits for its low one; 0 if none.
    high: u16,
    /// Digits of a `\u` escape so far.
    unit: u16,
    /// How many digits, or how many characters of a literal name, have come.
    progress: u8,
    number: Number,
    literal: Literal,
    /// Brackets were nested deeper than [`MAX_DEPTH`].
    deep: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a document.
    Start,
    /// Right after a document.
    Done,
    /// After a document and white space other than a newline.
    DoneSpaced,
    /// After `[`.
    FirstElement,
    /// After `,` in an array.
    Element,
    /// After `{`.
    FirstMember,
    /// After `,` in an object.
    Member,
    /// After a key.
    Colon,
    /// After `:`.
    Value,
    /// After a value in a container.
    After,
    Text,
    Escape,
    Unicode,
    Number,
    Literal,
    /// Deeper than [`MAX_DEPTH`].
    Beyond,
    Failed(Reason),
}

/// The index to go on from, or where the input is wrong and how.
type Step = Result<usize, (usize, Reason)>;

impl Tokenizer {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Start,
            depth: 0,
            beyond: 0,
            objects: [0; MAX_DEPTH as usize / 64],
            interest: Interest::Watch,
            muted_at: None,
            silent: false,
            is_key: false,
            raw_from: None,
            raw_at: 0,
            high: 0,
            unit: 0,
            progress: 0,
            number: Number::Zero,
            literal: Literal::Null,
            deep: false,
        }
    }

    /// Whether a document has begun and not ended.
    pub(super) fn in_document(&self) -> bool {
        !matches!(self.state, State::Start | State::Done | State::DoneSpaced | State::Failed(_))
    }

    /// Whether brackets were nested deeper than [`MAX_DEPTH`].
    pub(super) fn went_deep(&self) -> bool {
        self.deep
    }

    /// Reads `input` to its end or to the first error, whose index it returns;
    /// from then on it reads nothing.
    pub(super) fn feed<V: Visitor>(
        &mut self,
        input: &[u8],
        visitor: &mut V,
    ) -> Result<(), (usize, Reason)> {
        self.raw_from = self.raw_from.map(|_| 0);
        let mut at = 0;
        while at < input.len() {
            if let Some(floor) = self.muted_at {
                at = self.pass_over(input, at, floor);
            }
            match self.step(input, at, visitor) {
                Ok(next) => at = next,
                Err((at, reason)) => {
                    self.state = State::Failed(reason);
                    return Err((at, reason));
                }
            }
        }
        self.flush_raw(input, input.len(), visitor);
        Ok(())
    }

    /// Ends the input.
    pub(super) fn finish<V: Visitor>(&mut self, visitor: &mut V) -> Ending {
        if self.state == State::Number && self.depth == 0 && self.number.may_end() {
            self.end_number(&[], visitor);
        }
        match self.state {
            State::Done | State::DoneSpaced => {
                visitor.document();
                self.state = State::Start;
                Ending::Clean
            }
            State::Start => Ending::Clean,
            _ => Ending::Cut,
        }
    }

    /// Consumes at least one byte from `at` on; the state says as what.
    #[inline]
    fn step<V: Visitor>(&mut self, input: &[u8], at: usize, visitor: &mut V) -> Step {
        match self.state {
            State::Text => self.text(input, at, visitor),
            State::After => self.after(input, at, visitor),
            State::Value | State::Element | State::FirstElement => self.value(input, at, visitor),
            State::Member | State::FirstMember => self.member(input, at, visitor),
            State::Colon => self.colon(input, at, visitor),
            State::Number => self.number(input, at, visitor),
            State::Literal => self.literal(input, at, visitor),
            State::Escape => self.escape(input, at, visitor),
            State::Unicode => self.unicode(input, at, visitor),
            State::Beyond => self.beyond(input, at, visitor),
            State::Start => self.start(input, at, visitor),
            State::Done | State::DoneSpaced => self.done(input, at, visitor),
            State::Failed(reason) => Err((at, reason)),
        }
    }

    /// Goes past what is not reported, member by member, as far as members are whole and
    /// right: most of most documents. Where one is not, and before the bracket that
    /// returns to depth `floor`, it leaves the rest to [`Self::step`].
    fn pass_over(&mut self, input: &[u8], mut at: usize, floor: u32) -> usize {
        let mut first = match self.state {
            State::FirstMember | State::FirstElement => true,
            State::After => false,
            _ => return at,
        };
        let mut innermost = self.innermost();
        loop {
            let token = skip_space(input, at);
            match (input.get(token), innermost) {
                (Some(b'}'), Container::Object) | (Some(b']'), Container::Array) => {
                    if self.depth == floor + 1 {
                        break;
                    }
                    self.depth -= 1;
                    (at, first, innermost) = (token + 1, false, self.innermost());
                    continue;
                }
                (Some(b','), _) if !first => {}
                (Some(_), _) if first => {}
                _ => break,
            }
            let begin = if first { token } else { token + 1 };
            let begin = match innermost {
                Container::Object => past_key(input, begin),
                Container::Array => Some(begin),
            };
            let Some(begin) = begin.map(|begin| skip_space(input, begin)) else { break };
            let opened = match input.get(begin) {
                Some(b'{') => Container::Object,
                Some(b'[') => Container::Array,
                _ => match past_scalar(input, begin) {
                    Some(end) => {
                        (at, first) = (end, false);
                        continue;
                    }
                    None => break,
                },
            };
            if self.depth == MAX_DEPTH {
                break;
            }
            self.depth += 1;
            self.mark(opened);
            (at, first, innermost) = (begin + 1, true, opened);
        }
        self.state = match (first, innermost) {
            (false, _) => State::After,
            (true, Container::Object) => State::FirstMember,
            (true, Container::Array) => State::FirstElement,
        };
        at
    }

    fn start<V: Visitor>(&mut self, input: &[u8], at: usize, visitor: &mut V) -> Step {
        match input.get(at).copied() {
            None => Ok(at),
            Some(b' ' | b'\t' | b'\n' | b'\r' | RECORD_SEPARATOR) => Ok(at + 1),
            Some(_) => self.value(input, at, visitor),
        }
    }

    fn done<V: Visitor>(&mut self, input: &[u8], at: usize, visitor: &mut V) -> Step {
        match input.get(at).copied() {
            None => Ok(at),
            Some(b'\n' | RECORD_SEPARATOR) => {
                visitor.document();
                self.state = State::Start;
                Ok(at + 1)
            }
            Some(b' ' | b'\t' | b'\r') => {
                self.state = State::DoneSpaced;
                Ok(at + 1)
            }
            Some(byte) if self.state == State::DoneSpaced && begins_value(byte) => {
                visitor.document();
                self.value(input, at, visitor)
            }
            Some(_) => Err((at, Reason::TrailingGarbage)),
        }
    }

    #[inline]
    fn value<V: Visitor>(&mut self, input: &[u8], at: usize, visitor: &mut V) -> Step {
        let at = skip_space(input, at);
        let Some(&byte) = input.get(at) else { return Ok(at) };
        if byte == b']' && self.state == State::FirstElement {
            return self.close(Container::Array, input, at, visitor);
        }
        if self.muted_at.is_none() {
            self.silent = matches!(self.interest, Interest::Skip | Interest::Raw);
            if matches!(self.interest, Interest::Raw | Interest::Both) {
                self.raw_from = Some(at);
                self.raw_at = self.depth;
            }
        }
        match byte {
            b'"' => {
                self.is_key = false;
                self.text(input, at + 1, visitor)
            }
            b'-' => self.begin_number(Number::Minus, input, at, visitor),
            b'0' => self.begin_number(Number::Zero, input, at, visitor),
            b'1'..=b'9' => self.begin_number(Number::Integer, input, at, visitor),
            b'{' => self.open(Container::Object, at, visitor),
            b'[' => self.open(Container::Array, at, visitor),
            _ => self.begin_literal(byte, at),
        }
    }

    fn open<V: Visitor>(&mut self, container: Container, at: usize, visitor: &mut V) -> Step {
        if self.depth == MAX_DEPTH {
            self.beyond = 1;
            self.deep = true;
            self.state = State::Beyond;
            return Ok(at + 1);
        }
        if self.muted_at.is_none() && (self.silent || !visitor.begin(container)) {
            self.muted_at = Some(self.depth);
            self.silent = true;
        }
        self.depth += 1;
        self.mark(container);
        self.interest = Interest::Watch;
        self.state = match container {
            Container::Object => State::FirstMember,
            Container::Array => State::FirstElement,
        };
        Ok(at + 1)
    }

    fn close<V: Visitor>(
        &mut self,
        container: Container,
        input: &[u8],
        at: usize,
        visitor: &mut V,
    ) -> Step {
        self.depth = self.depth.saturating_sub(1);
        if self.muted_at.is_none() {
            visitor.end(container);
        } else if self.muted_at == Some(self.depth) {
            self.muted_at = None;
        }
        self.end_value(input, at + 1, visitor);
        Ok(at + 1)
    }

    /// A value ended before index `end`.
    #[inline]
    fn end_value<V: Visitor>(&mut self, input: &[u8], end: usize, visitor: &mut V) {
        if self.muted_at.is_none() {
            if self.raw_from.is_some() && self.depth == self.raw_at {
                self.flush_raw(input, end, visitor);
                self.raw_from = None;
                visitor.raw_end();
            }
            self.interest = Interest::Watch;
        }
        self.state = if self.depth == 0 { State::Done } else { State::After };
    }

    #[inline]
    fn after<V: Visitor>(&mut self, input: &[u8], at: usize, visitor: &mut V) -> Step {
        let at = skip_space(input, at);
        let Some(&byte) = input.get(at) else { return Ok(at) };
        match (byte, self.innermost()) {
            (b',', Container::Array) => {
                self.state = State::Element;
                self.value(input, at + 1, visitor)
            }
            (b',', Container::Object) => {
                self.state = State::Member;
                self.member(input, at + 1, visitor)
            }
            (b']', Container::Array) => self.close(Container::Array, input, at, visitor),
            (b'}', Container::Object) => self.close(Container::Object, input, at, visitor),
            _ => Err((at, Reason::Unexpected)),
        }
    }

    #[inline]
    fn member<V: Visitor>(&mut self, input: &[u8], at: usize, visitor: &mut V) -> Step {
        let at = skip_space(input, at);
        match input.get(at) {
            None => Ok(at),
            Some(b'"') => {
                self.is_key = true;
                self.silent = self.muted_at.is_some();
                self.text(input, at + 1, visitor)
            }
            Some(b'}') if self.state == State::FirstMember => {
                self.close(Container::Object, input, at, visitor)
            }
            Some(_) => Err((at, Reason::Unexpected)),
        }
    }

    #[inline]
    fn colon<V: Visitor>(&mut self, input: &[u8], at: usize, visitor: &mut V) -> Step {
        let at = skip_space(input, at);
        match input.get(at) {
            None => Ok(at),
            Some(b':') => {
                self.state = State::Value;
                self.value(input, at + 1, visitor)
            }
            Some(_) => Err((at, Reason::Unexpected)),
        }
    }

    /// Inside a string.
    #[inline]
    fn text<V: Visitor>(&mut self, input: &[u8], at: usize, visitor: &mut V) -> Step {
        self.state = State::Text;
        let end = end_of_plain_text(input, at);
        let part = input.get(at..end).unwrap_or_default();
        let next = input.get(end);
        if self.high != 0 && (!part.is_empty() || next == Some(&b'"')) {
            self.flush_surrogate(visitor);
        }
        match next {
            Some(b'"') => {
                self.end_text(part, input, end + 1, visitor);
                Ok(end + 1)
            }
            None => {
                self.part(part, visitor);
                Ok(end)
            }
            Some(b'\\') => {
                self.part(part, visitor);
                self.state = State::Escape;
                Ok(end + 1)
            }
            Some(_) => Err((end, Reason::ControlCharacter)),
        }
    }

    #[inline]
    fn end_text<V: Visitor>(&mut self, last: &[u8], input: &[u8], end: usize, visitor: &mut V) {
        if self.beyond > 0 {
            self.state = State::Beyond;
        } else if self.is_key {
            if !self.silent {
                self.interest = visitor.key(last);
            }
            self.state = State::Colon;
        } else {
            if !self.silent {
                visitor.string(last);
            }
            self.end_value(input, end, visitor);
        }
    }

    /// After a backslash.
    fn escape<V: Visitor>(&mut self, input: &[u8], at: usize, visitor: &mut V) -> Step {
        let Some(&byte) = input.get(at) else { return Ok(at) };
        if byte == b'u' {
            (self.unit, self.progress) = (0, 0);
            self.state = State::Unicode;
            return Ok(at + 1);
        }
        let character = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            _ => return Err((at, Reason::Escape)),
        };
        self.flush_surrogate(visitor);
        self.part(&[character], visitor);
        self.state = State::Text;
        Ok(at + 1)
    }

    /// In the digits of a `\u` escape.
    fn unicode<V: Visitor>(&mut self, input: &[u8], mut at: usize, visitor: &mut V) -> Step {
        while let Some(&byte) = input.get(at) {
            let digit = char::from(byte).to_digit(16).ok_or((at, Reason::Escape))?;
            self.unit = (self.unit << 4) | u16::try_from(digit).unwrap_or_default();
            self.progress += 1;
            at += 1;
            if self.progress == 4 {
                self.code_unit(visitor);
                self.state = State::Text;
                break;
            }
        }
        Ok(at)
    }

    /// A UTF-16 code unit was escaped.
    fn code_unit<V: Visitor>(&mut self, visitor: &mut V) {
        let (high, unit) = (self.high, self.unit);
        if high != 0 && (0xDC00..=0xDFFF).contains(&unit) {
            self.high = 0;
            return self.character(join_surrogates(high, unit), visitor);
        }
        self.flush_surrogate(visitor);
        match unit {
            0xD800..=0xDBFF => self.high = unit,
            _ => self.character(
                char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER),
                visitor,
            ),
        }
    }

    fn flush_surrogate<V: Visitor>(&mut self, visitor: &mut V) {
        if std::mem::take(&mut self.high) != 0 {
            self.character(char::REPLACEMENT_CHARACTER, visitor);
        }
    }

    fn character<V: Visitor>(&mut self, character: char, visitor: &mut V) {
        self.part(character.encode_utf8(&mut [0; 4]).as_bytes(), visitor);
    }

    #[inline]
    fn part<V: Visitor>(&mut self, part: &[u8], visitor: &mut V) {
        if !self.silent && !part.is_empty() {
            visitor.part(part);
        }
    }

    #[inline]
    fn begin_number<V: Visitor>(
        &mut self,
        number: Number,
        input: &[u8],
        at: usize,
        visitor: &mut V,
    ) -> Step {
        self.state = State::Number;
        self.number = number;
        self.number_from(input, at, at + 1, visitor)
    }

    #[inline]
    fn number<V: Visitor>(&mut self, input: &[u8], at: usize, visitor: &mut V) -> Step {
        self.number_from(input, at, at, visitor)
    }

    /// Reads on in a number whose part in this input begins at `begin`.
    #[inline]
    fn number_from<V: Visitor>(
        &mut self,
        input: &[u8],
        begin: usize,
        mut at: usize,
        visitor: &mut V,
    ) -> Step {
        let mut number = self.number;
        while let Some(&byte) = input.get(at) {
            if byte.is_ascii_digit() && number.takes_digits() {
                at += 1;
                continue;
            }
            match number.next(byte) {
                Some(next) => number = next,
                None if number == Number::Minus && byte == b'I' => {
                    self.part(input.get(begin..at).unwrap_or_default(), visitor);
                    return self.begin_literal(byte, at);
                }
                None if number.may_end() => {
                    self.end_number_at(begin, at, input, visitor);
                    return Ok(at);
                }
                None => return Err((at, Reason::Number)),
            }
            at += 1;
        }
        self.number = number;
        self.part(input.get(begin..at).unwrap_or_default(), visitor);
        Ok(at)
    }

    #[inline]
    fn end_number_at<V: Visitor>(
        &mut self,
        begin: usize,
        at: usize,
        input: &[u8],
        visitor: &mut V,
    ) {
        if !self.silent {
            visitor.number(input.get(begin..at).unwrap_or_default());
        }
        self.end_value(input, at, visitor);
    }

    fn end_number<V: Visitor>(&mut self, input: &[u8], visitor: &mut V) {
        self.end_number_at(0, 0, input, visitor);
    }

    fn begin_literal(&mut self, byte: u8, at: usize) -> Step {
        self.literal = match byte {
            b'n' => Literal::Null,
            b't' => Literal::True,
            b'f' => Literal::False,
            b'N' => Literal::NotANumber,
            b'I' => Literal::Infinity,
            _ => return Err((at, Reason::Unexpected)),
        };
        self.progress = 1;
        self.state = State::Literal;
        Ok(at + 1)
    }

    fn literal<V: Visitor>(&mut self, input: &[u8], mut at: usize, visitor: &mut V) -> Step {
        let name = self.literal.name();
        while let Some(byte) = input.get(at) {
            if name.get(usize::from(self.progress)) != Some(byte) {
                return Err((at, Reason::Unexpected));
            }
            self.progress += 1;
            at += 1;
            if usize::from(self.progress) == name.len() {
                if !self.silent {
                    visitor.literal(self.literal);
                }
                self.end_value(input, at, visitor);
                break;
            }
        }
        Ok(at)
    }

    /// Too deep to check: counts brackets outside strings.
    fn beyond<V: Visitor>(&mut self, input: &[u8], mut at: usize, visitor: &mut V) -> Step {
        while let Some(&byte) = input.get(at) {
            at += 1;
            match byte {
                b'"' => {
                    self.is_key = false;
                    self.silent = true;
                    self.state = State::Text;
                    break;
                }
                b'{' | b'[' => {
                    self.beyond = self.beyond.checked_add(1).ok_or((at, Reason::Nesting))?;
                }
                b'}' | b']' => {
                    self.beyond -= 1;
                    if self.beyond == 0 {
                        self.end_value(input, at, visitor);
                        break;
                    }
                }
                _ => {}
            }
        }
        Ok(at)
    }

    #[inline]
    fn flush_raw<V: Visitor>(&mut self, input: &[u8], end: usize, visitor: &mut V) {
        if let Some(from) = self.raw_from {
            visitor.raw(input.get(from..end).unwrap_or_default());
        }
    }

    /// Notes what the innermost level is.
    fn mark(&mut self, container: Container) {
        let level = self.depth.saturating_sub(1);
        if let Some(word) = self.objects.get_mut(level as usize / 64) {
            let bit = 1 << (level % 64);
            match container {
                Container::Object => *word |= bit,
                Container::Array => *word &= !bit,
            }
        }
    }

    #[inline]
    fn innermost(&self) -> Container {
        let level = self.depth.saturating_sub(1);
        let word = self.objects.get(level as usize / 64).copied().unwrap_or_default();
        if word >> (level % 64) & 1 == 1 { Container::Object } else { Container::Array }
    }
}

impl Default for Tokenizer {
    fn default() -> Self {
        Self::new()
    }
}
