//! The loop: what everybody says arrives later, in the order it was said on its connection, and everybody's disk answers later.
//!
//! The work of a task is the hash of each row of its payload. Invariants of the ledger are checked whenever the relay has
//! done something, and the relay is never seen to convict anybody of two values for one place.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use identity::{AccountId, SecretKey};
use ledger::{
    Allocation, Founding, GENESIS, Id, MICRO, Network,
    store::{Batch, Disk, Memory, Store},
};
use network::{
    capability::{Backend, TaskType, TaskTypes},
    edge::{self, Edge, Saved},
    limits::Block,
    node::{Context, Link, Now},
    relay::{self, Relay, Restored},
    submitter::Request,
    wire::{Assurance, Message, Priority, Tier, Verify},
    worker::Preferences,
};
use sha2::{Digest, Sha256};

/// Where it begins.
pub(crate) const START_MS: u64 = 1_000_000;
pub(crate) const START_EPOCH: u64 = 1_000;
/// The submitter.
pub(crate) const ANN: usize = 0;
/// What it has.
pub(crate) const ANN_CREDITS: u64 = 10_000;
const ROW_BYTES: usize = 16;

/// How an edge does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should.
    Honest,
    /// All liars give one wrong result.
    Liar,
    /// It never finishes.
    Stuck,
}

/// An edge, its disk, and what it said.
pub(crate) struct House {
    pub(crate) key: SecretKey,
    pub(crate) manner: Manner,
    pub(crate) edge: Option<Edge>,
    pub(crate) events: Vec<edge::Event>,
    pub(crate) runs: u32,
    config: edge::Config,
    disk: Disk,
    link: Option<Link>,
    /// What is not the same life's is dropped when it arrives.
    life: u32,
}

pub(crate) struct World {
    pub(crate) relay: Option<Relay>,
    pub(crate) houses: Vec<House>,
    pub(crate) now_ms: u64,
    pub(crate) relay_events: Vec<relay::Event>,
    pub(crate) network: Arc<Network>,
    /// Edges that cannot be reached.
    pub(crate) cut: BTreeSet<usize>,
    /// The relay dies when it has saved so many batches: before anybody hears of it.
    pub(crate) relay_dies_at_save: Option<u64>,
    /// The same for an edge.
    pub(crate) edge_dies_at_save: Option<(usize, u64)>,
    relay_config: relay::Config,
    relay_disk: Disk,
    relay_life: u32,
    relay_saves: u64,
    links: BTreeMap<Link, usize>,
    queue: BTreeMap<(u64, u64), (u32, Arrival)>,
    /// When the last message on a connection arrives, by direction.
    last_ms: BTreeMap<(Link, bool), u64>,
    sequence: u64,
    next_link: u64,
    random: u64,
}

enum Arrival {
    /// For the relay.
    Relay(relay::Input),
    /// Its disk takes a batch.
    RelayDisk(u64, Batch),
    /// For an edge.
    Edge(usize, edge::Input),
    /// Its disk takes a batch.
    EdgeDisk(usize, u64, Batch),
    /// An edge dials.
    Dial(usize, AccountId),
}

pub(crate) fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

pub(crate) fn relay_key() -> SecretKey {
    key(100)
}

/// What a task comes to.
pub(crate) fn work(payload: &[u8]) -> Vec<u8> {
    payload.chunks(ROW_BYTES).flat_map(|row| Sha256::digest(row).to_vec()).collect()
}

fn lie(payload: &[u8]) -> Vec<u8> {
    let mut result = work(payload);
    result.iter_mut().take(1).for_each(|byte| *byte ^= 1);
    result
}

pub(crate) fn payload(rows: usize, number: u64) -> Vec<u8> {
    (0..rows as u64)
        .flat_map(|row| Sha256::digest((number * 1_000 + row).to_le_bytes())[..ROW_BYTES].to_vec())
        .collect()
}

pub(crate) fn request(payload: Vec<u8>, verify: Verify) -> Request {
    Request {
        kind: TaskType::Embedding,
        model: Some(Id::from_bytes([7; 32])),
        numerics: 1,
        max_result_bytes: 1 << 16,
        payload,
        price_ucredits: MICRO / 10,
        verify,
        assurance: Assurance::Normal,
        priority: Priority::Normal,
        tier: Tier::Public,
        group: None,
        ttl_ms: 30_000,
        timeout_ms: 20_000,
    }
}

