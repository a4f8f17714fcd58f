//! A round ends: its beacon draws workers, and they hear of it.

use std::collections::{BTreeMap, BTreeSet};

use identity::AccountId;
use ledger::{Id, exposure::Standing};

use super::{Desk, Event, LeaseOut, Market, Port, Stage, task};
use crate::{
    capability::{Backend, Need},
    draw::{self, Excluded, Lot},
    queue::Placement,
    relay::rounds::Turn,
    verify::unit,
    wire::{Assigned, Assignee, Envelope, Lease, Leased, LeasedTask, Signable, Signed, Tier, assignment_id},
};

/// What was drawn in a round and has not been told yet.
#[derive(Default)]
struct Drawn {
    of_task: BTreeMap<Id, Vec<Assignee>>,
    of_worker: BTreeMap<AccountId, Vec<(Id, LeasedTask)>>,
}

impl Market {
    /// A worker is wanted for a task.
    pub(super) fn want(&mut self, id: Id, established: bool, port: &Port<'_, '_>) {
        let until_ms = port.now_ms().saturating_add(port.me.config.redraw_ms);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let is_queued = self.queued.contains(&id);
        let until_ms = (!is_queued && !task.seats.is_empty()).then_some(until_ms);
        task.wanted = Some(task::Wanted { established, until_ms });
        if !is_queued {
            self.wanting.insert(id);
        }
    }

    /// Nobody was found for a task in time.
    pub(super) fn nobody_drawn(&mut self, id: Id, desk: &mut Desk, port: &mut Port<'_, '_>) {
        self.wanting.remove(&id);
        if let Some(task) = self.tasks.get_mut(&id) {
            task.wanted = None;
        }
        self.step(id, unit::Event::NobodyDrawn, desk, port);
    }

    /// Draws with the beacon of a round that ended: replicas of what runs first, then whose turn it is.
    pub(in crate::relay) fn draw(&mut self, turn: &Turn, desk: &mut Desk, port: &mut Port<'_, '_>) {
        // The digest of the claims as they stood, which is what anybody draws from again.
        let claims = Id::from_bytes(self.bench.claims().digest());
        let mut drawn = Drawn::default();
        let _ = self.queue.tick(port.now_ms());
        let wanting: Vec<Id> = self.wanting.iter().copied().take(MAX_REDRAWS).collect();
        for id in wanting {
            self.draw_for(id, turn, &mut drawn, desk, port);
        }
        let mut early = Vec::new();
        while self.bench.slots().free > 0
            && let Some(id) = self.queue.next(self.bench.slots()).map(|task| task.id)
        {
            let Some(task) = self.tasks.get(&id) else {
                let _ = self.queue.finish(id);
                continue;
            };
            let is_fixed = matches!(task.stage, Stage::Open) && task.round < turn.reveals.round;
            match task.wanted {
                _ if !is_fixed => early.push(id),
                None => drop(self.queued.remove(&id)),
                Some(_) => {
                    self.queued.remove(&id);
                    self.draw_for(id, turn, &mut drawn, desk, port);
                }
            }
        }
        for id in early {
            // No failure: it waits for the next round.
            let _ = self.queue.put_back(id, port.now_ms(), 0);
        }
        self.tell(drawn, turn, claims, port);
    }

    /// Draws workers for a task as long as its unit wants one and somebody is there.
    fn draw_for(&mut self, id: Id, turn: &Turn, drawn: &mut Drawn, desk: &mut Desk, port: &mut Port<'_, '_>) {
        self.wanting.remove(&id);
        while let Some(wanted) = self.tasks.get(&id).and_then(|task| task.wanted) {
            let Some(worker) = self.pick(id, wanted.established, turn, desk, port) else {
                return self.wait(id, port);
            };
            if !self.assign(id, worker, drawn, desk, port) {
                return self.wait(id, port);
            }
        }
    }

