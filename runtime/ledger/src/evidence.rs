//! Evidence: what the treasury's operator sends along with a payment, so that every witness judges it by the same bytes.
//!
//! One exhibit for each payment, in their order. What makes a payment due is certified, chained to what is certified by
//! hashes, or an entry under a certified root; [`crate::justify`] says what has to be shown, and why nothing else counts.

use std::sync::Arc;

use identity::AccountId;

use crate::{
    Certificate, Certified, Checkpoint, DecodeError, Id, Network,
    account::Front,
    exposure::PAYOUT_LOCK_EPOCHS,
    merkle,
    op::{MAX_OUTS, SignedOp},
    resolve::{MAX_PAYOUTS, SignedResolve},
    wire::{Reader, Writer},
};

/// Most bytes of evidence: more than the largest that shows anything has.
pub const MAX_EVIDENCE_BYTES: usize = 8 << 20;

/// What shows that the payments of one operation are due.
///
/// ```text
/// count (u8), then an exhibit for each payment:
///   0 | resolve, certificate                                                an hour's verified result
///   1 | resolve, certificate                                                what was earned
///     | endings: count (u8), then 0, operation, certificate (collected) or 1, resolve, certificate (forfeited) each
///     | certificate of the first checkpoint | checkpoints: count (u8), each the one that the checkpoint before it names
///     | accounts: count (u8), then account (32) | leaves: count (u8) each, ascending
///       leaf: index (u64) | length (u16), entry | count (u8), hashes beside the way up
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence(pub(crate) Vec<Exhibit>);

/// What shows that one payment is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exhibit {
    /// A result that was verified within an hour.
    Verified(Arc<Certified<SignedResolve>>),
    /// A reward.
    Earned(Box<Earned>),
}

/// What shows a reward and who it was between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Earned {
    /// What paid it.
    pub(crate) resolve: Arc<Certified<SignedResolve>>,
    /// What became of its payouts.
    pub(crate) endings: Vec<Ending>,
    /// Of the first checkpoint.
    pub(crate) certificate: Certificate,
    /// From the one that relations are judged by, back to the one that compute is.
    pub(crate) checkpoints: Vec<Checkpoint>,
    /// Accounts under the first checkpoint's root, ascending.
    pub(crate) shown: Vec<(AccountId, Shown)>,
}

/// How a payout's lock ended. Witnesses sign one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its owner took it.
    Collected(Arc<Certified<SignedOp>>),
    /// It was decided on.
    Forfeited(Arc<Certified<SignedResolve>>),
}

/// The leaf of an account, or those beside the place where it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown(pub(crate) Vec<Leaf>);

/// A leaf in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) index: u64,
    pub(crate) entry: Vec<u8>,
    pub(crate) proof: merkle::Proof,
}

impl Evidence {
    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(16_384);
        out.u8(self.0.len() as u8);
        for exhibit in &self.0 {
            match exhibit {
                Exhibit::Verified(resolve) => write_resolve(resolve, out.u8(0)),
                Exhibit::Earned(earned) => earned.write(out.u8(1)),
            }
        }
        out.0
    }

    /// Reads what [`Evidence::encode`] wrote.
    ///
    /// # Errors
    /// Bytes that are not canonical.
    pub fn decode(bytes: &[u8], network: &Network) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_EVIDENCE_BYTES {
            let (found, most) = (bytes.len(), MAX_EVIDENCE_BYTES);
            return Err(DecodeError::Count { what: "bytes of evidence", found, most });
        }
        Reader::whole(bytes, |reader| {
            let read = |reader: &mut Reader<'_>| match reader.u8("exhibit")? {
                0 => Ok(Exhibit::Verified(read_resolve(reader, network)?)),
                1 => Ok(Exhibit::Earned(Box::new(Earned::read(reader, network)?))),
                found => Err(DecodeError::Tag { what: "exhibit", found }),
            };
            Ok(Evidence(reader.list(MAX_OUTS, "exhibits", read)?))
        })
    }
}

