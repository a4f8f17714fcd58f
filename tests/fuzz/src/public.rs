//! What is public: records, operations, votes, foundings, sites, receipts, the audit log, Merkle proofs.

use std::sync::Arc;

use identity::{AccountId, Signature};
use ledger::{
    Broken, Check, Checkpoint, CommitteeChange, Founding, Id, Ledger, Network, Record,
    audit::{self, Entry, Event, EventKind, Log},
    expiry::Expiry,
    merkle,
    op::{LockKind, Op, Reason, SignedOp},
    receipt::Receipt,
    resolve::{Payout, Resolve},
    site::SiteRecord,
    witness::{Place, Voted, Witness},
};

use crate::{
    cursor::{Cursor, joined},
    history::garbled,
    town::{
        ACCOUNTS, AUTHORITY, KEYS, NOW, TOWNS, TREASURY, Town, WITNESS, founded, key, lock, number_of, pay,
    },
};

/// Records one after another, taken for certified whatever their votes are, forwards and backwards.
pub(crate) fn record(input: &[u8]) -> bool {
    let (town, mut cursor) = (&TOWNS[0], Cursor::new(input));
    let mut records = Vec::new();
    while !cursor.is_empty() && records.len() < 16 {
        let part = cursor.part();
        if let Ok(record) = Record::decode(part, &town.network) {
            assert_eq!(record.encode(), part, "one value, one encoding");
            let _ = record.check(&town.network);
            if let Record::Expiry(expiry) = &record {
                asked(&expiry.value);
            }
            records.push(record);
        }
    }
    let mut ledger = town.empty.clone();
    ledger.merge(records.iter().cloned(), Check::Nothing);
    hold(ledger.check_invariants());
    let mut backwards = town.empty.clone();
    backwards.merge(records.iter().rev().cloned(), Check::Nothing);
    assert_eq!(ledger.root(), backwards.root(), "the root depends on the order");
    hold(ledger.check_refold());
    let mut checked = town.empty.clone();
    checked.merge(records.iter().cloned(), Check::Signatures);
    checked.check_invariants().expect("invariants hold for what was checked");
    !records.is_empty()
}

/// A witness signs only what marks every lock that it names.
fn asked(expiry: &Expiry) {
    let (town, ledger) = (&TOWNS[0], lived_in());
    let mut witness = Witness::new(key(WITNESS), []);
    let Ok(unsent) = witness.consider_expiry(ledger, expiry, NOW + 80) else { return };
    let vote = unsent.stored();
    assert_eq!(vote.value, expiry.id(town.network.id()), "a vote for something else");
    let mut after = ledger.clone();
    let record = Record::expiry(&town.network, expiry.clone(), town.certificate(&vote.value, 0));
    after.merge([record], Check::Signatures);
    let locks = &after.account(&expiry.owner).expect("an account with locks").locks;
    assert!(expiry.locks.iter().all(|lock| locks[lock].ran_out), "a witness signed what does not count");
    after.check_invariants().expect("invariants hold");
}

/// I10 speaks of certificates, and these were not checked.
fn hold(result: Result<(), Broken>) {
    if let Err(broken) = result {
        assert!(broken.invariant == "I10", "{broken}");
    }
}

