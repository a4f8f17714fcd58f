//! What happens in a world: deeds, decisions, checkpoints, time; each done in both economies, which must say the same.

use std::collections::BTreeSet;

use ledger::{
    DraftError, Evidence, Id, Record,
    justify::uptime_reference,
    op::{Action, LockKind, LockTerms, Op, Out, Policy, Reason, rotation_message},
    reputation::Outcome as Judgement,
    resolve::{Judged, Payout, Resolve, payout_lock},
};

use crate::{
    Outcome, attacks, ensure,
    reference::{Deed, Grant, LOCK, Name, OpenLock, PAYOUT, Sort, TREASURY, Who},
    world::{CREDIT, OWNERS, Value, WORKERS, World},
};

/// A whole world of a seed: a journey past every kind of deed, random steps, and attacks if wanted.
///
/// # Errors
/// The first check that does not hold.
pub fn live(world: &mut World, steps: u64, attacked: bool) -> Outcome {
    world.journey()?;
    let mut attacks = if attacked { attacks::ALL.to_vec() } else { Vec::new() };
    world.rng.shuffle(&mut attacks);
    for _ in 0..steps {
        world.step()?;
        if world.rng.once_in(3)
            && let Some(attack) = attacks.pop()
        {
            world.suffer(&attack)?;
        }
    }
    while let Some(attack) = attacks.pop() {
        world.suffer(&attack)?;
    }
    world.settle()
}

impl World {
    /// One attack, after which nothing may be different.
    pub fn suffer(&mut self, attack: &attacks::Attack) -> Outcome {
        self.log.push(format!("attack {}", attack.rule.code()));
        (attack.run)(self)?;
        self.check()
    }

    /// Everything arrives, and everyone has the same.
    pub fn settle(&mut self) -> Outcome {
        self.sync()?;
        let root = self.all.root();
        for (i, node) in self.nodes.iter().enumerate() {
            let own = node.ledger.root();
            ensure("I6: equal sets, equal roots", own == root, || format!("witness {i}: {own}, not {root}"))?;
        }
        crate::world::broken(self.all.check_refold())?;
        self.check()
    }

    /// A deed of an account, in both economies. `None` if both refuse it.
    pub fn act(&mut self, who: Who, deed: Deed) -> Outcome<Option<Record>> {
        self.log.push(format!("epoch {}: account {who} does {deed:?}", self.now));
        let account = self.accounts[usize::from(who)];
        self.expire(who)?;
        let fresh = matches!(deed, Deed::Rotate).then(|| self.fresh_key());
        let Some(action) = self.action(who, &deed, fresh.as_ref()) else {
            // Nothing is due in the ledger: nothing may be due in the reference.
            let takes: Vec<Name> = self.economy.ready(who).into_iter().collect();
            let allowed = self.economy.act(who, self.serial(), &takes, &deed).is_ok();
            ensure("the economies agree", !allowed, || format!("{deed:?}: due in the reference alone"))?;
            return Ok(None);
        };
        let drafted = match action {
            Action::Transfer { outs } if who == TREASURY => {
                self.all.draft_treasury(outs, self.now, &self.rolls)
            }
            action => {
                let op = self.all.draft(&account, action, self.now);
                op.map(|op| (op, Evidence::default())).map_err(DraftError::Refusal)
            }
        };
        let drafted = match drafted {
            Ok(drafted) => drafted,
            Err(refused) => {
                let takes: Vec<Name> = self.economy.ready(who).into_iter().collect();
                let allowed = self.economy.act(who, self.serial(), &takes, &deed).is_ok();
                ensure("the economies agree", !allowed, || format!("{deed:?} is refused: {refused}"))?;
                return Ok(None);
            }
        };
        self.perform(who, drafted, &deed, fresh)
    }

