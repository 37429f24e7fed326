//! Makes the seed corpus out of captures and signature files.
//!
//!     cargo run --release --manifest-path fuzz/Cargo.toml --example seeds
//!
//! Writes `fuzz/corpus/<target>/<source>-<count>`, replacing what is there. The
//! formats are those that the modules of the targets describe.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use mcpwatch::Engine;
use mcpwatch::capture::{Block, Fill, LinkType, PcapWriter, Precision, Reader, SourceId};
use mcpwatch::decode::{DecodeLimits, Decoder, TcpFlags, Transport};
use mcpwatch::findings::batch::BatchPolicy;
use mcpwatch::findings::sink::{self, Format};
use mcpwatch::findings::{Destination, Row};
use mcpwatch::flow::{CloseReason, FlowHandler, FlowHasher, FlowInfo, FlowLimits, FlowTable};
use mcpwatch::stream::http1::{Http1, Http1Limits, Progress, Protocol};
use mcpwatch::stream::{
    Direction, ExchangeId, ExchangeSink, Header, Interest, RequestHead, ResponseHead, find_header,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Bytes of a seed at most.
const MAX_SEED: usize = 4 << 10;
/// Seeds of a target from one source at most.
const MAX_PER_SOURCE: usize = 2;
/// Bytes of the seeds of a target at most.
const MAX_PER_TARGET: usize = 128 << 10;

fn main() -> Outcome<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut corpus = Corpus::default();
    let mut captures: Vec<PathBuf> = fs::read_dir(root.join("pcaps"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    captures.retain(|path| {
        let extensions = ["pcap", "pcapng", "gz", "zst"];
        path.extension().is_some_and(|found| extensions.iter().any(|known| found == *known))
    });
    // The small ones first: they differ more for their size.
    captures.sort_by_cached_key(|path| {
        (fs::metadata(path).map_or(0, |metadata| metadata.len()), path.clone())
    });
    for path in &captures {
        from_capture(path, &mut corpus)?;
    }
    from_signatures(&root.join("signatures"), &mut corpus)?;
    from_findings(&root.join("pcaps/p-ts1-json.pcap"), &mut corpus)?;
    policies(&mut corpus);
    prefaces(&mut corpus);
    from_names(&mut corpus);
    field_blocks(&mut corpus);
    from_http2(&root.join("src/stream/http2/tests/recorded"), &mut corpus)?;
    compressed(&mut corpus)?;
    corpus.write(&root.join("fuzz/corpus"))
}

/// Seeds by target.
#[derive(Default)]
struct Corpus {
    targets: BTreeMap<&'static str, Vec<(String, Vec<u8>)>>,
    known: HashSet<(&'static str, Vec<u8>)>,
    counts: BTreeMap<(&'static str, String), usize>,
}

impl Corpus {
    /// Adds a seed, unless there are enough or it is there already.
    fn add(&mut self, target: &'static str, source: &str, seed: Vec<u8>) {
        if seed.is_empty() || seed.len() > 2 * MAX_SEED {
            return;
        }
        let seeds = self.targets.entry(target).or_default();
        let total: usize = seeds.iter().map(|(_, seed)| seed.len()).sum();
        let count = self.counts.entry((target, source.to_owned())).or_default();
        if total + seed.len() > MAX_PER_TARGET
            || *count == MAX_PER_SOURCE
            || !self.known.insert((target, seed.clone()))
        {
            return;
        }
        *count += 1;
        seeds.push((format!("{source}-{count}"), seed));
    }

    fn write(&self, folder: &Path) -> Outcome<()> {
        for (target, seeds) in &self.targets {
            let folder = folder.join(target);
            if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            fs::create_dir_all(&folder)?;
            for (name, seed) in seeds {
                fs::write(folder.join(name), seed)?;
            }
        }
        Ok(())
    }
}

fn from_capture(path: &Path, corpus: &mut Corpus) -> Outcome<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let source = name.split('.').next().unwrap_or_default();
    let bytes = fs::read(path)?;
    // What is compressed means nothing when it is cut.
    let compressed = name.ends_with("gz") || name.ends_with("zst");
    let cut = if compressed { bytes.len() } else { bytes.len().min(MAX_SEED / 2) };
    if !source.starts_with("p-") || source.contains("dsb") {
        corpus.add("capture", source, bytes[..cut].to_vec());
    }
    if bytes.len() <= 10 << 10 {
        corpus.add("replay", source, bytes);
    }
    let mut told = Told::default();
    read(path, &mut told)?;
    let log = fs::read(path.with_extension("keys.log")).unwrap_or_default();
    corpus.add("keylog", source, with_head(&[5], &log));
    if !told.datagrams.is_empty()
        && let Ok(len) = u16::try_from(log.len())
    {
        let keys = [&len.to_le_bytes(), &log[..]].concat();
        corpus.add("quic", source, with_head(&keys, &steps(&told.datagrams)));
    }
    corpus.add("frame", source, told.frames.clone());
    corpus.add("tcp", source, with_head(&[0, 7, 0, 0], &told.segments));
    corpus.add("tcp", source, with_head(&[1, 7, 0xff, 0xf0], &told.segments));
    corpus.add("engine", source, with_head(&[7, 3], &told.engine_steps()));
    for flow in told.flows.values() {
        from_flow(source, flow, &log, corpus);
    }
    Ok(())
}

fn with_head(head: &[u8], rest: &[u8]) -> Vec<u8> {
    [head, rest].concat()
}

/// What a capture holds.
#[derive(Default)]
struct Told {
    /// Frames as the target `frame` reads them.
    frames: Vec<u8>,
    /// Segments of the first flow as the target `tcp` reads them.
    segments: Vec<u8>,
    flows: BTreeMap<u64, Flow>,
    /// Flows with data in the order of the data.
    turns: Vec<(u64, Direction, Vec<u8>)>,
    datagrams: Vec<(Direction, Vec<u8>)>,
}

#[derive(Default)]
struct Flow {
    midstream: bool,
    turns: Vec<(Direction, Vec<u8>)>,
}

impl FlowHandler for Told {
    type State = u64;

    fn opened(&mut self, flow: &mut FlowInfo) -> u64 {
        let told = Flow { midstream: flow.is_midstream(), turns: Vec::new() };
        self.flows.insert(flow.id(), told);
        flow.id()
    }

    fn data(&mut self, id: &mut u64, _: &mut FlowInfo, direction: Direction, data: &[u8]) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        flow.turns.push((direction, data.to_vec()));
        self.turns.push((*id, direction, data.to_vec()));
    }

    fn gap(&mut self, _: &mut u64, _: &mut FlowInfo, _: Direction, _: u64) {}

    fn end(&mut self, _: &mut u64, _: &mut FlowInfo, _: Direction) {}

    fn datagram(
        &mut self,
        _: &mut u64,
        _: &mut FlowInfo,
        direction: Direction,
        data: &[u8],
        _: u32,
    ) {
        self.datagrams.push((direction, data.to_vec()));
    }

    fn closed(&mut self, _: u64, _: &FlowInfo, _: CloseReason) {}
}

fn read(path: &Path, told: &mut Told) -> Outcome<()> {
    const LINKS: [u32; 10] = [1, 101, 228, 229, 113, 276, 0, 108, 9, 12];
    let mut reader = Reader::open(path, SourceId(0))?;
    let mut decoder = Decoder::new(DecodeLimits::default());
    let mut table = FlowTable::new(FlowLimits::default(), FlowHasher::seeded(0));
    let mut block = Block::new();
    let mut starts: BTreeMap<(std::net::SocketAddr, std::net::SocketAddr), u32> = BTreeMap::new();
    let mut ordinal = 0;
    // What is truncated is read up to there.
    while let Ok(Fill::Block) = reader.fill(&mut block) {
        for frame in block.frames() {
            ordinal += 1;
            let link = LINKS.iter().position(|link| *link == frame.link.0).unwrap_or(0);
            if told.frames.len() + frame.data.len() < MAX_SEED / 2 {
                let snapped = u8::from(frame.original_len as usize > frame.data.len()) << 7;
                told.frames.extend([link as u8, snapped]);
                told.frames.extend((frame.data.len() as u16).to_le_bytes());
                told.frames.extend(frame.data);
            }
            let Some(packet) = decoder.decode(&frame).packet() else { continue };
            if let Transport::Tcp(header) = packet.transport
                && told.segments.len() < 1000
            {
                if header.flags.contains(TcpFlags::SYN) {
                    starts.insert((packet.src, packet.dst), header.seq.wrapping_add(1));
                } else if let Some(start) = starts.get(&(packet.src, packet.dst)) {
                    let to_client = packet.src.port() < packet.dst.port();
                    told.segments.push(u8::from(to_client));
                    told.segments.extend((header.seq.wrapping_sub(*start) as u16).to_le_bytes());
                    told.segments.extend((packet.payload.len() as u16).to_le_bytes());
                }
            }
            table.on_packet(ordinal, &packet, told);
        }
    }
    table.finish(told);
    Ok(())
}

impl Told {
    /// The first four flows with data as the target `engine` reads them.
    fn engine_steps(&self) -> Vec<u8> {
        let mut steps = Vec::new();
        let mut numbers: Vec<u64> = Vec::new();
        for (id, direction, data) in &self.turns {
            let number = match numbers.iter().position(|known| known == id) {
                Some(number) => number,
                None if numbers.len() == 4 => continue,
                None => {
                    numbers.push(*id);
                    if !self.flows.get(id).is_some_and(|flow| flow.midstream) {
                        steps.push((numbers.len() - 1) as u8 | 4 << 3);
                    }
                    numbers.len() - 1
                }
            };
            if steps.len() + data.len() > MAX_SEED {
                break;
            }
            steps.push(number as u8 | (*direction as u8) << 2);
            steps.extend((data.len() as u16).to_le_bytes());
            steps.extend(data);
        }
        steps
    }
}

/// Steps as `input.rs` reads them.
fn steps(turns: &[(Direction, Vec<u8>)]) -> Vec<u8> {
    let mut steps = Vec::new();
    for (direction, data) in turns {
        if steps.len() + data.len() > MAX_SEED {
            break;
        }
        steps.push(*direction as u8);
        steps.extend((data.len() as u16).to_le_bytes());
        steps.extend(data);
    }
    steps
}

fn from_flow(source: &str, flow: &Flow, log: &[u8], corpus: &mut Corpus) {
    let midstream = u8::from(flow.midstream);
    let first = flow.turns.iter().find(|(_, data)| !data.is_empty());
    if first.is_some_and(|(_, data)| data.starts_with(b"\x16\x03")) {
        let mut head = vec![0, 5];
        head.extend((log.len() as u16).to_le_bytes());
        head.extend(log);
        corpus.add("tls", source, with_head(&head, &steps(&flow.turns)));
        head[0] = 8;
        corpus.add("connection", source, with_head(&head, &steps(&flow.turns)));
        return;
    }
    if first.is_some_and(|(_, data)| data.starts_with(b"PRI * HTTP/2.0")) {
        corpus.add("http2", source, with_head(&[0, 5], &steps(&flow.turns)));
    }
    let http = first.is_some_and(|(_, data)| {
        let start = String::from_utf8_lossy(&data[..data.len().min(2048)]).into_owned();
        start.contains("HTTP/1.")
    });
    corpus.add("connection", source, with_head(&[midstream | 2, 5], &steps(&flow.turns)));
    if !http {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let own: Vec<_> =
                flow.turns.iter().filter(|turn| turn.0 == direction).cloned().collect();
            if own.first().is_some_and(|(_, data)| data.first().is_some_and(u8::is_ascii)) {
                corpus.add("raw", source, with_head(&[5], &steps(&own)));
            }
        }
        return;
    }
    corpus.add("http1", source, with_head(&[0, 5], &steps(&flow.turns)));
    let mut gather = Gather { source, corpus, bodies: BTreeMap::new() };
    let mut http = Http1::new(Http1Limits::default());
    let mut after: Option<Vec<(Direction, Vec<u8>)>> = None;
    for (direction, data) in &flow.turns {
        if let Some(after) = &mut after {
            after.push((*direction, data.clone()));
            continue;
        }
        if let Progress::Switched { consumed, switch } = http.feed(*direction, data, &mut gather) {
            if !matches!(switch.protocol, Protocol::WebSocket { .. }) {
                break;
            }
            let [client, server] = switch.held.map(|held| held.bytes);
            after = Some(vec![
                (Direction::ToServer, client),
                (Direction::ToClient, server),
                (*direction, data[consumed..].to_vec()),
            ]);
        }
    }
    http.close(&mut gather);
    if let Some(after) = after {
        let extensions = u8::from(source.contains("deflate"));
        corpus.add("websocket", source, with_head(&[extensions, 5], &steps(&after)));
    }
}

/// Makes seeds of the parts of exchanges.
struct Gather<'a> {
    source: &'a str,
    corpus: &'a mut Corpus,
    bodies: BTreeMap<(ExchangeId, Direction), (Option<u8>, Vec<u8>)>,
}

