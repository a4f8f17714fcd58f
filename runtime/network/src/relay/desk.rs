//! The witness's desk: values come in, votes go out, certificates are made, records are told.
//!
//! ```text
//! a value -> the witness considers it -> votes (and, where this one is enough, the record) are saved
//!   -> Stored: the other witnesses are asked -> their votes -> the record is saved
//!   -> Stored: it counts here, its askers hear of it, the other relays hear of it
//! ```
//! No vote leaves before it is durable, and nothing counts here that a crash could make forgotten. A value that is proposed
//! again while it is on the desk joins what is under way; one that was certified before gets the same votes again.

mod value;

use std::collections::{BTreeMap, BTreeSet};

use identity::{AccountId, SecretKey};
use ledger::{
    Check, Collector, Id, Ledger, Record, Vote, keep,
    proof::Proof,
    resolve::SignedResolve,
    store::Batch,
    witness::{self, Place, Unsent, Voted, Witness},
};

use super::{
    io::{Event, Output},
    port::{Port, Then},
};
use crate::{
    bus,
    node::Link,
    reason::Reason,
    wire::{AccountIs, MAX_DATA_BYTES, Propose, Records, VoteIs, statement_message},
};

pub(super) use value::Value;

/// A witness, its ledger, and the values that are being certified.
#[derive(Debug)]
pub(super) struct Desk {
    ledger: Ledger,
    witness: Witness,
    open: BTreeMap<Id, Ballot>,
    due: BTreeSet<(u64, Id)>,
    /// Records that the other relays do not know.
    fresh: Vec<Vec<u8>>,
    /// Locks that this witness has voted on: a second decision of one would convict its authority.
    decided: BTreeSet<Id>,
    epoch: u64,
}

/// A value on its way to a certificate.
#[derive(Debug)]
struct Ballot {
    value: Value,
    askers: Vec<Asker>,
    collector: Collector<'static>,
    /// Those who will not vote for it.
    refused: BTreeSet<AccountId>,
    /// The own vote is durable.
    is_told: bool,
    /// The record is being saved.
    is_certified: bool,
    due_ms: u64,
    until_ms: u64,
}

/// Who waits for a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// An edge, about its operation.
    Edge(Link),
    /// An edge, that wants to know how an account stands.
    Account(Link, AccountId),
    /// The market, about a task's escrow.
    Escrow(Id),
    /// The market, about a worker's stake.
    Stake(AccountId, Id),
    /// Nobody.
    Nobody,
}

/// What became of a value.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) asker: Asker,
    pub(super) value: Id,
    pub(super) verdict: Result<Record, (Reason, String)>,
}

/// What is done when something of the desk is durable.
#[derive(Debug)]
pub(super) enum Durable {
    /// The own vote for a value on the desk.
    Own(Id),
    /// A vote for another relay's value.
    For(AccountId, Vote),
    /// The record of a value on the desk.
    Counts(Id, Record),
}

impl Desk {
    pub(super) fn new(ledger: Ledger, key: SecretKey, votes: Vec<(Place, Voted)>) -> Self {
        let lock = |(place, _): &(Place, Voted)| match place {
            Place::Lock(lock) => Some(*lock),
            Place::Op(..) | Place::Epoch(_) => None,
        };
        Desk {
            decided: votes.iter().filter_map(lock).collect(),
            witness: Witness::new(key, votes),
            ledger,
            open: BTreeMap::new(),
            due: BTreeSet::new(),
            fresh: Vec::new(),
            epoch: 0,
        }
    }

