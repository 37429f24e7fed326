//! DNS messages in; names that MCP servers have, and what names stand for, out.

use crate::signature::{HitSet, Matcher, NameField, SignatureIndex};
use crate::stream::dns::{DnsAnswer, DnsHeader, DnsSink, RecordType, ResolutionBuilder};

/// Watches the names of one DNS message and joins its records.
#[derive(Debug)]
pub(super) struct NameWatch<'a> {
    pub(super) matcher: &'a Matcher,
    pub(super) resolutions: &'a mut ResolutionBuilder,
    /// Signatures that hit a name that was asked for, and the name.
    pub(super) signals: Vec<SignatureIndex>,
    pub(super) name: String,
}

impl DnsSink for NameWatch<'_> {
    fn message(&mut self, header: &DnsHeader) {
        self.resolutions.message(header);
    }

    fn question(&mut self, name: &str, kind: RecordType) {
        let mut hits = HitSet::new();
        self.matcher.name(NameField::DnsName, name.as_bytes(), &mut hits);
        if !hits.is_empty() && self.signals.is_empty() {
            self.signals.extend(self.matcher.signals(&hits));
            name.clone_into(&mut self.name);
        }
        self.resolutions.question(name, kind);
    }

    fn answer(&mut self, answer: &DnsAnswer<'_>) {
        self.resolutions.answer(answer);
    }

    fn message_end(&mut self, complete: bool) {
        self.resolutions.message_end(complete);
    }
}
