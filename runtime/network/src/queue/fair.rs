use std::collections::{BTreeMap, VecDeque};

use identity::AccountId;
use ledger::{Id, price::Priority};

use super::{MAX_TURNS, Share, Task};
use crate::limits::{Block, UNITS_PER_TASK};

/// A step down the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Staked(bool),
    Lane(Priority),
    /// The name alone: a stake that changes while tasks wait makes no second share.
    Stake(AccountId),
    Block(Block),
    Submitter(AccountId),
}

/// The way to a task, and what a turn at each step is worth.
pub(super) fn path(task: &Task) -> [(Key, u64); 4] {
    let staked_turns = if task.share.is_staked() { 19 } else { 1 };
    let lane_turns = match task.priority {
        Priority::Low => 1,
        Priority::Normal => 2,
        Priority::High => 4,
    };
    let share = match task.share {
        Share::Stake { account, .. } => Key::Stake(account),
        Share::Block(block) => Key::Block(block),
    };
    [
        (Key::Staked(task.share.is_staked()), staked_turns),
        (Key::Lane(task.priority), lane_turns),
        (share, task.share.turns().clamp(1, MAX_TURNS)),
        (Key::Submitter(task.submitter), 1),
    ]
    .map(|(key, turns)| (key, turns * UNITS_PER_TASK))
}

/// A branch: children that take turns, or, at the end of a path, tasks in order of arrival.
///
/// Deficit round robin: the child in front is served while its credit covers the next task, then goes to the back; when
/// it comes to the front again it is given its quantum. A child without tasks leaves and its credit with it. The work of
/// finding the next task is paid for by the credit handed out on the way: O(log n) for each quantum of cost units.
#[derive(Clone, Debug, Default)]
pub(super) struct Branch {
    tasks: VecDeque<(Id, u64)>,
    children: BTreeMap<Key, Child>,
    /// Children by their place in the round.
    round: BTreeMap<u64, Key>,
    next_place: u64,
}

#[derive(Clone, Debug)]
struct Child {
    branch: Branch,
    place: u64,
    quantum_units: u64,
    credit_units: u64,
    /// Whether it was given its quantum since it came to the front.
    given: bool,
}

impl Branch {
    /// Adds a task at the end of a path.
    pub(super) fn push(&mut self, path: &[(Key, u64)], id: Id, units: u64) {
        let Some((&(key, quantum_units), rest)) = path.split_first() else {
            self.tasks.push_back((id, units));
            return;
        };
        if !self.children.contains_key(&key) {
            let (branch, place) = (Branch::default(), self.take_place(key));
            self.children.insert(key, Child { branch, place, quantum_units, credit_units: 0, given: false });
        }
        if let Some(child) = self.children.get_mut(&key) {
            child.quantum_units = quantum_units;
            child.branch.push(rest, id, units);
        }
    }

    /// Takes a task away, wherever it stands.
    pub(super) fn remove(&mut self, path: &[(Key, u64)], id: Id) {
        let Some(((key, _), rest)) = path.split_first() else {
            self.tasks.retain(|(queued, _)| *queued != id);
            return;
        };
        if let Some(child) = self.children.get_mut(key) {
            child.branch.remove(rest, id);
            self.leave_if_empty(*key);
        }
    }

    /// Takes the task whose turn it is.
    pub(super) fn pop(&mut self) -> Option<(Id, u64)> {
        if self.children.is_empty() {
            return self.tasks.pop_front();
        }
        let key = self.turn()?.0;
        let child = self.children.get_mut(&key)?;
        let (id, units) = child.branch.pop()?;
        child.credit_units = child.credit_units.saturating_sub(units);
        self.leave_if_empty(key);
        Some((id, units))
    }

    /// Takes the task whose turn it is among the staked, whoever's turn it is at the top.
    pub(super) fn pop_staked(&mut self) -> Option<(Id, u64)> {
        let key = Key::Staked(true);
        let child = self.children.get_mut(&key)?;
        let (id, units) = child.branch.pop()?;
        child.credit_units = child.credit_units.saturating_sub(units);
        self.leave_if_empty(key);
        Some((id, units))
    }

    /// The child in front whose credit covers its next task, and the cost of that.
    fn turn(&mut self) -> Option<(Key, u64)> {
        loop {
            let (_, &key) = self.round.first_key_value()?;
            let child = self.children.get_mut(&key)?;
            let units = child.branch.head_units()?;
            if !child.given {
                child.given = true;
                child.credit_units = child.credit_units.saturating_add(child.quantum_units);
            }
            if child.credit_units >= units {
                return Some((key, units));
            }
            child.given = false;
            let place = child.place;
            self.round.remove(&place);
            let place = self.take_place(key);
            self.children.get_mut(&key)?.place = place;
        }
    }

    fn head_units(&mut self) -> Option<u64> {
        if self.children.is_empty() {
            return self.tasks.front().map(|&(_, units)| units);
        }
        self.turn().map(|(_, units)| units)
    }

    fn take_place(&mut self, key: Key) -> u64 {
        let place = self.next_place;
        self.next_place += 1;
        self.round.insert(place, key);
        place
    }

    fn leave_if_empty(&mut self, key: Key) {
        if let Some(child) = self.children.get(&key)
            && child.branch.tasks.is_empty()
            && child.branch.children.is_empty()
        {
            self.round.remove(&child.place);
            self.children.remove(&key);
        }
    }
}
