//! The real economy: owners, workers, a treasury, a settlement authority, and witnesses, each with its own replica and its
//! own store. Records arrive late, twice and in any order; witnesses crash between writing and sending.

use std::{collections::BTreeMap, sync::Arc};

use identity::{AccountId, SecretKey, Signature};
use ledger::{
    Allocation, Certificate, Check, Checkpoint, Collector, Evidence, Founding, Id, Ledger, Network, Record,
    Refusal, Roll, Rule, Vote,
    expiry::Expiry,
    op::{Receive, SignedOp},
    proof::Proof,
    resolve::SignedResolve,
    witness::{Place, Refused, Unsent, Voted, Witness},
};

use crate::{
    Failure, Outcome, Rng, ensure,
    reference::{ALL_CREDITS, Economy, Name, TREASURY, Who},
};

/// Those who spend.
pub const OWNERS: std::ops::RangeInclusive<Who> = 1..=4;
/// Those who work.
pub const WORKERS: std::ops::RangeInclusive<Who> = 5..=7;
/// Those whose account an attack ruins.
pub const VILLAINS: std::ops::RangeInclusive<Who> = 8..=15;
/// Accounts there are.
pub const ACCOUNTS: Who = 24;
/// What each witness has at stake, in micro-credits.
pub const WITNESS_STAKE: u64 = 100 * CREDIT;
/// Micro-credits in a credit.
pub const CREDIT: u64 = 1_000_000;

/// A witness with what it keeps.
pub struct Node {
    seed: [u8; 32],
    /// Signs anything, twice, and forgets.
    pub bad: bool,
    /// The one under test.
    pub witness: Witness,
    /// What survives a crash.
    pub store: BTreeMap<Place, Voted>,
    /// Its replica.
    pub ledger: Ledger,
    /// It dropped what lies behind a checkpoint.
    pub pruned: bool,
    /// What is on its way to it.
    pub mail: Vec<Record>,
}

/// What is put before the witnesses.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Value {
    Op(SignedOp),
    Grant(SignedOp, Evidence),
    Resolve(SignedResolve),
    Checkpoint(Checkpoint),
    Expiry(Expiry),
}

/// What came back.
pub enum Answer {
    /// A vote.
    Vote(Vote),
    /// A refusal, perhaps with a proof.
    Refused(Refusal, Option<Box<Proof>>),
    /// Nothing: it crashed, or its disk did not take the write.
    Lost,
}

/// Two economies and everyone in them.
pub struct World {
    /// What everything was drawn from.
    pub seed: u64,
    /// Draws.
    pub rng: Rng,
    /// The epoch.
    pub now: u64,
    /// Whether attacks must be refused by the very rule they break; not while a rule is taken away.
    pub strict: bool,
    /// Whether witnesses crash and mail is late.
    pub faults: bool,
    /// A witness that nobody reaches.
    pub absent: Option<usize>,
    /// What all agree on.
    pub network: Arc<Network>,
    /// Names of accounts, by number.
    pub accounts: Vec<AccountId>,
    /// Their keys.
    pub keys: Vec<SecretKey>,
    /// Decides on locks.
    pub authority: SecretKey,
    /// The committee.
    pub nodes: Vec<Node>,
    /// Sees every record at once.
    pub all: Ledger,
    /// The reference.
    pub economy: Economy,
    /// What was done.
    pub log: Vec<String>,
    /// Records that count, by serial number.
    pub records: Vec<Record>,
    /// The last epoch with a checkpoint.
    pub closed: u64,
    /// What the treasury's operator keeps of checkpoints.
    pub rolls: Vec<Roll>,
    serials: BTreeMap<Id, u32>,
    lock_names: BTreeMap<Id, Name>,
    lock_ids: BTreeMap<Name, Id>,
    next_villain: Who,
    next_key: u16,
}

/// A key made of a number.
pub fn key(number: u16) -> SecretKey {
    let mut seed = [7; 32];
    seed[..2].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(seed)
}

/// Two accounts that a fork would ruin, by role: what they start with, available and staked, in credits.
fn start(who: Who) -> (u64, u64) {
    match who {
        w if OWNERS.contains(&w) => (5_000 + u64::from(w), if w <= 2 { 150 } else { 0 }),
        5 => (0, 30),
        w if VILLAINS.contains(&w) => (2_000, 50),
        _ => (0, 0),
    }
}

