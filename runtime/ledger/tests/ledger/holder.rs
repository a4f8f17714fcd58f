//! An owner without a ledger drafts what the ledger would, and is refused what it would be.

use ledger::{
    Holder, Id, LeafError, MICRO, Rule,
    op::{Action, LockKind, Out, Reason},
    resolve::Payout,
};

use crate::support::{Town, authority, key, lock, pay, resolve, treasury};

const OWNERS: u8 = 4;

/// A linear congruence: one seed, one history.
struct Drawn(u64);

impl Drawn {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn owner(&mut self) -> u8 {
        1 + self.below(OWNERS.into()) as u8
    }

    /// Some cannot be afforded, some have terms that no lock has.
    fn action(&mut self, now: u64) -> Action {
        let amount = self.below(80) * MICRO * if self.below(8) == 0 { 40 } else { 1 };
        let kind = LockKind::ALL[self.below(5) as usize];
        let life = match kind {
            LockKind::Unbond => 1_440,
            LockKind::BaseStake => 0,
            _ => 1 + self.below(30),
        };
        match self.below(8) {
            0 => Action::Noop,
            1 | 2 => pay(&key(self.owner()), amount),
            3 => Action::Open { referrer: None, site: Some(Id::from_bytes([3; 32])) },
            4 => {
                let to = key(self.owner()).account();
                let reason = Reason::ALL[self.below(7) as usize];
                Action::Transfer {
                    outs: vec![Out { to, amount_ucredits: amount, reason, reference: Id::ZERO }],
                }
            }
            5 => {
                let new = key(50);
                let proof = new.sign(b"whether it holds is asked when it is signed for");
                Action::RotateKey { key: new.account(), proof }
            }
            _ => lock(kind, amount, now + life),
        }
    }
}

/// Everyone's next operation, by the ledger and by the leaf.
fn compare(town: &Town, drawn: &mut Drawn, seen: &mut [usize; 2]) {
    let everyone = (1..=OWNERS + 1).map(key).chain([treasury(), authority()]);
    for owner in everyone {
        let account = owner.account();
        let holder = Holder::read(&account, &town.ledger.leaf(&account)).expect("a leaf");
        assert_eq!(holder.balance(), town.ledger.balance(&account));
        let (action, epoch) = (drawn.action(town.now), town.now + drawn.below(3) - 1);
        let by_ledger = town.ledger.draft(&account, action.clone(), epoch);
        let by_action = action.clone();
        let by_leaf = holder.draft(town.ledger.network(), action, epoch);
        assert_eq!(by_leaf, by_ledger);
        let (short, whole) = town.ledger.leaf_within(&account, epoch, 0);
        assert_eq!(whole, short.is_empty());
        let short = Holder::read(&account, &short).expect("a leaf");
        assert_eq!(short.draft(town.ledger.network(), by_action, epoch), by_ledger);
        seen[usize::from(by_leaf.is_ok())] += 1;
        if let Ok(op) = by_leaf {
            assert_eq!(holder.ready(epoch).0, op.receives.len());
        }
    }
}

fn step(town: &mut Town, drawn: &mut Drawn) {
    let owner = key(drawn.owner());
    let action = drawn.action(town.now);
    // The account stays with its key, so that the history goes on.
    if matches!(action, Action::RotateKey { .. }) {
        town.now += drawn.below(20);
        return;
    }
    if town.ledger.draft(&owner.account(), action.clone(), town.now).is_ok() {
        town.act(&owner, action);
    }
    let open = town.ledger.account(&owner.account()).map(|a| a.locks.clone()).unwrap_or_default();
    let escrow = open.iter().find(|(_, held)| {
        held.terms.kind == LockKind::TaskEscrow && !held.ran_out && held.terms.expiry_epoch >= town.now
    });
    if let (Some((id, held)), true) = (escrow, drawn.below(2) == 0) {
        let paid = held.terms.amount_ucredits / 2;
        let to = key(drawn.owner()).account();
        let payouts = match paid {
            0 => Vec::new(),
            _ => vec![Payout { to, amount_ucredits: paid, reason: Reason::Reward }],
        };
        let refund_ucredits = held.terms.amount_ucredits - paid;
        let decided = resolve(&owner, *id, town.now);
        town.decide(ledger::resolve::Resolve { payouts, refund_ucredits, ..decided });
    }
}

#[test]
fn a_leaf_drafts_what_the_ledger_does() {
    let mut seen = [0; 2];
    for seed in 0..6 {
        let (mut town, mut drawn) = (Town::new(4, OWNERS), Drawn(seed));
        for _ in 0..60 {
            step(&mut town, &mut drawn);
            compare(&town, &mut drawn, &mut seen);
        }
    }
    assert!(seen.iter().all(|count| *count > 300), "refused and drafted: {seen:?}");
}

/// A worker's hour of rewards is longer than a frame; what its next operation needs of them is not.
#[test]
fn a_leaf_too_long_is_cut_to_what_is_needed() {
    let mut town = Town::new(1, 2);
    for amount in 1..=200 {
        town.act(&key(2), pay(&key(1), amount));
    }
    let owner = key(1).account();
    let whole = town.ledger.leaf(&owner);
    assert_eq!(town.ledger.leaf_within(&owner, town.now, whole.len()), (whole.clone(), true));
    let (short, is_whole) = town.ledger.leaf_within(&owner, town.now, whole.len() - 1);
    assert!(!is_whole && short.len() < whole.len() / 2, "{} of {}", short.len(), whole.len());
    let short = Holder::read(&owner, &short).expect("a leaf");
    let by_ledger = town.ledger.draft(&owner, Action::Noop, town.now);
    assert_eq!(short.draft(town.ledger.network(), Action::Noop, town.now), by_ledger);
    assert_eq!(short.ready(town.now).0, ledger::op::MAX_RECEIVES);
}

#[test]
fn leaves_that_say_nothing() {
    let town = Town::new(1, 1);
    let (owner, other) = (key(1).account(), key(2).account());
    let leaf = town.ledger.leaf(&owner);
    assert_eq!(Holder::read(&other, &leaf), Err(LeafError::Account { found: owner }));
    for cut in 1..leaf.len() {
        assert!(matches!(Holder::read(&owner, &leaf[..cut]), Err(LeafError::Decode(_))));
    }
    let unknown = Holder::read(&other, &town.ledger.leaf(&other)).expect("nothing is an account too");
    assert_eq!(unknown.account().next_seq, 0);
}

/// The ledger drafts for a frozen account what no witness signs; who has only a leaf is told.
#[test]
fn a_frozen_leaf_drafts_nothing() {
    let mut town = Town::new(4, 2);
    let owner = key(1);
    let ops = [1, 2].map(|amount| town.signed(&owner, pay(&key(2), amount)));
    let fork = ledger::proof::Proof::fork(&town.network(), owner.account(), ops[0].clone(), ops[1].clone());
    town.merge(&ledger::Record::proof(fork.expect("two values for a seq")));
    let holder = Holder::read(&owner.account(), &town.ledger.leaf(&owner.account())).expect("a leaf");
    let refused = holder.draft(town.ledger.network(), Action::Noop, town.now).unwrap_err();
    assert_eq!(refused.rule, Rule::NotFrozen);
}
