//! Records: what the set holds and what nodes send each other.

use std::sync::Arc;

use identity::AccountId;

use crate::{
    Certificate, Checkpoint, Id, Network,
    expiry::Expiry,
    op::SignedOp,
    proof::Proof,
    resolve::SignedResolve,
    rule::Refusal,
    wire::{DecodeError, Reader, Writer},
};

/// A value with its id and the votes that certify it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified<T> {
    /// The value.
    pub value: T,
    /// Its name.
    pub id: Id,
    /// Who vouches for it.
    pub certificate: Certificate,
}

/// An element of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A certified operation.
    Op(Arc<Certified<SignedOp>>),
    /// A certified resolve.
    Resolve(Arc<Certified<SignedResolve>>),
    /// A certified checkpoint.
    Checkpoint(Arc<Certified<Checkpoint>>),
    /// A certified expiry.
    Expiry(Arc<Certified<Expiry>>),
    /// Proof that a key signed two values for one place.
    Proof(Arc<Proof>),
}

impl Certified<SignedOp> {
    /// [`Record::check`] for an operation.
    pub(crate) fn check_op(&self, network: &Network) -> Result<(), Refusal> {
        self.value.op.check_alone(network.treasury())?;
        self.certificate.check(network.id(), &self.id, network.committee(self.value.op.epoch))
    }
}

impl Record {
    /// A certified operation.
    pub fn op(network: &Network, value: SignedOp, certificate: Certificate) -> Self {
        let id = value.op.id(network.id());
        Record::Op(Arc::new(Certified { value, id, certificate }))
    }

    /// A certified resolve.
    pub fn resolve(network: &Network, value: SignedResolve, certificate: Certificate) -> Self {
        let id = value.resolve.id(network.id());
        Record::Resolve(Arc::new(Certified { value, id, certificate }))
    }

    /// A certified checkpoint.
    pub fn checkpoint(network: &Network, value: Checkpoint, certificate: Certificate) -> Self {
        Record::Checkpoint(Arc::new(Certified { value, id: value.id(network.id()), certificate }))
    }

    /// A certified expiry.
    pub fn expiry(network: &Network, value: Expiry, certificate: Certificate) -> Self {
        let id = value.id(network.id());
        Record::Expiry(Arc::new(Certified { value, id, certificate }))
    }

    /// A proof.
    pub fn proof(proof: Proof) -> Self {
        Record::Proof(Arc::new(proof))
    }

    /// The name of what is recorded.
    pub fn id(&self) -> Id {
        match self {
            Record::Op(r) => r.id,
            Record::Resolve(r) => r.id,
            Record::Checkpoint(r) => r.id,
            Record::Expiry(r) => r.id,
            Record::Proof(proof) => proof.id(),
        }
    }

    /// Whose chain, lock or offence it is about; `None` for checkpoints.
    pub fn subject(&self) -> Option<&AccountId> {
        match self {
            Record::Op(r) => Some(&r.value.op.account),
            Record::Resolve(r) => Some(&r.value.resolve.owner),
            Record::Checkpoint(_) => None,
            Record::Expiry(r) => Some(&r.value.owner),
            Record::Proof(proof) => Some(proof.culprit()),
        }
    }

    /// Checks votes and proofs: all that can be checked without the state.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check(&self, network: &Network) -> Result<(), Refusal> {
        let certified = |certificate: &Certificate, id: &Id, epoch: u64| {
            certificate.check(network.id(), id, network.committee(epoch))
        };
        match self {
            Record::Op(r) => r.check_op(network),
            Record::Resolve(r) => {
                r.value.resolve.check_alone()?;
                certified(&r.certificate, &r.id, r.value.resolve.epoch)
            }
            Record::Checkpoint(r) => certified(&r.certificate, &r.id, r.value.epoch),
            Record::Expiry(r) => {
                r.value.check_alone()?;
                certified(&r.certificate, &r.id, r.value.epoch)
            }
            Record::Proof(proof) => proof.check(network.id()),
        }
    }

    /// Canonical bytes: a tag, the value, its certificate.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(768);
        match self {
            Record::Op(r) => {
                r.value.write(out.u8(0));
                r.certificate.write(&mut out);
            }
            Record::Resolve(r) => {
                r.value.write(out.u8(1));
                r.certificate.write(&mut out);
            }
            Record::Checkpoint(r) => {
                r.value.write(out.u8(2));
                r.certificate.write(&mut out);
            }
            Record::Proof(proof) => proof.write(out.u8(3)),
            Record::Expiry(r) => {
                r.value.write(out.u8(4));
                r.certificate.write(&mut out);
            }
        }
        out.0
    }

    /// Reads what [`Record::encode`] wrote. The id comes from the bytes, never from the sender.
    ///
    /// # Errors
    /// Bytes that are not canonical.
    pub fn decode(bytes: &[u8], network: &Network) -> Result<Self, DecodeError> {
        Reader::whole(bytes, |reader| match reader.u8("record")? {
            0 => Ok(Record::op(network, SignedOp::read(reader)?, Certificate::read(reader)?)),
            1 => Ok(Record::resolve(network, SignedResolve::read(reader)?, Certificate::read(reader)?)),
            2 => Ok(Record::checkpoint(network, Checkpoint::read(reader)?, Certificate::read(reader)?)),
            3 => Ok(Record::proof(Proof::read(reader, network.id())?)),
            4 => Ok(Record::expiry(network, Expiry::read(reader)?, Certificate::read(reader)?)),
            found => Err(DecodeError::Tag { what: "record", found }),
        })
    }
}
