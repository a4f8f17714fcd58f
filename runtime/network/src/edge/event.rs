use identity::AccountId;
use ledger::{Balance, Id};

use crate::{reason::Reason, submitter::TaskResult};

/// Something that a user, or a log, may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A relay let the edge in.
    Opened {
        /// Which.
        relay: AccountId,
    },
    /// A connection ended; another one is tried.
    Closed {
        /// To whom.
        relay: AccountId,
        /// Why.
        reason: Reason,
    },
    /// A message was too much for the connection.
    NotSent {
        /// To whom.
        relay: AccountId,
        /// Why.
        reason: Reason,
    },
    /// A relay refused something that is nobody's here.
    Refused {
        /// Which relay.
        relay: AccountId,
        /// What.
        about: Id,
        /// Why.
        reason: Reason,
        /// For people.
        detail: String,
    },
    /// The shell did not store something; it is tried again.
    NotStored {
        /// Its ticket.
        ticket: u64,
    },
    /// How the account stands.
    Balance(Balance),
    /// What a relay says of the account cannot be believed.
    AccountUnclear {
        /// Which relay.
        relay: AccountId,
        /// Why.
        detail: String,
    },
    /// An operation of the account is certified.
    Certified {
        /// Which.
        op: Id,
    },
    /// Witnesses refuse an operation that was signed. It is proposed again, and stands in the way until it is taken.
    OperationRefused {
        /// Which.
        op: Id,
        /// Why.
        reason: Reason,
        /// The rule.
        detail: String,
    },
    /// An order of the user was done, or not.
    Ordered {
        /// The caller's number.
        order: u64,
        /// The certified operation, or why there is none.
        outcome: Result<Id, (Reason, String)>,
    },
    /// A task of a job has its name, and its price is being set aside.
    Begun {
        /// The caller's number.
        job: u64,
        /// Which part of a batch.
        part: Option<usize>,
        /// The task.
        task: Id,
        /// The most it can cost, in micro-credits.
        most_ucredits: u64,
    },
    /// A job of one task is done.
    Result {
        /// The caller's number.
        job: u64,
        /// What came of it.
        result: TaskResult,
    },
    /// A batch is done.
    BatchResult {
        /// The caller's number.
        job: u64,
        /// The parts' results, in their order.
        parts: Vec<TaskResult>,
        /// What all of it cost, in micro-credits.
        cost_ucredits: u64,
    },
    /// A job failed.
    Failed {
        /// The caller's number.
        job: u64,
        /// The part of a batch that is to blame.
        part: Option<usize>,
        /// Why.
        reason: Reason,
        /// The most it may have cost, in micro-credits: what is known to be paid, or what was set aside where nobody told.
        cost_ucredits: u64,
    },
    /// A relay's draw does not follow from what it committed to: the task is given up, and nothing was sealed.
    DrawDoubted {
        /// Which relay.
        relay: AccountId,
        /// Which task.
        task: Id,
        /// Why.
        detail: String,
    },
    /// Nothing is sealed to this worker's prekey.
    PrekeyRefused {
        /// Which task.
        task: Id,
        /// Which worker.
        worker: AccountId,
        /// Why.
        detail: String,
    },
    /// A relay leased something that is not in order.
    LeaseRefused {
        /// Which relay.
        relay: AccountId,
    },
    /// A relay refused a claim; another one is made.
    ClaimRefused {
        /// Which relay.
        relay: AccountId,
        /// Why.
        reason: Reason,
        /// For people.
        detail: String,
    },
    /// A stake could not be locked.
    StakeRefused {
        /// For which relay.
        relay: AccountId,
        /// Why.
        reason: Reason,
        /// The rule.
        detail: String,
    },
    /// An assignment went back to the relay.
    HandedBack {
        /// Which.
        assignment: Id,
        /// Of which task.
        task: Id,
        /// Why.
        reason: Reason,
    },
    /// A task that this edge worked on is settled.
    Worked {
        /// The assignment.
        assignment: Id,
        /// The task.
        task: Id,
        /// How.
        reason: Reason,
        /// What it earned, in micro-credits.
        price_ucredits: u64,
    },
    /// Nothing is left to do, and the connections are closed.
    Drained,
}
