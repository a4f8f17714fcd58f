//! The market: tasks come in, workers are drawn for them, results are counted, everybody is paid.
//!
//! ```text
//! Submit  -> admit.rs   checked against the ledger, written down          -> Accepted
//!   ...   -> draw.rs    the round's beacon draws workers among claims     -> Assigned, Leased
//! Keys, Part -> parts.rs   what is sealed is kept and passed on           -> Keys, Part
//! Committed, Revealed, Heartbeat, HandBack -> work.rs   the unit counts   -> Open
//!   ...   -> close.rs   the decision becomes a resolve, and that a record -> Part, Settled
//! ```
//! Every task ends with a certified resolve of its escrow: paid where a result was believed, given back otherwise. Whatever
//! waits for time has one entry in an index by deadline, so a frame touches its own task and nothing else.

mod admit;
mod bench;
mod close;
mod draw;
mod parts;
mod results;
mod task;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use identity::AccountId;
use ledger::Id;

use self::{
    bench::Bench,
    results::Results,
    task::{Stage, Task},
};
use super::{desk::Desk, io::Event, port::Port};
use crate::{
    queue::Queue,
    reason::Reason,
    verify::{
        unit::{self, Action, State},
        weather::Weather,
    },
    wire::{Message, Open, Settled},
};

pub(super) use admit::{Places, TASK};
pub(super) use close::slashed;

/// Everything about tasks.
#[derive(Debug)]
pub(super) struct Market {
    queue: Queue,
    bench: Bench,
    tasks: BTreeMap<Id, Task>,
    of_submitter: BTreeMap<AccountId, BTreeSet<Id>>,
    /// Tasks that want a worker in the next round, out of turn.
    wanting: BTreeSet<Id>,
    /// Tasks of which the queue says when their turn is.
    queued: BTreeSet<Id>,
    leases: BTreeMap<Id, LeaseOut>,
    of_worker: BTreeMap<AccountId, BTreeSet<Id>>,
    /// When heartbeats are missed, by lease.
    beats: BTreeSet<(u64, Id)>,
    /// When tasks have to be looked at.
    due: BTreeSet<(u64, Id)>,
    /// What was settled last, for submitters that ask again.
    settled: BTreeMap<Id, Settled>,
    settled_order: VecDeque<Id>,
    results: Results,
    places: Places,
    weather: Weather,
    /// Bytes that open tasks may need.
    held_bytes: usize,
    last_lease: u64,
    is_draining: bool,
}

/// A message about tasks, and what the door found out about it.
pub(super) struct Mail {
    pub(super) link: crate::node::Link,
    pub(super) message: Message,
    /// The name of what it carries signed.
    pub(super) id: Id,
    /// Its bytes.
    pub(super) frame: Vec<u8>,
    /// The round that is open.
    pub(super) round: u64,
}

/// A lease in a worker's hands.
#[derive(Debug)]
struct LeaseOut {
    worker: AccountId,
    /// Tasks of it that are not done.
    open: BTreeSet<(Id, u32)>,
    missed_ms: u64,
}

impl Market {
    pub(super) fn new(queue: crate::queue::Settings, places: Places, last_lease: u64) -> Self {
        Market {
            queue: Queue::new(queue),
            bench: Bench::default(),
            tasks: BTreeMap::new(),
            of_submitter: BTreeMap::new(),
            wanting: BTreeSet::new(),
            queued: BTreeSet::new(),
            leases: BTreeMap::new(),
            of_worker: BTreeMap::new(),
            beats: BTreeSet::new(),
            due: BTreeSet::new(),
            settled: BTreeMap::new(),
            settled_order: VecDeque::new(),
            results: Results::default(),
            places,
            weather: Weather::default(),
            held_bytes: 0,
            last_lease,
            is_draining: false,
        }
    }

    /// Takes a message about tasks.
    pub(super) fn take(&mut self, mail: Mail, desk: &mut Desk, port: &mut Port<'_, '_>) {
        let Mail { link, message, id, frame, round } = mail;
        let Some(account) = port.links.get(link).and_then(|s| s.edge()).map(|edge| edge.account) else {
            return;
        };
        let (about, done) = match message {
            Message::Submit(submit) => (id, self.submit((link, account), submit, id, round, desk, port)),
            Message::Cancel(cancel) => (cancel.task, self.cancel(account, cancel.task, desk, port)),
            Message::Keys(keys) => (keys.task, self.keys(account, keys, port)),
            Message::Part(part) => (part.task, self.part(account, part, frame, desk, port)),
            Message::Offer(offer) => (id, self.offer(link, account, offer, desk, port)),
            Message::Heartbeat(beat) => (beat.lease, self.heartbeat(&account, beat.lease, port)),
            Message::HandBack(back) => (back.lease, self.hand_back(account, &back, desk, port)),
            Message::Committed(c) => {
                (c.batch.value.lease, self.committed(account, &c.batch.value, desk, port))
            }
            Message::Revealed(r) => (r.batch.value.lease, self.revealed(account, &r.batch.value, desk, port)),
            _ => (Id::ZERO, Err((Reason::MessageUnexpected, ""))),
        };
        if let Err((reason, detail)) = done {
            port.refuse(link, about, reason, retry_ms(reason), detail);
        }
    }

