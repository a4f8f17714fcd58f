//! A bus in memory.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use identity::AccountId;

use super::{Bus, Delivery, Topic};

/// Where the ends of a bus in memory meet.
#[derive(Clone, Debug, Default)]
pub struct Hub(Arc<Mutex<BTreeMap<AccountId, Inbox>>>);

#[derive(Debug, Default)]
struct Inbox {
    topics: BTreeSet<Topic>,
    waiting: VecDeque<Delivery>,
}

/// One relay's end.
#[derive(Debug)]
pub struct Memory {
    hub: Hub,
    own: AccountId,
}

impl Hub {
    /// The end of a relay. It hears of what is said from here on.
    pub fn join(&self, own: AccountId) -> Memory {
        self.inboxes().entry(own).or_default();
        Memory { hub: self.clone(), own }
    }

    /// Takes a relay off the bus, with what waits for it.
    pub fn leave(&self, relay: &AccountId) {
        self.inboxes().remove(relay);
    }

    fn inboxes(&self) -> MutexGuard<'_, BTreeMap<AccountId, Inbox>> {
        // No one panics while it holds the lock, and the maps are whole between any two calls.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bus for Memory {
    fn publish(&mut self, topic: Topic, frame: Vec<u8>) {
        let hears =
            |(relay, inbox): &(&AccountId, &mut Inbox)| **relay != self.own && inbox.topics.contains(&topic);
        for (_, inbox) in self.hub.inboxes().iter_mut().filter(hears) {
            inbox.put(Delivery { from: self.own, frame: frame.clone() });
        }
    }

    fn subscribe(&mut self, topic: Topic) {
        self.hub.inboxes().entry(self.own).or_default().topics.insert(topic);
    }

    fn request(&mut self, to: AccountId, frame: Vec<u8>) {
        if let Some(inbox) = self.hub.inboxes().get_mut(&to) {
            inbox.put(Delivery { from: self.own, frame });
        }
    }

    fn peers(&self) -> Vec<AccountId> {
        self.hub.inboxes().keys().copied().filter(|relay| *relay != self.own).collect()
    }

    fn next(&mut self) -> Option<Delivery> {
        self.hub.inboxes().get_mut(&self.own)?.waiting.pop_front()
    }
}

impl Inbox {
    /// A relay that does not read loses the oldest, as it would on any bus.
    fn put(&mut self, delivery: Delivery) {
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(delivery);
    }
}

/// Most frames that wait for a relay.
const MAX_WAITING: usize = 65_536;
