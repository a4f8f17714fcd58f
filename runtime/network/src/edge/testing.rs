//! An edge beside relays that say what a test wants: they open sessions and keep a real ledger, and all else is by hand.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use identity::{AccountId, SecretKey};
use ledger::{
    Allocation, Check, Collector, Founding, Id, Ledger, MICRO, Network, Record,
    op::SignedOp,
    resolve::Resolve,
    store::{Disk, Memory, Store},
    witness::Witness,
};

use super::*;
use crate::{
    capability::{Backend, TaskTypes},
    draw::{Chain, Reveals},
    node::Now,
    session::GRANT_BYTES,
    wire::{
        AccountIs, Assigned, Assignee, Challenge, Hello, Kind, Proposal, Records, Welcome, challenge_message,
        statement_message,
    },
    worker::Preferences,
};

/// One edge and its relays.
pub(crate) struct Bench {
    pub(crate) edge: Edge,
    pub(crate) config: Config,
    pub(crate) now: Now,
    pub(crate) network: Arc<Network>,
    pub(crate) ledger: Ledger,
    pub(crate) store: Memory,
    /// What is committed is reported.
    pub(crate) reports: bool,
    /// Messages that the relays leave unanswered.
    pub(crate) mute: BTreeSet<Kind>,
    /// Messages that no relay answers by itself, with the relay's place.
    pub(crate) sent: VecDeque<(usize, Message)>,
    /// All proposals, as they came.
    pub(crate) proposed: Vec<Vec<u8>>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) runs: VecDeque<(Id, Vec<u8>)>,
    pub(crate) aborts: Vec<Id>,
    pub(crate) saves: VecDeque<Save>,
    pub(crate) dials: Vec<(AccountId, u64)>,
    pub(crate) closed: Vec<Link>,
    disk: Disk,
    witness: Witness,
    relays: Vec<Relay>,
    /// What relays have to answer.
    answers: VecDeque<(usize, Message)>,
    next_link: u64,
    random: u64,
}

struct Relay {
    key: SecretKey,
    link: Option<Link>,
    hello: Option<Hello>,
    chain: Chain,
}

pub(crate) fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

pub(crate) fn relay_key(place: usize) -> SecretKey {
    key(100 + place as u8)
}

pub(crate) fn preferences() -> Preferences {
    Preferences {
        types: TaskTypes(0xff),
        models: [Id::from_bytes([7; 32])].into(),
        numerics: 1,
        memory_mib: 512,
        backend: Backend::Gpu,
        slots: 2,
        max_payload_bytes: 1 << 20,
        max_result_bytes: 1 << 20,
        least_price_ucredits: 10,
        groups: Vec::new(),
        public: true,
        site: None,
        region: None,
    }
}

impl Bench {
    /// An edge of `key(1)` with 1,000 credits, and `staked` credits of base stake, at so many relays.
    pub(crate) fn new(relays: usize, submits: bool, work: Option<Preferences>, staked: u64) -> Self {
        let allocation = |n: u8, staked: u64| Allocation {
            account: key(n).account(),
            available_ucredits: 1_000 * MICRO,
            staked_ucredits: staked * MICRO,
        };
        let mut allocations = vec![allocation(1, staked), allocation(2, 0)];
        allocations.sort_by_key(|a| a.account);
        let founding = Founding {
            name: "bench".into(),
            treasury: key(200).account(),
            allocations,
            witnesses: vec![(relay_key(0).account(), 1)],
        };
        let network = Arc::new(Network::new(founding).expect("a network"));
        let disk = Disk::new();
        let store = Memory::open(&disk, network.id().as_bytes()).expect("a store");
        let config = Config {
            relays: (0..relays).map(|place| relay_key(place).account()).collect(),
            agent: "bench".into(),
            submits,
            work,
        };
        let saved = Saved::nothing(key(1).account());
        let edge = Edge::new(config.clone(), key(1), network.clone(), saved).expect("an edge");
        let relay = |place: usize| Relay {
            key: relay_key(place),
            link: None,
            hello: None,
            chain: Chain::new(relay_key(place).account(), [place as u8; 32], 0, 64),
        };
        Bench {
            edge,
            config,
            now: Now { ms: 1_000_000, epoch: 1_000 },
            ledger: Ledger::new(network.clone()),
            network,
            store,
            reports: true,
            mute: BTreeSet::new(),
            sent: VecDeque::new(),
            proposed: Vec::new(),
            events: VecDeque::new(),
            runs: VecDeque::new(),
            aborts: Vec::new(),
            saves: VecDeque::new(),
            dials: Vec::new(),
            closed: Vec::new(),
            disk,
            witness: Witness::new(relay_key(0), []),
            relays: (0..relays).map(relay).collect(),
            answers: VecDeque::new(),
            next_link: 1,
            random: 1,
        }
    }