impl Gather<'_> {
    fn headers(&mut self, headers: &[Header<'_>]) {
        for name in ["mcp-session-id", "content-type", "user-agent"] {
            if let Some(value) = find_header(headers, name) {
                self.corpus.add("uri", self.source, value.to_vec());
            }
        }
    }

    fn open(&mut self, id: ExchangeId, direction: Direction, headers: &[Header<'_>]) -> Interest {
        let coding = find_header(headers, "content-encoding").and_then(|name| {
            [&b"gzip"[..], b"deflate", b"br", b"zstd"].iter().position(|known| *known == name)
        });
        self.bodies.insert((id, direction), (coding.map(|index| index as u8), Vec::new()));
        self.headers(headers);
        Interest::Wanted
    }
}

impl ExchangeSink for Gather<'_> {
    fn request(&mut self, id: ExchangeId, head: &RequestHead<'_>) -> Interest {
        self.corpus.add("uri", self.source, head.target.to_vec());
        self.corpus.add("matcher", self.source, with_head(&[0, 5], head.target));
        self.open(id, Direction::ToServer, head.headers)
    }

    fn response(&mut self, id: ExchangeId, head: &ResponseHead<'_>) -> Interest {
        self.open(id, Direction::ToClient, head.headers)
    }

    fn body(&mut self, id: ExchangeId, direction: Direction, data: &[u8]) -> Interest {
        if let Some((_, body)) = self.bodies.get_mut(&(id, direction)) {
            let room = MAX_SEED.saturating_sub(body.len()).min(data.len());
            body.extend_from_slice(&data[..room]);
        }
        Interest::Wanted
    }

    fn body_gap(&mut self, _: ExchangeId, _: Direction, _: u64) {}

    fn body_end(&mut self, id: ExchangeId, direction: Direction, _: bool) {
        let Some((coding, body)) = self.bodies.remove(&(id, direction)) else { return };
        let source = self.source;
        if let Some(coding) = coding {
            return self.corpus.add("coding", source, with_head(&[coding, 5], &body));
        }
        let blank = body.trim_ascii_start();
        if [&b"event:"[..], b"data:", b"id:", b":"].iter().any(|field| blank.starts_with(field)) {
            return self.corpus.add("sse", source, with_head(&[5], &steps(&[(direction, body)])));
        }
        if body.contains(&b'{') {
            self.corpus.add("jsonrpc", source, with_head(&[0, 5], &body));
            self.corpus.add("matcher", source, with_head(&[direction as u8, 5], &body));
            if source.contains("utf") || source.contains("bom") || body.len() < 200 {
                self.corpus.add("encoding", source, with_head(&[0, 5], &body));
            }
        }
    }

    fn exchange_end(&mut self, _: ExchangeId) {}
}

