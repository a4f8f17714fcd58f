//! One assignment.

use identity::{AccountId, ResultKey, SealedPayload, WrappedKey};
use ledger::Id;
use zeroize::Zeroizing;

use crate::{
    edge::Act,
    node::{Context, Now},
    reason::Reason,
    sealed::{TaskKey, result_bytes, result_hash},
    submitter::{Gather, parts},
    verify::unit,
    wire::{Commit, Envelope, Flow, LeasedTask, Part, Reveal},
};

/// An assignment between its lease and its settlement.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) relay: AccountId,
    pub(super) lease: Id,
    pub(super) task: Id,
    pub(super) number: u32,
    pub(super) envelope: Envelope,
    pub(super) stage: Stage,
    /// What is due by then depends on the stage.
    pub(super) until_ms: u64,
    commit_ms: u64,
}

/// Where an assignment is.
pub(super) enum Stage {
    /// Key or payload are not there.
    Waiting { key: Option<Vec<u8>>, payload: Gather },
    /// It was opened, and that is being written down.
    Opened { plain: Zeroizing<Vec<u8>>, keys: TaskKeys },
    /// The shell works on it.
    Running { keys: TaskKeys },
    /// There is a result. It is committed to, or shown, or neither yet.
    Finished { shown: unit::Reveal, sealed: Vec<u8>, committed: bool, revealed: bool },
}

/// What a task's tag and result are made with.
pub(super) struct TaskKeys {
    task: TaskKey,
    result: ResultKey,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stage::Waiting { .. } => "Waiting",
            Stage::Opened { .. } => "Opened",
            Stage::Running { .. } => "Running",
            Stage::Finished { .. } => "Finished",
        })
    }
}

impl Job {
    pub(super) fn new(relay: AccountId, lease: Id, task: &LeasedTask, envelope: Envelope, now: Now) -> Self {
        Job {
            relay,
            lease,
            task: task.task,
            number: task.number,
            envelope,
            stage: Stage::Waiting { key: None, payload: Gather::default() },
            until_ms: now.ms + PAYLOAD_MS,
            commit_ms: u64::from(task.commit_ms),
        }
    }

