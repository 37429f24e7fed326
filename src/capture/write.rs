//! Writes captures: for generators, minimised captures and tests.

use std::io::{self, Write};

use super::{LinkType, SecretsKind};
use crate::time::Timestamp;

/// The most bytes of a frame that every reader accepts.
const SNAP_LENGTH: u32 = 256 << 10;

/// The unit of the times in a pcap file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Microseconds: what every tool reads.
    Micros,
    /// Nanoseconds.
    Nanos,
}

/// Writes a pcap file (little-endian). Wrap what is not in memory into a
/// [`std::io::BufWriter`].
#[derive(Debug)]
pub struct PcapWriter<W> {
    out: W,
    precision: Precision,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the file header.
    pub fn new(mut out: W, link: LinkType, precision: Precision) -> io::Result<Self> {
        let magic: u32 = match precision {
            Precision::Micros => 0xa1b2_c3d4,
            Precision::Nanos => 0xa1b2_3c4d,
        };
        let mut header = [0; 24];
        put(&mut header, 0, magic);
        put(&mut header, 4, 2 | 4 << 16);
        put(&mut header, 16, SNAP_LENGTH);
        put(&mut header, 20, link.0);
        out.write_all(&header)?;
        Ok(Self { out, precision })
    }

    /// Writes a frame that was `original_len` bytes long on the wire.
    ///
    /// Fails if the format cannot hold it: times before 1970 or after 2106, or
    /// more than 256 KiB.
    pub fn frame(&mut self, time: Timestamp, data: &[u8], original_len: u32) -> io::Result<()> {
        let nanos = time.as_nanos();
        let seconds = u32::try_from(nanos.div_euclid(1_000_000_000))
            .map_err(|_| invalid("a time that pcap cannot hold"))?;
        let fraction = nanos.rem_euclid(1_000_000_000) as u32;
        let mut header = [0; 16];
        put(&mut header, 0, seconds);
        put(
            &mut header,
            4,
            match self.precision {
                Precision::Micros => fraction / 1_000,
                Precision::Nanos => fraction,
            },
        );
        put(&mut header, 8, frame_len(data)?);
        put(&mut header, 12, original_len);
        self.out.write_all(&header)?;
        self.out.write_all(data)
    }

    /// Flushes, and gives the output back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Writes a pcapng file: one little-endian section with nanosecond times.
#[derive(Debug)]
pub struct PcapngWriter<W> {
    out: W,
    interfaces: u32,
}

impl<W: Write> PcapngWriter<W> {
    /// Writes the section header.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = Self { out, interfaces: 0 };
        let mut body = [0xff; 16];
        put(&mut body, 0, 0x1a2b_3c4d);
        put(&mut body, 4, 1);
        writer.block(0x0a0d_0d0a, &body, &[])?;
        Ok(writer)
    }

    /// Describes an interface, and gives its number.
    pub fn interface(&mut self, link: LinkType) -> io::Result<u32> {
        let number = self.interfaces;
        let mut body = [0; 20];
        put(&mut body, 0, link.0 & 0xffff);
        put(&mut body, 4, SNAP_LENGTH);
        // Option if_tsresol, one byte long: 10^-9 seconds. Then the end.
        put(&mut body, 8, 9 | 1 << 16);
        put(&mut body, 12, 9);
        self.block(1, &body, &[])?;
        self.interfaces += 1;
        Ok(number)
    }

    /// Writes a frame of an interface; fails as [`PcapWriter::frame`] does, and
    /// if there is no such interface.
    pub fn frame(
        &mut self,
        interface: u32,
        time: Timestamp,
        data: &[u8],
        original_len: u32,
    ) -> io::Result<()> {
        if interface >= self.interfaces {
            return Err(invalid("an interface that was not described"));
        }
        let nanos = u64::try_from(time.as_nanos())
            .map_err(|_| invalid("a time that pcapng cannot hold"))?;
        let mut body = [0; 20];
        put(&mut body, 0, interface);
        put(&mut body, 4, (nanos >> 32) as u32);
        put(&mut body, 8, nanos as u32);
        put(&mut body, 12, frame_len(data)?);
        put(&mut body, 16, original_len);
        self.block(6, &body, data)
    }

