//! A network of its own: a namespace with two interfaces that lead to each other.
//! Captures are sent over one of them while the program watches the other.
//!
//! Making one takes the rights of an administrator and the programs `unshare` and
//! `ip`; where they are missing, tests say that they are skipped.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddrV4, TcpStream};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcpwatch::capture::{Block, Fill, LinkType, Reader, SourceId};
use pnet_datalink::{Channel, Config, DataLinkSender};
use rustix::net::sockopt::set_txtime;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketType, TxTimeFlags,
    sendmsg_addr, socket,
};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustix::time::ClockId;

use super::packet::on_network;
use super::run::{Run, mcpwatch};

/// The interface that is sent over.
pub(crate) const SENDER: &str = "tx0";

/// The interface that is watched.
pub(crate) const WATCHED: &str = "rx0";

const SET_UP: &str = "
    set -e
    echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
    ip link set lo up
    ip link add tx0 type veth peer name rx0
    ip link set tx0 mtu 65535 up
    ip link set rx0 mtu 65535 up
    echo ready
    exec cat
";

/// A namespace; ends with the process that holds it open.
#[derive(Debug)]
pub(crate) struct Network {
    holder: Child,
}

impl Network {
    /// Runs a test in a network of its own, or says why it is skipped.
    pub(crate) fn run(test: impl FnOnce(&Network) + Send) {
        let network = match Self::open() {
            Ok(network) => network,
            Err(why) => {
                let name = thread::current().name().unwrap_or_default().to_owned();
                // Not captured, as `eprintln!` would be.
                let _ = writeln!(std::io::stderr(), "{name}: skipped: {why}");
                return;
            }
        };
        // The thread that enters the namespace is one that ends with the test.
        thread::scope(|scope| {
            let entered = scope.spawn(|| {
                network.enter();
                test(&network);
            });
            if let Err(panic) = entered.join() {
                std::panic::resume_unwind(panic);
            }
        });
    }

