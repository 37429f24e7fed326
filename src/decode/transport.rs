//! Transport headers: TCP (RFC 9293) and UDP (RFC 768).

use etherparse::err::tcp::HeaderSliceError;
use etherparse::{TcpHeaderSlice, UdpHeaderSlice};

use super::network::claimed;
use super::outcome::{DecodeCounters, Malformed, Skip};
use super::packet::{TcpFlags, TcpHeader, Transport};
use super::region::Region;

/// A transport header and what follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    pub(super) transport: Transport,
    pub(super) payload: Region<'a>,
}

/// Reads a TCP header with its options.
#[inline]
pub(super) fn tcp(region: Region<'_>) -> Result<Segment<'_>, Skip> {
    let header = TcpHeaderSlice::from_slice(region.captured()).map_err(|error| match error {
        HeaderSliceError::Len(error) => region.lacks(error.required_len),
        HeaderSliceError::Content(_) => Skip::Malformed(Malformed::Tcp),
    })?;
    let flags = header.slice().get(13).copied().unwrap_or_default();
    Ok(Segment {
        src_port: header.source_port(),
        dst_port: header.destination_port(),
        transport: Transport::Tcp(TcpHeader {
            seq: header.sequence_number(),
            ack: header.acknowledgment_number(),
            flags: TcpFlags(flags),
        }),
        payload: region.skip(header.slice().len())?,
    })
}

/// Reads a UDP header. A length of 0 is that of a jumbogram (RFC 2675), or of
/// segmentation offload.
#[inline]
pub(super) fn udp<'a>(
    region: Region<'a>,
    counters: &mut DecodeCounters,
) -> Result<Segment<'a>, Skip> {
    let header = UdpHeaderSlice::from_slice(region.captured())
        .map_err(|error| region.lacks(error.required_len))?;
    let header_len = header.slice().len();
    let region = match usize::from(header.length()) {
        0 => region,
        len if len < header_len => return Err(Skip::Malformed(Malformed::Udp)),
        len => claimed(region, len, counters),
    };
    Ok(Segment {
        src_port: header.source_port(),
        dst_port: header.destination_port(),
        transport: Transport::Udp,
        payload: region.skip(header_len)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn whole(bytes: &[u8]) -> Region<'_> {
        Region::new(bytes, bytes.len())
    }

    #[test]
    fn tcp_fields_are_read() {
        let bytes = samples::tcp(b"hello");
        let segment = tcp(whole(&bytes)).unwrap();
        assert_eq!((segment.src_port, segment.dst_port), (40000, 8000));
        assert_eq!(
            segment.transport,
            Transport::Tcp(TcpHeader { seq: 1, ack: 2, flags: TcpFlags(0x18) })
        );
        assert_eq!(segment.payload.captured(), b"hello");
    }

    #[test]
    fn a_tcp_header_has_to_be_there_with_its_options() {
        let mut bytes = samples::tcp(b"");
        assert_eq!(tcp(Region::new(&bytes[..31], 40)).unwrap_err(), Skip::SnappedHeader);
        assert_eq!(tcp(whole(&bytes[..31])).unwrap_err(), Skip::Malformed(Malformed::Truncated));
        assert_eq!(tcp(Region::new(&bytes[..19], 40)).unwrap_err(), Skip::SnappedHeader);
        bytes[12] = 0x40;
        assert_eq!(tcp(whole(&bytes)).unwrap_err(), Skip::Malformed(Malformed::Tcp));
    }

    #[test]
    fn the_udp_length_rules() {
        let read = |len: u8, wire: usize| {
            let mut bytes = samples::udp(1, 2, b"0123456789");
            bytes[5] = len;
            let mut counters = DecodeCounters::default();
            udp(Region::new(&bytes, wire), &mut counters)
                .map(|segment| (segment.payload.captured().len(), segment.payload.missing()))
                .map(|lengths| (lengths, counters.length_overruns))
        };
        assert_eq!(read(18, 18), Ok(((10, 0), 0)), "as it is");
        assert_eq!(read(12, 18), Ok(((4, 0), 0)), "trimmed");
        assert_eq!(read(0, 18), Ok(((10, 0), 0)), "jumbogram");
        assert_eq!(read(0, 28), Ok(((10, 10), 0)), "jumbogram, snapped");
        assert_eq!(read(28, 28), Ok(((10, 10), 0)), "snapped");
        assert_eq!(read(28, 18), Ok(((10, 10), 1)), "past the end");
        assert_eq!(read(7, 18), Err(Skip::Malformed(Malformed::Udp)), "shorter than the header");
    }
}
