//! Canonical bytes, pinned. Another encoding would be another network.

use identity::{AccountId, Signature};
use ledger::{
    Checkpoint, CommitteeChange, DecodeError, Founding, Id, Ledger, MICRO, Record,
    expiry::Expiry,
    op::{Action, LockKind, LockTerms, Op, Out, Policy, Reason, Receive, SignedOp},
    proof::Proof,
    reputation::Outcome,
    resolve::{Judged, Payout, Resolve},
    site::SiteRecord,
    witness::{Place, expired},
};
use sha2::{Digest, Sha256};

use crate::support::{Town, authority, key, lock, pay, resolve, treasury};

fn account(byte: u8) -> AccountId {
    AccountId::from_bytes([byte; 32])
}

fn id(byte: u8) -> Id {
    Id::from_bytes([byte; 32])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn op(action: Action) -> Op {
    Op {
        account: account(0xA0),
        seq: 3,
        prev: id(0x11),
        epoch: 0x0102,
        receives: vec![Receive { source: id(0x22), index: 1 }, Receive::expired(id(0x23))],
        action,
        balance_after: 5,
    }
}

fn actions() -> Vec<(&'static str, Action)> {
    let out = Out { to: account(0xB0), amount_ucredits: 7, reason: Reason::StorageFee, reference: id(0x33) };
    let policy = Policy { authority: account(0xC0), redundancy: 2, priority_halves: 4 };
    let terms = LockTerms {
        kind: LockKind::TaskStake,
        task: id(0x44),
        amount_ucredits: 9,
        policy,
        expiry_epoch: 0x0203,
    };
    let proof = Signature::from_bytes([0x55; 64]);
    vec![
        ("noop", Action::Noop),
        ("transfer", Action::Transfer { outs: vec![out] }),
        ("lock", Action::Lock(terms)),
        ("rotate", Action::RotateKey { key: account(0xD0), proof }),
        ("open", Action::Open { referrer: Some(account(0xE0)), site: None }),
    ]
}

/// What stands between the signed operation's fixed front and its balance, and the id in network 0x77..., by a separate
/// encoder (Python's `struct` and `hashlib`).
const OPS: [(&str, &str, &str); 5] = [
    ("noop", "00", "03c123c3f9c5ce19dd286022119acaf8373dd51d146a55761b4d10500771f278"),
    (
        "transfer",
        "0101b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b00700000000000000013333333333333333333333333333333333333333333333333333333333333333",
        "1e730ec4adcf1acbe7657e591d20507bd32fdd554e67dc93d3a243057d0be7e4",
    ),
    (
        "lock",
        "020144444444444444444444444444444444444444444444444444444444444444440900000000000000c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c002040302000000000000",
        "76f0923be5cc6f6d35b37f3b66d07de80ac49d4190a43e5949f1d2b1aa26eed6",
    ),
    (
        "rotate",
        "03d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d055555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555",
        "226d5fe0acfc9432f70b42aa93c9c6a284f4e9d9b8ad132153c56d557050c3e4",
    ),
    (
        "open",
        "0401e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0",
        "be815130dc0b53bee3e3081c27025d8e267cfe01efb3038f38b55b376df1988b",
    ),
];

#[test]
fn operations_have_their_bytes_and_ids() {
    let front = format!("01{}0300000000000000{}0201000000000000", "a0".repeat(32), "11".repeat(32));
    let receives = format!("02{}01{}ff", "22".repeat(32), "23".repeat(32));
    for ((name, action), (golden_name, bytes, golden_id)) in actions().into_iter().zip(OPS) {
        let op = op(action);
        let golden_id = golden_id.to_owned();
        assert_eq!((name, op.id(&id(0x77)).to_string()), (golden_name, golden_id));
        let signed = SignedOp { op, signature: Signature::from_bytes([0x66; 64]) };
        let expected = format!("{front}{receives}{bytes}0500000000000000{}", "66".repeat(64));
        assert_eq!(hex(&signed.encode()), expected, "{name}");
        assert_eq!(SignedOp::decode(&signed.encode()), Ok(signed));
    }
}

/// SHA-256 over the canonical bytes of a small history: every kind of record, signatures and certificates.
#[test]
fn records_have_their_bytes() {
    let mut town = Town::new(4, 2);
    let mut records = vec![town.act(&key(1), pay(&key(2), MICRO))];
    records.push(town.act(&key(1), lock(LockKind::TaskEscrow, 3 * MICRO, town.now + 9)));
    let decision = Resolve {
        payouts: vec![Payout { to: key(9).account(), amount_ucredits: 2 * MICRO, reason: Reason::Reward }],
        refund_ucredits: MICRO,
        judged: vec![Judged { worker: key(9).account(), task_type: 4, outcome: Outcome::Valid }],
        ..resolve(&key(1), records[1].id(), town.now)
    };
    records.push(town.decide(decision.clone()));
    let checkpoint = town.ledger.draft_checkpoint(town.now);
    records.push(Record::checkpoint(town.ledger.network(), checkpoint, ledger::Certificate::default()));
    let network = town.network();
    let (one, other) = (town.signed(&key(2), pay(&key(1), 1)), town.signed(&key(2), pay(&key(1), 2)));
    records.push(Record::proof(Proof::fork(&network, key(2).account(), one, other).unwrap()));
    let second = Resolve { drawn: false, ..decision.clone() }.sign(&network, &authority());
    let first = decision.sign(&network, &authority());
    let twice = Proof::decisions(&network, authority().account(), second, first).unwrap();
    records.push(Record::proof(twice));
    let expiry = Expiry { owner: key(1).account(), locks: vec![id(1), id(2)], epoch: town.now };
    records.push(Record::expiry(town.ledger.network(), expiry, ledger::Certificate::default()));
    let mut hash = Sha256::new();
    for record in &records {
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes, town.ledger.network()).as_ref(), Ok(record));
        for end in 0..bytes.len() {
            Record::decode(&bytes[..end], town.ledger.network()).unwrap_err();
        }
        let longer = [&bytes[..], &[0]].concat();
        let trailing = Record::decode(&longer, town.ledger.network());
        assert_eq!(trailing, Err(DecodeError::Trailing { count: 1 }));
        hash.update(&bytes);
    }
    let found = (hex(&hash.finalize()), town.ledger.root().to_string());
    assert_eq!(found, (RECORDS.to_owned(), ROOT.to_owned()));
    assert_eq!(network.to_string(), NETWORK);
}