    /// What ran out is certified, whoever asks for it.
    pub fn expire(&mut self, who: Who) -> Outcome {
        let account = self.accounts[usize::from(who)];
        while let Some(expiry) = self.all.draft_expiry(&account, self.now) {
            let certificate = self.propose(&Value::Expiry(expiry.clone()))?;
            let certificate = match certificate {
                Ok(certificate) => certificate,
                Err(rule) => return ensure("I12: what ran out is certified", false, || format!("{rule}")),
            };
            self.publish(Record::expiry(&self.network, expiry.clone(), certificate))?;
            let held = self.all.account(&account).map(|account| &account.locks);
            let marked = |lock| held.and_then(|held| held.get(lock)).is_some_and(|lock| lock.ran_out);
            let all = expiry.locks.iter().all(marked);
            ensure("what ran out is marked", all, || format!("not all of {expiry:?}"))?;
            self.check()?;
        }
        Ok(())
    }

    fn perform(
        &mut self,
        who: Who,
        (op, shown): (Op, Evidence),
        deed: &Deed,
        fresh: Option<identity::SecretKey>,
    ) -> Outcome<Option<Record>> {
        let takes: Vec<Name> = op.receives.iter().filter_map(|receive| self.name_of(receive)).collect();
        let (taken, ready): (BTreeSet<Name>, _) = (takes.iter().copied().collect(), self.economy.ready(who));
        ensure("the economies agree", taken == ready || takes.len() == 64, || {
            format!("account {who} takes {taken:?}, ready is {ready:?}")
        })?;
        let said = self.economy.act(who, self.serial(), &takes, deed);
        ensure("the economies agree", said.is_ok(), || format!("{deed:?}: the reference says {said:?}"))?;
        let signed = op.sign(&self.id(), &self.keys[usize::from(who)]);
        let value = match who {
            TREASURY => Value::Grant(signed.clone(), shown),
            _ => Value::Op(signed.clone()),
        };
        let certificate = self.propose(&value)?;
        let certificate = match certificate {
            Ok(certificate) => certificate,
            Err(rule) => {
                ensure("I12: an honest operation is certified", false, || format!("{deed:?}: {rule}"))?;
                return Ok(None);
            }
        };
        let record = Record::op(&self.network, signed, certificate);
        self.name(&record, [(record.id(), LOCK)]);
        self.publish(record.clone())?;
        if let Some(key) = fresh {
            self.keys[usize::from(who)] = key;
        }
        self.check()?;
        Ok(Some(record))
    }

    /// The action of a deed; `None` if the treasury owes nothing for it.
    pub fn action(&self, who: Who, deed: &Deed, fresh: Option<&identity::SecretKey>) -> Option<Action> {
        let out = |to: Who, amount_ucredits, reason, reference| Out {
            to: self.accounts[usize::from(to)],
            amount_ucredits,
            reason,
            reference,
        };
        Some(match *deed {
            Deed::Nothing => Action::Noop,
            Deed::Pay(ref outs) => {
                let outs = outs.iter().map(|(to, amount)| out(*to, *amount, Reason::Payment, Id::ZERO));
                Action::Transfer { outs: outs.collect() }
            }
            Deed::Grant(ref grants) => {
                let outs = grants.iter().map(|grant| {
                    let amount = self.economy.due(grant)?;
                    Some(match *grant {
                        Grant::Bonus { decision, worker } => {
                            out(worker, amount, Reason::Bonus, self.record_id(decision))
                        }
                        Grant::Referral { decision, referrer } => {
                            out(referrer, amount, Reason::Referral, self.record_id(decision))
                        }
                        Grant::Uptime { hour, worker } => {
                            out(worker, amount, Reason::Uptime, uptime_reference(hour))
                        }
                    })
                });
                Action::Transfer { outs: outs.collect::<Option<_>>()? }
            }
            Deed::Escrow { amount, until, halves } => self.lock(LockKind::TaskEscrow, amount, until, halves),
            Deed::Claim { amount, until } => self.lock(LockKind::TaskStake, amount, until, 2),
            Deed::Stake { amount } => self.lock(LockKind::BaseStake, amount, self.now, 2),
            Deed::Unbond { amount } => self.lock(LockKind::Unbond, amount, self.now + 1_440, 2),
            Deed::Rotate => {
                let (account, fresh) = (self.accounts[usize::from(who)], fresh?);
                let seq = self.all.account(&account).map_or(0, |a| a.next_seq);
                let message = rotation_message(&self.id(), &account, seq, &fresh.account());
                Action::RotateKey { key: fresh.account(), proof: fresh.sign(message.as_bytes()) }
            }
            Deed::Open { referrer } => {
                let referrer = referrer.map(|who| self.accounts[usize::from(who)]);
                Action::Open { referrer, site: None }
            }
        })
    }

