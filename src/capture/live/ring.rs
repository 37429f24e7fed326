//! The memory that kernel and program share: an AF_PACKET socket with a
//! TPACKET_V3 receive ring (`packet(7)`, Documentation/networking/packet_mmap).
//!
//! The kernel fills blocks of the ring in order and hands each over by setting a
//! bit in its head. [`Ring::take`] lends the next one out as a [`Lease`]: its
//! bytes, for whoever holds it, in any thread. Dropped, it goes back to the
//! kernel, in any order.
//!
//! Unsafe code stays here: system calls that the standard library lacks, and the
//! mapping. What the bytes mean is read elsewhere, in safe code.

#![allow(unsafe_code)]

use std::io;
use std::mem::{offset_of, size_of, zeroed};
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use libc::{c_int, c_void, socklen_t};

use super::tap::KernelCounts;
use crate::capture::filter::{Instruction, NOTHING};

/// Where the status of a block stands in it.
const STATUS: usize =
    offset_of!(libc::tpacket_block_desc, hdr) + offset_of!(libc::tpacket_hdr_v1, block_status);

/// Asks for generic receive offload (linux/ethtool.h).
const ETHTOOL_GGRO: u32 = 0x2b;

/// Asks for flags, large receive offload among them.
const ETHTOOL_GFLAGS: u32 = 0x25;

/// Room before each frame, for the VLAN tag that the kernel took out.
const RESERVE: c_int = 4;

/// Makes sockets of an interface a group that shares its frames (linux/if_packet.h).
const PACKET_FANOUT: c_int = 18;

/// Sets the program by which a group does.
const PACKET_FANOUT_DATA: c_int = 22;

/// A group deals frames out by a program of classic BPF...
const FANOUT_CBPF: c_int = 6;

/// ...and has a number that no other has.
const FANOUT_UNIQUE_ID: c_int = 0x2000;

/// The kernel wants to know a frame size; blocks of version 3 do not depend on
/// it.
const FRAME_SIZE: u32 = 2048;

/// The form of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes of a block: a power of two, and whole pages.
    pub(super) block_size: u32,
    /// Blocks.
    pub(super) blocks: u32,
    /// How long a block with frames in it waits to be filled.
    pub(super) block_timeout: Duration,
}

/// What went wrong, and where.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) step: &'static str,
    pub(super) error: io::Error,
}

/// Why a card does not tell when each frame came.
#[derive(Debug)]
pub(super) enum Untimed {
    /// It tells of some.
    Some,
    /// The system refuses.
    Refused(io::Error),
}

/// A socket that is bound to an interface and does not receive yet.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    index: c_int,
}