/// One of everything that a ledger holds.
pub(crate) fn story(town: &Town) -> Vec<Record> {
    let (mut ledger, mut records) = (town.empty.clone(), Vec::new());
    let mut act = |ledger: &mut Ledger, who: usize, action, now| {
        let op = ledger.draft(&ACCOUNTS[who], action, now).expect("a draft");
        let record = town.certified(op, who, 0);
        ledger.merge([record.clone()], Check::Signatures);
        records.push(record.clone());
        record
    };
    act(&mut ledger, 0, pay(1, 5_000_000, Reason::Payment), NOW);
    act(&mut ledger, 1, ledger::op::Action::Open { referrer: Some(ACCOUNTS[0]), site: Some(Id::ZERO) }, NOW);
    let escrow = act(&mut ledger, 0, lock(LockKind::TaskEscrow, 9_000_000, NOW + 10), NOW).id();
    act(&mut ledger, 1, lock(LockKind::TaskStake, 10_000_000, NOW + 10), NOW);
    act(&mut ledger, TREASURY, ledger::op::Action::Noop, NOW);
    let resolve = Resolve {
        owner: ACCOUNTS[0],
        lock: escrow,
        epoch: NOW + 1,
        payouts: vec![Payout { to: ACCOUNTS[1], amount_ucredits: 8_000_000, reason: Reason::Reward }],
        refund_ucredits: 1_000_000,
        slash_ucredits: 0,
        judged: Vec::new(),
        drawn: true,
        evidence: Id::ZERO,
    };
    let network = town.network.id();
    let signed = resolve.sign(network, &KEYS[AUTHORITY]);
    let certificate = town.certificate(&signed.resolve.id(network), 0);
    let decided = Record::resolve(&town.network, signed, certificate);
    ledger.merge([decided.clone()], Check::Signatures);
    let ran_out = ledger.draft_expiry(&ACCOUNTS[1], NOW + 80).expect("a stake and a reward");
    let certificate = town.certificate(&ran_out.id(network), 0);
    let ran_out = Record::expiry(&town.network, ran_out, certificate);
    ledger.merge([ran_out.clone()], Check::Signatures);
    act(&mut ledger, 1, ledger::op::Action::Noop, NOW + 80);
    let checkpoint = ledger.draft_checkpoint(NOW);
    let certificate = town.certificate(&checkpoint.id(network), 0);
    records.extend([decided, ran_out, Record::checkpoint(&town.network, checkpoint, certificate)]);
    let Record::Op(first) = &records[0] else { unreachable!("an operation came first") };
    let other = Op { epoch: NOW + 1, ..first.value.op.clone() }.sign(network, &KEYS[0]);
    let proof = ledger::proof::Proof::fork(network, ACCOUNTS[0], first.value.clone(), other);
    records.push(Record::proof(proof.expect("a fork")));
    records
}

pub(crate) fn record_seeds() -> Vec<Vec<u8>> {
    let records = story(&TOWNS[0]);
    let bytes: Vec<Vec<u8>> = records.iter().map(Record::encode).collect();
    let mut seeds: Vec<Vec<u8>> = bytes.iter().map(|one| joined(std::slice::from_ref(one))).collect();
    seeds.push(joined(&bytes));
    seeds.extend(garbled(&records[0], &TOWNS[0]).map(|record| joined(&[record.encode()])));
    seeds
}

/// An operation that a witness is asked to sign, as it came and with its owner's signature made good.
pub(crate) fn op(input: &[u8]) -> bool {
    let Ok(op) = SignedOp::decode(input) else { return false };
    assert_eq!(op.encode(), input, "one value, one encoding");
    let (town, ledger) = (&TOWNS[0], lived_in());
    let signed = number_of(&op.op.account).map(|number| op.op.clone().sign(town.network.id(), &KEYS[number]));
    for op in [Some(op), signed].into_iter().flatten() {
        let mut witness = Witness::new(key(WITNESS), []);
        let Ok(unsent) = witness.consider_op(ledger, &op, NOW + 80) else { continue };
        let vote = unsent.stored();
        assert_eq!(vote.value, op.op.id(town.network.id()), "a vote for something else");
        let record = Record::op(&town.network, op, town.certificate(&vote.value, 0));
        let mut after = ledger.clone();
        let merged = after.merge([record], Check::Signatures);
        assert_eq!(merged.added, 1, "a witness signed what is refused: {merged:?}");
        assert_eq!(after.orphans(), ledger.orphans(), "a witness signed what does not count");
        after.check_invariants().expect("invariants hold");
    }
    true
}

/// The ledger after [`story`], but for the fork.
fn lived_in() -> &'static Ledger {
    static LEDGER: std::sync::LazyLock<Ledger> = std::sync::LazyLock::new(|| {
        let (town, mut records) = (&TOWNS[0], story(&TOWNS[0]));
        records.pop();
        let mut ledger = town.empty.clone();
        ledger.merge(records, Check::Signatures);
        ledger
    });
    &LEDGER
}

pub(crate) fn op_seeds() -> Vec<Vec<u8>> {
    let draft = |who: usize, action| lived_in().draft(&ACCOUNTS[who], action, NOW + 80).expect("a draft");
    let drafts = [
        draft(0, pay(2, 7, Reason::Payment)),
        draft(1, lock(LockKind::TaskStake, 5, NOW + 90)),
        draft(2, ledger::op::Action::Open { referrer: None, site: None }),
        draft(3, lock(LockKind::BaseStake, 5_000_000, NOW + 80)),
        draft(TREASURY, ledger::op::Action::Noop),
    ];
    let signed = |op: Op| {
        let number = number_of(&op.account).expect("an account of the town");
        op.sign(TOWNS[0].network.id(), &KEYS[number]).encode()
    };
    drafts.into_iter().map(signed).collect()
}

