//! Tasks from their envelope to their settlement.

use identity::AccountId;
use ledger::Id;
use serde::{Deserialize, Serialize};

use super::{Signed, fields, signed::Signable};
use crate::capability::{Capability, TaskType};

/// The public part of a task: what a relay needs to match, price and settle it, and nothing of its content.
///
/// Its id is the task's. The escrow names the task and not the other way round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Who pays.
    #[serde(with = "fields::account")]
    pub submitter: AccountId,
    /// Makes two tasks of equal content different.
    pub nonce: u64,
    /// Its kind.
    pub kind: TaskType,
    /// SHA-256 of the model file it runs on, zeros where it needs none.
    #[serde(with = "fields::id")]
    pub model: Id,
    /// Version of the numerics: two versions never meet in one vote.
    pub numerics: u32,
    /// Commitment to the payload, so that all workers get the same ([`identity::Payload`]).
    pub payload_commit: [u8; 32],
    /// Bytes of the sealed payload.
    pub payload_bytes: u32,
    /// Most bytes of a sealed result.
    pub max_result_bytes: u32,
    /// What one accepted replica is paid, in micro-credits, priority included.
    pub price_ucredits: u64,
    /// How its results are verified.
    pub verify: Verify,
    /// How sure the verdict has to be.
    pub assurance: Assurance,
    /// Its lane.
    pub priority: Priority,
    /// Who may see it.
    pub tier: Tier,
    /// The group, in tier [`Tier::Group`]: SHA-256 of its join key.
    #[serde(with = "fields::maybe_id")]
    pub group: Option<Id>,
    /// When it was made.
    pub epoch: u64,
    /// It is given up if it has not been assigned for so long, in milliseconds.
    pub ttl_ms: u32,
    /// A worker has so long for it, in milliseconds.
    pub timeout_ms: u32,
}

/// How results are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verify {
    /// One to three replicas, by what is known of the workers.
    Adaptive,
    /// So many replicas, 1 to 7, that agree.
    Redundant(u8),
    /// One replica and known answers among its rows.
    SpotCheck,
}

/// How sure a verdict has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Assurance {
    /// 99 %.
    Normal,
    /// 99.9 %.
    High,
}

/// A task's lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Priority {
    /// Half the price.
    Low,
    /// The price.
    Normal,
    /// Twice the price, and first.
    High,
}

/// Who may see a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tier {
    /// Devices of the submitter's own account.
    Own,
    /// Devices that hold the group's join key.
    Group,
    /// Anyone.
    Public,
}

impl Signable for Envelope {
    const DOMAIN: &'static str = "edgenet/task/v1";

    fn signer(&self) -> &AccountId {
        &self.submitter
    }
}

/// A worker's standing offer: it stands until it runs out or is withdrawn, and tasks are drawn among those that stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Who works.
    #[serde(with = "fields::account")]
    pub worker: AccountId,
    /// Replaces claims of smaller numbers.
    pub number: u64,
    /// What it can do.
    pub capability: Capability,
    /// How many tasks at once; none withdraws it.
    pub slots: u16,
    /// Its task stakes: lock ids, one a slot, none on probation.
    #[serde(with = "fields::ids")]
    pub stakes: Vec<Id>,
    /// The site it came through.
    #[serde(with = "fields::maybe_id")]
    pub site: Option<Id>,
    /// Where it says it is: a code of two letters.
    pub region: Option<[u8; 2]>,
    /// Groups whose join key it holds.
    #[serde(with = "fields::ids")]
    pub groups: Vec<Id>,
    /// The last epoch it stands.
    pub until_epoch: u64,
}

impl Signable for Claim {
    const DOMAIN: &'static str = "edgenet/claim/v1";

    fn signer(&self) -> &AccountId {
        &self.worker
    }
}

