use identity::AccountId;
use ledger::{
    Id,
    exposure::UNBONDING_EPOCHS,
    op::{Action, LockKind, LockTerms, Out, Policy},
};

use crate::reason::Reason;

/// Something to be done on the account, and whom to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Who wants it.
    pub purpose: Purpose,
    /// What.
    pub wanted: Wanted,
}

/// Who wants something done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The escrow of a task.
    Escrow(Id),
    /// A worker's stake at a relay.
    Stake(AccountId),
    /// The user, by a number of its own.
    User(u64),
}

/// What is to be done, before its epoch is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Pay others.
    Pay(Vec<Out>),
    /// Receive what is ready.
    Receive,
    /// Put micro-credits into the base stake.
    Stake(u64),
    /// Call micro-credits back from the base stake.
    Unstake(u64),
    /// Set credits aside for a task, or stake for tasks.
    Hold {
        /// Escrow or task stake.
        kind: LockKind,
        /// The task, zeros for a stake.
        task: Id,
        /// How much, in micro-credits.
        amount_ucredits: u64,
        /// Who decides on it.
        policy: Policy,
        /// The last epoch in which it can be decided on.
        until_epoch: u64,
    },
}

/// What became of a wanted action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Who wanted it.
    pub purpose: Purpose,
    /// The certified operation; or why there is none, and for people what rule it was. A refused operation that was signed
    /// stays in the way and may be certified later on: what it locks comes back when it runs out.
    pub outcome: Result<Done, (Reason, String)>,
}

/// An action that was certified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The operation; of a lock, its name.
    pub op: Id,
    /// What it does.
    pub action: Action,
}

impl Wanted {
    /// The action, in an operation of this epoch.
    pub(super) fn action(&self, epoch: u64) -> Action {
        let own = |kind, amount_ucredits, life_epochs: u64| {
            let policy =
                Policy { authority: AccountId::from_bytes([0; 32]), redundancy: 1, priority_halves: 2 };
            let expiry_epoch = epoch.saturating_add(life_epochs);
            Action::Lock(LockTerms { kind, task: Id::ZERO, amount_ucredits, policy, expiry_epoch })
        };
        match self {
            Wanted::Pay(outs) => Action::Transfer { outs: outs.clone() },
            Wanted::Receive => Action::Noop,
            Wanted::Stake(amount_ucredits) => own(LockKind::BaseStake, *amount_ucredits, 0),
            Wanted::Unstake(amount_ucredits) => own(LockKind::Unbond, *amount_ucredits, UNBONDING_EPOCHS),
            Wanted::Hold { kind, task, amount_ucredits, policy, until_epoch } => Action::Lock(LockTerms {
                kind: *kind,
                task: *task,
                amount_ucredits: *amount_ucredits,
                policy: *policy,
                expiry_epoch: *until_epoch,
            }),
        }
    }
}