/// What a witness remembers: never another value for the place, whatever the store gave back.
pub(crate) fn vote(input: &[u8]) -> bool {
    let mut cursor = Cursor::new(input);
    let (place_bytes, voted_bytes) = (cursor.part(), cursor.rest());
    let place = Place::decode(place_bytes);
    if let Ok(place) = &place {
        assert_eq!(place.encode(), place_bytes, "one place, one encoding");
    }
    let voted = Voted::decode(voted_bytes);
    if let Ok(voted) = &voted {
        assert_eq!(voted.encode(), voted_bytes, "one vote, one encoding");
    }
    let (Ok(place), Ok(voted)) = (place, voted) else { return false };
    let (ledger, network) = (lived_in(), TOWNS[0].network.id());
    let op = ledger.draft(&ACCOUNTS[0], pay(2, 7, Reason::Payment), NOW + 80).expect("a draft");
    let (id, here) = (op.id(network), Place::Op(op.account, op.seq));
    let op = op.sign(network, &KEYS[0]);
    let free = place != here || voted.value == id;
    let mut witness = Witness::new(key(WITNESS), [(place, voted)]);
    let answer = witness.consider_op(ledger, &op, NOW + 80);
    assert_eq!(answer.is_ok(), free, "a witness signs two values for one place, or none");
    true
}

pub(crate) fn vote_seeds() -> Vec<Vec<u8>> {
    let record = TOWNS[0].certificate(&Id::ZERO, 0);
    let signer = *record.signers().next().expect("a signer");
    let places = [Place::Op(signer, 1), Place::Op(ACCOUNTS[0], 2), Place::Lock(Id::ZERO), Place::Epoch(NOW)];
    let bodies = [Vec::new(), op_seeds().swap_remove(0)];
    let seed = |(place, body): (&Place, &Vec<u8>)| {
        let voted = Voted { value: Id::hash("fuzz", &[body]), body: body.clone() };
        [joined(&[place.encode()]), voted.encode()].concat()
    };
    places.iter().flat_map(|place| bodies.iter().map(move |body| (place, body))).map(seed).collect()
}

/// A founding, and a change of its committee.
pub(crate) fn founding(input: &[u8]) -> bool {
    let mut cursor = Cursor::new(input);
    let (founding_bytes, change_bytes) = (cursor.part(), cursor.rest());
    let change = CommitteeChange::decode(change_bytes);
    if let Ok(change) = &change {
        assert_eq!(change.encode(), change_bytes, "one change, one encoding");
    }
    let Ok(founding) = Founding::decode(founding_bytes) else { return false };
    assert_eq!(founding.encode(), founding_bytes, "one founding, one encoding");
    let Ok(mut network) = Network::new(founding) else { return true };
    Ledger::new(Arc::new(network.clone())).check_invariants().expect("invariants hold from the start");
    if let Ok(change) = change {
        let _ = network.clone().change(&change);
        let before = network.committee(u64::MAX).clone();
        let number = number_of(network.treasury());
        let signed = number.map(|number| {
            CommitteeChange::sign(network.id(), change.from_epoch, change.witnesses.clone(), &KEYS[number])
        });
        match signed.map(|signed| network.change(&signed)) {
            Some(Ok(())) => {
                assert_eq!(network.committee(change.from_epoch).from_epoch, change.from_epoch, "its epochs")
            }
            _ => assert_eq!(*network.committee(u64::MAX), before, "a change that was refused"),
        }
        let quorum = network.committee(u64::MAX).quorum();
        assert!(quorum > 2 * network.committee(u64::MAX).tolerated(), "bad witnesses reach a quorum");
    }
    true
}

pub(crate) fn founding_seeds() -> Vec<Vec<u8>> {
    let seed = |witnesses: usize| {
        let founding = founded(witnesses);
        let network = Network::new(founding.clone()).expect("a network");
        let others: Vec<(AccountId, u32)> = founding.witnesses.clone();
        let change = CommitteeChange::sign(network.id(), 9, others, &KEYS[TREASURY]);
        [joined(&[founding.encode()]), change.encode()].concat()
    };
    vec![seed(1), seed(4)]
}

/// A record of a site, as it came and with its signature made good.
pub(crate) fn site(input: &[u8]) -> bool {
    let mut signed = input.to_vec();
    if let Some((body, _)) = input.split_last_chunk::<64>() {
        let id = Id::hash("edgenet/site/v1", &[body]);
        signed[body.len()..].copy_from_slice(KEYS[0].sign(id.as_bytes()).as_bytes());
    }
    let mut decoded = false;
    for bytes in [input, &signed] {
        if let Ok(record) = SiteRecord::decode(bytes) {
            assert_eq!(record.encode(), bytes, "one record, one encoding");
            record.check().expect("what decodes is checked");
            assert!(record.account == ACCOUNTS[0], "a signature nobody made");
            decoded = true;
        }
    }
    decoded
}

