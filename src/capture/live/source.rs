//! Several interfaces as one source of blocks, whichever way they are captured from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::interfaces::{Interface, interface};
use super::tap::{self, Delivered, Tap, Trouble};
use super::{
    InterfaceCounters, InterfaceState, InterfaceStatus, LiveError, LiveOptions, LiveStatus,
};
use crate::capture::{Block, CaptureCounters, Fill, Frame, Pressure, SourceId};

/// How long nothing must come until a block without frames tells the time.
const IDLE: Duration = Duration::from_millis(100);

/// How far the told time stays behind the clock: what waits in the rings is
/// younger.
const BEHIND: Duration = Duration::from_millis(500);

/// How often the kernel is asked for its counts, and trouble is looked for.
const ROUND: Duration = Duration::from_millis(200);

/// How often an interface that is gone is looked for.
const RETRY: Duration = Duration::from_secs(1);

/// Longest that the rings are emptied after the end was asked for.
const DRAIN: Duration = Duration::from_secs(10);

/// Captures from interfaces until it is told to stop.
#[derive(Debug)]
pub struct LiveCapture {
    inputs: Vec<Input>,
    options: LiveOptions,
    stop: Arc<AtomicBool>,
    begun: Instant,
    draining: Option<Instant>,
    /// The input that is looked at first.
    turn: usize,
    /// When a block was last filled.
    delivered: Instant,
    /// When the kernel was last asked.
    round: Instant,
    status: LiveStatus,
    pressure: Pressure,
    frames_cut: u64,
    /// Whether a filter is to be applied to frames; otherwise the kernel does.
    filters_here: bool,
}

/// One interface.
#[derive(Debug)]
struct Input {
    name: String,
    source: SourceId,
    /// The number of the next frame.
    number: u64,
    tap: Tap,
    state: InterfaceState,
    looked_for: Instant,
    counters: InterfaceCounters,
}

