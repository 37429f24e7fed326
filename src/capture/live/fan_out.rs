//! Rings of one interface as a group in which the kernel deals frames out (PACKET_FANOUT),
//! and the program by which it does: that of a [`Spread`], as far as the kernel can see.
//!
//! TCP over IPv4 and IPv6, behind one or two VLAN tags, comes into the ring of the worker
//! to whom the flow belongs, from both sides. Tunnels over UDP are dealt out by their outer
//! ports, other UDP goes to the first worker, whose it is; the fragments of a packet and
//! what is in other tunnels go by their outer addresses, so that they stay together; the
//! rest goes to the first worker. Whoever gets what is not his hands it over.

use std::io;
use std::sync::{Mutex, PoisonError};

use super::ring::{Failure, Ring};
use crate::capture::Spread;
use crate::capture::filter::{Instruction, op};

/// Where the network header stands for a load (`SKF_NET_OFF`, linux/filter.h).
const NET: u32 = 0xfff0_0000;

/// Where the protocol of the frame does (`SKF_AD_OFF + SKF_AD_PROTOCOL`).
const PROTOCOL: u32 = 0xffff_f000;

/// Ports to which tunnels usually go: VXLAN, Geneve, GTP-U, and VXLAN as Linux had it first.
const TUNNELS: [u32; 4] = [4789, 6081, 2152, 8472];

/// The rings of an interface, one for each worker.
#[derive(Debug)]
pub(super) struct FanOut {
    program: Vec<Instruction>,
    group: Mutex<Option<Group>>,
}

/// A group of rings in the kernel.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// The system's number of the interface.
    interface: u32,
    id: u16,
    /// How many have joined it.
    members: usize,
}

impl FanOut {
    pub(super) fn new(spread: &Spread) -> Self {
        Self { program: program(spread), group: Mutex::default() }
    }

    /// Makes the ring of a worker, which receives already, one of the group; that of the
    /// first worker founds it. The kernel deals out by the order in which they join, so
    /// each waits for those before it.
    pub(super) fn join(&self, ring: &Ring, worker: usize) -> Result<(), Failure> {
        let mut group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        let known = group.filter(|group| group.interface == ring.index());
        let joined = match known {
            Some(Group { id, members, .. }) if members >= worker => {
                ring.join(Some(id)).map(|id| (id, members + 1))
            }
            None if worker == 0 => ring.join(None).map(|id| (id, 1)),
            _ => {
                let step = "waiting for the rings of other workers";
                Err(Failure { step, error: io::ErrorKind::WouldBlock.into() })
            }
        };
        let (id, members) = match joined {
            // The group of that number is one of an interface that is gone.
            Err(Failure { error, .. })
                if worker == 0 && error.kind() == io::ErrorKind::InvalidInput =>
            {
                (ring.join(None)?, 1)
            }
            joined => joined?,
        };
        *group = Some(Group { interface: ring.index(), id, members });
        ring.deal_by(&self.program)
    }
}

/// Returns the sum of [`Spread::worker`], of which the kernel takes the remainder.
fn program(spread: &Spread) -> Vec<Instruction> {
    /// Scratch memory: the sum of addresses, what is before the IP header, the transport
    /// protocol, the sum of ports.
    const ADDRESSES: u32 = 0;
    const BEFORE: u32 = 1;
    const TRANSPORT: u32 = 2;
    const PORTS: u32 = 3;
    let [by_address, by_port] = spread.factors();
    let mut code = Assembler::default();

    code.put(op::LOAD_WORD_AT, PROTOCOL);
    code.put(op::SET_X, 0);
    code.jump_if_equal(0x8100, Label::Tagged);
    code.jump_if_equal(0x88a8, Label::Tagged);
    code.jump(Label::Untagged);
    code.place(Label::Tagged);
    code.put(op::LOAD_HALF_AT, NET + 2);
    code.put(op::SET_X, 4);
    code.place(Label::Untagged);
    code.put(op::STORE_X, BEFORE);
    code.jump_if_equal(0x0800, Label::Ipv4);
    code.jump_if_equal(0x86dd, Label::Ipv6);
    code.put(op::RETURN, 0);

    code.place(Label::Ipv4);
    code.put(op::LOAD_WORD_FROM_X, NET + 12);
    code.put(op::STORE, ADDRESSES);
    code.put(op::LOAD_WORD_FROM_X, NET + 16);
    code.put(op::LOAD_X, ADDRESSES);
    code.put(op::ADD_X, 0);
    code.put(op::STORE, ADDRESSES);
    code.put(op::LOAD_X, BEFORE);
    code.put(op::LOAD_HALF_FROM_X, NET + 6);
    code.jump_if_any(0x3fff, Label::WithoutPorts);
    code.put(op::LOAD_BYTE_FROM_X, NET + 9);
    code.put(op::STORE, TRANSPORT);
    code.put(op::LOAD_BYTE_FROM_X, NET);
    code.put(op::AND, 0x0f);
    code.put(op::SHIFT_LEFT, 2);
    code.jump(Label::Transport);

    code.place(Label::Ipv6);
    code.put(op::LOAD_BYTE_FROM_X, NET + 6);
    code.put(op::STORE, TRANSPORT);
    code.put(op::LOAD_WORD_FROM_X, NET + 8);
    for word in 1..8 {
        code.put(op::STORE, ADDRESSES);
        code.put(op::LOAD_WORD_FROM_X, NET + 8 + 4 * word);
        code.put(op::LOAD_X, ADDRESSES);
        code.put(op::ADD_X, 0);
        code.put(op::LOAD_X, BEFORE);
    }
    code.put(op::STORE, ADDRESSES);
    code.put(op::SET, 40);

    code.place(Label::Transport);
    code.put(op::ADD_X, 0);
    code.put(op::TO_X, 0);
    code.put(op::LOAD, TRANSPORT);
    code.jump_if_equal(6, Label::WithPorts);
    code.jump_if_equal(17, Label::Udp);
    code.jump(Label::WithoutPorts);

    code.place(Label::Udp);
    for side in [2, 0] {
        code.put(op::LOAD_HALF_FROM_X, NET + side);
        for port in TUNNELS {
            code.jump_if_equal(port, Label::WithPorts);
        }
    }
    code.put(op::RETURN, 0);

    code.place(Label::WithPorts);
    code.put(op::LOAD_HALF_FROM_X, NET);
    code.put(op::STORE, PORTS);
    code.put(op::LOAD_HALF_FROM_X, NET + 2);
    code.put(op::LOAD_X, PORTS);
    code.put(op::ADD_X, 0);
    code.put(op::MULTIPLY, by_port);
    code.jump(Label::Sum);
    code.place(Label::WithoutPorts);
    code.put(op::SET, 0);
    code.place(Label::Sum);
    code.put(op::TO_X, 0);
    code.put(op::LOAD, ADDRESSES);
    code.put(op::MULTIPLY, by_address);
    code.put(op::ADD_X, 0);
    code.put(op::SHIFT_RIGHT, 16);
    code.put(op::RETURN_SUM, 0);
    code.finish()
}

