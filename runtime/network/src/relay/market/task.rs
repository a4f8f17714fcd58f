//! One task at a relay: what came of it, who has it, and when somebody has to look at it.

use std::sync::Arc;

use identity::AccountId;
use ledger::{Id, resolve::SignedResolve};
use sha2::{Digest, Sha256};

use crate::{
    node::Link,
    reason::Reason,
    session::relay::Encoded,
    verify::{
        policy::{Level, Options, Rules, Strategy},
        unit::{Reveal, Unit},
        weather::Weather,
    },
    wire::{Envelope, Part, Settled, Signed, Submit},
};

/// A task that was sent in.
#[derive(Debug)]
pub(in crate::relay) struct Task {
    pub(super) signed: Signed<Envelope>,
    /// The lock that pays for it, and what that holds.
    pub(super) escrow: Id,
    pub(super) escrow_ucredits: u64,
    pub(super) avoid: Vec<AccountId>,
    /// Where it lies in the store.
    pub(super) place: u32,
    /// The round in which it was accepted.
    pub(super) round: u64,
    pub(super) stage: Stage,
    pub(super) unit: Unit,
    /// A worker is wanted.
    pub(super) wanted: Option<Wanted>,
    /// By assignment number.
    pub(super) seats: Vec<Seat>,
    pub(super) payload: Upload,
    /// Some worker that could do it stood.
    pub(super) was_capable: bool,
    /// Given up if nobody has it by then.
    pub(super) ttl_ms: u64,
    /// Over by then, whatever its workers do.
    pub(super) end_ms: u64,
    /// When it is looked at, if it is.
    pub(super) due_ms: Option<u64>,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    /// It is being written down, and its submitter waits here.
    Saving(Link),
    /// It waits for workers or they work on it.
    Open,
    /// Its escrow is being resolved.
    Settling(Box<Settling>),
    /// Its escrow is resolved; workers that are late may still be judged.
    Over,
}

/// The resolve of an escrow, on its way to a certificate.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) resolve: SignedResolve,
    /// What the submitter is told when it is certified.
    pub(super) settled: Settled,
    pub(super) again_ms: Option<u64>,
}

/// A worker that is wanted for a task.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) established: bool,
    /// Nobody is looked for after this. The first worker is looked for as long as the task may wait.
    pub(super) until_ms: Option<u64>,
}

/// A worker of a task.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) id: Id,
    pub(super) worker: AccountId,
    pub(super) stake: Id,
    pub(super) site: Id,
    pub(super) block: crate::limits::Block,
    pub(super) established: bool,
    /// It would be believed alone.
    pub(super) is_trusted: bool,
    pub(super) lease: Id,
    pub(super) drawn_ms: u64,
    /// The payload key wrapped for it.
    pub(super) key: Option<Vec<u8>>,
    pub(super) is_open: bool,
    pub(super) reveal: Option<Reveal>,
    pub(super) result: Upload,
    /// It does nothing more for this task.
    pub(super) is_done: bool,
    /// What it does no longer counts as unsettled.
    pub(super) is_settled: bool,
}

/// Bytes that come in parts, kept as the frames that they came in.
#[derive(Debug, Default)]
pub(super) struct Upload {
    pub(super) frames: Vec<Encoded>,
    have_bytes: u32,
    total_bytes: u32,
    hash: Sha256,
}

impl Upload {
    /// Takes the next part. What is there already is not taken again. Gives the frame if it is one more.
    pub(super) fn take(
        &mut self,
        part: &Part,
        frame: Vec<u8>,
        most_bytes: u32,
    ) -> Result<Option<Encoded>, Reason> {
        let bytes = u32::try_from(part.bytes.len()).map_err(|_| Reason::FrameInvalid)?;
        let end = part.offset.checked_add(bytes).ok_or(Reason::FrameInvalid)?;
        if part.total > most_bytes {
            return Err(Reason::TermsExceeded);
        }
        let same = self.total_bytes == 0 || part.total == self.total_bytes;
        if !same || bytes == 0 || end > part.total || part.offset > self.have_bytes {
            return Err(Reason::FrameInvalid);
        }
        if end <= self.have_bytes {
            return Ok(None);
        }
        if part.offset < self.have_bytes {
            return Err(Reason::FrameInvalid);
        }
        (self.total_bytes, self.have_bytes) = (part.total, end);
        self.hash.update(&part.bytes);
        let frame: Encoded = Arc::new(frame);
        self.frames.push(frame.clone());
        Ok(Some(frame))
    }

    pub(super) fn is_whole(&self) -> bool {
        self.total_bytes > 0 && self.have_bytes == self.total_bytes
    }

    /// SHA-256 of what came.
    pub(super) fn hash(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }
}

impl Task {
    /// A task that is only there to be settled.
    pub(super) fn restored(submit: Submit, escrow_ucredits: u64, place: u32, id: Id) -> Self {
        let options = Options { strategy: Strategy::Adaptive, level: Level::Normal, hidden_rows: false };
        let rules = Rules::of(options, &Weather::default()).expect("adaptive fixes no replicas");
        Task {
            signed: submit.envelope,
            escrow: submit.escrow,
            escrow_ucredits,
            avoid: vec![],
            place,
            round: 0,
            stage: Stage::Open,
            unit: Unit::open(id, rules).0,
            wanted: None,
            seats: vec![],
            payload: Upload::default(),
            was_capable: false,
            ttl_ms: u64::MAX,
            end_ms: u64::MAX,
            due_ms: None,
        }
    }

    pub(super) fn needs_bytes(&self) -> usize {
        super::admit::needs_bytes(self.envelope())
    }

    pub(super) fn envelope(&self) -> &Envelope {
        &self.signed.value
    }

    pub(super) fn seat_of(&mut self, number: u32, worker: &AccountId) -> Option<&mut Seat> {
        self.seats.get_mut(number as usize).filter(|seat| seat.worker == *worker)
    }

    /// Whether the submitter has done its part for a worker.
    pub(super) fn is_sealed_for(&self, seat: &Seat) -> bool {
        seat.key.is_some() && self.payload.is_whole()
    }

    /// When somebody has to look at it.
    pub(super) fn deadline_ms(&self, seal_ms: u64) -> Option<u64> {
        match &self.stage {
            Stage::Saving(_) => None,
            Stage::Settling(settling) => settling.again_ms,
            Stage::Over => self.unit.next_deadline_ms(),
            Stage::Open => {
                let unsealed = self.seats.iter().filter(|seat| !seat.is_done && !self.is_sealed_for(seat));
                let sealed = unsealed.map(|seat| seat.drawn_ms.saturating_add(seal_ms)).min();
                let wanted = self.wanted.and_then(|wanted| wanted.until_ms);
                let first = self.seats.is_empty().then_some(self.ttl_ms);
                let all = [self.unit.next_deadline_ms(), sealed, wanted, first, Some(self.end_ms)];
                all.into_iter().flatten().min()
            }
        }
    }
}
