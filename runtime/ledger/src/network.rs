//! What a network agrees on before its first operation: who starts with what, and who witnesses.

use identity::{AccountId, PublicKey, SecretKey, Signature};
use thiserror::Error;

use crate::{
    Committee, GENESIS, Id, Refusal,
    wire::{DecodeError, Reader, Writer},
};

/// Most accounts that start with credits.
pub const MAX_ALLOCATIONS: usize = 255;
/// Most bytes of a network's name.
pub const MAX_NAME_BYTES: usize = 64;

/// A network's founding, and its committees since.
#[derive(Clone, Debug)]
pub struct Network {
    id: Id,
    founding: Founding,
    /// Ascending by first epoch.
    committees: Vec<Committee>,
}

/// What the id of a network is the hash of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founding {
    /// What people call it.
    pub name: String,
    /// The account that pays bonuses; its key also signs changes of the committee.
    pub treasury: AccountId,
    /// Accounts that start with credits, ascending by account. The treasury holds the rest of [`GENESIS`].
    pub allocations: Vec<Allocation>,
    /// The first witnesses and their weights, ascending by account.
    pub witnesses: Vec<(AccountId, u32)>,
}

/// What an account starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Whose.
    pub account: AccountId,
    /// Available micro-credits.
    pub available_ucredits: u64,
    /// Micro-credits of base stake.
    pub staked_ucredits: u64,
}

/// Why a network cannot be founded, or its committee not be changed so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// The bytes are not canonical.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A committee or key breaks a rule.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// More credits are handed out than there are.
    #[error("the allocations exceed all the credits there are")]
    TooMuch,
    /// The treasury or an account twice among the allocations.
    #[error("allocations must ascend by account, each once, without the treasury")]
    Allocations,
    /// The name is empty or too long.
    #[error("a network's name has 1 to {MAX_NAME_BYTES} bytes")]
    Name,
    /// Not signed by the treasury's key.
    #[error("the treasury's key did not sign this change of the committee")]
    Signature,
    /// Another committee begins in that epoch.
    #[error("another committee begins in the same epoch")]
    Order,
}

impl Network {
    /// Founds a network.
    ///
    /// # Errors
    /// What is wrong with the founding.
    pub fn new(founding: Founding) -> Result<Self, NetworkError> {
        if founding.name.is_empty() || founding.name.len() > MAX_NAME_BYTES {
            return Err(NetworkError::Name);
        }
        let ascending = founding.allocations.is_sorted_by(|a, b| a.account < b.account);
        let apart = founding.allocations.iter().all(|a| a.account != founding.treasury);
        if !ascending || !apart || founding.allocations.len() > MAX_ALLOCATIONS {
            return Err(NetworkError::Allocations);
        }
        let one = |a: &Allocation| u128::from(a.available_ucredits) + u128::from(a.staked_ucredits);
        if founding.allocations.iter().map(one).sum::<u128>() > u128::from(GENESIS) {
            return Err(NetworkError::TooMuch);
        }
        founding.treasury.public_key().map_err(|_| Refusal { rule: crate::Rule::KeyRegistered })?;
        let committees = vec![Committee::new(0, &founding.witnesses)?];
        let id = Id::hash("edgenet/network/v1", &[&founding.encode()]);
        Ok(Network { id, founding, committees })
    }

    /// The network's name as a hash: SHA-256 over its founding.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Who started with what.
    pub fn founding(&self) -> &Founding {
        &self.founding
    }

    /// The account that pays bonuses.
    pub fn treasury(&self) -> &AccountId {
        &self.founding.treasury
    }

    /// What the treasury starts with, in micro-credits.
    pub fn treasury_at_genesis(&self) -> u64 {
        let one = |a: &Allocation| a.available_ucredits + a.staked_ucredits;
        GENESIS - self.founding.allocations.iter().map(one).sum::<u64>()
    }

    /// Whether an account settles for the network in an epoch: whoever witnesses may. Anybody may be the authority of their
    /// own locks, but what such a one says of workers and of draws counts for nothing.
    pub fn appoints(&self, authority: &AccountId, epoch: u64) -> bool {
        self.committee(epoch).members().iter().any(|member| member.account == *authority)
    }

    /// The committee that signs values of an epoch.
    pub fn committee(&self, epoch: u64) -> &Committee {
        let after = self.committees.partition_point(|c| c.from_epoch <= epoch);
        &self.committees[after.saturating_sub(1)]
    }

