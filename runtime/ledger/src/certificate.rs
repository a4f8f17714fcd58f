//! Votes of witnesses and certificates: a value with enough of them.

use std::borrow::Cow;

use identity::{AccountId, PublicKey, SecretKey, Signature};

use crate::{
    Id,
    rule::{Refusal, Rule, require},
    wire::{DecodeError, Reader, Writer},
};

/// Most witnesses of a committee.
pub const MAX_WITNESSES: usize = 64;

/// The witnesses of a stretch of epochs, by account, with their weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committee {
    /// First epoch it signs for.
    pub from_epoch: u64,
    /// 1 to [`MAX_WITNESSES`] members, ascending by account.
    members: Vec<Member>,
}

/// One witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its key.
    pub account: AccountId,
    /// Its weight, above 0.
    pub weight: u32,
    key: PublicKey,
}

impl Committee {
    /// A committee of these witnesses and weights, in any order.
    ///
    /// # Errors
    /// [`Rule::KeyRegistered`] for keys that may not sign, [`Rule::SignersDistinct`] for one named twice, and
    /// [`Rule::QuorumReached`] for no witness at all, too many, or a weight of 0.
    pub fn new(from_epoch: u64, witnesses: &[(AccountId, u32)]) -> Result<Self, Refusal> {
        require(Rule::QuorumReached, (1..=MAX_WITNESSES).contains(&witnesses.len()))?;
        require(Rule::QuorumReached, witnesses.iter().all(|(_, weight)| *weight > 0))?;
        let member = |&(account, weight): &(AccountId, u32)| {
            let key = account.public_key().map_err(|_| Refusal { rule: Rule::KeyRegistered })?;
            Ok(Member { account, weight, key })
        };
        let mut members: Vec<Member> = witnesses.iter().map(member).collect::<Result<_, Refusal>>()?;
        members.sort_by_key(|m| m.account);
        require(Rule::SignersDistinct, members.is_sorted_by(|a, b| a.account < b.account))?;
        Ok(Committee { from_epoch, members })
    }

    /// The members, ascending by account.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Weight that certifies: `floor(2W/3) + 1`.
    pub fn quorum(&self) -> u64 {
        2 * self.weight() / 3 + 1
    }

    /// Weight of the witnesses that may be bad without harm: the largest f with `3f < W`.
    pub fn tolerated(&self) -> u64 {
        (self.weight() - 1) / 3
    }

    fn weight(&self) -> u64 {
        self.members.iter().map(|m| u64::from(m.weight)).sum()
    }

    fn member(&self, account: &AccountId) -> Option<&Member> {
        self.members.binary_search_by_key(account, |m| m.account).ok().map(|at| &self.members[at])
    }
}

/// A witness's signature under a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The witness.
    pub witness: AccountId,
    /// The value's id.
    pub value: Id,
    /// Over `SHA-256("edgenet/vote/v1" || network || value)`.
    pub signature: Signature,
}

impl Vote {
    pub(crate) fn sign(network: &Id, value: Id, key: &SecretKey) -> Self {
        let signature = key.sign(vote_message(network, &value).as_bytes());
        Vote { witness: key.account(), value, signature }
    }
}

/// Signatures of distinct witnesses under one value, ascending by account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    signatures: Vec<(AccountId, Signature)>,
}

impl Certificate {
    /// The witnesses that signed.
    pub fn signers(&self) -> impl Iterator<Item = &AccountId> {
        self.signatures.iter().map(|(account, _)| account)
    }

    /// Checks that distinct members of the committee with enough weight signed the value.
    ///
    /// # Errors
    /// [`Rule::CommitteeCurrent`], [`Rule::SignersDistinct`], [`Rule::SignersGenuine`] or [`Rule::QuorumReached`].
    pub fn check(&self, network: &Id, value: &Id, committee: &Committee) -> Result<(), Refusal> {
        require(Rule::SignersDistinct, self.signatures.is_sorted_by(|a, b| a.0 < b.0))?;
        let message = vote_message(network, value);
        let mut weight = 0;
        for (account, signature) in &self.signatures {
            let Some(member) = committee.member(account) else {
                require(Rule::CommitteeCurrent, false)?;
                weight += 1;
                continue;
            };
            let genuine = member.key.verify(message.as_bytes(), signature).is_ok();
            require(Rule::SignersGenuine, genuine)?;
            weight += u64::from(member.weight);
        }
        require(Rule::QuorumReached, weight >= committee.quorum())
    }

    /// Takes the signatures of another certificate of the same value in; tells whether anything came. The result does not
    /// depend on the order of joins.
    pub(crate) fn join(&mut self, other: &Certificate) -> bool {
        let mut grew = false;
        for (account, signature) in &other.signatures {
            match self.signatures.binary_search_by_key(account, |(a, _)| *a) {
                Err(at) => {
                    self.signatures.insert(at, (*account, *signature));
                    grew = true;
                }
                Ok(at) if signature.as_bytes() < self.signatures[at].1.as_bytes() => {
                    self.signatures[at].1 = *signature;
                }
                Ok(_) => {}
            }
        }
        grew
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u8(self.signatures.len() as u8);
        for (account, signature) in &self.signatures {
            out.account(account).signature(signature);
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let read = |reader: &mut Reader<'_>| Ok((reader.account("signer")?, reader.signature("vote")?));
        // Whether signers ascend is a rule of its own, so that a certificate that counts one twice is refused by name.
        Ok(Certificate { signatures: reader.list(MAX_WITNESSES, "signers", read)? })
    }
}

/// Gathers votes for one value until they certify it.
#[derive(Clone, Debug)]
pub struct Collector<'a> {
    network: Id,
    value: Id,
    committee: Cow<'a, Committee>,
    certificate: Certificate,
    weight: u64,
}

impl<'a> Collector<'a> {
    /// Waits for votes for a value.
    pub fn new(network: Id, value: Id, committee: &'a Committee) -> Self {
        Collector::of(network, value, Cow::Borrowed(committee))
    }

    /// The same with a committee of its own, for whoever waits long.
    pub fn owned(network: Id, value: Id, committee: Committee) -> Collector<'static> {
        Collector::of(network, value, Cow::Owned(committee))
    }

    fn of(network: Id, value: Id, committee: Cow<'a, Committee>) -> Self {
        Collector { network, value, committee, certificate: Certificate::default(), weight: 0 }
    }

    /// Takes a vote. A second vote of one witness changes nothing.
    ///
    /// # Errors
    /// [`Rule::SignersGenuine`] for a vote of another value or a bad signature, [`Rule::CommitteeCurrent`] for one of a
    /// stranger.
    pub fn add(&mut self, vote: &Vote) -> Result<(), Refusal> {
        require(Rule::SignersGenuine, vote.value == self.value)?;
        let member = self.committee.member(&vote.witness).ok_or(Refusal { rule: Rule::CommitteeCurrent })?;
        let message = vote_message(&self.network, &vote.value);
        require(Rule::SignersGenuine, member.key.verify(message.as_bytes(), &vote.signature).is_ok())?;
        let signatures = vec![(vote.witness, vote.signature)];
        if self.certificate.join(&Certificate { signatures }) {
            self.weight += u64::from(member.weight);
        }
        Ok(())
    }

    /// The certificate, once there is enough weight behind it.
    pub fn certificate(&self) -> Option<&Certificate> {
        (self.weight >= self.committee.quorum()).then_some(&self.certificate)
    }
}

fn vote_message(network: &Id, value: &Id) -> Id {
    Id::hash("edgenet/vote/v1", &[network.as_bytes(), value.as_bytes()])
}