pub(crate) fn site_seeds() -> Vec<Vec<u8>> {
    let record = |origins: &[&str], relays: &[&str]| SiteRecord {
        label: "a.example-site".into(),
        account: ACCOUNTS[0],
        origins: origins.iter().map(|o| (*o).to_owned()).collect(),
        share_ppm: 500_000,
        relays: relays.iter().map(|r| (*r).to_owned()).collect(),
        version: 1,
        epoch: NOW,
        signature: Signature::from_bytes([0; 64]),
    };
    let records = [
        record(&[], &[]),
        record(&["http://localhost:8080", "https://example.org"], &["wss://relay.example.org"]),
    ];
    records.into_iter().map(|r| r.sign(&KEYS[0]).expect("a good record").encode()).collect()
}

/// A receipt, as it came and with its votes made good.
pub(crate) fn receipt(input: &[u8]) -> bool {
    let town = &TOWNS[0];
    let mut inputs = vec![input.to_vec()];
    if let Some((index, Ok(record))) =
        input.split_first().map(|(i, rest)| (*i, Record::decode(rest, &town.network)))
    {
        let certificate = town.certificate(&record.id(), 0);
        let certified = match &record {
            Record::Op(r) => Record::op(&town.network, r.value.clone(), certificate),
            Record::Resolve(r) => Record::resolve(&town.network, r.value.clone(), certificate),
            Record::Checkpoint(r) => Record::checkpoint(&town.network, r.value, certificate),
            Record::Expiry(r) => Record::expiry(&town.network, r.value.clone(), certificate),
            Record::Proof(_) => record.clone(),
        };
        inputs.push([&[index][..], &certified.encode()].concat());
    }
    let mut decoded = false;
    for bytes in inputs {
        if let Ok((receipt, payment)) = Receipt::decode(&bytes, &town.network) {
            assert_eq!(receipt.encode(), bytes, "one receipt, one encoding");
            assert_eq!(receipt.check(&town.network), Ok(payment), "two answers to one question");
            assert!(payment.amount_ucredits > 0, "a receipt for nothing");
            decoded = true;
        }
    }
    decoded
}

pub(crate) fn receipt_seeds() -> Vec<Vec<u8>> {
    let accounts = &ACCOUNTS[..3];
    let receipts = accounts.iter().flat_map(|account| lived_in().receipts(account));
    receipts.map(|(receipt, _)| receipt.encode()).collect()
}

/// An audit log, entry by entry.
pub(crate) fn audit(input: &[u8]) -> bool {
    let (mut cursor, mut entries, mut decoded) = (Cursor::new(input), Vec::new(), false);
    while !cursor.is_empty() && entries.len() < 16 {
        let part = cursor.part();
        if let Ok(entry) = Entry::decode(part) {
            assert_eq!(entry.encode(), part, "one entry, one encoding");
            let event = &entry.event;
            let again = Event::new(event.epoch(), event.kind(), *event.subject(), event.detail());
            assert_eq!(again.as_ref(), Ok(event), "an event that nobody could have written");
            decoded = true;
        }
        entries.push(part);
    }
    if let Ok(head) = audit::verify(&entries) {
        let mut log = Log::resume(head);
        if let Ok(next) = log.append(Event::new(NOW, EventKind::RateLimited, [0; 32], "").expect("an event"))
        {
            let longer = entries.iter().map(|e| e.to_vec()).chain([next.encode()]);
            assert_eq!(audit::verify(longer), Ok(log.head()), "a log that cannot go on");
        }
        assert_eq!(audit::verify_against(&head, &entries), Ok(head), "a log that is not itself");
    }
    decoded
}

pub(crate) fn audit_seeds() -> Vec<Vec<u8>> {
    let mut log = Log::new();
    let mut entry = |kind, detail| {
        let event = Event::new(NOW, kind, [7; 32], detail).expect("an event");
        log.append(event).expect("room").encode()
    };
    let entries = [
        entry(EventKind::ForkProof, ""),
        entry(EventKind::SettingsChanged, "höhe = 3"),
        entry(EventKind::ModuleRefused, "no"),
    ];
    vec![joined(&entries[..1]), joined(&entries)]
}