    /// Whether somebody waits for a round to end.
    pub(super) fn wants_draws(&self) -> bool {
        !self.wanting.is_empty() || !self.queued.is_empty()
    }

    /// Nobody speaks for an account any more. What it has in hand is not taken from it before its heartbeats are missed.
    pub(super) fn left(&mut self, account: AccountId) {
        self.bench.left(account);
    }

    /// Standing and stakes are looked up anew.
    pub(super) fn epoch_began(&mut self, desk: &Desk, port: &Port<'_, '_>) {
        for worker in self.bench.accounts() {
            self.was_slashed(worker, desk, port);
        }
    }

    /// What the ledger says of a worker changed.
    pub(super) fn was_slashed(&mut self, worker: AccountId, desk: &Desk, port: &Port<'_, '_>) {
        self.bench.refresh(worker, desk.ledger(), &port.me.account, port.epoch());
    }

    /// No more tasks: those that nobody has go back.
    pub(super) fn drain(&mut self, desk: &mut Desk, port: &mut Port<'_, '_>) {
        self.is_draining = true;
        let has_nobody = |task: &Task| task.seats.iter().all(|seat| seat.is_done);
        let idle: Vec<Id> = self.tasks.iter().filter(|(_, t)| has_nobody(t)).map(|(id, _)| *id).collect();
        idle.into_iter().for_each(|id| self.give_up(id, Reason::Draining, desk, port));
    }

    /// What is not done goes back.
    pub(super) fn stop(&mut self, desk: &mut Desk, port: &mut Port<'_, '_>) {
        let all: Vec<Id> = self.tasks.keys().copied().collect();
        all.into_iter().for_each(|id| self.give_up(id, Reason::Draining, desk, port));
    }

    /// Whether nothing is left to be settled.
    pub(super) fn is_settled(&self) -> bool {
        self.tasks.values().all(|task| matches!(task.stage, Stage::Over))
    }

