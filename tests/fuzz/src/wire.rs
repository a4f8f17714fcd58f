//! Messages of the network, and the signatures in them.

use identity::Signature;
use ledger::Id;
use network::capability::{Backend, Capability, TaskType, TaskTypes};
use network::wire::{
    Assurance, Claim, Commit, CommitBatch, Committed, Envelope, Flow, Hello, Lease, Leased, LeasedTask,
    Message, Offer, Part, Ping, Priority, Proposal, Propose, Records, Reveal, RevealBatch, Revealed, Roles,
    Signable, Signed, Submit, Tier, Verify,
};

use crate::town::{ACCOUNTS, KEYS, NOW, TOWNS};

/// A frame. What is read can be written and read again; what is signed in it is checked.
pub(crate) fn message(input: &[u8]) -> bool {
    let Ok(message) = Message::decode(input) else { return false };
    let again = message.encode().expect("what was read can be written");
    assert_eq!(Message::decode(&again).as_ref(), Ok(&message), "it comes back as it went");
    let network = TOWNS[0].network.id();
    match &message {
        Message::Submit(m) => drop(m.envelope.check(network)),
        Message::Offer(m) => drop(m.claim.check(network)),
        Message::Leased(m) => drop(m.lease.check(network)),
        Message::Committed(m) => drop(m.batch.check(network)),
        Message::Revealed(m) => drop(m.batch.check(network)),
        _ => {}
    }
    true
}

pub(crate) fn message_seeds() -> Vec<Vec<u8>> {
    let network = TOWNS[0].network.id();
    let (submitter, worker, relay) = (0, 1, 2);
    let envelope = envelope(submitter);
    let task = envelope.id(network);
    let envelope = Signed::sign(envelope, network, &KEYS[submitter]);
    let capability = Capability {
        types: TaskTypes(7),
        models: [Id::ZERO].into(),
        numerics: 1,
        memory_mib: 64,
        backend: Backend::Cpu,
    };
    let claim = Claim {
        worker: ACCOUNTS[worker],
        number: 1,
        capability,
        slots: 1,
        stakes: vec![task],
        site: None,
        region: Some(*b"ch"),
        groups: Vec::new(),
        until_epoch: NOW + 60,
    };
    let leased = LeasedTask { task, number: 0, commit_ms: 30_000, stake: Id::ZERO };
    let lease = Lease {
        relay: ACCOUNTS[relay],
        worker: ACCOUNTS[worker],
        number: 1,
        beacon: [4; 32],
        beacon_slot: 1,
        tasks: vec![leased],
        epoch: NOW,
        heartbeat_ms: 5_000,
    };
    let lease = Signed::sign(lease, network, &KEYS[relay]);
    let commits = CommitBatch {
        worker: ACCOUNTS[worker],
        lease: task,
        commits: vec![Commit { task, number: 0, commit: [5; 32] }],
    };
    let reveal = Reveal { task, number: 0, tag: [6; 32], result_hash: [7; 32], nonce: [8; 32] };
    let reveals = RevealBatch { worker: ACCOUNTS[worker], lease: task, reveals: vec![reveal] };
    let hello = Hello {
        min_version: 1,
        max_version: 1,
        account: ACCOUNTS[worker],
        roles: Roles::WORKER,
        nonce: [9; 32],
        agent: "fuzz".into(),
    };
    let messages: Vec<Message> = vec![
        hello.into(),
        Ping { token: 300 }.into(),
        Records { records: vec![vec![1, 2], vec![]] }.into(),
        Propose { proposal: Proposal::Resolve(vec![1; 8]) }.into(),
        Part { task, flow: Flow::Result(1), offset: 0, total: 3, bytes: vec![1, 2, 3] }.into(),
        Submit { envelope: envelope.clone(), escrow: task, avoid: vec![[1; 32]] }.into(),
        Offer { claim: Signed::sign(claim, network, &KEYS[worker]), prekey: None }.into(),
        Leased { lease, envelopes: vec![envelope] }.into(),
        Committed { batch: Signed::sign(commits, network, &KEYS[worker]) }.into(),
        Revealed { batch: Signed { value: reveals, signature: Signature::from_bytes([1; 64]) } }.into(),
    ];
    messages.iter().map(|message| message.encode().expect("a frame")).collect()
}

fn envelope(submitter: usize) -> Envelope {
    Envelope {
        submitter: ACCOUNTS[submitter],
        nonce: 1,
        kind: TaskType::Embedding,
        model: Id::ZERO,
        numerics: 1,
        payload_commit: [3; 32],
        payload_bytes: 1_024,
        max_result_bytes: 4_096,
        price_ucredits: 50_000,
        verify: Verify::Adaptive,
        assurance: Assurance::Normal,
        priority: Priority::High,
        tier: Tier::Public,
        group: None,
        epoch: NOW,
        ttl_ms: 60_000,
        timeout_ms: 30_000,
    }
}
