//! What witnesses vote on.

use ledger::{
    Certificate, Checkpoint, DecodeError, Id, Network, Record, expiry::Expiry, op::SignedOp,
    resolve::SignedResolve,
};

use crate::wire::Proposal;

/// A value that is to be certified.
#[derive(Clone, Debug)]
pub(in crate::relay) enum Value {
    /// An owner's operation.
    Op(Box<SignedOp>),
    /// An authority's decision.
    Resolve(Box<SignedResolve>),
    /// The end of an epoch.
    Checkpoint(Checkpoint),
    /// Locks that ran out.
    Expiry(Expiry),
}

impl Value {
    /// The value of a proposal.
    pub(in crate::relay) fn of(proposal: &Proposal) -> Result<Self, DecodeError> {
        Ok(match proposal {
            Proposal::Op(bytes) => Value::Op(Box::new(SignedOp::decode(bytes)?)),
            Proposal::Resolve(bytes) => Value::Resolve(Box::new(SignedResolve::decode(bytes)?)),
            Proposal::Checkpoint(bytes) => Value::Checkpoint(Checkpoint::decode(bytes)?),
            Proposal::Expiry(bytes) => Value::Expiry(Expiry::decode(bytes)?),
        })
    }

    /// Its proposal.
    pub(in crate::relay) fn proposal(&self) -> Proposal {
        match self {
            Value::Op(op) => Proposal::Op(op.encode()),
            Value::Resolve(resolve) => Proposal::Resolve(resolve.encode()),
            Value::Checkpoint(checkpoint) => Proposal::Checkpoint(checkpoint.encode()),
            Value::Expiry(expiry) => Proposal::Expiry(expiry.encode()),
        }
    }

    /// Its name in a network.
    pub(in crate::relay) fn id(&self, network: &Id) -> Id {
        match self {
            Value::Op(op) => op.op.id(network),
            Value::Resolve(resolve) => resolve.resolve.id(network),
            Value::Checkpoint(checkpoint) => checkpoint.id(network),
            Value::Expiry(expiry) => expiry.id(network),
        }
    }

    /// The epoch whose committee certifies it.
    pub(in crate::relay) fn epoch(&self) -> u64 {
        match self {
            Value::Op(op) => op.op.epoch,
            Value::Resolve(resolve) => resolve.resolve.epoch,
            Value::Checkpoint(checkpoint) => checkpoint.epoch,
            Value::Expiry(expiry) => expiry.epoch,
        }
    }

    /// The record that it becomes.
    pub(in crate::relay) fn record(&self, network: &Network, certificate: Certificate) -> Record {
        match self {
            Value::Op(op) => Record::op(network, (**op).clone(), certificate),
            Value::Resolve(resolve) => Record::resolve(network, (**resolve).clone(), certificate),
            Value::Checkpoint(checkpoint) => Record::checkpoint(network, *checkpoint, certificate),
            Value::Expiry(expiry) => Record::expiry(network, expiry.clone(), certificate),
        }
    }
}