#[test]
fn what_stands_beside_the_records_has_its_bytes() {
    let checkpoint =
        Checkpoint { epoch: 9, previous: id(1), root: id(2), accounts: 3, treasury_ucredits: 4, compute: 5 };
    assert_eq!(checkpoint.id(&id(0x77)).to_string(), CHECKPOINT_ID);
    let town = Town::new(1, 1);
    let founding = town.ledger.network().founding().clone();
    assert_eq!(Founding::decode(&founding.encode()), Ok(founding));
    let change = CommitteeChange::sign(&town.network(), 5_000, vec![(key(7).account(), 2)], &treasury());
    assert_eq!(CommitteeChange::decode(&change.encode()), Ok(change.clone()));
    assert_eq!(hex(&Sha256::digest(change.encode())), CHANGE);
    let site = SiteRecord {
        label: "example.org".into(),
        account: key(1).account(),
        origins: vec!["https://example.org".into()],
        share_ppm: 500_000,
        relays: vec!["wss://relay.example.org".into()],
        version: 1,
        epoch: 9,
        signature: Signature::from_bytes([0; 64]),
    };
    let site = site.sign(&key(1)).unwrap();
    assert_eq!(SiteRecord::decode(&site.encode()), Ok(site.clone()));
    assert_eq!(hex(&Sha256::digest(site.encode())), SITE);
    let expiry = Expiry { owner: account(0xA0), locks: vec![id(0x22), id(0x23)], epoch: 0x0102 };
    assert_eq!(expiry.id(&id(0x77)).to_string(), EXPIRY_ID);
    assert_eq!(expired(&id(0x22)).to_string(), EXPIRED);
    for place in [Place::Op(account(1), 2), Place::Lock(id(3)), Place::Epoch(4)] {
        assert_eq!(Place::decode(&place.encode()), Ok(place));
    }
    assert_eq!(Ledger::new(town.ledger.network().clone()).root(), town.ledger.root());
}

const RECORDS: &str = "a0a7fe5c17993fe2b2d9e0e7755ce2e547124eb58ad3f7af4cbff332cce4eb98";
const ROOT: &str = "38d3087936ecbaf722133632eec941ff8dff4146dcf13dee1955979159d1a676";
const NETWORK: &str = "71d9827f4921e935b8c1d5d56db66881863beaa3595683cab872b420215b6724";
/// By the encoder of [`OPS`], and what a witness keeps of a vote for it.
const EXPIRY_ID: &str = "39f12b8de6edf7d13393e52a0e1b5107191c49e7147a3880e96422f70053ac78";
const EXPIRED: &str = "f0933fcefe45ebda9e491519602db986e187c56d436cb17db05fade148211932";
const CHECKPOINT_ID: &str = "abfbc064cf25d1917999876d794ce74bbda3f26a6373ab5bad71f1d22eacc47a";
const CHANGE: &str = "5c728942262baedc69084a87c7f9cd897016ffc7b711218c27b08ed694a1bda3";
const SITE: &str = "b3718a866bd8490931a12c0f52b20e40d21b09dd2f845244214778e1f3595d73";
