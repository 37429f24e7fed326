//! An interface watched through a ring that the kernel and the program share.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::fan_out::FanOut;
use super::interfaces::Interface;
use super::ring::{Failure, Geometry, Lease, Ring, Socket, Untimed};
use super::{LiveError, LiveOptions, MAX_SNAP_LENGTH, MIN_RING, TimeSource};
use crate::capture::LinkType;
use crate::capture::filter::{Instruction, NOTHING, op};

/// Bytes of a block of a ring: the largest that leaves blocks enough...
const BLOCK_SIZES: [u32; 3] = [1 << 20, 512 << 10, MIN_BLOCK_SIZE];

/// ...or the smallest; a frame has to find room in one.
const MIN_BLOCK_SIZE: u32 = 256 << 10;

/// Blocks enough: on a quiet interface each holds the frames of one time-out, so many of
/// which are bridged when nobody reads.
const ENOUGH_BLOCKS: u64 = 64;

/// With whom a ring shares the frames of its interface.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) fan_out: Arc<FanOut>,
    /// Whose ring it is, of so many workers, each of whom has one.
    pub(super) worker: usize,
    pub(super) workers: NonZeroUsize,
}

/// How a ring begins to receive.
#[derive(Debug)]
enum Start {
    /// By itself.
    Alone,
    /// As one of several that share the frames.
    Shared { shared: Shared, filter: Option<Vec<Instruction>> },
}

/// An interface with its ring.
#[derive(Debug)]
pub(super) struct RingTap {
    pub(super) ring: Ring,
    pub(super) link: LinkType,
    pub(super) filters_here: bool,
    pub(super) offloads: Vec<&'static str>,
    pub(super) untimed: Option<String>,
    start: Start,
}

impl RingTap {
    /// Sets all up; nothing is received yet.
    pub(super) fn open(
        name: &str,
        found: &Interface,
        options: &LiveOptions,
        shared: Option<&Shared>,
    ) -> Result<Self, LiveError> {
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
        let filter = with_snap_length(program, options.snap_length);
        match (shared, &filter) {
            // Until it shares them, a ring would get all frames.
            (Some(_), _) => socket.attach(&NOTHING).map_err(of)?,
            (None, Some(program)) => socket.attach(program).map_err(of)?,
            (None, None) => {}
        }
        if options.promiscuous {
            socket.promiscuous().map_err(of)?;
        }
        if found.loopback {
            // What is sent there comes back: each frame would be seen twice.
            socket.ignore_outgoing().map_err(of)?;
        }
        let offloads = socket.offloads(name);
        let untimed = match options.time_source {
            TimeSource::Kernel => None,
            TimeSource::Hardware => socket.hardware_times(name).err().map(|why| why.told(name)),
        };
        let rings = shared.map_or(1, |shared| shared.workers.get() as u64);
        let (block_size, blocks) = blocks(options.ring / rings);
        let geometry = Geometry { block_size, blocks, block_timeout: options.block_timeout };
        let ring = socket.map(geometry).map_err(of)?;
        let start = match shared {
            None => Start::Alone,
            Some(shared) => {
                let filter = if found.loopback { Some(without_outgoing(filter)) } else { filter };
                Start::Shared { shared: shared.clone(), filter }
            }
        };
        Ok(Self { ring, link, filters_here, offloads, untimed, start })
    }

    /// From here on frames are received.
    pub(super) fn start(&self) -> Result<(), Failure> {
        self.ring.start()?;
        let Start::Shared { shared, filter } = &self.start else { return Ok(()) };
        shared.fan_out.join(&self.ring, shared.worker)?;
        self.ring.filter(filter.as_deref())
    }

    /// The next block of the ring, if the kernel has handed it over.
    pub(super) fn take(&mut self) -> Option<(Lease, LinkType)> {
        Some((self.ring.take()?, self.link))
    }
}

