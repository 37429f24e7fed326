//! What could not be seen, and why: from the counters to the report's coverage
//! section.

use super::Statistics;
use crate::report::{Coverage, CoverageLine};

/// Sums up what a run could not see; `damaged` captures were not read to their
/// end.
pub fn coverage(statistics: &Statistics, damaged: u64) -> Coverage {
    let Statistics {
        capture, engine, decode, flow, stream, coding, collector, body, observer, ..
    } = statistics;
    let candidates = [
        (
            damaged,
            "captures not read to their end",
            "damaged, truncated or unreadable; see the messages",
        ),
        (capture.frames_lost, "packets lost at capture", "said by the capture itself"),
        (
            decode.packets_snapped,
            "packets cut by the snap length",
            "capture with -s 0 to see bodies",
        ),
        (decode.malformed(), "malformed packets", "not decoded"),
        (decode.unsupported_link, "frames of an unsupported link type", "not decoded"),
        (decode.too_deep, "packets in too many tunnels", "not decoded"),
        (
            decode.fragments_dropped
                + decode.fragment_datagrams_expired
                + decode.fragment_datagrams_evicted,
            "fragments of datagrams never complete",
            "fragments missing from the capture, or too many at once",
        ),
        (
            flow.midstream_flows,
            "connections joined in mid-stream",
            "their beginning was not captured",
        ),
        (flow.gaps, "stretches of TCP streams lost", "segments missing from the capture"),
        (
            flow.overlap_conflicts,
            "TCP segments that contradict earlier ones",
            "the first copy was read",
        ),
        (flow.flows_evicted, "flows evicted", "more at once than --memcap allows"),
        (
            body.shed,
            "bodies not read under overload",
            "no time for them, and no sign of MCP on their connections",
        ),
        (
            observer.encrypted_shed,
            "encrypted connections not followed under overload",
            "only their first message was read",
        ),
        (
            observer.exchanges_dropped,
            "exchanges not read to their end",
            "too many at once on one connection",
        ),
        (stream.http1.incomplete_heads, "HTTP heads cut short", "lost or cut packets"),
        (
            coding.corrupt + coding.lost + coding.unknown,
            "compressed bodies not decoded",
            "damaged, cut, or of an unknown coding",
        ),
        (
            coding.output_capped + coding.ratio_capped,
            "compressed bodies cut at a cap",
            "they expand to too much",
        ),
        (
            stream.connection.other_upgrades,
            "connections upgraded to an unread protocol",
            "not followed",
        ),
        (
            stream.tls.keys_missing,
            "TLS connections without keys",
            "only the handshake was seen; give their secrets with --keylog",
        ),
        (
            engine.secrets_dropped,
            "handshakes whose secrets were given up",
            "more in --keylog than --memcap allows",
        ),
        (stream.tls.keys_wrong, "directions of TLS that their keys did not open", "wrong keys"),
        (
            stream.tls.suites_unsupported,
            "TLS connections in an unsupported cipher suite",
            "keys are there, but not opened",
        ),
        (
            stream.http2.hpack_unknown,
            "HTTP/2 header fields lost with earlier packets",
            "they refer to a table that was not seen",
        ),
        (stream.connection.unknown, "connections in another protocol", "not followed"),
        (
            collector.conversations_evicted,
            "conversations summed up early",
            "more at once than --memcap allows",
        ),
    ];
    let lines: Vec<CoverageLine> = candidates
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, what, why)| CoverageLine { what: what.into(), count, why: why.into() })
        .collect();
    let title = format!(
        "{} packets in {} flows, {} HTTP requests",
        decode.packets,
        flow.tcp_flows + flow.udp_flows,
        statistics.observer.requests,
    );
    Coverage { title, lines }
}
