//! Every rule of the ledger by name, and the one place where each is enforced from.
//!
//! A refusal names the rule it broke, so that an owner, a test and a log speak of the same thing. With the feature
//! `mutants` a test can take one rule away and see whether anything notices.

use std::fmt;

use thiserror::Error;

/// A value was refused because it breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{rule}")]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
}

/// Refuses unless the rule holds.
#[inline]
pub(crate) fn require(rule: Rule, holds: bool) -> Result<(), Refusal> {
    if holds || !enforced(rule) { Ok(()) } else { Err(Refusal { rule }) }
}

/// Whether a rule is in force: always, but for a test that takes it away.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn enforced(_: Rule) -> bool {
    true
}

#[cfg(feature = "mutants")]
pub(crate) fn enforced(rule: Rule) -> bool {
    !mutants::planted(rule)
}

/// Takes rules away, for tests that show each of them is missed.
#[cfg(feature = "mutants")]
pub mod mutants {
    use std::cell::Cell;

    use super::Rule;

    thread_local!(static PLANTED: Cell<u128> = const { Cell::new(0) });

    /// Runs with one rule taken away on this thread; within another such run, with both.
    pub fn without<T>(rule: Rule, run: impl FnOnce() -> T) -> T {
        struct Restore(u128);
        impl Drop for Restore {
            fn drop(&mut self) {
                PLANTED.set(self.0);
            }
        }
        let _restore = Restore(PLANTED.get());
        PLANTED.set(PLANTED.get() | bit(rule));
        run()
    }

    pub(super) fn planted(rule: Rule) -> bool {
        PLANTED.get() & bit(rule) != 0
    }

    const fn bit(rule: Rule) -> u128 {
        1 << rule as u8
    }

    const _: () = assert!(Rule::ALL.len() <= 128);
}

/// Declares the rules: variant, stable code, group of the design, what must hold.
macro_rules! rules {
    ($($rule:ident, $code:literal, $group:literal, $text:literal;)*) => {
        /// A rule of the ledger. The code is stable; `W`, `F` and `I` groups are those of the design.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = concat!($group, ": ", $text, ".")] $rule,)*
        }

        impl Rule {
            /// All of them.
            pub const ALL: &[Rule] = &[$(Rule::$rule),*];

            /// Stable name.
            pub fn code(self) -> &'static str {
                match self { $(Rule::$rule => $code,)* }
            }

            /// The group of the design it belongs to, such as `W2`.
            pub fn group(self) -> &'static str {
                match self { $(Rule::$rule => $group,)* }
            }

            /// What must hold.
            pub fn text(self) -> &'static str {
                match self { $(Rule::$rule => $text,)* }
            }
        }
    };
}