impl World {
    /// A world of this seed with so many witnesses.
    pub fn new(seed: u64, witnesses: u16) -> Self {
        let keys: Vec<SecretKey> = (0..ACCOUNTS).map(|n| key(n.into())).collect();
        let accounts: Vec<AccountId> = keys.iter().map(SecretKey::account).collect();
        let members: Vec<SecretKey> = (0..witnesses).map(|n| key(1_000 + n)).collect();
        let network = Arc::new(found(&accounts, &members));
        let all = Ledger::new(network.clone());
        let mut rng = Rng::new(seed);
        let now = 10_000 + rng.below(60);
        let mut purses: Vec<(Who, u64, u64)> =
            (1..ACCOUNTS).map(|who| (who, start(who).0 * CREDIT, start(who).1 * CREDIT)).collect();
        purses.extend((0..witnesses).map(|n| (ACCOUNTS + n as Who, 0, WITNESS_STAKE)));
        let node = |key: &SecretKey| Node {
            seed: *key.seed(),
            bad: false,
            witness: Witness::new(SecretKey::from_seed(*key.seed()), []),
            store: BTreeMap::new(),
            ledger: all.clone(),
            pruned: false,
            mail: Vec::new(),
        };
        let mut nodes: Vec<Node> = members.iter().map(node).collect();
        let bad = (nodes.len() - 1) / 3;
        nodes.iter_mut().rev().take(bad).for_each(|node| node.bad = true);
        World {
            seed,
            rng,
            now,
            strict: true,
            faults: true,
            absent: None,
            network,
            accounts,
            keys,
            // A good witness.
            authority: key(1_000),
            nodes,
            economy: Economy::new(now, &purses),
            all,
            log: vec![format!("seed {seed}, {witnesses} witnesses, {bad} of them bad")],
            records: Vec::new(),
            closed: now - 1,
            rolls: Vec::new(),
            serials: BTreeMap::new(),
            lock_names: BTreeMap::new(),
            lock_ids: BTreeMap::new(),
            next_villain: *VILLAINS.start(),
            next_key: 2_000,
        }
    }

    /// The network's id.
    pub fn id(&self) -> Id {
        *self.network.id()
    }

    /// An account that may be ruined; each once.
    pub fn villain(&mut self) -> Option<Who> {
        let who = self.next_villain;
        self.next_villain += 1;
        VILLAINS.contains(&who).then_some(who)
    }

    /// A key nobody has yet.
    pub fn fresh_key(&mut self) -> SecretKey {
        self.next_key += 1;
        key(self.next_key)
    }

