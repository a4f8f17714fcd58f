//! A relay, its store, and edges that do what a test tells them.

use std::{collections::BTreeMap, sync::Arc};

use identity::{AccountId, Prekeys, SecretKey};
use ledger::{
    Allocation, Founding, Id, MICRO, Network,
    op::{Action, LockKind, LockTerms, Policy},
    store::{self, Batch, Disk, Store},
};

use crate::{
    capability::{Backend, Capability, TaskType, TaskTypes},
    limits::{self, Block},
    node::{Context, Link, Now},
    reason::Reason,
    relay::{Config, Event, Input, Output, Relay, Restored},
    terms,
    verify::unit::{Reveal, Tag},
    wire::{
        Assurance, Auth, Claim, Commit, CommitBatch, Envelope, Flow, Hello, Keys, Leased, Message, Offer,
        Part, Priority, Proposal, Propose, Refused, RevealBatch, Revealed, Roles, Settled, Signable, Signed,
        Submit, Tier, Verify, WrappedFor, assignment_id, auth_message,
    },
};

pub(super) const EPOCH: u64 = 1_000;
/// The submitter, and who comes to the town besides.
pub(super) const ANN: u8 = 1;
pub(super) const WORKERS: [u8; 6] = [11, 12, 13, 14, 15, 16];
pub(super) const NEWCOMER: u8 = 30;

/// One relay and all that it said.
pub(super) struct Town {
    pub(super) relay: Relay,
    pub(super) disk: Disk,
    pub(super) now: Now,
    pub(super) said: BTreeMap<Link, Vec<Message>>,
    pub(super) events: Vec<Event>,
    pub(super) closed: Vec<Link>,
    /// Batches that the store has not answered.
    pub(super) saves: Vec<(u64, Batch)>,
    pub(super) holds_saves: bool,
    pub(super) bus: Vec<Output>,
    links: BTreeMap<u8, Link>,
    last_link: u64,
    random: u64,
}

pub(super) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

pub(super) fn account(seed: u8) -> AccountId {
    key(seed).account()
}

pub(super) fn relay_key(number: u8) -> SecretKey {
    key(100 + number)
}

/// A network of so many witnesses, in which Ann has credits and the workers have stakes.
pub(super) fn network(witnesses: u8) -> Arc<Network> {
    let rich = |seed: u8, available: u64, staked: u64| Allocation {
        account: account(seed),
        available_ucredits: available * MICRO,
        staked_ucredits: staked * MICRO,
    };
    let mut allocations = vec![rich(ANN, 1_000, 0)];
    allocations.extend(WORKERS.map(|worker| rich(worker, 0, 200)));
    allocations.sort_by_key(|a| a.account);
    let mut committee: Vec<(AccountId, u32)> = (0..witnesses).map(|n| (relay_key(n).account(), 1)).collect();
    committee.sort();
    let founding =
        Founding { name: "town".into(), treasury: account(200), allocations, witnesses: committee };
    Arc::new(Network::new(founding).expect("a network"))
}

/// No strangers stake here, and a test need not wait for two epochs, nor for its rate.
pub(super) fn config() -> Config {
    let limits = limits::Settings { unstaked_units_per_hour: 100_000_000, ..limits::Settings::default() };
    Config { head_start_epochs: 2, limits, ..Config::default() }
}

impl Town {
    pub(super) fn new() -> Self {
        Town::with(config())
    }

    pub(super) fn with(config: Config) -> Self {
        let network = network(1);
        Town::on(config, relay_key(0), Restored::nothing(network), Disk::new(), [5; 32])
    }

    pub(super) fn on(
        config: Config,
        key: SecretKey,
        restored: Restored,
        disk: Disk,
        secret: [u8; 32],
    ) -> Self {
        Town {
            relay: Relay::new(config, key, restored, secret),
            disk,
            now: Now { ms: 1_000_000, epoch: EPOCH },
            said: BTreeMap::new(),
            events: vec![],
            closed: vec![],
            saves: vec![],
            holds_saves: false,
            bus: vec![],
            links: BTreeMap::new(),
            last_link: 0,
            random: 0,
        }
    }

