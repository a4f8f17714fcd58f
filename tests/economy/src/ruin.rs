//! More bad witnesses than may be: what must still hold. Nothing is made or lost, every order of arrival gives the same,
//! the guilty are named and nobody else, and what honest accounts did with what they received stays done.

use std::collections::BTreeSet;

use identity::AccountId;
use ledger::{
    Check, Fault, Ledger, Record, Rule,
    op::{Action, Op, Receive, SignedOp},
    resolve::{Resolve, payout_lock},
    witness::Witness,
};

use crate::{
    Outcome, ensure,
    reference::{Deed, LOCK, Name, PAYOUT, Sort, Who},
    world::{CREDIT, WITNESS_STAKE, World, broken, garbage, key},
};

/// All of it, in worlds of this seed.
///
/// # Errors
/// The first check that does not hold.
pub fn ruin(seed: u64) -> Outcome {
    for witnesses in [4, 7] {
        conflict(&mut Ruin::new(seed, witnesses))?;
        decisions(&mut Ruin::new(seed + 1, witnesses))?;
        joins(&Ruin::new(seed + 2, witnesses))?;
    }
    spoiled(&mut Ruin::new(seed + 3, 1))
}

/// A world in which f + 1 witnesses are bad.
struct Ruin {
    world: World,
    bad: Vec<usize>,
    one: Vec<usize>,
    other: Vec<usize>,
    everyone: Vec<usize>,
}

impl Ruin {
    fn new(seed: u64, witnesses: u16) -> Self {
        let world = World::new(seed, witnesses);
        let n = world.nodes.len();
        let f = (n - 1) / 3;
        let bad: Vec<usize> = (n - f - 1..n).collect();
        let honest: Vec<usize> = (0..n - f - 1).collect();
        let (one, other) = honest.split_at(honest.len() / 2);
        let with_bad = |half: &[usize]| half.iter().chain(&bad).copied().collect();
        let (one, other) = (with_bad(one), with_bad(other));
        Ruin { one, other, bad, everyone: (0..n).collect(), world }
    }

    fn account(&self, who: Who) -> AccountId {
        self.world.accounts[usize::from(who)]
    }

    fn ledger(&self, records: &[&Record]) -> Ledger {
        let mut ledger = Ledger::new(self.world.network.clone());
        ledger.merge(records.iter().map(|r| (*r).clone()), Check::Signatures);
        ledger
    }

    fn sign(&self, who: Who, op: Op) -> SignedOp {
        op.sign(&self.world.id(), &self.world.keys[usize::from(who)])
    }

    fn certify(&self, op: SignedOp, signers: &[usize]) -> Record {
        let certificate = self.world.forge(op.op.id(&self.world.id()), signers, op.op.epoch);
        Record::op(&self.world.network, op, certificate)
    }

    /// The account's next operation on a ledger of these records.
    fn act(&self, who: Who, deed: &Deed, signers: &[usize], behind: &[&Record]) -> Record {
        let action = self.world.action(who, deed, None).expect("an action");
        let op = self.ledger(behind).draft(&self.account(who), action, self.world.now).expect("allowed");
        self.certify(self.sign(who, op), signers)
    }

    fn decide(&self, resolve: Resolve, signers: &[usize]) -> Record {
        let signed = resolve.sign(&self.world.id(), &self.world.authority);
        let certificate =
            self.world.forge(signed.resolve.id(&self.world.id()), signers, signed.resolve.epoch);
        Record::resolve(&self.world.network, signed, certificate)
    }

    /// The same from every order of arrival, and everything that must hold of it.
    fn any_order(&mut self, records: &[Record]) -> Outcome<Ledger> {
        let mut first: Option<Ledger> = None;
        for round in 0..8 {
            let mut records = records.to_vec();
            match round {
                0 => {}
                1 => records.reverse(),
                _ => self.world.rng.shuffle(&mut records),
            }
            let mut ledger = Ledger::new(self.world.network.clone());
            for record in records {
                let check = if round == 2 { Check::Signatures } else { Check::Makers };
                ledger.merge([record], check);
                broken(ledger.check_invariants())?;
            }
            let Some(first) = &first else {
                first = Some(ledger);
                continue;
            };
            ensure("I6: any order, one root", ledger.root() == first.root(), || {
                format!("order {round}: {:?} and {:?}", ledger.totals(), first.totals())
            })?;
            let named = |ledger: &Ledger| ledger.faults().map(|f| (*f.0, f.1.clone())).collect::<Vec<_>>();
            ensure("I6: any order, one root", named(&ledger) == named(first), || "other faults".into())?;
            ensure("I6: any order, one root", ledger.totals() == first.totals(), || "other totals".into())?;
        }
        let ledger = first.expect("one order at least");
        broken(ledger.check_refold())?;
        Ok(ledger)
    }