    /// Nobody could take a task: a first worker is looked for in the queue's order, a replica in every round.
    fn wait(&mut self, id: Id, port: &mut Port<'_, '_>) {
        let is_first = self.tasks.get(&id).is_some_and(|task| task.seats.is_empty());
        let random = port.random_u64();
        if is_first && self.queue.put_back(id, port.now_ms(), random).is_ok() {
            self.queued.insert(id);
            return;
        }
        self.wanting.insert(id);
        let until_ms = port.now_ms().saturating_add(port.me.config.redraw_ms);
        if let Some(wanted) = self.tasks.get_mut(&id).and_then(|task| task.wanted.as_mut()) {
            wanted.until_ms.get_or_insert(until_ms);
        }
        self.watch(id, port);
    }

    /// Whom the beacon gives a task to.
    fn pick(
        &mut self,
        id: Id,
        established: bool,
        turn: &Turn,
        desk: &Desk,
        port: &Port<'_, '_>,
    ) -> Option<AccountId> {
        let task = self.tasks.get(&id)?;
        let envelope = task.envelope();
        let (kind, price_ucredits) = (envelope.kind as u8, envelope.price_ucredits);
        let mut lot = Lot {
            task: id,
            epoch: port.epoch(),
            need: need(envelope),
            seats: 1,
            newcomer_seats: 0,
            excluded: self.excluded(task),
        };
        // One newcomer a task, beside an established worker: it earns and learns, and settles nothing.
        let has = |established: bool| task.seats.iter().any(|seat| seat.established == established);
        if !established && has(true) && !has(false) {
            (lot.seats, lot.newcomer_seats) = (2, 1);
        }
        for _ in 0..MAX_TRIES {
            let winners = draw::draw(&turn.beacon, &lot, self.bench.claims());
            let standing = |worker: &AccountId| self.bench.get(worker).map(|w| w.standing());
            let newcomer = winners.iter().find(|w| standing(w) == Some(Standing::Probation));
            let winner = *newcomer.or(winners.first())?;
            if let Some(task) = self.tasks.get_mut(&id) {
                task.was_capable = true;
            }
            let judged = self.bench.judge(&winner, kind, desk.ledger(), port.epoch())?;
            let exposure = self.bench.get(&winner)?.exposure(price_ucredits);
            if judged.may_take(exposure, port.me.config.check_rate_ppm).is_ok() {
                return Some(winner);
            }
            lot.excluded.workers.insert(winner);
        }
        None
    }

    /// Whom a task does not go to: those who have or had it and their neighbours, those its submitter avoids, and those who
    /// may not see it.
    fn excluded(&self, task: &task::Task) -> Excluded {
        let envelope = task.envelope();
        let mut workers: BTreeSet<AccountId> = task.avoid.iter().copied().collect();
        match envelope.tier {
            Tier::Public => {}
            Tier::Own => {
                let is_own = |account: &AccountId, _: &crate::wire::Claim| *account == envelope.submitter;
                workers.extend(self.bench.left_out(is_own));
            }
            Tier::Group => {
                let group = envelope.group;
                let is_in = |_: &AccountId, claim: &crate::wire::Claim| {
                    group.is_some_and(|group| claim.groups.contains(&group))
                };
                workers.extend(self.bench.left_out(is_in));
            }
        }
        workers.extend(task.seats.iter().map(|seat| seat.worker));
        Excluded {
            workers,
            sites: task.seats.iter().map(|seat| seat.site).collect(),
            blocks: task.seats.iter().map(|seat| seat.block).collect(),
        }
    }

