//! Storage of flows: stable indices, freed places used again, and growth by
//! chunks, so that a growing table never moves the flows it already holds.

const CHUNK_BITS: u32 = 8;
const CHUNK: usize = 1 << CHUNK_BITS;

/// Values by index.
pub(super) struct Slots<T> {
    chunks: Vec<Vec<Option<T>>>,
    vacant: Vec<u32>,
    len: usize,
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), vacant: Vec::new(), len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes allocated.
    pub(super) fn memory(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Option<T>>() + self.vacant.capacity() * 4
    }

    /// Stores a value; `None` (and the value is dropped) only where the index
    /// space is used up.
    pub(super) fn insert(&mut self, value: T) -> Option<u32> {
        let index = match self.vacant.pop() {
            Some(index) => {
                *self.place(index)? = Some(value);
                index
            }
            None => self.append(value)?,
        };
        self.len += 1;
        Some(index)
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.chunks.get(chunk(index))?.get(offset(index))?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.place(index)?.as_mut()
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let value = self.place(index)?.take()?;
        self.vacant.push(index);
        self.len -= 1;
        Some(value)
    }

    #[inline]
    fn place(&mut self, index: u32) -> Option<&mut Option<T>> {
        self.chunks.get_mut(chunk(index))?.get_mut(offset(index))
    }

    fn append(&mut self, value: T) -> Option<u32> {
        // Nothing is vacant, so every place made so far is occupied.
        let index = u32::try_from(self.len).ok().filter(|&index| index < u32::MAX)?;
        if offset(index) == 0 {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks.last_mut()?.push(Some(value));
        Some(index)
    }
}

const fn chunk(index: u32) -> usize {
    (index >> CHUNK_BITS) as usize
}

const fn offset(index: u32) -> usize {
    index as usize & (CHUNK - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_stable_and_used_again() {
        let mut slots = Slots::new();
        let indices: Vec<u32> = (0..1000).filter_map(|value| slots.insert(value)).collect();
        assert_eq!(indices, (0..1000).collect::<Vec<_>>());
        assert_eq!(slots.remove(300), Some(300));
        assert_eq!(slots.remove(300), None);
        assert_eq!((slots.len(), slots.get(300), slots.get(999)), (999, None, Some(&999)));
        assert_eq!(slots.insert(7), Some(300));
        assert_eq!(slots.insert(8), Some(1000));
        assert_eq!(slots.get_mut(300), Some(&mut 7));
        assert_eq!(slots.get(5000), None);
        assert_eq!(slots.len(), 1001);
    }
}
