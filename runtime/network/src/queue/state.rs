use std::collections::{BTreeMap, BTreeSet};

use identity::AccountId;
use ledger::Id;

use super::{
    Backoff, Placement, Refusal, Settings, Slots, Task,
    fair::{Branch, Key, path},
};
use crate::{draw::Excluded, limits::Timeline};

/// What time did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A task's time is over; it is gone.
    Expired {
        /// Which.
        task: Id,
    },
    /// A worker's time for a task is over: call [`Queue::failed`] with fresh randomness.
    TimedOut {
        /// Which.
        task: Id,
        /// Who.
        worker: AccountId,
    },
    /// A task that was set aside is queued again.
    Requeued {
        /// Which.
        task: Id,
    },
}

/// Open tasks.
///
/// A task is queued until [`Queue::next`] takes it out to be drawn; then it is running, with the workers that
/// [`Queue::assign`] names, until [`Queue::finish`], [`Queue::cancel`] or its time ends it. A failure sets it aside for its
/// backoff and queues it again for a replacement. Time goes by [`Timeline`]: a clock's jump ends no task.
#[derive(Clone, Debug)]
pub struct Queue {
    settings: Settings,
    timeline: Timeline,
    tasks: BTreeMap<Id, Open>,
    fair: Branch,
    /// Open tasks of a share, and of a submitter within it.
    of_share: BTreeMap<Key, usize>,
    of_submitter: BTreeMap<AccountId, usize>,
    unstaked: usize,
    alarms: BTreeSet<(u64, Alarm)>,
}

#[derive(Clone, Debug)]
struct Open {
    task: Task,
    place: Place,
    expires_ms: u64,
    /// Those who have it, with the end of their time.
    workers: BTreeMap<AccountId, (Placement, u64)>,
    failed: BTreeSet<AccountId>,
    backoff: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Queued,
    Out,
    Aside { until_ms: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Expiry(Id),
    Worker(Id, AccountId),
    Again(Id),
}

impl Queue {
    /// An empty queue.
    pub fn new(settings: Settings) -> Self {
        Queue {
            settings,
            timeline: Timeline::default(),
            tasks: BTreeMap::new(),
            fair: Branch::default(),
            of_share: BTreeMap::new(),
            of_submitter: BTreeMap::new(),
            unstaked: 0,
            alarms: BTreeSet::new(),
        }
    }

    /// Queues a task.
    ///
    /// # Errors
    /// What is wrong with it, or which cap is reached.
    pub fn submit(&mut self, task: Task, shell_ms: u64) -> Result<(), Refusal> {
        let now_ms = self.timeline.advance(shell_ms);
        task.check()?;
        if self.tasks.contains_key(&task.id) {
            return Err(Refusal::Duplicate);
        }
        self.check_caps(&task)?;
        *self.of_share.entry(share(&task)).or_default() += 1;
        *self.of_submitter.entry(task.submitter).or_default() += 1;
        self.unstaked += usize::from(!task.share.is_staked());
        let expires_ms = now_ms.saturating_add(task.ttl_ms);
        self.alarms.insert((expires_ms, Alarm::Expiry(task.id)));
        self.fair.push(&path(&task), task.id, task.units);
        let open = Open {
            place: Place::Queued,
            expires_ms,
            workers: BTreeMap::new(),
            failed: BTreeSet::new(),
            backoff: Backoff::default(),
            task,
        };
        self.tasks.insert(open.task.id, open);
        Ok(())
    }

    /// Takes out the task whose turn it is, for one of the workers' slots. Call [`Queue::tick`] before it, or it may be one
    /// whose time is over.
    pub fn next(&mut self, slots: Slots) -> Option<&Task> {
        let (id, _) = if slots.are_for_all() { self.fair.pop() } else { self.fair.pop_staked() }?;
        let open = self.tasks.get_mut(&id)?;
        open.place = Place::Out;
        Some(&open.task)
    }

    /// Nobody could take a task that [`Queue::next`] gave: it is set aside for a moment, by the backoff of a failure that
    /// counts against nobody.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn put_back(&mut self, task: Id, shell_ms: u64, random: u64) -> Result<(), Refusal> {
        let now_ms = self.timeline.advance(shell_ms);
        let open = self.tasks.get_mut(&task).filter(|open| open.place == Place::Out);
        let open = open.ok_or(Refusal::Unknown)?;
        let until_ms = now_ms.saturating_add({ open.backoff }.fail(now_ms, random));
        self.set_aside(task, until_ms);
        Ok(())
    }

    /// Gives a task that is out to a worker, one of several if its redundancy wants.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::WorkerAvoided`], [`Refusal::Neighbour`].
    pub fn assign(&mut self, task: Id, to: Placement, shell_ms: u64) -> Result<(), Refusal> {
        let now_ms = self.timeline.advance(shell_ms);
        let open = self.tasks.get_mut(&task).filter(|open| open.place == Place::Out);
        let open = open.ok_or(Refusal::Unknown)?;
        if open.failed.contains(&to.worker) || open.task.avoided.contains(&to.worker) {
            return Err(Refusal::WorkerAvoided);
        }
        let neighbour = |(other, _): &(Placement, u64)| {
            other.worker == to.worker || other.site == to.site || other.block == to.block
        };
        if open.workers.values().any(neighbour) {
            return Err(Refusal::Neighbour);
        }
        let until_ms = now_ms.saturating_add(open.task.timeout_ms);
        open.workers.insert(to.worker, (to, until_ms));
        self.alarms.insert((until_ms, Alarm::Worker(task, to.worker)));
        Ok(())
    }