rules! {
    OwnerSignature, "owner-signature", "W1", "the key that holds the account signed the operation";
    AmountPositive, "amount-positive", "W1", "every amount is above zero";
    EpochCurrent, "epoch-current", "W1", "the epoch is not to come, and that of a resolve at most an hour ago";
    EpochMonotone, "epoch-monotone", "W1", "the epoch is not before that of the operation before";
    ReceiveCount, "receive-count", "W1", "an operation receives at most 64 outputs";
    OutCount, "out-count", "W1", "a transfer has 1 to 16 outputs, a resolve at most 32, and judges at most 16";
    ReasonAllowed, "reason-allowed", "W1", "bonuses come from the treasury alone, rewards from resolves alone";
    LockTerms, "lock-terms", "W1", "a lock's kind, life, redundancy and priority are within their limits";
    KeyRegistered, "key-registered", "W1", "keys are canonical and not of low order";
    KeyHeld, "key-held", "W1", "the key an account is handed to signed for it";
    OpenFirst, "open-first", "W1", "an account is registered by its first operation or not at all";
    ReferrerOther, "referrer-other", "W1", "nobody refers themselves";
    NotFrozen, "not-frozen", "W2", "the account is not frozen";
    SequenceFollows, "sequence-follows", "W2, F1", "the seq is the next after the last certified";
    PrevMatches, "prev-matches", "W2, F1", "prev is the id of the last certified operation";
    OneVotePerSequence, "one-vote-per-sequence", "W3", "a witness signs one value for an account and seq";
    OneVotePerLock, "one-vote-per-lock", "W3", "a witness signs one decision for a lock, or that it ran out";
    OneVotePerEpoch, "one-vote-per-epoch", "W3", "a witness signs one checkpoint for an epoch";
    VoteDurable, "vote-durable", "W3", "a vote is stored before it leaves, and survives a restart";
    ReceiveKnown, "receive-known", "W4", "what is received was certified, names the account and was not received before";
    ReceiveOnce, "receive-once", "W4", "an operation receives each output once";
    ReceiveUnvoided, "receive-unvoided", "W4", "what is received does not come from a voided operation";
    LockOpen, "lock-open", "R", "what is resolved is an open lock of its owner";
    LockExpired, "lock-expired", "W4", "a lock runs out only after its last epoch and two more, and is taken back only then";
    LockRanOut, "lock-ran-out", "W4", "a lock is taken back only when it is certified that it ran out";
    ExpiryLocks, "expiry-locks", "R", "an expiry names 1 to 64 locks, ascending";
    BalanceMatches, "balance-matches", "W5", "balance_after is the balance before, plus what comes in, minus what goes out";
    BalanceCovers, "balance-covers", "W5, F2", "what goes out is there";
    StakeCovers, "stake-covers", "W5", "what leaves the base stake is in it and free";
    RotateUnstaked, "rotate-unstaked", "W5", "a key is handed over only by an account without stake";
    TreasuryCap, "treasury-cap", "W6", "the treasury pays at most its cap in an epoch";
    TreasuryOnlyPays, "treasury-only-pays", "W6", "the treasury locks nothing";
    TreasuryJustified, "treasury-justified", "W6", "a payment of the treasury follows from certified resolves and has the amount of the formula";
    TreasuryOnce, "treasury-once", "W6", "the treasury pays for one cause once";
    ForkStops, "fork-stops", "W7", "two owner-signed values for one seq stop all votes for the account";
    CommitteeCurrent, "committee-current", "W8", "only members of the epoch's committee sign";
    QuorumReached, "quorum-reached", "C", "a certificate has signatures of weight floor(2W/3)+1";
    SignersDistinct, "signers-distinct", "C", "a certificate counts each witness once";
    SignersGenuine, "signers-genuine", "C", "every signature of a certificate verifies";
    AuthoritySigned, "authority-signed", "R", "the lock's settlement authority signed the resolve";
    ResolveInTime, "resolve-in-time", "R", "a resolve is not later than the lock's last epoch";
    SharesComplete, "shares-complete", "I5", "payouts, refund and slash are the lock's amount";
    SharesFitKind, "shares-fit-kind", "R", "escrows pay and refund, stakes refund or burn, payout locks burn or release";
    OutcomesDistinct, "outcomes-distinct", "R", "a resolve judges a worker once";
    PayoutLocked, "payout-locked", "F2", "rewards are locked for 60 epochs";
    StakeFirst, "stake-first", "F2", "first rewards fill the base stake";
    InFlightCounts, "in-flight-counts", "F3", "what is paid and not received counts as in flight";
    ForkBurns, "fork-burns", "F4", "a fork proof burns every unresolved stake";
    ForkFreezes, "fork-freezes", "F4", "a fork proof freezes the account";
    ConflictVoids, "conflict-voids", "F5", "two conflicting certificates are both void, and what follows them";
    ExcessBooked, "excess-booked", "F5", "what was received of voided operations beyond what is left is bad debt";
    GuiltyRepay, "guilty-repay", "F5", "stakes of witnesses that signed both repay bad debt, then burn";
    DecisionsConflict, "decisions-conflict", "F5", "of two decisions of one lock no resolve stands";
    RootMatches, "root-matches", "F6", "a checkpoint's root is that of the state behind it";
    CheckpointFollows, "checkpoint-follows", "F6", "a checkpoint names the one before it";
    JoinSigners, "join-signers", "I6", "merging certificates of one value joins their signers";
    RebuildOnConflict, "rebuild-on-conflict", "I6", "the state is a function of the set, whatever came first";
    Conserved, "conserved", "I1", "all credits are somewhere, and all of them are GENESIS";
    KnownIgnored, "known-ignored", "I11", "what is known changes nothing";
    ProofGenuine, "proof-genuine", "I10", "a proof holds two different values that one key signed for one place";
    OrphansBounded, "orphans-bounded", "L", "operations far ahead of their chain are not kept";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): must hold: {}", self.code(), self.group(), self.text())
    }
}
