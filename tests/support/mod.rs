//! What the tests share: the recorded captures with their truth, running the
//! engine, comparing rows, and making and rewriting packets.

pub(crate) mod compare;
pub(crate) mod corpus;
#[cfg(target_os = "linux")]
pub(crate) mod flood;
pub(crate) mod http;
#[cfg(target_os = "linux")]
pub(crate) mod network;
pub(crate) mod packet;
#[cfg(target_os = "linux")]
pub(crate) mod pty;
pub(crate) mod random;
pub(crate) mod run;
pub(crate) mod scan;
pub(crate) mod variant;
pub(crate) mod wire;