fn lends() -> Preferences {
    Preferences {
        types: TaskTypes::of(&[TaskType::Embedding]),
        models: [Id::from_bytes([7; 32])].into(),
        numerics: 1,
        memory_mib: 512,
        backend: Backend::Cpu,
        slots: 4,
        max_payload_bytes: 1 << 20,
        max_result_bytes: 1 << 20,
        least_price_ucredits: 1,
        groups: Vec::new(),
        public: true,
        site: None,
        region: None,
    }
}

impl World {
    /// A submitter and workers of these manners; every worker has 100 credits of base stake and some more.
    pub(crate) fn new(seed: u64, workers: &[Manner], change: impl FnOnce(&mut relay::Config)) -> Self {
        let number = |place: usize| place as u8 + 1;
        let allocation = |place: usize| Allocation {
            account: key(number(place)).account(),
            available_ucredits: if place == ANN { ANN_CREDITS * MICRO } else { 0 },
            staked_ucredits: if place == ANN { 0 } else { 200 * MICRO },
        };
        let mut allocations: Vec<Allocation> = (0..=workers.len()).map(allocation).collect();
        allocations.sort_by_key(|a| a.account);
        let founding = Founding {
            name: "town".into(),
            treasury: key(200).account(),
            allocations,
            witnesses: vec![(relay_key().account(), 1)],
        };
        let network = Arc::new(Network::new(founding).expect("a network"));
        let mut relay_config = relay::Config { head_start_epochs: 2, ..relay::Config::default() };
        relay_config.gateways.insert(key(number(ANN)).account());
        change(&mut relay_config);
        let house = |place: usize, manner: Manner| House {
            key: key(number(place)),
            manner,
            edge: None,
            events: Vec::new(),
            runs: 0,
            config: edge::Config {
                relays: vec![relay_key().account()],
                agent: "town".into(),
                submits: place == ANN,
                work: (place != ANN).then(lends),
            },
            disk: Disk::new(),
            link: None,
            life: 0,
        };
        let manners = [Manner::Honest].into_iter().chain(workers.iter().copied());
        let mut world = World {
            relay: None,
            houses: manners.enumerate().map(|(place, manner)| house(place, manner)).collect(),
            now_ms: START_MS,
            relay_events: Vec::new(),
            network,
            cut: BTreeSet::new(),
            relay_dies_at_save: None,
            edge_dies_at_save: None,
            relay_config,
            relay_disk: Disk::new(),
            relay_life: 0,
            relay_saves: 0,
            links: BTreeMap::new(),
            queue: BTreeMap::new(),
            last_ms: BTreeMap::new(),
            sequence: 0,
            next_link: 1,
            random: seed.wrapping_mul(2).wrapping_add(1),
        };
        eprintln!("town: seed {seed}, workers {workers:?}");
        world.start_relay();
        (0..world.houses.len()).for_each(|place| world.start_edge(place));
        world
    }

    pub(crate) fn now(&self) -> Now {
        Now { ms: self.now_ms, epoch: START_EPOCH + (self.now_ms - START_MS) / 60_000 }
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        draw(&mut self.random) % bound.max(1)
    }

    // The relay.

    pub(crate) fn start_relay(&mut self) {
        let store = Memory::open(&self.relay_disk, self.network.id().as_bytes()).expect("a store");
        let restored = Restored::read(&store, self.network.clone()).expect("what it wrote");
        let mut secret = [0; 32];
        secret.iter_mut().for_each(|byte| *byte = draw(&mut self.random) as u8);
        self.relay_life += 1;
        self.relay = Some(Relay::new(self.relay_config.clone(), relay_key(), restored, secret));
        self.step_relay(relay::Input::Tick);
    }

    /// The process dies: nothing that it has not written down remains, and nothing that it said last is heard.
    pub(crate) fn kill_relay(&mut self) {
        self.relay = None;
        self.relay_life += 1;
        let open: Vec<Link> = std::mem::take(&mut self.links).into_keys().collect();
        for link in open {
            self.drop_at_edge(link);
        }
    }

    /// The relay dies when it has saved so many batches more.
    pub(crate) fn relay_dies_after(&mut self, saves: u64) {
        self.relay_dies_at_save = Some(self.relay_saves + saves);
    }