/// Up to [`Lease::MAX_TASKS`] tasks in the hands of one worker, under one signature of the relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who leases out and settles.
    #[serde(with = "fields::account")]
    pub relay: AccountId,
    /// Who works.
    #[serde(with = "fields::account")]
    pub worker: AccountId,
    /// Which lease of this relay.
    pub number: u64,
    /// The beacon that drew the worker.
    pub beacon: [u8; 32],
    /// Its round.
    pub beacon_slot: u64,
    /// The tasks.
    pub tasks: Vec<LeasedTask>,
    /// When.
    pub epoch: u64,
    /// A heartbeat is due this often, in milliseconds; two missed, and the tasks go to others.
    pub heartbeat_ms: u32,
}

/// One task of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeasedTask {
    /// The task.
    #[serde(with = "fields::id")]
    pub task: Id,
    /// Which assignment of the task.
    pub number: u32,
    /// The commit is due so long after the payload came, in milliseconds.
    pub commit_ms: u32,
    /// The worker's stake that answers for it: a lock, zeros on probation.
    #[serde(with = "fields::id")]
    pub stake: Id,
}

impl Lease {
    /// Most tasks of a lease.
    pub const MAX_TASKS: usize = 64;
}

impl Signable for Lease {
    const DOMAIN: &'static str = "edgenet/lease/v1";

    fn signer(&self) -> &AccountId {
        &self.relay
    }
}

/// The name of an assignment: `SHA-256("edgenet/assignment/v1" || task || number)`.
pub fn assignment_id(task: &Id, number: u32) -> Id {
    Id::hash("edgenet/assignment/v1", &[task.as_bytes(), &number.to_le_bytes()])
}

/// A worker's answers to tasks of a lease, before anybody can see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitBatch {
    /// Who worked.
    #[serde(with = "fields::account")]
    pub worker: AccountId,
    /// The lease.
    #[serde(with = "fields::id")]
    pub lease: Id,
    /// At most [`Lease::MAX_TASKS`].
    pub commits: Vec<Commit>,
}

/// One hidden answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The task.
    #[serde(with = "fields::id")]
    pub task: Id,
    /// Which assignment of it.
    pub number: u32,
    /// [`crate::verify::unit::Reveal::commit`] of the answer, under the assignment's [`assignment_id`].
    pub commit: [u8; 32],
}

impl Signable for CommitBatch {
    const DOMAIN: &'static str = "edgenet/commits/v1";

    fn signer(&self) -> &AccountId {
        &self.worker
    }
}

/// What was committed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevealBatch {
    /// Who worked.
    #[serde(with = "fields::account")]
    pub worker: AccountId,
    /// The lease.
    #[serde(with = "fields::id")]
    pub lease: Id,
    /// At most [`Lease::MAX_TASKS`].
    pub reveals: Vec<Reveal>,
}

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reveal {
    /// The task.
    #[serde(with = "fields::id")]
    pub task: Id,
    /// Which assignment of it.
    pub number: u32,
    /// HMAC-SHA-256 of the canonical result under the task's key, which the relay does not have.
    pub tag: [u8; 32],
    /// SHA-256 of the sealed result.
    pub result_hash: [u8; 32],
    /// What hid it.
    pub nonce: [u8; 32],
}

impl Signable for RevealBatch {
    const DOMAIN: &'static str = "edgenet/reveals/v1";

    fn signer(&self) -> &AccountId {
        &self.worker
    }
}

/// A task for the relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submit {
    /// The task.
    pub envelope: Signed<Envelope>,
    /// The lock that holds its price for as many replicas as may be needed; its authority is the relay.
    #[serde(with = "fields::id")]
    pub escrow: Id,
    /// Workers that shall not get it.
    pub avoid: Vec<[u8; 32]>,
}

/// The relay took a task in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The task.
    #[serde(with = "fields::id")]
    pub task: Id,
    /// Tasks that come before it in its lane.
    pub ahead: u32,
}

