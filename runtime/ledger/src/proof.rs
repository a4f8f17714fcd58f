//! Proofs of misbehaviour that convince anyone from their bytes alone.

use identity::AccountId;

use crate::{
    Id,
    op::SignedOp,
    resolve::SignedResolve,
    rule::{Refusal, Rule, require},
    wire::{DecodeError, Reader, Writer},
};

/// Two values that one key signed for one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    id: Id,
    offence: Offence,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offence {
    /// An owner signed two operations for one seq.
    Fork {
        /// The key both are signed with: the account's own, or one it was handed to.
        key: AccountId,
        /// The two, ascending by id.
        ops: Box<[SignedOp; 2]>,
    },
    /// A settlement authority decided a lock twice.
    Decisions {
        /// The authority.
        authority: AccountId,
        /// The two, ascending by id.
        resolves: Box<[SignedResolve; 2]>,
    },
}

impl Proof {
    /// A proof that an owner forked its chain, from the two operations in any order.
    ///
    /// # Errors
    /// [`Rule::ProofGenuine`].
    pub fn fork(network: &Id, key: AccountId, one: SignedOp, other: SignedOp) -> Result<Self, Refusal> {
        let (a, b) = (one.op.id(network), other.op.id(network));
        let ops = if a < b { [one, other] } else { [other, one] };
        let proof = Proof::of(network, Offence::Fork { key, ops: Box::new(ops) });
        proof.check(network).map(|()| proof)
    }

    /// A proof that an authority decided a lock twice, from the two resolves in any order.
    ///
    /// # Errors
    /// [`Rule::ProofGenuine`].
    pub fn decisions(
        network: &Id,
        authority: AccountId,
        one: SignedResolve,
        other: SignedResolve,
    ) -> Result<Self, Refusal> {
        let (a, b) = (one.resolve.id(network), other.resolve.id(network));
        let resolves = if a < b { [one, other] } else { [other, one] };
        let proof = Proof::of(network, Offence::Decisions { authority, resolves: Box::new(resolves) });
        proof.check(network).map(|()| proof)
    }

    /// Its name: SHA-256 over the place and the key, so that all proofs of one offence are one.
    pub fn id(&self) -> Id {
        self.id
    }

    /// What was done.
    pub fn offence(&self) -> &Offence {
        &self.offence
    }

    /// Whose stake burns.
    pub fn culprit(&self) -> &AccountId {
        match &self.offence {
            Offence::Fork { ops, .. } => &ops[0].op.account,
            Offence::Decisions { authority, .. } => authority,
        }
    }

    /// Whether it convinces: different values, one place, good signatures.
    ///
    /// # Errors
    /// [`Rule::ProofGenuine`].
    pub fn check(&self, network: &Id) -> Result<(), Refusal> {
        let genuine = match &self.offence {
            Offence::Fork { key, ops } => {
                let ids = ops.each_ref().map(|o| o.op.id(network));
                let [a, b] = ops.each_ref().map(|o| &o.op);
                let same_place = a.account == b.account && a.seq == b.seq;
                let signed = |key: &identity::PublicKey| {
                    ops.iter().zip(&ids).all(|(op, id)| key.verify(id.as_bytes(), &op.signature).is_ok())
                };
                ids[0] < ids[1] && same_place && key.public_key().is_ok_and(|key| signed(&key))
            }
            Offence::Decisions { authority, resolves } => {
                let ids = resolves.each_ref().map(|r| r.resolve.id(network));
                let [a, b] = resolves.each_ref().map(|r| &r.resolve);
                let same_place = a.lock == b.lock && a.owner == b.owner;
                let signed = |key: &identity::PublicKey| {
                    resolves.iter().zip(&ids).all(|(r, id)| key.verify(id.as_bytes(), &r.signature).is_ok())
                };
                ids[0] < ids[1] && same_place && authority.public_key().is_ok_and(|key| signed(&key))
            }
        };
        require(Rule::ProofGenuine, genuine)
    }

    fn of(network: &Id, offence: Offence) -> Self {
        let id = match &offence {
            Offence::Fork { key, ops } => {
                let (account, seq) = (ops[0].op.account, ops[0].op.seq.to_le_bytes());
                let parts: [&[u8]; 4] = [network.as_bytes(), account.as_bytes(), &seq, key.as_bytes()];
                Id::hash("edgenet/fork/v1", &parts)
            }
            Offence::Decisions { authority, resolves } => {
                let lock = resolves[0].resolve.lock;
                let parts: [&[u8]; 3] = [network.as_bytes(), lock.as_bytes(), authority.as_bytes()];
                Id::hash("edgenet/decisions/v1", &parts)
            }
        };
        Proof { id, offence }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        match &self.offence {
            Offence::Fork { key, ops } => {
                out.u8(0).account(key);
                ops.iter().for_each(|op| op.write(out));
            }
            Offence::Decisions { authority, resolves } => {
                out.u8(1).account(authority);
                resolves.iter().for_each(|resolve| resolve.write(out));
            }
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>, network: &Id) -> Result<Self, DecodeError> {
        let offence = match reader.u8("offence")? {
            0 => {
                let key = reader.account("key")?;
                let ops = Box::new([SignedOp::read(reader)?, SignedOp::read(reader)?]);
                Offence::Fork { key, ops }
            }
            1 => {
                let authority = reader.account("authority")?;
                let resolves = Box::new([SignedResolve::read(reader)?, SignedResolve::read(reader)?]);
                Offence::Decisions { authority, resolves }
            }
            found => return Err(DecodeError::Tag { what: "offence", found }),
        };
        Ok(Proof::of(network, offence))
    }
}
