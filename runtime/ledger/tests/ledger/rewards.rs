//! What the treasury pays: bonuses, uptime and referrals that follow from certified resolves, once, under the cap.

use identity::{AccountId, SecretKey};
use ledger::{
    DraftError, Id, MICRO, Record, Rule,
    exposure::PAYOUT_LOCK_EPOCHS,
    justify,
    op::{Action, LockKind, Out, Reason},
    price,
    reputation::Outcome,
    resolve::{Judged, Payout, Resolve},
    site::site,
};

use crate::support::{Town, key, lock, resolve, treasury};

/// A worker that is paid 4 credits by `key(1)`, registered as asked, and the resolve.
fn paid(referrer: Option<AccountId>, label: Option<&str>) -> (Town, SecretKey, Id) {
    let mut town = Town::new(1, 3);
    let worker = key(60);
    let opened = Action::Open { referrer, site: label.map(site) };
    town.act(&worker, opened);
    let escrow = town.act(&key(1), lock(LockKind::TaskEscrow, 4 * MICRO, town.now + 5));
    let decision = Resolve {
        payouts: vec![Payout { to: worker.account(), amount_ucredits: 4 * MICRO, reason: Reason::Reward }],
        judged: vec![Judged { worker: worker.account(), task_type: 0, outcome: Outcome::Valid }],
        ..resolve(&key(1), escrow.id(), town.now)
    };
    let record = town.decide(decision);
    (town, worker, record.id())
}

fn out(reason: Reason, reference: Id, to: &AccountId, amount_ucredits: u64) -> Out {
    Out { to: *to, amount_ucredits, reason, reference }
}

/// What the witness says to a payment of the treasury.
fn offer(town: &mut Town, outs: Vec<Out>) -> Result<Record, Rule> {
    let drafted = town.ledger.draft_treasury(outs, town.now, &town.rolls);
    let (op, shown) = drafted.map_err(|error| match error {
        DraftError::Refusal(refusal) => refusal.rule,
        DraftError::Lacking(_) => Rule::TreasuryJustified,
    })?;
    let op = op.sign(&town.network(), &treasury());
    let vote = town.ask_treasury(&op, &shown).remove(0)?;
    let record = town.certify(op, &[vote]);
    town.merge(&record);
    Ok(record)
}

#[test]
fn a_bonus_is_paid_once_after_the_hour_and_to_the_formula() {
    let (mut town, worker, id) = paid(None, None);
    let bonus = |amount| vec![out(Reason::Bonus, id, &worker.account(), amount)];
    assert_eq!(
        offer(&mut town, bonus(36 * MICRO)),
        Err(Rule::TreasuryJustified),
        "it can still be forfeited"
    );
    town.ripen(&[&worker]);
    assert_eq!(offer(&mut town, bonus(36 * MICRO + 1)), Err(Rule::TreasuryJustified));
    let other = vec![out(Reason::Bonus, id, &key(2).account(), 36 * MICRO)];
    assert_eq!(offer(&mut town, other), Err(Rule::TreasuryJustified));
    offer(&mut town, bonus(36 * MICRO)).unwrap();
    assert_eq!(offer(&mut town, bonus(36 * MICRO)), Err(Rule::TreasuryOnce));
    assert_eq!(town.ledger.balance(&worker.account()).pending, 36 * MICRO);
    town.ledger.check_refold().unwrap();
}

#[test]
fn a_forfeited_reward_earns_no_bonus() {
    let (mut town, worker, id) = paid(None, None);
    let forfeit = Resolve {
        slash_ucredits: 4 * MICRO,
        ..resolve(&worker, ledger::resolve::payout_lock(&id, 0), town.now)
    };
    town.decide(forfeit);
    town.ripen(&[&worker]);
    assert_eq!(justify::bonus(&town.ledger, &town.rolls, &id, &worker.account(), town.now), None);
    assert_eq!(town.ledger.totals().burned, u128::from(4 * MICRO));
}

#[test]
fn uptime_needs_a_verified_result_in_an_hour_that_is_over() {
    let (mut town, worker, _) = paid(None, None);
    let hour = town.now / price::EPOCHS_PER_HOUR;
    let uptime =
        |hour| vec![out(Reason::Uptime, justify::uptime_reference(hour), &worker.account(), MICRO / 10)];
    assert_eq!(offer(&mut town, uptime(hour)), Err(Rule::TreasuryJustified), "the hour is not over");
    town.now += price::EPOCHS_PER_HOUR;
    assert_eq!(offer(&mut town, uptime(hour - 1)), Err(Rule::TreasuryJustified), "no result in that hour");
    offer(&mut town, uptime(hour)).unwrap();
    assert_eq!(offer(&mut town, uptime(hour)), Err(Rule::TreasuryOnce));
}

