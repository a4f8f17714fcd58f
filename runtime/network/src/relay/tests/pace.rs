//! How many tasks a relay carries on one core. A measurement: `cargo test --release -p network pace -- --ignored --nocapture`.

use std::{collections::BTreeMap, time::Instant};

use identity::SecretKey;
use ledger::{
    Allocation, Founding, Id, Ledger, MICRO, Network,
    op::{Action, LockKind, LockTerms, Policy},
};

use super::town::envelope;
use crate::{
    limits::Block,
    node::{Context, Link, Now},
    queue,
    relay::{Config, Input, Output, Relay, Restored},
    wire::*,
};

const WORKERS: u8 = 64;
const SLOTS: u16 = 64;
const TASKS: u64 = 4_000;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// A relay whose store answers at once, and the time it takes for itself.
struct Bench {
    relay: Relay,
    now: Now,
    busy_us: u128,
    said: Vec<(Link, Message)>,
}

impl Bench {
    fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut out = Vec::new();
            let mut random = |bytes: &mut [u8]| bytes.fill(3);
            let mut context = Context { now: self.now, random: &mut random };
            let began = Instant::now();
            self.relay.step(&mut context, input, &mut out);
            self.busy_us += began.elapsed().as_micros();
            for output in out {
                match output {
                    Output::Save(save) => inputs.push(Input::Stored { ticket: save.ticket }),
                    Output::Send { link, message } => self.said.push((link, message)),
                    Output::Forward { link, frame } => {
                        self.said.push((link, Message::decode(&frame).expect("a frame")));
                    }
                    _ => {}
                }
            }
        }
    }

    fn send(&mut self, link: u64, message: impl Into<Message>) {
        let bytes = message.into().encode().expect("a frame");
        self.step(Input::Frame { link: Link(link), bytes });
    }

    fn connect(&mut self, seed: u8, roles: Roles) {
        let link = u64::from(seed);
        self.step(Input::Opened { link: Link(link), block: Block::V4([10, 0, seed]) });
        let account = key(seed).account();
        let hello =
            Hello { min_version: 1, max_version: 1, account, roles, nonce: [seed; 32], agent: "pace".into() };
        self.send(link, hello.clone());
        let Some((_, Message::Challenge(challenge))) = self.said.pop() else { panic!("no challenge") };
        let mut ring = identity::Prekeys::new(account);
        let mut fill = |bytes: &mut [u8]| bytes.fill(seed);
        ring.rotate(&key(seed), self.now.epoch, &mut fill).expect("a prekey");
        let prekey = ring.current().map(|prekey| prekey.encode().to_vec());
        let signature = key(seed).sign(auth_message(&hello, &challenge).as_bytes());
        self.send(link, Auth { signature, prekey });
    }

    fn act(&mut self, seed: u8, action: Action) -> Id {
        let network = *self.relay.ledger().network().id();
        let op = self.relay.ledger().draft(&key(seed).account(), action, self.now.epoch).expect("a draft");
        let op = op.sign(&network, &key(seed));
        let id = op.op.id(&network);
        self.send(u64::from(seed), Propose { proposal: Proposal::Op(op.encode()) });
        id
    }

    fn lock(&mut self, seed: u8, kind: LockKind, task: Id, amount_ucredits: u64) -> Id {
        let policy = Policy { authority: self.relay.account(), redundancy: 1, priority_halves: 2 };
        let expiry_epoch = self.now.epoch + 500;
        self.act(seed, Action::Lock(LockTerms { kind, task, amount_ucredits, policy, expiry_epoch }))
    }
}

fn bench() -> Bench {
    let rich = |seed: u8| Allocation {
        account: key(seed).account(),
        available_ucredits: 1_000_000 * MICRO,
        staked_ucredits: 100_000 * MICRO,
    };
    let mut allocations: Vec<Allocation> = (1..=WORKERS + 1).map(rich).collect();
    allocations.sort_by_key(|a| a.account);
    let witnesses = vec![(key(200).account(), 1)];
    let founding = Founding { name: "pace".into(), treasury: key(201).account(), allocations, witnesses };
    let network = std::sync::Arc::new(Network::new(founding).expect("a network"));
    let config = Config {
        head_start_epochs: 2,
        gateways: (1..=WORKERS + 1).map(|seed| key(seed).account()).collect(),
        queue: queue::Settings { max_open_per_share: 100_000, ..queue::Settings::default() },
        ..Config::default()
    };
    let restored = Restored { ledger: Ledger::new(network), votes: vec![], tasks: vec![] };
    let relay = Relay::new(config, key(200), restored, [1; 32]);
    Bench { relay, now: Now { ms: 0, epoch: 1_000 }, busy_us: 0, said: vec![] }
}

