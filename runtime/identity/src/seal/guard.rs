use std::collections::{BTreeMap, BTreeSet};

use super::{Assignment, OpenError};
use crate::{
    DecodeError,
    bytes::{Reader, hash},
    prekeys::ERASE_EPOCHS,
};

/// Remembers what was opened: a `(submitter, task, assignment number)` opens once.
///
/// It forgets an opening when the prekey that opened it is erased, for then those bytes open no more; the expiry is the
/// caller's word, and can neither shorten this nor draw it out by more than 48 hours: one further ahead is refused. What
/// the submitter seals anew to a later prekey, after that, is its own doing. It is bounded, and full it refuses. Its time
/// never goes back. Store it with the prekeys: a ring that came back without its guard would open everything again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenGuard {
    most: usize,
    latest_epoch: u64,
    /// The last epoch to remember each in.
    opened: BTreeMap<Opening, u64>,
    by_epoch: BTreeSet<(u64, Opening)>,
}

/// Hash of submitter, task and number. The submitter's signature is checked before it is remembered, so nobody uses up an
/// assignment of another's.
type Opening = [u8; 32];

impl OpenGuard {
    /// A guard that remembers nothing.
    pub fn new() -> Self {
        OpenGuard::holding(MAX_REMEMBERED)
    }

    /// A guard that remembers nothing, and at most so much at once.
    pub fn holding(most: usize) -> Self {
        OpenGuard { most, latest_epoch: 0, opened: BTreeMap::new(), by_epoch: BTreeSet::new() }
    }

    /// Assignments remembered.
    pub fn len(&self) -> usize {
        self.opened.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty()
    }

    /// Forgets what can no longer open. [`open`](super::open) does so too.
    pub fn forget(&mut self, epoch: u64) {
        self.latest_epoch = self.latest_epoch.max(epoch);
        while let Some(first) = self.by_epoch.first().copied().filter(|first| first.0 < self.latest_epoch) {
            self.by_epoch.remove(&first);
            self.opened.remove(&first.1);
        }
    }

    /// Whether this assignment may open: not expired, not opened before, and room to remember it. Returns the time, which is
    /// not before any the guard has seen.
    pub(super) fn check(
        &mut self,
        assignment: &Assignment,
        expiry_epoch: u64,
        epoch: u64,
    ) -> Result<u64, OpenError> {
        self.forget(epoch);
        let opened = self.opened.contains_key(&opening(assignment));
        let last_expiry = self.latest_epoch.saturating_add(ERASE_EPOCHS);
        let in_time = (self.latest_epoch..=last_expiry).contains(&expiry_epoch);
        if opened || !in_time || self.opened.len() >= self.most {
            return Err(OpenError);
        }
        Ok(self.latest_epoch)
    }

    /// After [`OpenGuard::check`] and after all else succeeded, so that nobody fills the guard with what does not open.
    /// `until`: the last epoch in which the same bytes could open.
    pub(super) fn remember(&mut self, assignment: &Assignment, until: u64) {
        self.insert(opening(assignment), until);
    }

    /// For storage: `version 1 | latest epoch (8) | count (u32) | (opening (32) | until (8)) for each, in order`. An opening
    /// is `SHA-256("edgenet/opening/v1" || submitter || task || number (u32))`.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.opened.len() * ENTRY_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.latest_epoch.to_be_bytes());
        bytes.extend_from_slice(&(self.opened.len() as u32).to_be_bytes());
        for (opening, until) in &self.opened {
            bytes.extend_from_slice(opening);
            bytes.extend_from_slice(&until.to_be_bytes());
        }
        bytes
    }

    /// Reads [`OpenGuard::encode`].
    ///
    /// # Errors
    /// Another length or version, too many entries, or entries that are not in order.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::counted("a guard", bytes, VERSION)?;
        let mut guard = OpenGuard { latest_epoch: reader.number_u64()?, ..OpenGuard::new() };
        let count = reader.number_u32()? as usize;
        if count > MAX_REMEMBERED {
            return Err(DecodeError::TooMany {
                what: "remembered openings",
                found: count,
                most: MAX_REMEMBERED,
            });
        }
        reader.must_be(count * ENTRY_BYTES)?;
        for _ in 0..count {
            let opening = reader.array()?;
            if guard.opened.last_key_value().is_some_and(|(last, _)| *last >= opening) {
                return Err(DecodeError::Field { what: "openings are not in order" });
            }
            guard.insert(opening, reader.number_u64()?);
        }
        Ok(guard)
    }

    fn insert(&mut self, opening: Opening, until: u64) {
        self.opened.insert(opening, until);
        self.by_epoch.insert((until, opening));
    }
}

impl Default for OpenGuard {
    fn default() -> Self {
        OpenGuard::new()
    }
}

fn opening(assignment: &Assignment) -> Opening {
    let Assignment { submitter, task, number, .. } = assignment;
    hash(&[b"edgenet/opening/v1", submitter.as_bytes(), task, &number.to_be_bytes()])
}

/// Most assignments remembered at once: six a second, for two days.
pub const MAX_REMEMBERED: usize = 1 << 20;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 8 + 4;
const ENTRY_BYTES: usize = 32 + 8;
