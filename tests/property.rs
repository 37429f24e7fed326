//! What is found does not depend on how the traffic was captured: cut into other
//! segments, disordered, wrapped in tunnels, or stored in another format, it
//! gives the same findings. Of what was captured in part, nothing is invented.

use std::fmt::Write;

use mcpwatch::Engine;
use mcpwatch::capture::LinkType;

use crate::support::compare::{Summary, Tolerance, difference};
use crate::support::corpus::{self, Capture};
use crate::support::packet::{self, Frame};
use crate::support::random::Random;
use crate::support::scan::{self, Found};
use crate::support::variant::{Keeps, VARIANTS, Variant};

/// Captures to which every variant is applied: each transport, several
/// connections, sessions and servers, both eras of the protocol.
const THOROUGH: &[&str] = &[
    "p-ts1-json.pcap",
    "p-fastmcp.pcap",
    "p-legacysse-ts1.pcap",
    "p-ws-py130-deflate.pcap",
    "p-rmcp-2026-07-28.pcap",
    "p-ts1-batch-2025-03-26.pcap",
    "p-raw-ndjson-tcp.pcap",
    "p-mcp-remote.pcap",
    "p-h2c-hypercorn-12sessions.pcap",
    "p-tls13-h2-nginx.pcap",
    "p-tls12-h1-nginx.pcap",
    "p-wss-py130-deflate.pcap",
];

/// Captures of which every segment is lost in turn: with sessions and without, one
/// connection and many, heads and bodies in one segment and in two.
const LOSSY: &[&str] = &[
    "p-py130-json.pcap",
    "p-py130-stateless.pcap",
    "p-py23-2026-07-28.pcap",
    "p-ts1-sse-full.pcap",
    "p-ts1-stateless.pcap",
    "p-fastmcp.pcap",
];

/// Messages that may be unpaired because one segment is lost: the lost one, and what
/// is behind it in the same stream of events.
const UNPAIRED_BY_LOSS: u64 = 6;

/// Variants drawn for each of the other captures that are as they were recorded.
const DRAWN: usize = 2;

#[test]
fn every_variant_of_some_captures() {
    let chosen = |capture: &Capture| THOROUGH.contains(&&*capture.name);
    check(chosen, |_| VARIANTS.to_vec());
}

#[test]
fn some_variants_of_every_capture() {
    // The variants rewrite TCP, and leave secrets in the capture behind.
    let chosen = |capture: &Capture| {
        let rewritten = !capture.layers.quic && !capture.name.ends_with(".pcapng");
        rewritten && !capture.derived && !THOROUGH.contains(&&*capture.name)
    };
    check(chosen, |capture| {
        let mut random = Random::new(&capture.name);
        (0..DRAWN).map(|_| VARIANTS[random.below(VARIANTS.len())]).collect()
    });
}

/// Whichever segment is lost, the conversations are the same, and questions keep their
/// answers.
#[test]
fn any_lost_segment() {
    let mut objections = String::new();
    let chosen = |capture: &Capture| LOSSY.contains(&&*capture.name);
    for capture in corpus::captures().into_iter().filter(chosen) {
        let frames = packet::read(&capture.path());
        let engine = scan::engine(&capture);
        let whole = Summary::of(&scan::file(&engine, &capture.path()).rows);
        let carries = |frame: &Frame| {
            packet::Segment::parse(frame).is_some_and(|segment| !segment.payload.is_empty())
        };
        for lost in (0..frames.len()).filter(|&at| carries(&frames[at])) {
            let rest = [&frames[..lost], &frames[lost + 1..]].concat();
            let found = scan::bytes(&engine, packet::pcap(LinkType::ETHERNET, &rest));
            let found = Summary::of(&found.rows);
            let mut objection = found.beyond(&whole);
            if found.conversations != whole.conversations {
                let (expected, found) = (whole.conversations, found.conversations);
                writeln!(objection, "  {expected} conversations, found {found}").unwrap();
            }
            if found.answered + UNPAIRED_BY_LOSS < whole.answered {
                let (expected, found) = (whole.answered, found.answered);
                writeln!(objection, "  {expected} answers paired, found {found}").unwrap();
            }
            if !objection.is_empty() {
                let packet = lost + 1;
                writeln!(objections, "{}, without {packet}:\n{objection}", capture.name).unwrap();
            }
        }
    }
    assert!(objections.is_empty(), "\n{objections}");
}

fn check(chosen: impl Fn(&Capture) -> bool, variants: impl Fn(&Capture) -> Vec<Variant>) {
    let mut objections = String::new();
    for capture in corpus::captures().into_iter().filter(chosen) {
        let frames = packet::read(&capture.path());
        let engine = scan::engine(&capture);
        let expected = scan::file(&engine, &capture.path());
        for variant in variants(&capture) {
            // Conversations that share a connection share its bytes, packet by packet.
            let tolerance =
                Tolerance { volume: capture.layers.http2 || variant.keeps == Keeps::Repeated };
            let objection = judge(&engine, variant, &frames, &expected, tolerance);
            if !objection.is_empty() {
                writeln!(objections, "{}, {}:\n{objection}", capture.name, variant.name).unwrap();
            }
        }
    }
    assert!(objections.is_empty(), "\n{objections}");
}

fn judge(
    engine: &Engine,
    variant: Variant,
    frames: &[Frame],
    expected: &Found,
    tolerance: Tolerance,
) -> String {
    let found = scan::bytes(engine, variant.apply(frames));
    match variant.keeps {
        Keeps::Everything | Keeps::Repeated => difference(&expected.rows, &found.rows, tolerance),
        Keeps::Part => Summary::of(&found.rows).beyond(&Summary::of(&expected.rows)),
    }
}
