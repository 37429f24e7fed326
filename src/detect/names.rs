//! DNS messages in; names that MCP servers have, and what names stand for, out.

use std::net::IpAddr;

use crate::signature::{HitSet, Matcher, NameField, SignatureIndex};
use crate::stream::dns::{
    DnsAnswer, DnsData, DnsHeader, DnsSink, RecordType, Resolution, ResolutionBuilder,
};

/// Names kept of the messages that one piece of a stream holds.
const MAX_NAMES: usize = 64;

/// Watches the names of DNS messages and joins their records.
#[derive(Debug)]
pub(super) struct NameWatch<'a> {
    pub(super) matcher: &'a Matcher,
    pub(super) resolutions: &'a mut ResolutionBuilder,
    /// Who asked, or would have.
    pub(super) asker: IpAddr,
    /// Names asked for, and names that these stand for, that signatures hit.
    pub(super) names: Vec<(String, Vec<SignatureIndex>)>,
    pub(super) resolved: Vec<Resolution>,
}

impl NameWatch<'_> {
    fn look_for(&mut self, name: &str) {
        let mut hits = HitSet::new();
        self.matcher.name(NameField::DnsName, name.as_bytes(), &mut hits);
        if !hits.is_empty() && self.names.len() < MAX_NAMES {
            self.names.push((name.to_owned(), self.matcher.signals(&hits).collect()));
        }
    }
}

impl DnsSink for NameWatch<'_> {
    fn message(&mut self, header: &DnsHeader) {
        self.resolutions.message(header);
    }

    fn question(&mut self, name: &str, kind: RecordType) {
        self.look_for(name);
        self.resolutions.question(name, kind);
    }

    fn answer(&mut self, answer: &DnsAnswer<'_>) {
        match &answer.data {
            DnsData::Alias(target) => self.look_for(target),
            DnsData::Service(binding) => self.look_for(binding.target),
            DnsData::Ipv4(_) | DnsData::Ipv6(_) | DnsData::Other => {}
        }
        self.resolutions.answer(answer);
    }

    fn message_end(&mut self, complete: bool) {
        self.resolutions.message_end(complete);
        let Self { resolutions, resolved, asker, .. } = self;
        resolutions.each(*asker, &mut |resolution| resolved.push(resolution));
    }
}
