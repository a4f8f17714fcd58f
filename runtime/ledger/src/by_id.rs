use std::collections::BTreeMap;

use identity::AccountId;

/// Values by account, with slots: what is looked up once is found again without comparing keys.
#[derive(Clone, Debug)]
pub(crate) struct ById<V> {
    slots: BTreeMap<Key, Slot>,
    values: Vec<(AccountId, V)>,
}

/// Where an account's value lies. Slots stay valid; values are never removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

/// An account's bytes as numbers, in the same order: mostly the first comparison decides. A hash table would be faster
/// still, but its order would have to be hidden from strangers, who choose the names they pay to.
type Key = [u64; 4];

impl<V> Default for ById<V> {
    fn default() -> Self {
        ById { slots: BTreeMap::new(), values: Vec::new() }
    }
}

impl<V: Default> ById<V> {
    pub(crate) fn slot(&self, id: &AccountId) -> Option<Slot> {
        self.slots.get(&key(id)).copied()
    }

    /// The slot of an account, made where there is none.
    pub(crate) fn slot_or_default(&mut self, id: &AccountId) -> Slot {
        let next = Slot(self.values.len() as u32);
        let slot = *self.slots.entry(key(id)).or_insert(next);
        if slot == next {
            self.values.push((*id, V::default()));
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
}

fn key(id: &AccountId) -> Key {
    let mut words =
        id.as_bytes().chunks_exact(8).map(|w| u64::from_be_bytes(w.try_into().expect("eight bytes")));
    std::array::from_fn(|_| words.next().expect("four words"))
}

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
}