/// Each signature by itself.
fn from_signatures(folder: &Path, corpus: &mut Corpus) -> Outcome<()> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    for path in files {
        let text = fs::read_to_string(&path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut parts = text.split("[[signature]]");
        let head = parts.next().unwrap_or_default();
        for (index, part) in parts.enumerate() {
            let seed = format!("{head}[[signature]]{part}");
            corpus.add("signatures", &format!("{name}-{}", index + 1), seed.into_bytes());
        }
    }
    Ok(())
}

/// Findings in each format.
fn from_findings(capture: &Path, corpus: &mut Corpus) -> Outcome<()> {
    let mut worker = Engine::builder().build()?.worker();
    let mut rows: Vec<Row> = Vec::new();
    let mut reader = Reader::open(capture, SourceId(0))?;
    let mut block = Block::new();
    while reader.fill(&mut block)? == Fill::Block {
        for frame in block.frames() {
            worker.on_frame(&frame, &mut rows);
        }
    }
    worker.finish(&mut rows);
    rows.truncate(2);
    let folder = tempfile::tempdir()?;
    for format in [Format::JsonLines, Format::Arrows, Format::Arrow] {
        let path = folder.path().join(format!("{format:?}"));
        let destination = Destination::from_argument(&path);
        let mut sink = sink::open(destination, format, BatchPolicy::default())?;
        for row in &rows {
            sink.write(row)?;
        }
        sink.finish()?;
        let name = format!("{format:?}").to_lowercase();
        // These are larger than other seeds: a schema is.
        let seeds = corpus.targets.entry("findings").or_default();
        seeds.push((name, fs::read(path)?));
    }
    Ok(())
}