    /// A lock that the authority decides on.
    pub fn lock(&self, kind: LockKind, amount_ucredits: u64, expiry_epoch: u64, halves: u8) -> Action {
        let policy = Policy { authority: self.authority.account(), redundancy: 1, priority_halves: halves };
        Action::Lock(LockTerms { kind, task: Id::ZERO, amount_ucredits, policy, expiry_epoch })
    }

    /// A decision on a lock, unsigned.
    pub fn resolve(&self, lock: Name, payouts: &[(Who, u64, Sort)], refund: u64, slash: u64) -> Resolve {
        let owner = self.economy.open_locks().find(|l| l.name == lock).map_or(TREASURY, |l| l.owner);
        let payout = |&(to, amount_ucredits, sort): &(Who, u64, Sort)| Payout {
            to: self.accounts[usize::from(to)],
            amount_ucredits,
            reason: if sort == Sort::Reward { Reason::Reward } else { Reason::SiteShare },
        };
        let workers: BTreeSet<_> = payouts.iter().filter(|p| p.2 == Sort::Reward).map(|p| p.0).collect();
        let workers = workers.into_iter().map(|who| self.accounts[usize::from(who)]);
        let judge = |worker| Judged { worker, task_type: 0, outcome: Judgement::Valid };
        let mut judged: Vec<Judged> = workers.map(judge).collect();
        judged.sort_by_key(|j| j.worker);
        Resolve {
            owner: self.accounts[usize::from(owner)],
            lock: self.lock_id(lock),
            epoch: self.now,
            payouts: payouts.iter().map(payout).collect(),
            refund_ucredits: refund,
            slash_ucredits: slash,
            judged,
            drawn: true,
            evidence: Id::ZERO,
        }
    }

    /// The authority decides, in both economies. `None` if both refuse.
    pub fn decide(
        &mut self,
        lock: Name,
        payouts: &[(Who, u64, Sort)],
        refund: u64,
        slash: u64,
    ) -> Outcome<Option<Record>> {
        self.log.push(format!(
            "epoch {}: {lock:?} is decided: {payouts:?}, {refund} back, {slash} burned",
            self.now
        ));
        let resolve = self.resolve(lock, payouts, refund, slash);
        let value = Value::Resolve(resolve.sign(&self.id(), &self.authority));
        let certificate = self.propose(&value)?;
        let serial = self.serial();
        let said = self.economy.decide(lock, serial, payouts, refund, slash, true);
        ensure("the economies agree", said.is_ok() == certificate.is_ok(), || {
            format!("the witnesses say {:?}, the reference {said:?}", certificate.as_ref().err())
        })?;
        let (Ok(certificate), Value::Resolve(signed)) = (certificate, value) else { return Ok(None) };
        let record = Record::resolve(&self.network, signed, certificate);
        let places = (0..payouts.len()).map(|i| (payout_lock(&record.id(), i as u8), PAYOUT + i as u8));
        self.name(&record, places.collect::<Vec<_>>());
        self.publish(record.clone())?;
        self.check()?;
        Ok(Some(record))
    }

    /// Closes the epoch before this one.
    pub fn close(&mut self) -> Outcome {
        let epoch = self.now - 1;
        if epoch <= self.closed {
            return Ok(());
        }
        self.log.push(format!("epoch {epoch} is closed"));
        self.closed = epoch;
        self.sync()?;
        let drafted = self.all.draft_checkpoint(epoch);
        self.rolls.extend(self.all.roll(&drafted));
        let value = Value::Checkpoint(drafted);
        let certificate = self.propose(&value)?;
        ensure("I12: an epoch is closed", certificate.is_ok(), || {
            format!("{:?}", certificate.as_ref().err())
        })?;
        let (Ok(certificate), Value::Checkpoint(checkpoint)) = (certificate, value) else { return Ok(()) };
        let record = Record::checkpoint(&self.network, checkpoint, certificate);
        self.publish(record.clone())?;
        self.economy.checkpoint(epoch);
        let i = self.rng.below(self.nodes.len() as u64) as usize;
        if self.rng.once_in(2) { self.prune(i, &record) } else { Ok(()) }
    }

