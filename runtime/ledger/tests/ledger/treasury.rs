//! Evidence of what the treasury owes: what it must show, and what it must not be able to show.

use ledger::{
    DraftError, Evidence, Lacking, MICRO, Record, Roll, Rule, justify,
    op::{Action, LockKind, Out, Reason, SignedOp},
    resolve::Resolve,
};

use crate::{
    attacks::reward,
    support::{Town, key, lock, pay, resolve, treasury},
};

/// `key(2)` pays `key(3)` 4 credits, a checkpoint before and one right after, and one after the hour.
struct Earned {
    town: Town,
    earned: Record,
    closed: Vec<Record>,
}

fn earned(before: impl FnOnce(&mut Town)) -> Earned {
    let mut town = Town::new(1, 3);
    before(&mut town);
    let mut closed = vec![Record::Checkpoint(town.close_epoch())];
    let escrow = town.act(&key(2), lock(LockKind::TaskEscrow, 4 * MICRO, town.now + 5));
    let decision =
        Resolve { payouts: vec![reward(&key(3), 4 * MICRO)], ..resolve(&key(2), escrow.id(), town.now) };
    let earned = town.decide(decision);
    closed.push(Record::Checkpoint(town.close_epoch()));
    town.now += 59;
    closed.extend((0..2).map(|_| Record::Checkpoint(town.close_epoch())));
    // What was earned runs out two epochs after its hour.
    town.now += 1;
    Earned { town, earned, closed }
}

impl Earned {
    fn out(&self, reason: Reason, to: u8, amount_ucredits: u64) -> Vec<Out> {
        vec![Out { to: key(to).account(), amount_ucredits, reason, reference: self.earned.id() }]
    }

    fn bonus(&self) -> Result<(SignedOp, Evidence), DraftError> {
        let outs = self.out(Reason::Bonus, 3, 36 * MICRO);
        let (op, shown) = self.town.ledger.draft_treasury(outs, self.town.now, &self.town.rolls)?;
        Ok((op.sign(&self.town.network(), &treasury()), shown))
    }

    /// What the treasury's key can sign, due or not.
    fn forced(&self, outs: Vec<Out>) -> SignedOp {
        let mut op = self.town.ledger.draft(&treasury().account(), Action::Noop, self.town.now).unwrap();
        op.balance_after -= outs.iter().map(|out| out.amount_ucredits).sum::<u64>();
        op.action = Action::Transfer { outs };
        op.sign(&self.town.network(), &treasury())
    }

    /// A fresh witness's word.
    fn says(&mut self, op: &SignedOp, shown: &Evidence) -> Result<(), Rule> {
        self.town.witnesses = vec![ledger::witness::Witness::new(crate::support::witness_key(0), [])];
        self.town.ask_treasury(op, shown).remove(0).map(drop)
    }
}

#[test]
fn what_is_not_collected_is_not_due() {
    let mut case = earned(|_| {});
    let lacking = Lacking::Collected { account: key(3).account() };
    assert_eq!(case.bonus().unwrap_err(), DraftError::Lacking(lacking));
    case.town.act(&key(3), Action::Noop);
    let (op, shown) = case.bonus().unwrap();
    assert_eq!(case.says(&op, &Evidence::default()), Err(Rule::TreasuryJustified));
    let more = case.forced(case.out(Reason::Bonus, 3, 36 * MICRO + 1));
    assert_eq!(case.says(&more, &shown), Err(Rule::TreasuryJustified));
    let other = case.forced(case.out(Reason::Bonus, 2, 36 * MICRO));
    assert_eq!(case.says(&other, &shown), Err(Rule::TreasuryJustified));
    assert_eq!(case.says(&op, &shown), Ok(()));
    case.town.rolls.clear();
    let (account, epoch) = (key(2).account().min(key(3).account()), 1_061);
    assert_eq!(case.bonus().unwrap_err(), DraftError::Lacking(Lacking::Account { account, epoch }));
}

/// No bit of it can be another, but those of the owner's signature, which the certificate stands for.
#[test]
fn no_bit_of_evidence_is_loose() {
    let mut case = earned(|_| {});
    let collected = case.town.act(&key(3), Action::Noop);
    let (op, shown) = case.bonus().unwrap();
    let bytes = shown.encode();
    let network = case.town.ledger.network().clone();
    assert_eq!(Evidence::decode(&bytes, &network).as_ref(), Ok(&shown));
    for end in 0..bytes.len() {
        Evidence::decode(&bytes[..end], &network).unwrap_err();
    }
    let Record::Op(collected) = &collected else { unreachable!("made as one") };
    let signed = collected.value.encode();
    let at = bytes.windows(signed.len()).position(|window| window == signed).unwrap() + signed.len();
    for byte in (0..bytes.len()).step_by(3) {
        let mut changed = bytes.clone();
        changed[byte] ^= 1 << (byte % 8);
        let Ok(changed) = Evidence::decode(&changed, &network) else { continue };
        let loose = (at - 64..at).contains(&byte);
        let said = case.says(&op, &changed);
        assert_eq!(said.is_ok(), loose, "byte {byte} of {}: {said:?}", bytes.len());
    }
}

