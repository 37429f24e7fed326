//! Tests of whole connections: real handshakes, cut, damaged and keyed in many
//! ways.

pub(super) mod certificates;
mod conversations;
mod early_data;
pub(super) mod hello;
mod keys;
mod losses;
mod metadata;
mod openssl;
mod peers;
mod versions;
mod watching;