    /// I10: the bad witnesses are named, all of them and nobody else.
    fn named(&self, ledger: &Ledger) -> Outcome {
        let both = ledger.faults().filter(|f| matches!(f.1, Fault::SignedBoth(..)));
        let named: BTreeSet<AccountId> = both.map(|f| *f.0).collect();
        let bad: BTreeSet<AccountId> = self.bad.iter().map(|i| key(1_000 + *i as u16).account()).collect();
        ensure("I10: the guilty are named", named == bad, || format!("{named:?}, bad are {bad:?}"))
    }
}

/// One payment twice, received twice and spent.
fn conflict(ruin: &mut Ruin) -> Outcome {
    let (pay, all) = (|to, credits: u64| Deed::Pay(vec![(to, credits * CREDIT)]), ruin.everyone.clone());
    let a = ruin.act(8, &pay(2, 1_900), &ruin.one, &[]);
    let b = ruin.act(8, &pay(3, 1_900), &ruin.other, &[]);
    let after = ruin.act(8, &pay(1, 50), &all, &[&a]);
    let spent = ruin.act(2, &pay(4, 6_000), &all, &[&a]);
    let further = ruin.act(4, &Deed::Nothing, &all, &[&a, &spent]);
    let received = ruin.act(3, &Deed::Nothing, &all, &[&b]);
    let records = [a, b, after.clone(), spent, further, received];
    let ledger = ruin.any_order(&records)?;
    ruin.named(&ledger)?;
    let villain = ruin.account(8);
    let frozen = ledger.is_frozen(&villain) && ledger.balance(&villain).available == 0;
    ensure("F5: both are void", frozen, || format!("{:?}", ledger.balance(&villain)))?;
    let kept = ledger.balance(&ruin.account(4)).available;
    ensure("F5: what was spent stays", kept == (5_004 + 6_000) * CREDIT, || format!("{kept}"))?;
    // 3,800 were received out of 2,000; the guilty lose their stakes.
    let seized = ruin.bad.len() as u64 * WITNESS_STAKE;
    let debt = u128::from(1_800 * CREDIT - seized);
    let totals = ledger.totals();
    ensure("F5: the excess is booked", totals.bad_debt == debt && totals.burned == 0, || {
        format!("{totals:?}, bad debt should be {debt}")
    })?;
    // Nobody honest signs what would receive more of it.
    let mut op = ledger.draft(&ruin.account(1), Action::Noop, ruin.world.now).expect("nothing is allowed");
    op.receives = vec![Receive { source: after.id(), index: 0 }];
    op.balance_after += 50 * CREDIT;
    let op = ruin.sign(1, op);
    let answer = Witness::new(key(1_000), []).consider_op(&ledger, &op, ruin.world.now);
    let refused =
        answer.as_ref().is_err_and(|r| r.refusal.rule == Rule::ReceiveUnvoided || !ruin.world.strict);
    ensure("attacks fail", refused, || format!("receive-unvoided: {answer:?}"))
}

/// Locks decided twice, after the first decision was made use of.
fn decisions(ruin: &mut Ruin) -> Outcome {
    let all = ruin.everyone.clone();
    let (one, other) = (ruin.one.clone(), ruin.other.clone());
    // A stake that came back, and burned.
    let claim = ruin.act(1, &Deed::Claim { amount: 60 * CREDIT, until: ruin.world.now + 5 }, &all, &[]);
    ruin.world.name(&claim, [(claim.id(), LOCK)]);
    let owner = ruin.account(1);
    let of = |world: &World, lock, payouts: &[_], refund, slash| Resolve {
        owner,
        ..world.resolve(Name(lock, LOCK), payouts, refund, slash)
    };
    let back = ruin.decide(of(&ruin.world, 0, &[], 60 * CREDIT, 0), &one);
    let burned = ruin.decide(of(&ruin.world, 0, &[], 0, 60 * CREDIT), &other);
    let again =
        ruin.act(1, &Deed::Claim { amount: 140 * CREDIT, until: ruin.world.now + 5 }, &all, &[&claim, &back]);
    // Rewards that were paid, of which one was forfeited and one received as stake; and the whole price back.
    let escrow = Deed::Escrow { amount: 90 * CREDIT, until: ruin.world.now + 5, halves: 2 };
    let escrow = ruin.act(1, &escrow, &all, &[&claim, &back, &again]);
    ruin.world.name(&escrow, [(escrow.id(), LOCK)]);
    let rewards = [(6, 50 * CREDIT, Sort::Reward), (7, 40 * CREDIT, Sort::Reward)];
    let paid = ruin.decide(of(&ruin.world, 1, &rewards, 0, 0), &one);
    let returned = ruin.decide(of(&ruin.world, 1, &[], 90 * CREDIT, 0), &other);
    ruin.world.name(&paid, [(payout_lock(&paid.id(), 0), PAYOUT), (payout_lock(&paid.id(), 1), PAYOUT + 1)]);
    let forfeit = Resolve {
        owner: ruin.account(6),
        ..ruin.world.resolve(Name(2, PAYOUT), &[], 10 * CREDIT, 40 * CREDIT)
    };
    let forfeit = ruin.decide(forfeit, &all);
    let behind = [&claim, &back, &again, &escrow, &paid, &forfeit];
    let consoled = ruin.act(6, &Deed::Nothing, &all, &behind);
    ruin.world.pass(63);
    let ran_out = ruin.ledger(&behind).draft_expiry(&ruin.account(7), ruin.world.now).expect("a payout");
    let certificate = ruin.world.forge(ran_out.id(&ruin.world.id()), &all, ran_out.epoch);
    let ran_out = Record::expiry(&ruin.world.network, ran_out, certificate);
    let behind = [&behind[..], &[&ran_out]].concat();
    let earned = ruin.act(7, &Deed::Nothing, &all, &behind);
    let records = [claim, back, burned, again, escrow, paid, returned, forfeit, consoled, ran_out, earned];
    let ledger = ruin.any_order(&records)?;
    ruin.named(&ledger)?;
    // Chains of those who only received go on.
    for (who, seq) in [(1, 3), (6, 1), (7, 1)] {
        let next = ledger.account(&ruin.account(who)).map_or(0, |a| a.next_seq);
        ensure("F5: what was received stays", next == seq, || {
            format!("account {who} stands at {next}, not {seq}: {:?}", ledger.stuck())
        })?;
    }
    let staked = [6, 7].map(|who| ledger.balance(&ruin.account(who)).staked);
    ensure("F5: what was received stays", staked == [10 * CREDIT, 40 * CREDIT], || format!("{staked:?}"))?;
    // Received without cover: 60, 10 and 40 credits.
    let debt = u128::from((110 * CREDIT).saturating_sub(ruin.bad.len() as u64 * WITNESS_STAKE));
    let totals = ledger.totals();
    ensure("F5: the excess is booked", totals.bad_debt == debt, || format!("{totals:?}, should be {debt}"))
}