    /// Time passes.
    pub fn pass(&mut self, epochs: u64) {
        self.now += epochs;
        self.economy.epoch = self.now;
    }

    /// Old records come again, everywhere.
    pub fn replay(&mut self) -> Outcome {
        let Some(serial) = self.serial().checked_sub(1) else { return Ok(()) };
        self.log.push(format!("record {serial} comes again"));
        let (record, root) = (self.records[serial as usize].clone(), self.all.root());
        self.economy.replay(serial);
        self.publish(record)?;
        ensure("I11: replays change nothing", self.all.root() == root, || "another root".into())?;
        self.check()
    }

    /// The id of a record that counts.
    pub fn record_id(&self, serial: u32) -> Id {
        self.records[serial as usize].id()
    }

    /// The lock that a deed just made.
    pub fn last_lock(&self) -> Name {
        Name(self.serial() - 1, LOCK)
    }

    /// Past every kind of deed once, with drawn amounts, so that no world misses one.
    pub fn journey(&mut self) -> Outcome {
        let draw = |world: &mut World, most: u64| CREDIT + world.rng.below(most * CREDIT);
        let (big, small) = (draw(self, 300), 1 + self.rng.below(9_999));
        self.act(5, Deed::Open { referrer: Some(4) })?;
        self.act(1, Deed::Pay(vec![(2, big), (3, small)]))?;
        self.act(1, Deed::Pay(vec![(2, small)]))?;
        self.replay()?;
        self.act(2, Deed::Nothing)?;
        self.act(3, Deed::Pay(vec![(1, 6_000 * CREDIT)]))?;
        // A task: escrow, reward, the site's share, the rest back.
        let reward = CREDIT + draw(self, 8);
        let hour = self.now / 60;
        let until = self.now + 5;
        self.act(1, Deed::Escrow { amount: reward + 3 * CREDIT, until, halves: 1 })?;
        let lock = self.last_lock();
        self.decide(lock, &[(5, reward, Sort::Reward), (3, CREDIT, Sort::Plain)], 2 * CREDIT, 0)?;
        let first = self.serial() - 1;
        // Later tasks are paid by what was computed before.
        self.pass(1);
        self.close()?;
        self.act(2, Deed::Escrow { amount: 21 * CREDIT, until: until + 1, halves: 2 })?;
        let lock = self.last_lock();
        self.decide(lock, &[(5, 20 * CREDIT + small, Sort::Reward)], CREDIT - small, 0)?;
        let second = self.serial() - 1;
        // From one purse to another of the same.
        self.act(1, Deed::Escrow { amount: 2 * CREDIT, until, halves: 2 })?;
        let lock = self.last_lock();
        self.decide(lock, &[(2, 2 * CREDIT, Sort::Reward)], 0, 0)?;
        let own = self.serial() - 1;
        self.act(5, Deed::Nothing)?;
        // Stakes: one slashed, one returned, one that runs out, some called back.
        for slash in [4 * CREDIT, 0] {
            self.act(1, Deed::Claim { amount: 10 * CREDIT, until: self.now + 3 })?;
            let lock = self.last_lock();
            self.decide(lock, &[], 10 * CREDIT - slash, slash)?;
        }
        self.act(1, Deed::Claim { amount: 7 * CREDIT, until: self.now + 1 })?;
        self.act(4, Deed::Escrow { amount: 5 * CREDIT, until: self.now + 1, halves: 1 })?;
        let late = self.last_lock();
        self.act(2, Deed::Unbond { amount: 9 * CREDIT })?;
        self.act(4, Deed::Stake { amount: small })?;
        self.pass(4);
        self.decide(late, &[], 5 * CREDIT, 0)?;
        for who in [1, 4, 1, 4, 2] {
            self.act(who, Deed::Nothing)?;
        }
        // Account 2 has stakes, account 3 has none.
        self.act(2, Deed::Rotate)?;
        self.act(3, Deed::Rotate)?;
        self.act(3, Deed::Pay(vec![(6, small)]))?;
        self.pass(58);
        self.act(5, Deed::Nothing)?;
        self.pass(1);
        self.close()?;
        let bonus = |decision| Grant::Bonus { decision, worker: 5 };
        self.act(TREASURY, Deed::Grant(vec![bonus(first), Grant::Uptime { hour, worker: 5 }]))?;
        // Not collected; then over the cap of the epoch, together; and for the same cause.
        self.act(TREASURY, Deed::Grant(vec![bonus(second)]))?;
        for who in [5, 2] {
            self.act(who, Deed::Nothing)?;
        }
        self.act(TREASURY, Deed::Grant(vec![bonus(second)]))?;
        self.pass(1);
        self.act(TREASURY, Deed::Grant(vec![bonus(first)]))?;
        self.act(TREASURY, Deed::Grant(vec![bonus(second)]))?;
        self.pass(1);
        self.act(TREASURY, Deed::Grant(vec![Grant::Bonus { decision: own, worker: 2 }]))?;
        self.act(TREASURY, Deed::Grant(vec![Grant::Referral { decision: second, referrer: 4 }]))?;
        for who in [4, 5, 3, 5] {
            self.act(who, Deed::Nothing)?;
        }
        Ok(())
    }