impl Socket {
    /// Binds a socket to the interface of that number.
    pub(super) fn open(index: u32) -> Result<Self, Failure> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // Without a protocol, nothing is received before all is set up.
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        checked(fd, "opening a packet socket")?;
        // SAFETY: the descriptor is new, open, and owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let socket = Self { fd, index: c_int::try_from(index).unwrap_or(-1) };
        socket.bind(0)?;
        Ok(socket)
    }

    /// The kernel's number of the interface's hardware type (`ARPHRD_*`).
    pub(super) fn hardware(&self) -> Result<u16, Failure> {
        // SAFETY: all zeros is a valid `sockaddr_ll`.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        let mut len = size_of_as_socklen::<libc::sockaddr_ll>();
        // SAFETY: `address` is writable for `len` bytes, and `len` is writable.
        let done = unsafe {
            libc::getsockname(self.fd.as_raw_fd(), ptr::from_mut(&mut address).cast(), &mut len)
        };
        checked(done, "asking for the hardware type")?;
        Ok(address.sll_hatype)
    }

    /// The receive offloads of the interface of that name that are on; none where it
    /// has no such thing.
    pub(super) fn offloads(&self, name: &str) -> Vec<&'static str> {
        const FLAG_LRO: u32 = 1 << 15;
        let mut on = Vec::new();
        if self.ethtool(name, ETHTOOL_GGRO).is_some_and(|value| value != 0) {
            on.push("gro");
        }
        if self.ethtool(name, ETHTOOL_GFLAGS).is_some_and(|flags| flags & FLAG_LRO != 0) {
            on.push("lro");
        }
        on
    }

    /// Asks the interface of that name for a value (ethtool's `struct
    /// ethtool_value`).
    fn ethtool(&self, name: &str, command: u32) -> Option<u32> {
        let mut value = [command, 0];
        // SAFETY: these commands read and write two words.
        let done = unsafe { self.request(name, libc::SIOCETHTOOL, &mut value) };
        done.ok().and_then(|()| value.last().copied())
    }

    /// Takes the times of frames from the card of the interface of that name, as far as
    /// it tells them; the kernel's stand in for the others. What else was asked of the
    /// card (by a daemon that keeps its clock) is left as it is.
    pub(super) fn hardware_times(&self, name: &str) -> Result<(), Untimed> {
        let wanted = c_int::try_from(libc::SOF_TIMESTAMPING_RAW_HARDWARE).unwrap_or_default();
        self.set(libc::PACKET_TIMESTAMP, &wanted, "asking for the card's times")
            .map_err(|failure| Untimed::Refused(failure.error))?;
        let all = c_int::try_from(libc::HWTSTAMP_FILTER_ALL).unwrap_or_default();
        let mut config = libc::hwtstamp_config { flags: 0, tx_type: 0, rx_filter: 0 };
        // SAFETY: the request reads and writes a `hwtstamp_config`.
        let known = unsafe { self.request(name, libc::SIOCGHWTSTAMP, &mut config) };
        if known.is_ok() && config.rx_filter == all {
            return Ok(());
        }
        config.rx_filter = all;
        // SAFETY: as above.
        match unsafe { self.request(name, libc::SIOCSHWTSTAMP, &mut config) } {
            Ok(()) if config.rx_filter == all => Ok(()),
            Ok(()) => Err(Untimed::Some),
            Err(error) => Err(Untimed::Refused(error)),
        }
    }

    /// Makes a request about the interface of that name.
    ///
    /// # Safety
    /// The kernel must read and write no more than a `T` for it, and all that it may
    /// write must be valid in a `T`.
    unsafe fn request<T>(&self, name: &str, code: libc::c_ulong, value: &mut T) -> io::Result<()> {
        // SAFETY: all zeros is a valid `ifreq`.
        let mut request: libc::ifreq = unsafe { zeroed() };
        // The last byte stays zero.
        let room = request.ifr_name.len() - 1;
        if name.len() > room {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        request.ifr_ifru.ifru_data = ptr::from_mut(value).cast();
        // SAFETY: the request names an interface and points to the value, which is what
        // the kernel takes it for, as the caller says; both live during the call.
        let done =
            unsafe { libc::ioctl(self.fd.as_raw_fd(), code as _, ptr::from_mut(&mut request)) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Sees to it that the socket receives frames for others too, as long as it
    /// lives.
    pub(super) fn promiscuous(&self) -> Result<(), Failure> {
        let request = libc::packet_mreq {
            mr_ifindex: self.index,
            mr_type: u16::try_from(libc::PACKET_MR_PROMISC).unwrap_or_default(),
            mr_alen: 0,
            mr_address: [0; 8],
        };
        self.set(libc::PACKET_ADD_MEMBERSHIP, &request, "setting promiscuous mode")
    }

    /// Leaves out what this system sends.
    pub(super) fn ignore_outgoing(&self) -> Result<(), Failure> {
        self.set(libc::PACKET_IGNORE_OUTGOING, &1_i32, "leaving out sent frames")
    }

    /// Maps a ring.
    pub(super) fn map(self, geometry: Geometry) -> Result<Ring, Failure> {
        let version = libc::tpacket_versions::TPACKET_V3 as c_int;
        self.set(libc::PACKET_VERSION, &version, "asking for TPACKET_V3")?;
        self.set(libc::PACKET_RESERVE, &RESERVE, "reserving room for VLAN tags")?;
        let timeout = u32::try_from(geometry.block_timeout.as_millis()).unwrap_or(u32::MAX);
        let request = libc::tpacket_req3 {
            tp_block_size: geometry.block_size,
            tp_block_nr: geometry.blocks,
            tp_frame_size: FRAME_SIZE,
            tp_frame_nr: geometry.block_size / FRAME_SIZE * geometry.blocks,
            tp_retire_blk_tov: timeout,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        self.set(libc::PACKET_RX_RING, &request, "allocating the ring")?;
        let mapping = Mapping::new(self.fd.as_raw_fd(), geometry)?;
        Ok(Ring { socket: self, mapping: Arc::new(mapping), next: 0 })
    }

    /// Lets through only frames for which the program gives a length, cut to
    /// that length.
    pub(super) fn attach(&self, program: &[Instruction]) -> Result<(), Failure> {
        self.load(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program, "setting the filter")
    }

    /// Hands a program to the kernel.
    fn load(
        &self,
        level: c_int,
        name: c_int,
        program: &[Instruction],
        step: &'static str,
    ) -> Result<(), Failure> {
        let mut code: Vec<libc::sock_filter> = program
            .iter()
            .map(|it| libc::sock_filter { code: it.code, jt: it.jt, jf: it.jf, k: it.k })
            .collect();
        let program = libc::sock_fprog {
            len: u16::try_from(code.len()).unwrap_or(u16::MAX),
            filter: code.as_mut_ptr(),
        };
        // The kernel reads `code` during the call, and copies it.
        self.set_at(level, name, &program, step)
    }

    fn bind(&self, protocol: u16) -> Result<(), Failure> {
        // SAFETY: all zeros is a valid `sockaddr_ll`.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).unwrap_or_default();
        address.sll_protocol = protocol.to_be();
        address.sll_ifindex = self.index;
        let len = size_of_as_socklen::<libc::sockaddr_ll>();
        // SAFETY: `address` is readable for `len` bytes.
        let done = unsafe { libc::bind(self.fd.as_raw_fd(), ptr::from_ref(&address).cast(), len) };
        checked(done, "binding to the interface")
    }

    fn set<T>(&self, name: c_int, value: &T, step: &'static str) -> Result<(), Failure> {
        self.set_at(libc::SOL_PACKET, name, value, step)
    }

    fn set_at<T>(
        &self,
        level: c_int,
        name: c_int,
        value: &T,
        step: &'static str,
    ) -> Result<(), Failure> {
        let (fd, len) = (self.fd.as_raw_fd(), size_of_as_socklen::<T>());
        // SAFETY: `value` is readable for `len` bytes. Where it holds a pointer (a
        // filter), the caller keeps what it points to.
        let done = unsafe { libc::setsockopt(fd, level, name, ptr::from_ref(value).cast(), len) };
        checked(done, step)
    }

    fn get<T>(&self, level: c_int, name: c_int, value: &mut T) -> io::Result<()> {
        let (fd, mut len) = (self.fd.as_raw_fd(), size_of_as_socklen::<T>());
        // SAFETY: `value` is writable for `len` bytes, and is of integers, for which
        // all bytes are valid.
        match unsafe { libc::getsockopt(fd, level, name, ptr::from_mut(value).cast(), &mut len) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// A socket and its ring.
#[derive(Debug)]
pub(super) struct Ring {
    socket: Socket,
    mapping: Arc<Mapping>,
    /// The block that the kernel hands over next.
    next: usize,
}

impl Ring {
    /// From here on frames are received.
    pub(super) fn start(&self) -> Result<(), Failure> {
        let all = u16::try_from(libc::ETH_P_ALL).unwrap_or_default();
        self.socket.bind(all)
    }

    /// From here on no frame comes; those in the ring stay.
    pub(super) fn stop(&self) -> Result<(), Failure> {
        self.socket.attach(&NOTHING)
    }

    /// From here on frames come that the program lets through; all, if there is none.
    pub(super) fn filter(&self, program: Option<&[Instruction]>) -> Result<(), Failure> {
        match program {
            Some(program) => self.socket.attach(program),
            None => {
                let step = "taking the filter away";
                self.socket.set_at(libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0_i32, step)
            }
        }
    }

    /// Shares the frames of the interface with the rings of a group: the one of that
    /// number, or a new one. Returns its number.
    pub(super) fn join(&self, group: Option<u16>) -> Result<u16, Failure> {
        let step = "sharing frames between rings";
        let kind = FANOUT_CBPF | if group.is_none() { FANOUT_UNIQUE_ID } else { 0 };
        let mut value = c_int::from(group.unwrap_or_default()) | kind << 16;
        self.socket.set(PACKET_FANOUT, &value, step)?;
        let told = self.socket.get(libc::SOL_PACKET, PACKET_FANOUT, &mut value);
        told.map_err(|error| Failure { step, error })?;
        // The kind stands in the upper half.
        Ok(value as u16)
    }

    /// Deals the frames of the group out by what this program returns.
    pub(super) fn deal_by(&self, program: &[Instruction]) -> Result<(), Failure> {
        let step = "setting how frames are dealt out";
        self.socket.load(libc::SOL_PACKET, PACKET_FANOUT_DATA, program, step)
    }

    /// The next block, if the kernel has handed it over.
    pub(super) fn take(&mut self) -> Option<Lease> {
        let lease = Mapping::lend(&self.mapping, self.next)?;
        self.next = (self.next + 1) % self.mapping.lent.len();
        Some(lease)
    }

    /// What the kernel counted since the last call.
    pub(super) fn counts(&self) -> KernelCounts {
        let mut counts = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        if self.socket.get(libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut counts).is_err() {
            return KernelCounts::default();
        }
        KernelCounts {
            frames: counts.tp_packets.into(),
            lost: counts.tp_drops.into(),
            freezes: counts.tp_freeze_q_cnt.into(),
        }
    }

    /// The error that waits at the socket, if one does.
    pub(super) fn error(&self) -> Option<io::Error> {
        let mut code: c_int = 0;
        match self.socket.get(libc::SOL_SOCKET, libc::SO_ERROR, &mut code) {
            Ok(()) if code == 0 => None,
            Ok(()) => Some(io::Error::from_raw_os_error(code)),
            Err(error) => Some(error),
        }
    }

    /// The system's number of the interface.
    pub(super) fn index(&self) -> u32 {
        u32::try_from(self.socket.index).unwrap_or_default()
    }

    /// How full the ring is, in percent: blocks that are lent out, and those that wait.
    pub(super) fn filled(&self) -> usize {
        let (len, lent) = (self.len(), self.lent());
        // Blocks that wait follow on one another; few are looked at to count them.
        let (mut waiting, mut most) = (0, len - lent.min(len));
        while waiting < most {
            let middle = waiting + (most - waiting).div_ceil(2);
            if self.mapping.is_ready((self.next + middle - 1) % len) {
                waiting = middle;
            } else {
                most = middle - 1;
            }
        }
        (lent + waiting) * 100 / len.max(1)
    }

    /// Blocks of the ring.
    pub(super) fn len(&self) -> usize {
        self.mapping.lent.len()
    }

    /// Blocks that are lent out.
    pub(super) fn lent(&self) -> usize {
        self.mapping.lent.iter().filter(|lent| lent.load(Ordering::Relaxed)).count()
    }
}

impl AsFd for Ring {
    /// Readable when a block may be ready.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.fd.as_fd()
    }
}

/// The ring's memory.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    block_size: usize,
    /// By block: whether a lease of it is out. Nobody but the lease reads or
    /// writes that block then.
    lent: Box<[AtomicBool]>,
}

// SAFETY: the memory is shared with the kernel and bound to no thread. This side
// reaches it through atomics (the status words) and through leases, of which there
// is at most one for each block.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(fd: RawFd, geometry: Geometry) -> Result<Self, Failure> {
        let (block_size, blocks) = (geometry.block_size as usize, geometry.blocks as usize);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, at an address of the kernel's choice, of the ring
        // that this descriptor was just given with exactly this size.
        let start = unsafe {
            libc::mmap(ptr::null_mut(), block_size * blocks, access, libc::MAP_SHARED, fd, 0)
        };
        let step = "mapping the ring";
        if start == libc::MAP_FAILED {
            return Err(Failure { step, error: io::Error::last_os_error() });
        }
        let Some(start) = NonNull::new(start.cast()) else {
            return Err(Failure { step, error: io::ErrorKind::InvalidData.into() });
        };
        let lent = (0..blocks).map(|_| AtomicBool::new(false)).collect();
        Ok(Self { start, block_size, lent })
    }

    /// Lends block `index` out, if the kernel has handed it over and it is not out
    /// already. Called only by the one ring of this mapping.
    fn lend(this: &Arc<Self>, index: usize) -> Option<Lease> {
        let lent = this.lent.get(index)?;
        if lent.load(Ordering::Acquire) {
            return None;
        }
        // Acquire: what the kernel wrote before it handed the block over is seen.
        let status = this.status(index)?.load(Ordering::Acquire);
        if status & libc::TP_STATUS_USER == 0 {
            return None;
        }
        lent.store(true, Ordering::Relaxed);
        Some(Lease { mapping: Arc::clone(this), index })
    }

    /// Whether the kernel has handed block `index` over, and nobody has it. Called only
    /// by the one ring of this mapping.
    fn is_ready(&self, index: usize) -> bool {
        // The status of a block that is out is its lease's.
        if self.lent.get(index).is_none_or(|lent| lent.load(Ordering::Acquire)) {
            return false;
        }
        let status = self.status(index).map(|status| status.load(Ordering::Relaxed));
        status.is_some_and(|status| status & libc::TP_STATUS_USER != 0)
    }

    fn block(&self, index: usize) -> Option<NonNull<u8>> {
        if index >= self.lent.len() {
            return None;
        }
        // SAFETY: the mapping has `lent.len()` blocks, so the sum lies within it.
        Some(unsafe { self.start.add(index * self.block_size) })
    }

    fn status(&self, index: usize) -> Option<&AtomicU32> {
        let block = self.block(index)?;
        // SAFETY: the word lies within the block, which is aligned to pages, at a
        // multiple of four; it is mapped for as long as `self` is, and while no
        // lease is out it is reached through atomics only.
        Some(unsafe { AtomicU32::from_ptr(block.add(STATUS).as_ptr().cast()) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let len = self.block_size * self.lent.len();
        // SAFETY: the mapping was made with this start and length. Rings and leases
        // hold it by reference count, so none is left.
        unsafe { libc::munmap(self.start.as_ptr().cast::<c_void>(), len) };
    }
}

/// A block that the kernel handed over. Goes back to it when dropped.
#[derive(Debug)]
pub(in crate::capture) struct Lease {
    mapping: Arc<Mapping>,
    index: usize,
}

impl Deref for Lease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let Some(block) = self.mapping.block(self.index) else { return &[] };
        // SAFETY: `block_size` bytes from there are mapped and initialised. The kernel
        // leaves the block alone until its status is given back, which takes the
        // lease; there is no other lease of it, and this one is borrowed.
        unsafe { std::slice::from_raw_parts(block.as_ptr(), self.mapping.block_size) }
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut [u8] {
        let Some(block) = self.mapping.block(self.index) else { return &mut [] };
        // SAFETY: as for reading; and this lease is borrowed for writing, so no slice
        // of the block is about.
        unsafe { std::slice::from_raw_parts_mut(block.as_ptr(), self.mapping.block_size) }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Release: all reading is done before the kernel may write again.
        if let Some(status) = self.mapping.status(self.index) {
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        }
        if let Some(lent) = self.mapping.lent.get(self.index) {
            lent.store(false, Ordering::Release);
        }
    }
}

fn checked(result: c_int, step: &'static str) -> Result<(), Failure> {
    if result < 0 { Err(Failure { step, error: io::Error::last_os_error() }) } else { Ok(()) }
}

fn size_of_as_socklen<T>() -> socklen_t {
    socklen_t::try_from(size_of::<T>()).unwrap_or(socklen_t::MAX)
}
