use std::collections::BTreeMap;

use crate::{account::Output, op::Receive};

/// What has been paid to an account and not been received, ascending by what would receive it.
///
/// Mostly it is a handful, and a handful lies side by side. Strangers can make it many, and many are a map.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    /// Ascending; empty while there are many.
    few: Vec<(Receive, Output)>,
    /// Empty while there are few.
    many: BTreeMap<Receive, Output>,
}

impl Inbox {
    /// How many payments wait.
    pub fn len(&self) -> usize {
        self.few.len() + self.many.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.few.is_empty() && self.many.is_empty()
    }

    /// What would be received.
    pub fn get(&self, receive: &Receive) -> Option<&Output> {
        match self.many.is_empty() {
            true => self.find(receive).ok().map(|at| &self.few[at].1),
            false => self.many.get(receive),
        }
    }

    /// Ascending by what would receive it.
    pub fn iter(&self) -> impl Iterator<Item = (&Receive, &Output)> {
        self.few.iter().map(|(receive, output)| (receive, output)).chain(&self.many)
    }

    /// Ascending.
    pub fn keys(&self) -> impl Iterator<Item = &Receive> {
        self.iter().map(|(receive, _)| receive)
    }

    /// Ascending by what would receive it.
    pub fn values(&self) -> impl Iterator<Item = &Output> {
        self.iter().map(|(_, output)| output)
    }

    pub(crate) fn insert(&mut self, receive: Receive, output: Output) {
        if !self.many.is_empty() {
            self.many.insert(receive, output);
            return;
        }
        match self.find(&receive) {
            Ok(at) => self.few[at].1 = output,
            Err(at) if self.few.len() < MOST_FEW => {
                if self.few.is_empty() {
                    self.few.reserve_exact(2);
                }
                self.few.insert(at, (receive, output));
            }
            Err(_) => {
                self.many = std::mem::take(&mut self.few).into_iter().collect();
                self.many.insert(receive, output);
            }
        }
    }

    pub(crate) fn remove(&mut self, receive: &Receive) -> Option<Output> {
        if !self.many.is_empty() {
            return self.many.remove(receive);
        }
        let (_, output) = self.few.remove(self.find(receive).ok()?);
        if self.few.is_empty() {
            self.few = Vec::new();
        }
        Some(output)
    }

    fn find(&self, receive: &Receive) -> Result<usize, usize> {
        self.few.binary_search_by(|(held, _)| held.cmp(receive))
    }
}

impl PartialEq for Inbox {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Inbox {}

impl From<BTreeMap<Receive, Output>> for Inbox {
    fn from(paid: BTreeMap<Receive, Output>) -> Self {
        match paid.len() <= MOST_FEW {
            true => Inbox { few: paid.into_iter().collect(), many: BTreeMap::new() },
            false => Inbox { few: Vec::new(), many: paid },
        }
    }
}

/// So many are moved in less time than a map takes to find a place.
const MOST_FEW: usize = 16;

#[cfg(test)]
mod tests {
    use identity::AccountId;

    use super::*;
    use crate::{Id, op::Reason};

    fn output(amount_ucredits: u64) -> Output {
        let account = AccountId::from_bytes([1; 32]);
        let (from, ancestor) = (account, account);
        Output { amount_ucredits, reason: Reason::Payment, from, ancestor, of_stake: None, void: None }
    }

    #[test]
    fn few_or_many_it_is_a_map() {
        let (mut inbox, mut model) = (Inbox::default(), BTreeMap::new());
        let mut random = 1u64;
        let mut turns = [0; 2];
        for turn in 0..20_000u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let drawn = (random >> 40) as usize;
            let receive =
                Receive { source: Id::from_bytes([(drawn % 20) as u8; 32]), index: (drawn >> 8) as u8 % 3 };
            // Mostly grows for a while, then shrinks until nothing is left.
            if (drawn >> 12) % 8 < if turn / 500 % 2 == 0 { 6 } else { 0 } {
                inbox.insert(receive, output(turn));
                model.insert(receive, output(turn));
            } else {
                assert_eq!(inbox.remove(&receive), model.remove(&receive));
            }
            assert_eq!(inbox.get(&receive), model.get(&receive));
            assert!(
                inbox.iter().eq(&model) && inbox.keys().eq(model.keys()) && inbox.values().eq(model.values())
            );
            assert_eq!((inbox.len(), inbox.is_empty()), (model.len(), model.is_empty()));
            assert!(inbox.few.is_empty() || inbox.many.is_empty());
            assert!(Inbox::from(model.clone()) == inbox);
            turns[usize::from(inbox.many.is_empty())] += 1;
        }
        assert!(turns.iter().all(|turns| *turns > 1_000), "{turns:?}");
    }

    #[test]
    fn other_payments_are_another_inbox() {
        let receive = Receive { source: Id::ZERO, index: 0 };
        let mut inboxes = [1, 2].map(|amount| Inbox::from(BTreeMap::from([(receive, output(amount))])));
        assert_ne!(inboxes[0], inboxes[1]);
        inboxes[1].insert(receive, output(1));
        assert_eq!(inboxes[0], inboxes[1]);
        inboxes[1].remove(&receive);
        assert_ne!(inboxes[0], inboxes[1]);
    }
}