    /// Changes the committee from an epoch on, until the next change. Changes may come in any order, for nothing links
    /// them: who heard of a later one first must take the earlier one too.
    ///
    /// # Errors
    /// [`NetworkError::Signature`], or [`NetworkError::Order`] for another change of the same epoch.
    pub fn change(&mut self, change: &CommitteeChange) -> Result<(), NetworkError> {
        let key = self.treasury_key()?;
        let message = change.message(&self.id);
        key.verify(message.as_bytes(), &change.signature).map_err(|_| NetworkError::Signature)?;
        let committee = Committee::new(change.from_epoch, &change.witnesses)?;
        match self.committees.binary_search_by_key(&change.from_epoch, |c| c.from_epoch) {
            Err(at) => self.committees.insert(at, committee),
            Ok(at) if self.committees[at] == committee => {}
            Ok(_) => return Err(NetworkError::Order),
        }
        Ok(())
    }

    fn treasury_key(&self) -> Result<PublicKey, NetworkError> {
        let key = self.founding.treasury.public_key();
        Ok(key.map_err(|_| Refusal { rule: crate::Rule::KeyRegistered })?)
    }
}

impl Founding {
    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u8(crate::op::VERSION).text(&self.name).account(&self.treasury);
        out.u8(self.allocations.len() as u8);
        for a in &self.allocations {
            out.account(&a.account).u64(a.available_ucredits).u64(a.staked_ucredits);
        }
        write_witnesses(&mut out, &self.witnesses);
        out.0
    }

    /// Reads what [`Founding::encode`] wrote.
    ///
    /// # Errors
    /// Bytes that are not canonical.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Reader::whole(bytes, |reader| {
            crate::op::read_version(reader, "founding version")?;
            let name = reader.text(MAX_NAME_BYTES, "name")?.to_owned();
            let treasury = reader.account("treasury")?;
            let allocations = reader.ascending(
                MAX_ALLOCATIONS,
                "allocations",
                |a: &Allocation| a.account,
                |reader| {
                    Ok(Allocation {
                        account: reader.account("allocation")?,
                        available_ucredits: reader.u64("allocation")?,
                        staked_ucredits: reader.u64("allocation")?,
                    })
                },
            )?;
            Ok(Founding { name, treasury, allocations, witnesses: read_witnesses(reader)? })
        })
    }
}

/// Other witnesses from an epoch on, signed by the treasury's key. A witness that lost its disk comes back through one of
/// these, with another key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitteeChange {
    /// First epoch they sign for.
    pub from_epoch: u64,
    /// The witnesses and their weights, ascending by account.
    pub witnesses: Vec<(AccountId, u32)>,
    /// By the treasury's key.
    pub signature: Signature,
}

impl CommitteeChange {
    /// Signs a change.
    pub fn sign(
        network: &Id,
        from_epoch: u64,
        witnesses: Vec<(AccountId, u32)>,
        treasury: &SecretKey,
    ) -> Self {
        let unsigned = CommitteeChange { from_epoch, witnesses, signature: Signature::from_bytes([0; 64]) };
        let signature = treasury.sign(unsigned.message(network).as_bytes());
        CommitteeChange { signature, ..unsigned }
    }

    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.unsigned();
        out.signature(&self.signature);
        out.0
    }

    /// Reads what [`CommitteeChange::encode`] wrote.
    ///
    /// # Errors
    /// Bytes that are not canonical.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Reader::whole(bytes, |reader| {
            crate::op::read_version(reader, "committee version")?;
            Ok(CommitteeChange {
                from_epoch: reader.u64("epoch")?,
                witnesses: read_witnesses(reader)?,
                signature: reader.signature("signature")?,
            })
        })
    }

    fn unsigned(&self) -> Writer {
        let mut out = Writer::default();
        out.u8(crate::op::VERSION).u64(self.from_epoch);
        write_witnesses(&mut out, &self.witnesses);
        out
    }

    fn message(&self, network: &Id) -> Id {
        Id::hash("edgenet/committee/v1", &[network.as_bytes(), &self.unsigned().0])
    }
}

fn write_witnesses(out: &mut Writer, witnesses: &[(AccountId, u32)]) {
    out.u8(witnesses.len() as u8);
    for (account, weight) in witnesses {
        out.account(account).u32(*weight);
    }
}

fn read_witnesses(reader: &mut Reader<'_>) -> Result<Vec<(AccountId, u32)>, DecodeError> {
    reader.ascending(
        crate::certificate::MAX_WITNESSES,
        "witnesses",
        |w: &(AccountId, u32)| w.0,
        |reader| Ok((reader.account("witness")?, reader.u32("weight")?)),
    )
}
