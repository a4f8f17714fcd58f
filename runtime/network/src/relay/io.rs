//! What a relay takes and gives, and what its operator sets.

use std::collections::BTreeSet;

use identity::AccountId;
use ledger::{Id, proof::Proof, reputation::Outcome};

use crate::{
    bus,
    draw::Chain,
    limits::{self, Block},
    node::{Link, Save},
    queue,
    reason::Reason,
    session::relay::Encoded,
    verify::{policy::Clocks, unit::Because},
    wire::{Message, Roles},
};

/// What happens to a relay.
#[derive(Debug)]
pub enum Input {
    /// A connection was accepted.
    Opened {
        /// Its number.
        link: Link,
        /// The block of its address.
        block: Block,
    },
    /// A connection is gone.
    Closed {
        /// Its number.
        link: Link,
    },
    /// Bytes of one message came.
    Frame {
        /// From where.
        link: Link,
        /// All of them.
        bytes: Vec<u8>,
    },
    /// What was to be saved is durable.
    Stored {
        /// Its number.
        ticket: u64,
    },
    /// What was to be saved is not known to be durable.
    NotStored {
        /// Its number.
        ticket: u64,
    },
    /// Another relay says something. The bus vouches for who it is.
    Bus {
        /// Which relay.
        from: AccountId,
        /// What it says.
        message: bus::Message,
    },
    /// Time goes by.
    Tick,
    /// The relay goes down: no more tasks, and those that are here are finished or given back.
    Drain,
}

/// What a relay wants done.
#[derive(Debug)]
pub enum Output {
    /// Send a message.
    Send {
        /// Where to.
        link: Link,
        /// What.
        message: Message,
    },
    /// Send a frame that is encoded already.
    Forward {
        /// Where to.
        link: Link,
        /// The frame.
        frame: Encoded,
    },
    /// End a connection, after what was sent before.
    Close {
        /// Which.
        link: Link,
    },
    /// Write something down.
    Save(Save),
    /// Say something to all other relays.
    Publish(bus::Message),
    /// Say something to one other relay.
    Tell {
        /// To which.
        to: AccountId,
        /// What.
        message: bus::Message,
    },
    /// Something for logs, the audit log and metrics.
    Event(Event),
}

/// What happened, for whoever watches.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// An edge proved who it is.
    Opened {
        /// Where.
        link: Link,
        /// Who.
        account: AccountId,
        /// As what.
        roles: Roles,
    },
    /// A connection ended.
    Ended {
        /// Which.
        link: Link,
        /// Why the relay ended it, if it did.
        reason: Option<Reason>,
    },
    /// Something was refused.
    Refused {
        /// Where.
        link: Link,
        /// What it was about.
        about: Id,
        /// Why.
        reason: Reason,
        /// The rule or limit.
        detail: String,
    },
    /// A task was taken in.
    Accepted {
        /// Which.
        task: Id,
        /// Whose.
        submitter: AccountId,
    },
    /// A worker was drawn for a task.
    Assigned {
        /// Which task.
        task: Id,
        /// Which assignment.
        number: u32,
        /// Who.
        worker: AccountId,
    },
    /// A worker lost a task.
    Lost {
        /// Which task.
        task: Id,
        /// Who.
        worker: AccountId,
        /// Why.
        reason: Reason,
    },
    /// A worker was judged.
    Judged {
        /// For which task.
        task: Id,
        /// Who.
        worker: AccountId,
        /// What goes into its reputation.
        outcome: Option<Outcome>,
        /// Why.
        because: Because,
    },
    /// A stake was burned.
    Slashed {
        /// Whose.
        worker: AccountId,
        /// Which lock.
        lock: Id,
        /// How much.
        amount_ucredits: u64,
    },
    /// A task is over and paid for.
    Settled {
        /// Which.
        task: Id,
        /// How.
        reason: Reason,
        /// What it cost.
        cost_ucredits: u64,
        /// The certified decision; nothing where the lock could not be resolved any more.
        resolve: Option<Id>,
    },
    /// A record is in the ledger, certified here or elsewhere.
    Merged {
        /// Its id.
        record: Id,
    },
    /// A key signed two values for one place.
    Fork {
        /// The proof.
        proof: Box<Proof>,
    },
    /// The witness refused a value that this relay or another proposed.
    VoteRefused {
        /// Which value.
        value: Id,
        /// The rule's code.
        rule: &'static str,
    },
    /// The store did not take a batch.
    StoreFailed {
        /// Of which ticket.
        ticket: u64,
    },
    /// A round of the beacon was void, or fewer than two thirds of the witnesses are left to make one.
    RoundVoid {
        /// Which.
        round: u64,
        /// Who withheld.
        missing: Vec<AccountId>,
    },
    /// Everything is settled, and the relay may stop.
    Drained,
}

/// Whether results are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// As the task's options say.
    On,
    /// The first result is taken, whatever it is. Shows what verification is for.
    Off,
}

/// What the operator sets.
#[derive(Clone, Debug)]
pub struct Config {
    /// What strangers may cost.
    pub limits: limits::Settings,
    /// How many tasks may be open.
    pub queue: queue::Settings,
    /// Whether results are verified.
    pub verification: Verification,
    /// How long a round of the beacon lasts. All tasks that came in it are drawn by the next one.
    pub round_ms: u64,
    /// Rounds of one beacon chain, at most [`Chain::MAX_ROUNDS`].
    pub chain_rounds: u32,
    /// A heartbeat is due this often of every lease.
    pub heartbeat_ms: u32,
    /// A submitter has so long to seal a task for the workers that were drawn.
    pub seal_ms: u64,
    /// A replica that a running task needs is looked for so long.
    pub redraw_ms: u64,
    /// Other witnesses have so long to vote.
    pub ballot_ms: u64,
    /// A relay that goes down waits so long for what is leased.
    pub drain_ms: u64,
    /// Times of a unit, but for the time to commit, which the envelope says.
    pub clocks: Clocks,
    /// Part of work that is a hidden check, by which exposure is capped.
    pub check_rate_ppm: u32,
    /// Most connections.
    pub max_links: usize,
    /// Most workers with a standing claim.
    pub max_workers: usize,
    /// Most bytes of one sealed payload.
    pub max_payload_bytes: u32,
    /// Most bytes of one sealed result.
    pub max_result_bytes: u32,
    /// Most bytes of sealed payloads and results that open tasks may need together.
    pub max_held_bytes: usize,
    /// A claim counts as staked so many epochs before it came. Zero where strangers may stake; a network of one operator,
    /// who has no reason to grind keys, need not wait two epochs for its first draw.
    pub head_start_epochs: u64,
    /// The operator's own gateways, which have limits of their own before them.
    pub gateways: BTreeSet<AccountId>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            limits: limits::Settings::default(),
            queue: queue::Settings::default(),
            verification: Verification::On,
            round_ms: ROUND_MS,
            chain_rounds: Chain::MAX_ROUNDS,
            heartbeat_ms: 5_000,
            seal_ms: 10_000,
            redraw_ms: 10_000,
            ballot_ms: 5_000,
            drain_ms: 30_000,
            clocks: Clocks::default(),
            check_rate_ppm: crate::verify::policy::CHECK_RATE_PPM,
            max_links: 16_384,
            max_workers: 65_536,
            max_payload_bytes: 64 << 20,
            max_result_bytes: 64 << 20,
            max_held_bytes: 1 << 30,
            head_start_epochs: 0,
            gateways: BTreeSet::new(),
        }
    }
}

/// How long a round of the beacon lasts.
pub const ROUND_MS: u64 = 250;
