//! An interface watched through libpcap: the way that is there on macOS and the BSDs,
//! and on Linux beside the ring.
//!
//! The library has a buffer of its own, and lends out a frame until the next one is
//! asked for, so frames are copied into the block. Reading never waits: that is done
//! for all interfaces together. How full the buffer is, is not told; only what found
//! no room in it.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use pcap::{Active, Capture, Error, Packet, Precision};

use super::interfaces::Interface;
use super::tap::{KernelCounts, Trouble};
use super::{LiveError, LiveOptions};
use crate::capture::{Block, CaptureCounters, LinkType, SourceId};
use crate::time::Timestamp;

/// Whether the system's libpcap tells nanoseconds. One that is asked for them and has
/// none tells microseconds, and does not say so.
const NANOSECONDS: bool = cfg!(target_os = "linux");

/// An interface that libpcap captures from.
pub(super) struct PcapTap {
    capture: Capture<Active>,
    link: LinkType,
    index: u32,
    snap_length: usize,
    offloads: Vec<&'static str>,
    /// Whether the kernel counts each frame that came and passed, and no other: not
    /// where it also counts what is left out after that.
    exact: bool,
    /// What the library said last; it counts in 32 bits, round and round.
    said: (u32, u32),
    /// Frames that came, were lost, and were read.
    received: u64,
    lost: u64,
    read: u64,
    /// What of these was told: those that came and those that were lost.
    told: (u64, u64),
    /// Whether frames were lost when the kernel was last asked.
    overflowed: bool,
    /// When the last frame came.
    last: Timestamp,
    end: Option<End>,
    /// Reading failed; perhaps that was not told yet.
    broken: bool,
    trouble: bool,
}

/// Where the wanted frames end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// After so many that were read.
    After(u64),
    /// At the first one that came later than this.
    Past(Timestamp),
}

impl PcapTap {
    /// Begins to capture.
    pub(super) fn open(
        name: &str,
        found: &Interface,
        options: &LiveOptions,
    ) -> Result<Self, LiveError> {
        let of = |error: Error| refused(name, error);
        let whole = |value: u64| i32::try_from(value).unwrap_or(i32::MAX);
        let precision = if NANOSECONDS { Precision::Nano } else { Precision::Micro };
        let capture = Capture::from_device(name)
            .map_err(of)?
            .promisc(options.promiscuous)
            .snaplen(whole(options.snap_length.into()))
            .buffer_size(whole(options.ring))
            .timeout(i32::try_from(options.block_timeout.as_millis()).unwrap_or(i32::MAX))
            .precision(precision);
        let mut capture = capture.open().and_then(Capture::setnonblock).map_err(of)?;
        let number = capture.get_datalink().0;
        let Some(link) = link_type(number) else {
            let hardware = u16::try_from(number).unwrap_or(u16::MAX);
            return Err(LiveError::UnreadLink { name: name.to_owned(), hardware });
        };
        if let Some(filter) = &options.filter {
            capture.filter(filter.expression(), true).map_err(|error| LiveError::Filter {
                name: name.to_owned(),
                reason: error.to_string(),
            })?;
        }
        Ok(Self {
            capture,
            link,
            index: found.index,
            snap_length: usize::try_from(options.snap_length).unwrap_or(usize::MAX),
            offloads: offloads(found),
            // What is sent over the loopback interface is counted, and left out. What
            // came before the filter was set is counted too.
            exact: cfg!(target_os = "linux") && options.filter.is_none() && !found.loopback,
            said: (0, 0),
            received: 0,
            lost: 0,
            read: 0,
            told: (0, 0),
            overflowed: false,
            last: Timestamp::MIN,
            end: None,
            broken: false,
            trouble: false,
        })
    }

    /// Frames that have come by now are the last ones that are wanted.
    pub(super) fn stop(&mut self) {
        self.ask();
        self.end = Some(match self.exact {
            true => End::After(self.received.saturating_sub(self.lost)),
            false => End::Past(now()),
        });
    }

    /// Copies frames that wait into a block.
    pub(super) fn deliver(
        &mut self,
        block: &mut Block,
        source: SourceId,
        number: u64,
    ) -> Option<CaptureCounters> {
        if self.broken {
            return None;
        }
        block.reset(source, number);
        let mut counters = CaptureCounters::default();
        while block.has_room(self.snap_length) && !self.is_over() {
            match self.capture.next_packet() {
                Ok(packet) => {
                    let (time, link) = (time(&packet), self.link);
                    let Packet { header, data } = packet;
                    if !block.push(time, link, header.len, data) {
                        break;
                    }
                    self.last = time;
                    self.read += 1;
                    counters.frames += 1;
                    counters.bytes += u64::from(header.caplen);
                    counters.frames_cut += u64::from(header.caplen < header.len);
                }
                Err(Error::TimeoutExpired) => break,
                Err(_) => {
                    // The interface is gone, or, on some systems, only down.
                    (self.broken, self.trouble) = (true, true);
                    break;
                }
            }
        }
        (counters.frames > 0).then_some(counters)
    }

