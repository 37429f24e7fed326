//! The live view of the sensor: findings, counters and the state of interfaces in, a
//! picture on the terminal out.
//!
//! A [`View`] has a thread of its own. It takes findings from a queue that the sensor
//! never waits for ([`feed`]), keeps what can be shown in a [`model`] of bounded size,
//! and a few times a second draws that ([`draw`]) on a [`screen`]. The [`terminal`] is
//! given back as it was found, however the program ends.

mod columns;
mod draw;
mod feed;
mod keys;
mod layout;
mod model;
mod notices;
mod rates;
mod screen;
#[cfg(unix)]
mod terminal;
#[cfg(not(unix))]
mod unsupported;
mod view;

pub(crate) use self::feed::Feed;
pub(crate) use self::notices::Notices;
pub(crate) use self::view::{Options, View};
