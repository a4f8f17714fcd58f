//! Why: every refusal and decision that crosses the wire, by a stable number and a stable name.

/// Declares the reasons: variant, number, name, what it says.
macro_rules! reasons {
    ($($reason:ident = $code:literal, $name:literal, $text:literal;)*) => {
        /// A refusal or decision. Number and name are stable; numbers that are not listed belong to later versions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Reason {
            $(#[doc = concat!($text, ".")] $reason = $code,)*
        }

        impl Reason {
            /// All of them, ascending by number.
            pub const ALL: &[Reason] = &[$(Reason::$reason),*];

            /// The reason of a number.
            pub fn from_code(code: u16) -> Option<Reason> {
                match code { $($code => Some(Reason::$reason),)* _ => None }
            }

            /// Stable name.
            pub fn name(self) -> &'static str {
                match self { $(Reason::$reason => $name,)* }
            }

            /// What it says.
            pub fn text(self) -> &'static str {
                match self { $(Reason::$reason => $text,)* }
            }
        }
    };
}

reasons! {
    // The connection.
    FrameInvalid = 100, "frame-invalid", "The bytes are no message";
    MessageUnexpected = 101, "message-unexpected", "The message does not belong here";
    VersionUnknown = 102, "version-unknown", "No version of the protocol in common";
    NotProved = 103, "not-proved", "The signature does not prove the key";
    KeyWeak = 104, "key-weak", "The key is not canonical or of low order";
    PrekeyInvalid = 105, "prekey-invalid", "The prekey is not the worker's, or ran out";
    GrantExceeded = 106, "grant-exceeded", "More data than was granted";
    Silent = 107, "silent", "No answer to pings";
    Draining = 108, "draining", "The relay is going down";
    AccountFrozen = 109, "account-frozen", "The account is frozen";
    Replaced = 110, "replaced", "The account opened another connection";
    // Limits.
    RateExceeded = 200, "rate-exceeded", "Too much in too short a time";
    RelayFull = 201, "relay-full", "The relay has no room for more";
    OpenTasksExceeded = 202, "open-tasks-exceeded", "Too many open tasks of one submitter";
    Replayed = 203, "replayed", "It was there before";
    BackingOff = 204, "backing-off", "Failed too often a moment ago";
    // Tasks before they are assigned.
    EnvelopeInvalid = 300, "envelope-invalid", "The envelope contradicts itself";
    EnvelopeUnsigned = 301, "envelope-unsigned", "The submitter did not sign the envelope";
    EnvelopeStale = 302, "envelope-stale", "The envelope is too old or not of this time";
    EscrowMissing = 303, "escrow-missing", "No open lock of the submitter holds the price for this task and relay";
    EscrowShort = 304, "escrow-short", "The lock holds less than the task may cost";
    EscrowEnds = 305, "escrow-ends", "The lock runs out before the task can be settled";
    NobodyCapable = 306, "nobody-capable", "No worker that is here can do it";
    Expired = 307, "expired", "Nobody took it in time";
    Cancelled = 308, "cancelled", "The submitter gave it up";
    NotSealed = 309, "not-sealed", "The submitter did not send the payload";
    TaskUnknown = 310, "task-unknown", "No such task of this account is here";
    Restarted = 311, "restarted", "The relay went down before it was settled";
    TermsExceeded = 312, "terms-exceeded", "More than this relay takes for one task";
    TimedOut = 313, "timed-out", "It was not done in the time it was given";
    NotDelivered = 314, "not-delivered", "Agreed on, and the result did not come";
    ResultWrong = 315, "result-wrong", "What came is not the result that was agreed on";
    RequestInvalid = 316, "request-invalid", "No task can be made of the request";
    // Claims and leases.
    ClaimInvalid = 400, "claim-invalid", "The claim contradicts itself";
    ClaimUnsigned = 401, "claim-unsigned", "The worker did not sign the claim";
    StakeMissing = 402, "stake-missing", "A slot's stake is no open lock of the worker with this authority";
    HandedBack = 403, "handed-back", "The worker gave it back";
    HeartbeatMissed = 404, "heartbeat-missed", "The worker fell silent";
    Busy = 405, "busy", "The worker's own user needs the machine";
    PayloadUnreadable = 406, "payload-unreadable", "The payload does not open or is not what the envelope says";
    TaskRefused = 407, "task-refused", "The task is not in order";
    TaskFailed = 408, "task-failed", "The task could not be run";
    LeaseUnknown = 409, "lease-unknown", "No such lease or assignment of this worker is here";
    CheckGiven = 410, "check-given", "A known answer was asked for instead";
    // Verdicts.
    Verified = 500, "verified", "Enough workers that are believed gave this result";
    Slashed = 501, "slashed", "The result stands against an accepted one, or failed a check";
    Inconclusive = 502, "inconclusive", "No result found enough belief";
    TooLate = 503, "too-late", "It came after the verdict";
    NotRevealed = 504, "not-revealed", "Committed and never shown";
    CommitBroken = 505, "commit-broken", "What was shown is not what was committed to";
    Unverified = 506, "unverified", "Taken without verification, as the relay is set";
    // The ledger.
    RuleBroken = 600, "rule-broken", "A rule of the ledger does not hold";
    NotCertified = 601, "not-certified", "Too few witnesses answered in time";
    NotStored = 602, "not-stored", "It could not be written down";
    OperationReplaced = 603, "operation-replaced", "Another operation of the account has its place";
}

impl Reason {
    /// Whether the same may succeed a while later.
    pub fn is_passing(self) -> bool {
        matches!(
            self,
            Reason::RateExceeded
                | Reason::RelayFull
                | Reason::OpenTasksExceeded
                | Reason::BackingOff
                | Reason::Draining
                | Reason::Silent
                | Reason::NotStored
                | Reason::NotCertified
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_and_names_are_one_to_one() {
        let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        assert!(Reason::ALL.is_sorted());
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(*reason as u16), Some(*reason));
        }
        assert_eq!(Reason::from_code(0), None);
    }
}