fn policies(corpus: &mut Corpus) {
    let classes = r#"version = 1
[portal]
hosts = ["portal.example.com"]
[sanctioned]
hosts = ["*.tools.example.com", "api.example.net/mcp", "odd.example.org:8443", "[2001:db8::1]"]
networks = ["192.0.2.0/28", "2001:db8::/32"]
[denied]
hosts = ["bad.tools.example.com"]
[internal]
networks = []
"#;
    let broken = "version = 2\n[sanctioned]\nhosts = [\"a..b\", \"*.*.x\", 7]\nnetworks = [\"1.2.3.4/33\"]\n";
    corpus.add("policy", "classes", classes.into());
    corpus.add("policy", "broken", broken.into());
    corpus.add("policy", "empty", b"version = 1\n".to_vec());
}

/// Connections behind PROXY protocol and SOCKS.
fn prefaces(corpus: &mut Corpus) {
    let request = b"POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}";
    let turns = |client: &[&[u8]], server: &[u8]| {
        steps(&[
            (Direction::ToServer, client[0].to_vec()),
            (Direction::ToClient, server.to_vec()),
            (Direction::ToServer, client[1..].concat()),
        ])
    };
    let rows = [
        turns(&[b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 80\r\n", request], b""),
        turns(
            &[
                b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x9c\x40\0\x50",
                request,
            ],
            b"",
        ),
        turns(&[b"\x04\x01\0\x50\0\0\0\x01me\0h.example\0", request], b"\0\x5a\0\0\0\0\0\0"),
        turns(
            &[b"\x05\x01\0\x05\x01\0\x03\x09h.example\0\x50", request],
            b"\x05\0\x05\0\0\x01\0\0\0\0\0\0",
        ),
    ];
    for (index, row) in rows.into_iter().enumerate() {
        corpus.add("connection", &format!("preface-{index}"), with_head(&[0, 5], &row));
    }
}

/// Queries and responses.
fn from_names(corpus: &mut Corpus) {
    let question = b"\x03mcp\x04test\0\0\x41\0\x01";
    let alias = b"\xc0\x0c\0\x05\0\x01\0\0\x01\x2c\0\x04\x01a\xc0\x10";
    let address = b"\xc0\x27\0\x01\0\x01\0\0\x01\x2c\0\x04\xc0\0\x02\x07";
    let service = b"\xc0\x0c\0\x41\0\x01\0\0\x01\x2c\0\x14\0\x01\0\0\x01\0\x03\x02h2\0\x04\0\x04\xc0\0\x02\x07";
    let message = |counts: [u8; 2], parts: &[&[u8]]| {
        let head = [0x12, 0x34, 0x81, 0x80, 0, counts[0], 0, counts[1], 0, 0, 0, 0];
        [&head[..], &parts.concat()].concat()
    };
    let rows = [
        message([1, 0], &[question]),
        message([1, 2], &[question, alias, address]),
        message([1, 1], &[question, service]),
    ];
    let framed = |row: &Vec<u8>| [&(row.len() as u16).to_be_bytes()[..], row].concat();
    let stream: Vec<u8> = rows.iter().flat_map(framed).collect();
    for row in rows.iter().chain([&stream]) {
        let steps = steps(&[(Direction::ToClient, row.clone())]);
        corpus.add("dns", &format!("made-{}", row.len()), with_head(&[5], &steps));
    }
}

/// A recorded conversation in HTTP/2.
fn from_http2(folder: &Path, corpus: &mut Corpus) -> Outcome<()> {
    let turns = [
        (Direction::ToServer, fs::read(folder.join("client.bin"))?),
        (Direction::ToClient, fs::read(folder.join("server.bin"))?),
    ];
    corpus.add("http2", "recorded", with_head(&[0, 5], &steps(&turns)));
    corpus.add("http2", "recorded-small", with_head(&[1, 5], &steps(&turns)));
    corpus.add("connection", "recorded-http2", with_head(&[2, 5], &steps(&turns)));
    Ok(())
}

/// The examples of RFC 7541 appendix C and RFC 9204 appendix B.
fn field_blocks(corpus: &mut Corpus) {
    const REQUESTS: [&[u8]; 3] = [
        b"\x82\x86\x84\x41\x0fwww.example.com",
        b"\x82\x86\x84\xbe\x58\x08no-cache",
        b"\x82\x87\x85\xbf\x40\x0acustom-key\x0ccustom-value",
    ];
    const HUFFMAN: &[u8] = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    const RESPONSES: [&[u8]; 2] = [
        b"\x48\x03302\x58\x07private\x61\x1dMon, 21 Oct 2013 20:13:21 GMT",
        b"\x3f\x45\x88\xc0\xbf",
    ];
    let piece =
        |first: u8, data: &[u8]| [&[first], &(data.len() as u16).to_le_bytes()[..], data].concat();
    let requests: Vec<u8> = REQUESTS.iter().flat_map(|block| piece(0, block)).collect();
    let responses: Vec<u8> = RESPONSES.iter().flat_map(|block| piece(1, block)).collect();
    for (source, blocks) in [
        ("rfc7541-requests", requests.clone()),
        ("rfc7541-huffman", piece(0, HUFFMAN)),
        ("rfc7541-responses", [requests, responses].concat()),
    ] {
        corpus.add("hpack", source, with_head(&[0, 5], &blocks));
        corpus.add("hpack", source, with_head(&[1, 5], &blocks));
    }
    let encoder = b"\x3f\xbd\x01\xc0\x0fwww.example.com\xc1\x0c/sample/path";
    let rows = [
        piece(0, b"\0\0\x51\x0b/index.html"),
        [piece(2, encoder), piece(0, b"\x03\x81\x10\x11")].concat(),
        [piece(0, b"\x03\x81\x10\x11"), piece(2, encoder)].concat(),
        [
            piece(2, encoder),
            piece(2, b"\x4acustom-key\x0ccustom-value\x02"),
            piece(0, b"\x05\0\x80\xc1\x81"),
        ]
        .concat(),
    ];
    for (number, pieces) in rows.iter().enumerate() {
        corpus.add("qpack", &format!("rfc9204-{number}"), with_head(&[0, 5], pieces));
        corpus.add("qpack", &format!("rfc9204-{number}"), with_head(&[1, 5], pieces));
    }
}

/// A message in every content coding, alone and stacked.
fn compressed(corpus: &mut Corpus) -> Outcome<()> {
    let plain =
        br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add"}}"#.repeat(3);
    let gzip = |plain: &[u8]| -> Outcome<Vec<u8>> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(plain)?;
        Ok(encoder.finish()?)
    };
    let zlib = |plain: &[u8]| -> Outcome<Vec<u8>> {
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(plain)?;
        Ok(encoder.finish()?)
    };
    let br = |plain: &[u8]| -> Outcome<Vec<u8>> {
        let mut out = Vec::new();
        brotli::BrotliCompress(
            &mut &plain[..],
            &mut out,
            &brotli::enc::BrotliEncoderParams::default(),
        )?;
        Ok(out)
    };
    let zst = |plain: &[u8]| -> Outcome<Vec<u8>> { Ok(zstd::encode_all(plain, 3)?) };
    let rows = [
        gzip(&plain)?,
        zlib(&plain)?,
        br(&plain)?,
        zst(&plain)?,
        br(&gzip(&plain)?)?,
        zlib(&zst(&plain)?)?,
        br(&br(&plain)?)?,
    ];
    for (coding, body) in rows.into_iter().enumerate() {
        corpus.add("coding", &format!("made-{coding}"), with_head(&[coding as u8, 5], &body));
    }
    let two = [gzip(&plain[..70])?, gzip(&plain[70..])?].concat();
    corpus.add("coding", "made-members", with_head(&[0, 5], &two));
    // A capture in which nothing is special, compressed by another program.
    let mut writer = PcapWriter::new(Vec::new(), LinkType::RAW, Precision::Micros)?;
    writer.frame(mcpwatch::time::Timestamp::from_parts(1, 0), &plain, plain.len() as u32)?;
    let capture = writer.finish()?;
    corpus.add("capture", "made-gzip", gzip(&capture)?);
    corpus.add("capture", "made-zstd", zst(&capture)?);
    Ok(())
}