/// Who got a task. The submitter seals it for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// The task.
    #[serde(with = "fields::id")]
    pub task: Id,
    /// The beacon that drew them.
    pub beacon: [u8; 32],
    /// Its round.
    pub beacon_slot: u64,
    /// The reveals that the beacon is mixed of ([`crate::draw::Reveals`]), ascending by witness.
    #[serde(with = "fields::reveals")]
    pub reveals: Vec<(AccountId, [u8; 32])>,
    /// SHA-256 over the claims that stood.
    #[serde(with = "fields::id")]
    pub claims: Id,
    /// Those who joined with this draw.
    pub workers: Vec<Assignee>,
}

/// One worker of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignee {
    /// Which assignment.
    pub number: u32,
    /// Who.
    #[serde(with = "fields::account")]
    pub worker: AccountId,
    /// Its prekey, signed by it ([`identity::SignedPrekey`]).
    pub prekey: Vec<u8>,
}

/// A task's payload key, wrapped for workers ([`identity::WrappedKey`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// The task.
    #[serde(with = "fields::id")]
    pub task: Id,
    /// By assignment.
    pub keys: Vec<WrappedFor>,
}

/// The key for one assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedFor {
    /// Which assignment.
    pub number: u32,
    /// The wrapped key.
    pub key: Vec<u8>,
}

/// Bytes of a sealed payload or result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The task.
    #[serde(with = "fields::id")]
    pub task: Id,
    /// Payload to workers, or the result of an assignment.
    pub flow: Flow,
    /// Where the bytes begin.
    pub offset: u32,
    /// How many there are in all.
    pub total: u32,
    /// The bytes.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

impl Part {
    /// Most bytes in one.
    pub const MAX_BYTES: usize = 512 * 1024;
}

/// Which way a part goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Flow {
    /// From the submitter to every worker.
    Payload,
    /// From the worker of this assignment to the submitter.
    Result(u32),
}

/// A worker offers itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The claim.
    pub claim: Signed<Claim>,
    /// The prekey that payloads are sealed to from here on ([`identity::SignedPrekey`]), where it is another than before.
    pub prekey: Option<Vec<u8>>,
}

/// Tasks for a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leased {
    /// The lease.
    pub lease: Signed<Lease>,
    /// Its tasks' envelopes, in its order.
    pub envelopes: Vec<Signed<Envelope>>,
}

/// The worker lives and works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The lease.
    #[serde(with = "fields::id")]
    pub lease: Id,
    /// Tasks of it that are not committed.
    pub open: u16,
    /// What the scheduler lends, in thousandths.
    pub duty_permille: u16,
}

/// Tasks that the worker will not do after all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandBack {
    /// The lease.
    #[serde(with = "fields::id")]
    pub lease: Id,
    /// Which tasks of it.
    #[serde(with = "fields::ids")]
    pub tasks: Vec<Id>,
    /// Why ([`crate::reason::Reason`]).
    pub reason: u16,
}

/// Commits of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The batch.
    pub batch: Signed<CommitBatch>,
}

/// Every commit that a task waits for is in: its answers may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The tasks.
    #[serde(with = "fields::ids")]
    pub tasks: Vec<Id>,
}

/// Answers of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revealed {
    /// The batch.
    pub batch: Signed<RevealBatch>,
}

/// A task is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The task.
    #[serde(with = "fields::id")]
    pub task: Id,
    /// How ([`crate::reason::Reason`]).
    pub reason: u16,
    /// The tag that was accepted, if one was.
    pub tag: Option<[u8; 32]>,
    /// Assignments that gave it.
    pub agreed: Vec<u32>,
    /// Workers that were asked.
    pub workers: u16,
    /// What it cost, in micro-credits.
    pub cost_ucredits: u64,
    /// The resolve of its escrow.
    #[serde(with = "fields::maybe_id")]
    pub resolve: Option<Id>,
}

/// The submitter gives a task up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// The task.
    #[serde(with = "fields::id")]
    pub task: Id,
}