    /// Writes secrets, which should come before the frames they decrypt.
    pub fn secrets(&mut self, kind: SecretsKind, bytes: &[u8]) -> io::Result<()> {
        let mut body = [0; 8];
        put(&mut body, 0, kind.0);
        put(&mut body, 4, u32::try_from(bytes.len()).map_err(|_| invalid("secrets too long"))?);
        self.block(10, &body, bytes)
    }

    /// Flushes, and gives the output back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn block(&mut self, kind: u32, fields: &[u8], data: &[u8]) -> io::Result<()> {
        let padding = data.len().next_multiple_of(4) - data.len();
        let len = u32::try_from(12 + fields.len() + data.len() + padding)
            .map_err(|_| invalid("a block too long"))?;
        self.out.write_all(&kind.to_le_bytes())?;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(fields)?;
        self.out.write_all(data)?;
        self.out.write_all([0; 3].get(..padding).unwrap_or_default())?;
        self.out.write_all(&len.to_le_bytes())
    }
}

fn put(header: &mut [u8], at: usize, value: u32) {
    if let Some(field) = header.get_mut(at..at + 4) {
        field.copy_from_slice(&value.to_le_bytes());
    }
}

fn frame_len(data: &[u8]) -> io::Result<u32> {
    u32::try_from(data.len())
        .ok()
        .filter(|&len| len <= SNAP_LENGTH)
        .ok_or_else(|| invalid("a frame longer than 256 KiB"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use super::super::testing::read;
    use super::*;

    const TIME: Timestamp = Timestamp::from_nanos(1_700_000_000_123_456_789);

    #[test]
    fn what_is_written_is_read() {
        for (precision, nanos) in
            [(Precision::Micros, TIME.as_nanos() - 789), (Precision::Nanos, TIME.as_nanos())]
        {
            let mut writer = PcapWriter::new(Vec::new(), LinkType::LINUX_SLL2, precision).unwrap();
            writer.frame(TIME, b"whole", 5).unwrap();
            writer.frame(TIME, b"cut", 1_500).unwrap();
            let reading = read(&writer.finish().unwrap());
            assert_eq!(reading.error_text(), "");
            assert_eq!(reading.data(), [&b"whole"[..], b"cut"]);
            assert_eq!(reading.frames[0].nanos, nanos);
            assert_eq!(reading.frames[1].original_len, 1_500);
            assert_eq!(reading.frames[1].link, LinkType::LINUX_SLL2);
        }
    }

    #[test]
    fn pcapng_with_interfaces_and_secrets() {
        let mut writer = PcapngWriter::new(Vec::new()).unwrap();
        assert_eq!(writer.interface(LinkType::ETHERNET).unwrap(), 0);
        assert_eq!(writer.interface(LinkType::RAW).unwrap(), 1);
        writer.secrets(SecretsKind::TLS_KEY_LOG, b"key").unwrap();
        writer.frame(1, TIME, b"raw", 4).unwrap();
        writer.frame(0, TIME, b"ethernet", 8).unwrap();
        assert!(writer.frame(2, TIME, b"", 0).is_err());
        let reading = read(&writer.finish().unwrap());
        assert_eq!(reading.error_text(), "");
        assert_eq!(reading.data(), [&b"raw"[..], b"ethernet"]);
        assert_eq!(reading.frames[0].link, LinkType::RAW);
        assert_eq!(reading.frames[0].nanos, TIME.as_nanos());
        assert_eq!(reading.secrets[0].bytes, b"key");
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused_and_not_written() {
        let mut writer = PcapWriter::new(Vec::new(), LinkType::RAW, Precision::Nanos).unwrap();
        for nanos in [-1, i64::MIN, i64::MAX] {
            assert!(writer.frame(Timestamp::from_nanos(nanos), b"", 0).is_err());
        }
        let longest = vec![0; SNAP_LENGTH as usize];
        writer.frame(TIME, &longest, 1).unwrap();
        assert!(writer.frame(TIME, &[longest.as_slice(), b"x"].concat(), 1).is_err());
        let reading = read(&writer.finish().unwrap());
        assert_eq!(reading.error_text(), "");
        assert_eq!(reading.frames.len(), 1);
    }
}
