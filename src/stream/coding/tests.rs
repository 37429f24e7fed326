use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;
use crate::stream::testing::{Cut, Rng};

fn text() -> Vec<u8> {
    let mut rng = Rng::new(1);
    (0..2000)
        .flat_map(|number| format!("{{\"id\":{number},\"x\":{}}}\n", rng.next()).into_bytes())
        .collect()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn br(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 5, 22);
    encoder.write_all(plain).unwrap();
    drop(encoder);
    out
}

fn zst(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 3).unwrap()
}

/// Decodes the pieces of `input`; gives the output, the outcome, and whether
/// the compressed stream was whole.
fn decode_with(
    header: &str,
    input: &[u8],
    limits: CodingLimits,
    cut: Cut,
) -> (Vec<u8>, Result<ControlFlow<()>, DecodeError>, bool, CodingCounters) {
    let mut decoder = Decoder::for_header(header.as_bytes(), limits).unwrap();
    let mut counters = CodingCounters::default();
    let mut out = Vec::new();
    let mut outcome = Ok(ControlFlow::Continue(()));
    for piece in cut.pieces(input) {
        outcome = decoder.decode(piece, &mut counters, &mut |chunk| {
            assert!(!chunk.is_empty());
            out.extend_from_slice(chunk);
            ControlFlow::Continue(())
        });
    }
    let whole = decoder.finish(&mut counters);
    (out, outcome, whole, counters)
}

#[test]
fn codings_decode_however_they_are_cut() {
    let plain = text();
    let (first, second) = plain.split_at(plain.len() / 2);
    let named_gzip = {
        let mut encoder = flate2::GzBuilder::new()
            .filename("name")
            .comment("comment")
            .extra(vec![1, 2, 3])
            .write(Vec::new(), Compression::fast());
        encoder.write_all(&plain).unwrap();
        encoder.finish().unwrap()
    };
    let rows = [
        ("", plain.clone()),
        ("identity", plain.clone()),
        ("gzip", gzip(&plain)),
        ("X-GZip", gzip(&plain)),
        ("gzip", named_gzip),
        ("gzip", [gzip(first), gzip(b""), gzip(second)].concat()),
        ("gzip", [gzip(&plain), vec![0; 20]].concat()),
        ("deflate", zlib(&plain)),
        ("deflate", raw_deflate(&plain)),
        ("br", br(&plain)),
        ("zstd", zst(&plain)),
        ("zstd", [zst(first), zst(second)].concat()),
        ("gzip, br", br(&gzip(&plain))),
        ("zstd ,identity,, deflate", zlib(&zst(&plain))),
        ("gzip, gzip, gzip, gzip", gzip(&gzip(&gzip(&gzip(&plain))))),
    ];
    for (header, input) in rows {
        for cut in Cut::all() {
            let (out, outcome, whole, counters) =
                decode_with(header, &input, CodingLimits::default(), cut);
            assert_eq!(outcome, Ok(ControlFlow::Continue(())), "{header}, {cut:?}");
            assert!(out == plain, "{header}, {cut:?}: other bytes");
            assert!(whole, "{header}, {cut:?}");
            assert_eq!(counters.bytes_out, plain.len() as u64);
        }
    }
}

#[test]
fn a_flush_is_visible_at_once() {
    let event = b"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n";
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    let mut zst = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    let mut br = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
    let mut decoders = ["gzip", "deflate", "zstd", "br"]
        .map(|name| Decoder::for_header(name.as_bytes(), CodingLimits::default()).unwrap());
    let mut sent = [0; 4];
    for round in 0..50 {
        gzip.write_all(event).unwrap();
        gzip.flush().unwrap();
        zlib.write_all(event).unwrap();
        zlib.flush().unwrap();
        zst.write_all(event).unwrap();
        zst.flush().unwrap();
        br.write_all(event).unwrap();
        br.flush().unwrap();
        let streams = [gzip.get_ref(), zlib.get_ref(), zst.get_ref(), br.get_ref()];
        for (index, stream) in streams.into_iter().enumerate() {
            let mut out = Vec::new();
            let _ = decoders[index]
                .decode(&stream[sent[index]..], &mut CodingCounters::default(), &mut |chunk| {
                    out.extend_from_slice(chunk);
                    ControlFlow::Continue(())
                })
                .unwrap();
            assert_eq!(out, event, "coding {index}, round {round}");
            sent[index] = stream.len();
        }
    }
}

