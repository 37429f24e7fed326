//! Memory of reassembly: buffers of few sizes, recycled, and accounted for.
//!
//! What a buffer is charged depends only on the bytes in it, never on which
//! recycled buffer happened to be at hand, so that bounds take effect at the
//! same packet in every run.

/// Size of the buffers that are recycled.
pub(super) const BLOCK: usize = 4096;

/// The smallest buffer.
const SMALLEST: usize = 64;

/// Most free blocks kept: 4 MiB.
const MAX_FREE: usize = 1024;

/// What a buffer of `len` bytes takes.
pub(super) const fn footprint(len: usize) -> usize {
    if len > BLOCK / 4 {
        len.next_multiple_of(BLOCK)
    } else if len > SMALLEST {
        len.next_power_of_two()
    } else {
        SMALLEST
    }
}

/// Source of buffers, and the sum of what is in use.
#[derive(Default)]
pub(super) struct Buffers {
    free: Vec<Vec<u8>>,
    /// Charged for out-of-order data.
    pub(super) out_of_order: usize,
}

impl Buffers {
    /// An empty buffer of capacity [`footprint`] of `len`.
    pub(super) fn take(&mut self, len: usize) -> Vec<u8> {
        let size = footprint(len);
        let recycled = if size == BLOCK { self.free.pop() } else { None };
        recycled.unwrap_or_else(|| Vec::with_capacity(size))
    }

    /// Takes a buffer back.
    pub(super) fn give(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() == BLOCK && self.free.len() < MAX_FREE {
            buffer.clear();
            self.free.push(buffer);
        }
    }

    /// Appends `data`, moving to a larger buffer where needed.
    pub(super) fn extend(&mut self, buffer: &mut Vec<u8>, data: &[u8]) {
        let len = buffer.len() + data.len();
        if len > buffer.capacity() {
            let mut larger = self.take(len);
            larger.extend_from_slice(buffer);
            self.give(std::mem::replace(buffer, larger));
        }
        buffer.extend_from_slice(data);
    }

    /// Bytes allocated, in use or free.
    pub(super) const fn memory(&self) -> usize {
        self.out_of_order + self.free.len() * BLOCK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footprints() {
        let cases = [(0, 64), (1, 64), (65, 128), (1024, 1024), (1025, 4096), (4097, 8192)];
        for (len, expected) in cases {
            assert_eq!(footprint(len), expected, "{len}");
            assert_eq!(Buffers::default().take(len).capacity(), expected, "{len}");
        }
    }

    #[test]
    fn growing_keeps_the_bytes_and_recycles_blocks() {
        let mut buffers = Buffers::default();
        let mut buffer = buffers.take(1);
        let mut expected = Vec::new();
        for round in 0..200_u8 {
            buffers.extend(&mut buffer, &[round; 33]);
            expected.extend_from_slice(&[round; 33]);
            assert_eq!(buffer.capacity(), footprint(buffer.len()));
        }
        assert_eq!(buffer, expected);
        assert_eq!(buffers.memory(), BLOCK, "the block outgrown on the way to 8192 is free");
        buffers.give(buffer);
        assert_eq!(buffers.memory(), BLOCK, "other sizes are not kept");
        assert_eq!(buffers.take(4000).capacity(), BLOCK);
        assert_eq!(buffers.memory(), 0);
    }
}
