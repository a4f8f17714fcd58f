use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Block, SEEN_MS};

/// Ids of frames accepted in the last 120 seconds, in bounded memory.
///
/// An id goes in only after its signature was verified, or anybody could make a frame a replay before it arrives. When
/// memory is full, the block with the most ids loses its oldest: a flooder forgets its own frames, which only it can
/// have signed, and those of others stay. Frames whose replay would do lasting harm (operations, claims, results) are
/// idempotent by their own rules; this cache saves the work of finding that out.
#[derive(Clone, Debug)]
pub struct Seen {
    max_ids: usize,
    ids: BTreeSet<[u8; 32]>,
    by_block: BTreeMap<Block, VecDeque<(u64, [u8; 32])>>,
    sizes: BTreeSet<(usize, Block)>,
    oldest: BTreeSet<(u64, Block)>,
}

impl Seen {
    /// A cache of at most so many bytes.
    pub fn new(max_bytes: usize) -> Self {
        Seen {
            max_ids: max_bytes / ID_BYTES,
            ids: BTreeSet::new(),
            by_block: BTreeMap::new(),
            sizes: BTreeSet::new(),
            oldest: BTreeSet::new(),
        }
    }

    /// Whether an id was put in within the last 120 seconds.
    pub fn contains(&mut self, id: &[u8; 32], now_ms: u64) -> bool {
        self.expire(now_ms);
        self.ids.contains(id)
    }

    /// Remembers an id that came from a block.
    pub fn insert(&mut self, id: [u8; 32], block: Block, now_ms: u64) {
        self.expire(now_ms);
        if self.max_ids == 0 || !self.ids.insert(id) {
            return;
        }
        self.change(block, |ids| ids.push_back((now_ms, id)));
        while self.ids.len() > self.max_ids {
            let Some(&(_, largest)) = self.sizes.last() else { return };
            self.drop_oldest(largest);
        }
    }

    /// Ids held.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    fn expire(&mut self, now_ms: u64) {
        while let Some(&(at_ms, block)) = self.oldest.first() {
            if now_ms.saturating_sub(at_ms) < SEEN_MS {
                return;
            }
            self.drop_oldest(block);
        }
    }

    fn drop_oldest(&mut self, block: Block) {
        let mut dropped = None;
        self.change(block, |ids| dropped = ids.pop_front());
        if let Some((_, id)) = dropped {
            self.ids.remove(&id);
        }
    }

    fn change(&mut self, block: Block, change: impl FnOnce(&mut VecDeque<(u64, [u8; 32])>)) {
        let ids = self.by_block.entry(block).or_default();
        if let Some(&(at_ms, _)) = ids.front() {
            self.sizes.remove(&(ids.len(), block));
            self.oldest.remove(&(at_ms, block));
        }
        change(ids);
        match ids.front() {
            Some(&(at_ms, _)) => {
                self.sizes.insert((ids.len(), block));
                self.oldest.insert((at_ms, block));
            }
            None => {
                self.by_block.remove(&block);
            }
        }
    }
}

/// What an id takes: itself twice, its time, and its part of the maps, rounded up.
const ID_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOME: Block = Block::V4([1, 2, 3]);

    fn id(n: u64) -> [u8; 32] {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_le_bytes());
        id
    }

    #[test]
    fn an_id_is_known_for_two_minutes() {
        let mut seen = Seen::new(1 << 20);
        seen.insert(id(1), HOME, 5);
        assert!(seen.contains(&id(1), 5 + SEEN_MS - 1));
        assert!(!seen.contains(&id(1), 5 + SEEN_MS));
        assert!(
            seen.is_empty() && seen.by_block.is_empty() && seen.sizes.is_empty() && seen.oldest.is_empty()
        );
    }

    #[test]
    fn a_flooder_forgets_its_own() {
        let mut seen = Seen::new(100 * ID_BYTES);
        seen.insert(id(0), HOME, 0);
        seen.insert(id(1), HOME, 0);
        for n in 10..10_000 {
            seen.insert(id(n), Block::V4([9, 9, 9]), 1);
        }
        assert_eq!(seen.len(), 100);
        assert!(seen.contains(&id(0), 2) && seen.contains(&id(1), 2));
        assert!(!seen.contains(&id(10), 2) && seen.contains(&id(9_999), 2));
    }

    #[test]
    fn no_memory_is_no_cache() {
        let mut seen = Seen::new(0);
        seen.insert(id(1), HOME, 0);
        assert!(seen.is_empty());
    }

    proptest! {
        #[test]
        fn the_four_views_agree(steps in prop::collection::vec((0..40u64, 0..4u8, 0..40_000u64), 1..200)) {
            let mut seen = Seen::new(20 * ID_BYTES);
            let mut now_ms = 0;
            for (n, block, step_ms) in steps {
                now_ms += step_ms;
                seen.insert(id(n), Block::V4([block, 0, 0]), now_ms);
                prop_assert!(seen.len() <= 20 && seen.contains(&id(n), now_ms));
                let held: BTreeSet<_> = seen.by_block.values().flatten().map(|(_, id)| *id).collect();
                prop_assert_eq!(&held, &seen.ids);
                let sizes: BTreeSet<_> = seen.by_block.iter().map(|(b, ids)| (ids.len(), *b)).collect();
                prop_assert_eq!(&sizes, &seen.sizes);
                let oldest: BTreeSet<_> = seen.by_block.iter().map(|(b, ids)| (ids[0].0, *b)).collect();
                prop_assert_eq!(&oldest, &seen.oldest);
            }
        }
    }
}