#[test]
fn bombs_hit_a_cap() {
    let zeros = vec![0; 8 << 20];
    let rows = [
        ("gzip", gzip(&zeros)),
        ("deflate", raw_deflate(&zeros)),
        ("br", br(&zeros)),
        ("zstd", zst(&zeros)),
        ("gzip, zstd", zst(&gzip(&zeros))),
    ];
    let ratio = CodingLimits { ratio: 100, ..CodingLimits::default() };
    let size = CodingLimits { output_bytes: 3 << 20, ratio: u64::MAX };
    for (header, input) in rows {
        let (out, outcome, whole, counters) = decode_with(header, &input, ratio, Cut::Whole);
        assert_eq!(outcome, Err(DecodeError::RatioCap), "{header}");
        // What the inner layer takes in counts too.
        assert!((1_000_000..6 << 20).contains(&out.len()), "{header}: {}", out.len());
        assert!(!whole);
        assert_eq!(counters.ratio_capped, 1);
        for cut in [Cut::Whole, Cut::Random(1)] {
            let (out, outcome, _, counters) = decode_with(header, &input, size, cut);
            assert_eq!(outcome, Err(DecodeError::OutputCap), "{header}");
            let expected =
                if header.contains(',') { 2 << 20..3 << 20 } else { 3 << 20..(3 << 20) + 1 };
            assert!(expected.contains(&out.len()), "{header}: {}", out.len());
            assert_eq!(counters.output_capped, 1);
        }
    }
}

#[test]
fn an_inner_bomb_that_decodes_to_little_is_bounded() {
    // The outer layer gives megabytes of empty gzip members.
    let member = gzip(b"");
    let inner: Vec<u8> = member.iter().copied().cycle().take(member.len() * 300_000).collect();
    let limits = CodingLimits { output_bytes: 4 << 20, ratio: u64::MAX };
    let (out, outcome, ..) = decode_with("gzip, zstd", &zst(&inner), limits, Cut::Whole);
    assert_eq!((out.len(), outcome), (0, Err(DecodeError::OutputCap)));
}

#[test]
fn a_large_zstd_window_is_refused() {
    // RFC 8878 section 3.1.1.1: magic number, no single segment, window
    // descriptor with exponent 14 (16 MiB), a raw block of one byte.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 14 << 3, 0x09, 0x00, 0x00, b'x'];
    let (_, outcome, ..) = decode_with("zstd", &frame, CodingLimits::default(), Cut::Whole);
    assert_eq!(outcome, Err(DecodeError::Corrupt(Coding::Zstd)));
    let mut smaller = frame;
    smaller[5] = 13 << 3;
    let (out, outcome, whole, _) =
        decode_with("zstd", &smaller, CodingLimits::default(), Cut::Bytes);
    assert_eq!((out, outcome, whole), (b"x".to_vec(), Ok(ControlFlow::Continue(())), true));
}

#[test]
fn damage_is_typed_and_final() {
    for (header, coding) in [
        ("gzip", Coding::Gzip),
        ("deflate", Coding::Deflate),
        ("br", Coding::Brotli),
        ("zstd", Coding::Zstd),
    ] {
        let (out, outcome, _, counters) =
            decode_with(header, b"\xff\xff{\"jsonrpc\"}", CodingLimits::default(), Cut::Bytes);
        assert_eq!(outcome, Err(DecodeError::Corrupt(coding)));
        assert_eq!((out.len(), counters.corrupt), (0, 1), "{header}");
    }
}

#[test]
fn a_cut_body_is_told() {
    let plain = text();
    for (header, input) in [
        ("gzip", gzip(&plain)),
        ("deflate", zlib(&plain)),
        ("br", br(&plain)),
        ("zstd", zst(&plain)),
    ] {
        let cut = &input[..input.len() / 2];
        let (out, outcome, whole, counters) =
            decode_with(header, cut, CodingLimits::default(), Cut::Whole);
        assert_eq!(outcome, Ok(ControlFlow::Continue(())), "{header}");
        assert!(plain.starts_with(&out), "{header}");
        assert!(!whole);
        assert_eq!(counters.truncated, 1);
    }
}

#[test]
fn a_gap_ends_all_but_the_identity() {
    let mut counters = CodingCounters::default();
    let mut decode = |header: &[u8]| {
        let mut decoder = Decoder::for_header(header, CodingLimits::default()).unwrap();
        decoder.gap(&mut counters);
        decoder.gap(&mut counters);
        decoder.decode(b"x", &mut counters, &mut |_| ControlFlow::Continue(()))
    };
    assert_eq!(decode(b"gzip"), Err(DecodeError::Lost));
    assert_eq!(decode(b"identity"), Ok(ControlFlow::Continue(())));
    assert_eq!(counters.lost, 1);
}