    /// The relay's process dies and comes back with what its store holds.
    pub(super) fn crash(&mut self) {
        let network = self.relay.ledger().network().clone();
        let store = store::Memory::open(&self.disk, network.id().as_bytes()).expect("the same network");
        let restored = Restored::read(&store, network).expect("as it was written");
        self.relay = Relay::new(config(), relay_key(0), restored, [6; 32]);
        self.links.clear();
        self.said.clear();
        self.saves.clear();
        self.holds_saves = false;
    }

    pub(super) fn network(&self) -> Id {
        *self.relay.ledger().network().id()
    }

    pub(super) fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut out = Vec::new();
            let random = &mut self.random;
            let mut fill = |bytes: &mut [u8]| {
                *random += 1;
                let word = Id::hash("test", &[&random.to_le_bytes()]);
                bytes.iter_mut().zip(word.as_bytes().iter().cycle()).for_each(|(to, from)| *to = *from);
            };
            let mut context = Context { now: self.now, random: &mut fill };
            self.relay.step(&mut context, input, &mut out);
            for output in out {
                inputs.extend(self.put(output));
            }
        }
        self.relay.ledger().check_invariants().expect("invariants hold");
    }

    fn put(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Send { link, message } => {
                assert!(message.encode().is_ok(), "{message:?}");
                self.said.entry(link).or_default().push(message);
            }
            Output::Forward { link, frame } => {
                let message = Message::decode(&frame).expect("what it was given");
                self.said.entry(link).or_default().push(message);
            }
            Output::Close { link } => self.closed.push(link),
            Output::Event(event) => self.events.push(event),
            Output::Save(save) if self.holds_saves => self.saves.push((save.ticket, save.batch)),
            Output::Save(save) => {
                self.commit(save.batch);
                return Some(Input::Stored { ticket: save.ticket });
            }
            bus @ (Output::Publish(_) | Output::Tell { .. }) => self.bus.push(bus),
        }
        None
    }

    fn commit(&self, batch: Batch) {
        let network = self.network();
        let store = store::Memory::open(&self.disk, network.as_bytes()).expect("the same network");
        store.commit(batch).expect("nothing contradicts what is stored");
    }

    /// The store answers what it was given.
    pub(super) fn store(&mut self, is_durable: bool) {
        for (ticket, batch) in std::mem::take(&mut self.saves) {
            if is_durable {
                self.commit(batch);
                self.step(Input::Stored { ticket });
            } else {
                self.step(Input::NotStored { ticket });
            }
        }
    }

    /// Time goes by, and the relay is called whenever it wants to.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now.ms + ms;
        while let Some(at_ms) = self.relay.next_deadline_ms().filter(|at_ms| *at_ms <= end) {
            self.now.ms = self.now.ms.max(at_ms);
            self.step(Input::Tick);
        }
        self.now.ms = end;
        self.step(Input::Tick);
    }

    pub(super) fn open_link(&mut self, seed: u8) -> Link {
        self.last_link += 1;
        let link = Link(self.last_link);
        self.links.insert(seed, link);
        self.step(Input::Opened { link, block: Block::V4([10, 0, seed]) });
        link
    }

    /// An edge connects and proves who it is.
    pub(super) fn connect(&mut self, seed: u8, roles: Roles) -> Link {
        let link = self.open_link(seed);
        let hello = Hello {
            min_version: 1,
            max_version: 1,
            account: account(seed),
            roles,
            nonce: [seed; 32],
            agent: "test".into(),
        };
        let hello = Hello { nonce: *Id::hash("nonce", &[&self.last_link.to_le_bytes()]).as_bytes(), ..hello };
        self.send(seed, hello.clone());
        let Some(Message::Challenge(challenge)) = self.take(seed).pop() else { panic!("no challenge") };
        let mut ring = Prekeys::new(account(seed));
        let mut fill = |bytes: &mut [u8]| bytes.fill(seed);
        ring.rotate(&key(seed), EPOCH, &mut fill).expect("a prekey");
        let prekey = ring.current().map(|prekey| prekey.encode().to_vec());
        let signature = key(seed).sign(auth_message(&hello, &challenge).as_bytes());
        self.send(seed, Auth { signature, prekey: prekey.filter(|_| roles.has(Roles::WORKER)) });
        assert!(matches!(self.take(seed)[..], [Message::Welcome(_)]));
        link
    }

    pub(super) fn send(&mut self, seed: u8, message: impl Into<Message>) {
        let bytes = message.into().encode().expect("a frame");
        self.send_bytes(seed, bytes);
    }

    pub(super) fn send_bytes(&mut self, seed: u8, bytes: Vec<u8>) {
        self.step(Input::Frame { link: self.links[&seed], bytes });
    }

    /// What an edge was told since it last looked.
    pub(super) fn take(&mut self, seed: u8) -> Vec<Message> {
        self.said.remove(&self.links[&seed]).unwrap_or_default()
    }

    /// Why an edge was refused, if that is all it was told.
    pub(super) fn refusal(&mut self, seed: u8) -> Option<(Reason, String)> {
        match &self.take(seed)[..] {
            [Message::Refused(Refused { reason, detail, .. })] => {
                Some((Reason::from_code(*reason).expect("a reason"), detail.clone()))
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn drop_link(&mut self, seed: u8) {
        let link = self.links[&seed];
        self.step(Input::Closed { link });
    }

    /// An owner's next operation, certified.
    pub(super) fn act(&mut self, seed: u8, action: Action) -> Id {
        let op = self.relay.ledger().draft(&account(seed), action, self.now.epoch).expect("a draft");
        let op = op.sign(&self.network(), &key(seed));
        let id = op.op.id(&self.network());
        self.send(seed, Propose { proposal: Proposal::Op(op.encode()) });
        let said = self.take(seed);
        assert!(said.iter().any(|message| matches!(message, Message::Records(_))), "certified: {said:?}");
        id
    }

    pub(super) fn lock(&self, kind: LockKind, task: Id, amount_ucredits: u64, epochs: u64) -> Action {
        let policy = Policy { authority: self.relay.account(), redundancy: 3, priority_halves: 2 };
        let expiry_epoch = self.now.epoch + epochs;
        Action::Lock(LockTerms { kind, task, amount_ucredits, policy, expiry_epoch })
    }

    /// A worker connects, stakes, and offers so many slots.
    pub(super) fn worker(&mut self, seed: u8, slots: u16) -> Vec<Id> {
        self.connect(seed, Roles::WORKER);
        let stake = self.lock(LockKind::TaskStake, Id::ZERO, 10 * MICRO, 1_000);
        let stakes: Vec<Id> = (0..slots).map(|_| self.act(seed, stake.clone())).collect();
        self.offer(seed, claim(seed, slots, stakes.clone()));
        assert_eq!(self.take(seed), []);
        stakes
    }

    pub(super) fn offer(&mut self, seed: u8, claim: Claim) {
        let claim = Signed::sign(claim, &self.network(), &key(seed));
        self.send(seed, Offer { claim, prekey: None });
    }

    /// Ann locks what a task may cost and sends it in.
    pub(super) fn submit(&mut self, envelope: &Envelope) -> Id {
        let id = envelope.id(&self.network());
        let most = terms::most_ucredits(envelope.price_ucredits, envelope.verify).expect("an amount");
        let escrow = self.act(ANN, self.lock(LockKind::TaskEscrow, id, most, 100));
        self.send_task(envelope, escrow);
        id
    }

    pub(super) fn send_task(&mut self, envelope: &Envelope, escrow: Id) {
        let envelope = Signed::sign(envelope.clone(), &self.network(), &key(ANN));
        self.send(ANN, Submit { envelope, escrow, avoid: vec![] });
    }

    /// Ann seals a task for everybody who was drawn since she last looked. Gives the workers.
    pub(super) fn seal(&mut self, task: Id, with_payload: bool) -> Vec<u8> {
        let mut keys = Vec::new();
        let mut seeds = Vec::new();
        for message in self.take(ANN) {
            let Message::Assigned(assigned) = message else { continue };
            assert_eq!(assigned.task, task);
            for assignee in assigned.workers {
                keys.push(WrappedFor { number: assignee.number, key: vec![9; 3] });
                let seed = WORKERS.into_iter().chain([NEWCOMER]).find(|s| account(*s) == assignee.worker);
                seeds.push(seed.expect("a worker of this town"));
            }
        }
        self.send(ANN, Keys { task, keys });
        if with_payload {
            for (offset, bytes) in [(0, vec![1; 60]), (60, vec![2; 40])] {
                self.send(ANN, Part { task, flow: Flow::Payload, offset, total: 100, bytes });
            }
        }
        seeds
    }

    /// A worker got a task and its payload. Gives its lease and assignment.
    pub(super) fn got(&mut self, seed: u8) -> (Id, u32) {
        let said = self.take(seed);
        let [Message::Leased(Leased { lease, .. }), Message::Keys(_), Message::Part(_), Message::Part(_)] =
            &said[..]
        else {
            panic!("{said:?}")
        };
        (lease.check(&self.network()).expect("signed"), lease.value.tasks[0].number)
    }

    pub(super) fn commit_to(&mut self, seed: u8, task: Id, (lease, number): (Id, u32), tag: u8) {
        let commit = reveal(tag).commit(&task, &assignment_id(&task, number), &account(seed));
        let commits = vec![Commit { task, number, commit: *commit.as_bytes() }];
        let batch = CommitBatch { worker: account(seed), lease, commits };
        let batch = Signed::sign(batch, &self.network(), &key(seed));
        self.send(seed, crate::wire::Committed { batch });
    }

    pub(super) fn reveal(&mut self, seed: u8, task: Id, (lease, number): (Id, u32), tag: u8) {
        let Reveal { tag: shown, ciphertext, nonce } = reveal(tag);
        let reveal =
            crate::wire::Reveal { task, number, tag: *shown.as_bytes(), result_hash: ciphertext, nonce };
        let batch = RevealBatch { worker: account(seed), lease, reveals: vec![reveal] };
        let batch = Signed::sign(batch, &self.network(), &key(seed));
        self.send(seed, Revealed { batch });
        self.send(seed, result(task, number, tag));
    }

    /// Ann's only message: how a task ended.
    pub(super) fn settled(&mut self) -> Settled {
        match &self.take(ANN)[..] {
            [.., Message::Settled(settled)] => settled.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn available(&self, seed: u8) -> u64 {
        self.relay.ledger().balance(&account(seed)).available
    }

    pub(super) fn pending(&self, seed: u8) -> u64 {
        self.relay.ledger().balance(&account(seed)).pending
    }
}

/// What a worker answers whose result is `tag`.
fn reveal(tag: u8) -> Reveal {
    use sha2::{Digest, Sha256};
    Reveal { tag: Tag::from_bytes([tag; 32]), ciphertext: Sha256::digest([tag; 50]).into(), nonce: [tag; 32] }
}

pub(super) fn result(task: Id, number: u32, tag: u8) -> Part {
    Part { task, flow: Flow::Result(number), offset: 0, total: 50, bytes: vec![tag; 50] }
}

pub(super) fn claim(seed: u8, slots: u16, stakes: Vec<Id>) -> Claim {
    Claim {
        worker: account(seed),
        number: 1,
        capability: Capability {
            types: TaskTypes::of(&[TaskType::Embedding]),
            models: [Id::from_bytes([7; 32])].into(),
            numerics: 1,
            memory_mib: 512,
            backend: Backend::Cpu,
        },
        slots,
        stakes,
        site: None,
        region: None,
        groups: vec![],
        until_epoch: EPOCH + 100,
    }
}

pub(super) fn envelope(nonce: u64, verify: Verify) -> Envelope {
    Envelope {
        submitter: account(ANN),
        nonce,
        kind: TaskType::Embedding,
        model: Id::from_bytes([7; 32]),
        numerics: 1,
        payload_commit: [8; 32],
        payload_bytes: 100,
        max_result_bytes: 1_000,
        price_ucredits: 5_000,
        verify,
        assurance: Assurance::Normal,
        priority: Priority::Normal,
        tier: Tier::Public,
        group: None,
        epoch: EPOCH,
        ttl_ms: 60_000,
        timeout_ms: 30_000,
    }
}