    /// Something happens.
    pub fn step(&mut self) -> Outcome {
        let everyone: Vec<Who> = OWNERS.chain(WORKERS).collect();
        let who = self.rng.pick(&everyone).unwrap_or(1);
        let to = self.rng.pick(&everyone).unwrap_or(1);
        let holding = self.economy.holding(who);
        let part = |world: &mut World, of: u64| 1 + world.rng.below(of / 4 + 2);
        let locks: Vec<OpenLock> = self.economy.open_locks().collect();
        match self.rng.below(13) {
            0 | 1 => {
                let amount = part(self, holding.free);
                self.act(who, Deed::Pay(vec![(to, amount)])).map(drop)
            }
            2 => self.act(who, Deed::Nothing).map(drop),
            3 => {
                let (amount, life) = (part(self, holding.free), 1 + self.rng.below(8));
                let halves = self.rng.pick(&[1, 2, 4]).unwrap_or(2);
                self.act(who, Deed::Escrow { amount, until: self.now + life, halves }).map(drop)
            }
            4 => {
                let (amount, life) = (part(self, holding.staked), 1 + self.rng.below(8));
                self.act(who, Deed::Claim { amount, until: self.now + life }).map(drop)
            }
            5..=7 => match self.rng.pick(&locks) {
                Some(lock) => self.decide_somehow(&lock),
                None => Ok(()),
            },
            8 => {
                let amount = part(self, holding.free);
                self.act(who, Deed::Stake { amount }).map(drop)
            }
            9 => {
                let amount = part(self, holding.staked);
                self.act(who, Deed::Unbond { amount }).map(drop)
            }
            10 => self.act(who, Deed::Rotate).map(drop),
            11 => {
                let epochs = 1 + self.rng.below(4) * self.rng.below(40);
                self.pass(epochs);
                self.close()
            }
            _ => {
                let i = self.rng.below(self.nodes.len() as u64) as usize;
                self.log.push(format!("witness {i} crashes"));
                self.restart(i)?;
                self.replay()
            }
        }
    }

    fn decide_somehow(&mut self, lock: &OpenLock) -> Outcome {
        let part = self.rng.below(lock.amount + 1);
        let worker = *WORKERS.start() + self.rng.below(3) as Who;
        if lock.escrow {
            let site = part / 3;
            let payouts = [(worker, part - site, Sort::Reward), (1, site, Sort::Plain)];
            let payouts: Vec<_> = payouts.into_iter().filter(|p| p.1 > 0).collect();
            return self.decide(lock.name, &payouts, lock.amount - part, 0).map(drop);
        }
        self.decide(lock.name, &[], lock.amount - part, part).map(drop)
    }
}
