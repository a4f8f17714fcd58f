use std::collections::BTreeMap;

use identity::AccountId;

/// Values by account, with slots: what is looked up once is found again without comparing keys.
#[derive(Clone, Debug)]
pub(crate) struct ById<V> {
    slots: BTreeMap<AccountId, Slot>,
    values: Vec<V>,
}

/// Where an account's value lies. Slots stay valid; values are never removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

impl<V> Default for ById<V> {
    fn default() -> Self {
        ById { slots: BTreeMap::new(), values: Vec::new() }
    }
}

impl<V: Default> ById<V> {
    pub(crate) fn slot(&self, id: &AccountId) -> Option<Slot> {
        self.slots.get(id).copied()
    }

    /// The slot of an account, made where there is none.
    pub(crate) fn slot_or_default(&mut self, id: &AccountId) -> Slot {
        let next = Slot(self.values.len() as u32);
        let slot = *self.slots.entry(*id).or_insert(next);
        if slot == next {
            self.values.push(V::default());
        }
        slot
    }

    pub(crate) fn at(&self, slot: Slot) -> &V {
        &self.values[slot.0 as usize]
    }

    pub(crate) fn at_mut(&mut self, slot: Slot) -> &mut V {
        &mut self.values[slot.0 as usize]
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

    /// Ascending by account.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&AccountId, &V)> {
        self.slots.iter().map(|(id, slot)| (id, self.at(*slot)))
    }

    /// Ascending by account.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &AccountId> {
        self.slots.keys()
    }

    /// Ascending by account.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.slots.values().map(|slot| self.at(*slot))
    }
}