/// Each of these checkpoints has the same root, and the leaves hold under it.
#[test]
fn the_checkpoint_is_the_first_after_the_hour() {
    let mut case = earned(|_| {});
    case.town.act(&key(3), Action::Noop);
    let (op, shown) = case.bonus().unwrap();
    let bytes = shown.encode();
    let network = case.town.ledger.network().clone();
    // Certificate, count, and the checkpoints from this one back to that one.
    let run = |from: usize, to: usize| {
        let parts = case.closed.iter().map(|record| record.encode()[1..].to_vec());
        let parts: Vec<Vec<u8>> = parts.collect();
        let chain: Vec<&[u8]> = (to..=from).rev().map(|at| &parts[at][..CHECKPOINT_BYTES]).collect();
        [&parts[from][CHECKPOINT_BYTES..], &[chain.len() as u8], &chain.concat()].concat()
    };
    let good = run(2, 0);
    let at = bytes.windows(good.len()).position(|window| window == good).unwrap();
    let runs = [(2, 0), (3, 0), (1, 0), (2, 1), (0, 0)].map(|(from, to)| run(from, to));
    for (number, run) in runs.into_iter().enumerate() {
        let changed = [&bytes[..at], &run, &bytes[at + good.len()..]].concat();
        let changed = Evidence::decode(&changed, &network).unwrap();
        let wanted = if number == 0 { Ok(()) } else { Err(Rule::TreasuryJustified) };
        assert_eq!(case.says(&op, &changed), wanted, "chain {number}");
    }
}

#[test]
fn a_relation_counts_from_before_the_checkpoint_on() {
    let related = |case: &mut Earned| {
        case.town.act(&key(2), pay(&key(3), 1));
        case.town.act(&key(3), Action::Noop);
    };
    let due = |case: &Earned| {
        let (town, id) = (&case.town, case.earned.id());
        justify::bonus(&town.ledger, &town.rolls, &id, &key(3).account(), town.now)
    };
    let mut after = earned(|_| {});
    related(&mut after);
    assert_eq!(after.town.ledger.account(&key(3).account()).unwrap().ancestor, Some(key(2).account()));
    assert_eq!(due(&after), Some(36 * MICRO));
    let (op, shown) = after.bonus().unwrap();
    assert_eq!(after.says(&op, &shown), Ok(()));
    let mut before = earned(|town| {
        town.act(&key(2), pay(&key(3), 1));
        town.act(&key(3), Action::Noop);
    });
    before.town.act(&key(3), Action::Noop);
    assert_eq!(due(&before), None);
    let refused = before.bonus().unwrap_err();
    assert!(matches!(refused, DraftError::Refusal(refusal) if refusal.rule == Rule::TreasuryJustified));
    // What shows another resolve shows nothing of this one.
    let outs = before.out(Reason::Bonus, 3, 36 * MICRO);
    let op = before.forced(outs);
    assert_eq!(before.says(&op, &shown), Err(Rule::TreasuryJustified));
}

/// A referrer that never did anything has no leaf.
#[test]
fn who_has_no_account_is_shown_to_have_none() {
    for referrer in [70, 71, 72, 73, 74] {
        let mut case = earned(|town| {
            town.act(&key(3), Action::Open { referrer: Some(key(referrer).account()), site: None });
        });
        case.town.act(&key(3), Action::Noop);
        let outs = case.out(Reason::Referral, referrer, MICRO * 4 / 10);
        let (op, shown) = case.town.ledger.draft_treasury(outs, case.town.now, &case.town.rolls).unwrap();
        assert_eq!(case.says(&op.sign(&case.town.network(), &treasury()), &shown), Ok(()));
    }
}

#[test]
fn rolls_survive_their_bytes_and_their_parts() {
    let mut case = earned(|_| {});
    case.town.act(&key(3), Action::Noop);
    for roll in &case.town.rolls {
        let bytes = roll.encode();
        assert_eq!(Roll::decode(&bytes).as_ref(), Ok(roll));
        for end in 0..bytes.len() {
            Roll::decode(&bytes[..end]).unwrap_err();
        }
    }
    let whole = case.bonus().unwrap();
    case.town.rolls = case.town.rolls.into_iter().flat_map(|roll| roll.parts(1)).collect();
    assert!(case.town.rolls.iter().all(|roll| !roll.is_empty()));
    assert_eq!(case.bonus().unwrap(), whole);
    let stale = case.town.rolls[0].checkpoint();
    assert_eq!(case.town.ledger.roll(stale), None, "the state has gone on");
}

const CHECKPOINT_BYTES: usize = 1 + 8 + 32 + 32 + 8 + 8 + 8;
