//! An account's chain as a bank would print it: what came in, what went out, and the balance after each.

use std::collections::BTreeMap;

use identity::AccountId;
use ledger::{
    Certified, Id, Ledger, Record,
    op::{Action, LockKind, Op, Reason, Receive, SignedOp},
    resolve::{Payout, Resolve, payout_lock},
};

/// One movement. The amounts of all lines sum to what the account can spend, and to its free base stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// When the operation was signed; `None` for the founding.
    pub epoch: Option<u64>,
    /// The operation's place in the chain; `None` for the founding.
    pub seq: Option<u64>,
    /// The operation; the network for the founding.
    pub id: Id,
    /// What happened.
    pub what: What,
    /// Who paid or was paid, referred, or holds the account from here on.
    pub counterpart: Option<AccountId>,
    /// What credits were paid for.
    pub reason: Option<Reason>,
    /// Change of what can be spent, in micro-credits.
    pub amount_ucredits: i128,
    /// Change of the free base stake, in micro-credits.
    pub stake_ucredits: i128,
    /// What can be spent after it, in micro-credits.
    pub balance_ucredits: i128,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The account started with it.
    Founded,
    /// The account was registered.
    Opened,
    /// Somebody paid.
    Received,
    /// A lock of this kind gave back what was left.
    Returned(LockKind),
    /// Rewards and returned stakes that went into the base stake.
    Staked,
    /// The account paid.
    Sent,
    /// A lock of this kind set credits aside.
    Locked(LockKind),
    /// The account was handed to another key.
    KeyRotated,
    /// An operation that moved nothing.
    Nothing,
}

impl What {
    /// Name in reports; of locks, without their kind.
    pub fn name(self) -> &'static str {
        match self {
            What::Founded => "founded",
            What::Opened => "opened",
            What::Received => "received",
            What::Returned(_) => "returned",
            What::Staked => "staked",
            What::Sent => "sent",
            What::Locked(_) => "locked",
            What::KeyRotated => "key-rotated",
            What::Nothing => "nothing",
        }
    }

    /// The kind of the lock it is about.
    pub fn lock(self) -> Option<LockKind> {
        match self {
            What::Returned(kind) | What::Locked(kind) => Some(kind),
            _ => None,
        }
    }
}

/// What happened on an account's chain as far as it counts, oldest first.
pub fn history(ledger: &Ledger, account: &AccountId) -> Vec<Line> {
    let sources = Sources::of(ledger, account);
    let founding = ledger.network().founding();
    let own = founding.allocations.iter().find(|a| a.account == *account);
    let (mut available, staked) =
        own.map_or((0, 0), |a| (i128::from(a.available_ucredits), i128::from(a.staked_ucredits)));
    if account == ledger.network().treasury() {
        available = ledger.network().treasury_at_genesis().into();
    }
    let mut lines = Vec::new();
    if (available, staked) != (0, 0) {
        lines.push(Line {
            epoch: None,
            seq: None,
            id: *ledger.network().id(),
            what: What::Founded,
            counterpart: None,
            reason: None,
            amount_ucredits: available,
            stake_ucredits: staked,
            balance_ucredits: available,
        });
    }
    for (id, op) in &sources.chain {
        let first = lines.len();
        lines.extend(op.receives.iter().map(|receive| sources.line(op, id, receive)));
        let received: i128 = lines[first..].iter().map(|line| line.amount_ucredits).sum();
        // What came in and is neither spent nor there went into the base stake.
        let spent = i128::try_from(op.debit_ucredits()).unwrap_or(i128::MAX);
        let to_stake = available + received - spent - i128::from(op.balance_after);
        if to_stake != 0 {
            let moved = (-to_stake, to_stake);
            lines.push(line(op, id, What::Staked, None, None, moved));
        }
        act(op, id, first == lines.len(), &mut lines);
        for line in &mut lines[first..] {
            available += line.amount_ucredits;
            line.balance_ucredits = available;
        }
    }
    lines
}

/// Where an account's receipts can come from.
struct Sources {
    /// The account's operations that count, in order.
    chain: Vec<(Id, Op)>,
    ops: BTreeMap<Id, std::sync::Arc<Certified<SignedOp>>>,
    resolves: BTreeMap<Id, Resolve>,
    /// Payouts to this account, by the lock they became.
    payouts: BTreeMap<Id, (AccountId, Payout)>,
}

