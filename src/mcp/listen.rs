//! Whole values of messages, for those who want more than a [`Message`] keeps.
//!
//! A [`Message`](super::Message) holds the beginnings of a few texts. A
//! [`Listener`] hears texts in full, unescaped, in pieces as they come, before it
//! is known whether they belong to a message at all: when one is delivered, what
//! was heard since [`Listener::begin`] is its.

use super::keys::{EnvelopeKey, folds_to};

/// Which object a member is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The message itself; its known members alone are told.
    Envelope(EnvelopeKey),
    /// `params`.
    Params,
    /// `result`; the member is `tools`.
    Tools,
    /// An element of `result.tools`.
    Tool,
}

/// What a listener wants of a member's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Its text, if it is a string.
    pub text: bool,
    /// Its JSON, as sent. Only of `params.arguments` and of `result`.
    pub json: bool,
}

/// Hears values while messages are read.
pub trait Listener {
    /// A message begins; what was heard before is not of it.
    fn begin(&mut self);

    /// A member begins. One that occurs twice is told twice, and the last one
    /// counts.
    fn member(&mut self, scope: Scope, key: &[u8]) -> Wanted;

    /// More of a text that may yet turn out to be no string.
    fn text(&mut self, part: &[u8]);

    /// The text ended, and was a string or was none. Of a string that is cut off
    /// this is not said.
    fn text_end(&mut self, is_string: bool);

    /// More of the JSON of a value.
    fn json(&mut self, bytes: &[u8]);

    /// That value ended.
    fn json_end(&mut self);

    /// The definition of a tool ended.
    fn tool_end(&mut self);
}

/// Whether a member is called `name`: exactly, or as Go's `encoding/json` takes
/// it (`Some(false)`).
pub fn is_key(key: &[u8], name: &[u8]) -> Option<bool> {
    if key == name { Some(true) } else { folds_to(key, name).then_some(false) }
}