impl LiveCapture {
    /// Opens all interfaces; from here on frames wait in their rings. Set `stop` to
    /// end the capture: what waits then is still delivered.
    ///
    /// # Errors
    /// If one of them cannot be captured from.
    pub fn open(
        names: &[String],
        options: LiveOptions,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, LiveError> {
        let now = Instant::now();
        let mut inputs = Vec::new();
        for (source, name) in (0..).zip(names) {
            let tap = Tap::open(name, &options)?;
            inputs.push(Input {
                name: name.clone(),
                source: SourceId(source),
                number: 1,
                tap,
                state: InterfaceState::Up,
                looked_for: now,
                counters: InterfaceCounters::default(),
            });
        }
        // Started together, and only when all can be.
        for input in &inputs {
            input.tap.start(&input.name)?;
        }
        let filters_here = inputs.iter().any(|input| input.tap.filters_here());
        let capture = Self {
            inputs,
            options,
            stop,
            begun: now,
            draining: None,
            turn: 0,
            delivered: now,
            round: now,
            status: LiveStatus::default(),
            pressure: Pressure::None,
            frames_cut: 0,
            filters_here,
        };
        capture.publish();
        Ok(capture)
    }

    /// Fills `block` with what comes next; waits until something does, or so long
    /// that the passing of time is worth telling. The end comes when it was asked
    /// for and the rings are empty.
    pub fn fill(&mut self, block: &mut Block) -> Fill {
        // What the block held goes back to its ring before anything is waited for.
        block.release();
        loop {
            self.go_round();
            self.press();
            if self.take(block) {
                block.set_clock(self.begun.elapsed());
                block.set_pressure(self.pressure);
                return Fill::Block;
            }
            if self.is_drained() {
                self.finish();
                block.reset(SourceId::default(), 0);
                return Fill::End;
            }
            // Telling the time is a delivery too: it would put off the end.
            if self.draining.is_none() && self.delivered.elapsed() >= IDLE {
                self.delivered = Instant::now();
                block.reset(SourceId::default(), 0);
                block.set_clock(self.begun.elapsed().saturating_sub(BEHIND));
                block.set_pressure(self.pressure);
                return Fill::Block;
            }
            self.wait();
        }
    }

    /// Whether a frame passes the filter, where the kernel cannot tell.
    pub fn accepts(&mut self, frame: &Frame<'_>) -> bool {
        match &mut self.options.filter {
            Some(filter) if self.filters_here => filter.accepts(frame),
            _ => true,
        }
    }

    /// How the capture fares; stays in step with it.
    pub fn status(&self) -> LiveStatus {
        self.status.clone()
    }

    fn take(&mut self, block: &mut Block) -> bool {
        for step in 0..self.inputs.len() {
            let index = (self.turn + step) % self.inputs.len();
            let Some(input) = self.inputs.get_mut(index) else { continue };
            if let Some(cut) = input.deliver(block) {
                self.turn = index + 1;
                self.delivered = Instant::now();
                self.frames_cut += cut;
                return true;
            }
        }
        false
    }

    /// Looks how full the rings are.
    fn press(&mut self) {
        let fullest = self.inputs.iter().map(|input| input.tap.filled()).max().unwrap_or_default();
        self.pressure = self.pressure.after(fullest);
    }

    fn wait(&self) {
        let started = Instant::now();
        let waited = tap::wait(self.inputs.iter().map(|input| &input.tap), IDLE);
        // The kernel calls a ring readable as long as its last block is lent out, and
        // a descriptor with an error at once: not too fast round, then.
        if waited.is_err() || started.elapsed() < Duration::from_millis(1) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Now and then: asks the kernel, looks after interfaces, shows how it goes.
    fn go_round(&mut self) {
        if self.draining.is_none() && self.stop.load(Ordering::Relaxed) {
            self.draining = Some(Instant::now());
            self.delivered = Instant::now();
            self.inputs.iter_mut().for_each(|input| input.tap.stop());
        }
        if self.round.elapsed() < ROUND {
            return;
        }
        self.round = Instant::now();
        for input in &mut self.inputs {
            input.count();
            if self.draining.is_none() {
                input.look_after(&self.options);
            }
        }
        self.publish();
    }

    fn is_drained(&self) -> bool {
        let quiet = self.options.block_timeout * 3;
        self.draining.is_some_and(|since| {
            self.delivered.elapsed() >= quiet.max(IDLE) || since.elapsed() >= DRAIN
        })
    }

    fn finish(&mut self) {
        for input in &mut self.inputs {
            input.count();
            let InterfaceCounters { received, frames, lost, .. } = input.counters;
            // What was left in a ring is as lost as what never came into it.
            input.counters.lost += received.saturating_sub(frames).saturating_sub(lost);
        }
        self.publish();
    }

    fn publish(&self) {
        let interfaces: Vec<_> = self.inputs.iter().map(Input::status).collect();
        let mut capture = CaptureCounters {
            inputs: interfaces.len() as u64,
            frames_cut: self.frames_cut,
            ..CaptureCounters::default()
        };
        for InterfaceStatus { counters, .. } in &interfaces {
            capture.frames += counters.frames;
            capture.bytes += counters.bytes;
            capture.frames_lost += counters.lost;
        }
        self.status.show(interfaces, capture, self.pressure);
    }
}

impl Input {
    /// Delivers the frames that wait, if any do; how many of them were cut.
    fn deliver(&mut self, block: &mut Block) -> Option<u64> {
        let Delivered { counters, timed_by_hardware } =
            self.tap.deliver(block, self.source, self.number)?;
        self.number += block.len() as u64;
        self.counters.timed_by_hardware += timed_by_hardware;
        self.counters.timed_by_kernel += counters.frames.saturating_sub(timed_by_hardware);
        self.counters.frames += counters.frames;
        self.counters.bytes += counters.bytes;
        Some(counters.frames_cut)
    }

    /// Takes over what the kernel counted.
    fn count(&mut self) {
        let counts = self.tap.counts();
        self.counters.received += counts.frames;
        self.counters.lost += counts.lost;
        self.counters.ring_full += counts.freezes;
    }

    /// Notices that the interface went down, went away, or came back.
    fn look_after(&mut self, options: &LiveOptions) {
        let due = self.looked_for.elapsed() >= RETRY;
        let looks = match self.tap.trouble() {
            Trouble::Now => true,
            #[cfg(target_os = "linux")]
            Trouble::None => self.state != InterfaceState::Up && due,
            #[cfg(feature = "libpcap")]
            Trouble::Unknown => due,
        };
        if !looks {
            return;
        }
        self.looked_for = Instant::now();
        let (broken, index) = (self.tap.is_broken(), self.tap.index());
        self.state = match interface(&self.name) {
            Some(found) if found.index == index && (!broken || !found.up) => self.same(&found),
            Some(found) if found.up => self.reopen(options),
            _ => InterfaceState::Gone,
        };
    }

    /// The interface is there as before; the socket lives on when it is down.
    fn same(&mut self, found: &Interface) -> InterfaceState {
        if found.up {
            return InterfaceState::Up;
        }
        if self.state == InterfaceState::Up {
            self.counters.downs += 1;
        }
        InterfaceState::Down
    }

    /// Another interface has come under the name. What waits in the old ring is
    /// read first.
    fn reopen(&mut self, options: &LiveOptions) -> InterfaceState {
        let opened =
            Tap::open(&self.name, options).and_then(|tap| tap.start(&self.name).map(|()| tap));
        match opened {
            Ok(tap) => {
                self.count();
                self.tap = tap;
                self.counters.reopened += 1;
                InterfaceState::Up
            }
            Err(_) => InterfaceState::Gone,
        }
    }

    fn status(&self) -> InterfaceStatus {
        let (ring_blocks, ring_blocks_used) = self.tap.blocks();
        InterfaceStatus {
            name: self.name.clone(),
            state: self.state,
            counters: self.counters,
            offloads: self.tap.offloads().to_vec(),
            untimed: self.tap.untimed().map(str::to_owned),
            ring_blocks: ring_blocks as u64,
            ring_blocks_used: ring_blocks_used as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_interface_of_that_name() {
        let error =
            LiveCapture::open(&["no-such-if".to_owned()], LiveOptions::default(), Arc::default());
        assert!(matches!(error, Err(LiveError::Unknown { .. })));
    }
}
