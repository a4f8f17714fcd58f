use ledger::{Holder, Id, op::SignedOp};

use super::Purpose;
use crate::node::Now;

/// An operation that is signed and not known to be certified.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) id: Id,
    pub(super) op: SignedOp,
    /// Who is to be told.
    pub(super) purpose: Option<Purpose>,
    /// It is on the disk, and may be sent.
    pub(super) stored: bool,
    /// When to see to it again.
    pub(super) due_ms: u64,
    tries: u32,
}

/// How an operation stands to its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// It is part of the chain.
    Certified,
    /// It would come next.
    Next,
    /// Others have to come before it.
    Ahead,
    /// Another one has its place.
    Replaced,
}

impl Pending {
    pub(super) fn signed(id: Id, op: SignedOp, purpose: Option<Purpose>, now: Now) -> Self {
        Pending { id, op, purpose, stored: false, due_ms: now.ms + LEAST_MS, tries: 0 }
    }

    /// One that the store remembers.
    pub(super) fn restored(id: Id, op: SignedOp) -> Self {
        Pending { id, op, purpose: None, stored: true, due_ms: 0, tries: 0 }
    }

    /// It is to be seen to again after a pause that doubles, and not before so long.
    pub(super) fn again(&mut self, now: Now, least_ms: u64) {
        let pause_ms = (LEAST_MS << self.tries.min(8)).min(MOST_MS);
        self.tries += 1;
        self.due_ms = now.ms.saturating_add(pause_ms.max(least_ms));
    }

    /// What an account says about it. Behind a later operation nobody can tell whether it was this one: the chain of an owner
    /// who signs with one machine has no other.
    pub(super) fn stands(&self, holder: &Holder) -> Stands {
        let (seq, next_seq) = (self.op.op.seq, holder.account().next_seq);
        match next_seq.cmp(&seq) {
            std::cmp::Ordering::Less => Stands::Ahead,
            std::cmp::Ordering::Equal if holder.account().head == self.op.op.prev => Stands::Next,
            std::cmp::Ordering::Equal => Stands::Ahead,
            std::cmp::Ordering::Greater if holder.ends_with(seq, &self.id) => Stands::Certified,
            std::cmp::Ordering::Greater if next_seq - seq == 1 => Stands::Replaced,
            std::cmp::Ordering::Greater => Stands::Certified,
        }
    }
}

/// The first pause before an operation is seen to again.
const LEAST_MS: u64 = 5_000;
/// The longest.
const MOST_MS: u64 = 300_000;
