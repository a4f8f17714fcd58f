//! Two small networks whose keys are known, so that an input can be signed and certified after it was changed.

use std::sync::{Arc, LazyLock};

use identity::{AccountId, SecretKey, Signature};
use ledger::{
    Allocation, Certificate, Founding, Id, Ledger, MICRO, Network, Record,
    op::{Action, LockKind, LockTerms, Op, Out, Policy, Reason, SignedOp},
};

/// Owners, by number.
pub(crate) const OWNERS: usize = 4;
/// Keys that accounts are handed to.
pub(crate) const SPARE: usize = OWNERS;
/// The key of the treasury.
pub(crate) const TREASURY: usize = 6;
/// The settlement authority's key.
pub(crate) const AUTHORITY: usize = 7;
/// The first witness's key.
pub(crate) const WITNESS: usize = 8;
/// When everything happens.
pub(crate) const NOW: u64 = 1_000;

/// Every key of the towns, by number.
pub(crate) static KEYS: LazyLock<Vec<SecretKey>> =
    LazyLock::new(|| (1..=12u8).map(|number| SecretKey::from_seed([number; 32])).collect());

/// The accounts of [`KEYS`].
pub(crate) static ACCOUNTS: LazyLock<Vec<AccountId>> =
    LazyLock::new(|| KEYS.iter().map(SecretKey::account).collect());

/// One witness, or four.
pub(crate) static TOWNS: LazyLock<[Town; 2]> = LazyLock::new(|| [Town::new(1), Town::new(4)]);

/// A network and what is known of it.
pub(crate) struct Town {
    pub(crate) network: Arc<Network>,
    /// Keys of its witnesses, by account.
    pub(crate) witnesses: Vec<usize>,
    /// A ledger in which nothing has happened.
    pub(crate) empty: Ledger,
}

/// Founding and keys of a town with so many witnesses.
pub(crate) fn founded(witnesses: usize) -> Founding {
    let allocation = |number: usize| Allocation {
        account: ACCOUNTS[number],
        available_ucredits: 1_000 * MICRO,
        staked_ucredits: 200 * MICRO,
    };
    let mut allocations: Vec<Allocation> = (0..OWNERS).map(allocation).collect();
    allocations.sort_by_key(|a| a.account);
    let mut committee: Vec<(AccountId, u32)> =
        (WITNESS..WITNESS + witnesses).map(|number| (ACCOUNTS[number], 1)).collect();
    committee.sort();
    Founding { name: "fuzz".into(), treasury: ACCOUNTS[TREASURY], allocations, witnesses: committee }
}

impl Town {
    fn new(count: usize) -> Town {
        let network = Arc::new(Network::new(founded(count)).expect("a network"));
        let mut witnesses: Vec<usize> = (WITNESS..WITNESS + count).collect();
        witnesses.sort_by_key(|number| ACCOUNTS[*number]);
        let empty = Ledger::new(network.clone());
        Town { network, witnesses, empty }
    }

    /// Votes of the witnesses that a mask names, all if it names none.
    pub(crate) fn certificate(&self, value: &Id, mask: u8) -> Certificate {
        let message = Id::hash("edgenet/vote/v1", &[self.network.id().as_bytes(), value.as_bytes()]);
        let named = |at: usize| mask >> at & 1 == 1 || u32::from(mask) % (1 << self.witnesses.len()) == 0;
        let signers: Vec<usize> = self
            .witnesses
            .iter()
            .enumerate()
            .filter(|(at, _)| named(*at))
            .map(|(_, number)| *number)
            .collect();
        let mut bytes = vec![0];
        bytes.extend(CARRIER.encode());
        bytes.push(signers.len() as u8);
        for number in signers {
            bytes.extend(ACCOUNTS[number].as_bytes());
            bytes.extend(KEYS[number].sign(message.as_bytes()).as_bytes());
        }
        match Record::decode(&bytes, &self.network) {
            Ok(Record::Op(record)) => record.certificate.clone(),
            other => unreachable!("a certificate in a record of an operation: {other:?}"),
        }
    }

    /// An operation with its owner's signature and votes.
    pub(crate) fn certified(&self, op: Op, key: usize, mask: u8) -> Record {
        let id = op.id(self.network.id());
        let op = op.sign(self.network.id(), &KEYS[key]);
        Record::op(&self.network, op, self.certificate(&id, mask))
    }

    /// The number of the key that signs for an account, if a key of the town does.
    pub(crate) fn signer(&self, ledger: &Ledger, account: &AccountId) -> Option<usize> {
        let signer = ledger.account(account).map_or(*account, |a| a.signer(account));
        number_of(&signer)
    }
}

/// The number of an account whose key is known.
pub(crate) fn number_of(account: &AccountId) -> Option<usize> {
    ACCOUNTS.iter().position(|a| a == account)
}

pub(crate) fn pay(to: usize, amount_ucredits: u64, reason: Reason) -> Action {
    Action::Transfer { outs: vec![Out { to: ACCOUNTS[to], amount_ucredits, reason, reference: Id::ZERO }] }
}

pub(crate) fn lock(kind: LockKind, amount_ucredits: u64, expiry_epoch: u64) -> Action {
    let policy = Policy { authority: ACCOUNTS[AUTHORITY], redundancy: 1, priority_halves: 2 };
    Action::Lock(LockTerms { kind, task: Id::ZERO, amount_ucredits, policy, expiry_epoch })
}

/// An operation that carries certificates through the decoder.
static CARRIER: LazyLock<SignedOp> = LazyLock::new(|| SignedOp {
    op: Op {
        account: ACCOUNTS[0],
        seq: 0,
        prev: Id::ZERO,
        epoch: 0,
        receives: Vec::new(),
        action: Action::Noop,
        balance_after: 0,
    },
    signature: Signature::from_bytes([0; 64]),
});

/// A key again: a witness keeps its own.
pub(crate) fn key(number: usize) -> SecretKey {
    SecretKey::from_seed(*KEYS[number].seed())
}