impl Sources {
    fn of(ledger: &Ledger, account: &AccountId) -> Self {
        let next_seq = ledger.account(account).map_or(0, |a| a.next_seq);
        let mut sources = Sources {
            chain: Vec::new(),
            ops: BTreeMap::new(),
            resolves: BTreeMap::new(),
            payouts: BTreeMap::new(),
        };
        // Records come in the order of accounts and seqs.
        for record in ledger.records() {
            match record {
                Record::Op(r) => {
                    let op = &r.value.op;
                    if op.account == *account && op.seq < next_seq {
                        sources.chain.push((r.id, op.clone()));
                    }
                    sources.ops.insert(r.id, r);
                }
                Record::Resolve(r) => {
                    let resolve = &r.value.resolve;
                    for (index, payout) in resolve.payouts.iter().enumerate() {
                        if payout.to == *account {
                            let lock = payout_lock(&r.id, index as u8);
                            sources.payouts.insert(lock, (resolve.owner, *payout));
                        }
                    }
                    sources.resolves.insert(r.id, resolve.clone());
                }
                Record::Checkpoint(_) | Record::Expiry(_) | Record::Proof(_) => {}
            }
        }
        sources
    }

    fn line(&self, op: &Op, id: &Id, receive: &Receive) -> Line {
        let kind = |lock: &Id| match self.ops.get(lock).map(|r| &r.value.op.action) {
            Some(Action::Lock(terms)) => (terms.kind, terms.amount_ucredits),
            _ => (LockKind::PayoutLock, self.payouts.get(lock).map_or(0, |(_, p)| p.amount_ucredits)),
        };
        let (what, counterpart, reason, amount) = match receive.index {
            Receive::EXPIRED => match self.payouts.get(&receive.source) {
                Some((owner, payout)) => {
                    (What::Received, Some(*owner), Some(payout.reason), payout.amount_ucredits)
                }
                None => {
                    let (kind, amount) = kind(&receive.source);
                    (What::Returned(kind), None, None, amount)
                }
            },
            Receive::REFUND => {
                let resolve = self.resolves.get(&receive.source);
                let kind = resolve.map_or(LockKind::TaskEscrow, |resolve| kind(&resolve.lock).0);
                (What::Returned(kind), None, None, resolve.map_or(0, |r| r.refund_ucredits))
            }
            index => {
                let source = self.ops.get(&receive.source).map(|r| &r.value.op);
                let out = source.and_then(|source| match &source.action {
                    Action::Transfer { outs } => outs.get(usize::from(index)),
                    _ => None,
                });
                let amount = out.map_or(0, |out| out.amount_ucredits);
                (What::Received, source.map(|s| s.account), out.map(|out| out.reason), amount)
            }
        };
        line(op, id, what, counterpart, reason, (amount.into(), 0))
    }
}

/// Lines of what an operation does, beside what it receives.
fn act(op: &Op, id: &Id, silent: bool, lines: &mut Vec<Line>) {
    match &op.action {
        Action::Noop if silent => lines.push(line(op, id, What::Nothing, None, None, (0, 0))),
        Action::Noop => {}
        Action::Open { referrer, .. } => lines.push(line(op, id, What::Opened, *referrer, None, (0, 0))),
        Action::RotateKey { key, .. } => {
            lines.push(line(op, id, What::KeyRotated, Some(*key), None, (0, 0)));
        }
        Action::Transfer { outs } => lines.extend(outs.iter().map(|out| {
            let paid = (-i128::from(out.amount_ucredits), 0);
            line(op, id, What::Sent, Some(out.to), Some(out.reason), paid)
        })),
        Action::Lock(terms) => {
            let amount = i128::from(terms.amount_ucredits);
            let moved = match terms.kind {
                LockKind::TaskEscrow => (-amount, 0),
                LockKind::BaseStake => (-amount, amount),
                LockKind::TaskStake | LockKind::Unbond | LockKind::PayoutLock => (0, -amount),
            };
            lines.push(line(op, id, What::Locked(terms.kind), None, None, moved));
        }
    }
}

fn line(
    op: &Op,
    id: &Id,
    what: What,
    counterpart: Option<AccountId>,
    reason: Option<Reason>,
    (amount_ucredits, stake_ucredits): (i128, i128),
) -> Line {
    let (epoch, seq) = (Some(op.epoch), Some(op.seq));
    Line {
        epoch,
        seq,
        id: *id,
        what,
        counterpart,
        reason,
        amount_ucredits,
        stake_ucredits,
        balance_ucredits: 0,
    }
}