    /// The witnesses that do as they should.
    pub fn honest(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|i| !self.nodes[*i].bad).collect()
    }

    /// Puts a value before one witness, with luck.
    pub fn ask(&mut self, i: usize, value: &Value, faults: bool) -> Outcome<Answer> {
        if self.nodes[i].bad {
            // Signs anything, or nothing.
            let vote = vote(&self.id(), self.value_id(value), &SecretKey::from_seed(self.nodes[i].seed));
            return Ok(if faults && self.rng.once_in(4) { Answer::Lost } else { Answer::Vote(vote) });
        }
        let (now, node) = (self.now, &mut self.nodes[i]);
        let answer = match value {
            Value::Op(op) => node.witness.consider_op(&node.ledger, op, now),
            Value::Grant(op, shown) => node.witness.consider_treasury(&node.ledger, op, shown, now),
            Value::Resolve(resolve) => node.witness.consider_resolve(&node.ledger, resolve, now),
            Value::Checkpoint(checkpoint) => node.witness.consider_checkpoint(&node.ledger, checkpoint, now),
            Value::Expiry(expiry) => node.witness.consider_expiry(&node.ledger, expiry, now),
        };
        let unsent: Unsent = match answer {
            Ok(unsent) => unsent,
            Err(Refused { refusal, proof, .. }) => return Ok(Answer::Refused(refusal, proof)),
        };
        let fault = if faults { self.rng.below(24) } else { u64::MAX };
        if fault == 0 {
            // The disk takes nothing: the vote must not leave.
            return Ok(Answer::Lost);
        }
        let node = &mut self.nodes[i];
        for (place, voted) in unsent.writes() {
            let kept = node.store.entry(*place).or_insert_with(|| voted.clone());
            ensure("I9: one vote a place", kept == voted, || {
                format!("witness {i} voted twice on {place:?}")
            })?;
        }
        if fault == 1 {
            self.restart(i)?;
            return Ok(Answer::Lost);
        }
        if fault == 2 {
            self.restart(i)?;
        }
        Ok(Answer::Vote(unsent.stored()))
    }

    /// A crash: what is not in the store is forgotten. The replica is read back from its records' bytes.
    pub fn restart(&mut self, i: usize) -> Outcome {
        let node = &mut self.nodes[i];
        node.witness = Witness::new(SecretKey::from_seed(node.seed), node.store.clone());
        if node.pruned {
            // A snapshot's place in a store is the store's business.
            return Ok(());
        }
        let mut again = Ledger::new(self.network.clone());
        let bytes: Vec<Vec<u8>> = node.ledger.records().map(|r| r.encode()).collect();
        let records = bytes.iter().map(|b| Record::decode(b, &self.network).expect("own bytes"));
        again.merge(records, Check::Makers);
        let (root, before) = (again.root(), node.ledger.root());
        node.ledger = again;
        ensure("I6: a restart changes nothing", root == before, || {
            format!("witness {i}: {before} became {root}")
        })
    }

    /// Asks until there is a certificate: first with faults and late mail, then with everything delivered.
    ///
    /// # Errors
    /// The rule by which the honest witnesses refuse, after faults stopped.
    pub fn propose(&mut self, value: &Value) -> Outcome<Result<Certificate, Rule>> {
        let (id, epoch) = (self.value_id(value), self.epoch_of(value));
        let committee = self.network.committee(epoch).clone();
        let mut collector = Collector::new(self.id(), id, &committee);
        let mut asked: Vec<usize> = (0..self.nodes.len()).filter(|i| self.absent != Some(*i)).collect();
        let mut last = Rule::QuorumReached;
        let stormy = if self.faults { 3 } else { 0 };
        for round in 0..stormy + ROUND_TRIPS {
            self.rng.shuffle(&mut asked);
            let faults = round < stormy;
            let mut refusals = 0;
            for &i in &asked {
                self.deliver(i, !faults)?;
                match self.ask(i, value, faults)? {
                    Answer::Vote(vote) => {
                        let taken = collector.add(&vote);
                        ensure("votes verify", taken.is_ok(), || format!("witness {i}: {taken:?}"))?;
                    }
                    Answer::Refused(refusal, _) => {
                        last = refusal.rule;
                        refusals += 1;
                    }
                    Answer::Lost => {}
                }
                let enough = collector.certificate().is_some();
                if enough && self.rng.once_in(3) {
                    break;
                }
            }
            if let Some(certificate) = collector.certificate() {
                return Ok(Ok(certificate.clone()));
            }
            if !faults && refusals == self.honest().len() {
                break;
            }
        }
        Ok(Err(last))
    }

    /// A record for everyone: at once for [`World::all`], in time for the others.
    pub fn publish(&mut self, record: Record) -> Outcome {
        let merged = self.all.merge([record.clone()], Check::Signatures);
        ensure("certified records are taken in", merged.refused.is_empty(), || {
            format!("{:?}", merged.refused)
        })?;
        for node in &mut self.nodes {
            node.mail.push(record.clone());
        }
        Ok(())
    }

    /// Some of what is on its way to a witness arrives, in any order, some of it twice; or all of it.
    pub fn deliver(&mut self, i: usize, everything: bool) -> Outcome {
        let node = &mut self.nodes[i];
        self.rng.shuffle(&mut node.mail);
        let some = if everything { 0 } else { self.rng.below(node.mail.len() as u64 + 1) };
        let mut arrived = node.mail.split_off(some as usize);
        if arrived.is_empty() {
            return Ok(());
        }
        if self.rng.once_in(4) {
            arrived.extend(arrived.clone());
        }
        let merged = node.ledger.merge(arrived, Check::Signatures);
        ensure("certified records are taken in", merged.refused.is_empty(), || {
            format!("{:?}", merged.refused)
        })?;
        broken(node.ledger.check_invariants())
    }

    /// A witness drops what lies behind a checkpoint of its very state, and must not be the worse for it.
    pub fn prune(&mut self, i: usize, checkpoint: &Record) -> Outcome {
        let Record::Checkpoint(checkpoint) = checkpoint else { return Ok(()) };
        self.deliver(i, true)?;
        let node = &mut self.nodes[i];
        let root = node.ledger.root();
        let pruned = node.ledger.prune(checkpoint);
        ensure("F6: behind a checkpoint all is known", pruned.is_ok(), || {
            format!("witness {i}: {pruned:?}")
        })?;
        node.pruned = true;
        let after = node.ledger.root();
        ensure("F6: behind a checkpoint all is known", after == root, || {
            format!("witness {i}: another root")
        })?;
        broken(node.ledger.check_invariants())?;
        broken(node.ledger.check_refold())
    }

    /// Everything arrives everywhere.
    pub fn sync(&mut self) -> Outcome {
        (0..self.nodes.len()).try_for_each(|i| self.deliver(i, true))
    }

    /// Gives an accepted value its serial number.
    pub fn name(&mut self, record: &Record, locks: impl IntoIterator<Item = (Id, u8)>) {
        let serial = self.serial();
        self.serials.insert(record.id(), serial);
        for (id, place) in locks {
            self.lock_names.insert(id, Name(serial, place));
            self.lock_ids.insert(Name(serial, place), id);
        }
        self.records.push(record.clone());
    }

    /// The serial number of the next value.
    pub fn serial(&self) -> u32 {
        self.records.len() as u32
    }

    /// The lock of a name.
    pub fn lock_id(&self, name: Name) -> Id {
        self.lock_ids[&name]
    }

    /// The name of what is received.
    pub fn name_of(&self, receive: &Receive) -> Option<Name> {
        match receive.index {
            Receive::EXPIRED => self.lock_names.get(&receive.source).copied(),
            index => self.serials.get(&receive.source).map(|serial| Name(*serial, index)),
        }
    }

    /// Both economies, account by account; and the invariants.
    pub fn check(&self) -> Outcome {
        broken(self.all.check_invariants())?;
        for who in TREASURY..ACCOUNTS {
            let (real, wanted) =
                (self.all.balance(&self.accounts[usize::from(who)]), self.economy.holding(who));
            let real = [real.available, real.staked, real.locked, real.pending];
            let wanted = [wanted.free, wanted.staked, wanted.locked, wanted.pending];
            ensure("the economies agree", real == wanted, || {
                format!("account {who} holds {real:?}, the reference says {wanted:?}")
            })?;
            let frozen = self.all.is_frozen(&self.accounts[usize::from(who)]);
            ensure("the economies agree", frozen == self.economy.is_frozen(who), || {
                format!("account {who} is frozen: {frozen}")
            })?;
        }
        let t = self.all.totals();
        let real = [t.available, t.staked, t.locked, t.in_flight, t.burned, t.treasury];
        let wanted = self.economy.totals().map(u128::from);
        ensure("the economies agree", real == wanted, || {
            format!("totals {real:?}, the reference {wanted:?}")
        })?;
        ensure("nothing is made or lost", t.sum() == i128::from(ALL_CREDITS), || format!("{t:?}"))?;
        ensure("the economies agree", self.all.compute() == self.economy.compute(), || {
            format!("compute {}, the reference {}", self.all.compute(), self.economy.compute())
        })
    }

    /// A certificate by every witness, whatever they think of it.
    pub fn forge(&self, value: Id, signers: &[usize], epoch: u64) -> Certificate {
        let committee = self.network.committee(epoch);
        let mut collector = Collector::new(self.id(), value, committee);
        for &i in signers {
            let vote = vote(&self.id(), value, &SecretKey::from_seed(self.nodes[i].seed));
            collector.add(&vote).expect("a good vote");
        }
        collector.certificate().expect("enough signers").clone()
    }

    /// The name of a value.
    pub fn value_id(&self, value: &Value) -> Id {
        match value {
            Value::Op(op) | Value::Grant(op, _) => op.op.id(&self.id()),
            Value::Resolve(resolve) => resolve.resolve.id(&self.id()),
            Value::Checkpoint(checkpoint) => checkpoint.id(&self.id()),
            Value::Expiry(expiry) => expiry.id(&self.id()),
        }
    }

    fn epoch_of(&self, value: &Value) -> u64 {
        match value {
            Value::Op(op) | Value::Grant(op, _) => op.op.epoch,
            Value::Resolve(resolve) => resolve.resolve.epoch,
            Value::Checkpoint(checkpoint) => checkpoint.epoch,
            Value::Expiry(expiry) => expiry.epoch,
        }
    }
}