/// Leaves under a checkpoint that a bad quorum certified.
pub(crate) fn snapshot(input: &[u8]) -> bool {
    let (town, mut cursor, mut leaves) = (&TOWNS[0], Cursor::new(input), Vec::new());
    while !cursor.is_empty() && leaves.len() < 16 {
        leaves.push(cursor.part().to_vec());
    }
    let hashes: Vec<[u8; 32]> = leaves.iter().map(|leaf| ledger::leaf_hash(leaf)).collect();
    let checkpoint = Checkpoint {
        epoch: NOW,
        previous: Id::ZERO,
        root: Id::from_bytes(merkle::root(&hashes)),
        accounts: leaves.len() as u64,
        treasury_ucredits: 0,
        compute: 0,
    };
    let certificate = town.certificate(&checkpoint.id(town.network.id()), 0);
    let Record::Checkpoint(certified) = Record::checkpoint(&town.network, checkpoint, certificate) else {
        unreachable!("a record of a checkpoint");
    };
    let Ok(ledger) = Ledger::from_snapshot(town.network.clone(), &certified, leaves.clone()) else {
        return false;
    };
    assert_eq!(ledger.leaves().collect::<Vec<_>>(), leaves, "one account, one leaf, in one order");
    ledger.check_invariants().expect("invariants hold");
    for account in &*ACCOUNTS {
        let _ = (ledger.balance(account), ledger.reputation(account, 0));
        if let Ok(op) = ledger.draft(account, ledger::op::Action::Noop, NOW + 80) {
            let number = number_of(account).expect("an account of the town");
            let mut after = ledger.clone();
            after.merge([town.certified(op, number, 0)], Check::Signatures);
            after.check_invariants().expect("invariants hold");
        }
    }
    true
}

pub(crate) fn snapshot_seeds() -> Vec<Vec<u8>> {
    let leaves = |ledger: &Ledger| joined(&ledger.leaves().collect::<Vec<_>>());
    let (town, mut records) = (&TOWNS[0], story(&TOWNS[0]));
    records.truncate(4);
    let mut early = town.empty.clone();
    early.merge(records, Check::Signatures);
    vec![leaves(&town.empty), leaves(&early), leaves(lived_in())]
}

/// A proof from a stranger, and one that the input's own leaves give.
pub(crate) fn merkle(input: &[u8]) -> bool {
    let mut cursor = Cursor::new(input);
    let (index, size) = (u64::from(cursor.u32()), u64::from(cursor.u32()));
    let (proof_bytes, rest) = (cursor.part(), cursor.rest());
    let leaves: Vec<[u8; 32]> = rest.chunks(2).take(64).map(merkle::leaf).collect();
    let top = merkle::root(&leaves);
    let at = leaves.len().checked_sub(1).map_or(0, |last| index as usize % (last + 1));
    if let Some(proof) = merkle::prove(&leaves, at) {
        let holds = |leaf: &[u8; 32], index, size| merkle::verify(&top, leaf, index, size, &proof);
        let (count, at) = (leaves.len() as u64, at as u64);
        assert!(holds(&leaves[at as usize], at, count), "a good proof fails");
        let next = leaves.get(at as usize + 1);
        let same = next == Some(&leaves[at as usize]);
        assert!(same || !holds(&leaves[at as usize], at + 1, count), "a proof of another place");
        assert!(!holds(&merkle::leaf(b"no such leaf"), at, count), "a proof of another leaf");
        assert_eq!(merkle::Proof::decode(&proof.encode()).as_ref(), Ok(&proof), "one encoding");
    }
    let Ok(proof) = merkle::Proof::decode(proof_bytes) else { return false };
    assert_eq!(proof.encode(), proof_bytes, "one proof, one encoding");
    let leaf = leaves.first().copied().unwrap_or([0; 32]);
    if merkle::verify(&top, &leaf, index, size, &proof) {
        assert!(size as usize != leaves.len() || leaves.get(index as usize) == Some(&leaf), "a forged place");
    }
    true
}

pub(crate) fn merkle_seeds() -> Vec<Vec<u8>> {
    let seed = |count: u8| {
        let rest: Vec<u8> = (0..2 * count).collect();
        let leaves: Vec<[u8; 32]> = rest.chunks(2).map(merkle::leaf).collect();
        let proof = merkle::prove(&leaves, 0).expect("a first leaf").encode();
        [vec![0; 4], u32::from(count).to_le_bytes().to_vec(), joined(&[proof]), rest].concat()
    };
    [1, 2, 3, 7, 8, 33].into_iter().map(seed).collect()
}
