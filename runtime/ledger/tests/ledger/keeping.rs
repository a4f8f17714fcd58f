//! The ledger in a store and back.

use std::sync::Arc;

use ledger::{
    Check, Id, MICRO, Record, keep,
    keep::KeepError,
    op::Action,
    store::{Batch, Memory, Store, Table},
};

use crate::support::{Town, key, pay};

fn kept(town: &Town) -> Memory {
    let store = Memory::new(town.network().as_bytes());
    let mut batch = Batch::new();
    keep::put_founding(&mut batch, town.ledger.network().founding()).unwrap();
    town.ledger.records().for_each(|record| keep::put_record(&mut batch, &record).unwrap());
    store.commit(batch).unwrap();
    store
}

fn busy_town() -> Town {
    let mut town = Town::new(4, 3);
    for (from, to) in [(1, 2), (1, 3), (2, 3)] {
        town.act(&key(from), pay(&key(to), MICRO));
    }
    town.act(&key(3), Action::Noop);
    town
}

#[test]
fn what_was_kept_comes_back() {
    let town = busy_town();
    let store = kept(&town);
    let network = Arc::new(keep::network(&store).unwrap());
    assert_eq!(network.id(), town.ledger.network().id());
    let again = keep::ledger(&store, network, Check::Nothing).unwrap();
    assert_eq!(again.root(), town.ledger.root());
    assert_eq!(keep::verify(&store).unwrap().totals(), town.ledger.totals());
}

#[test]
fn the_first_broken_record_is_named() {
    let town = busy_town();
    let record = town.ledger.records().next().unwrap();
    let Record::Op(op) = &record else { unreachable!("ops come first") };
    let store = kept(&town);
    let mut forged = op.value.clone();
    forged.op.balance_after += 1;
    let forged = Record::op(town.ledger.network(), forged, op.certificate.clone());
    let mut batch = Batch::new();
    keep::put_record(&mut batch, &forged).unwrap();
    store.commit(batch).unwrap();
    let error = keep::verify(&store).unwrap_err();
    assert!(matches!(error, KeepError::Refused { id, .. } if id == forged.id()), "{error}");
}

#[test]
fn changed_bytes_are_found_by_their_key() {
    let town = busy_town();
    let store = kept(&town);
    let bytes = town.ledger.records().next().unwrap().encode();
    let mut batch = Batch::new();
    batch.put(Table::Records, Id::ZERO.as_bytes().to_vec(), bytes).unwrap();
    store.commit(batch).unwrap();
    assert!(matches!(keep::verify(&store), Err(KeepError::Key { .. })));
}

#[test]
fn an_owner_keeps_one_operation_a_seq() {
    let town = Town::new(1, 2);
    let store = Memory::new(town.network().as_bytes());
    let (one, other) = (town.signed(&key(1), pay(&key(2), 1)), town.signed(&key(1), pay(&key(2), 2)));
    let put = |op| {
        let mut batch = Batch::new();
        keep::put_own(&mut batch, op).unwrap();
        store.commit(batch)
    };
    put(&one).unwrap();
    put(&one).unwrap();
    put(&other).unwrap_err();
    assert_eq!(keep::own(&store, &key(1).account(), 0).unwrap(), Some(one));
}
