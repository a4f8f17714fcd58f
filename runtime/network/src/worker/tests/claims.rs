//! Claims, the stakes behind them, and prekeys, over days.

use super::*;

#[test]
fn stakes_are_locked_claimed_and_replaced() {
    let mut hands = Hands::new();
    let claim = hands.claim.clone().expect("a claim");
    assert_eq!((claim.slots, claim.stakes.len()), (2, 2));
    let account = hands.bench.ledger.account(&key(1).account()).unwrap();
    for stake in &claim.stakes {
        let terms = account.locks[stake].terms;
        assert_eq!((terms.kind, terms.amount_ucredits), (LockKind::TaskStake, 10 * MICRO));
        assert_eq!(terms.policy.authority, relay_key(0).account());
    }
    // One is slashed: another one is locked in its place, under a higher number.
    let gone = claim.stakes[0];
    hands.bench.decide(0, gone, |resolve| resolve.slash_ucredits = 10 * MICRO);
    hands.bench.wait(400_000);
    hands.offers();
    let later = hands.claim.clone().expect("a claim");
    assert!(later.number > claim.number && !later.stakes.contains(&gone));
}

#[test]
fn claims_are_renewed_and_their_numbers_rise() {
    let mut hands = Hands::new();
    let mut last = hands.claim.clone().expect("a claim");
    assert_eq!(last.until_epoch, 1_000 + CLAIM_EPOCHS);
    for _ in 0..3 {
        hands.bench.wait(60_000 * (CLAIM_EPOCHS - RENEW_EPOCHS + 1));
        hands.offers();
        let claim = hands.claim.clone().expect("a claim");
        assert!(claim.number > last.number && claim.until_epoch > hands.bench.now.epoch + RENEW_EPOCHS);
        last = claim;
    }
    // Days later the stakes have been replaced before they ran out.
    let stakes = last.stakes.clone();
    for _ in 0..30 {
        hands.bench.wait(3_600_000);
    }
    hands.offers();
    last = hands.claim.clone().expect("a claim");
    assert!(last.stakes.len() == 2 && last.stakes.iter().all(|stake| !stakes.contains(stake)));
    // And a day later the prekey was another.
    hands.bench.restart();
    hands.bench.connect(0);
    hands.bench.wait(10_000);
    hands.offers();
    assert!(hands.claim.expect("a claim").number > last.number);
}

#[test]
fn prekeys_change_daily_and_come_back_from_the_disk() {
    let mut hands = Hands::new();
    let first = hands.prekey.clone().expect("a prekey");
    hands.bench.restart();
    hands.bench.connect(0);
    hands.bench.wait(10_000);
    hands.offers();
    assert_eq!(hands.prekey.as_ref(), Some(&first), "the same ring");
    for _ in 0..25 {
        hands.bench.wait(3_600_000);
    }
    hands.offers();
    let second = hands.prekey.clone().expect("a prekey");
    assert_ne!(second, first);
    // What lies on the disk opens with the account's key alone.
    assert!(Saved::read(&hands.bench.store, &key(1)).unwrap().kept.prekeys.len() >= 2);
    let table = ledger::store::Table::Meta;
    let name = crate::edge::saved::key_of(b"prekeys", &key(1).account());
    let sealed = ledger::store::Store::get(&hands.bench.store, table, &name).unwrap().unwrap();
    let mut batch = Batch::new();
    batch.put(table, crate::edge::saved::key_of(b"prekeys", &key(3).account()), sealed).unwrap();
    ledger::store::Store::commit(&hands.bench.store, batch).unwrap();
    assert!(Saved::read(&hands.bench.store, &key(3)).is_err());
}

#[test]
fn a_newcomer_claims_without_stakes() {
    let mut bench = Bench::connected(1, false, Some(preferences()), 0);
    bench.wait(10_000);
    let Some((_, Message::Offer(offer))) = bench.take(Kind::Offer) else { panic!("a claim") };
    assert_eq!((offer.claim.value.slots, offer.claim.value.stakes.len()), (2, 0));
    // A refused claim comes again, later and under another number.
    let about = offer.claim.value.id(bench.network.id());
    let reason = Reason::ClaimInvalid as u16;
    bench.say(0, Refused { about, reason, retry_after_ms: 50_000, detail: String::new() });
    bench.wait(49_000);
    assert!(bench.take(Kind::Offer).is_none());
    bench.wait(20_000);
    let Some((_, Message::Offer(again))) = bench.take(Kind::Offer) else { panic!("a claim") };
    assert!(again.claim.value.number > offer.claim.value.number);
}

#[test]
fn slots_are_divided_among_relays() {
    let mut bench = Bench::connected(3, false, Some(Preferences { slots: 5, ..preferences() }), 0);
    bench.wait(30_000);
    let last = |bench: &mut Bench| {
        let mut slots = BTreeMap::new();
        while let Some((place, Message::Offer(offer))) = bench.take(Kind::Offer) {
            slots.insert(place, offer.claim.value.slots);
        }
        slots
    };
    assert_eq!(last(&mut bench), [(0, 2), (1, 2), (2, 1)].into());
    bench.disconnect(1);
    bench.wait(60_000);
    assert_eq!(last(&mut bench), [(0, 3), (2, 2)].into());
}
