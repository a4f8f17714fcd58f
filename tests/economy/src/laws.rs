//! Laws of the merge, any order of arrival, and hostile bytes: records that a bad quorum certified, however absurd.

use identity::SecretKey;
use ledger::{
    Check, GENESIS, Id, Ledger, Record,
    expiry::Expiry,
    justify,
    op::{Action, LockKind, Op, Out, Reason, Receive},
    resolve::{Payout, Resolve},
};

use crate::{
    Outcome, Rng, ensure,
    reference::{ALL_CREDITS, Who},
    world::{World, broken, key},
};

/// The laws, on the records of a world that has lived.
///
/// # Errors
/// The first law that does not hold.
pub fn hold(world: &mut World, rounds: usize) -> Outcome {
    let records: Vec<Record> = world.all.records().collect();
    for _ in 0..rounds {
        let [a, b, c] = [0; 3].map(|_| subset(&mut world.rng, &records));
        let union = |parts: &[&[Record]]| {
            let mut ledger = Ledger::new(world.network.clone());
            parts.iter().for_each(|part| drop(ledger.merge(part.iter().cloned(), Check::Makers)));
            ledger
        };
        let root = union(&[&a, &b, &c]).root();
        let inner: Vec<Record> = union(&[&b, &c]).records().collect();
        ensure("I6: merge associates", union(&[&a, &inner]).root() == root, || "(ab)c is not a(bc)".into())?;
        ensure("I6: merge commutes", union(&[&c, &b, &a]).root() == root, || "abc is not cba".into())?;
        let twice = union(&[&a, &b, &b, &c, &a]).root();
        ensure("I6: merge is idempotent", twice == root, || "ab is not abb".into())?;
        let mut shuffled = records.clone();
        shuffled.extend(a);
        world.rng.shuffle(&mut shuffled);
        let bytes: Vec<Vec<u8>> = shuffled.iter().map(Record::encode).collect();
        let mut again = Ledger::new(world.network.clone());
        for bytes in &bytes {
            let record = Record::decode(bytes, &world.network);
            ensure("records survive their bytes", record.is_ok(), || format!("{record:?}"))?;
            again.merge(record, Check::Makers);
        }
        ensure("I6: any order, one root", again.root() == world.all.root(), || "another root".into())?;
    }
    Ok(())
}

/// A world in which the only witness certifies whatever it is given, well signed: never a panic, nothing made or lost, the
/// same from every order.
///
/// # Errors
/// The first check that does not hold.
pub fn hostile(seed: u64, count: usize) -> Outcome {
    let mut world = World::new(seed, 1);
    world.faults = false;
    world.journey()?;
    let mut records: Vec<Record> = world.all.records().collect();
    let mut ledger = world.all.clone();
    for _ in 0..count {
        let record = match world.rng.below(5) {
            4 => absurd_expiry(&mut world, &ledger, &records),
            0 => absurd_decision(&mut world, &ledger, &records),
            1 => absurd_operation(&mut world, &records),
            _ => greedy_operation(&mut world, &ledger),
        };
        let Some(record) = record else { continue };
        world.log.push(format!("certified: {record:?}"));
        ledger.merge([record.clone()], Check::Signatures);
        records.push(record);
        sound(&ledger)?;
    }
    broken(ledger.check_refold())?;
    for order in 0..3 {
        world.rng.shuffle(&mut records);
        let mut again = Ledger::new(world.network.clone());
        let mut rest = &records[..];
        while !rest.is_empty() {
            let (some, others) = rest.split_at(1 + world.rng.below(rest.len().min(9) as u64) as usize);
            rest = others;
            again.merge(some.iter().cloned(), if order == 0 { Check::Signatures } else { Check::Makers });
            sound(&again)?;
        }
        let same = again.root() == ledger.root() && again.totals() == ledger.totals();
        ensure("I6: any order, one root", same, || {
            format!("{:?} and {:?}", again.totals(), ledger.totals())
        })?;
    }
    Ok(())
}