impl Earned {
    /// Where an account came from, as the first checkpoint has it; `None` if that is not shown.
    pub(crate) fn front(&self, account: &AccountId) -> Option<Front> {
        let (_, shown) = self.shown.iter().find(|(shown, _)| shown == account)?;
        shown.check(account, self.checkpoints.first()?)
    }

    fn write(&self, out: &mut Writer) {
        write_resolve(&self.resolve, out);
        out.u8(self.endings.len() as u8);
        for ending in &self.endings {
            match ending {
                Ending::Collected(op) => {
                    op.value.write(out.u8(0));
                    op.certificate.write(out);
                }
                Ending::Forfeited(resolve) => write_resolve(resolve, out.u8(1)),
            }
        }
        self.certificate.write(out);
        out.u8(self.checkpoints.len() as u8);
        self.checkpoints.iter().for_each(|checkpoint| checkpoint.write(out));
        out.u8(self.shown.len() as u8);
        for (account, shown) in &self.shown {
            shown.write(out.account(account));
        }
    }

    fn read(reader: &mut Reader<'_>, network: &Network) -> Result<Self, DecodeError> {
        let ending = |reader: &mut Reader<'_>| match reader.u8("ending")? {
            0 => {
                let (value, certificate) = (SignedOp::read(reader)?, Certificate::read(reader)?);
                let id = value.op.id(network.id());
                Ok(Ending::Collected(Arc::new(Certified { value, id, certificate })))
            }
            1 => Ok(Ending::Forfeited(read_resolve(reader, network)?)),
            found => Err(DecodeError::Tag { what: "ending", found }),
        };
        Ok(Earned {
            resolve: read_resolve(reader, network)?,
            endings: reader.list(MAX_PAYOUTS, "endings", ending)?,
            certificate: Certificate::read(reader)?,
            checkpoints: reader.list(MAX_CHECKPOINTS, "checkpoints", Checkpoint::read)?,
            shown: reader.ascending(
                MAX_SHOWN,
                "accounts",
                |(account, _): &(AccountId, Shown)| *account,
                |reader| Ok((reader.account("account")?, Shown::read(reader)?)),
            )?,
        })
    }
}

impl Shown {
    /// Where the account came from, if this is its leaf; from nowhere, if this shows that it has none.
    pub(crate) fn check(&self, account: &AccountId, checkpoint: &Checkpoint) -> Option<Front> {
        let mut fronts = Vec::with_capacity(2);
        for Leaf { index, entry, proof } in &self.0 {
            let (root, leaf) = (checkpoint.root.as_bytes(), merkle::leaf(entry));
            if !merkle::verify(root, &leaf, *index, checkpoint.accounts, proof) {
                return None;
            }
            let (id, front) = Front::of_entry(entry).ok()?;
            fronts.push((*index, id, front));
        }
        // Leaves ascend by account, so that between two neighbours there is nothing.
        match fronts[..] {
            [(_, id, front)] if id == *account => Some(front),
            [(0, id, _)] if id > *account => Some(Front::default()),
            [(last, id, _)] if id < *account && last + 1 == checkpoint.accounts => Some(Front::default()),
            [(left, before, _), (right, after, _)]
                if before < *account && *account < after && left + 1 == right =>
            {
                Some(Front::default())
            }
            _ => None,
        }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u8(self.0.len() as u8);
        for leaf in &self.0 {
            out.u64(leaf.index).u16(leaf.entry.len() as u16).bytes(&leaf.entry).bytes(&leaf.proof.encode());
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let leaf = |reader: &mut Reader<'_>| {
            let (index, length) = (reader.u64("index")?, usize::from(reader.u16("entry")?));
            if length > MAX_ENTRY_BYTES {
                return Err(DecodeError::Count {
                    what: "bytes of an entry",
                    found: length,
                    most: MAX_ENTRY_BYTES,
                });
            }
            let entry = reader.slice(length, "entry")?.to_vec();
            let hash = |reader: &mut Reader<'_>| reader.array::<32>("hash");
            let hashes = reader.list(merkle::MAX_PROOF_HASHES, "hashes", hash)?;
            Ok(Leaf { index, entry, proof: merkle::Proof::of(hashes) })
        };
        Ok(Shown(reader.list(2, "leaves", leaf)?))
    }
}

