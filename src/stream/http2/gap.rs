//! Where bytes are missing, and where they end.

use super::frame::Plausible;
use super::resync::Resync;
use super::streams::Side;
use super::{DataRest, Direction, ExchangeSink, Http2, Http2Sink, State, Trust};

impl Http2 {
    /// Handles a gap according to what was expected in its place.
    pub(super) fn lose<S>(&mut self, direction: Direction, len: u64, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        while self.finish_search(direction, sink) {}
        match self.half(direction).state {
            State::Data(frame) => match rest_after(frame.len, frame.padding, len) {
                Some((rest, padding)) => {
                    let lost = frame.len - rest;
                    let frame = DataRest { len: rest, padding, ..frame };
                    self.lose_data(direction, frame, lost, sink);
                }
                None => self.lose_framing(direction, len, sink),
            },
            State::Fragment(frame) => match rest_after(frame.len, frame.padding, len) {
                Some((rest, padding)) => {
                    self.cut_block(direction, sink);
                    self.half(direction).lossy = true;
                    self.half(direction).state = State::skip(rest + u32::from(padding));
                }
                None => self.lose_framing(direction, len, sink),
            },
            State::Skip(left) => match rest_after(left, 0, len) {
                Some((rest, _)) => self.half(direction).state = State::skip(rest),
                None => self.lose_framing(direction, len, sink),
            },
            State::Preface(_) | State::Header | State::Prefix(_) => {
                self.lose_framing(direction, len, sink);
            }
            State::Lost(_) => {
                let half = self.half(direction);
                half.leap = half.leap.saturating_add(Plausible::leap_of(len));
            }
            State::Ended => {}
        }
    }

    fn lose_data<S>(&mut self, direction: Direction, frame: DataRest, lost: u32, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        let exchange = self.exchange(frame.stream);
        let stream = self.streams.get_mut(frame.stream);
        let is_open = stream.is_some_and(|stream| matches!(stream.side(direction), Side::Open(_)));
        if lost > 0 && is_open {
            sink.body_gap(exchange, direction, lost.into());
        }
        self.after_data(direction, frame, sink);
    }

    fn lose_framing<S>(&mut self, direction: Direction, len: u64, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        self.counters.framing_losses += 1;
        let half = self.half(direction);
        let partial = match half.state {
            State::Preface(matched) => matched,
            _ => half.filled,
        };
        half.leap = Plausible::leap_of(len);
        self.counters.skipped_bytes += u64::from(partial);
        self.unframe(direction, sink);
    }

    /// It is not known what comes next, and any body may have lost data.
    pub(super) fn unframe<S>(&mut self, direction: Direction, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        self.cut_block(direction, sink);
        let half = self.half(direction);
        half.state = State::Lost(Resync::default());
        half.trust = Trust::Found(0);
        half.lossy = true;
        half.filled = 0;
        half.hpack.lose();
        let mut from = 0;
        while let Some(id) = self.streams.first_from(from) {
            from = id.saturating_add(1);
            self.tell_gap(direction, id, sink);
        }
    }

    fn tell_gap<S>(&mut self, direction: Direction, id: u32, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let exchange = self.exchange(id);
        let Some(stream) = self.streams.get_mut(id) else { return };
        if matches!(stream.side(direction), Side::Open(_)) {
            sink.body_gap(exchange, direction, 0);
        }
    }

    /// Where frames are searched for, and there is a frame right before the end
    /// of what has come, reads it.
    fn finish_search<S>(&mut self, direction: Direction, sink: &mut S) -> bool
    where
        S: Http2Sink + ?Sized,
    {
        let plausible = self.plausible(direction);
        let half = &mut self.halves[direction.index()];
        let State::Lost(mut resync) = half.state else { return false };
        let skipped = &mut self.counters.skipped_bytes;
        let found = resync.finish(&plausible, &mut half.buffer, skipped);
        half.state = State::Lost(resync);
        if found {
            self.found(direction, sink);
        }
        found
    }

    /// Nothing more will come of a direction.
    pub(super) fn end_direction<S>(&mut self, direction: Direction, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        while self.finish_search(direction, sink) {}
        self.cut_block(direction, sink);
        let half = self.half(direction);
        half.state = State::Ended;
        half.buffer = Vec::new();
        let mut from = 0;
        while let Some(id) = self.streams.first_from(from) {
            from = id.saturating_add(1);
            self.end_side(direction, id, false, sink);
        }
    }
}

/// What is left of `len` bytes and `padding` after `lost` bytes, if these were
/// all within them. 0 lost bytes are an unknown number.
fn rest_after(len: u32, padding: u8, lost: u64) -> Option<(u32, u8)> {
    let whole = u64::from(len) + u64::from(padding);
    if lost == 0 || lost > whole {
        return None;
    }
    let rest = u64::from(len).saturating_sub(lost);
    let padding = u64::from(padding).min(whole - lost);
    Some((rest as u32, padding as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_after_a_loss() {
        for (name, len, padding, lost, expected) in [
            ("unknown", 10, 0, 0, None),
            ("some", 10, 0, 3, Some((7, 0))),
            ("all", 10, 0, 10, Some((0, 0))),
            ("more", 10, 0, 11, None),
            ("some, before padding", 10, 5, 3, Some((7, 5))),
            ("all but padding", 10, 5, 10, Some((0, 5))),
            ("some padding", 10, 5, 12, Some((0, 3))),
            ("all with padding", 10, 5, 15, Some((0, 0))),
            ("more than padding", 10, 5, 16, None),
            ("very many", u32::MAX, 255, u64::MAX, None),
        ] {
            assert_eq!(rest_after(len, padding, lost), expected, "{name}");
        }
    }
}