/// What can be asked of a ledger, all of it.
fn sound(ledger: &Ledger) -> Outcome {
    broken(ledger.check_invariants())?;
    let sum = ledger.totals().sum();
    ensure("nothing is made or lost", sum == i128::from(ALL_CREDITS), || format!("{sum}"))?;
    ledger.stuck();
    let accounts: Vec<_> = ledger.accounts().map(|(id, _)| *id).collect();
    for account in &accounts {
        let _ = (ledger.balance(account), ledger.reputation(account, 0).score_at(u64::MAX));
    }
    for record in ledger.records() {
        if let Record::Resolve(r) = record {
            for payout in &r.value.resolve.payouts {
                justify::bonus(ledger, &[], &r.id, &payout.to, u64::MAX);
                justify::referral(ledger, &[], &r.id, &payout.to, u64::MAX);
            }
        }
    }
    Ok(())
}

fn subset(rng: &mut Rng, records: &[Record]) -> Vec<Record> {
    let mut some: Vec<Record> = records.iter().filter(|_| rng.once_in(2)).cloned().collect();
    rng.shuffle(&mut some);
    some
}

fn certified(world: &World, op: Op, key: &SecretKey) -> Option<Record> {
    let op = op.sign(&world.id(), key);
    op.op.check_alone(world.network.treasury()).ok()?;
    let certificate = world.forge(op.op.id(&world.id()), &[0], op.op.epoch);
    Some(Record::op(&world.network, op, certificate))
}

/// Sizes at which something may give way.
fn edge(rng: &mut Rng) -> u64 {
    let all = [1, 2, 60, u64::MAX, u64::MAX - 1, u64::MAX / 2, GENESIS, 1 << 63, 100_000_000];
    rng.pick(&all).unwrap_or(1)
}

/// An operation that was, with some of it replaced.
fn absurd_operation(world: &mut World, records: &[Record]) -> Option<Record> {
    let mut op = match world.rng.pick(records)? {
        Record::Op(r) => r.value.op.clone(),
        _ => return None,
    };
    for _ in 0..1 + world.rng.below(3) {
        match world.rng.below(7) {
            0 => op.epoch = op.epoch.wrapping_add(edge(&mut world.rng)),
            1 => op.seq = op.seq.wrapping_add(world.rng.below(3)),
            2 => op.balance_after = edge(&mut world.rng),
            3 => op.prev = world.rng.pick(records)?.id(),
            4 => {
                let index = world.rng.pick(&[0, 1, 254, 255])?;
                op.receives.push(Receive { source: world.rng.pick(records)?.id(), index });
                op.receives.sort();
                op.receives.dedup();
            }
            5 => op.action = pays(world.accounts[1], edge(&mut world.rng)),
            _ => op.epoch = op.epoch.saturating_sub(1),
        }
    }
    let who = world.accounts.iter().position(|a| *a == op.account)?;
    certified(world, op, &world.keys[who])
}

fn pays(to: identity::AccountId, amount_ucredits: u64) -> Action {
    Action::Transfer { outs: vec![Out { to, amount_ucredits, reason: Reason::Payment, reference: Id::ZERO }] }
}

