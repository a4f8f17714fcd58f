//! What an edge takes and gives.

use identity::AccountId;
use ledger::Id;
use thiserror::Error;

use super::{Event, MAX_RELAYS};
use crate::{
    capability::TaskType,
    node::{Link, Save},
    reason::Reason,
    submitter::Request,
    wallet::Wanted,
    wire::Message,
    worker::Preferences,
};

/// What an edge is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The relays it connects to, the one that its wallet asks first.
    pub relays: Vec<AccountId>,
    /// Name and version of the program, at most 64 bytes.
    pub agent: String,
    /// Whether it submits tasks.
    pub submits: bool,
    /// What it lends, if it works.
    pub work: Option<Preferences>,
}

/// Why there is no such edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// None, too many, or one twice.
    #[error("{found} relays; an edge has 1 to {MAX_RELAYS}, each once")]
    Relays {
        /// How many.
        found: usize,
    },
    /// The program's name is too long.
    #[error("the agent has {found} bytes, at most 64")]
    Agent {
        /// How many.
        found: usize,
    },
    /// No claim can be made of what it lends.
    #[error("slots, models or groups out of range")]
    Preferences,
    /// It does nothing.
    #[error("it neither submits nor works")]
    Idle,
    /// What was saved belongs to another account.
    #[error("what was saved is another account's")]
    Saved,
}

/// What happens to an edge.
#[derive(Debug)]
pub enum Input {
    /// The shell has a connection to a relay.
    Connected {
        /// Its number, used once.
        link: Link,
        /// To whom it was asked to connect.
        relay: AccountId,
    },
    /// The shell could not connect.
    Unreachable {
        /// To whom.
        relay: AccountId,
    },
    /// A connection is gone.
    Closed {
        /// Its number.
        link: Link,
    },
    /// A frame came.
    Frame {
        /// On which connection.
        link: Link,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Something is on the disk.
    Stored {
        /// [`Save::ticket`].
        ticket: u64,
    },
    /// Something is not known to be on the disk.
    NotStored {
        /// [`Save::ticket`].
        ticket: u64,
    },
    /// What the scheduler lends.
    Load {
        /// In thousandths.
        duty_permille: u16,
        /// Why nothing at all.
        paused: Option<Reason>,
    },
    /// A task was run, or could not be.
    Done {
        /// Which assignment.
        assignment: Id,
        /// The canonical result, or why there is none.
        result: Result<Vec<u8>, Reason>,
    },
    /// Somebody wants a task done.
    Submit {
        /// A number of the caller's, used once.
        job: u64,
        /// The task.
        request: Request,
    },
    /// Somebody wants tasks done whose results belong together.
    SubmitBatch {
        /// A number of the caller's, used once.
        job: u64,
        /// The tasks, in the order of their results.
        parts: Vec<Request>,
    },
    /// A job is given up.
    Cancel {
        /// The caller's number.
        job: u64,
    },
    /// Something is to be done on the account.
    Order {
        /// A number of the caller's.
        order: u64,
        /// What.
        wanted: Wanted,
    },
    /// Time goes by.
    Tick,
    /// No further work: what is open ends, and then the connections.
    Drain,
}

/// What an edge wants.
#[derive(Debug)]
// Most outputs are messages.
#[allow(clippy::large_enum_variant)]
pub enum Output {
    /// Connect to a relay.
    Connect {
        /// Which.
        relay: AccountId,
        /// After so long.
        after_ms: u64,
    },
    /// Send a message.
    Send {
        /// On which connection.
        link: Link,
        /// The message.
        message: Message,
    },
    /// Close a connection. No [`Input::Closed`] need follow.
    Close {
        /// Which.
        link: Link,
    },
    /// Write something down.
    Save(Save),
    /// Run a task.
    Run {
        /// Which assignment.
        assignment: Id,
        /// Its kind.
        kind: TaskType,
        /// SHA-256 of its model file, if it has one.
        model: Option<Id>,
        /// Its payload.
        payload: Vec<u8>,
    },
    /// Stop a task: nobody wants its result any more.
    Abort {
        /// Which assignment.
        assignment: Id,
    },
    /// Something to know.
    Event(Event),
}
