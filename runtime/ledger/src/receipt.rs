//! Receipts: a payment that convinces anyone who knows the network, without the ledger and without a connection.

use identity::AccountId;
use thiserror::Error;

use crate::{
    Id, Ledger, Network, Record,
    op::{Action, Reason},
    rule::Refusal,
    wire::DecodeError,
};

/// A certified operation or resolve, and which of its payments this is a receipt of.
///
/// It proves that a quorum of the network's witnesses certified the payment. That nobody proved the quorum wrong since, only
/// the ledger can tell. Bytes: the payment's index, then the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    index: u8,
    record: Record,
}

/// What a receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The operation or resolve that pays.
    pub source: Id,
    /// Who pays: the owner of the chain or lock.
    pub from: AccountId,
    /// Who is paid.
    pub to: AccountId,
    /// How much, in micro-credits.
    pub amount_ucredits: u64,
    /// What for.
    pub reason: Reason,
    /// When.
    pub epoch: u64,
}

/// Why a receipt is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReceiptError {
    /// The bytes are not canonical.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The witnesses of this network did not certify it.
    #[error("not certified by the witnesses of this network: {0}")]
    Refusal(#[from] Refusal),
    /// The record pays nothing at this index.
    #[error("the record makes no payment {index}")]
    NoPayment {
        /// The index.
        index: u8,
    },
}

impl Receipt {
    /// Which of the record's payments it is a receipt of.
    pub fn index(&self) -> u8 {
        self.index
    }

    /// Checks votes and content and tells what is proved.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn check(&self, network: &Network) -> Result<Payment, ReceiptError> {
        self.record.check(network)?;
        payments(&self.record)
            .into_iter()
            .nth(self.index.into())
            .ok_or(ReceiptError::NoPayment { index: self.index })
    }

    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        [&[self.index][..], &self.record.encode()].concat()
    }

    /// Reads what [`Receipt::encode`] wrote and checks it.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn decode(bytes: &[u8], network: &Network) -> Result<(Self, Payment), ReceiptError> {
        let (index, rest) = bytes.split_first().ok_or(DecodeError::Short { what: "receipt" })?;
        let receipt = Receipt { index: *index, record: Record::decode(rest, network)? };
        let payment = receipt.check(network)?;
        Ok((receipt, payment))
    }
}

impl Ledger {
    /// Receipts of everything that was paid to an account, oldest first.
    pub fn receipts(&self, account: &AccountId) -> Vec<(Receipt, Payment)> {
        let mut found = Vec::new();
        for record in self.records() {
            for (index, payment) in payments(&record).into_iter().enumerate() {
                if payment.to == *account {
                    found.push((Receipt { index: index as u8, record: record.clone() }, payment));
                }
            }
        }
        found.sort_by_key(|(receipt, payment)| (payment.epoch, payment.source, receipt.index));
        found
    }
}

/// The payments of a record, in its own order.
fn payments(record: &Record) -> Vec<Payment> {
    match record {
        Record::Op(r) => {
            let (op, source) = (&r.value.op, r.id);
            let Action::Transfer { outs } = &op.action else { return Vec::new() };
            let payment = |out: &crate::op::Out| Payment {
                source,
                from: op.account,
                to: out.to,
                amount_ucredits: out.amount_ucredits,
                reason: out.reason,
                epoch: op.epoch,
            };
            outs.iter().map(payment).collect()
        }
        Record::Resolve(r) => {
            let (resolve, source) = (&r.value.resolve, r.id);
            let payment = |payout: &crate::resolve::Payout| Payment {
                source,
                from: resolve.owner,
                to: payout.to,
                amount_ucredits: payout.amount_ucredits,
                reason: payout.reason,
                epoch: resolve.epoch,
            };
            resolve.payouts.iter().map(payment).collect()
        }
        Record::Checkpoint(_) | Record::Expiry(_) | Record::Proof(_) => Vec::new(),
    }
}