#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "a measurement says what it measured")]
fn pace() {
    let mut bench = bench();
    let network = *bench.relay.ledger().network().id();
    let submitter = WORKERS + 1;
    bench.connect(submitter, Roles::SUBMITTER);
    for seed in 1..=WORKERS {
        bench.connect(seed, Roles::WORKER);
        let stakes =
            (0..SLOTS).map(|_| bench.lock(seed, LockKind::TaskStake, Id::ZERO, 10 * MICRO)).collect();
        let claim = Claim { worker: key(seed).account(), stakes, ..super::town::claim(11, SLOTS, vec![]) };
        let claim = Signed::sign(claim, &network, &key(seed));
        bench.send(u64::from(seed), Offer { claim, prekey: None });
    }
    let submits: Vec<Submit> = (0..TASKS)
        .map(|nonce| {
            let account = key(submitter).account();
            let envelope = Envelope { submitter: account, ..envelope(nonce, Verify::Redundant(1)) };
            let escrow = bench.lock(submitter, LockKind::TaskEscrow, envelope.id(&network), 5_000);
            Submit { envelope: Signed::sign(envelope, &network, &key(submitter)), escrow, avoid: vec![] }
        })
        .collect();
    (bench.busy_us, bench.said) = (0, vec![]);
    for submit in submits {
        bench.send(u64::from(submitter), submit);
    }
    bench.now.ms += 250;
    bench.step(Input::Tick);
    let phase = bench.busy_us;
    eprintln!("in and drawn: {} us a task", phase / u128::from(TASKS));
    let leases = work(&mut bench, u64::from(submitter), &network);
    let settled = bench.said.iter().filter(|(_, m)| matches!(m, Message::Settled(s) if s.cost_ucredits > 0));
    assert_eq!(settled.filter(|(link, _)| *link == Link(submitter.into())).count() as u64, TASKS);
    let (message, signature) = ([7u8; 32], key(1).sign(&[7; 32]));
    let began = Instant::now();
    (0..1_000).for_each(|_| key(1).public().verify(&message, &signature).expect("signed"));
    let verify_us = began.elapsed().as_micros() as f64 / 1_000.0;
    let signer = key(1);
    let began = Instant::now();
    (0..1_000).for_each(|_| assert_eq!(signer.sign(&message), signature));
    let sign_us = began.elapsed().as_micros() as f64 / 1_000.0;
    // The envelope, the decision and its vote are verified; the decision and its vote are signed; a lease is signed, and its
    // commits and reveals verified.
    let each = 3.0 * verify_us + 2.0 * sign_us;
    let signatures_us = each * TASKS as f64 + leases as f64 * (2.0 * verify_us + sign_us);
    let all_us = bench.busy_us as f64;
    eprintln!(
        "{TASKS} tasks in {leases} leases: {:.0} a second; without signatures ({verify_us:.0} and {sign_us:.0} us) {:.0}",
        TASKS as f64 / all_us * 1e6,
        TASKS as f64 / (all_us - signatures_us) * 1e6,
    );
}

/// The submitter seals, the workers work. Gives the number of leases.
fn work(bench: &mut Bench, submitter: u64, network: &Id) -> usize {
    use sha2::{Digest, Sha256};
    let said = std::mem::take(&mut bench.said);
    let mut leases: BTreeMap<Id, Lease> = BTreeMap::new();
    for (_, message) in said {
        match message {
            Message::Leased(leased) => {
                leases.insert(leased.lease.value.id(network), leased.lease.value);
            }
            Message::Assigned(assigned) => {
                let task = assigned.task;
                let keys =
                    assigned.workers.iter().map(|w| WrappedFor { number: w.number, key: vec![1; 100] });
                bench.send(submitter, Keys { task, keys: keys.collect() });
                let bytes = vec![1; 100];
                bench.send(submitter, Part { task, flow: Flow::Payload, offset: 0, total: 100, bytes });
            }
            _ => {}
        }
    }
    let hash: [u8; 32] = Sha256::digest([2; 50]).into();
    let shown = crate::verify::unit::Reveal {
        tag: crate::verify::unit::Tag::from_bytes([1; 32]),
        ciphertext: hash,
        nonce: [3; 32],
    };
    for (id, lease) in &leases {
        let seed = (1..=WORKERS).find(|seed| key(*seed).account() == lease.worker).expect("a worker");
        let commit = |t: &LeasedTask| {
            let commit = shown.commit(&t.task, &assignment_id(&t.task, t.number), &lease.worker);
            Commit { task: t.task, number: t.number, commit: *commit.as_bytes() }
        };
        let commits = lease.tasks.iter().map(commit).collect();
        let batch = CommitBatch { worker: lease.worker, lease: *id, commits };
        bench.send(seed.into(), Committed { batch: Signed::sign(batch, network, &key(seed)) });
        let reveal = |t: &LeasedTask| Reveal {
            task: t.task,
            number: t.number,
            tag: [1; 32],
            result_hash: hash,
            nonce: [3; 32],
        };
        let reveals = lease.tasks.iter().map(reveal).collect();
        let batch = RevealBatch { worker: lease.worker, lease: *id, reveals };
        bench.send(seed.into(), Revealed { batch: Signed::sign(batch, network, &key(seed)) });
        for t in &lease.tasks {
            bench.send(seed.into(), super::town::result(t.task, t.number, 2));
        }
    }
    leases.len()
}