    pub(crate) fn step_relay(&mut self, input: relay::Input) {
        let now = self.now();
        let Some(relay) = &mut self.relay else { return };
        let state = &mut self.random;
        let mut fill = |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| *byte = draw(state) as u8);
        let mut out = Vec::new();
        relay.step(&mut Context { now, random: &mut fill }, input, &mut out);
        relay.ledger().check_invariants().expect("invariants hold");
        assert_eq!(relay.ledger().totals().sum(), i128::from(GENESIS));
        assert_eq!(relay.ledger().faults().count(), 0, "nobody signed two values for one place");
        for output in out {
            if self.relay.is_none() {
                return;
            }
            self.relay_says(output);
        }
    }

    fn relay_says(&mut self, output: relay::Output) {
        match output {
            relay::Output::Send { link, message } => self.say_to_edge(link, &message),
            relay::Output::Forward { link, frame } => {
                let message = Message::decode(&frame).expect("a frame");
                self.say_to_edge(link, &message);
            }
            relay::Output::Close { link } => {
                self.links.remove(&link);
                self.drop_at_edge(link);
            }
            relay::Output::Save(save) => {
                self.relay_saves += 1;
                if self.relay_dies_at_save.is_some_and(|at| self.relay_saves >= at) {
                    // The disk has it, and nobody is told.
                    self.relay_dies_at_save = None;
                    self.commit(&self.relay_disk.clone(), save.batch);
                    return self.kill_relay();
                }
                let (life, delay_ms) = (self.relay_life, self.below(20));
                self.later(delay_ms, life, Arrival::RelayDisk(save.ticket, save.batch));
            }
            relay::Output::Event(event) => self.relay_events.push(event),
            relay::Output::Publish(_) | relay::Output::Tell { .. } => {}
        }
    }

    // Edges.

    pub(crate) fn start_edge(&mut self, place: usize) {
        let house = &mut self.houses[place];
        let store = Memory::open(&house.disk, self.network.id().as_bytes()).expect("a store");
        let saved = Saved::read(&store, &house.key).expect("what it wrote");
        let key = SecretKey::from_seed(*house.key.seed());
        house.life += 1;
        house.edge =
            Some(Edge::new(house.config.clone(), key, self.network.clone(), saved).expect("an edge"));
        self.step_edge(place, edge::Input::Tick);
    }

    pub(crate) fn kill_edge(&mut self, place: usize) {
        let house = &mut self.houses[place];
        house.edge = None;
        house.life += 1;
        if let Some(link) = house.link.take() {
            self.drop_at_relay(link);
        }
    }

    /// The connection of an edge breaks.
    pub(crate) fn unplug(&mut self, place: usize) {
        if let Some(link) = self.houses[place].link {
            self.drop_at_relay(link);
            self.drop_at_edge(link);
        }
    }

    pub(crate) fn step_edge(&mut self, place: usize, input: edge::Input) {
        let now = self.now();
        let Some(edge) = &mut self.houses[place].edge else { return };
        let state = &mut self.random;
        let mut fill = |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| *byte = draw(state) as u8);
        let mut out = Vec::new();
        edge.step(&mut Context { now, random: &mut fill }, input, &mut out);
        for output in out {
            if self.houses[place].edge.is_none() {
                return;
            }
            self.edge_says(place, output);
        }
    }

    fn edge_says(&mut self, place: usize, output: edge::Output) {
        let life = self.houses[place].life;
        match output {
            edge::Output::Connect { relay, after_ms } => {
                self.later(after_ms, life, Arrival::Dial(place, relay));
            }
            edge::Output::Send { link, message } => {
                let bytes = message.encode().expect("what an edge says can be said");
                if self.links.contains_key(&link) && !self.cut.contains(&place) {
                    let life = self.relay_life;
                    self.on_link(link, true, life, Arrival::Relay(relay::Input::Frame { link, bytes }));
                }
            }
            edge::Output::Close { link } => {
                self.houses[place].link = None;
                self.drop_at_relay(link);
            }
            edge::Output::Save(save) => {
                if let Some((dies, left)) = self.edge_dies_at_save.filter(|(dies, _)| *dies == place) {
                    self.edge_dies_at_save = left.checked_sub(1).map(|left| (dies, left));
                    if left == 0 {
                        let disk = self.houses[place].disk.clone();
                        self.commit(&disk, save.batch);
                        return self.kill_edge(place);
                    }
                }
                let delay_ms = self.below(20);
                self.later(delay_ms, life, Arrival::EdgeDisk(place, save.ticket, save.batch));
            }
            edge::Output::Run { assignment, payload, .. } => {
                let house = &mut self.houses[place];
                house.runs += 1;
                let result = match house.manner {
                    Manner::Honest => work(&payload),
                    Manner::Liar => lie(&payload),
                    Manner::Stuck => return,
                };
                let input = edge::Input::Done { assignment, result: Ok(result) };
                let delay_ms = 20 + self.below(400);
                self.later(delay_ms, life, Arrival::Edge(place, input));
            }
            edge::Output::Abort { .. } => {}
            edge::Output::Event(event) => self.houses[place].events.push(event),
        }
    }

    // The time between.

    fn dial(&mut self, place: usize, relay: AccountId) {
        if self.relay.is_none() || self.cut.contains(&place) {
            return self.step_edge(place, edge::Input::Unreachable { relay });
        }
        let link = Link(self.next_link);
        self.next_link += 1;
        self.links.insert(link, place);
        self.houses[place].link = Some(link);
        self.step_relay(relay::Input::Opened { link, block: Block::V4([10, 0, place as u8]) });
        self.step_edge(place, edge::Input::Connected { link, relay });
    }

    fn say_to_edge(&mut self, link: Link, message: &Message) {
        let Some(place) = self.links.get(&link).copied().filter(|place| !self.cut.contains(place)) else {
            return;
        };
        let bytes = message.encode().expect("what a relay says can be said");
        let life = self.houses[place].life;
        self.on_link(link, false, life, Arrival::Edge(place, edge::Input::Frame { link, bytes }));
    }

    fn drop_at_edge(&mut self, link: Link) {
        let Some(place) = self.houses.iter().position(|house| house.link == Some(link)) else { return };
        self.houses[place].link = None;
        let life = self.houses[place].life;
        self.on_link(link, false, life, Arrival::Edge(place, edge::Input::Closed { link }));
    }

    fn drop_at_relay(&mut self, link: Link) {
        if self.links.remove(&link).is_some() {
            let life = self.relay_life;
            self.on_link(link, true, life, Arrival::Relay(relay::Input::Closed { link }));
        }
    }

    /// On a connection nothing overtakes.
    fn on_link(&mut self, link: Link, to_relay: bool, life: u32, arrival: Arrival) {
        let at_ms = self.now_ms + 1 + self.below(60);
        let last_ms = self.last_ms.entry((link, to_relay)).or_default();
        *last_ms = at_ms.max(*last_ms);
        let at_ms = *last_ms;
        self.sequence += 1;
        self.queue.insert((at_ms, self.sequence), (life, arrival));
    }

    fn later(&mut self, delay_ms: u64, life: u32, arrival: Arrival) {
        self.sequence += 1;
        self.queue.insert((self.now_ms + delay_ms, self.sequence), (life, arrival));
    }

    fn commit(&self, disk: &Disk, batch: Batch) {
        let store = Memory::open(disk, self.network.id().as_bytes()).expect("a store");
        store.commit(batch).expect("nothing contradicts what is there");
    }

    fn arrive(&mut self, life: u32, arrival: Arrival) {
        match arrival {
            Arrival::Relay(input) if life == self.relay_life => self.step_relay(input),
            Arrival::RelayDisk(ticket, batch) if life == self.relay_life => {
                self.commit(&self.relay_disk.clone(), batch);
                self.step_relay(relay::Input::Stored { ticket });
            }
            Arrival::Edge(place, input) if life == self.houses[place].life => self.step_edge(place, input),
            Arrival::EdgeDisk(place, ticket, batch) if life == self.houses[place].life => {
                self.commit(&self.houses[place].disk.clone(), batch);
                self.step_edge(place, edge::Input::Stored { ticket });
            }
            Arrival::Dial(place, relay) if life == self.houses[place].life => self.dial(place, relay),
            // Of a life that is over.
            _ => {}
        }
    }

    /// Time goes by until something holds; whether it did.
    pub(crate) fn until(&mut self, most_ms: u64, mut holds: impl FnMut(&World) -> bool) -> bool {
        let end_ms = self.now_ms + most_ms;
        loop {
            if holds(self) {
                return true;
            }
            let mut next_ms = self.queue.first_key_value().map_or(end_ms, |((at_ms, _), _)| *at_ms);
            let relay_ms = self.relay.as_ref().and_then(Relay::next_deadline_ms);
            next_ms = next_ms.min(relay_ms.unwrap_or(u64::MAX));
            let edge_ms = |house: &House| house.edge.as_ref()?.next_deadline_ms();
            next_ms = self.houses.iter().filter_map(edge_ms).fold(next_ms, u64::min);
            if next_ms >= end_ms {
                self.now_ms = end_ms;
                return holds(self);
            }
            self.now_ms = self.now_ms.max(next_ms);
            self.turn(relay_ms);
        }
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.until(ms, |_| false);
    }

    /// What is due at this moment. A machine that was called wants to be called later, or it would keep its shell busy.
    fn turn(&mut self, relay_ms: Option<u64>) {
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now_ms) {
            let (life, arrival) = entry.remove();
            self.arrive(life, arrival);
        }
        let late = |due_ms: Option<u64>, now_ms: u64| due_ms.is_none_or(|at_ms| at_ms > now_ms);
        if relay_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            self.step_relay(relay::Input::Tick);
            let due_ms = self.relay.as_ref().and_then(Relay::next_deadline_ms);
            assert!(late(due_ms, self.now_ms), "the relay at {}: {due_ms:?}", self.now_ms);
        }
        for place in 0..self.houses.len() {
            let due = |world: &World| world.houses[place].edge.as_ref().and_then(Edge::next_deadline_ms);
            if due(self).is_some_and(|at_ms| at_ms <= self.now_ms) {
                self.step_edge(place, edge::Input::Tick);
                assert!(late(due(self), self.now_ms), "edge {place} at {}: {:?}", self.now_ms, due(self));
            }
        }
    }

    // What is asked of it.

    /// All workers have a claim that can be drawn.
    pub(crate) fn ready(&mut self) {
        let slots = 4 * (self.houses.len() as u32 - 1);
        let ready = |world: &World| {
            world.relay.as_ref().is_some_and(|relay| relay.capacity().free_slots == slots)
                && world.houses[ANN].edge.as_ref().is_some_and(|edge| edge.connected().count() == 1)
        };
        assert!(self.until(120_000, ready), "the town stands");
    }

    pub(crate) fn submit(&mut self, job: u64, request: Request) {
        self.step_edge(ANN, edge::Input::Submit { job, request });
    }

    /// Submits a job when the submitter is connected.
    pub(crate) fn submit_when_open(&mut self, job: u64) {
        let open =
            |world: &World| world.houses[ANN].edge.as_ref().is_some_and(|edge| edge.connected().count() == 1);
        assert!(self.until(300_000, open), "the submitter connects");
        self.submit(job, request(payload(2, job), Verify::Redundant(2)));
    }

    /// How a job of the submitter ended.
    pub(crate) fn end(&self, job: u64) -> Option<Result<Vec<u8>, network::reason::Reason>> {
        self.houses[ANN].events.iter().find_map(|event| match event {
            edge::Event::Result { job: which, result } if *which == job => Some(Ok(result.bytes.clone())),
            edge::Event::Failed { job: which, reason, .. } if *which == job => Some(Err(*reason)),
            _ => None,
        })
    }

    pub(crate) fn balance(&self, place: usize) -> ledger::Balance {
        let ledger = self.relay.as_ref().expect("a relay").ledger();
        ledger.balance(&self.houses[place].key.account())
    }

    /// Escrows of the submitter that are not settled.
    pub(crate) fn escrows(&self) -> usize {
        let ledger = self.relay.as_ref().expect("a relay").ledger();
        let account = ledger.account(&self.houses[ANN].key.account());
        let escrow = |lock: &&ledger::Lock| lock.terms.kind == ledger::op::LockKind::TaskEscrow;
        account.map_or(0, |account| account.locks.values().filter(escrow).count())
    }

    /// Micro-credits that workers were paid, locked or not.
    pub(crate) fn earned(&self) -> u64 {
        let paid = |place: usize| {
            let balance = self.balance(place);
            let ledger = self.relay.as_ref().expect("a relay").ledger();
            let account = ledger.account(&self.houses[place].key.account()).expect("an account");
            let rewards = account.locks.values().filter(|l| l.terms.kind == ledger::op::LockKind::PayoutLock);
            balance.available + rewards.map(|lock| lock.terms.amount_ucredits).sum::<u64>()
        };
        (1..self.houses.len()).map(paid).sum()
    }

    /// What the submitter has, wherever it is.
    pub(crate) fn anns(&self) -> u64 {
        let balance = self.balance(ANN);
        balance.available + balance.locked + balance.pending
    }
}

fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let mixed = (*state ^ (*state >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed >> 24
}
