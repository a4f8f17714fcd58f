//! Double spends, counted: an owner shows one witness this and another one that, while f of them sign everything.

use ledger::{Check, Collector, Id, Ledger, Record, op::SignedOp};

use crate::{
    Outcome, ensure,
    reference::{Deed, Who},
    world::{ACCOUNTS, Answer, CREDIT, OWNERS, Value, World, broken},
};

/// What became of the attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Attempts.
    pub attempts: u64,
    /// Both payments got a certificate.
    pub succeeded: u64,
    /// One of them did.
    pub one: u64,
    /// A witness had the proof in its hands.
    pub proved: u64,
    /// Of those that succeeded, how many the ledger answered by naming f + 1 witnesses.
    pub named: u64,
}

/// Attempts in a network of so many witnesses, `bad` of which sign everything.
///
/// # Errors
/// A check that does not hold in one of the ledgers.
pub fn count(seed: u64, witnesses: u16, bad: usize, attempts: u64) -> Outcome<Count> {
    let mut count = Count::default();
    let mut seed = seed;
    while count.attempts < attempts {
        let mut world = World::new(seed, witnesses);
        let n = world.nodes.len();
        for (i, node) in world.nodes.iter_mut().enumerate() {
            node.bad = i + bad >= n;
        }
        for who in spenders() {
            if count.attempts < attempts {
                attempt(&mut world, who, &mut count)?;
            }
        }
        broken(world.all.check_invariants())?;
        broken(world.all.check_refold())?;
        seed += 1;
    }
    Ok(count)
}

/// [`count`] on every core.
///
/// # Errors
/// As [`count`].
pub fn count_on_all_cores(witnesses: u16, bad: usize, attempts: u64) -> Outcome<Count> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let counts: Vec<Outcome<Count>> = std::thread::scope(|scope| {
        let part = |thread| {
            let some = attempts / threads + u64::from(thread < attempts % threads);
            scope.spawn(move || count(thread << 32, witnesses, bad, some))
        };
        let parts: Vec<_> = (0..threads).map(part).collect();
        parts.into_iter().map(|part| part.join().expect("a count ends")).collect()
    });
    counts.into_iter().try_fold(Count::default(), |sum, part| {
        let part = part?;
        Ok(Count {
            attempts: sum.attempts + part.attempts,
            succeeded: sum.succeeded + part.succeeded,
            one: sum.one + part.one,
            proved: sum.proved + part.proved,
            named: sum.named + part.named,
        })
    })
}

fn spenders() -> impl Iterator<Item = Who> {
    (*OWNERS.start()..ACCOUNTS).filter(|who| *who <= 4 || (8..=15).contains(who))
}

fn attempt(world: &mut World, who: Who, count: &mut Count) -> Outcome {
    count.attempts += 1;
    let [a, b] = [2, 3].map(|to| payment(world, who, to));
    // Some are asked again, perhaps after a crash.
    let again: Vec<usize> = (0..world.nodes.len()).filter(|_| world.rng.once_in(4)).collect();
    let mut order: Vec<usize> = (0..world.nodes.len()).chain(again).collect();
    world.rng.shuffle(&mut order);
    let mut proved = false;
    let committee = world.network.committee(world.now).clone();
    let ids = [&a, &b].map(|op| op.op.id(&world.id()));
    let mut collectors = ids.map(|id: Id| Collector::new(world.id(), id, &committee));
    for (turn, i) in order.into_iter().enumerate() {
        // Each witness sees this first or that first.
        let first = world.rng.once_in(2) ^ turn.is_multiple_of(2);
        for which in [usize::from(first), usize::from(!first)] {
            let value = Value::Op(if which == 0 { a.clone() } else { b.clone() });
            match world.ask(i, &value, true)? {
                Answer::Vote(vote) => drop(collectors[which].add(&vote)),
                Answer::Refused(_, proof) => proved |= proof.is_some(),
                Answer::Lost => {}
            }
        }
    }
    let certificates = collectors.map(|c| c.certificate().cloned());
    count.proved += u64::from(proved);
    let records: Vec<Record> = [a, b]
        .into_iter()
        .zip(certificates)
        .filter_map(|(op, certificate)| Some(Record::op(&world.network, op, certificate?)))
        .collect();
    count.one += u64::from(records.len() == 1);
    if records.len() == 2 {
        count.succeeded += 1;
        count.named += u64::from(named(world, &records)?);
    }
    world.all.merge(records, Check::Makers);
    Ok(())
}

fn payment(world: &World, who: Who, to: Who) -> SignedOp {
    let amount = world.economy.holding(who).free - CREDIT;
    let action = world.action(who, &Deed::Pay(vec![(to, amount)]), None).expect("a payment");
    // Drafted on what was there at first: what others paid since is not received.
    let op = Ledger::new(world.network.clone()).draft(&world.accounts[usize::from(who)], action, world.now);
    op.expect("it has so much").sign(&world.id(), &world.keys[usize::from(who)])
}

/// I10: whether this fork alone names f + 1 witnesses, and no honest one.
fn named(world: &World, records: &[Record]) -> Outcome<bool> {
    let mut ledger = Ledger::new(world.network.clone());
    ledger.merge(records.iter().cloned(), Check::Signatures);
    broken(ledger.check_invariants())?;
    let named: Vec<_> = ledger.faults().map(|(account, _)| *account).collect();
    for i in world.honest() {
        let honest = world.nodes[i].witness.account();
        ensure("I10: no honest witness is named", !named.contains(&honest), || format!("witness {i}"))?;
    }
    Ok(named.len() > (world.nodes.len() - 1) / 3)
}