    /// Whether this witness voted on a lock.
    pub(super) fn has_decided(&self, lock: &Id) -> bool {
        self.decided.contains(lock)
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Puts a value on the desk. `batch` is saved with the vote.
    pub(super) fn propose(
        &mut self,
        value: Value,
        asker: Asker,
        mut batch: Batch,
        port: &mut Port<'_, '_>,
    ) -> Option<Answer> {
        let id = value.id(port.me.network_id());
        let answer = |verdict| Some(Answer { asker, value: id, verdict });
        if let Some(ballot) = self.open.get_mut(&id) {
            if ballot.askers.len() < MAX_ASKERS {
                ballot.askers.push(asker);
            }
            return None;
        }
        if let Some(certified) = self.ledger.resolve(&id) {
            return answer(Ok(Record::Resolve(certified.clone())));
        }
        if let Value::Resolve(resolve) = &value {
            self.decided.insert(resolve.resolve.lock);
        }
        if self.open.len() >= MAX_BALLOTS {
            return answer(Err((Reason::RelayFull, "values on the desk".into())));
        }
        let unsent = match self.consider(&value, port) {
            Ok(unsent) => unsent,
            Err(refused) => return answer(Err((Reason::RuleBroken, refused.rule))),
        };
        let committee = port.me.network.committee(value.epoch()).clone();
        let mut collector = Collector::owned(*port.me.network_id(), id, committee);
        let stored = keep::put_votes(&mut batch, &unsent);
        // The vote is in this process's hands only, until `stored` says that the batch is durable.
        let counted = collector.add(&unsent.stored());
        if stored.is_err() || counted.is_err() {
            return answer(Err((Reason::NotStored, "the vote".into())));
        }
        let record = collector.certificate().map(|c| value.record(&port.me.network, c.clone()));
        let is_certified = record.is_some();
        let durable = match record {
            Some(record) => match keep::put_record(&mut batch, &record) {
                Ok(()) => Durable::Counts(id, record),
                Err(error) => return answer(Err((Reason::NotStored, error.to_string()))),
            },
            None => Durable::Own(id),
        };
        let until_ms = port.now_ms().saturating_add(port.me.config.ballot_ms);
        let ballot = Ballot {
            value,
            askers: vec![asker],
            collector,
            refused: BTreeSet::new(),
            is_told: false,
            is_certified,
            due_ms: until_ms,
            until_ms,
        };
        self.open.insert(id, ballot);
        port.save(batch, Then::Ballot(durable));
        None
    }

    /// Something of the desk is durable.
    pub(super) fn stored(&mut self, durable: Durable, port: &mut Port<'_, '_>) -> Vec<Answer> {
        match durable {
            Durable::Own(id) => {
                if let Some(ballot) = self.open.get_mut(&id) {
                    ballot.is_told = true;
                    ballot.ask(port, &mut self.due, id);
                }
                vec![]
            }
            Durable::For(to, vote) => {
                let Vote { witness, value, signature } = vote;
                let message = bus::Message::VoteIs(VoteIs { value, witness, signature });
                port.out.push(Output::Tell { to, message });
                vec![]
            }
            Durable::Counts(id, record) => {
                self.count(&record, port);
                self.close(&id, Ok(record))
            }
        }
    }

    /// Something of the desk may not be durable: what waits for it is told so. A witness votes the same way again.
    pub(super) fn not_stored(&mut self, durable: Durable) -> Vec<Answer> {
        match durable {
            Durable::Own(id) | Durable::Counts(id, _) => {
                self.close(&id, Err((Reason::NotStored, String::new())))
            }
            Durable::For(..) => vec![],
        }
    }

    /// Another relay wants a vote.
    pub(super) fn vote_for(&mut self, from: AccountId, propose: &Propose, port: &mut Port<'_, '_>) {
        let Ok(value) = Value::of(&propose.proposal) else { return };
        let id = value.id(port.me.network_id());
        match self.consider(&value, port) {
            Ok(unsent) => {
                let mut batch = Batch::new();
                if keep::put_votes(&mut batch, &unsent).is_ok() {
                    port.save(batch, Then::Ballot(Durable::For(from, unsent.stored())));
                }
            }
            Err(refused) => {
                let decided = refused.decided.map(|decided| decided.encode());
                let no = bus::NoVote { value: id, rule: refused.rule, decided };
                port.out.push(Output::Tell { to: from, message: bus::Message::Refused(no) });
            }
        }
    }

    /// Another witness voted.
    pub(super) fn voted(&mut self, from: AccountId, vote: &VoteIs, port: &mut Port<'_, '_>) {
        let Some(ballot) = self.open.get_mut(&vote.value).filter(|b| b.is_told && !b.is_certified) else {
            return;
        };
        let vote = Vote { witness: vote.witness, value: vote.value, signature: vote.signature };
        if from != vote.witness || ballot.collector.add(&vote).is_err() {
            return;
        }
        let Some(certificate) = ballot.collector.certificate().cloned() else { return };
        let record = ballot.value.record(&port.me.network, certificate);
        let mut batch = Batch::new();
        if keep::put_record(&mut batch, &record).is_ok() {
            ballot.is_certified = true;
            port.save(batch, Then::Ballot(Durable::Counts(vote.value, record)));
        }
    }

    /// Another witness will not vote.
    pub(super) fn refused(
        &mut self,
        from: AccountId,
        no: &bus::NoVote,
        port: &mut Port<'_, '_>,
    ) -> Vec<Answer> {
        let Some(ballot) = self.open.get_mut(&no.value).filter(|b| b.is_told && !b.is_certified) else {
            return vec![];
        };
        let committee = port.me.network.committee(ballot.value.epoch());
        let weight = |is_in: &dyn Fn(&AccountId) -> bool| -> u64 {
            committee.members().iter().filter(|m| is_in(&m.account)).map(|m| u64::from(m.weight)).sum()
        };
        ballot.refused.insert(from);
        let left = weight(&|_| true) - weight(&|account| ballot.refused.contains(account));
        let is_lost = left < committee.quorum();
        // A lock that is to run out and was decided elsewhere: the decision is certified instead.
        if let Some(Ok(decided)) = no.decided.as_deref().map(SignedResolve::decode) {
            self.propose(Value::Resolve(Box::new(decided)), Asker::Nobody, Batch::new(), port);
        }
        if !is_lost {
            return vec![];
        }
        let rule = no.rule.chars().take(MAX_RULE_CHARS).collect();
        self.close(&no.value, Err((Reason::RuleBroken, rule)))
    }

    /// Records of another relay.
    pub(super) fn records(&mut self, records: &Records, port: &mut Port<'_, '_>) -> Vec<Answer> {
        let (mut batch, mut answers) = (Batch::new(), Vec::new());
        for bytes in &records.records {
            let Ok(record) = Record::decode(bytes, &port.me.network) else { continue };
            let id = record.id();
            let merged = self.ledger.merge([record.clone()], Check::Signatures);
            if merged.added == 0 {
                continue;
            }
            if keep::put_record(&mut batch, &record).is_err() {
                port.save(std::mem::take(&mut batch), Then::Nothing);
                // An empty batch holds any one record.
                let _ = keep::put_record(&mut batch, &record);
            }
            port.event(Event::Merged { record: id });
            answers.extend(self.close(&id, Ok(record)));
        }
        if !batch.is_empty() {
            port.save(batch, Then::Nothing);
        }
        answers
    }

    /// An edge wants to know how an account stands. Its locks that ran out are certified as such first.
    pub(super) fn ask(&mut self, link: Link, account: AccountId, port: &mut Port<'_, '_>) {
        let answered = match self.ledger.draft_expiry(&account, port.epoch()) {
            Some(expiry) => {
                let asker = Asker::Account(link, account);
                self.propose(Value::Expiry(expiry), asker, Batch::new(), port).is_some()
            }
            None => true,
        };
        if answered {
            self.tell_account(link, &account, port);
        }
    }

    /// Says how an account stands.
    pub(super) fn tell_account(&self, link: Link, account: &AccountId, port: &mut Port<'_, '_>) {
        let epoch = port.epoch();
        let (leaf, _) = self.ledger.leaf_within(account, epoch, LEAF_BYTES);
        if leaf.len() + LEAF_ROOM_BYTES > MAX_DATA_BYTES {
            return port.refuse(
                link,
                Id::ZERO,
                Reason::TermsExceeded,
                0,
                "the account is longer than a frame",
            );
        }
        let message = statement_message(port.me.network_id(), account, epoch, &leaf);
        let signature = port.me.key.sign(message.as_bytes());
        port.send(link, AccountIs { epoch, leaf, signature });
    }

    /// Proposes the checkpoint of an epoch that ended, if it is this witness's turn, and asks again where votes are missing.
    pub(super) fn tick(&mut self, port: &mut Port<'_, '_>) -> Vec<Answer> {
        let epoch = port.epoch();
        if epoch > self.epoch {
            let is_first = std::mem::replace(&mut self.epoch, epoch) == 0;
            if !is_first && self.is_turn(epoch - 1, port) {
                let checkpoint = self.ledger.draft_checkpoint(epoch - 1);
                self.propose(Value::Checkpoint(checkpoint), Asker::Nobody, Batch::new(), port);
            }
        }
        let (now_ms, mut answers) = (port.now_ms(), Vec::new());
        while let Some(&(at_ms, id)) = self.due.first()
            && at_ms <= now_ms
        {
            self.due.remove(&(at_ms, id));
            let Some(ballot) = self.open.get_mut(&id).filter(|ballot| !ballot.is_certified) else { continue };
            if ballot.until_ms > now_ms {
                ballot.ask(port, &mut self.due, id);
            } else {
                answers.extend(self.close(&id, Err((Reason::NotCertified, String::new()))));
            }
        }
        answers
    }

    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        self.due.first().map(|(at_ms, _)| *at_ms)
    }