    /// The same, with all its relays connected.
    pub(crate) fn connected(relays: usize, submits: bool, work: Option<Preferences>, staked: u64) -> Self {
        let mut bench = Bench::new(relays, submits, work, staked);
        bench.step(Input::Tick);
        (0..relays).for_each(|place| bench.connect(place));
        bench
    }

    pub(crate) fn account(&self) -> AccountId {
        key(1).account()
    }

    /// The process dies and comes back with what its disk has.
    pub(crate) fn restart(&mut self) {
        self.store = Memory::open(&self.disk, self.network.id().as_bytes()).expect("a store");
        let saved = Saved::read(&self.store, &key(1)).expect("what was saved");
        self.edge = Edge::new(self.config.clone(), key(1), self.network.clone(), saved).expect("an edge");
        self.relays.iter_mut().for_each(|relay| relay.link = None);
        self.saves.clear();
        self.answers.clear();
        self.step(Input::Tick);
    }

    pub(crate) fn connect(&mut self, place: usize) {
        let link = Link(self.next_link);
        self.next_link += 1;
        self.relays[place].link = Some(link);
        let relay = self.relays[place].key.account();
        self.step(Input::Connected { link, relay });
    }

    pub(crate) fn disconnect(&mut self, place: usize) {
        let link = self.relays[place].link.take().expect("connected");
        self.step(Input::Closed { link });
    }

    pub(crate) fn is_connected(&self, place: usize) -> bool {
        self.relays[place].link.is_some()
    }

    pub(crate) fn link(&self, place: usize) -> Link {
        self.relays[place].link.expect("connected")
    }

    /// Time goes by, in steps that the edge asks for.
    pub(crate) fn wait(&mut self, ms: u64) {
        let until_ms = self.now.ms + ms;
        while self.now.ms < until_ms {
            let next_ms = self.edge.next_deadline_ms().unwrap_or(until_ms);
            let next_ms = next_ms.clamp(self.now.ms + 1, until_ms);
            self.advance(next_ms - self.now.ms);
            self.step(Input::Tick);
        }
    }

    fn advance(&mut self, ms: u64) {
        self.now.ms += ms;
        self.now.epoch = 1_000 + (self.now.ms - 1_000_000) / 60_000;
    }