/// Places in the program that are jumped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    Tagged,
    Untagged,
    Ipv4,
    Ipv6,
    Transport,
    Udp,
    WithPorts,
    WithoutPorts,
    Sum,
}

/// Puts instructions one after the other; jumps go forward only.
#[derive(Debug, Default)]
struct Assembler {
    code: Vec<Instruction>,
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    fn put(&mut self, code: u16, k: u32) {
        self.code.push(Instruction { code, jt: 0, jf: 0, k });
    }

    fn jump(&mut self, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.put(op::JUMP, 0);
    }

    fn jump_if_equal(&mut self, value: u32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.put(op::JUMP_IF_EQUAL, value);
    }

    /// Jumps if any of these bits is set.
    fn jump_if_any(&mut self, bits: u32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.put(op::JUMP_IF_ANY, bits);
    }

    /// What jumps to `label` comes here.
    fn place(&mut self, label: Label) {
        let here = self.code.len();
        for (from, _) in self.jumps.extract_if(.., |(_, to)| *to == label) {
            let Some(jump) = self.code.get_mut(from) else { continue };
            // A program is short; the kernel would refuse one that jumps out of itself.
            let over = u8::try_from(here - from - 1).unwrap_or(u8::MAX);
            match jump.code {
                op::JUMP => jump.k = over.into(),
                _ => jump.jt = over,
            }
        }
    }