    /// What was counted since the last call. Frames that came are those that were read
    /// or lost, where the kernel counts others too.
    pub(super) fn counts(&mut self) -> KernelCounts {
        if self.end.is_none() {
            self.ask();
        }
        let came = if self.exact { self.received } else { self.read + self.lost };
        let told = std::mem::replace(&mut self.told, (came, self.lost));
        let (frames, lost) = (came.saturating_sub(told.0), self.lost.saturating_sub(told.1));
        KernelCounts { frames, lost, freezes: 0 }
    }

    /// The buffer was full if frames found no room in it; more is not known.
    pub(super) fn filled(&self) -> usize {
        if self.overflowed { 100 } else { 0 }
    }

    pub(super) fn trouble(&mut self) -> Trouble {
        if std::mem::take(&mut self.trouble) { Trouble::Now } else { Trouble::Unknown }
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    pub(super) const fn index(&self) -> u32 {
        self.index
    }

    pub(super) fn offloads(&self) -> &[&'static str] {
        &self.offloads
    }

    fn is_over(&self) -> bool {
        match self.end {
            None => false,
            Some(End::After(frames)) => self.read >= frames,
            Some(End::Past(time)) => self.last > time,
        }
    }

    fn ask(&mut self) {
        // An interface that is gone tells nothing any more.
        let Ok(counts) = self.capture.stats() else { return };
        let lost = counts.dropped.wrapping_sub(self.said.1);
        self.received += u64::from(counts.received.wrapping_sub(self.said.0));
        self.lost += u64::from(lost);
        self.overflowed = lost > 0;
        self.said = (counts.received, counts.dropped);
    }
}

impl AsFd for PcapTap {
    /// Readable when frames may wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.capture.as_fd()
    }
}

impl fmt::Debug for PcapTap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PcapTap")
            .field("link", &self.link)
            .field("index", &self.index)
            .field("exact", &self.exact)
            .field("received", &self.received)
            .field("lost", &self.lost)
            .field("read", &self.read)
            .field("end", &self.end)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

/// What the system's clock says.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// When a frame came. Where it tells nanoseconds, they stand where microseconds
/// otherwise do.
#[allow(clippy::useless_conversion, reason = "systems count seconds in different types")]
fn time(packet: &Packet<'_>) -> Timestamp {
    let time = packet.header.ts;
    let parts = u32::try_from(i64::from(time.tv_usec)).unwrap_or_default();
    let nanos = if NANOSECONDS { parts } else { parts.saturating_mul(1000) };
    Timestamp::from_parts(time.tv_sec.into(), nanos)
}

/// How frames begin for which libpcap says this number (`DLT_*`, which differ from
/// those of files by system).
fn link_type(number: i32) -> Option<LinkType> {
    let openbsd = cfg!(target_os = "openbsd");
    match u32::try_from(number).ok()? {
        12 if openbsd => Some(LinkType::LOOP),
        12 | 14 | 101 => Some(LinkType::RAW),
        50 => Some(LinkType(50)),
        number => [
            LinkType::NULL,
            LinkType::ETHERNET,
            LinkType::PPP,
            LinkType::LOOP,
            LinkType::LINUX_SLL,
            LinkType::IPV4,
            LinkType::IPV6,
            LinkType::LINUX_SLL2,
        ]
        .into_iter()
        .find(|link| link.0 == number),
    }
}

/// What libpcap says to a capture that it does not begin.
fn refused(name: &str, error: Error) -> LiveError {
    let name = name.to_owned();
    let reason = match error {
        Error::PcapError(reason) => reason,
        other => other.to_string(),
    };
    // The library tells rights from all else in words only.
    if cfg!(target_os = "linux") && reason.contains("ermi") {
        let program = super::error::program();
        return LiveError::NotPermitted { name, program };
    }
    LiveError::Libpcap { name, reason }
}

/// Offloads that join frames before they are captured.
#[cfg(target_os = "linux")]
fn offloads(found: &Interface) -> Vec<&'static str> {
    let socket = super::ring::Socket::open(found.index);
    socket.map(|socket| socket.offloads(&found.name)).unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
fn offloads(_found: &Interface) -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_types_are_those_of_files() {
        for link in [LinkType::ETHERNET, LinkType::NULL, LinkType::LINUX_SLL2] {
            assert_eq!(link_type(i32::try_from(link.0).unwrap()), Some(link));
        }
        assert_eq!(link_type(14), Some(LinkType::RAW));
        // IEEE 802.11.
        assert_eq!(link_type(105), None);
        assert_eq!(link_type(-1), None);
    }

    #[test]
    fn a_lack_of_rights_is_told_with_the_remedy() {
        let said = "eth1: You don't have permission to perform this capture on that device";
        let error = refused("eth1", Error::PcapError(said.into())).to_string();
        assert!(error.contains(if cfg!(target_os = "linux") { "setcap" } else { said }), "{error}");
        let error = refused("eth1", Error::PcapError("that device is on fire".into()));
        assert!(error.to_string().contains("on fire"));
    }
}