    /// What there is to give away, or to take.
    pub(super) fn capacity(&self) -> crate::bus::Capacity {
        let (workers, slots) = (self.bench.len() as u32, self.bench.slots());
        let open_tasks = self.queue.len() as u32;
        crate::bus::Capacity { workers, free_slots: slots.free, open_tasks }
    }

    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        let (due, beat) = (self.due.first(), self.beats.first());
        due.into_iter().chain(beat).map(|(at_ms, _)| *at_ms).min()
    }

    /// What time brings.
    pub(super) fn tick(&mut self, desk: &mut Desk, port: &mut Port<'_, '_>) {
        let now_ms = port.now_ms();
        while let Some(&(at_ms, lease)) = self.beats.first()
            && at_ms <= now_ms
        {
            self.miss(lease, desk, port);
        }
        while let Some(&(at_ms, id)) = self.due.first()
            && at_ms <= now_ms
        {
            self.due.remove(&(at_ms, id));
            if let Some(task) = self.tasks.get_mut(&id) {
                task.due_ms = None;
            }
            self.look(id, desk, port);
            self.watch(id, port);
        }
    }

    /// Looks at a task whose time has come.
    fn look(&mut self, id: Id, desk: &mut Desk, port: &mut Port<'_, '_>) {
        let (now_ms, seal_ms) = (port.now_ms(), port.me.config.seal_ms);
        let Some(task) = self.tasks.get(&id) else { return };
        match &task.stage {
            Stage::Saving(_) => {}
            Stage::Settling(_) => self.propose(id, desk, port),
            Stage::Over => drop(self.step(id, unit::Event::Tick, desk, port)),
            Stage::Open => {
                let late = |seat: &task::Seat| {
                    !seat.is_done && !task.is_sealed_for(seat) && seat.drawn_ms + seal_ms <= now_ms
                };
                if task.end_ms <= now_ms {
                    self.give_up(id, Reason::Inconclusive, desk, port);
                } else if task.seats.is_empty() && task.ttl_ms <= now_ms {
                    let reason = if task.was_capable { Reason::Expired } else { Reason::NobodyCapable };
                    self.give_up(id, reason, desk, port);
                } else if task.seats.iter().any(late) {
                    self.give_up(id, Reason::NotSealed, desk, port);
                } else if task.wanted.is_some_and(|w| w.until_ms.is_some_and(|until_ms| until_ms <= now_ms)) {
                    self.nobody_drawn(id, desk, port);
                } else {
                    self.step(id, unit::Event::Tick, desk, port);
                }
            }
        }
    }

    /// Tells a task's unit what happened, and does what it asks for. Whether it was taken.
    fn step(&mut self, id: Id, event: unit::Event, desk: &mut Desk, port: &mut Port<'_, '_>) -> bool {
        let Some(task) = self.tasks.get_mut(&id) else { return false };
        let stepped = task.unit.step(port.now_ms(), event);
        let taken = stepped.is_ok();
        // Whoever is over its time hands its slot back before somebody else is drawn.
        self.sweep(id, port);
        for action in stepped.unwrap_or_default() {
            self.act(id, action, desk, port);
        }
        self.close_if_judged(id);
        self.watch(id, port);
        taken
    }

    fn act(&mut self, id: Id, action: Action, desk: &mut Desk, port: &mut Port<'_, '_>) {
        match action {
            Action::Draw { established } => self.want(id, established, port),
            Action::OpenReveals(assignments) => {
                let Some(task) = self.tasks.get_mut(&id) else { return };
                for seat in task.seats.iter_mut().filter(|seat| assignments.contains(&seat.id)) {
                    seat.is_open = true;
                    port.tell(&seat.worker, Open { tasks: vec![id] });
                }
            }
            // Known rows are the submitter's to compare, and nothing on the wire says what it found: the unit goes on
            // without an answer when its time is over.
            Action::Check(_) => {}
            Action::Decided(decision) => self.decided(id, &decision, desk, port),
            Action::Judged(judgement) => self.judged(id, judgement, desk, port),
        }
    }

    /// Seats that ended without a result are freed, and their workers do not get the task again.
    fn sweep(&mut self, id: Id, port: &mut Port<'_, '_>) {
        let Some(task) = self.tasks.get(&id) else { return };
        let ended = |seat: &&task::Seat| {
            !seat.is_done && !matches!(task.unit.state(&seat.id), None | Some(State::Init))
        };
        let ended: Vec<(u32, AccountId, bool)> = (0u32..)
            .zip(&task.seats)
            .filter(|(_, seat)| ended(seat))
            .map(|(number, seat)| {
                let failed = matches!(task.unit.state(&seat.id), Some(State::TooLate | State::Error));
                (number, seat.worker, failed)
            })
            .collect();
        for (number, worker, failed) in ended {
            self.leave(id, number);
            if failed {
                let random = port.random_u64();
                if let Ok(Some(_)) = self.queue.failed(id, worker, port.now_ms(), random) {
                    self.queued.insert(id);
                }
                port.event(Event::Lost { task: id, worker, reason: Reason::TooLate });
            }
        }
    }

    /// A worker does nothing more for a task: its slot is free, its lease one task shorter.
    fn leave(&mut self, id: Id, number: u32) {
        let Some(seat) = self.tasks.get_mut(&id).and_then(|task| task.seats.get_mut(number as usize)) else {
            return;
        };
        if std::mem::replace(&mut seat.is_done, true) {
            return;
        }
        let (worker, lease) = (seat.worker, seat.lease);
        self.bench.free(worker);
        let Some(out) = self.leases.get_mut(&lease) else { return };
        out.open.remove(&(id, number));
        if out.open.is_empty() {
            self.beats.remove(&(out.missed_ms, lease));
            self.leases.remove(&lease);
            if let Some(leases) = self.of_worker.get_mut(&worker) {
                leases.remove(&lease);
                if leases.is_empty() {
                    self.of_worker.remove(&worker);
                }
            }
        }
    }

    /// Puts a task where its next deadline is.
    fn watch(&mut self, id: Id, port: &Port<'_, '_>) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let due_ms = task.deadline_ms(port.me.config.seal_ms);
        if due_ms == task.due_ms {
            return;
        }
        if let Some(was_ms) = std::mem::replace(&mut task.due_ms, due_ms) {
            self.due.remove(&(was_ms, id));
        }
        if let Some(due_ms) = due_ms {
            self.due.insert((due_ms, id));
        }
    }
}

/// How long to wait before one asks again, where that may help.
fn retry_ms(reason: Reason) -> u64 {
    match reason {
        Reason::RelayFull | Reason::OpenTasksExceeded | Reason::NotStored => 1_000,
        Reason::Draining => 5_000,
        _ => 0,
    }
}

/// Why a message about tasks is refused.
type Refusal = (Reason, &'static str);