    /// Whom a draw for a task must leave out.
    pub fn excluded(&self, task: Id) -> Option<Excluded> {
        let open = self.tasks.get(&task)?;
        let placed = || open.workers.values().map(|(placement, _)| placement);
        Some(Excluded {
            workers: open.failed.union(&open.task.avoided).copied().collect(),
            sites: placed().map(|p| p.site).collect(),
            blocks: placed().map(|p| p.block).collect(),
        })
    }

    /// A worker failed on a task or let its time pass. The task never goes to it again, and is set aside; after too many
    /// failures it ends. Gives the time until it is queued again, `None` if it ended.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] if the worker does not have the task.
    pub fn failed(
        &mut self,
        task: Id,
        worker: AccountId,
        shell_ms: u64,
        random: u64,
    ) -> Result<Option<u64>, Refusal> {
        let now_ms = self.timeline.advance(shell_ms);
        let open = self.tasks.get_mut(&task).ok_or(Refusal::Unknown)?;
        let (_, until_ms) = open.workers.remove(&worker).ok_or(Refusal::Unknown)?;
        self.alarms.remove(&(until_ms, Alarm::Worker(task, worker)));
        open.failed.insert(worker);
        let wait_ms = open.backoff.fail(now_ms, random);
        if open.backoff.failures() >= self.settings.max_failures {
            self.drop_task(task);
            return Ok(None);
        }
        // Where it is queued or set aside for another failure already, one replacement at a time is enough.
        if open.place == Place::Out {
            self.set_aside(task, now_ms.saturating_add(wait_ms));
        }
        Ok(Some(wait_ms))
    }

    /// A task is settled.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn finish(&mut self, task: Id) -> Result<(), Refusal> {
        self.drop_task(task).map(drop).ok_or(Refusal::Unknown)
    }

    /// Its submitter takes a task back. Gives the workers who have it and must be told.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], also if the task is another's.
    pub fn cancel(&mut self, task: Id, submitter: AccountId) -> Result<Vec<AccountId>, Refusal> {
        self.tasks.get(&task).filter(|open| open.task.submitter == submitter).ok_or(Refusal::Unknown)?;
        let open = self.drop_task(task).ok_or(Refusal::Unknown)?;
        Ok(open.workers.into_keys().collect())
    }

    /// What time did since the last tick, in the order in which it did.
    pub fn tick(&mut self, shell_ms: u64) -> Vec<Event> {
        let now_ms = self.timeline.advance(shell_ms);
        let mut events = Vec::new();
        while let Some(&(at_ms, alarm)) = self.alarms.first()
            && at_ms <= now_ms
        {
            self.alarms.pop_first();
            events.push(match alarm {
                Alarm::Expiry(task) => {
                    self.drop_task(task);
                    Event::Expired { task }
                }
                Alarm::Worker(task, worker) => Event::TimedOut { task, worker },
                Alarm::Again(task) => {
                    if let Some(open) = self.tasks.get_mut(&task) {
                        open.place = Place::Queued;
                        self.fair.push(&path(&open.task), task, open.task.units);
                    }
                    Event::Requeued { task }
                }
            });
        }
        events
    }

    /// An open task.
    pub fn get(&self, task: Id) -> Option<&Task> {
        self.tasks.get(&task).map(|open| &open.task)
    }

    /// Failures of workers on a task.
    pub fn failures(&self, task: Id) -> u32 {
        self.tasks.get(&task).map_or(0, |open| open.backoff.failures())
    }

    /// Open tasks, queued or running.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether no task is open.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    fn check_caps(&self, task: &Task) -> Result<(), Refusal> {
        let retry_after_ms = RETRY_MS;
        let most = self.settings.max_open_per_share;
        let of_submitter = self.of_submitter.get(&task.submitter).copied().unwrap_or(0);
        let of_share = self.of_share.get(&share(task)).copied().unwrap_or(0);
        let unstaked_full = !task.share.is_staked() && self.unstaked >= self.settings.max_open_unstaked();
        match () {
            () if of_submitter >= most => Err(Refusal::SubmitterFull { retry_after_ms }),
            () if of_share >= most => Err(Refusal::ShareFull { retry_after_ms }),
            () if unstaked_full || self.tasks.len() >= self.settings.max_open => {
                Err(Refusal::QueueFull { retry_after_ms })
            }
            () => Ok(()),
        }
    }

    fn set_aside(&mut self, task: Id, until_ms: u64) {
        if let Some(open) = self.tasks.get_mut(&task) {
            open.place = Place::Aside { until_ms };
            self.alarms.insert((until_ms, Alarm::Again(task)));
        }
    }

    fn drop_task(&mut self, id: Id) -> Option<Open> {
        let open = self.tasks.remove(&id)?;
        self.alarms.remove(&(open.expires_ms, Alarm::Expiry(id)));
        for (worker, (_, until_ms)) in &open.workers {
            self.alarms.remove(&(*until_ms, Alarm::Worker(id, *worker)));
        }
        match open.place {
            Place::Queued => self.fair.remove(&path(&open.task), id),
            Place::Aside { until_ms } => {
                self.alarms.remove(&(until_ms, Alarm::Again(id)));
            }
            Place::Out => {}
        }
        self.unstaked -= usize::from(!open.task.share.is_staked());
        release(&mut self.of_share, &share(&open.task));
        release(&mut self.of_submitter, &open.task.submitter);
        Some(open)
    }
}

/// Whose places a task takes.
fn share(task: &Task) -> Key {
    path(task)[2].0
}

fn release<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// A place becomes free when a task ends; nobody knows when.
const RETRY_MS: u64 = 1_000;
