//! Frame in, packet out.

mod packet;

pub use packet::{Packet, TcpFlags, TcpHeader, Transport, Tunnel, TunnelPath};
