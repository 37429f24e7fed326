//! Everything that was counted, over all workers.

use crate::capture::CaptureCounters;
use crate::counters;
use crate::decode::DecodeCounters;
use crate::detect::{BodyCounters, CollectorCounters, ObserverCounters};
use crate::flow::FlowCounters;
use crate::stream::StreamCounters;
use crate::stream::coding::CodingCounters;

counters! {
    /// What the engine was given.
    pub struct EngineCounters {
        /// Frames taken in.
        frames,
        /// Handshakes whose secrets made room for those of newer ones.
        secrets_dropped,
    }
}

counters! {
    /// What one worker could not keep or read.
    pub struct WorkerCounters {
        /// TCP segments and UDP datagrams.
        packets,
        /// Packets that came into its ring and were handed over to another worker.
        handed_over,
        /// Flows in its table now.
        flows,
        /// Flows evicted because its table was full, or its flows held too much.
        flows_evicted,
        /// Of these, those that held much.
        heavy_flows_evicted,
        /// Lost stretches: a bound on out-of-order data was reached.
        gaps_capped,
        /// Segments that were not remembered because of the bound on that memory.
        history_capped,
        /// Exchanges not watched because a connection had too many open.
        exchanges_dropped,
        /// Compressed bodies cut at a cap.
        bodies_capped,
        /// Bodies of JSON not read under overload.
        bodies_shed,
        /// Encrypted connections not followed under overload.
        encrypted_shed,
    }
}

/// All counters of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Reading captures; filled in by who reads them.
    pub capture: CaptureCounters,
    /// Frames taken in.
    pub engine: EngineCounters,
    /// Frame to packet.
    pub decode: DecodeCounters,
    /// Packet to stream.
    pub flow: FlowCounters,
    /// Stream to exchange.
    pub stream: StreamCounters,
    /// Exchanges and signatures.
    pub observer: ObserverCounters,
    /// Content codings.
    pub coding: CodingCounters,
    /// Bodies.
    pub body: BodyCounters,
    /// Conversations and findings.
    pub collector: CollectorCounters,
    /// What of the above fell to each worker. It depends on their number, and is not
    /// among the sections.
    pub workers: Vec<WorkerCounters>,
}

impl Statistics {
    /// Adds the counters of another worker.
    pub fn merge(&mut self, other: &Self) {
        self.capture.merge(&other.capture);
        self.engine.merge(&other.engine);
        self.decode.merge(&other.decode);
        self.flow.merge(&other.flow);
        self.stream.merge(&other.stream);
        self.observer.merge(&other.observer);
        self.coding.merge(&other.coding);
        self.body.merge(&other.body);
        self.collector.merge(&other.collector);
        self.workers.extend_from_slice(&other.workers);
    }

    /// All counters as a JSON object of objects, ending in a newline.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", serde_json::Value::Object(self.to_object()))
    }

    /// All counters by section and name.
    pub(crate) fn to_object(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut sections = serde_json::Map::new();
        self.each(&mut |section, name, value| {
            let section = sections.entry(section).or_insert_with(|| serde_json::json!({}));
            if let Some(section) = section.as_object_mut() {
                section.insert(name.to_owned(), value.into());
            }
        });
        sections
    }

    /// Calls `visit` with section, name and value of every counter.
    pub fn each(&self, visit: &mut dyn FnMut(&'static str, &'static str, u64)) {
        self.capture.each(&mut |name, value| visit("capture", name, value));
        self.engine.each(&mut |name, value| visit("engine", name, value));
        self.decode.each(&mut |name, value| visit("decode", name, value));
        self.flow.each(&mut |name, value| visit("flow", name, value));
        self.stream.each(&mut |section, name, value| visit(section, name, value));
        self.coding.each(&mut |name, value| visit("coding", name, value));
        self.body.each(&mut |name, value| visit("body", name, value));
        self.observer.each(&mut |name, value| visit("observer", name, value));
        self.collector.each(&mut |name, value| visit("collector", name, value));
    }
}
