//! The bare walk: the least that any reader of packets does. Blocks of the file,
//! record headers, link, network and transport headers of each frame. It knows
//! nothing of mcpwatch, so that its pace is a measure for it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

const BLOCK: usize = 1 << 20;
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// What the walk saw. To print it keeps the compiler from leaving work out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    pub(crate) ipv6: u64,
    pub(crate) tcp: u64,
    pub(crate) udp: u64,
    pub(crate) payload: u64,
    pub(crate) malformed: u64,
}

/// Walks over a pcap file in the byte order of this machine.
pub(crate) fn walk(path: &Path) -> io::Result<Tally> {
    let mut tally = Tally::default();
    each_frame(path, |frame| {
        tally.add(frame);
        true
    })?;
    Ok(tally)
}

/// How many frames the first `bytes` bytes of the capture hold.
pub(crate) fn frames_within(path: &Path, bytes: u64) -> io::Result<Tally> {
    let mut tally = Tally::default();
    each_frame(path, |frame| {
        tally.frames += 1;
        tally.bytes += frame.len() as u64;
        tally.bytes < bytes
    })?;
    Ok(tally)
}

impl Tally {
    fn add(&mut self, frame: &[u8]) {
        self.frames += 1;
        self.bytes += frame.len() as u64;
        let Ok(packet) = SlicedPacket::from_ethernet(frame) else {
            self.malformed += 1;
            return;
        };
        self.ipv6 += u64::from(matches!(packet.net, Some(NetSlice::Ipv6(_))));
        match packet.transport {
            Some(TransportSlice::Tcp(tcp)) => {
                self.tcp += 1;
                self.payload += tcp.payload().len() as u64;
            }
            Some(TransportSlice::Udp(udp)) => {
                self.udp += 1;
                self.payload += udp.payload().len() as u64;
            }
            _ => {}
        }
    }
}

/// Hands every frame to `take`, until it says that it is enough.
fn each_frame(path: &Path, mut take: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut file = File::open(path)?;
    file.read_exact(&mut [0; FILE_HEADER])?;
    let mut block = vec![0; BLOCK];
    let mut filled = 0;
    loop {
        let read = file.read(&mut block[filled..])?;
        if read == 0 {
            return if filled == 0 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        filled += read;
        let mut at = 0;
        while let Some(header) = block[at..filled].first_chunk::<RECORD_HEADER>() {
            let len = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]) as usize;
            let end = at + RECORD_HEADER + len;
            if end > filled {
                break;
            }
            if !take(&block[at + RECORD_HEADER..end]) {
                return Ok(());
            }
            at = end;
        }
        block.copy_within(at..filled, 0);
        filled -= at;
    }
}
