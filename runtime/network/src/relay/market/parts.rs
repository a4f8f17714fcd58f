//! What is sealed passes through: payloads to workers, results to submitters. The relay keeps the frames it got and opens
//! none of them.

use identity::AccountId;
use ledger::Id;

use super::{Desk, Market, Port, Refusal, Stage};
use crate::{
    reason::Reason,
    wire::{Flow, Keys, Part, WrappedFor},
};

impl Market {
    /// A submitter sealed a task's key for workers that were drawn.
    pub(super) fn keys(
        &mut self,
        account: AccountId,
        keys: Keys,
        port: &mut Port<'_, '_>,
    ) -> Result<(), Refusal> {
        let id = keys.task;
        let Keys { keys, .. } = keys;
        let task = self.tasks.get_mut(&id).filter(|task| task.envelope().submitter == account);
        let task = task.ok_or((Reason::TaskUnknown, ""))?;
        if !matches!(task.stage, Stage::Open) {
            return Err((Reason::TooLate, "the task is decided"));
        }
        for WrappedFor { number, key } in keys {
            let seat =
                task.seats.get_mut(number as usize).ok_or((Reason::LeaseUnknown, "no such assignment"))?;
            // The first key counts: a worker opens a task once.
            if seat.key.is_none() && !seat.is_done {
                let worker = seat.worker;
                seat.key = Some(key.clone());
                port.tell(&worker, Keys { task: id, keys: vec![WrappedFor { number, key }] });
                port.tell_frames(&worker, &task.payload.frames);
            }
        }
        self.watch(id, port);
        Ok(())
    }

    /// A part of a payload or a result.
    pub(super) fn part(
        &mut self,
        account: AccountId,
        part: Part,
        frame: Vec<u8>,
        desk: &mut Desk,
        port: &mut Port<'_, '_>,
    ) -> Result<(), Refusal> {
        match part.flow {
            Flow::Payload => self.payload(account, part, frame, port),
            Flow::Result(number) => self.result(account, number, part, frame, desk, port),
        }
    }

    fn payload(
        &mut self,
        account: AccountId,
        part: Part,
        frame: Vec<u8>,
        port: &mut Port<'_, '_>,
    ) -> Result<(), Refusal> {
        let id = part.task;
        let task = self.tasks.get_mut(&id).filter(|task| task.envelope().submitter == account);
        let task = task.ok_or((Reason::TaskUnknown, ""))?;
        if !matches!(task.stage, Stage::Open) {
            return Err((Reason::TooLate, "the task is decided"));
        }
        let bytes = task.envelope().payload_bytes;
        if part.total != bytes {
            return Err((Reason::EnvelopeInvalid, "the envelope announces another length"));
        }
        let Some(frame) = task.payload.take(&part, frame, bytes).map_err(|reason| (reason, "payload"))?
        else {
            return Ok(());
        };
        for seat in task.seats.iter().filter(|seat| seat.key.is_some() && !seat.is_done) {
            port.tell_frames(&seat.worker, [&frame]);
        }
        self.watch(id, port);
        Ok(())
    }

    fn result(
        &mut self,
        account: AccountId,
        number: u32,
        part: Part,
        frame: Vec<u8>,
        desk: &mut Desk,
        port: &mut Port<'_, '_>,
    ) -> Result<(), Refusal> {
        let id = part.task;
        let task = self.tasks.get_mut(&id).ok_or((Reason::TaskUnknown, ""))?;
        let most = task.envelope().max_result_bytes;
        let seat = task.seat_of(number, &account).ok_or((Reason::LeaseUnknown, "no such assignment"))?;
        // Before the reveals are opened, nobody has a reason to send; after its own, a seat takes no more.
        if !seat.is_open || seat.is_done {
            return Err((Reason::MessageUnexpected, "not asked for"));
        }
        seat.result.take(&part, frame, most).map_err(|reason| (reason, "result"))?;
        self.show(id, number, desk, port)
    }

    /// What a worker asks for when it comes back: whatever it may have missed of what it has in hand.
    pub(in crate::relay) fn back(&mut self, worker: AccountId, port: &mut Port<'_, '_>) {
        let leases = self.of_worker.get(&worker).into_iter().flatten();
        let open: Vec<(Id, u32)> =
            leases.filter_map(|lease| self.leases.get(lease)).flat_map(|out| out.open.clone()).collect();
        for (id, number) in open {
            let Some(task) = self.tasks.get(&id) else { continue };
            let Some(seat) = task.seats.get(number as usize) else { continue };
            if let Some(key) = &seat.key {
                port.tell(&worker, Keys { task: id, keys: vec![WrappedFor { number, key: key.clone() }] });
                port.tell_frames(&worker, &task.payload.frames);
            }
            if seat.is_open {
                port.tell(&worker, crate::wire::Open { tasks: vec![id] });
            }
        }
    }
}