#[test]
fn a_referrer_earns_a_tenth_for_thirty_days_but_not_from_itself() {
    let referrer = key(2).account();
    let due = |town: &Town, id: &Id| justify::referral(&town.ledger, &town.rolls, id, &referrer, town.now);
    let (mut town, worker, id) = paid(Some(referrer), Some("page.example"));
    assert_eq!(due(&town, &id), None, "not before the hour is over");
    town.ripen(&[]);
    assert_eq!(due(&town, &id), None, "not before it is collected");
    town.act(&worker, Action::Noop);
    assert_eq!(due(&town, &id), Some(MICRO * 4 / 10));
    offer(&mut town, vec![out(Reason::Referral, id, &referrer, MICRO * 4 / 10)]).unwrap();

    let (mut town, worker, id) = paid(None, None);
    town.ripen(&[&worker]);
    assert_eq!(due(&town, &id), None, "nobody referred it");

    // The referrer pays its referee's first credits: one purse.
    let mut town = Town::new(1, 3);
    let worker = key(61);
    town.act(&key(2), crate::support::pay(&worker, MICRO));
    town.act(&worker, Action::Open { referrer: Some(referrer), site: None });
    let escrow = town.act(&key(1), lock(LockKind::TaskEscrow, 4 * MICRO, town.now + 5));
    let payouts = vec![Payout { to: worker.account(), amount_ucredits: 4 * MICRO, reason: Reason::Reward }];
    let id = town.decide(Resolve { payouts, ..resolve(&key(1), escrow.id(), town.now) }).id();
    town.ripen(&[&worker]);
    assert_eq!(due(&town, &id), None, "one purse");
}

#[test]
fn the_cap_ends_an_epochs_bonuses() {
    let (mut town, worker, id) = paid(None, None);
    town.ripen(&[&worker]);
    let cap = price::treasury_cap_ucredits(town.ledger.network().treasury_at_genesis());
    assert!(cap < 200 * MICRO, "{cap}");
    // A second escrow whose bonus alone exceeds the cap.
    let escrow = town.act(&key(1), lock(LockKind::TaskEscrow, 30 * MICRO, town.now + 5));
    let payouts = vec![Payout { to: worker.account(), amount_ucredits: 30 * MICRO, reason: Reason::Reward }];
    let big = town.decide(Resolve { payouts, ..resolve(&key(1), escrow.id(), town.now) }).id();
    town.ripen(&[&worker]);
    let bonus = |town: &Town, id: &Id| {
        justify::bonus(&town.ledger, &town.rolls, id, &worker.account(), town.now).unwrap()
    };
    let (small, large) = (bonus(&town, &id), bonus(&town, &big));
    let pay = |id, amount| vec![out(Reason::Bonus, id, &worker.account(), amount)];
    offer(&mut town, pay(id, small)).unwrap();
    assert_eq!(offer(&mut town, pay(big, large)), Err(Rule::TreasuryCap));
}

#[test]
fn a_page_shares_its_reward_and_both_sides_hold_receipts() {
    let mut town = Town::new(4, 1);
    let (visitor, owner) = (key(70), key(71));
    let escrow = town.act(&key(1), lock(LockKind::TaskEscrow, 5 * MICRO, town.now + 5));
    let (visitors, sites) = price::split(5 * MICRO, 400_000).unwrap();
    let payouts = vec![
        Payout { to: visitor.account(), amount_ucredits: visitors, reason: Reason::Reward },
        Payout { to: owner.account(), amount_ucredits: sites, reason: Reason::SiteShare },
    ];
    town.decide(Resolve { payouts, ..resolve(&key(1), escrow.id(), town.now) });
    town.now += PAYOUT_LOCK_EPOCHS + 3;
    town.act(&visitor, Action::Noop);
    town.act(&owner, Action::Noop);
    assert_eq!(town.ledger.balance(&visitor.account()).staked, 3 * MICRO);
    assert_eq!(town.available(&owner), 2 * MICRO, "a site's share is no stake");
    for (who, amount, reason) in [(&visitor, 3, Reason::Reward), (&owner, 2, Reason::SiteShare)] {
        let receipts = town.ledger.receipts(&who.account());
        let bytes = receipts[0].0.encode();
        let (_, payment) = ledger::receipt::Receipt::decode(&bytes, town.ledger.network()).unwrap();
        assert_eq!((payment.to, payment.amount_ucredits), (who.account(), amount * MICRO));
        assert_eq!(payment.reason, reason);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            // Witnesses certify the decision; the authority's signature beside it is not what a receipt rests on.
            let checked = ledger::receipt::Receipt::decode(&changed, town.ledger.network());
            assert!(checked.is_err() || bit < 8 || checked.is_ok_and(|c| c.1 == payment), "bit {bit}");
        }
    }
    // Another network's witnesses did not sign it.
    let (receipt, _) = &town.ledger.receipts(&visitor.account())[0];
    let stranger = Town::new(7, 1);
    assert!(receipt.check(stranger.ledger.network()).is_err());
}
