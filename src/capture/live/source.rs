//! Several interfaces as one source of blocks, whichever way they are captured from; or as
//! one for each worker, if the interfaces have a ring for each.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::interfaces::{Interface, interface};
use super::tap::{self, Delivered, Sharing, Tap, Trouble};
use super::{
    Backend, InterfaceCounters, InterfaceState, InterfaceStatus, LiveError, LiveOptions, LiveStatus,
};
use crate::capture::{Block, CaptureCounters, Fill, Frame, Pressure, SourceId, Spread};

/// How long nothing must come until a block without frames tells the time.
const IDLE: Duration = Duration::from_millis(100);

/// The same where other workers wait for what is told.
const IDLE_AMONG_OTHERS: Duration = Duration::from_millis(25);

/// How far the told time stays behind the clock: what waits in the rings is
/// younger.
const BEHIND: Duration = Duration::from_millis(500);

/// The same, in block time-outs, where other workers wait for what is told.
const BEHIND_AMONG_OTHERS: u32 = 3;

/// How long nothing is looked at where the kernel cannot tell when there is something: a
/// fraction of what a ring bridges, however fast frames come.
const PAUSE: Duration = Duration::from_millis(4);

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
    /// Which worker's part this is.
    part: usize,
    idle: Duration,
    behind: Duration,
    /// What wakes it, if others may.
    bell: Option<Bell>,
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
    sharing: Sharing,
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
        let mut capture = Self::set_up(options, stop, Instant::now());
        for (source, name) in (0..).zip(names) {
            capture.add(SourceId(source), name, Sharing::None)?;
        }
        // Started together, and only when all can be.
        capture.start()?;
        Ok(capture)
    }

    /// Opens all interfaces with a ring for each worker, between which the kernel deals
    /// the frames out as `spread` says, as far as it can see. The parts tell of their
    /// status together. Where there are no rings, or there is one worker, there is one
    /// part.
    ///
    /// # Errors
    /// If one of them cannot be captured from.
    pub fn open_parts(
        names: &[String],
        options: LiveOptions,
        spread: &Spread,
        stop: Arc<AtomicBool>,
    ) -> Result<Vec<Self>, LiveError> {
        if spread.workers() == NonZeroUsize::MIN || options.backend != Backend::Ring {
            return Ok(vec![Self::open(names, options, stop)?]);
        }
        let mut shared: Vec<_> = names.iter().map(|_| Sharing::rings(spread).into_iter()).collect();
        let (now, status) = (Instant::now(), LiveStatus::default());
        let mut parts = Vec::new();
        for part in 0..spread.workers().get() {
            let mut capture = Self::set_up(options.clone(), Arc::clone(&stop), now);
            capture.part = part;
            capture.status = status.clone();
            capture.idle = IDLE_AMONG_OTHERS;
            capture.behind = options.block_timeout * BEHIND_AMONG_OTHERS;
            for ((source, name), rings) in (0..).zip(names).zip(&mut shared) {
                capture.add(SourceId(source), name, rings.next().unwrap_or_default())?;
            }
            capture.bell = names.first().map(|name| Bell::new(name)).transpose()?;
            parts.push(capture);
        }
        // Started together, and only when all can be.
        parts.iter_mut().try_for_each(Self::start)?;
        Ok(parts)
    }

    fn set_up(options: LiveOptions, stop: Arc<AtomicBool>, now: Instant) -> Self {
        Self {
            inputs: Vec::new(),
            options,
            part: 0,
            idle: IDLE,
            behind: BEHIND,
            bell: None,
            stop,
            begun: now,
            draining: None,
            turn: 0,
            delivered: now,
            round: now,
            status: LiveStatus::default(),
            pressure: Pressure::None,
            frames_cut: 0,
            filters_here: false,
        }
    }

    fn add(&mut self, source: SourceId, name: &str, sharing: Sharing) -> Result<(), LiveError> {
        let tap = Tap::open(name, &self.options, &sharing)?;
        self.filters_here |= tap.filters_here();
        self.inputs.push(Input {
            name: name.to_owned(),
            source,
            number: 1,
            sharing,
            tap,
            state: InterfaceState::Up,
            looked_for: self.begun,
            counters: InterfaceCounters::default(),
        });
        Ok(())
    }

    fn start(&mut self) -> Result<(), LiveError> {
        self.inputs.iter().try_for_each(|input| input.tap.start(&input.name))?;
        self.publish();
        Ok(())
    }

    /// What ends a wait in [`LiveCapture::fill`] from elsewhere, with a block that has no
    /// frames and tells no time, where this is one of several parts.
    pub fn waker(&self) -> Option<Box<dyn Fn() + Send>> {
        self.bell.as_ref().map(Bell::waker)
    }

    /// How many blocks may be held beside the one that is worked on, without its being a
    /// sign of overload.
    pub fn may_hold(&self) -> usize {
        self.inputs.iter().map(|input| input.tap.blocks().0 / 5).min().unwrap_or_default()
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
            if self.draining.is_none() && self.delivered.elapsed() >= self.idle {
                self.delivered = Instant::now();
                block.reset(SourceId::default(), 0);
                block.set_clock(self.begun.elapsed().saturating_sub(self.behind));
                block.set_pressure(self.pressure);
                return Fill::Block;
            }
            if self.bell.as_ref().is_some_and(Bell::hush) {
                block.reset(SourceId::default(), 0);
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
        let taps = self.inputs.iter().map(|input| input.tap.as_fd());
        let waited = tap::wait(taps.chain(self.bell.iter().map(Bell::as_fd)), self.idle);
        // The kernel calls a ring readable as long as its last block is lent out, and
        // a descriptor with an error at once: not too fast round, then.
        if waited.is_err() || started.elapsed() < Duration::from_millis(1) {
            thread::sleep(PAUSE);
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
        self.status.show(self.part, interfaces, capture, self.pressure);
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
        let opened = Tap::open(&self.name, options, &self.sharing)
            .and_then(|tap| tap.start(&self.name).map(|()| tap));
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