    fn open() -> Result<Self, String> {
        let holder = Command::new("unshare")
            .args(["--net", "sh", "-c", SET_UP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut holder = holder.map_err(|error| format!("unshare: {error}"))?;
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        if line.trim_end() == "ready" {
            return Ok(Self { holder });
        }
        let mut why = String::new();
        holder.stderr.as_mut().unwrap().read_to_string(&mut why).unwrap();
        holder.wait().unwrap();
        Err(format!("no network namespace can be made: {}", why.trim_end()))
    }

    /// Lets the calling thread, and what it starts, see this network alone.
    pub(crate) fn enter(&self) {
        let file = File::open(format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Starts `mcpwatch sense` with the words of `line`, and waits until it
    /// watches.
    pub(crate) fn sense(&self, line: &str) -> Sensor {
        self.sense_saying(line, "watching")
    }

    /// Starts `mcpwatch sense` with the words of `line`, and waits until it says
    /// something.
    pub(crate) fn sense_saying(&self, line: &str, words: &str) -> Sensor {
        let arguments: Vec<_> = ["sense"].into_iter().chain(line.split_whitespace()).collect();
        let mut sensor = Sensor::start(&arguments);
        sensor.wait_for(words);
        sensor
    }

    /// Starts `mcpwatch sense` with a file system of its own in `folder`, mounted with
    /// these options, and waits until it watches.
    pub(crate) fn sense_on_disk(&self, folder: &Path, options: &str, line: &str) -> Sensor {
        let mut sensor = Sensor::spawn(on_disk(folder, options, line));
        sensor.wait_for("watching");
        sensor
    }

    /// Starts `mcpwatch sense` with the file system of `image` in `folder`, and waits until
    /// it watches.
    pub(crate) fn sense_on_image(&self, folder: &Path, image: &Path, line: &str) -> Sensor {
        // Nothing is written by itself while the test lasts.
        let mount = "mount -o loop,commit=300 \"$0\" \"$1\"";
        let mut sensor = Sensor::spawn(mounted(mount, image.as_os_str(), folder, line));
        sensor.wait_for("watching");
        sensor
    }

    /// Runs `mcpwatch sense` with a file system of its own in `folder`, mounted with
    /// these options, until it ends by itself.
    pub(crate) fn run_on_disk(&self, folder: &Path, options: &str, line: &str) -> Run {
        on_disk(folder, options, line).output().unwrap().into()
    }

    /// Starts `mcpwatch` with these arguments, and waits until it watches.
    #[cfg(feature = "libpcap")]
    pub(crate) fn sense_with(&self, arguments: &[&str]) -> Sensor {
        let mut sensor = Sensor::start(arguments);
        sensor.wait_for("watching");
        sensor
    }

    /// Sends all frames of a capture; how many there are.
    pub(crate) fn send(&self, capture: &Path) -> u64 {
        self.send_some(capture, 0..usize::MAX)
    }

    /// Sends some frames of a capture; how many there are.
    pub(crate) fn send_some(&self, capture: &Path, wanted: Range<usize>) -> u64 {
        self.send_as(capture, wanted, |data| data)
    }

    /// Sends all frames of a capture as if they came from another network, one of its
    /// own for each `index`.
    pub(crate) fn send_again(&self, capture: &Path, index: u8) {
        self.send_as(capture, 0..usize::MAX, |data| on_network(data, index));
    }

    fn send_as(
        &self,
        capture: &Path,
        wanted: Range<usize>,
        rewrite: impl Fn(Vec<u8>) -> Vec<u8>,
    ) -> u64 {
        let mut number = 0;
        let mut wire = Wire::open();
        let mut reader = Reader::open(capture, SourceId(0)).unwrap();
        let mut block = Block::new();
        while reader.fill(&mut block).unwrap() == Fill::Block {
            for frame in block.frames() {
                assert_eq!(frame.link, LinkType::ETHERNET, "{}", capture.display());
                if wanted.contains(&number) {
                    wire.send(&rewrite(frame.data.to_vec()));
                }
                number += 1;
            }
        }
        wire.sent
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// `mcpwatch sense` with the words of `line`, which sees a file system in memory where
/// `folder` is.
fn on_disk(folder: &Path, options: &str, line: &str) -> Command {
    mounted("mount -t tmpfs -o \"$0\" disk \"$1\"", options.as_ref(), folder, line)
}

/// `mcpwatch sense` with the words of `line`, which sees in `folder` what a command of the
/// shell mounts there.
fn mounted(mount: &str, what: &OsStr, folder: &Path, line: &str) -> Command {
    let inner = mcpwatch(["sense"].into_iter().chain(line.split_whitespace()));
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]).arg(format!("{mount} && shift && exec \"$@\""));
    command.arg(what).arg(folder).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(inner.get_current_dir().unwrap()).stdin(Stdio::null());
    command
}

/// Runs `ip` with the words of `line`.
pub(crate) fn ip(line: &str) {
    let status = Command::new("ip").args(line.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {line}");
}

/// Sends frames, not faster than the kernel's queue between the two interfaces
/// takes them.
pub(crate) struct Wire {
    sender: Box<dyn DataLinkSender>,
    pub(crate) sent: u64,
}

impl Wire {
    pub(crate) fn open() -> Self {
        let interfaces = pnet_datalink::interfaces();
        let interface = interfaces.iter().find(|interface| interface.name == SENDER).unwrap();
        let config = Config { write_buffer_size: 1 << 17, ..Config::default() };
        match pnet_datalink::channel(interface, config).unwrap() {
            Channel::Ethernet(sender, _) => Self { sender, sent: 0 },
            _ => panic!("no channel for frames"),
        }
    }

    pub(crate) fn send(&mut self, frame: &[u8]) {
        self.sender.send_to(frame, None).unwrap().unwrap();
        self.sent += 1;
        if self.sent.is_multiple_of(100) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Sends packets that the watched interface takes to have come at another time: the
/// kernel keeps the time that a sender gives with a packet (`SO_TXTIME`) on its way to the
/// other end, where it would be put on otherwise.
pub(crate) struct TimedWire {
    socket: OwnedFd,
    pub(crate) sent: u64,
}

impl TimedWire {
    pub(crate) fn open() -> Self {
        ip("link set tx0 arp off");
        ip("addr add 198.18.0.1/32 dev tx0");
        ip("route add default dev tx0");
        let raw = Some(rustix::net::ipproto::RAW);
        let socket = socket(AddressFamily::INET, SocketType::RAW, raw).unwrap();
        set_txtime(&socket, ClockId::Realtime, TxTimeFlags::empty()).unwrap();
        Self { socket, sent: 0 }
    }

    /// Sends the IPv4 packet in an Ethernet frame as if the clock were so many seconds
    /// ahead.
    pub(crate) fn send(&mut self, frame: &[u8], ahead: i64) {
        let packet = &frame[14..];
        let to: [u8; 4] = packet[16..20].try_into().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let time = i64::try_from(now.as_nanos()).unwrap() + ahead * 1_000_000_000;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(TxTime(1))];
        let mut with = SendAncillaryBuffer::new(&mut space);
        assert!(with.push(SendAncillaryMessage::TxTime(time.try_into().unwrap())));
        let to = SocketAddrV4::new(to.into(), 0);
        let packet = [IoSlice::new(packet)];
        sendmsg_addr(&self.socket, &to, &packet, &mut with, SendFlags::empty()).unwrap();
        self.sent += 1;
        if self.sent.is_multiple_of(100) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A running tcpdump, in the network that the calling thread has entered.
pub(crate) struct Tcpdump {
    child: Child,
    path: PathBuf,
}

impl Tcpdump {
    /// Starts to write what comes over an interface to a file.
    pub(crate) fn start(interface: &str, path: &Path) -> Self {
        let mut child = Command::new("tcpdump")
            .args(["-i", interface, "-s", "0", "-U", "-Z", "root", "-B", "65536", "-w"])
            .arg(path)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stderr = BufReader::new(child.stderr.as_mut().unwrap());
        while !line.contains("listening on") {
            line.clear();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "tcpdump does not start");
        }
        Self { child, path: path.to_owned() }
    }

    /// Ends it when it has written so many frames: what it has not read by then is lost.
    pub(crate) fn end_after(&mut self, frames: u64) {
        const TRIES: u32 = 300;
        for _ in 0..TRIES {
            if frames_in(&self.path) >= frames {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(id, Signal::INT).unwrap();
        self.child.wait().unwrap();
    }
}

/// Whole frames in a capture that is being written.
fn frames_in(path: &Path) -> u64 {
    let mut frames = 0;
    let Ok(mut reader) = Reader::open(path, SourceId(0)) else { return 0 };
    let mut block = Block::new();
    while let Ok(Fill::Block) = reader.fill(&mut block) {
        frames += block.frames().count() as u64;
    }
    frames
}

/// A running `mcpwatch sense`.
pub(crate) struct Sensor {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl Sensor {
    fn start(arguments: &[&str]) -> Self {
        Self::spawn(mcpwatch(arguments))
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stdout, stderr, said: String::new() }
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory that it has for itself: without the ring, which is the
    /// kernel's as well, and without the program's file.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// What it said on standard error so far.
    pub(crate) fn said(&self) -> &str {
        &self.said
    }

    /// The files as it sees them.
    pub(crate) fn root(&self) -> PathBuf {
        format!("/proc/{}/root", self.child.id()).into()
    }

    /// Ends it at once, as a lack of memory would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it says something with these words on standard error.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, words: &str) -> String {
        loop {
            let mut line = String::new();
            let len = self.stderr.read_line(&mut line).unwrap();
            self.said.push_str(&line);
            assert!(len > 0, "ended without saying '{words}': {}", self.said);
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Waits for the next line on standard output.
    pub(crate) fn next_line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stdout.read_line(&mut line).unwrap() > 0, "ended: {}", self.said);
        line
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(self) -> Run {
        // What was sent last may still be in the kernel's queue.
        thread::sleep(Duration::from_millis(100));
        self.signal(Signal::TERM);
        let Self { mut child, mut stdout, mut stderr, mut said } = self;
        let mut out = Vec::new();
        let reader = thread::spawn(move || {
            stdout.read_to_end(&mut out).unwrap();
            out
        });
        stderr.read_to_string(&mut said).unwrap();
        let stdout = reader.join().unwrap();
        Run { code: child.wait().unwrap().code(), stdout, stderr: said }
    }
}

/// Asks a running sensor over HTTP.
pub(crate) fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: sensor\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