/// One value with two certificates has the signers of both, whichever came first.
fn joins(ruin: &Ruin) -> Outcome {
    let one = ruin.act(1, &Deed::Nothing, &ruin.one, &[]);
    let Record::Op(held) = &one else { return Ok(()) };
    let other = ruin.certify(held.value.clone(), &ruin.other);
    let (a, b) = (ruin.ledger(&[&one, &other]), ruin.ledger(&[&other, &one]));
    let bytes = |ledger: &Ledger| ledger.records().map(|r| r.encode()).collect::<Vec<_>>();
    ensure("I6: certificates join", bytes(&a) == bytes(&b), || "the order of arrival shows".into())?;
    let signers = a.records().map(|record| match record {
        Record::Op(r) => r.certificate.signers().count(),
        _ => 0,
    });
    let signers = signers.max().unwrap_or(0);
    ensure("I6: certificates join", signers == ruin.everyone.len(), || format!("{signers} signers"))
}

/// Records whose owner's or authority's signature somebody spoiled on the way, before or after the good one; and one that
/// the witnesses certified without the owner.
fn spoiled(ruin: &mut Ruin) -> Outcome {
    let all = ruin.everyone.clone();
    let first = ruin.act(1, &Deed::Pay(vec![(2, CREDIT)]), &all, &[]);
    let escrow = Deed::Escrow { amount: CREDIT, until: ruin.world.now + 5, halves: 2 };
    let escrow = ruin.act(1, &escrow, &all, &[&first]);
    ruin.world.name(&escrow, [(escrow.id(), LOCK)]);
    let owner = ruin.account(1);
    let refund = Resolve { owner, ..ruin.world.resolve(Name(0, LOCK), &[], CREDIT, 0) };
    let refund = ruin.decide(refund, &all);
    let mut records = vec![first, escrow, refund];
    let bad: Vec<Record> = records.iter().map(|r| spoil(&ruin.world, r)).collect();
    let wanted = ruin.ledger(&records.iter().collect::<Vec<_>>()).root();
    records.extend(bad);
    // Nobody but the witnesses wants this.
    let theft = ruin.world.action(3, &Deed::Pay(vec![(4, CREDIT)]), None).expect("an action");
    let theft = ruin.ledger(&[]).draft(&ruin.account(3), theft, ruin.world.now).expect("allowed");
    let theft = ruin.certify(SignedOp { op: theft, signature: garbage() }, &all);
    records.push(theft);
    let ledger = ruin.any_order(&records)?;
    ensure("signatures of others do not count", ledger.root() == wanted, || format!("{:?}", ledger.stuck()))
}

/// The same value under the same certificate, with another signature of its maker.
fn spoil(world: &World, record: &Record) -> Record {
    match record {
        Record::Op(r) => {
            let value = SignedOp { signature: garbage(), ..r.value.clone() };
            Record::op(&world.network, value, r.certificate.clone())
        }
        Record::Resolve(r) => {
            let mut value = r.value.clone();
            value.signature = garbage();
            Record::resolve(&world.network, value, r.certificate.clone())
        }
        other => other.clone(),
    }
}
