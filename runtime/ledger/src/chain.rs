use std::collections::BTreeMap;

use crate::{by_id::Slot, set::Place};

/// An account's operations by seq.
///
/// Those that follow each other from the first seq on lie side by side: each is found without a search, and the next one is
/// put behind the last. What is ahead of them waits in a map until the gap is closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    /// The seq of the first of `places`.
    first: u64,
    places: Vec<Place>,
    /// Every seq that `places` does not reach.
    apart: BTreeMap<u64, Place>,
    /// The account's slot in the state that the ledger keeps beside the set, once it was looked up there.
    pub(crate) home: Option<Slot>,
}

impl Chain {
    /// An empty chain that is expected to begin with this seq.
    pub(crate) fn from_seq(first: u64) -> Self {
        Chain { first, ..Chain::default() }
    }

    pub(crate) fn get(&self, seq: &u64) -> Option<&Place> {
        self.index(*seq).and_then(|at| self.places.get(at)).or_else(|| self.apart.get(seq))
    }

    pub(crate) fn get_mut(&mut self, seq: &u64) -> Option<&mut Place> {
        let at = self.index(*seq);
        at.and_then(|at| self.places.get_mut(at)).or_else(|| self.apart.get_mut(seq))
    }

    /// Puts an operation into its place, which is empty.
    pub(crate) fn insert(&mut self, seq: u64, place: Place) {
        if self.index(seq) != Some(self.places.len()) {
            self.apart.insert(seq, place);
            return;
        }
        self.places.push(place);
        let behind = |places: &[Place]| self.first.checked_add(places.len() as u64);
        while let Some(next) = behind(&self.places).and_then(|seq| self.apart.remove(&seq)) {
            self.places.push(next);
        }
    }

    /// Ascending by seq.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Place)> {
        self.since(0)
    }

    /// Ascending by seq, from this one on.
    pub(crate) fn since(&self, from: u64) -> impl Iterator<Item = (u64, &Place)> {
        let begin = from.max(self.first);
        let before = self.apart.range(from.min(self.first)..self.first);
        let places = self.index(begin).and_then(|at| self.places.get(at..)).unwrap_or_default();
        fn entry<'a>((seq, place): (&u64, &'a Place)) -> (u64, &'a Place) {
            (*seq, place)
        }
        let places = places.iter().zip(begin..=u64::MAX).map(|(place, seq)| (seq, place));
        before.map(entry).chain(places).chain(self.apart.range(begin..).map(entry))
    }

    /// Ascending by seq.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Place> {
        self.iter().map(|(_, place)| place)
    }

    fn index(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.first)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use identity::{AccountId, Signature};

    use super::*;
    use crate::{
        Certificate, Id,
        op::{Action, Op, SignedOp},
        record::Certified,
    };

    fn place(seq: u64) -> Place {
        let account = AccountId::from_bytes([7; 32]);
        let (prev, action) = (Id::ZERO, Action::Noop);
        let op = Op { account, seq, prev, epoch: 0, receives: Vec::new(), action, balance_after: 0 };
        let value = SignedOp { op, signature: Signature::from_bytes([0; 64]) };
        Place::of(Arc::new(Certified { value, id: Id::ZERO, certificate: Certificate::default() }), false)
    }

    #[test]
    fn whatever_comes_first_a_chain_is_a_map_by_seq() {
        let orders: [&[u64]; 6] = [
            &[5, 6, 7, 8],
            &[8, 7, 6, 5],
            &[7, 5, 9, 6, 3, 12, 8, 4],
            &[0, 5, 2, 6],
            &[u64::MAX - 1, 5, 40, 6],
            &[9, 4],
        ];
        for first in [0, 5, u64::MAX - 1] {
            for order in orders {
                let (mut chain, mut model) = (Chain::from_seq(first), BTreeMap::new());
                for &seq in order {
                    assert!(chain.get(&seq).is_none() && chain.get_mut(&seq).is_none());
                    chain.insert(seq, place(seq));
                    model.insert(seq, ());
                    assert!(chain.iter().map(|(seq, _)| seq).eq(model.keys().copied()), "{first} {order:?}");
                    assert!(chain.iter().all(|(seq, place)| place.op.record.value.op.seq == seq));
                }
                for from in (0..14).chain([u64::MAX - 2, u64::MAX - 1, u64::MAX]) {
                    let since = chain.since(from).map(|(seq, _)| seq);
                    assert!(since.eq(model.range(from..).map(|(seq, _)| *seq)), "{first} {order:?} {from}");
                    let held = chain.get(&from).map(|place| place.op.record.value.op.seq);
                    assert_eq!(held, model.contains_key(&from).then_some(from));
                }
                assert!(order.iter().all(|seq| chain.get_mut(seq).is_some()));
            }
        }
    }

    #[test]
    fn closed_gaps_leave_nothing_apart() {
        let mut chain = Chain::from_seq(5);
        for seq in [9, 6, 8, 7] {
            chain.insert(seq, place(seq));
        }
        assert_eq!(chain.apart.len(), 4);
        chain.insert(5, place(5));
        assert!(chain.apart.is_empty() && chain.places.len() == 5);
    }
}