    /// Whether it is not finished.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Finished { .. })
    }

    pub(super) fn takes_slot(&self) -> bool {
        self.is_open()
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting { .. })
    }

    /// Why it is late.
    pub(super) fn late(&self) -> Reason {
        match self.stage {
            Stage::Waiting { .. } => Reason::NotSealed,
            Stage::Opened { .. } => Reason::NotStored,
            Stage::Running { .. } => Reason::TimedOut,
            Stage::Finished { .. } => Reason::TooLate,
        }
    }

    /// Bytes that it keeps for others to ask for.
    pub(super) fn kept_bytes(&self) -> usize {
        match &self.stage {
            Stage::Finished { sealed, .. } => sealed.len(),
            Stage::Waiting { .. } | Stage::Opened { .. } | Stage::Running { .. } => 0,
        }
    }

    /// The first key that comes is taken.
    pub(super) fn take_key(&mut self, bytes: &[u8]) {
        if let Stage::Waiting { key, .. } = &mut self.stage {
            key.get_or_insert_with(|| bytes.to_vec());
        }
    }

    pub(super) fn take_part(&mut self, part: &Part) -> Result<(), Reason> {
        let Stage::Waiting { payload, .. } = &mut self.stage else { return Ok(()) };
        if part.total != self.envelope.payload_bytes {
            return Err(Reason::PayloadUnreadable);
        }
        payload.take(part, self.envelope.payload_bytes).map(drop).map_err(|_| Reason::PayloadUnreadable)
    }

    /// Key and payload, when both are there.
    pub(super) fn delivered(&self) -> Option<Result<(WrappedKey, SealedPayload), Reason>> {
        let Stage::Waiting { key: Some(key), payload } = &self.stage else { return None };
        if !payload.is_whole() {
            return None;
        }
        let read = |_| Reason::PayloadUnreadable;
        let key = WrappedKey::decode(key).map_err(read);
        Some(key.and_then(|key| Ok((key, SealedPayload::decode(payload.bytes()).map_err(read)?))))
    }

    pub(super) fn opened(&mut self, now: Now, plain: Vec<u8>, task: TaskKey, result: &ResultKey) {
        let keys = TaskKeys { task, result: ResultKey::from_bytes(*result.bytes()) };
        self.stage = Stage::Opened { plain: Zeroizing::new(plain), keys };
        self.until_ms = now.ms + self.commit_ms;
    }

    /// It is written down that it was opened: it may run.
    pub(super) fn run(&mut self, id: Id) -> Option<Act> {
        if !matches!(self.stage, Stage::Opened { .. }) {
            return None;
        }
        let nothing = Stage::Waiting { key: None, payload: Gather::default() };
        let Stage::Opened { mut plain, keys } = std::mem::replace(&mut self.stage, nothing) else {
            return None;
        };
        self.stage = Stage::Running { keys };
        let model = (self.envelope.model != Id::ZERO).then_some(self.envelope.model);
        let payload = std::mem::take(&mut *plain);
        Some(Act::Run { assignment: id, kind: self.envelope.kind, model, payload })
    }

    /// Seals a result and makes its tag. Bytes that are kept for it.
    pub(super) fn finish(&mut self, context: &mut Context<'_>, result: &[u8]) -> Result<usize, Reason> {
        let Stage::Running { keys } = &self.stage else { return Err(Reason::TaskFailed) };
        let most = self.envelope.max_result_bytes;
        if result_bytes(result.len()).is_none_or(|bytes| bytes > most) {
            return Err(Reason::TaskFailed);
        }
        let tag = keys.task.tag(&self.envelope, result);
        let sealed = keys.result.seal(result, context.random).map_err(|_| Reason::TaskFailed)?;
        let sealed = sealed.encode().to_vec();
        let mut nonce = [0; 32];
        (context.random)(&mut nonce);
        let shown = unit::Reveal { tag, ciphertext: result_hash(&sealed), nonce };
        let bytes = sealed.len();
        self.stage = Stage::Finished { shown, sealed, committed: false, revealed: false };
        self.until_ms = context.now.ms + super::KEEP_MS;
        Ok(bytes)
    }

    /// The commit, if it has not been sent on this connection.
    pub(super) fn commit(&mut self, id: &Id, worker: &AccountId) -> Option<Commit> {
        let Stage::Finished { shown, committed, .. } = &mut self.stage else { return None };
        if std::mem::replace(committed, true) {
            return None;
        }
        let commit = shown.commit(&self.task, id, worker);
        Some(Commit { task: self.task, number: self.number, commit: *commit.as_bytes() })
    }

    /// The reveal, of what is committed to.
    pub(super) fn reveal(&mut self) -> Option<Reveal> {
        let Stage::Finished { shown, committed: true, revealed, .. } = &mut self.stage else { return None };
        *revealed = true;
        Some(Reveal {
            task: self.task,
            number: self.number,
            tag: *shown.tag.as_bytes(),
            result_hash: shown.ciphertext,
            nonce: shown.nonce,
        })
    }

    /// The sealed result.
    pub(super) fn result_parts(&self) -> Vec<Part> {
        match &self.stage {
            Stage::Finished { sealed, .. } => parts(self.task, Flow::Result(self.number), sealed).collect(),
            Stage::Waiting { .. } | Stage::Opened { .. } | Stage::Running { .. } => Vec::new(),
        }
    }

    /// On another connection: a commit is sent again, unless the relay has asked for what is behind it.
    pub(super) fn resume(&mut self) {
        if let Stage::Finished { committed, revealed: false, .. } = &mut self.stage {
            *committed = false;
        }
    }
}

/// Key and payload have to come within this time.
pub const PAYLOAD_MS: u64 = 60_000;