    fn finish(self) -> Vec<Instruction> {
        self.code
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::num::NonZeroUsize;

    use super::*;

    /// Runs the program on a frame, which begins with its network header.
    fn run(program: &[Instruction], protocol: u16, bytes: &[u8]) -> u32 {
        let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [0_u32; 16], 0);
        let load = |offset: u32, len: usize| -> Option<u32> {
            if offset == PROTOCOL {
                return Some(protocol.into());
            }
            let start = offset.wrapping_sub(NET) as usize;
            let bytes = bytes.get(start..start + len)?;
            Some(bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
        };
        loop {
            let Instruction { code, jt, k, .. } = program[at];
            at += 1;
            let loaded = match code {
                op::LOAD_WORD_AT => Some(load(k, 4)),
                op::LOAD_HALF_AT => Some(load(k, 2)),
                op::LOAD_WORD_FROM_X => Some(load(k.wrapping_add(x), 4)),
                op::LOAD_HALF_FROM_X => Some(load(k.wrapping_add(x), 2)),
                op::LOAD_BYTE_FROM_X => Some(load(k.wrapping_add(x), 1)),
                _ => None,
            };
            match loaded {
                Some(Some(value)) => a = value,
                // As in the kernel.
                Some(None) => return 0,
                None => match code {
                    op::LOAD => a = memory[k as usize],
                    op::LOAD_X => x = memory[k as usize],
                    op::SET => a = k,
                    op::SET_X => x = k,
                    op::STORE => memory[k as usize] = a,
                    op::STORE_X => memory[k as usize] = x,
                    op::ADD_X => a = a.wrapping_add(x),
                    op::MULTIPLY => a = a.wrapping_mul(k),
                    op::AND => a &= k,
                    op::SHIFT_LEFT => a <<= k,
                    op::SHIFT_RIGHT => a >>= k,
                    op::TO_X => x = a,
                    op::JUMP => at += k as usize,
                    op::JUMP_IF_EQUAL if a == k => at += usize::from(jt),
                    op::JUMP_IF_ANY if a & k != 0 => at += usize::from(jt),
                    op::JUMP_IF_EQUAL | op::JUMP_IF_ANY => {}
                    op::RETURN => return k,
                    op::RETURN_SUM => return a,
                    other => panic!("{other:#x}"),
                },
            }
        }
    }

    /// An IP packet, with a header of IPv4 that has options, up to the ports.
    fn packet(from: SocketAddr, to: SocketAddr, transport: u8, fragment: u16) -> (u16, Vec<u8>) {
        let (mut bytes, protocol) = match (from, to) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) => {
                let mut bytes = vec![0x46, 0, 0, 0, 0, 0];
                bytes.extend(fragment.to_be_bytes());
                bytes.extend([64, transport, 0, 0]);
                bytes.extend(from.ip().octets());
                bytes.extend(to.ip().octets());
                bytes.extend([1; 4]);
                (bytes, 0x0800)
            }
            (SocketAddr::V6(from), SocketAddr::V6(to)) => {
                let mut bytes = vec![0x60, 0, 0, 0, 0, 0, transport, 64];
                bytes.extend(from.ip().octets());
                bytes.extend(to.ip().octets());
                (bytes, 0x86dd)
            }
            other => panic!("{other:?}"),
        };
        bytes.extend(from.port().to_be_bytes());
        bytes.extend(to.port().to_be_bytes());
        (protocol, bytes)
    }

    fn spread() -> Spread {
        Spread::random(NonZeroUsize::new(7).unwrap())
    }

    fn pairs() -> impl Iterator<Item = (SocketAddr, SocketAddr)> {
        (1..200_u16).flat_map(|n| {
            [
                (format!("10.{n}.0.1:{}", 300 * n), "192.168.7.9:443"),
                (format!("[2001:db8:{n}::{n}]:{}", 77 * n), "[fe80::1:2:3:{n}]:8080"),
            ]
            .map(|(from, to)| (from.parse().unwrap(), to.replace("{n}", "4").parse().unwrap()))
        })
    }

    #[test]
    fn the_kernel_deals_tcp_to_the_worker_it_belongs_to() {
        let spread = spread();
        let program = program(&spread);
        assert!(program.len() < 128, "{}", program.len());
        for (client, server) in pairs() {
            for (from, to) in [(client, server), (server, client)] {
                let (protocol, bytes) = packet(from, to, 6, 0x4000);
                let worker = run(&program, protocol, &bytes) as usize % 7;
                assert_eq!(worker, spread.worker(client, server), "{from} {to}");
                // The kernel has taken the outer one of two tags out.
                let inner = [&[0, 5], protocol.to_be_bytes().as_slice(), &bytes].concat();
                for tag in [0x8100, 0x88a8] {
                    assert_eq!(run(&program, tag, &inner) as usize % 7, worker);
                }
            }
        }
    }

    #[test]
    fn what_has_no_ports_to_see_stays_together() {
        let program = program(&spread());
        for (client, server) in pairs().filter(|(client, _)| client.is_ipv4()) {
            let dealt = |from, to, transport, fragment| {
                let (protocol, bytes) = packet(from, to, transport, fragment);
                run(&program, protocol, &bytes)
            };
            let first = dealt(client, server, 6, 0x2000);
            let last = dealt("10.0.0.1:1".parse().unwrap(), server, 6, 0x0123);
            assert_eq!(first, dealt(server, client, 6, 0x0123));
            assert_eq!(first, dealt(client, server, 17, 0x2123));
            assert_eq!(first, dealt(client, server, 47, 0));
            assert_ne!(first, last);
        }
    }

    #[test]
    fn udp_goes_to_the_first_worker_but_for_tunnels() {
        let program = program(&spread());
        let mut tunnels = std::collections::HashSet::new();
        for (client, server) in pairs() {
            let (protocol, bytes) = packet(client, server, 17, 0);
            assert_eq!(run(&program, protocol, &bytes), 0);
            let (protocol, bytes) = packet(client, SocketAddr::new(server.ip(), 4789), 17, 0);
            tunnels.insert(run(&program, protocol, &bytes) % 7);
        }
        assert_eq!(tunnels.len(), 7);
    }

    #[test]
    fn what_is_cut_or_no_ip_goes_to_the_first_worker() {
        let program = program(&spread());
        let (client, server) = pairs().next().unwrap();
        let (protocol, bytes) = packet(client, server, 6, 0);
        for len in 0..bytes.len() - 4 {
            assert_eq!(run(&program, protocol, &bytes[..len]), 0, "{len}");
        }
        assert_eq!(run(&program, 0x0806, &bytes), 0);
        assert_eq!(run(&program, 0x8847, &bytes), 0);
    }
}