    /// Seats a worker. Whether the unit takes it.
    fn assign(
        &mut self,
        id: Id,
        worker: AccountId,
        drawn: &mut Drawn,
        desk: &mut Desk,
        port: &mut Port<'_, '_>,
    ) -> bool {
        let Some(task) = self.tasks.get_mut(&id) else { return false };
        let (kind, price_ucredits) = (task.envelope().kind as u8, task.envelope().price_ucredits);
        let Some(judged) = self.bench.judge(&worker, kind, desk.ledger(), port.epoch()) else { return false };
        let number = task.seats.len() as u32;
        let assignment = assignment_id(&id, number);
        let Some(entry) = self.bench.get(&worker) else { return false };
        let placement = Placement { worker, site: entry.site(), block: entry.block() };
        let prekey = entry.prekey().to_vec();
        let stake = self.bench.take(worker, price_ucredits);
        task.seats.push(task::Seat {
            id: assignment,
            worker,
            stake,
            site: placement.site,
            block: placement.block,
            established: judged.standing.may_settle_alone(),
            is_trusted: judged.is_trusted(),
            lease: Id::ZERO,
            drawn_ms: port.now_ms(),
            key: None,
            is_open: false,
            reveal: None,
            result: task::Upload::default(),
            is_done: false,
            is_settled: false,
        });
        task.wanted = None;
        let commit_ms = task.envelope().timeout_ms;
        // The queue keeps who failed; that it finds a neighbour here cannot be, for neighbours were left out.
        let _ = self.queue.assign(id, placement, port.now_ms());
        drawn.of_task.entry(id).or_default().push(Assignee { number, worker, prekey });
        drawn
            .of_worker
            .entry(worker)
            .or_default()
            .push((id, LeasedTask { task: id, number, commit_ms, stake }));
        port.event(Event::Assigned { task: id, number, worker });
        if self.step(id, unit::Event::Assigned { assignment, worker: judged }, desk, port) {
            return true;
        }
        // What the draw leaves out, the unit refuses; a seat that it does not know is nobody's.
        self.leave(id, number);
        self.settle_seat(id, number);
        false
    }

    /// Says who was drawn: to submitters, and to workers, with one signature for all tasks of a lease.
    fn tell(&mut self, drawn: Drawn, turn: &Turn, claims: Id, port: &mut Port<'_, '_>) {
        for (worker, tasks) in drawn.of_worker {
            for tasks in tasks.chunks(Lease::MAX_TASKS) {
                self.lease(worker, tasks, turn, port);
            }
        }
        for (id, workers) in drawn.of_task {
            let Some(task) = self.tasks.get(&id) else { continue };
            let assigned = Assigned {
                task: id,
                beacon: turn.beacon.0,
                beacon_slot: turn.reveals.round,
                reveals: turn.reveals.values.clone(),
                claims,
                workers,
            };
            let submitter = task.envelope().submitter;
            port.tell(&submitter, assigned);
        }
    }

    fn lease(&mut self, worker: AccountId, tasks: &[(Id, LeasedTask)], turn: &Turn, port: &mut Port<'_, '_>) {
        let heartbeat_ms = port.me.config.heartbeat_ms;
        self.last_lease += 1;
        let lease = Lease {
            relay: port.me.account,
            worker,
            number: self.last_lease,
            beacon: turn.beacon.0,
            beacon_slot: turn.reveals.round,
            tasks: tasks.iter().map(|(_, task)| *task).collect(),
            epoch: port.epoch(),
            heartbeat_ms,
        };
        let lease_id = lease.id(port.me.network_id());
        let mut envelopes = Vec::with_capacity(tasks.len());
        for (id, leased) in tasks {
            let Some(task) = self.tasks.get_mut(id) else { continue };
            envelopes.push(task.signed.clone());
            if let Some(seat) = task.seats.get_mut(leased.number as usize) {
                seat.lease = lease_id;
            }
        }
        let missed_ms = port.now_ms().saturating_add(super::work::missed_after_ms(heartbeat_ms));
        let open = tasks.iter().map(|(id, leased)| (*id, leased.number)).collect();
        self.leases.insert(lease_id, LeaseOut { worker, open, missed_ms });
        self.of_worker.entry(worker).or_default().insert(lease_id);
        self.beats.insert((missed_ms, lease_id));
        let lease = Signed::sign(lease, port.me.network_id(), &port.me.key);
        port.tell(&worker, Leased { lease, envelopes });
    }
}

fn need(envelope: &Envelope) -> Need {
    let model = (envelope.model != Id::ZERO).then_some(envelope.model);
    Need { kind: envelope.kind, model, numerics: envelope.numerics, memory_mib: 0, backend: Backend::Cpu }
}

/// Most running tasks that are drawn for out of turn in a round.
const MAX_REDRAWS: usize = 4_096;
/// Winners that may have too little at risk before a task waits for another round.
const MAX_TRIES: usize = 8;
