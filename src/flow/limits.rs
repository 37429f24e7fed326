//! What bounds the flow table, and what it counts.

use std::time::Duration;

/// Bounds of one flow table (so, of one worker). Times are capture time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowLimits {
    /// Flows held at once, those lingering after their end included; one more
    /// evicts another.
    pub max_flows: usize,
    /// Memory for out-of-order data of one flow, both directions.
    pub max_out_of_order_per_flow: usize,
    /// Memory for out-of-order data of all flows.
    pub max_out_of_order_total: usize,
    /// Separate pieces of out-of-order data held per direction.
    pub max_out_of_order_pieces: usize,
    /// Memory for what is remembered of the bytes handed on, to notice
    /// retransmissions that differ; some 400 bytes a direction. 0 for none.
    pub max_history_total: usize,
    /// Memory that the handler's states of all flows may own; where it is more, flows
    /// that own much are evicted.
    pub max_state_total: usize,
    /// A TCP flow without packets for this long is over.
    pub tcp_idle: Duration,
    /// A TCP flow of which only SYN segments were seen is over after this long.
    pub tcp_opening: Duration,
    /// A TCP flow that ended is remembered this long, to absorb late
    /// retransmissions.
    pub tcp_linger: Duration,
    /// A UDP flow without packets for this long is over.
    pub udp_idle: Duration,
    /// Bytes that the receiver has acknowledged but that were not seen are
    /// given up after this long (the acknowledgement may have been captured
    /// first) ...
    pub acked_patience: Duration,
    /// ... or after this many further segments of the same direction.
    pub acked_patience_segments: u32,
    /// Missing bytes of which the receiver says nothing are given up after this
    /// long.
    pub hole_patience: Duration,
    /// Missing bytes that the receiver is waiting for as well are given up
    /// after this long; until then a retransmission is to be expected.
    pub retransmission_patience: Duration,
}

impl Default for FlowLimits {
    fn default() -> Self {
        Self {
            max_flows: 1 << 18,
            max_out_of_order_per_flow: 1 << 20,
            max_out_of_order_total: 64 << 20,
            max_out_of_order_pieces: 1024,
            max_history_total: 64 << 20,
            max_state_total: 512 << 20,
            tcp_idle: Duration::from_secs(300),
            tcp_opening: Duration::from_secs(30),
            tcp_linger: Duration::from_secs(10),
            udp_idle: Duration::from_secs(60),
            acked_patience: Duration::from_millis(200),
            acked_patience_segments: 16,
            hole_patience: Duration::from_secs(2),
            retransmission_patience: Duration::from_secs(10),
        }
    }
}

crate::counters! {
    /// What a flow table saw.
    ///
    /// Every packet is in exactly one of `tcp_segments`, `udp_datagrams`,
    /// `stray_segments`, `late_segments` and `handshakes_rejected`; every flow
    /// opened in one of the `flows_*` of its end, or still in the table.
    pub struct FlowCounters {
        /// TCP segments that belonged to a flow.
        tcp_segments,
        /// UDP datagrams.
        udp_datagrams,
        /// TCP segments without payload or SYN that belonged to no flow.
        stray_segments,
        /// TCP segments of a flow that had ended; the acknowledgement of the last
        /// FIN is one.
        late_segments,
        /// SYN segments that fit neither their flow nor a new one.
        handshakes_rejected,
        /// Packets with payload that nothing above wanted any more.
        dismissed_packets,
        /// TCP flows opened.
        tcp_flows,
        /// UDP flows opened.
        udp_flows,
        /// TCP flows whose opening handshake was not seen.
        midstream_flows,
        /// Flows that ended with FIN.
        flows_finished,
        /// Flows that ended with RST.
        flows_reset,
        /// Flows that ended by a time-out.
        flows_timed_out,
        /// Flows whose five-tuple was used for a new connection.
        flows_reused,
        /// Flows that went on between other endpoints.
        flows_moved,
        /// Flows evicted because the table was full, or all flows together held too
        /// much.
        flows_evicted,
        /// Of these, those that held much when all together held too much.
        heavy_flows_evicted,
        /// Flows open when the input ended.
        flows_open_at_end,
        /// Payload bytes handed on in order.
        delivered_bytes,
        /// TCP payload bytes that had already been handed on or given up.
        retransmitted_bytes,
        /// TCP payload bytes from before the first segment seen.
        before_start_bytes,
        /// TCP payload bytes from behind the sender's FIN.
        after_end_bytes,
        /// TCP segments that came out of order.
        out_of_order_segments,
        /// TCP segments in order that waited for bytes of the other direction which
        /// their sender had acknowledged.
        overtaking_segments,
        /// Payload bytes copied because they came out of order.
        buffered_bytes,
        /// Segments that overlapped earlier data and differed from it.
        overlap_conflicts,
        /// FIN segments that later data of the sender refuted.
        fins_refuted,
        /// Keep-alive probes.
        keep_alives,
        /// SYN segments sent again.
        handshake_retransmissions,
        /// RST segments with an implausible sequence number, ignored.
        resets_rejected,
        /// Flows whose RST was refuted by later data of its sender.
        resets_refuted,
        /// Segments with an implausible sequence number.
        out_of_window_segments,
        /// Lost stretches, for whatever reason.
        gaps,
        /// Bytes of lost stretches.
        gap_bytes,
        /// Gaps: the snap length cut the segment.
        gaps_snapped,
        /// Gaps: the receiver acknowledged bytes that were not captured.
        gaps_acked,
        /// Gaps: given up after waiting.
        gaps_overdue,
        /// Gaps: a bound on out-of-order data was reached.
        gaps_capped,
        /// Gaps: the flow ended with a hole.
        gaps_at_end,
        /// Gaps: the sequence numbers jumped for good (a long capture outage).
        gaps_jumped,
        /// Segments that were not remembered because the bound on that memory
        /// was reached.
        history_capped,
    }
}