fn write_resolve(resolve: &Certified<SignedResolve>, out: &mut Writer) {
    resolve.value.write(out);
    resolve.certificate.write(out);
}

fn read_resolve(
    reader: &mut Reader<'_>,
    network: &Network,
) -> Result<Arc<Certified<SignedResolve>>, DecodeError> {
    let (value, certificate) = (SignedResolve::read(reader)?, Certificate::read(reader)?);
    let id: Id = value.resolve.id(network.id());
    Ok(Arc::new(Certified { value, id, certificate }))
}

/// Checkpoints of the hour in which a reward can be forfeited, one an epoch, the one after it, and the one before.
pub(crate) const MAX_CHECKPOINTS: usize = PAYOUT_LOCK_EPOCHS as usize + 2;
/// Payees, the owner of the lock, and a referrer.
const MAX_SHOWN: usize = MAX_PAYOUTS + 2;
/// The front of a leaf and a hash.
const MAX_ENTRY_BYTES: usize = 254 + 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Account, Taken, entry};

    fn account(number: u8) -> AccountId {
        AccountId::from_bytes([number; 32])
    }

    /// Accounts 10, 20, ... up to so many, and the checkpoint over them.
    fn tree(count: u8) -> (Vec<Leaf>, Checkpoint) {
        let leaf = |n: u8| {
            let made = Account { ancestor: Some(account(n + 1)), ..Account::default() };
            entry(&made.leaf(&account(n), false, &Taken::default()))
        };
        let entries: Vec<Vec<u8>> = (1..=count).map(|n| leaf(10 * n)).collect();
        let hashes: Vec<[u8; 32]> = entries.iter().map(|entry| merkle::leaf(entry)).collect();
        let proof = |index| merkle::prove(&hashes, index).unwrap();
        let leaves = entries.iter().enumerate();
        let leaves = leaves.map(|(i, entry)| Leaf { index: i as u64, entry: entry.clone(), proof: proof(i) });
        let checkpoint = Checkpoint {
            epoch: 1,
            previous: Id::ZERO,
            root: Id::from_bytes(merkle::root(&hashes)),
            accounts: count.into(),
            treasury_ucredits: 0,
            compute: 0,
        };
        (leaves.collect(), checkpoint)
    }

    /// All that one or two leaves can say of anyone: the truth, or nothing.
    #[test]
    fn leaves_show_who_is_there_and_who_is_not() {
        for count in 1..=5 {
            let (leaves, checkpoint) = tree(count);
            for asked in (5..=60).step_by(5) {
                let (mut shown, there) = (0, asked % 10 == 0 && asked / 10 <= count);
                let ones = leaves.iter().map(|leaf| vec![leaf.clone()]);
                let twos = leaves.iter().flat_map(|a| leaves.iter().map(|b| vec![a.clone(), b.clone()]));
                for some in ones.chain(twos).chain([Vec::new()]) {
                    let Some(front) = Shown(some).check(&account(asked), &checkpoint) else { continue };
                    shown += 1;
                    assert_eq!(front.ancestor, there.then(|| account(asked + 1)), "{asked} of {count}");
                }
                assert_eq!(shown, 1, "{asked} of {count} is shown in one way");
            }
        }
    }

    #[test]
    fn forged_leaves_show_nothing() {
        let (leaves, checkpoint) = tree(5);
        let good = Shown(vec![leaves[2].clone()]);
        assert!(good.check(&account(30), &checkpoint).is_some());
        for byte in 0..leaves[2].entry.len() {
            let mut forged = leaves[2].clone();
            forged.entry[byte] ^= 1;
            assert_eq!(Shown(vec![forged]).check(&account(30), &checkpoint), None);
        }
        for index in [0, 1, 3, 4, 5, u64::MAX] {
            let moved = Leaf { index, ..leaves[2].clone() };
            assert_eq!(Shown(vec![moved]).check(&account(30), &checkpoint), None);
        }
        let other = Checkpoint { root: tree(4).1.root, ..checkpoint };
        assert_eq!(good.check(&account(30), &other), None);
    }
}
