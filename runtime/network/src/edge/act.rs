use identity::AccountId;
use ledger::{Id, store::Batch};

use super::Event;
use crate::{
    capability::TaskType,
    wallet::{Purpose, Told, Want},
    wire::Message,
};

/// What a role wants done by others.
#[derive(Debug)]
pub(crate) enum Act {
    /// Sent to a relay, if it is connected.
    Send(AccountId, Message),
    /// Written down.
    Save(Batch, Saving),
    /// Done on the account.
    Want(Want),
    /// Not to be done on the account after all.
    Unwant(Purpose),
    /// The account is to be asked for at this time.
    Hint(u64),
    /// The wallet tells what became of something.
    Told(Told),
    /// The other tasks of a job are given up.
    CancelRest(u64),
    /// Run by the shell.
    Run { assignment: Id, kind: TaskType, model: Option<Id>, payload: Vec<u8> },
    /// Stopped by the shell.
    Abort(Id),
    /// Said to the user.
    Event(Event),
}

/// What is being written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saving {
    /// The wallet's operation.
    Operation,
    /// That an assignment was opened.
    Opening(Id),
    /// The prekeys.
    Prekeys,
    /// That claim numbers up to this one are given out.
    Numbers(u64),
}
