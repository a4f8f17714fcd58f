//! What workers say: that they live, that they will not, what they bind themselves to, what they show.

use identity::AccountId;
use ledger::Id;

use super::{Desk, Event, Market, Port, Refusal};
use crate::{
    reason::Reason,
    verify::unit::{self, Tag},
    wire::{CommitBatch, HandBack, RevealBatch},
};

/// When heartbeats count as missed: after two, and half of one for the way.
pub(super) fn missed_after_ms(heartbeat_ms: u32) -> u64 {
    u64::from(heartbeat_ms) * 5 / 2
}

impl Market {
    /// A worker lives.
    pub(super) fn heartbeat(
        &mut self,
        worker: &AccountId,
        lease: Id,
        port: &Port<'_, '_>,
    ) -> Result<(), Refusal> {
        let missed_ms = port.now_ms().saturating_add(missed_after_ms(port.me.config.heartbeat_ms));
        let out = self.leases.get_mut(&lease).filter(|out| out.worker == *worker);
        let out = out.ok_or((Reason::LeaseUnknown, ""))?;
        self.beats.remove(&(out.missed_ms, lease));
        out.missed_ms = missed_ms;
        self.beats.insert((missed_ms, lease));
        Ok(())
    }

    /// A lease's heartbeats are missed: its tasks go to others.
    pub(super) fn miss(&mut self, lease: Id, desk: &mut Desk, port: &mut Port<'_, '_>) {
        let Some(out) = self.leases.get(&lease) else { return };
        self.beats.remove(&(out.missed_ms, lease));
        let (worker, open) = (out.worker, out.open.clone());
        for (id, number) in open {
            self.fail(id, number, worker, Reason::HeartbeatMissed, desk, port);
        }
    }

    /// A worker gives tasks back.
    pub(super) fn hand_back(
        &mut self,
        worker: AccountId,
        back: &HandBack,
        desk: &mut Desk,
        port: &mut Port<'_, '_>,
    ) -> Result<(), Refusal> {
        let out = self.leases.get(&back.lease).filter(|out| out.worker == worker);
        let out = out.ok_or((Reason::LeaseUnknown, ""))?;
        let open: Vec<(Id, u32)> =
            out.open.iter().filter(|(id, _)| back.tasks.contains(id)).copied().collect();
        let reason = Reason::from_code(back.reason).unwrap_or(Reason::HandedBack);
        for (id, number) in open {
            self.fail(id, number, worker, reason, desk, port);
        }
        Ok(())
    }

    /// A worker will not do its part.
    fn fail(
        &mut self,
        id: Id,
        number: u32,
        worker: AccountId,
        reason: Reason,
        desk: &mut Desk,
        port: &mut Port<'_, '_>,
    ) {
        let Some(seat) = self.tasks.get_mut(&id).and_then(|task| task.seat_of(number, &worker)) else {
            return;
        };
        let assignment = seat.id;
        port.event(Event::Lost { task: id, worker, reason });
        if !self.step(id, unit::Event::Failed { assignment }, desk, port) {
            // It is bound already: its time to show runs, and its slot is free.
            self.leave(id, number);
        }
    }

    /// Answers that nobody can see.
    pub(super) fn committed(
        &mut self,
        worker: AccountId,
        batch: &CommitBatch,
        desk: &mut Desk,
        port: &mut Port<'_, '_>,
    ) -> Result<(), Refusal> {
        self.check_batch(&worker, &batch.worker, &batch.lease)?;
        let mut done = Ok(());
        for commit in &batch.commits {
            let Some(assignment) = self.seat_id(commit.task, commit.number, &worker, &batch.lease) else {
                done = Err((Reason::LeaseUnknown, "no such assignment"));
                continue;
            };
            let bound = Id::from_bytes(commit.commit);
            if !self.step(commit.task, unit::Event::Committed { assignment, commit: bound }, desk, port) {
                done = Err((Reason::TooLate, "not waited for"));
            }
        }
        done
    }

    /// Answers are shown. Each counts when its sealed result is here too, so that nobody is paid for what nobody can read.
    pub(super) fn revealed(
        &mut self,
        worker: AccountId,
        batch: &RevealBatch,
        desk: &mut Desk,
        port: &mut Port<'_, '_>,
    ) -> Result<(), Refusal> {
        if batch.worker != worker {
            return Err((Reason::LeaseUnknown, "another's answers"));
        }
        let mut done = Ok(());
        for reveal in &batch.reveals {
            let seat = self.tasks.get_mut(&reveal.task).and_then(|task| task.seat_of(reveal.number, &worker));
            let Some(seat) = seat.filter(|seat| seat.lease == batch.lease) else {
                done = Err((Reason::LeaseUnknown, "no such assignment"));
                continue;
            };
            if !seat.is_open {
                done = Err((Reason::MessageUnexpected, "not asked for"));
                continue;
            }
            let (tag, ciphertext) = (Tag::from_bytes(reveal.tag), reveal.result_hash);
            seat.reveal.get_or_insert(unit::Reveal { tag, ciphertext, nonce: reveal.nonce });
            done = done.and(self.show(reveal.task, reveal.number, desk, port));
        }
        done
    }

    /// Shows the unit an answer if both it and its result are here.
    pub(super) fn show(
        &mut self,
        id: Id,
        number: u32,
        desk: &mut Desk,
        port: &mut Port<'_, '_>,
    ) -> Result<(), Refusal> {
        let Some(seat) = self.tasks.get(&id).and_then(|task| task.seats.get(number as usize)) else {
            return Ok(());
        };
        let Some(reveal) = seat.reveal.filter(|_| seat.result.is_whole() && !seat.is_done) else {
            return Ok(());
        };
        if seat.result.hash() != reveal.ciphertext {
            return Err((Reason::CommitBroken, "the result is not the one that was bound"));
        }
        let assignment = seat.id;
        if self.step(id, unit::Event::Revealed { assignment, reveal }, desk, port) {
            self.leave(id, number);
            return Ok(());
        }
        Err((Reason::CommitBroken, "not what was bound, or too late"))
    }

    fn check_batch(&self, worker: &AccountId, signer: &AccountId, lease: &Id) -> Result<(), Refusal> {
        let out = self.leases.get(lease).filter(|out| out.worker == *worker && signer == worker);
        out.map(drop).ok_or((Reason::LeaseUnknown, ""))
    }

    fn seat_id(&self, id: Id, number: u32, worker: &AccountId, lease: &Id) -> Option<Id> {
        let seat = self.tasks.get(&id)?.seats.get(number as usize)?;
        (seat.worker == *worker && seat.lease == *lease).then_some(seat.id)
    }
}
