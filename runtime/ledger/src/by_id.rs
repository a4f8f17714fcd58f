use std::collections::BTreeMap;

use identity::AccountId;

/// Values by account, with slots: what is looked up once is found again without comparing keys.
#[derive(Clone, Debug)]
pub(crate) struct ById<V> {
    slots: BTreeMap<Key, Slot>,
    values: Vec<(AccountId, V)>,
    /// Guesses at slots by the first bits of an account, at least a pair for each account.
    guesses: Vec<[Slot; 2]>,
}

/// Where an account's value lies. Slots stay valid; values are never removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

/// An account's bytes as numbers, in the same order: mostly the first comparison decides.
///
/// A hash table alone would be at the mercy of strangers, who choose the names they pay to. So there are guesses, of which
/// strangers can spoil as many as they like: whoever is not where the guess says is searched for.
type Key = [u64; 4];

impl<V> Default for ById<V> {
    fn default() -> Self {
        ById { slots: BTreeMap::new(), values: Vec::new(), guesses: Vec::new() }
    }
}

impl<V: Default> ById<V> {
    pub(crate) fn slot(&self, id: &AccountId) -> Option<Slot> {
        self.guess(id).or_else(|| self.slots.get(&key(id)).copied())
    }

    /// The slot of an account, made where there is none.
    pub(crate) fn slot_or_default(&mut self, id: &AccountId) -> Slot {
        if let Some(slot) = self.guess(id) {
            return slot;
        }
        let next = Slot(self.values.len() as u32);
        let slot = *self.slots.entry(key(id)).or_insert(next);
        if slot == next {
            self.values.push((*id, V::default()));
            self.remember(next);
        }
        slot
    }

    pub(crate) fn at(&self, slot: Slot) -> &V {
        &self.values[slot.0 as usize].1
    }

    pub(crate) fn at_mut(&mut self, slot: Slot) -> &mut V {
        &mut self.values[slot.0 as usize].1
    }

    pub(crate) fn get(&self, id: &AccountId) -> Option<&V> {
        self.slot(id).map(|slot| self.at(slot))
    }

    pub(crate) fn get_or_default(&mut self, id: &AccountId) -> &mut V {
        let slot = self.slot_or_default(id);
        self.at_mut(slot)
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// In no order of accounts.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.values.iter_mut().map(|(_, value)| value)
    }

    /// Ascending by account.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&AccountId, &V)> {
        self.slots.values().map(|slot| {
            let (id, value) = &self.values[slot.0 as usize];
            (id, value)
        })
    }

    /// Ascending by account.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &AccountId> {
        self.iter().map(|(id, _)| id)
    }

    /// Ascending by account.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    fn guess(&self, id: &AccountId) -> Option<Slot> {
        let pair = self.guesses.get(pair_of(id, self.guesses.len()))?;
        let held = |slot: &&Slot| self.values.get(slot.0 as usize).is_some_and(|(held, _)| held == id);
        pair.iter().find(held).copied()
    }

    /// Guesses at the last slot from here on, if there is room.
    fn remember(&mut self, last: Slot) {
        let mut fresh = last.0..=last.0;
        if self.values.len() > self.guesses.len() {
            self.guesses = vec![[NOBODY; 2]; self.values.len().next_power_of_two().max(FEWEST_PAIRS)];
            fresh = 0..=last.0;
        }
        for slot in fresh.map(Slot) {
            let at = pair_of(&self.values[slot.0 as usize].0, self.guesses.len());
            if let Some(free) = self.guesses[at].iter_mut().find(|guess| **guess == NOBODY) {
                *free = slot;
            }
        }
    }
}

/// Of a power of two of pairs.
fn pair_of(id: &AccountId, pairs: usize) -> usize {
    let first = id.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    first as usize & pairs.wrapping_sub(1)
}

fn key(id: &AccountId) -> Key {
    let mut words =
        id.as_bytes().chunks_exact(8).map(|w| u64::from_be_bytes(w.try_into().expect("eight bytes")));
    std::array::from_fn(|_| words.next().expect("four words"))
}

/// No slot: no memory holds so many accounts.
const NOBODY: Slot = Slot(u32::MAX);
const FEWEST_PAIRS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ascend_as_accounts_do() {
        let account = |at: usize, byte: u8| {
            let mut bytes = [7; 32];
            bytes[at] = byte;
            AccountId::from_bytes(bytes)
        };
        let mut accounts: Vec<AccountId> =
            (0..32).flat_map(|at| [0, 8, 255].map(|b| account(at, b))).collect();
        let mut held = ById::<u8>::default();
        for id in &accounts {
            held.slot_or_default(id);
        }
        accounts.sort();
        assert!(held.keys().eq(&accounts));
    }

    /// Half is spread, half shares its first bits.
    #[test]
    fn whoever_spoils_the_guesses_is_found_as_well() {
        let account = |n: u32, spread: bool| {
            let mut bytes = [9; 32];
            bytes[28..].copy_from_slice(&n.to_be_bytes());
            if spread {
                bytes[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b9).to_le_bytes());
            }
            AccountId::from_bytes(bytes)
        };
        let (mut held, mut model) = (ById::<u32>::default(), BTreeMap::new());
        for n in 0..3_000 {
            let id = account(n, n % 2 == 0);
            assert_eq!(held.slot(&id), None);
            *held.get_or_default(&id) = n;
            assert_eq!(held.slot_or_default(&id), Slot(n));
            model.insert(id, n);
        }
        assert!(model.iter().all(|(id, n)| held.get(id) == Some(n)));
        assert!((3_000..4_000).all(|n| held.get(&account(n, n % 2 == 0)).is_none()));
        assert!(held.iter().eq(&model) && held.len() == model.len());
        let guessed = model.iter().filter(|(id, _)| held.guess(id).is_some()).count();
        assert!((1_300..1_600).contains(&guessed), "{guessed} guesses");
    }
}