    /// Tells the other relays what came since the last time.
    pub(super) fn publish(&mut self, port: &mut Port<'_, '_>) {
        let mut records = std::mem::take(&mut self.fresh);
        if port.me.network.committee(port.epoch()).members().len() < 2 {
            return;
        }
        while !records.is_empty() {
            let mut bytes = 0;
            let fits = |record: &&Vec<u8>| {
                bytes += record.len() + 8;
                bytes < MAX_BUNDLE_BYTES
            };
            let count = records.iter().take_while(fits).count().clamp(1, Records::MOST);
            let rest = records.split_off(count);
            port.out.push(Output::Publish(bus::Message::Records(Records { records })));
            records = rest;
        }
    }

    /// What the witness says to a value. Proofs that come with a refusal are told to everybody.
    fn consider(&mut self, value: &Value, port: &mut Port<'_, '_>) -> Result<Unsent, Refused> {
        let (witness, ledger, now) = (&mut self.witness, &self.ledger, port.epoch());
        let considered = match value {
            Value::Op(op) => witness.consider_op(ledger, op, now),
            Value::Resolve(resolve) => witness.consider_resolve(ledger, resolve, now),
            Value::Checkpoint(checkpoint) => witness.consider_checkpoint(ledger, checkpoint, now),
            Value::Expiry(expiry) => witness.consider_expiry(ledger, expiry, now),
        };
        considered.map_err(|witness::Refused { refusal, proof, decided }| {
            let rule = refusal.rule.code();
            port.event(Event::VoteRefused { value: value.id(port.me.network_id()), rule });
            if let Some(proof) = proof {
                self.fork(proof, port);
            }
            Refused { rule: rule.into(), decided }
        })
    }

