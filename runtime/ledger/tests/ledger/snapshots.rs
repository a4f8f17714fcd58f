//! Checkpoints, and ledgers that go on from them.

use ledger::{
    Check, Checkpoint, Ledger, MICRO, Record, Rule, SnapshotError,
    op::{Action, LockKind},
};

use crate::support::{Town, key, lock, pay};

#[test]
fn a_pruned_ledger_goes_on_like_the_whole_one() {
    let mut town = Town::new(4, 3);
    town.act(&key(1), pay(&key(2), MICRO));
    town.act(&key(2), lock(LockKind::BaseStake, 100 * MICRO, town.now));
    town.act(&key(3), lock(LockKind::TaskEscrow, 5 * MICRO, town.now + 3));
    town.act(&key(1), pay(&key(50), 7 * MICRO));
    let old: Vec<Record> = town.ledger.records().collect();
    let checkpoint = town.close_epoch();
    let whole = town.ledger.clone();
    town.ledger.prune(&checkpoint).unwrap();
    assert_eq!(town.ledger.records().count(), 1, "the checkpoint alone");
    assert_eq!((town.ledger.root(), town.ledger.totals()), (whole.root(), whole.totals()));
    // What is behind it changes nothing.
    assert_eq!(town.ledger.merge(old, Check::Signatures).added, 0);
    town.now += 5;
    let ran_out = town.expire(&key(3)).unwrap();
    let later = [town.act(&key(50), pay(&key(1), MICRO)), town.act(&key(3), Action::Noop), ran_out];
    let mut whole = whole;
    whole.merge(later, Check::Signatures);
    assert_eq!((town.ledger.root(), town.ledger.totals()), (whole.root(), whole.totals()));
    town.ledger.check_refold().unwrap();
}

#[test]
fn leaves_without_their_checkpoint_are_refused() {
    let mut town = Town::new(4, 2);
    town.act(&key(1), pay(&key(2), MICRO));
    let checkpoint = town.close_epoch();
    let (network, leaves) = (town.ledger.network().clone(), town.ledger.leaves().collect::<Vec<_>>());
    let load =
        |leaves: Vec<Vec<u8>>| Ledger::from_snapshot(network.clone(), &checkpoint, leaves).map(|l| l.root());
    assert_eq!(load(leaves.clone()), Ok(town.ledger.root()));
    assert_eq!(load(leaves[1..].to_vec()), Err(SnapshotError::Root));
    for (leaf, byte) in [(0, 0), (0, 73), (1, 80)] {
        let mut changed = leaves.clone();
        changed[leaf][byte] ^= 1;
        assert_eq!(load(changed), Err(SnapshotError::Root));
    }
    town.act(&key(2), Action::Noop);
    assert_eq!(town.ledger.prune(&checkpoint), Err(SnapshotError::Root), "the state has gone on");
}

#[test]
fn a_witness_signs_one_true_checkpoint_an_epoch() {
    let mut town = Town::new(1, 2);
    let good = town.ledger.draft_checkpoint(town.now);
    let (now, ledger) = (town.now + 1, town.ledger.clone());
    let mut ask = |checkpoint: Checkpoint| {
        town.witnesses[0].consider_checkpoint(&ledger, &checkpoint, now).map(drop).map_err(|r| r.refusal.rule)
    };
    assert_eq!(ask(Checkpoint { compute: 1, ..good }), Err(Rule::RootMatches));
    assert_eq!(ask(Checkpoint { epoch: now, ..good }), Err(Rule::EpochCurrent));
    assert_eq!(ask(good), Ok(()));
    assert_eq!(ask(Checkpoint { compute: 1, ..good }), Err(Rule::OneVotePerEpoch));
    assert_eq!(ask(good), Ok(()), "the same vote again");
}
