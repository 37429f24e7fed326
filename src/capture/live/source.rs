//! Several interfaces, each with its ring, as one source of blocks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::interfaces::{Interface, interface};
use super::ring::{self, Failure, Geometry, Lease, Ring, Socket};
use super::{
    InterfaceCounters, InterfaceState, InterfaceStatus, LiveError, LiveOptions, LiveStatus,
    MAX_SNAP_LENGTH, MIN_RING, frames,
};
use crate::capture::filter::Instruction;
use crate::capture::{Block, CaptureCounters, Fill, Frame, LinkType, Pressure, SourceId};
use crate::time::Timestamp;

/// Bytes of a block of a ring.
const BLOCK_SIZE: u32 = 1 << 20;

/// Fewer blocks make no ring: some are being worked on while others are filled.
const MIN_BLOCKS: u32 = (MIN_RING >> 20) as u32;

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
    opened: Option<Opened>,
    state: InterfaceState,
    looked_for: Instant,
    counters: InterfaceCounters,
}

/// An interface with its ring.
#[derive(Debug)]
struct Opened {
    ring: Ring,
    link: LinkType,
    filters_here: bool,
    offloads: Vec<&'static str>,
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
            let opened = Opened::open(name, &options)?;
            inputs.push(Input {
                name: name.clone(),
                source: SourceId(source),
                number: 1,
                opened: Some(opened),
                state: InterfaceState::Up,
                looked_for: now,
                counters: InterfaceCounters::default(),
            });
        }
        // Started together, and only when all can be.
        for input in &inputs {
            if let Some(opened) = &input.opened {
                opened.ring.start().map_err(|failure| failure.of(&input.name))?;
            }
        }
        let filters_here = inputs.iter().flat_map(|it| &it.opened).any(|it| it.filters_here);
        let capture = Self {
            inputs,
            options,
            stop,
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
                block.set_clock(clock(BEHIND));
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
            if let Some((lease, link)) = input.take() {
                self.turn = index + 1;
                self.delivered = Instant::now();
                self.frames_cut += input.deliver(lease, link, block);
                return true;
            }
        }
        false
    }

    /// Looks how full the rings are.
    fn press(&mut self) {
        let rings = self.inputs.iter().flat_map(|input| &input.opened).map(|opened| &opened.ring);
        let fullest = rings.map(Ring::filled).max().unwrap_or_default();
        self.pressure = self.pressure.after(fullest);
    }

    fn wait(&self) {
        let started = Instant::now();
        let rings = self.inputs.iter().flat_map(|input| &input.opened).map(|opened| &opened.ring);
        let waited = ring::wait(rings, IDLE);
        // The kernel calls a ring readable as long as its last block is lent out, and
        // a socket with an error at once: not too fast round, then.
        if waited.is_err() || started.elapsed() < Duration::from_millis(1) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Now and then: asks the kernel, looks after interfaces, shows how it goes.
    fn go_round(&mut self) {
        if self.draining.is_none() && self.stop.load(Ordering::Relaxed) {
            self.draining = Some(Instant::now());
            self.delivered = Instant::now();
            for opened in self.inputs.iter().flat_map(|input| &input.opened) {
                // If it fails, frames come on, and the drain ends when its time is up.
                let _ = opened.ring.stop();
            }
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
    fn take(&mut self) -> Option<(Lease, LinkType)> {
        let opened = self.opened.as_mut()?;
        Some((opened.ring.take()?, opened.link))
    }

    /// Delivers the frames of a ring's block; how many of them were cut.
    fn deliver(&mut self, lease: Lease, link: LinkType, block: &mut Block) -> u64 {
        let mut counters = CaptureCounters::default();
        block.reset(self.source, self.number);
        block.hold(lease, |bytes, found| frames::find(bytes, link, found, &mut counters));
        self.number += block.len() as u64;
        self.counters.frames += counters.frames;
        self.counters.bytes += counters.bytes;
        counters.frames_cut
    }

    /// Takes over what the kernel counted.
    fn count(&mut self) {
        let Some(opened) = &self.opened else { return };
        let counts = opened.ring.counts();
        self.counters.received += counts.frames;
        self.counters.lost += counts.lost;
        self.counters.ring_full += counts.freezes;
    }

    /// Notices that the interface went down, went away, or came back.
    fn look_after(&mut self, options: &LiveOptions) {
        let troubled = self.opened.as_ref().is_none_or(|opened| opened.ring.error().is_some());
        if !troubled && self.state == InterfaceState::Up {
            return;
        }
        if !troubled && self.looked_for.elapsed() < RETRY {
            return;
        }
        if self.opened.is_none() && self.looked_for.elapsed() < RETRY {
            return;
        }
        self.looked_for = Instant::now();
        let found = interface(&self.name);
        let index = self.opened.as_ref().map(|opened| opened.ring.index());
        self.state = match (found, index) {
            (Some(found), Some(index)) if found.index == index => self.same(&found),
            (Some(found), _) if found.up => self.reopen(options),
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
            Opened::open(&self.name, options).and_then(|opened| match opened.ring.start() {
                Ok(()) => Ok(opened),
                Err(failure) => Err(failure.of(&self.name)),
            });
        match opened {
            Ok(opened) => {
                self.count();
                self.opened = Some(opened);
                self.counters.reopened += 1;
                InterfaceState::Up
            }
            Err(_) => InterfaceState::Gone,
        }
    }

    fn status(&self) -> InterfaceStatus {
        let (ring_blocks, ring_blocks_used) = match &self.opened {
            Some(opened) => (opened.ring.len(), opened.ring.lent()),
            None => (0, 0),
        };
        InterfaceStatus {
            name: self.name.clone(),
            state: self.state,
            counters: self.counters,
            offloads: self.opened.as_ref().map(|it| it.offloads.clone()).unwrap_or_default(),
            ring_blocks: ring_blocks as u64,
            ring_blocks_used: ring_blocks_used as u64,
        }
    }
}

impl Opened {
    /// Sets all up; nothing is received yet.
    fn open(name: &str, options: &LiveOptions) -> Result<Self, LiveError> {
        let Some(found) = interface(name) else {
            return Err(LiveError::Unknown { name: name.to_owned() });
        };
        if !found.up {
            return Err(LiveError::Down { name: name.to_owned() });
        }
        let of = |failure: Failure| failure.of(name);
        let socket = Socket::open(found.index).map_err(of)?;
        let hardware = socket.hardware().map_err(of)?;
        let Some(link) = link_type(hardware) else {
            return Err(LiveError::UnreadLink { name: name.to_owned(), hardware });
        };
        let program = match &options.filter {
            None => None,
            Some(filter) => filter
                .kernel_program(link)
                .map_err(|reason| LiveError::Filter { name: name.to_owned(), reason })?,
        };
        let filters_here = options.filter.is_some() && program.is_none();
        if let Some(program) = with_snap_length(program, options.snap_length) {
            socket.attach(&program).map_err(of)?;
        }
        if options.promiscuous {
            socket.promiscuous().map_err(of)?;
        }
        if found.loopback {
            // What is sent there comes back: each frame would be seen twice.
            socket.ignore_outgoing().map_err(of)?;
        }
        let offloads = socket.offloads(name);
        let blocks = u32::try_from(options.ring / u64::from(BLOCK_SIZE)).unwrap_or(u32::MAX);
        let geometry = Geometry {
            block_size: BLOCK_SIZE,
            blocks: blocks.max(MIN_BLOCKS),
            block_timeout: options.block_timeout,
        };
        let ring = socket.map(geometry).map_err(of)?;
        Ok(Self { ring, link, filters_here, offloads })
    }
}

impl Failure {
    fn of(self, name: &str) -> LiveError {
        let name = name.to_owned();
        if self.error.kind() == io::ErrorKind::PermissionDenied {
            let program = std::env::current_exe();
            let program = program.map_or("mcpwatch".into(), |path| path.display().to_string());
            return LiveError::NotPermitted { name, program };
        }
        LiveError::System { name, step: self.step, error: self.error }
    }
}

/// IP without a link-layer header (linux/if_arp.h).
const ARPHRD_RAWIP: u16 = 519;

/// How frames of an interface of that hardware type (`ARPHRD_*`) begin.
fn link_type(hardware: u16) -> Option<LinkType> {
    match hardware {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(LinkType::ETHERNET),
        ARPHRD_RAWIP
        | libc::ARPHRD_NONE
        | libc::ARPHRD_TUNNEL
        | libc::ARPHRD_TUNNEL6
        | libc::ARPHRD_SIT => Some(LinkType::RAW),
        _ => None,
    }
}

/// The program that cuts frames to the snap length too.
fn with_snap_length(program: Option<Vec<Instruction>>, snap: u32) -> Option<Vec<Instruction>> {
    const RETURN: u16 = 0x06;
    match program {
        None if snap >= MAX_SNAP_LENGTH => None,
        None => Some(vec![Instruction { code: RETURN, jt: 0, jf: 0, k: snap }]),
        Some(mut program) => {
            let accepting = program.iter_mut().filter(|it| it.code == RETURN && it.k != 0);
            accepting.for_each(|it| it.k = snap);
            Some(program)
        }
    }
}

/// The system's clock, less `behind`.
fn clock(behind: Duration) -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanos = since.saturating_sub(behind).as_nanos();
    Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_frames_are_cut_to_the_snap_length() {
        let instruction = |code, k| Instruction { code, jt: 0, jf: 0, k };
        assert_eq!(with_snap_length(None, MAX_SNAP_LENGTH), None);
        assert_eq!(with_snap_length(None, 96), Some(vec![instruction(6, 96)]));
        let program = vec![instruction(0x28, 12), instruction(6, 65535), instruction(6, 0)];
        let cut = vec![instruction(0x28, 12), instruction(6, 96), instruction(6, 0)];
        assert_eq!(with_snap_length(Some(program), 96), Some(cut));
    }

    #[test]
    fn no_interface_of_that_name() {
        let error =
            LiveCapture::open(&["no-such-if".to_owned()], LiveOptions::default(), Arc::default());
        assert!(matches!(error, Err(LiveError::Unknown { .. })));
    }
}