/// A broken invariant is a failure.
pub fn broken(result: Result<(), ledger::Broken>) -> Outcome {
    result.map_err(|broken| Failure { check: broken.invariant, what: broken.to_string() })
}

/// A vote by any key for anything.
pub fn vote(network: &Id, value: Id, key: &SecretKey) -> Vote {
    let message = Id::hash("edgenet/vote/v1", &[network.as_bytes(), value.as_bytes()]);
    Vote { witness: key.account(), value, signature: key.sign(message.as_bytes()) }
}

/// A signature of nobody.
pub fn garbage() -> Signature {
    Signature::from_bytes([1; 64])
}

fn found(accounts: &[AccountId], members: &[SecretKey]) -> Network {
    let allocation = |who: Who| Allocation {
        account: accounts[usize::from(who)],
        available_ucredits: start(who).0 * CREDIT,
        staked_ucredits: start(who).1 * CREDIT,
    };
    let mut allocations: Vec<Allocation> = (1..ACCOUNTS).map(allocation).collect();
    allocations.retain(|a| a.available_ucredits + a.staked_ucredits > 0);
    // Witnesses have stakes to lose.
    allocations.extend(members.iter().map(|key| Allocation {
        account: key.account(),
        available_ucredits: 0,
        staked_ucredits: WITNESS_STAKE,
    }));
    allocations.sort_by_key(|a| a.account);
    let mut witnesses: Vec<(AccountId, u32)> = members.iter().map(|key| (key.account(), 1)).collect();
    witnesses.sort();
    let founding =
        Founding { name: "model".into(), treasury: accounts[usize::from(TREASURY)], allocations, witnesses };
    Network::new(founding).expect("a network")
}

/// After faults stop, an honest owner waits for no more than these.
const ROUND_TRIPS: usize = 10;
