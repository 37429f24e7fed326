//! What was read, and what of it could not be used.

crate::counters! {
    /// Counters of one input, or of all.
    pub struct CaptureCounters {
        /// Frames delivered.
        frames,
        /// Captured bytes of these frames.
        bytes,
        /// Frames shorter than they were on the wire (snap length).
        frames_cut,
        /// Frames that claim to be longer than they were on the wire.
        frames_overlong,
        /// Frames without a time of their own (pcapng Simple Packet Blocks).
        frames_untimed,
        /// Frames that the capturing system says it lost (pcapng interface
        /// statistics).
        frames_lost,
        /// pcapng blocks without frames or secrets.
        blocks_skipped,
        /// pcapng Decryption Secrets Blocks.
        secrets,
        /// Inputs that were opened.
        inputs,
        /// Inputs that end inside a record or a compressed stream.
        inputs_truncated,
        /// Inputs damaged in another way.
        inputs_damaged,
        /// Inputs that could not be read at all.
        inputs_unreadable,
        /// Files of a directory that are not captures.
        files_skipped,
        /// Files of a directory compressed in a way that is not read.
        files_unsupported,
        /// Files named more than once.
        files_repeated,
    }
}