/// How large the blocks of a ring of so many bytes are, and how many there are.
fn blocks(ring: u64) -> (u32, u32) {
    let ring = ring.max(MIN_RING);
    let enough = |size: &&u32| ring / u64::from(**size) >= ENOUGH_BLOCKS;
    let size = BLOCK_SIZES.iter().find(enough).copied().unwrap_or(MIN_BLOCK_SIZE);
    (size, u32::try_from(ring / u64::from(size)).unwrap_or(u32::MAX))
}

impl Failure {
    pub(super) fn of(self, name: &str) -> LiveError {
        let name = name.to_owned();
        if self.error.kind() == io::ErrorKind::PermissionDenied {
            let program = super::error::program();
            return LiveError::NotPermitted { name, program };
        }
        LiveError::System { name, step: self.step, error: self.error }
    }
}

impl Untimed {
    /// What it means, and what can be done.
    fn told(&self, name: &str) -> String {
        match self {
            Self::Some => "its card tells times of some frames only".to_owned(),
            Self::Refused(error) if error.kind() == io::ErrorKind::PermissionDenied => format!(
                "turning them on takes CAP_NET_ADMIN: start as root, or turn them on before: \
                 sudo hwstamp_ctl -i {name} -r 1"
            ),
            Self::Refused(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                "its driver has none".to_owned()
            }
            Self::Refused(error) if error.raw_os_error() == Some(libc::ERANGE) => {
                "its card cannot tell them of all frames".to_owned()
            }
            Self::Refused(error) => error.to_string(),
        }
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

/// The program that leaves out what this system sends: a group does not heed what its
/// sockets ask for in that.
fn without_outgoing(program: Option<Vec<Instruction>>) -> Vec<Instruction> {
    /// `SKF_AD_OFF + SKF_AD_PKTTYPE` (linux/filter.h).
    const PACKET_TYPE: u32 = 0xffff_f004;
    let outgoing = u32::from(libc::PACKET_OUTGOING);
    let mut all = vec![
        Instruction { code: op::LOAD_WORD_AT, jt: 0, jf: 0, k: PACKET_TYPE },
        Instruction { code: op::JUMP_IF_EQUAL, jt: 0, jf: 1, k: outgoing },
    ];
    all.extend(NOTHING);
    let whole = || vec![Instruction { code: op::RETURN, jt: 0, jf: 0, k: MAX_SNAP_LENGTH }];
    all.extend(program.unwrap_or_else(whole));
    all
}

/// The program that cuts frames to the snap length too.
fn with_snap_length(program: Option<Vec<Instruction>>, snap: u32) -> Option<Vec<Instruction>> {
    match program {
        None if snap >= MAX_SNAP_LENGTH => None,
        None => Some(vec![Instruction { code: op::RETURN, jt: 0, jf: 0, k: snap }]),
        Some(mut program) => {
            let accepting = program.iter_mut().filter(|it| it.code == op::RETURN && it.k != 0);
            accepting.for_each(|it| it.k = snap);
            Some(program)
        }
    }
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
    fn a_small_ring_has_small_blocks() {
        let mebibyte = 1 << 20;
        assert_eq!(blocks(1024 * mebibyte), (1 << 20, 1024));
        assert_eq!(blocks(64 * mebibyte), (1 << 20, 64));
        assert_eq!(blocks(32 * mebibyte), (512 << 10, 64));
        assert_eq!(blocks(8 * mebibyte), (256 << 10, 32));
        assert_eq!(blocks(0), (256 << 10, 32));
    }

    #[test]
    fn why_a_card_tells_no_times_is_said_with_the_remedy() {
        let refused = |code| Untimed::Refused(io::Error::from_raw_os_error(code)).told("eth1");
        assert!(refused(libc::EPERM).contains("hwstamp_ctl -i eth1"));
        assert_eq!(refused(libc::EOPNOTSUPP), "its driver has none");
        assert!(refused(libc::ERANGE).contains("all frames"));
        assert!(Untimed::Some.told("eth1").contains("some frames"));
    }
}