    /// One input, and all that the relays answer by themselves.
    pub(crate) fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            let state = &mut self.random;
            let mut random = |bytes: &mut [u8]| {
                for byte in bytes {
                    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *byte = (*state >> 40) as u8;
                }
            };
            let mut context = Context { now: self.now, random: &mut random };
            self.edge.step(&mut context, input, &mut out);
            for output in out {
                self.output(output, &mut inputs);
            }
            while let Some((place, message)) = self.answers.pop_front() {
                if let Some(link) = self.relays[place].link {
                    inputs.push_back(Input::Frame { link, bytes: message.encode().expect("a frame") });
                }
            }
        }
    }

    /// A relay says something.
    pub(crate) fn say(&mut self, place: usize, message: impl Into<Message>) {
        let bytes = message.into().encode().expect("a frame");
        self.step(Input::Frame { link: self.link(place), bytes });
    }

    /// The first message of a kind that waits, and which relay got it.
    pub(crate) fn take(&mut self, kind: Kind) -> Option<(usize, Message)> {
        let at = self.sent.iter().position(|(_, message)| message.kind() == kind)?;
        self.sent.remove(at)
    }

    /// The first event that fits.
    pub(crate) fn event<T>(&mut self, pick: impl Fn(&Event) -> Option<T>) -> Option<T> {
        let at = self.events.iter().position(|event| pick(event).is_some())?;
        self.events.remove(at).as_ref().and_then(pick)
    }

    fn output(&mut self, output: Output, inputs: &mut VecDeque<Input>) {
        match output {
            Output::Connect { relay, after_ms } => self.dials.push((relay, after_ms)),
            Output::Send { link, message } => {
                let place = self.relays.iter().position(|relay| relay.link == Some(link));
                if let Some(place) = place {
                    message.encode().expect("what an edge says can be said");
                    self.serve(place, message);
                }
            }
            Output::Close { link } => {
                self.closed.push(link);
                let of_link = |relay: &&mut Relay| relay.link == Some(link);
                self.relays.iter_mut().filter(of_link).for_each(|relay| relay.link = None);
            }
            Output::Save(save) if self.reports => {
                let ticket = save.ticket;
                self.store.commit(save.batch).expect("no conflict");
                inputs.push_back(Input::Stored { ticket });
            }
            Output::Save(save) => self.saves.push_back(save),
            Output::Run { assignment, payload, .. } => self.runs.push_back((assignment, payload)),
            Output::Abort { assignment } => self.aborts.push(assignment),
            Output::Event(event) => self.events.push_back(event),
        }
    }

    fn serve(&mut self, place: usize, message: Message) {
        if let Message::Propose(propose) = &message
            && let Proposal::Op(bytes) = &propose.proposal
        {
            self.proposed.push(bytes.clone());
        }
        if self.mute.contains(&message.kind()) {
            return;
        }
        let answer = match message {
            Message::Hello(hello) => self.challenge(place, hello).into(),
            Message::Auth(_) => Welcome {
                grant_bytes: GRANT_BYTES,
                ping_ms: 30_000,
                staked_ucredits: 0,
                heads: vec![self.relays[place].chain.head()],
            }
            .into(),
            Message::AskAccount(ask) => self.account_is(place, &ask.account).into(),
            Message::Propose(propose) => match &propose.proposal {
                Proposal::Op(bytes) => self.certify(bytes),
                other => panic!("an edge proposes operations: {other:?}"),
            },
            Message::Ping(ping) => crate::wire::Pong { token: ping.token }.into(),
            other => return self.sent.push_back((place, other)),
        };
        self.answers.push_back((place, answer));
    }

    pub(crate) fn challenge(&mut self, place: usize, hello: Hello) -> Challenge {
        let relay = &mut self.relays[place];
        let mut challenge = Challenge {
            version: crate::wire::VERSION,
            relay: relay.key.account(),
            network: *self.network.id(),
            epoch: self.now.epoch,
            nonce: [9; 32],
            signature: identity::Signature::from_bytes([0; 64]),
        };
        challenge.signature = relay.key.sign(challenge_message(&hello, &challenge).as_bytes());
        relay.hello = Some(hello);
        challenge
    }

    pub(crate) fn account_is(&self, place: usize, account: &AccountId) -> AccountIs {
        let leaf = self.ledger.leaf(account);
        let epoch = self.now.epoch;
        let message = statement_message(self.network.id(), account, epoch, &leaf);
        AccountIs { epoch, leaf, signature: self.relays[place].key.sign(message.as_bytes()) }
    }

    /// What the witness says to an operation.
    fn certify(&mut self, bytes: &[u8]) -> Message {
        let op = SignedOp::decode(bytes).expect("an operation");
        let id = op.op.id(self.network.id());
        match self.witness.consider_op(&self.ledger, &op, self.now.epoch) {
            Ok(unsent) => {
                let committee = self.network.committee(self.now.epoch);
                let mut collector = Collector::new(*self.network.id(), id, committee);
                collector.add(&unsent.stored()).expect("a good vote");
                let certificate = collector.certificate().expect("one is enough").clone();
                let record = Record::op(&self.network, op, certificate);
                let bytes = record.encode();
                assert_eq!(self.ledger.merge([record], Check::Signatures).refused, []);
                Records { records: vec![bytes] }.into()
            }
            Err(refused) => Refused {
                about: id,
                reason: Reason::RuleBroken as u16,
                retry_after_ms: 0,
                detail: refused.refusal.rule.code().into(),
            }
            .into(),
        }
    }

    /// Another account acts, beside the edge.
    pub(crate) fn act(&mut self, owner: &SecretKey, action: ledger::op::Action) {
        let op = self.ledger.draft(&owner.account(), action, self.now.epoch).expect("a draft");
        let bytes = op.sign(self.network.id(), owner).encode();
        assert!(matches!(self.certify(&bytes), Message::Records(_)));
    }

    /// The relay decides on a lock of the edge.
    pub(crate) fn decide(&mut self, place: usize, lock: Id, change: impl FnOnce(&mut Resolve)) {
        let mut resolve = Resolve {
            owner: self.account(),
            lock,
            epoch: self.now.epoch,
            payouts: Vec::new(),
            refund_ucredits: 0,
            slash_ucredits: 0,
            judged: Vec::new(),
            drawn: true,
            evidence: Id::ZERO,
        };
        change(&mut resolve);
        let id = resolve.id(self.network.id());
        let signed = resolve.sign(self.network.id(), &self.relays[place].key);
        let vote = self.witness.consider_resolve(&self.ledger, &signed, self.now.epoch).expect("a vote");
        let committee = self.network.committee(self.now.epoch);
        let mut collector = Collector::new(*self.network.id(), id, committee);
        collector.add(&vote.stored()).expect("a good vote");
        let record = Record::resolve(&self.network, signed, collector.certificate().expect("one").clone());
        assert_eq!(self.ledger.merge([record], Check::Signatures).refused, []);
    }

    /// It is certified that locks of the edge ran out.
    pub(crate) fn expire(&mut self) {
        let Some(expiry) = self.ledger.draft_expiry(&self.account(), self.now.epoch) else { return };
        let id = expiry.id(self.network.id());
        let vote = self.witness.consider_expiry(&self.ledger, &expiry, self.now.epoch).expect("a vote");
        let committee = self.network.committee(self.now.epoch);
        let mut collector = Collector::new(*self.network.id(), id, committee);
        collector.add(&vote.stored()).expect("a good vote");
        let record = Record::expiry(&self.network, expiry, collector.certificate().expect("one").clone());
        assert_eq!(self.ledger.merge([record], Check::Signatures).refused, []);
    }

    /// A draw of a relay in a round.
    pub(crate) fn assigned(&self, place: usize, round: u64, task: Id, workers: Vec<Assignee>) -> Assigned {
        let chain = &self.relays[place].chain;
        let values = vec![(chain.head().witness, chain.reveal(round).expect("a round of the chain"))];
        let reveals = Reveals { round, values };
        let beacon = reveals.check(&[chain.head()], &BTreeSet::new()).expect("its own reveal");
        Assigned {
            task,
            beacon: beacon.0,
            beacon_slot: round,
            claims: Id::ZERO,
            reveals: reveals.values,
            workers,
        }
    }

    /// What an account can spend.
    pub(crate) fn available(&self, owner: &SecretKey) -> u64 {
        self.ledger.balance(&owner.account()).available
    }
}