#[test]
fn the_consumer_can_stop() {
    let mut counters = CodingCounters::default();
    let mut decoder = Decoder::for_header(b"zstd", CodingLimits::default()).unwrap();
    let input = zst(&vec![7; 100_000]);
    let mut calls = 0;
    let mut output = |_: &[u8]| {
        calls += 1;
        ControlFlow::Break(())
    };
    assert_eq!(decoder.decode(&input, &mut counters, &mut output), Ok(ControlFlow::Break(())));
    assert_eq!(decoder.decode(&input, &mut counters, &mut output), Ok(ControlFlow::Break(())));
    assert_eq!(calls, 1);
}

#[test]
fn headers_name_the_layers() {
    for unknown in ["compress", "gzip;q=1", "aws-chunked", "gzip, gzip, gzip, gzip, gzip"] {
        let result = Decoder::for_header(unknown.as_bytes(), CodingLimits::default());
        assert_eq!(result.err(), Some(UnknownCoding), "{unknown}");
    }
    fn header<'a>(name: &'a str, value: &'a str) -> Header<'a> {
        Header { name: name.as_bytes(), value: value.as_bytes() }
    }
    let build = |headers: &[Header<'_>]| Decoder::for_headers(headers, CodingLimits::default());
    assert!(build(&[header("Host", "h")]).unwrap().is_none());
    assert!(build(&[header("Transfer-Encoding", "Chunked")]).unwrap().is_none());
    assert!(build(&[header("Content-Encoding", "identity")]).unwrap().is_none());
    assert!(build(&[header("Content-Encoding", "dcb")]).is_err());

    let headers = [
        header("Transfer-Encoding", "gzip, chunked"),
        header("content-encoding", "zstd"),
        header("content-encoding", "br"),
    ];
    let mut decoder = build(&headers).unwrap().unwrap();
    let mut out = Vec::new();
    let _ = decoder
        .decode(&gzip(&br(&zst(b"plain"))), &mut CodingCounters::default(), &mut |chunk| {
            out.extend_from_slice(chunk);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(out, b"plain");
}

#[test]
fn damaged_streams_never_panic() {
    let plain = text();
    let limits = CodingLimits { output_bytes: 1 << 20, ratio: 1000 };
    let streams = [
        ("gzip", gzip(&plain[..5000])),
        ("deflate", zlib(&plain[..5000])),
        ("br", br(&plain[..5000])),
        ("zstd", zst(&plain[..5000])),
    ];
    let mut rng = Rng::new(9);
    for round in 0..800 {
        let (header, stream) = &streams[round % streams.len()];
        let mut input = stream.clone();
        rng.mutate(&mut input);
        let whole = decode_with(header, &input, limits, Cut::Whole);
        for cut in [Cut::Bytes, Cut::Random(round as u64)] {
            let pieces = decode_with(header, &input, limits, cut);
            assert_eq!(whole.1, pieces.1, "{header}");
            // The last literals of a broken block of br may or may not be told.
            let told = whole.0.starts_with(&pieces.0) || pieces.0.starts_with(&whole.0);
            assert!(whole.0 == pieces.0 || *header == "br" && told, "{header}, {round}");
        }
    }
}

#[test]
fn decoders_move_between_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<Decoder>();
}

/// Inflaters are used again: what became of the body before makes no difference.
#[test]
fn a_body_does_not_depend_on_the_one_before() {
    let (text, limits) = (text(), CodingLimits::default());
    let good = [("gzip", gzip(&text)), ("deflate", zlib(&text)), ("deflate", raw_deflate(&text))];
    let mut rng = Rng::new(7);
    for round in 0..200 {
        let (header, bytes) = &good[round % good.len()];
        let mut before = bytes.clone();
        let (at, len) = (rng.below(before.len()), rng.below(before.len()));
        before[at] ^= 1 << (round % 8);
        before.truncate(len.max(16));
        let _ = decode_with(header, &before, limits, Cut::Whole);
        let (header, bytes) = &good[round / 3 % good.len()];
        let (out, outcome, whole, _) = decode_with(header, bytes, limits, Cut::Whole);
        assert_eq!((out == text, outcome, whole), (true, Ok(ControlFlow::Continue(())), true));
    }
}
