use edge_net::{solo::Solo, store::RedbStore};
use ledger::{
    Id, Record,
    op::{Action, LockKind, LockTerms, Policy, Receive},
    store::{Store, Table},
    witness::{Place, Voted},
};
use sha2::{Digest, Sha256};

use super::{World, now};

/// Alice paid Bob twice, and Bob received.
fn traded(test: &str) -> (World, Vec<Record>) {
    let world = World::new(test);
    let mut solo = world.solo();
    let bob = world.bob.account();
    let mut records = vec![solo.pay(&world.alice, &bob, 2_500_000, now()).unwrap()];
    records.push(solo.pay(&world.alice, &bob, 1, now()).unwrap());
    records.extend(solo.receive(&world.bob, now()).unwrap());
    assert_eq!(records.len(), 3);
    (world, records)
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

#[track_caller]
fn breaks(world: &World, store: &std::path::Path, parts: &[&str]) {
    let said = world.on(store, &["ledger", "verify"]).expect(1);
    assert_eq!(said.out, "");
    said.says(parts);
    let said = world.on(store, &["audit", "show", "--kind", "store-damaged"]).expect(0);
    assert_eq!(said.out.lines().count(), 1, "the damage is not logged once: {}", said.out);
}

#[test]
fn a_changed_record_is_named_with_the_rule_it_breaks() {
    let (world, records) = traded("wallet_verify_records");
    let verified = world.json("alice", &["ledger", "verify"]);
    assert_eq!((&verified["operations"], &verified["votes"]), (&3.into(), &3.into()));
    let network = world.solo().ledger().network().clone();
    let is = |value: &[u8], n: usize| Record::decode(value, &network).unwrap().id() == records[n].id();

    // A bit of the certificate, under the old key and under the right one.
    let flip = |name: &str, rehash: bool| {
        world.altered(name, |table, key, value| {
            if table == Table::Records && is(value, 1) {
                *value.last_mut().unwrap() ^= 1;
                if rehash {
                    *key = hash(value);
                }
            }
            true
        })
    };
    let id = records[1].id().to_string();
    breaks(&world, &flip("old-key", false), &["old-key", &id, "lies under another key"]);
    breaks(&world, &flip("right-key", true), &["right-key", &id, "breaks a rule: signers-genuine"]);

    // A balance that the owner signs and no witness: the old certificate does not fit.
    let Record::Op(good) = &records[0] else { panic!("an operation") };
    let mut op = good.value.op.clone();
    op.balance_after += 1_000_000;
    let op = op.sign(network.id(), &world.alice.key);
    let forged = Record::op(&network, op, good.certificate.clone());
    let store = world.altered("forged", |table, key, value| {
        if table == Table::Records && is(value, 0) {
            *value = forged.encode();
            *key = hash(value);
        }
        true
    });
    breaks(&world, &store, &[&forged.id().to_string(), "signers-genuine"]);
    // Reading trusts what was stored, and the balance is recomputed all the same: the operation does not count.
    let shown = world.on(&store, &["wallet", "show", "--json"]).expect(0).json();
    assert_eq!(shown["available_ucredits"], 100_000_000);

    let junk = world.altered("junk", |table, _, value| {
        if table == Table::Records && is(value, 2) {
            value.truncate(40);
        }
        true
    });
    breaks(&world, &junk, &["records under "]);
    // Damage that shows when a network is opened is logged too, and only once.
    Solo::open(&junk, &world.operator(), now()).err().expect("damaged");
    let store = RedbStore::open_any(&junk).unwrap();
    assert_eq!(store.len(Table::Audit), Ok(1));
}

#[test]
fn votes_and_records_must_agree() {
    let (world, records) = traded("wallet_verify_votes");
    let network = world.solo().ledger().network().clone();
    let place = Place::Op(world.alice.account(), 1).encode();
    let id = records[1].id().to_string();
    let other = Id::hash("another", &[]);
    let conflict = world.altered("conflict", |table, key, value| {
        if table == Table::Votes && *key == place {
            *value = Voted { value: other, body: Vec::new() }.encode();
        }
        true
    });
    breaks(&world, &conflict, &[&id, &other.to_string(), "one-vote-per-sequence"]);
    let no_vote = world.altered("no-vote", |table, key, _| table != Table::Votes || *key != place);
    breaks(&world, &no_vote, &[&id, "the vote for it is missing"]);
    // Without its last record a chain is a good chain, and the witness still knows that it signed.
    let no_record = world.altered("no-record", |table, _, value| {
        table != Table::Records || Record::decode(value, &network).unwrap().id() != records[2].id()
    });
    breaks(&world, &no_record, &[&records[2].id().to_string(), "its record is missing"]);
    let own = [&world.alice.account().to_bytes()[..], &1u64.to_be_bytes()].concat();
    let first = world.solo().store().get(Table::Own, &[&own[..32], &0u64.to_be_bytes()].concat()).unwrap();
    let other_own = world.altered("other-own", |table, key, value| {
        if table == Table::Own && *key == own {
            *value = first.clone().unwrap();
        }
        true
    });
    breaks(&world, &other_own, &[&id, "its owner signed"]);
    // A vote that does not read, and a vote under the key of another place.
    let junk = world.altered("junk-vote", |table, key, value| {
        if table == Table::Votes && *key == place {
            value.truncate(3);
        }
        true
    });
    breaks(&world, &junk, &["votes under "]);
}

/// That a lock ran out is a record and a vote like any other.
#[test]
fn what_ran_out_and_its_vote_must_agree() {
    let world = World::new("wallet_verify_expiry");
    let mut solo = world.solo();
    let policy = Policy { authority: world.operator().account(), redundancy: 1, priority_halves: 2 };
    let past = now() - 20;
    let escrow = LockTerms {
        kind: LockKind::TaskEscrow,
        task: Id::ZERO,
        amount_ucredits: 7,
        policy,
        expiry_epoch: past + 1,
    };
    let lock = solo.act(&world.alice, Action::Lock(escrow), past).unwrap().id();
    // In its grace it can still be decided: nothing is ready.
    assert_eq!(solo.receive(&world.alice, past + 3).unwrap(), []);
    let taken = solo.receive(&world.alice, past + 4).unwrap();
    let Record::Op(op) = &taken[0] else { panic!("an operation") };
    assert_eq!(op.value.op.receives, [Receive::expired(lock)]);
    let network = solo.ledger().network().clone();
    let ran_out = solo.ledger().records().find(|record| matches!(record, Record::Expiry(_))).unwrap().id();
    drop(solo);
    let verified = world.json("alice", &["ledger", "verify"]);
    assert_eq!((&verified["expiries"], &verified["votes"]), (&1.into(), &3.into()));
    let place = Place::Lock(lock).encode();
    let no_vote = world.altered("no-vote", |table, key, _| table != Table::Votes || *key != place);
    breaks(&world, &no_vote, &[&ran_out.to_string(), "the vote for it is missing"]);
    let other = Id::hash("another", &[]);
    let conflict = world.altered("conflict", |table, key, value| {
        if table == Table::Votes && *key == place {
            *value = Voted { value: other, body: Vec::new() }.encode();
        }
        true
    });
    breaks(&world, &conflict, &[&ran_out.to_string(), &other.to_string()]);
    // Nothing says that the lock ran out, so nothing was taken back.
    let no_record = world.altered("no-record", |table, _, value| {
        table != Table::Records || Record::decode(value, &network).unwrap().id() != ran_out
    });
    breaks(&world, &no_record, &["its record is missing"]);
}

#[test]
fn another_founding_is_refused() {
    let (world, _) = traded("wallet_verify_founding");
    let store = world.altered("founding", |table, key, value| {
        if table == Table::Meta && key == b"founding" {
            let at = value.windows(4).position(|w| w == b"home").unwrap();
            value[at..at + 4].copy_from_slice(b"fake");
        }
        true
    });
    for command in [&["ledger", "verify"][..], &["wallet", "show"], &["wallet", "receive"]] {
        world.on(&store, command).expect(1).says(&["the store belongs to network"]);
    }
}

#[test]
fn a_file_that_is_no_store_stays_as_it_is() {
    let world = World::new("wallet_verify_file");
    for command in
        [&["ledger", "verify"][..], &["ledger", "show"], &["audit", "verify"], &["wallet", "history"]]
    {
        world.on(&world.path("alice"), command).expect(1).says(&["alice"]);
        world.on(&world.path("nowhere"), command).expect(1).says(&["nowhere", "there is no store"]);
    }
    assert!(!world.path("nowhere").exists());
    let rows = world.lines("alice", &["ledger", "show"]);
    assert_eq!(rows.len(), 3, "the treasury, the operator and Alice");
    let curve = world.json("alice", &["ledger", "curve"]);
    let at = |hours: u64| {
        curve.as_array().unwrap().iter().find(|row| row["network_compute_hours"] == hours).unwrap().clone()
    };
    assert_eq!(
        (&at(0)["multiplier"], &at(0)["multiplier_ppb"]),
        (&"10.000000000".into(), &10_000_000_000u64.into())
    );
    assert!(at(1_000_000)["multiplier"].as_str().unwrap().starts_with("4.31"));
    assert!(world.ask("alice", &["ledger", "curve"]).expect(0).out.contains("network compute, CPU-hours"));
}