/// The next operation of an account, in order. Villains pay what is there, and then once more what never was, for the same
/// place; a few others take all they can reach, voided or not, and pass it on or lock it in one go.
fn greedy_operation(world: &mut World, ledger: &Ledger) -> Option<Record> {
    let villain = world.rng.once_in(3);
    let who = if villain { 8 + world.rng.below(8) as Who } else { 1 + world.rng.below(5) as Who };
    let account = ledger.account(&world.accounts[usize::from(who)]).cloned().unwrap_or_default();
    let plain = |o: &&ledger::Output| o.reason == Reason::Payment && o.of_stake.is_none();
    let mut op = Op {
        account: world.accounts[usize::from(who)],
        seq: account.next_seq,
        prev: account.head,
        epoch: account.last_epoch.max(world.now),
        receives: Vec::new(),
        action: Action::Noop,
        balance_after: account.available_ucredits,
    };
    let outs = |world: &mut World, amount: &mut dyn FnMut(&mut Rng) -> u64| {
        let out = |_| Out {
            to: world.accounts[1 + world.rng.below(5) as usize],
            amount_ucredits: amount(&mut world.rng),
            reason: Reason::Payment,
            reference: Id::ZERO,
        };
        Action::Transfer { outs: (0..4).map(out).collect() }
    };
    if villain {
        op.action = outs(world, &mut |_| 1);
        op.balance_after = op.balance_after.checked_sub(4)?;
        if world.rng.once_in(2) {
            (op.seq, op.action) = (op.seq.checked_sub(1)?, outs(world, &mut edge));
        }
        return certified(world, op, &world.keys[usize::from(who)]);
    }
    for (receive, output) in account.inbox.iter().filter(|(_, o)| plain(o)).take(40) {
        if let Some(sum) = op.balance_after.checked_add(output.amount_ucredits) {
            op.receives.push(*receive);
            op.balance_after = sum;
        }
    }
    let all = std::mem::take(&mut op.balance_after);
    match world.rng.below(4) {
        0 => op.balance_after = all,
        1 if all > 0 => op.action = pays(world.accounts[1 + world.rng.below(5) as usize], all),
        _ if all > 0 => {
            let life = 1 + world.rng.below(3);
            op.action = world.lock(LockKind::TaskEscrow, all, op.epoch.saturating_add(life), 2);
        }
        _ => return None,
    }
    // Mostly by the owner.
    let thief = key(77);
    let own = !world.rng.once_in(8);
    certified(world, op, if own { &world.keys[usize::from(who)] } else { &thief })
}

/// A decision on any lock there is, right or absurd.
fn absurd_decision(world: &mut World, ledger: &Ledger, records: &[Record]) -> Option<Record> {
    let locks = ledger.accounts().flat_map(|(id, a)| a.locks.iter().map(|(lock, held)| (*id, *lock, *held)));
    let locks: Vec<_> = locks.collect();
    let (owner, lock, held) = world.rng.pick(&locks)?;
    let total = held.terms.amount_ucredits;
    let mut resolve: Resolve = match world.rng.pick(records)? {
        Record::Resolve(r) => r.value.resolve.clone(),
        _ => return None,
    };
    (resolve.owner, resolve.lock) = (owner, lock);
    resolve.epoch = resolve.epoch.min(held.terms.expiry_epoch);
    let paid: u128 = resolve.payouts.iter().map(|p| u128::from(p.amount_ucredits)).sum();
    match world.rng.below(4) {
        0 => {
            let to = world.accounts[5];
            let absurd = |_| Payout { to, amount_ucredits: edge(&mut world.rng), reason: Reason::Reward };
            resolve.payouts = (0..3).map(absurd).collect();
            resolve.epoch = edge(&mut world.rng);
        }
        1 => {
            resolve.payouts.clear();
            (resolve.refund_ucredits, resolve.slash_ucredits) = (total, 0);
        }
        2 => {
            resolve.payouts.clear();
            (resolve.refund_ucredits, resolve.slash_ucredits) = (total / 2, total - total / 2);
        }
        _ => {
            resolve.refund_ucredits = u64::try_from(u128::from(total).saturating_sub(paid)).unwrap_or(0);
            resolve.slash_ucredits = 0;
        }
    }
    let signed = resolve.sign(&world.id(), &world.authority);
    signed.resolve.check_alone().ok()?;
    let certificate = world.forge(signed.resolve.id(&world.id()), &[0], signed.resolve.epoch);
    Some(Record::resolve(&world.network, signed, certificate))
}

/// That locks ran out, open or not, in any epoch.
fn absurd_expiry(world: &mut World, ledger: &Ledger, records: &[Record]) -> Option<Record> {
    let locks = ledger.accounts().flat_map(|(id, a)| a.locks.iter().map(|(lock, held)| (*id, *lock, *held)));
    let locks: Vec<_> = locks.collect();
    let (owner, lock, held) = world.rng.pick(&locks)?;
    let mut locks = vec![lock, world.rng.pick(records)?.id()];
    locks.sort();
    locks.dedup();
    let epoch = held.terms.expiry_epoch.saturating_add(world.rng.below(5));
    let expiry = Expiry { owner, locks, epoch };
    let certificate = world.forge(expiry.id(&world.id()), &[0], epoch);
    Some(Record::expiry(&world.network, expiry, certificate))
}
