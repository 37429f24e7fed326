//! Doubly linked lists over flow indices: append, move to the back, unlink and
//! look at the front in constant time.
//!
//! The links live in an array of their own (8 bytes a flow), so that moving a
//! flow to the back does not touch the flows beside it.

const NIL: u32 = u32::MAX;

/// `N` lists; an index is in at most one of them at a time.
pub(super) struct Lists<const N: usize> {
    links: Vec<Link>,
    ends: [Ends; N],
}

#[derive(Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
}

#[derive(Clone, Copy)]
struct Ends {
    front: u32,
    back: u32,
    len: usize,
}

impl<const N: usize> Lists<N> {
    pub(super) const fn new() -> Self {
        Self { links: Vec::new(), ends: [Ends { front: NIL, back: NIL, len: 0 }; N] }
    }

    /// Bytes allocated.
    pub(super) const fn memory(&self) -> usize {
        self.links.capacity() * size_of::<Link>()
    }

    pub(super) const fn len(&self, list: usize) -> usize {
        self.ends[list].len
    }

    /// The index that was longest in the list without being moved.
    pub(super) fn front(&self, list: usize) -> Option<u32> {
        Some(self.ends[list].front).filter(|&index| index != NIL)
    }

    /// Appends an index that is in none of the lists.
    pub(super) fn push_back(&mut self, list: usize, index: u32) {
        let place = index as usize;
        if place >= self.links.len() {
            self.links.resize(place + 1, Link { previous: NIL, next: NIL });
        }
        self.append(list, index);
    }

    #[inline(always)]
    fn append(&mut self, list: usize, index: u32) {
        let back = self.ends[list].back;
        self.links[index as usize] = Link { previous: back, next: NIL };
        match back {
            NIL => self.ends[list].front = index,
            back => self.links[back as usize].next = index,
        }
        self.ends[list].back = index;
        self.ends[list].len += 1;
    }

    /// Unlinks an index that is in the list.
    #[inline(always)]
    pub(super) fn remove(&mut self, list: usize, index: u32) {
        let Link { previous, next } = self.links[index as usize];
        match previous {
            NIL => self.ends[list].front = next,
            previous => self.links[previous as usize].next = next,
        }
        match next {
            NIL => self.ends[list].back = previous,
            next => self.links[next as usize].previous = previous,
        }
        self.ends[list].len -= 1;
    }

    /// Moves an index that is in the list to its back.
    #[inline(always)]
    pub(super) fn move_to_back(&mut self, list: usize, index: u32) {
        if self.ends[list].back != index {
            self.remove(list, index);
            self.append(list, index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content<const N: usize>(lists: &mut Lists<N>, list: usize) -> Vec<u32> {
        let mut seen = Vec::new();
        while let Some(index) = lists.front(list) {
            lists.remove(list, index);
            seen.push(index);
        }
        seen
    }

    #[test]
    fn order_is_that_of_the_last_move() {
        let mut lists = Lists::<2>::new();
        for index in [5, 1, 3, 0] {
            lists.push_back(0, index);
        }
        lists.push_back(1, 4);
        lists.move_to_back(0, 5);
        lists.move_to_back(0, 5);
        lists.move_to_back(0, 3);
        lists.remove(0, 0);
        lists.push_back(1, 0);
        assert_eq!((lists.len(0), lists.len(1)), (3, 2));
        assert_eq!(content(&mut lists, 0), [1, 5, 3]);
        assert_eq!(content(&mut lists, 1), [4, 0]);
        assert_eq!((lists.len(0), lists.front(0)), (0, None));
    }
}
