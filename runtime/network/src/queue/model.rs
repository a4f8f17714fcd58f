//! The queue as its documentation tells it, with lists and searches: slow and easy to believe.

use std::collections::BTreeSet;

use identity::AccountId;
use ledger::Id;

use super::{
    Event, Placement, Refusal, Settings, Slots, Task,
    fair::{Key, path},
};

#[derive(Clone, Debug, PartialEq)]
enum Where {
    Queued { arrival: u64 },
    Out,
    Aside { until_ms: u64 },
}

#[derive(Clone, Debug)]
struct Row {
    task: Task,
    at: Where,
    expires_ms: u64,
    workers: Vec<(Placement, u64, bool)>,
    failed: Vec<AccountId>,
}

/// One level's round: the path to it, and its children in order with credit, whether it was given, and what a turn is
/// worth by the task that came last.
type Round = (Vec<Key>, Vec<(Key, u64, bool, u64)>);

#[derive(Default)]
pub(super) struct Model {
    settings: Settings,
    rows: Vec<Row>,
    rounds: Vec<Round>,
    arrivals: u64,
    pub(super) now_ms: u64,
    /// A fault to plant: turns go by the number of tasks, so whoever sends most is served most.
    pub(super) first_come: bool,
}

impl Model {
    pub(super) fn new(settings: Settings) -> Self {
        Model { settings, ..Model::default() }
    }

