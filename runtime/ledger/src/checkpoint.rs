//! Checkpoints: the state of an epoch's end, in one hash that witnesses sign.

use crate::{
    Id,
    op::read_version,
    wire::{DecodeError, Reader, Writer},
};

/// What the ledger came to at the end of an epoch.
///
/// `version 1 (u8) | epoch (u64) | previous (32) | root (32) | accounts (u64) | treasury (u64) | compute (u64)`. The id is
/// `SHA-256("edgenet/checkpoint/v1" || network || bytes)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The epoch that ended.
    pub epoch: u64,
    /// The checkpoint before, [`Id::ZERO`] for the first.
    pub previous: Id,
    /// Merkle root over accounts in ascending order (RFC 6962, section 2.1).
    pub root: Id,
    /// Leaves under the root.
    pub accounts: u64,
    /// What the treasury holds, in micro-credits.
    pub treasury_ucredits: u64,
    /// Verified work to date, in micro CPU-hours; multipliers of later epochs are made of it.
    pub compute: u64,
}

impl Checkpoint {
    /// The name of this checkpoint in a network.
    pub fn id(&self, network: &Id) -> Id {
        let mut bytes = Writer::with_capacity(128);
        self.write(&mut bytes);
        Id::hash("edgenet/checkpoint/v1", &[network.as_bytes(), &bytes.0])
    }

    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        self.write(&mut out);
        out.0
    }

    /// Reads what [`Checkpoint::encode`] wrote.
    ///
    /// # Errors
    /// Bytes that are not canonical.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Reader::whole(bytes, Checkpoint::read)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u8(crate::op::VERSION).u64(self.epoch).id(&self.previous).id(&self.root);
        out.u64(self.accounts).u64(self.treasury_ucredits).u64(self.compute);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_version(reader, "checkpoint version")?;
        Ok(Checkpoint {
            epoch: reader.u64("epoch")?,
            previous: reader.id("previous")?,
            root: reader.id("root")?,
            accounts: reader.u64("accounts")?,
            treasury_ucredits: reader.u64("treasury")?,
            compute: reader.u64("compute")?,
        })
    }
}
