//! What the signals and messages of a conversation add up to.

use std::collections::BTreeSet;

use super::event::Renumbering;
use crate::findings::Confidence;
use crate::signature::{EvidenceKind, EvidenceKinds, SignatureIndex, SignatureSet, Strength};

/// The signals of a conversation and the confidence they reach together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    signatures: BTreeSet<SignatureIndex>,
    /// Threats that were not told of yet.
    threats: BTreeSet<SignatureIndex>,
    weak: BTreeSet<EvidenceKind>,
    proofs: BTreeSet<&'static str>,
    hinted: bool,
    strong: bool,
    nominated: bool,
    catalogued: bool,
}

impl Verdict {
    /// Takes in a signature hit.
    pub(super) fn signal(&mut self, index: SignatureIndex, signatures: &SignatureSet) {
        let new = self.signatures.insert(index);
        let signature = signatures.signature(index);
        // A threat says nothing about whether this is MCP.
        if signature.severity.is_some() {
            if new {
                self.threats.insert(index);
            }
            return;
        }
        // A body signature only nominates: the message that it hit is weighed.
        if signature.nominates() {
            return;
        }
        match signature.strength {
            Strength::Context => {}
            Strength::Hint => self.hinted = true,
            Strength::Weak => {
                self.weak.insert(signature.kind);
            }
            Strength::Strong | Strength::Proof => {
                self.strong = true;
                self.catalogued |= signature.kind == EvidenceKind::Host;
            }
        }
    }

    /// Takes in a message that proves MCP.
    pub(super) fn proof(&mut self, proof: &'static str) {
        self.proofs.insert(proof);
    }

    /// Takes in a message that could not be confirmed.
    pub(super) fn nominate(&mut self) {
        self.nominated = true;
    }

    /// The confidence reached, if any.
    pub(super) fn confidence(&self) -> Option<Confidence> {
        if !self.proofs.is_empty() {
            Some(Confidence::Confirmed)
        } else if self.strong || self.nominated || self.corroborated() {
            Some(Confidence::Likely)
        } else if self.hinted || !self.weak.is_empty() {
            Some(Confidence::Possible)
        } else {
            None
        }
    }

    fn corroborated(&self) -> bool {
        let mut kinds = EvidenceKinds::default();
        self.weak.iter().for_each(|kind| kinds.insert(*kind));
        kinds.corroborated()
    }

    /// Whether a signature names the host as an MCP server.
    pub(super) fn catalogued(&self) -> bool {
        self.catalogued
    }

    /// The signatures that fired.
    pub(super) fn signatures(&self) -> impl Iterator<Item = SignatureIndex> + '_ {
        self.signatures.iter().copied()
    }

    /// Goes over to another set of signatures, in which the old ones have these
    /// indices; those that are not in it are no longer named.
    pub(super) fn renumber(&mut self, indices: &Renumbering) {
        let new = |old: &SignatureIndex| indices.of(*old);
        self.signatures = self.signatures.iter().filter_map(new).collect();
        self.threats = self.threats.iter().filter_map(new).collect();
    }

    /// The threats that were not told of yet; now they are.
    pub(super) fn take_threats(&mut self) -> BTreeSet<SignatureIndex> {
        std::mem::take(&mut self.threats)
    }

    /// What proved it.
    pub(super) fn proofs(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.proofs.iter().copied()
    }

    /// Adds the signals of another.
    pub(super) fn merge(&mut self, other: &Verdict) {
        // What was told of once is not told of again.
        self.threats.extend(other.threats.difference(&self.signatures));
        self.signatures.extend(&other.signatures);
        self.weak.extend(&other.weak);
        self.proofs.extend(&other.proofs);
        self.hinted |= other.hinted;
        self.strong |= other.strong;
        self.nominated |= other.nominated;
        self.catalogued |= other.catalogued;
    }
}