    fn fork(&mut self, proof: Box<Proof>, port: &mut Port<'_, '_>) {
        let record = Record::proof((*proof).clone());
        let mut batch = Batch::new();
        if keep::put_record(&mut batch, &record).is_ok() {
            port.save(batch, Then::Nothing);
        }
        self.count(&record, port);
        port.event(Event::Fork { proof });
    }

    /// Takes in what was certified or proved here.
    fn count(&mut self, record: &Record, port: &mut Port<'_, '_>) {
        let merged = self.ledger.merge([record.clone()], Check::Nothing);
        if merged.added > 0 {
            self.fresh.push(record.encode());
            port.event(Event::Merged { record: record.id() });
        }
    }

    fn close(&mut self, id: &Id, verdict: Result<Record, (Reason, String)>) -> Vec<Answer> {
        let Some(ballot) = self.open.remove(id) else { return vec![] };
        self.due.remove(&(ballot.due_ms, *id));
        let answer = |asker| Answer { asker, value: *id, verdict: verdict.clone() };
        ballot.askers.into_iter().map(answer).collect()
    }

    /// Witnesses propose checkpoints in turn: all have the same state, and one proposal is enough.
    fn is_turn(&self, epoch: u64, port: &Port<'_, '_>) -> bool {
        let members = port.me.network.committee(epoch).members();
        let turn = (epoch % members.len().max(1) as u64) as usize;
        members.get(turn).is_some_and(|member| member.account == port.me.account)
    }
}

/// Why the witness does not vote.
#[derive(Debug)]
struct Refused {
    rule: String,
    decided: Option<Box<SignedResolve>>,
}

impl Ballot {
    /// Asks the other witnesses, once more where it did before.
    fn ask(&mut self, port: &mut Port<'_, '_>, due: &mut BTreeSet<(u64, Id)>, id: Id) {
        let propose = Propose { proposal: self.value.proposal() };
        port.out.push(Output::Publish(bus::Message::Propose(propose)));
        self.due_ms = self.until_ms.min(port.now_ms().saturating_add(AGAIN_MS));
        due.insert((self.due_ms, id));
    }
}

/// Most values on the desk at once.
const MAX_BALLOTS: usize = 65_536;
/// Most who wait for one value.
const MAX_ASKERS: usize = 16;
/// Witnesses that did not answer are asked again after this.
const AGAIN_MS: u64 = 1_000;
/// Most bytes of records in one bundle.
const MAX_BUNDLE_BYTES: usize = MAX_DATA_BYTES - 4_096;
/// A longer leaf is cut to what its owner's next operation needs.
const LEAF_BYTES: usize = MAX_DATA_BYTES / 4;
/// A statement's frame beside the leaf.
const LEAF_ROOM_BYTES: usize = 256;
/// A rule's code as another relay spells it.
const MAX_RULE_CHARS: usize = 64;