    pub(super) fn submit(&mut self, task: Task) -> Result<(), &'static str> {
        let count = |of: &dyn Fn(&Task) -> bool| self.rows.iter().filter(|row| of(&row.task)).count();
        let most = self.settings.max_open_per_share;
        let share = path(&task)[2].0;
        if self.rows.iter().any(|row| row.task.id == task.id) {
            return Err("task-duplicate");
        }
        if count(&|t| t.submitter == task.submitter) >= most {
            return Err("submitter-full");
        }
        if count(&|t| path(t)[2].0 == share) >= most {
            return Err("block-full");
        }
        let unstaked = count(&|t| !t.share.is_staked());
        if self.rows.len() >= self.settings.max_open
            || (!task.share.is_staked() && unstaked >= self.settings.max_open / 4)
        {
            return Err("queue-full");
        }
        self.rows.push(Row {
            at: Where::Out,
            expires_ms: self.now_ms + task.ttl_ms,
            workers: Vec::new(),
            failed: Vec::new(),
            task,
        });
        self.enqueue(self.rows.len() - 1);
        Ok(())
    }

    pub(super) fn next(&mut self, slots: Slots) -> Option<Id> {
        let row = if self.first_come {
            let arrival = |row: &Row| matches!(row.at, Where::Queued { .. }).then(|| self.arrival(row));
            (0..self.rows.len())
                .filter(|&i| arrival(&self.rows[i]).is_some())
                .min_by_key(|&i| arrival(&self.rows[i]))?
        } else if slots.are_for_all() {
            self.turn(&[])?
        } else {
            self.turn(&[Key::Staked(true)])?
        };
        let (keys, units) = (keys(&self.rows[row].task), self.rows[row].task.units);
        for depth in 0..keys.len() {
            if let Some((_, children)) = self.rounds.iter_mut().find(|(at, _)| at[..] == keys[..depth])
                && let Some(child) = children.iter_mut().find(|(key, ..)| *key == keys[depth])
            {
                child.1 = child.1.saturating_sub(units);
            }
        }
        self.rows[row].at = Where::Out;
        self.leave();
        Some(self.rows[row].task.id)
    }

    pub(super) fn put_back(&mut self, task: Id, wait_ms: u64) {
        let until_ms = self.now_ms + wait_ms;
        if let Some(row) = self.rows.iter_mut().find(|row| row.task.id == task && row.at == Where::Out) {
            row.at = Where::Aside { until_ms };
        }
    }

    pub(super) fn assign(&mut self, task: Id, to: Placement) -> Result<(), &'static str> {
        let row = self.rows.iter_mut().find(|row| row.task.id == task && row.at == Where::Out);
        let row = row.ok_or("task-unknown")?;
        if row.failed.contains(&to.worker) || row.task.avoided.contains(&to.worker) {
            return Err("worker-avoided");
        }
        if row.workers.iter().any(|(p, ..)| p.worker == to.worker || p.site == to.site || p.block == to.block)
        {
            return Err("worker-neighbour");
        }
        row.workers.push((to, self.now_ms + row.task.timeout_ms, false));
        Ok(())
    }

    /// The time to wait is the queue's, which its own test checks.
    pub(super) fn failed(&mut self, task: Id, worker: AccountId, wait_ms: u64) -> Result<bool, &'static str> {
        let found = self.rows.iter().position(|row| row.task.id == task).ok_or("task-unknown")?;
        let row = &mut self.rows[found];
        let at = row.workers.iter().position(|(p, ..)| p.worker == worker).ok_or("task-unknown")?;
        row.workers.remove(at);
        row.failed.push(worker);
        if row.failed.len() as u32 >= self.settings.max_failures {
            self.rows.remove(found);
            self.leave();
            return Ok(false);
        }
        if row.at == Where::Out {
            row.at = Where::Aside { until_ms: self.now_ms + wait_ms };
        }
        Ok(true)
    }

    pub(super) fn remove(&mut self, task: Id) -> bool {
        let before = self.rows.len();
        self.rows.retain(|row| row.task.id != task);
        self.leave();
        self.rows.len() < before
    }

    pub(super) fn tick(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        // One at a time: the earliest; at one instant expiries, then workers, then returns.
        loop {
            let mut due: Vec<(u64, u8, Event)> = Vec::new();
            for row in &self.rows {
                let task = row.task.id;
                due.push((row.expires_ms, 0, Event::Expired { task }));
                for (placement, until_ms, told) in &row.workers {
                    if !told {
                        due.push((*until_ms, 1, Event::TimedOut { task, worker: placement.worker }));
                    }
                }
                if let Where::Aside { until_ms } = row.at {
                    due.push((until_ms, 2, Event::Requeued { task }));
                }
            }
            due.retain(|(at_ms, ..)| *at_ms <= self.now_ms);
            let Some((.., event)) = due.into_iter().min() else { return events };
            match event {
                Event::Expired { task } => {
                    self.remove(task);
                }
                Event::TimedOut { task, worker } => {
                    let workers = self.rows.iter_mut().filter(|row| row.task.id == task);
                    workers
                        .flat_map(|row| &mut row.workers)
                        .filter(|(p, ..)| p.worker == worker)
                        .for_each(|w| w.2 = true);
                }
                Event::Requeued { task } => {
                    let row = self.rows.iter().position(|row| row.task.id == task);
                    row.into_iter().for_each(|row| self.enqueue(row));
                }
            }
            events.push(event);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    fn arrival(&self, row: &Row) -> u64 {
        match row.at {
            Where::Queued { arrival } => arrival,
            _ => u64::MAX,
        }
    }

    fn enqueue(&mut self, row: usize) {
        self.arrivals += 1;
        self.rows[row].at = Where::Queued { arrival: self.arrivals };
        let keys = keys(&self.rows[row].task);
        for (depth, &key) in keys.iter().enumerate() {
            if !self.rounds.iter().any(|(at, _)| at[..] == keys[..depth]) {
                self.rounds.push((keys[..depth].to_vec(), Vec::new()));
            }
            let round = self.rounds.iter_mut().find(|(at, _)| at[..] == keys[..depth]).expect("just made");
            let quantum = path(&self.rows[row].task)[depth].1;
            match round.1.iter_mut().find(|(other, ..)| *other == key) {
                Some(child) => child.3 = quantum,
                None => round.1.push((key, 0, false, quantum)),
            }
        }
    }

    /// Children without a queued task leave their round.
    fn leave(&mut self) {
        let queued: BTreeSet<Vec<Key>> = self
            .rows
            .iter()
            .filter(|row| matches!(row.at, Where::Queued { .. }))
            .flat_map(|row| (1..=4).map(|depth| keys(&row.task)[..depth].to_vec()))
            .collect();
        for (at, children) in &mut self.rounds {
            children.retain(|(key, ..)| queued.contains(&[&at[..], &[*key]].concat()));
        }
        self.rounds.retain(|(_, children)| !children.is_empty());
    }

    /// The row whose turn it is below a path.
    fn turn(&mut self, at: &[Key]) -> Option<usize> {
        if at.len() == 4 {
            let here = |row: &&(usize, &Row)| {
                keys(&row.1.task)[..] == *at && matches!(row.1.at, Where::Queued { .. })
            };
            let rows = self.rows.iter().enumerate();
            return rows.filter(|r| here(&r)).min_by_key(|(_, row)| self.arrival(row)).map(|(i, _)| i);
        }
        loop {
            let round = self.rounds.iter().position(|(path, _)| path[..] == *at)?;
            let key = self.rounds[round].1.first()?.0;
            let below = [at, &[key]].concat();
            let row = self.turn(&below)?;
            let round = self.rounds.iter().position(|(path, _)| path[..] == *at)?;
            let front = &mut self.rounds[round].1[0];
            if !front.2 {
                front.2 = true;
                front.1 += front.3;
            }
            if front.1 >= self.rows[row].task.units {
                return Some(row);
            }
            front.2 = false;
            self.rounds[round].1.rotate_left(1);
        }
    }
}

fn keys(task: &Task) -> [Key; 4] {
    path(task).map(|(key, _)| key)
}

/// The name of a refusal.
pub(super) fn named<T>(result: Result<T, Refusal>) -> Result<T, &'static str> {
    result.map_err(|refusal| refusal.name())
}
